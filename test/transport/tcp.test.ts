import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { listenTcp } from '../../src/transport/tcp.ts';
import { urlAuthority } from '../../src/transport/url-authority.ts';
import { describeByteStream, Recorder } from '../contract/byte-stream-contract.ts';
import { accepting, nodePair, unexpected } from './stream-pairs.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

describeByteStream('a TCP connection', () => nodePair((onStream) => listenTcp(LOOPBACK, onStream, unexpected)), {
  halfOpen: true,
});

/** Resolves when a socket has closed, with an error or not. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

/** Whether a new connection gets back what it sends; false when it is closed instead. */
async function echoes(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1', () => socket.write('again'));
  socket.on('error', () => socket.destroy());
  let echoed = false;
  socket.once('data', (chunk) => {
    echoed = chunk.toString() === 'again';
    socket.destroy();
  });
  await closed(socket);
  return echoed;
}

describe('a TCP listener', () => {
  test('says which port it took', async () => {
    const listener = await listenTcp(LOOPBACK, () => {}, unexpected);
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.url).toBe(`mqtt://127.0.0.1:${listener.port}`);
    await listener.close();
  });

  test('puts an IPv6 address in brackets', () => {
    expect(urlAuthority('::1', 1883)).toBe('[::1]:1883');
    expect(urlAuthority('localhost', 1883)).toBe('localhost:1883');
  });

  test('refuses a port in use with the code of the error', async () => {
    const listener = await listenTcp(LOOPBACK, () => {}, unexpected);
    const again = listenTcp({ host: '127.0.0.1', port: listener.port }, () => {}, unexpected);
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await listener.close();
  });

  test('closes twice without harm, at once, and leaves established streams alone', async () => {
    const { listener, next } = await accepting((onStream) => listenTcp(LOOPBACK, onStream, unexpected));
    const socket = connect(listener.port, '127.0.0.1');
    const accepted = new Recorder(await next());
    await listener.close();
    await listener.close();
    socket.write('still');
    await accepted.until(() => accepted.receivedBytes === 5);
    const refused = connect(listener.port, '127.0.0.1');
    const [error] = await once(refused, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    socket.destroy();
    await accepted.until(() => accepted.ended);
    accepted.stream.destroy();
  });

  test('tells the address of the peer, also after it has gone', async () => {
    const { listener, next } = await accepting((onStream) => listenTcp(LOOPBACK, onStream, unexpected));
    const socket = connect(listener.port, '127.0.0.1');
    await once(socket, 'connect');
    const accepted = new Recorder(await next());
    const address = `127.0.0.1:${socket.localPort}`;
    expect(accepted.stream.remoteAddress).toBe(address);
    expect(accepted.stream.transport).toBe('tcp');
    accepted.stream.destroy();
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.stream.remoteAddress).toBe(address);
    socket.destroy();
    await listener.close();
  });

  test('says so when the address was never asked for in time', async () => {
    const { listener, next } = await accepting((onStream) => listenTcp(LOOPBACK, onStream, unexpected));
    const socket = connect(listener.port, '127.0.0.1');
    const accepted = new Recorder(await next());
    accepted.stream.destroy();
    await accepted.until(() => accepted.closes === 1);
    expect(accepted.stream.remoteAddress).toBe('unknown');
    socket.destroy();
    await listener.close();
  });

  test.each(['::1', '::'])('takes connections to %s and tells their addresses apart', async (host) => {
    const { listener, next } = await accepting((onStream) => listenTcp({ host, port: 0 }, onStream, unexpected));
    expect(listener.url).toBe(`mqtt://[${host}]:${listener.port}`);
    const target = host === '::1' ? '::1' : '127.0.0.1';
    const socket = connect(listener.port, target);
    await once(socket, 'connect');
    const accepted = await next();
    const expected = host === '::1' ? `[::1]:${socket.localPort}` : `127.0.0.1:${socket.localPort}`;
    expect(accepted.remoteAddress).toBe(expected);
    accepted.destroy();
    socket.destroy();
    await listener.close();
  });

  test('accepts again after the process had run out of file descriptors', async () => {
    const program = fileURLToPath(new URL('./echo-server.ts', import.meta.url));
    const command = 'ulimit -n 64; exec "$0" "$1"';
    const server = spawn('sh', ['-c', command, process.execPath, program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [output] = await once(server.stdout, 'data');
    const port = Number(String(output));

    // More than it can hold: it must turn one away.
    const sockets = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => socket.destroy()).resume();
    await Promise.race(sockets.map(closed));
    for (const socket of sockets) socket.destroy();

    // Until it has closed enough of them, it may turn this one away as well.
    while (!(await echoes(port)));
    expect(server.exitCode).toBeNull();
    server.kill();
    await once(server, 'exit');
  });
});
