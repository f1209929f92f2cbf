import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Balancer } from './balancer.ts';
import { until } from './polling.ts';

const opened: { destroy(): void }[] = [];
const servers: Server[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** A server that says its name, and then what it is told. @returns its port. */
async function serve(name: string): Promise<number> {
  const server = createServer((socket) => {
    opened.push(socket);
    socket.on('error', () => undefined);
    socket.write(name);
    socket.pipe(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const port = await serve('gone');
  const server = servers.pop();
  server?.close();
  await once(server as Server, 'close');
  return port;
}

function open(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  opened.push(socket);
  return socket;
}

async function answerOf(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

test('connections go to the targets in turn, and carry bytes both ways', async () => {
  const ports = [await serve('a'), await serve('b')];
  await using balancer = await Balancer.start(() => ports);
  const names: string[] = [];
  for (let count = 0; count < 4; count++) {
    const socket = open(balancer.port);
    names.push(await answerOf(socket));
    socket.write('echo');
    expect(await answerOf(socket)).toBe('echo');
  }
  expect(names).toEqual(['a', 'b', 'a', 'b']);
  expect(balancer.connectionsTo(ports[0] as number)).toBe(2);
});

test('a target that refuses is passed over, and a client that nobody takes is closed', async () => {
  const targets = [await closedPort(), await serve('b')];
  await using balancer = await Balancer.start(() => targets);
  expect(await answerOf(open(balancer.port))).toBe('b');
  expect(await answerOf(open(balancer.port))).toBe('b');
  targets.pop();
  await once(open(balancer.port), 'close');
});

test('a target that is dropped loses its connections, the others keep theirs', async () => {
  const ports = [await serve('a'), await serve('b')] as const;
  await using balancer = await Balancer.start(() => ports);
  const [first, second] = [open(balancer.port), open(balancer.port)];
  expect([await answerOf(first), await answerOf(second)]).toEqual(['a', 'b']);
  const closed = once(first, 'close');
  balancer.drop(ports[0]);
  await closed;
  await until('no connection', () => (balancer.connectionsTo(ports[0]) === 0 ? true : undefined));
  second.write('still');
  expect(await answerOf(second)).toBe('still');
});
