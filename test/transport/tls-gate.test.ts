import { on, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import type { TlsOptions } from '../../src/transport/tls-credentials.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { TestAuthority } from '../support/certificates.ts';
import { until } from '../support/polling.ts';
import { greeting, secureKinds, UPGRADE_REQUEST, WELCOME } from './secure-listeners.ts';

const directory = mkdtempSync(join(tmpdir(), 'trellis-gate-'));
const authority = new TestAuthority(directory);
const tls: TlsOptions = { certificates: [authority.server('server')] };

afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** Connects and waits for the greeting; rejects where the connection ends before. */
async function greeted(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca: authority.certificate,
    servername: 'localhost',
    ...options,
  });
  await new Promise<void>((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes(WELCOME)) resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without a greeting')));
  });
  return socket;
}

/** What a client hears of a refusal, depending on how far it came. */
const REFUSED = /closed without a greeting|SSL routines|disconnected|ECONNRESET|EPIPE|certificate/;

/** Resolves when a socket has closed, with an error or not. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket
      .on('error', () => {})
      .once('close', () => resolve())
      .resume();
  });
}

/** Sends bytes back and forth. */
async function echo(socket: TLSSocket, text: string): Promise<void> {
  let answer = '';
  const answered = new Promise<void>((resolve, reject) => {
    const onData = (chunk: string): void => {
      answer += chunk;
      if (answer.length < text.length) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error('closed')));
  });
  socket.write(text);
  await answered;
  expect(answer).toBe(text);
}

describe('a handshake', () => {
  test.each(secureKinds)('on %s ends at its deadline whatever the client does', async (kind) => {
    const clock = new FakeClock();
    const { listener, refused, close } = await greeting(kind, tls, { clock, deadlineMs: 5_000 });
    const open = async (): Promise<Socket> => {
      const socket = connect(listener.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      return socket;
    };
    const silent = await open();
    // The beginning of a ClientHello, a byte at a time.
    const slow = await open();
    slow.write(Buffer.from([0x16]));
    const sockets = [silent, slow];
    if (kind === 'secure-websocket') {
      const secure = connectTls({
        host: '127.0.0.1',
        port: listener.port,
        ca: authority.certificate,
        servername: 'localhost',
      });
      secure.on('error', () => {});
      await once(secure, 'secureConnect');
      secure.write(UPGRADE_REQUEST.slice(0, 30));
      sockets.push(secure);
    }
    clock.advance(4_000);
    slow.write(Buffer.from([0x03]));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual(sockets.map(() => false));
    const ends = sockets.map(closed);
    await until('all handshakes to have begun', () => {
      clock.advance(5_000);
      return refused.length === sockets.length ? true : undefined;
    });
    await Promise.all(ends);
    expect(new Set(refused)).toEqual(new Set(['it did not finish its handshake in time']));
    await close();
  });

  test('that is through has no deadline any more', async () => {
    const clock = new FakeClock();
    const { listener, refused, close } = await greeting('tls', tls, { clock, deadlineMs: 5_000 });
    const socket = await greeted(listener.port);
    clock.advance(600_000);
    await echo(socket, 'still here');
    expect(refused).toEqual([]);
    socket.destroy();
    await close();
  });

  test('that stalls gives way when there are too many', async () => {
    const { listener, refused, close } = await greeting('tls', tls, { max: 20 });
    const stalled = Array.from({ length: 100 }, () => connect(listener.port, '127.0.0.1'));
    const ends = stalled.map(closed);
    const socket = await greeted(listener.port);
    await until('the refusals', () => (refused.length >= 81 ? true : undefined));
    expect(new Set(refused)).toEqual(
      new Set(['it gave way to a newer one, there being too many handshakes under way']),
    );
    await echo(socket, 'a client that answers');
    socket.destroy();
    for (const one of stalled) one.destroy();
    await Promise.all(ends);
    await close();
  });

  test("that fails is told to be its client's fault, unless it was the listener that gave it up", async () => {
    const clock = new FakeClock();
    const faults: [reason: string, isFailure: boolean][] = [];
    const onRefused = (_: string, reason: string, isFailure: boolean): void => void faults.push([reason, isFailure]);
    const { listener, close } = await greeting('tls', tls, { clock, max: 1, onRefused });
    const open = (): Socket => connect({ port: listener.port, host: '127.0.0.1' });
    const ends: Promise<void>[] = [];
    const liar = open().end('nothing of TLS');
    ends.push(closed(liar));
    await until('a fault', () => faults[0]);
    for (let at = 0; at < 2; at++) ends.push(closed(open()));
    await until('another', () => faults[1]);
    clock.advance(10_000);
    await until('the last', () => faults[2]);
    expect(faults).toEqual([
      [expect.stringMatching(/^the TLS handshake failed/), true],
      [expect.stringMatching(/^it gave way/), false],
      ['it did not finish its handshake in time', true],
    ]);
    await Promise.all(ends);
    await close();
  });

  test('that stalls gives way to newer ones of its own address first', async () => {
    const { listener, refused, close } = await greeting('tls', tls, { max: 20 });
    const open = async (localAddress: string): Promise<Socket> => {
      const socket = connect({ port: listener.port, host: '127.0.0.1', localAddress });
      await once(socket, 'connect');
      return socket;
    };
    // A client that takes its time, and a flood.
    const slow = await open('127.0.0.2');
    const flood: Socket[] = [];
    const ends: Promise<void>[] = [];
    for (let at = 0; at < 100; at++) {
      const socket = await open('127.0.0.1');
      flood.push(socket);
      ends.push(closed(socket));
    }
    await until('the refusals', () => (refused.length === 81 ? true : undefined));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const secure = connectTls({ socket: slow, ca: authority.certificate, servername: 'localhost' });
    secure.setEncoding('latin1').on('data', (text: string) => {
      if (text.includes(WELCOME)) resolve();
    });
    secure.on('error', reject);
    secure.once('close', () => reject(new Error('closed without a greeting')));
    await promise;
    secure.destroy();
    for (const one of flood) one.destroy();
    await Promise.all(ends);
    await close();
  });

  test.each([
    ['MQTT', Buffer.from('100f00044d515454050200000000026162', 'hex'), /^the TLS handshake failed: /],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /^the TLS handshake failed: http request/],
    ['nothing', Buffer.alloc(0), /^(the TLS handshake failed: |it closed the connection)/],
    ['zeros', Buffer.alloc(100_000), /^the TLS handshake failed: /],
  ])('of a client that sends %s instead is refused', async (_, bytes, reason) => {
    for (const kind of secureKinds) {
      const { listener, refused, streams, close } = await greeting(kind, tls);
      const socket = connect(listener.port, '127.0.0.1');
      socket.end(bytes);
      await closed(socket);
      await until('a refusal', () => refused[0]);
      expect(refused).toEqual([expect.stringMatching(reason)]);
      expect(streams).toEqual([]);
      await close();
    }
  });

  test('under way ends with the listener, streams do not', async () => {
    const { listener, close } = await greeting('tls', tls);
    const stalled = connect(listener.port, '127.0.0.1');
    stalled.on('error', () => {});
    const socket = await greeted(listener.port);
    await listener.close();
    await closed(stalled);
    await echo(socket, 'still here');
    socket.destroy();
    await close();
  });
});

describe('a connection that is through with its handshake', () => {
  const cases = secureKinds.flatMap((kind) => (['TLSv1.2', 'TLSv1.3'] as const).map((version) => ({ kind, version })));

  test.each(cases)('on $kind in $version ends for a record that its client did not send', async ({ kind, version }) => {
    const { listener, closed: streamsClosed, close } = await greeting(kind, tls);
    const below = connect(listener.port, '127.0.0.1');
    const versions = { minVersion: version, maxVersion: version };
    const socket = connectTls({ socket: below, ca: authority.certificate, servername: 'localhost', ...versions });
    socket.on('error', () => {});
    if (kind === 'secure-websocket') socket.write(UPGRADE_REQUEST);
    const greets = (chunk: Buffer): boolean => chunk.includes(WELCOME);
    for await (const [chunk] of on(socket, 'data')) if (greets(chunk as Buffer)) break;
    const isClosed = once(below, 'close', { signal: AbortSignal.timeout(30_000) });
    // Application data that nobody's key fits.
    below.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 100]), Buffer.alloc(100)]));
    await isClosed;
    await until('the stream to be closed', () => (streamsClosed.length > 0 ? true : undefined));
    expect(streamsClosed).toEqual([expect.any(Error)]);
    await close();
  });
});

describe('new certificates', () => {
  test('serve who comes next, and 50 clients that are there stay', async () => {
    const own = new TestAuthority(join(directory, 'reload'));
    const options: TlsOptions = {
      certificates: [own.server('first', ['localhost']), own.server('other', ['other.example'])],
    };
    const fingerprints = (socket: TLSSocket): string => socket.getPeerCertificate().fingerprint256;
    const { listener, close } = await greeting('tls', options);
    const connectTo = (servername: string): Promise<TLSSocket> =>
      greeted(listener.port, { ca: own.certificate, servername });
    const sockets = await Promise.all(Array.from({ length: 50 }, () => connectTo('localhost')));
    const before = [fingerprints(sockets[0]!), fingerprints(await connectTo('other.example'))];

    own.server('first', ['localhost']);
    own.server('other', ['other.example']);
    await listener.reload();
    const after = [fingerprints(await connectTo('localhost')), fingerprints(await connectTo('other.example'))];
    expect(new Set([...before, ...after]).size).toBe(4);

    writeFileSync(own.file('first.crt'), 'no certificate');
    await expect(listener.reload()).rejects.toThrow(`There is no certificate in ${own.file('first.crt')}`);
    expect(fingerprints(await connectTo('localhost'))).toBe(after[0]);

    for (const [index, socket] of sockets.entries()) await echo(socket, `client ${index}`);
    for (const socket of sockets) socket.destroy();
    await close();
  });
});

describe('pre-shared keys', () => {
  const pskFile = authority.write('psk', `# devices\nsensor-1:${'0f'.repeat(32)}\n\nsensor:2:${'a1'.repeat(16)}\n`);

  function withKey(identity: string, hex: string, more: ConnectionOptions = {}): ConnectionOptions {
    return {
      pskCallback: () => ({ psk: Buffer.from(hex, 'hex'), identity }),
      ciphers: 'TLS_AES_128_GCM_SHA256:PSK',
      ca: [],
      checkServerIdentity: () => undefined,
      ...more,
    };
  }

  const versions = ['TLSv1.2', 'TLSv1.3'] as const;
  const oneVersion = (version: (typeof versions)[number]): ConnectionOptions => ({
    minVersion: version,
    maxVersion: version,
  });

  test.each(versions)('say who the client is with %s, beside certificates or without', async (version) => {
    for (const certificates of [tls.certificates, []]) {
      const { listener, streams, close } = await greeting('tls', { certificates, pskFile });
      const first = await greeted(listener.port, withKey('sensor-1', '0f'.repeat(32), oneVersion(version)));
      const second = await greeted(listener.port, withKey('sensor:2', 'a1'.repeat(16), oneVersion(version)));
      expect(streams.map(({ pskIdentity }) => pskIdentity)).toEqual(['sensor-1', 'sensor:2']);
      if (version === 'TLSv1.2') expect(first.getCipher().name).toMatch(/^ECDHE-PSK-/);
      if (certificates.length > 0) {
        const plain = await greeted(listener.port, oneVersion(version));
        expect(streams[2]?.pskIdentity).toBeUndefined();
        plain.destroy();
      }
      first.destroy();
      second.destroy();
      await close();
    }
  });

  test.each([
    ['an unknown identity', 'nobody', '0f'.repeat(32)],
    ['a wrong key', 'sensor-1', '1f'.repeat(32)],
    ['a key of another', 'sensor:2', '0f'.repeat(32)],
    ['__proto__', '__proto__', '0f'.repeat(32)],
    ['no identity', '', '0f'.repeat(32)],
  ])('refuse %s', async (_, identity, key) => {
    for (const version of versions) {
      for (const certificates of [tls.certificates, []]) {
        const { listener, streams, refused, close } = await greeting('tls', { certificates, pskFile });
        await expect(greeted(listener.port, withKey(identity, key, oneVersion(version)))).rejects.toThrow(REFUSED);
        await until('a refusal', () => (refused.length > 0 || streams.length > 0 ? true : undefined));
        // Beside certificates OpenSSL goes on with those, and the client finds the wrong thing proven.
        expect(streams.filter((stream) => stream.pskIdentity !== undefined)).toEqual([]);
        await close();
      }
    }
  });

  test.each(versions)('fail alike for an unknown identity and a wrong key in %s', async (version) => {
    for (const certificates of [tls.certificates, []]) {
      const { listener, refused, close } = await greeting('tls', { certificates, pskFile });
      const codes: unknown[] = [];
      for (const identity of ['sensor-1', 'nobody']) {
        const options = withKey(identity, '1f'.repeat(32), oneVersion(version));
        codes.push(await greeted(listener.port, options).catch((error: NodeJS.ErrnoException) => error.code));
      }
      await until('both refusals', () => (refused.length === 2 ? true : undefined));
      expect(codes[0]).toMatch(/^ERR_SSL_/);
      expect(codes[1]).toBe(codes[0]);
      expect(refused[1]).toBe(refused[0]);
      await close();
    }
  });

  test('are enough where certificates are required, and taken anew by a reload', async () => {
    const own = new TestAuthority(join(directory, 'psk-reload'));
    const file = own.write('psk', `sensor-1:${'0f'.repeat(32)}\n`);
    const { listener, streams, refused, close } = await greeting('tls', {
      certificates: [own.server('server')],
      clientCertificates: 'required',
      authorities: [{ file: own.file('ca.crt') }],
      pskFile: file,
    });
    for (const version of versions) {
      (await greeted(listener.port, withKey('sensor-1', '0f'.repeat(32), oneVersion(version)))).destroy();
      await expect(greeted(listener.port, { ca: own.certificate, ...oneVersion(version) })).rejects.toThrow(REFUSED);
    }
    await until('the refusals', () => (refused.length === 2 ? true : undefined));
    expect(refused).toEqual(['it has no certificate', 'it has no certificate']);
    own.write('psk', `sensor-2:${'0f'.repeat(32)}\n`);
    await listener.reload();
    for (const version of versions) {
      const gone = greeted(listener.port, withKey('sensor-1', '0f'.repeat(32), oneVersion(version)));
      await expect(gone).rejects.toThrow(REFUSED);
      (await greeted(listener.port, withKey('sensor-2', '0f'.repeat(32), oneVersion(version)))).destroy();
    }
    const proven = streams.map(({ pskIdentity }) => pskIdentity);
    expect(proven.filter((identity) => identity !== undefined)).toEqual([
      'sensor-1',
      'sensor-1',
      'sensor-2',
      'sensor-2',
    ]);
    await close();
  });

  test('cannot be resumed without, so that a session never hides its identity', async () => {
    const { listener, streams, close } = await greeting('tls', { certificates: tls.certificates, pskFile });
    for (const version of versions) {
      const socket = connectTls({
        host: '127.0.0.1',
        port: listener.port,
        ...withKey('sensor-1', '0f'.repeat(32), oneVersion(version)),
      });
      const sessions: Buffer[] = [];
      socket.on('session', (session) => sessions.push(session));
      await once(socket, 'data');
      socket.destroy();
      for (const session of sessions) {
        const again = greeted(listener.port, { session, ...oneVersion(version) });
        (await again).destroy();
      }
    }
    for (const { pskIdentity } of streams) expect([undefined, 'sensor-1']).toContain(pskIdentity);
    await close();
  });
});
