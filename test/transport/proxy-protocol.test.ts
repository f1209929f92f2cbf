import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { crc32c } from '../../src/lib/crc32c.ts';
import type { ByteStream, Listener, OnStream } from '../../src/transport/byte-stream.ts';
import type { EntranceOptions } from '../../src/transport/entrance.ts';
import { addressBehind, decodeProxyHeader } from '../../src/transport/proxy-protocol.ts';
import { listenTcp } from '../../src/transport/tcp.ts';
import { listenTls } from '../../src/transport/tls.ts';
import { listenSecureWebSocket, listenWebSocket } from '../../src/transport/websocket.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { TestAuthority } from '../support/certificates.ts';
import { until } from '../support/polling.ts';
import { UPGRADE_REQUEST } from './secure-listeners.ts';
import { unexpected } from './stream-pairs.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A header of version 2. */
function v2(command: number, family: number, body: Buffer): Buffer {
  const fixed = Buffer.from([0x20 | command, family, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, body]);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value]);
}

const IPV4_BODY = Buffer.from('c0000207c6336401c82322b3', 'hex');
const IPV6_BODY = Buffer.from(`20010db8${'0'.repeat(23)}7${'0'.repeat(31)}1c82322b3`, 'hex');

/** A header with a checksum over all of it, right or not. */
function withChecksum(fault: number): Buffer {
  const header = v2(1, 0x11, Buffer.concat([IPV4_BODY, tlv(0x02, Buffer.from('host')), tlv(0x03, Buffer.alloc(4))]));
  header.writeUInt32BE((crc32c(header) ^ fault) >>> 0, header.length - 4);
  return header;
}

const unixBody = Buffer.alloc(216);
unixBody.write('/run/client.sock');

const good: readonly (readonly [string, Buffer, string | undefined])[] = [
  ['version 1 of IPv4', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 51235 8883\r\n'), '192.0.2.7:51235'],
  ['version 1 of IPv6', Buffer.from('PROXY TCP6 2001:DB8:0::7 2001:db8::1 51235 8883\r\n'), '[2001:db8::7]:51235'],
  ['version 1 of IPv4 in IPv6', Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n'), '192.0.2.7:1'],
  ['version 1 that knows nothing', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['version 1 that knows nothing and says much', Buffer.from(`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`), undefined],
  ['version 2 of IPv4', v2(1, 0x11, IPV4_BODY), '192.0.2.7:51235'],
  ['version 2 of IPv6', v2(1, 0x21, IPV6_BODY), '[2001:db8::7]:51235'],
  ['version 2 of a Unix socket', v2(1, 0x31, unixBody), '/run/client.sock'],
  ['version 2 of a Unix socket without a name', v2(1, 0x31, Buffer.alloc(216)), undefined],
  ['version 2 of nothing said', v2(1, 0x00, Buffer.alloc(0)), undefined],
  ['version 2 of the balancer itself', v2(0, 0xff, Buffer.alloc(7)), undefined],
  [
    'version 2 with fields',
    v2(1, 0x11, Buffer.concat([IPV4_BODY, tlv(0x20, Buffer.alloc(300)), tlv(0x04, Buffer.alloc(0))])),
    '192.0.2.7:51235',
  ],
  ['version 2 with a checksum', withChecksum(0), '192.0.2.7:51235'],
  ['version 2 as long as may be', v2(0, 0x00, Buffer.alloc(520)), undefined],
];

const bad: readonly (readonly [string, Buffer, RegExp])[] = [
  ['MQTT', Buffer.from('100f00044d515454050200000000026162', 'hex'), /is missing/],
  ['TLS', Buffer.from([0x16, 0x03, 0x01]), /is missing/],
  ['a line without end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`), /longer than 107/],
  ['a line that ends late', Buffer.from(`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`), /longer than 107/],
  ['a family of its own', Buffer.from('PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n'), /no line of version 1/],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 198.51.100.1 1 2\r\n'), /no line/],
  ['half an address', Buffer.from('PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n'), /no line/],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'), /no line/],
  ['a port too high', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n'), /no line/],
  ['a port with zeros', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n'), /no line/],
  ['two spaces', Buffer.from('PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n'), /no line/],
  ['a line that ends in LF', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\r\n'), /no line/],
  ['small letters', Buffer.from('proxy UNKNOWN\r\n'), /is missing/],
  ['version 3', Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 0])]), /unknown version/],
  ['an unknown command', Buffer.concat([SIGNATURE, Buffer.from([0x22, 0x11, 0, 0])]), /unknown version or command/],
  ['datagrams', v2(1, 0x12, IPV4_BODY), /not of a stream/],
  ['an unknown family', v2(1, 0x41, IPV4_BODY), /not of a stream/],
  ['too few bytes of addresses', v2(1, 0x21, IPV4_BODY), /shorter than its addresses/],
  ['too many bytes', v2(0, 0x00, Buffer.alloc(521)), /longer than 536/],
  ['a field that is cut', v2(1, 0x11, Buffer.concat([IPV4_BODY, Buffer.from([0x02, 0x00, 0x05, 0x61])])), /cut field/],
  ['half the head of a field', v2(1, 0x11, Buffer.concat([IPV4_BODY, Buffer.from([0x02, 0x00])])), /cut field/],
  ['a wrong checksum', withChecksum(1), /wrong checksum/],
  ['a short checksum', v2(1, 0x11, Buffer.concat([IPV4_BODY, tlv(0x03, Buffer.alloc(3))])), /not 4 bytes/],
];

describe('a PROXY header', () => {
  test('has the checksum of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a91_36aa);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });

  test.each(good)('%s is read, and incomplete cut anywhere before', (_, header, source) => {
    const behind = Buffer.concat([header, Buffer.from('behind')]);
    expect(decodeProxyHeader(behind)).toEqual({ kind: 'complete', length: header.length, source });
    for (let length = 0; length < header.length; length++) {
      expect(decodeProxyHeader(header.subarray(0, length))).toEqual({ kind: 'incomplete' });
    }
  });

  test.each(bad)('with %s is refused', (_, header, reason) => {
    expect(decodeProxyHeader(header)).toEqual({ kind: 'malformed', reason: expect.stringMatching(reason) });
  });

  test('is decided within 536 bytes, whatever they are', () => {
    const beginnings = fc.constantFrom(Buffer.alloc(0), Buffer.from('PROXY '), SIGNATURE, Buffer.from('PROXY TCP4 1'));
    fc.assert(
      fc.property(beginnings, fc.uint8Array({ minLength: 536, maxLength: 600 }), (beginning, rest) => {
        expect(decodeProxyHeader(Buffer.concat([beginning, rest])).kind).not.toBe('incomplete');
      }),
      { numRuns: 2_000 },
    );
  });
});

const directory = mkdtempSync(join(tmpdir(), 'trellis-proxy-'));
const authority = new TestAuthority(directory);
const tls = { certificates: [authority.server('server')] };
const LOOPBACK: EntranceOptions = { host: '127.0.0.1', port: 0, balancers: ['127.0.0.0/8'] };
const webSocket = { path: '/mqtt', origins: [], maxFrameBytes: 100_000 };

afterAll(() => {
  rmSync(directory, { recursive: true });
});

type Listen = (options: EntranceOptions, onStream: OnStream) => Promise<Listener>;

const listeners: readonly (readonly [string, Listen])[] = [
  ['tcp', (options, onStream) => listenTcp(options, onStream, unexpected)],
  ['tls', (options, onStream) => listenTls({ ...options, tls }, onStream, unexpected)],
  ['websocket', (options, onStream) => listenWebSocket({ ...options, ...webSocket }, onStream, unexpected)],
  [
    'secure-websocket',
    (options, onStream) => listenSecureWebSocket({ ...options, ...webSocket, tls }, onStream, unexpected),
  ],
];

interface Accepted {
  readonly listener: Listener;
  readonly streams: ByteStream[];
  readonly refused: string[];
}

/** A listener that sends back what it reads. */
async function echoing(listen: Listen, options: EntranceOptions = LOOPBACK): Promise<Accepted> {
  const streams: ByteStream[] = [];
  const refused: string[] = [];
  const handshake = { onRefused: (_: string, reason: string) => void refused.push(reason), ...options.handshake };
  const listener = await listen({ ...options, handshake }, (stream) => {
    streams.push(stream);
    stream.attach({
      onBytes: (chunk) => void stream.write(chunk),
      onDrain: () => {},
      onEnd: () => stream.end(),
      onClose: () => {},
    });
  });
  return { listener, streams, refused };
}

/** What a client sends behind the header until the listener answers `hello`. */
const HELLO_FRAME = Buffer.concat([Buffer.from([0x82, 0x85, 0, 0, 0, 0]), Buffer.from('hello')]);

/** Speaks as the client of a listener over a socket whose header has been sent or is about to be; resolves when answered. */
async function speak(transport: string, raw: Socket): Promise<void> {
  const isSecure = transport === 'tls' || transport === 'secure-websocket';
  const socket = isSecure ? connectTls({ socket: raw, ca: authority.certificate, servername: 'localhost' }) : raw;
  let answer = '';
  const answered = new Promise<void>((resolve, reject) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
      if (answer.endsWith('hello')) resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`closed after ${answer}`)));
  });
  if (transport.endsWith('websocket')) {
    socket.write(UPGRADE_REQUEST);
    socket.write(HELLO_FRAME);
  } else socket.write('hello');
  await answered;
}

test('the loopback of a balancer on another machine is not that of this one', () => {
  for (const balancer of ['10.0.0.5', '::ffff:10.0.0.5', 'fd00::5', '']) {
    for (const source of ['127.0.0.1:51234', '127.9.9.9:1', '[::1]:51234', undefined])
      expect(addressBehind(balancer, source)).toBe('');
    expect(addressBehind(balancer, '192.0.2.1:51234')).toBe('192.0.2.1:51234');
    expect(addressBehind(balancer, '[2001:db8::1]:5')).toBe('[2001:db8::1]:5');
  }
  for (const balancer of ['127.0.0.1', '::ffff:127.0.0.1', '::1'])
    expect(addressBehind(balancer, '127.0.0.1:51234')).toBe('127.0.0.1:51234');
});

describe.each(listeners)('behind a balancer a %s listener', (transport, listen) => {
  test('takes the address of the client from any header', async () => {
    const { listener, streams, refused } = await echoing(listen);
    for (const [, header, source] of good) {
      const socket = connect(listener.port, '127.0.0.1');
      socket.write(header);
      await speak(transport, socket);
      expect(streams.at(-1)?.remoteAddress).toBe(source ?? `127.0.0.1:${socket.localPort}`);
      expect(streams.at(-1)?.transport).toBe(transport);
      socket.destroy();
    }
    expect(refused).toEqual([]);
    for (const stream of streams) stream.destroy();
    await listener.close();
  });

  test('takes a header cut at every byte', async () => {
    const { listener, streams } = await echoing(listen);
    const headers = [good[0]![1], withChecksum(0)];
    for (const header of headers) {
      for (let cut = 1; cut < header.length; cut++) {
        const socket = connect({ port: listener.port, host: '127.0.0.1', noDelay: true });
        await once(socket, 'connect');
        socket.write(header.subarray(0, cut));
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        socket.write(header.subarray(cut));
        await speak(transport, socket);
        expect(streams.at(-1)?.remoteAddress).toBe('192.0.2.7:51235');
        socket.destroy();
      }
    }
    expect(streams.length).toBe(headers.reduce((sum, header) => sum + header.length - 1, 0));
    for (const stream of streams) stream.destroy();
    await listener.close();
  });

  test('closes on anything else, and on a header that does not come in time', async () => {
    const clock = new FakeClock();
    const { listener, streams, refused } = await echoing(listen, { ...LOOPBACK, handshake: { clock } });
    for (const [, header, reason] of bad) {
      const socket = connect(listener.port, '127.0.0.1');
      const ended = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
      socket.resume().write(header);
      await ended;
      expect(refused.at(-1)).toMatch(reason);
    }
    const cut = connect(listener.port, '127.0.0.1');
    cut.resume().end('PROXY TCP4');
    await once(cut, 'close');
    expect(refused.at(-1)).toMatch(/is cut$/);
    const silent = connect(listener.port, '127.0.0.1');
    const ended = new Promise((resolve) => silent.on('error', () => {}).once('close', resolve));
    silent.resume().write('PROXY TCP4');
    await until('the deadline', () => {
      clock.advance(10_000);
      return refused.at(-1) === 'it did not finish its handshake in time' ? true : undefined;
    });
    await ended;
    expect(streams).toEqual([]);
    await listener.close();
  });

  test('does not look at the header of anybody else', async () => {
    const { listener, streams } = await echoing(listen, { ...LOOPBACK, balancers: ['192.0.2.1'] });
    const plain = connect(listener.port, '127.0.0.1');
    await speak(transport, plain);
    expect(streams[0]?.remoteAddress).toBe(`127.0.0.1:${plain.localPort}`);
    plain.destroy();
    const header = good[0]![1];
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('error', () => {});
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    socket.end(header);
    await new Promise((resolve) => socket.once('close', resolve));
    // To TCP they are bytes like others, to the rest no beginning of theirs.
    if (transport === 'tcp') {
      expect(answer).toBe(String(header));
      expect(streams[1]?.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    } else expect(streams.length).toBe(1);
    for (const stream of streams) stream.destroy();
    await listener.close();
  });
});
