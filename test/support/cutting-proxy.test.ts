import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CuttingProxy } from './cutting-proxy.ts';
import { until } from './polling.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

/** A client's end of a connection, with all it got. */
interface Peer {
  socket: Socket;
  got: () => string;
  closed: Promise<unknown>;
}

/** Gathers what a socket gets; a reset is a close like any other. */
function peer(socket: Socket): Peer {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  return { socket, got: () => text, closed: new Promise((resolve) => void socket.once('close', resolve)) };
}

describe('CuttingProxy', () => {
  let server: Server;
  let proxy: CuttingProxy;
  /** The server's ends, in the order of the connections. */
  let served: Peer[];
  let clients: Peer[];

  beforeEach(async () => {
    served = [];
    clients = [];
    // Answers every byte with that byte twice.
    server = createServer((socket) => {
      served.push(peer(socket));
      socket.on('data', (chunk) => socket.write(String(chunk).replace(/./g, '$&$&')));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await CuttingProxy.start((server.address() as AddressInfo).port);
  });

  afterEach(async () => {
    await proxy.stop();
    for (const { socket } of clients) socket.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });

  async function open(): Promise<Peer> {
    const client = peer(connect(proxy.port, '127.0.0.1'));
    clients.push(client);
    await once(client.socket, 'connect');
    await until('connection', () => served.length >= clients.length || undefined);
    return client;
  }

  async function ask(client: Peer, text: string, answer: string): Promise<void> {
    const wanted = client.got() + answer;
    client.socket.write(text);
    await until(`answer ${wanted}, not ${client.got()}`, () => client.got() === wanted || undefined);
  }

  test('passes everything while it is asked nothing', async () => {
    const client = await open();
    await ask(client, 'abc', 'aabbcc');
    expect([proxy.connections, proxy.requestBytes, proxy.replyBytes]).toEqual([1, 3, 6]);
    client.socket.end();
    await Promise.all([client.closed, served[0]?.closed]);
    await until('no connection', () => proxy.connections === 0 || undefined);
  });

  test.each([0, 1, 3, 4])(
    'passes %i bytes of replies exactly and then cuts, though the server got it all',
    async (n) => {
      const client = await open();
      await ask(client, 'x', 'xx');
      const cut = proxy.cutAfterReplyBytes(n);
      client.socket.write('ab');
      await Promise.all([cut, client.closed]);
      expect(client.got()).toBe(`xx${'aabb'.slice(0, n)}`);
      expect(served[0]?.got()).toBe('xab');
      expect([proxy.connections, proxy.replyBytes]).toEqual([0, 2 + n]);
      await ask(await open(), 'cd', 'ccdd');
    },
  );

  test.each([0, 1, 2])('passes %i bytes of requests exactly and then cuts', async (n) => {
    const [bystander, client] = [await open(), await open()];
    const cut = proxy.cutAfterRequestBytes(n);
    client.socket.write('ab');
    await Promise.all([cut, client.closed]);
    expect(served[1]?.got()).toBe('ab'.slice(0, n));
    expect(client.got()).toBe('');
    await ask(bystander, 'c', 'cc');
  });

  test('brings the server all that was passed, and cuts within it, however much there is', async () => {
    const client = await open();
    const cut = proxy.cutAfterRequestBytes(3_000_000);
    client.socket.write('r'.repeat(5_000_000));
    await cut;
    expect(served[0]?.got().length).toBe(3_000_000);
  });

  test('keeps requests on their way while they are blocked, even those of a client that is gone', async () => {
    const [gone, patient] = [await open(), await open()];
    proxy.block('requests');
    gone.socket.end('a');
    patient.socket.write('b');
    served[1]?.socket.write('push');
    await until('push', () => patient.got() === 'push' || undefined);
    const late = await open();
    late.socket.write('c');
    expect(served.map(({ got }) => got())).toEqual(['', '', '']);
    proxy.unblock();
    await until('answers', () => (patient.got() === 'pushbb' && late.got() === 'cc') || undefined);
    await served[0]?.closed;
    expect(served[0]?.got()).toBe('a');
  });

  test('keeps replies on their way while they are blocked, the end of the server as well', async () => {
    const client = await open();
    proxy.block('replies');
    client.socket.write('ab');
    await until('request', () => served[0]?.got() === 'ab' || undefined);
    served[0]?.socket.destroySoon();
    await served[0]?.closed;
    expect([client.got(), client.socket.closed, proxy.connections]).toEqual(['', false, 1]);
    proxy.unblock();
    await client.closed;
    expect(client.got()).toBe('aabb');
  });

  test('shows replies once before they are passed, so that one of them can be blocked or cut off', async () => {
    const client = await open();
    const seen: string[] = [];
    proxy.onReply((chunk) => {
      seen.push(String(chunk));
      if (String(chunk) === 'bb') proxy.block('both');
      if (String(chunk) === 'cc') proxy.cutAll();
    });
    await ask(client, 'a', 'aa');
    client.socket.write('b');
    await until('block', () => seen.length === 2 || undefined);
    expect(client.got()).toBe('aa');
    proxy.unblock();
    await until('answer', () => client.got() === 'aabb' || undefined);
    client.socket.write('c');
    await client.closed;
    expect(client.got()).toBe('aabb');
    expect(seen).toEqual(['aa', 'bb', 'cc']);
  });

  test('cuts all connections, blocked or not', async () => {
    const both = [await open(), await open()];
    proxy.block('both');
    for (const { socket } of both) socket.write('a');
    proxy.cutAll();
    await Promise.all([...both, ...served].map(({ closed }) => closed));
    expect(proxy.connections).toBe(0);
    expect(both.map(({ got }) => got())).toEqual(['', '']);
  });

  test('closes a connection to a server that is not there', async () => {
    const lost = await CuttingProxy.start(1);
    const client = peer(connect(lost.port, '127.0.0.1'));
    await client.closed;
    await lost.stop();
    await lost.stop();
  });
});

test.skipIf(redisMissing)(
  `Redis executes all commands that were passed before replies were cut ${redisMissing}`,
  async () => {
    await using redis = await RedisServer.start();
    await redis.client().set('long', 'x'.repeat(20_000));
    await using proxy = await CuttingProxy.start(redis.port);
    const client = peer(connect(proxy.port, '127.0.0.1'));
    const commands = 'INCR n\r\nGET long\r\n';
    const cut = proxy.cutAfterReplyBytes(100_001);
    client.socket.write(commands.repeat(20_000));
    await Promise.all([cut, client.closed]);
    expect(client.got().length).toBe(100_001);
    const executed = Number(await redis.client().get('n'));
    expect(executed).toBeGreaterThan(5);
    expect(Math.abs(executed - proxy.requestBytes / commands.length)).toBeLessThan(1);
  },
);
