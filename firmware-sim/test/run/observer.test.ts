import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { generate } from 'mqtt-packet';
import { Observer } from '../../src/run/observer.ts';
import { RunError } from '../../src/run/run.ts';
import type { Endpoint } from '../../src/wire/endpoint.ts';
import { makeCertificates } from '../support/certificates.ts';

const servers = new Set<Server>();
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all([...servers].map((server) => new Promise((resolve) => server.close(resolve))));
  servers.clear();
});

/** Listens on a free port of this machine until the test is over. */
async function listen(server: Server): Promise<number> {
  servers.add(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function endpoint(port: number, more: Partial<Endpoint> = {}): Endpoint {
  return { transport: 'tcp', host: '127.0.0.1', port, path: '/mqtt', ...more };
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  servers.delete(server);
  return port;
}

/** What is said of a broker that cannot be used. */
async function complaint(at: Endpoint): Promise<string> {
  const error: unknown = await Observer.connect(at, {}).then(
    (observer) => observer.close(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  return (error as RunError).message.replaceAll(`${at.port}`, 'PORT');
}

/** A broker that answers CONNECT, and SUBSCRIBE with retained messages by topic. */
function broker(figures: Readonly<Record<string, string>>, onSocket: (socket: Socket) => void = () => {}): Server {
  return createServer((socket) => {
    onSocket(socket);
    socket.on('data', (bytes: Buffer) => {
      const type = (bytes[0] ?? 0) >> 4;
      if (type === 1) socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }));
      if (type !== 8) return;
      socket.write(generate({ cmd: 'suback', messageId: bytes.readUInt16BE(2), granted: [0] }));
      for (const [topic, payload] of Object.entries(figures)) {
        socket.write(generate({ cmd: 'publish', topic, payload, qos: 0, retain: true, dup: false }));
      }
    });
  });
}

/** Looks until the observer knows something. */
async function told(observer: Observer): Promise<ReadonlyMap<string, string>> {
  for (;;) {
    const { sys } = await observer.figures();
    if (sys.size > 0) return sys;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a broker that cannot be used is told of in one sentence', () => {
  test('when nobody listens', async () => {
    const port = await freePort();
    expect(await complaint(endpoint(port))).toBe(
      'Nothing listens on mqtt://127.0.0.1:PORT; is the broker running? (connect ECONNREFUSED 127.0.0.1:PORT)',
    );
    expect(await complaint(endpoint(port, { transport: 'ws' }))).toMatch(
      /^Nothing listens on ws:\/\/127\.0\.0\.1:PORT\/mqtt;/,
    );
  });

  test('when there is no such host', async () => {
    const text = await complaint(endpoint(1883, { host: 'nowhere.invalid' }));
    expect(text).toMatch(
      /^(There is no host of that name: mqtt:\/\/nowhere\.invalid:PORT|The broker at mqtt:\/\/nowhere)/,
    );
  });

  test.each([
    [1, 'Unacceptable protocol version (1)'],
    [3, 'Server unavailable (3)'],
    [4, 'Bad username or password (4)'],
    [5, 'Not authorized (5)'],
    [99, 'no reason given (99)'],
  ])('when it refuses with return code %i', async (returnCode, reason) => {
    const port = await listen(
      createServer((socket) => socket.once('data', () => socket.end(Buffer.of(0x20, 2, 0, returnCode)))),
    );
    expect(await complaint(endpoint(port))).toBe(
      `The broker at mqtt://127.0.0.1:PORT refuses to let the simulator in: ${reason}.`,
    );
  });

  test('when it closes the connection, at once or after CONNECT', async () => {
    const sentence = 'The broker at mqtt://127.0.0.1:PORT cannot be used: it closed the connection without an answer.';
    const atOnce = await listen(createServer((socket) => socket.end()));
    expect(await complaint(endpoint(atOnce))).toBe(sentence);
    const after = await listen(createServer((socket) => socket.once('data', () => socket.end())));
    expect(await complaint(endpoint(after))).toBe(sentence);
  });

  test('when it speaks something else', async () => {
    const port = await listen(createHttpServer((_request, response) => response.writeHead(404).end()));
    expect(await complaint(endpoint(port))).toMatch(/^The broker at mqtt:\/\/127\.0\.0\.1:PORT cannot be used: .+\.$/);
    expect(await complaint(endpoint(port, { transport: 'ws' }))).toBe(
      'The broker at ws://127.0.0.1:PORT/mqtt cannot be used: the WebSocket handshake was answered with HTTP status 404.',
    );
  });

  test('when it speaks no TLS', async () => {
    const port = await listen(createServer((socket) => socket.once('data', () => socket.end('who is there?\r\n'))));
    expect(await complaint(endpoint(port, { transport: 'tls', tls: { verify: true } }))).toBe(
      'The broker at mqtts://127.0.0.1:PORT cannot be used: TLS: wrong version number.',
    );
  });

  test('when its certificate is of nobody known, with what to do about it', async () => {
    const { server } = makeCertificates();
    const port = await listen(createTlsServer(server, (socket) => socket.on('error', () => {})));
    for (const transport of ['tls', 'wss'] as const) {
      expect(await complaint(endpoint(port, { transport, tls: { verify: true } }))).toMatch(
        /cannot be used: .*certificate.*\. --ca FILE names the authority to trust, --insecure accepts any certificate\.$/,
      );
    }
  });
});

describe('a broker that lets it in', () => {
  test('is asked with the user name and the password of the run', async () => {
    let connect: Buffer = Buffer.alloc(0);
    const port = await listen(broker({}, (socket) => socket.once('data', (bytes: Buffer) => (connect = bytes))));
    const observer = await Observer.connect(endpoint(port), { username: 'ann', password: 'pw' });
    expect(connect.toString('latin1')).toMatch(/\p{Cc}{2}ann\p{Cc}{2}pw$/u);
    await observer.close();
  });

  test('tells what it is and its figures, and a later one replaces an earlier one', async () => {
    const port = await listen(broker({ '$SYS/broker/version': 'sample 1.2', '$SYS/broker/uptime': '5 seconds' }));
    const observer = await Observer.connect(endpoint(port), {});
    const sys = await told(observer);
    expect(sys.get('$SYS/broker/version')).toBe('sample 1.2');
    expect(observer.software).toBe('sample 1.2');
    for (const socket of sockets) {
      socket.write(
        generate({
          cmd: 'publish',
          topic: '$SYS/broker/version',
          payload: 'x'.repeat(300),
          qos: 0,
          retain: false,
          dup: false,
        }),
      );
    }
    while (observer.software === 'sample 1.2') await new Promise((resolve) => setImmediate(resolve));
    expect(observer.software).toBe('x'.repeat(200));
    expect(sys.get('$SYS/broker/version')).toBe('sample 1.2');
    await observer.close();
  });

  test('may have nothing to tell, and need not even answer the subscription', async () => {
    const port = await listen(
      createServer((socket) => {
        socket.once('data', () => socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: false })));
      }),
    );
    const observer = await Observer.connect(endpoint(port), {});
    expect([observer.software, (await observer.figures()).sys.size]).toEqual(['', 0]);
    await observer.close();
  });

  test('is met over TLS with the authority that was named', async () => {
    const { ca, server } = makeCertificates();
    const plain = await listen(broker({ '$SYS/broker/version': 'secure' }));
    const port = await listen(
      createTlsServer(server, (socket) => {
        const inner = connectSocket(plain, '127.0.0.1');
        socket.pipe(inner).pipe(socket);
        socket.on('error', () => inner.destroy());
      }),
    );
    const observer = await Observer.connect(endpoint(port, { transport: 'tls', tls: { ca, verify: true } }), {});
    expect((await told(observer)).get('$SYS/broker/version')).toBe('secure');
    await observer.close();
  });
});

describe('the page of metrics', () => {
  test('is read at each look', async () => {
    let looks = 0;
    const http = await listen(createHttpServer((_request, response) => response.end(`looks_total ${++looks}\n`)));
    const port = await listen(broker({}));
    const observer = await Observer.connect(endpoint(port), { metricsUrl: `http://127.0.0.1:${http}/metrics` });
    expect((await observer.figures()).prometheus).toBe('looks_total 1\n');
    expect((await observer.figures()).prometheus).toBe('looks_total 2\n');
    await observer.close();
  });

  test.each([
    ['fails', (port: number) => `http://127.0.0.1:${port}/metrics`],
    ['is not there', () => 'http://127.0.0.1:1/metrics'],
  ])('is empty where it %s', async (_what, url) => {
    const http = await listen(createHttpServer((_request, response) => response.writeHead(500).end('oops')));
    const port = await listen(broker({}));
    const observer = await Observer.connect(endpoint(port), { metricsUrl: url(http) });
    expect((await observer.figures()).prometheus).toBe('');
    await observer.close();
  });
});
