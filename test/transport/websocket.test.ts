import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { listenWebSocket, type WebSocketOptions } from '../../src/transport/websocket.ts';
import type { Listener, OnStream } from '../../src/transport/byte-stream.ts';
import { describeByteStream, Recorder } from '../contract/byte-stream-contract.ts';
import { until } from '../support/polling.ts';
import { type Accepting, accepting, unexpected, webSocketPair } from './stream-pairs.ts';

const DEFAULTS: WebSocketOptions = { host: '127.0.0.1', port: 0, path: '/mqtt', origins: [], maxFrameBytes: 1_000_000 };

function listen(onStream: OnStream, options: Partial<WebSocketOptions> = {}): Promise<Listener> {
  return listenWebSocket({ ...DEFAULTS, ...options }, onStream, unexpected);
}

describeByteStream('a WebSocket connection', () => webSocketPair((onStream) => listen(onStream)), { halfOpen: false });

/** Sends a request as it is and returns all that the server answers until it closes. */
async function answerTo(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  return text(socket);
}

const UPGRADE: readonly string[] = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** The status line and headers with which an upgrade is answered; `headers` may hold Host, Origin, sub-protocols. */
async function upgradeAnswer(port: number, path: string, headers: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${[`GET ${path} HTTP/1.1`, ...UPGRADE, ...headers].join('\r\n')}\r\n\r\n`);
  let answer = '';
  socket.setEncoding('latin1');
  for await (const chunk of socket) {
    answer += String(chunk);
    if (answer.startsWith('HTTP/1.1 101') && answer.endsWith('\r\n\r\n')) break;
  }
  socket.destroy();
  return answer;
}

describe('the upgrade to WebSocket', () => {
  async function withListener(options: Partial<WebSocketOptions>, run: (port: number) => Promise<void>): Promise<void> {
    const listener = await listen((stream) => stream.destroy(), options);
    await run(listener.port);
    await listener.close();
  }

  test.each([
    ['mqtt', 'mqtt'],
    ['mqttv3.1', 'mqttv3.1'],
    ['mqttv3.1, mqtt', 'mqtt'],
    ['other,mqtt', 'mqtt'],
  ])('[MQTT-6.0.0-4] answers the offer "%s" with the sub-protocol %s', async (offer, chosen) => {
    await withListener({}, async (port) => {
      const answer = await upgradeAnswer(port, '/mqtt', ['Host: x', `Sec-WebSocket-Protocol: ${offer}`]);
      expect(answer).toMatch(/^HTTP\/1\.1 101 /);
      expect(answer).toContain(`\r\nSec-WebSocket-Protocol: ${chosen}\r\n`);
    });
  });

  test.each([[[]], [['Sec-WebSocket-Protocol: chat, mqttv5']]])(
    '[MQTT-6.0.0-3] refuses a client that does not offer mqtt: %s',
    async (headers) => {
      await withListener({}, async (port) => {
        const answer = await upgradeAnswer(port, '/mqtt', ['Host: x', ...headers]);
        expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
        expect(answer).toContain('must offer the WebSocket sub-protocol "mqtt"');
      });
    },
  );

  test('refuses a wrong path with 404, asked for an upgrade or not', async () => {
    await withListener({}, async (port) => {
      const upgrade = await upgradeAnswer(port, '/chat', ['Host: x', 'Sec-WebSocket-Protocol: mqtt']);
      expect(upgrade).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
      expect(upgrade).toContain('MQTT over WebSocket is at /mqtt.');
      const plain = await answerTo(port, ['GET /mqtt/x HTTP/1.1', 'Host: x']);
      expect(plain).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    });
  });

  test('takes a query behind the path', async () => {
    await withListener({}, async (port) => {
      const answer = await upgradeAnswer(port, '/mqtt?token=1', ['Host: x', 'Sec-WebSocket-Protocol: mqtt']);
      expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    });
  });

  test('answers a plain request with 426 and a sentence', async () => {
    await withListener({}, async (port) => {
      const answer = await answerTo(port, ['GET /mqtt HTTP/1.1', 'Host: x']);
      expect(answer).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n/);
      expect(answer).toMatch(/\r\nUpgrade: websocket\r\n/);
      expect(answer).toContain('This is an MQTT broker');
    });
  });

  test.each([
    ['no bytes of HTTP', ['\u0016\u0003\u0001 hello']],
    [
      'an unknown version of WebSocket',
      ['GET /mqtt HTTP/1.1', 'Host: x', ...UPGRADE.with(2, 'Sec-WebSocket-Version: 7'), 'Sec-WebSocket-Protocol: mqtt'],
    ],
  ])('answers %s with 400 and closes', async (_, lines) => {
    await withListener({}, async (port) => {
      expect(await answerTo(port, lines)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    });
  });

  const page = 'https://example.org';
  test.each<[readonly string[], string | undefined, string, number]>([
    [[], undefined, 'broker:8083', 101],
    [[], 'http://localhost:8083', 'localhost:8083', 101],
    [[], 'http://LocalHost:8083', 'localHost:8083', 101],
    [[], 'http://app.localhost', 'app.localhost', 101],
    [[], 'http://192.0.2.1:8083', '192.0.2.1:8083', 101],
    [[], 'http://[::1]:8083', '[::1]:8083', 101],
    // A name that somebody has made to mean 127.0.0.1.
    [[], 'http://evil.test:8083', 'evil.test:8083', 403],
    [[], 'http://localhost.evil.test:8083', 'localhost.evil.test:8083', 403],
    [['http://broker:8083'], 'http://broker:8083', 'broker:8083', 101],
    [[], 'http://broker', 'broker:8083', 403],
    [[], 'null', 'broker:8083', 403],
    [[], page, 'broker:8083', 403],
    [[page], page, 'broker:8083', 101],
    [[page], 'https://example.org.evil.test', 'broker:8083', 403],
    [[page], 'http://broker:8083', 'broker:8083', 403],
    [[page], undefined, 'broker:8083', 403],
    [['*'], 'null', 'broker:8083', 101],
    [['*'], undefined, 'broker:8083', 101],
  ])('with origins %j answers the origin %s at host %s with %i', async (origins, origin, host, status) => {
    await withListener({ origins }, async (port) => {
      const headers = [`Host: ${host}`, 'Sec-WebSocket-Protocol: mqtt'];
      const answer = await upgradeAnswer(port, '/mqtt', origin ? [...headers, `Origin: ${origin}`] : headers);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    });
  });

  test('that is refused is told of with the reason', async () => {
    const refused: string[] = [];
    // A page can have the browsers of its visitors ask for anything, which must not get those banned.
    const onRefused = (_: string, reason: string, isFailure: boolean): void =>
      void refused.push(isFailure ? 'a failure' : reason);
    const handshake = { onRefused };
    await withListener({ handshake }, async (port) => {
      await upgradeAnswer(port, '/mqtt', ['Host: x', 'Origin: https://evil.test', 'Sec-WebSocket-Protocol: mqtt']);
      await answerTo(port, ['GET /mqtt HTTP/1.1', 'Host: x']);
      await until('both refusals', () => (refused.length === 2 ? true : undefined));
      expect(refused).toEqual([
        expect.stringMatching(/^its request was answered with 403: Pages of this origin may not connect/),
        expect.stringMatching(/^its request was answered with 426: This is an MQTT broker/),
      ]);
    });
  });
});

/** An upgraded connection whose frames the test writes itself. */
async function rawConnection(server: Accepting): Promise<{ socket: Socket; accepted: Recorder }> {
  const socket = connect(server.listener.port, '127.0.0.1');
  const upgrade = ['GET /mqtt HTTP/1.1', 'Host: x', ...UPGRADE, 'Sec-WebSocket-Protocol: mqtt'];
  socket.write(`${upgrade.join('\r\n')}\r\n\r\n`);
  const accepted = new Recorder(await server.next());
  await once(socket, 'data');
  return { socket, accepted };
}

/** A short frame as a client sends it, masked with zeros. */
function frame(first: number, payload: string): Buffer {
  return Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)]);
}

/** The close code in a close frame of the server. */
function closeCode(bytes: Buffer): number {
  expect(bytes[0]).toBe(0x88);
  return bytes.readUInt16BE(2);
}

describe('frames', () => {
  test('[MQTT-6.0.0-1] a text frame closes with 1003 and nothing after it is delivered', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const { socket, accepted } = await rawConnection(server);
    socket.write(Buffer.concat([frame(0x82, 'binary'), frame(0x81, 'text'), frame(0x82, 'more')]));
    const [answer] = await once(socket, 'data');
    expect(closeCode(answer)).toBe(1003);
    socket.write(frame(0x88, '\u0003\u00eb'.slice(0, 0)));
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.receivedBytes).toBe(6);
    expect(accepted.closeError?.message).toContain('binary frames only');
    socket.destroy();
    await server.listener.close();
  });

  test('[MQTT-6.0.0-2] fragments, many frames in a chunk and frames cut anywhere give one stream', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const { socket, accepted } = await rawConnection(server);
    const chunks: string[] = [];
    accepted.onChunk = (chunk) => void chunks.push(chunk.toString());
    const bytes = Buffer.concat([
      frame(0x02, 'ab'),
      frame(0x89, 'ping'),
      frame(0x80, 'cd'),
      frame(0x82, 'e'),
      frame(0x82, 'fgh'),
    ]);
    for (const byte of bytes) socket.write(Buffer.from([byte]));
    await accepted.until(() => accepted.receivedBytes === 8);
    expect(chunks.join('')).toBe('abcdefgh');
    socket.destroy();
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.closeError?.message).toContain('without a close frame');
    await server.listener.close();
  });

  test('a write is one binary frame', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const { socket, accepted } = await rawConnection(server);
    expect(accepted.stream.write(Buffer.from('abc'))).toBe(true);
    const [answer] = await once(socket, 'data');
    expect(answer).toEqual(Buffer.from([0x82, 3, 0x61, 0x62, 0x63]));
    accepted.stream.destroy();
    socket.destroy();
    await server.listener.close();
  });

  test('a frame above the limit closes with 1009 from its header', async () => {
    const server = await accepting((onStream) => listen(onStream, { maxFrameBytes: 1000 }));
    const { socket, accepted } = await rawConnection(server);
    socket.write(Buffer.from([0x82, 0xfe, 0x03, 0xe9, 0, 0, 0, 0])); // announces 1001 bytes and sends none
    const [answer] = await once(socket, 'data');
    expect(closeCode(answer)).toBe(1009);
    socket.destroy();
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.closeError?.message).toContain('Max payload size exceeded');
    expect(accepted.receivedBytes).toBe(0);
    await server.listener.close();
  });

  test('an end sends a close frame with 1000', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const { socket, accepted } = await rawConnection(server);
    accepted.stream.end();
    const [answer] = await once(socket, 'data');
    expect(closeCode(answer)).toBe(1000);
    accepted.stream.destroy();
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.closeError).toBeUndefined();
    socket.destroy();
    await server.listener.close();
  });

  test('what the peer sent before it closed is delivered although the reader paused', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const { socket, accepted } = await rawConnection(server);
    accepted.onChunk = () => accepted.stream.pause();
    socket.write(Buffer.concat([frame(0x82, 'one'), frame(0x82, 'two'), frame(0x88, '')]));
    await accepted.until(() => accepted.closes === 1);
    expect([accepted.receivedBytes, accepted.ended, accepted.closeError]).toEqual([6, true, undefined]);
    socket.destroy();
    await server.listener.close();
  });
});

describe('a WebSocket listener', () => {
  test('refuses a port in use with the code of the error', async () => {
    const listener = await listen(() => {});
    await expect(listen(() => {}, { port: listener.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(listener.url).toBe(`ws://127.0.0.1:${listener.port}/mqtt`);
    await listener.close();
  });

  test('closes sockets that have not finished the upgrade, and leaves the others alone', async () => {
    const server = await accepting((onStream) => listen(onStream));
    const client = new WebSocket(server.listener.url, 'mqtt');
    const accepted = new Recorder(await server.next());
    expect(accepted.stream.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(accepted.stream.transport).toBe('websocket');
    await once(client, 'open');
    const half = connect(server.listener.port, '127.0.0.1');
    half.write('GET /mqtt HTTP/1.1\r\nHost: x\r\n');
    // Once a later connection is answered, the server has seen the half request.
    await answerTo(server.listener.port, ['GET /mqtt HTTP/1.1', 'Host: x']);
    await server.listener.close();
    half.resume();
    await once(half, 'close');
    client.send(Buffer.from('still'));
    await accepted.until(() => accepted.receivedBytes === 5);
    accepted.stream.destroy();
    await once(client, 'close');
  });
});
