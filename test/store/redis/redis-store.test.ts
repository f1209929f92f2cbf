import { hostname } from 'node:os';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore, type RedisStoreOptions } from '../../../src/store/redis/redis-store.ts';
import { type Mutation, type Store, StoreError, StoreFullError } from '../../../src/store/store.ts';
import { describeStore } from '../../contract/store-contract.ts';
import { describeEntry } from '../../contract/store-model.ts';
import {
  entry,
  fullWill,
  inbound,
  NO_LIMIT,
  put,
  retained,
  session,
  sessionDelete,
  setState,
  subscription,
  text,
} from '../../contract/store-records.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { redisMissing, RedisServer, type RedisServerOptions } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const STARTED: { stop(): Promise<unknown> }[] = [];
const STORES: Store[] = [];

afterEach(async () => {
  for (const store of STORES.splice(0)) await store.close();
  for (const started of STARTED.splice(0)) await started.stop();
});

async function startRedis(options?: RedisServerOptions): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  STARTED.push(server);
  return server;
}

async function startProxy(port: number): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(port);
  STARTED.push(proxy);
  return proxy;
}

function storeAt(url: string, change: Partial<RedisStoreOptions> = {}): RedisStore {
  const defaults = {
    prefix: 'trellis',
    nodeId: 'n',
    waitReplicas: 0,
    leaseMs: 60_000,
    timeoutMs: 60_000,
    logger: SILENT,
  };
  const store = new RedisStore({ address: parseRedisUrl(url), ...defaults, ...change });
  STORES.push(store);
  return store;
}

async function openStore(url: string, change: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = storeAt(url, change);
  await store.open();
  return store;
}

/** The keys that there are beside those of a store that holds nothing. */
async function keysOf(server: RedisServer): Promise<string[]> {
  const lasting = /^\{trellis\}:(schema|incarnations|tenures|nodes|topology|changes|node:.*|lease:.*)$/u;
  return [...(await server.keys()).keys()].filter((key) => !lasting.test(key));
}

async function untilSwept(server: RedisServer): Promise<void> {
  await expect.poll(() => server.client().exists('{trellis}:trash'), { timeout: 60_000 }).toBe(0);
}

describe.skipIf(redisMissing !== '')('on one Redis', () => {
  let shared: Promise<RedisServer> | undefined;
  let nextDb = 0;

  afterAll(async () => {
    await (await shared)?.stop();
  });

  describeStore('RedisStore', async () => {
    shared ??= RedisServer.start();
    const server = await shared;
    const db = nextDb++ % 16;
    const client = server.client().duplicate({ db });
    await client.flushdb();
    const address = parseRedisUrl(`${server.url}/${db}`);
    return {
      makeStore: () =>
        new RedisStore({
          address,
          prefix: 'trellis',
          nodeId: 'n',
          waitReplicas: 0,
          leaseMs: 60_000,
          timeoutMs: 60_000,
          logger: SILENT,
        }),
      remove: () => client.disconnect(),
    };
  });
});

const belongings: Mutation[] = [
  session('a', 1),
  subscription('a', 'x'),
  inbound('a', 3),
  { kind: 'will-put', record: { ...fullWill, clientId: 'a' } },
  { kind: 'group-put', record: { shareKey: 'g/t', queueId: 2 }, online: 0 },
  put(entry(1, 1)),
  setState(1, 1, 7, 'sent'),
  put(entry(1, 2, text('shared'))),
  retained('t', 'value'),
];

describe.skipIf(redisMissing !== '')('RedisStore', () => {
  test('leaves no key behind when all that it held has gone', async () => {
    const server = await startRedis();
    const store = await openStore(server.url);
    const shared = text('in three queues');
    await store.commit([...belongings, put(entry(1, 3, shared)), put(entry(2, 1, shared)), put(entry(2, 2, shared))]);
    expect((await keysOf(server)).length).toBeGreaterThan(5);
    await store.commit([
      sessionDelete('a', 1),
      { kind: 'client-release', clientId: 'a' },
      { kind: 'will-delete', clientId: 'a' },
      { kind: 'queue-delete', queueId: 2, sequence: 1 },
      { kind: 'retained-delete', topicName: 't' },
    ]);
    await untilSwept(server);
    await store.commit([{ kind: 'group-delete', shareKey: 'g/t', queueId: 2 }]);
    await untilSwept(server);
    expect(await keysOf(server)).toEqual([]);
  });

  test('empties what another node dropped that ended meanwhile', async () => {
    const server = await startRedis();
    const store = await openStore(server.url, { leaseMs: 1_000 });
    await store.commit([session('a', 1), put(entry(1, 1, text('shared'))), put(entry(1, 2))]);
    const dropped = '{trellis}:d:1';
    await server.client().multi().rename('{trellis}:q:1', dropped).sadd('{trellis}:trash', dropped).exec();
    await untilSwept(server);
    expect(await server.client().exists(dropped, '{trellis}:messages', '{trellis}:counts')).toBe(0);
  });

  test('keeps a message to 1,000 queues once, and takes one round trip for it', async () => {
    const server = await startRedis();
    const store = await openStore(server.url);
    await store.commit(Array.from({ length: 1000 }, (_, at) => session(`client ${at}`, at + 1)));
    // The first call of a script brings its text along.
    await store.commit([put(entry(1, 1)), { kind: 'queue-delete', queueId: 1, sequence: 1 }]);
    const calls = async (): Promise<number> => {
      const stats = await server.client().info('commandstats');
      return Number(/cmdstat_evalsha:calls=(\d+)/u.exec(stats)?.[1] ?? 0);
    };
    const before = await calls();
    const message = text('to all');
    await store.commit(Array.from({ length: 1000 }, (_, at) => put(entry(at + 1, 2, message))));
    expect((await calls()) - before).toBe(1);
    expect(await server.client().hlen('{trellis}:messages')).toBe(1);
    expect(Object.values(await server.client().hgetall('{trellis}:counts'))).toEqual(['1000']);
  });

  test('applies a batch once, wherever the answer to it is cut', async () => {
    const server = await startRedis();
    const proxy = await startProxy(server.port);
    const store = await openStore(server.url.replace(`:${server.port}`, `:${proxy.port}`));
    await store.commit([session('a', 1), session('b', 2)]);
    const before = proxy.replyBytes;
    await store.commit([]);
    const length = proxy.replyBytes - before;
    expect(length).toBeGreaterThan(3);
    for (let cut = 0; cut <= length; cut++) {
      const message = text(`cut ${cut}`);
      const done = proxy.cutAfterReplyBytes(cut);
      await store.commit([put(entry(1, cut + 1, message)), put(entry(2, cut + 1, message))]);
      if (cut < length) await done;
    }
    const counts = await server.client().hvals('{trellis}:counts');
    expect(counts).toEqual(Array.from({ length: length + 1 }, () => '2'));
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(length + 1);
    expect(Number(await server.client().hget('{trellis}:f:1', 'b'))).toBe(
      (await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).reduce((sum, { message }) => sum + message.size, 0),
    );
  });

  test('applies a batch once, wherever the request is cut', async () => {
    const server = await startRedis();
    const proxy = await startProxy(server.port);
    const store = await openStore(server.url.replace(`:${server.port}`, `:${proxy.port}`));
    // The first call of a script brings its text along.
    await store.commit([session('a', 1), put(entry(1, 1))]);
    const before = proxy.requestBytes;
    await store.commit([put(entry(1, 2))]);
    const length = proxy.requestBytes - before;
    for (let cut = 0; cut < length; cut += 7) {
      const done = proxy.cutAfterRequestBytes(cut);
      await store.commit([put(entry(1, cut + 3))]);
      await done;
    }
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(2 + Math.ceil(length / 7));
  });

  test('waits for a Redis that is away, and loses nothing that was acknowledged before', async () => {
    const server = await startRedis({ config: ['appendonly yes', 'appendfsync always'] });
    const store = await openStore(server.url);
    await store.commit([session('a', 1), put(entry(1, 1))]);
    await server.kill();
    let isDone = false;
    const commit = store.commit([put(entry(1, 2))]).then(() => (isDone = true));
    const reading = store.readQueue(1, 0, NO_LIMIT, NO_LIMIT);
    expect(isDone).toBe(false);
    await server.restart();
    await commit;
    expect((await reading).map(describeEntry)).toEqual([describeEntry(entry(1, 1)), describeEntry(entry(1, 2))]);
  });

  test('waits for a Redis that does not answer', async () => {
    const server = await startRedis();
    const store = await openStore(server.url, { timeoutMs: 200, leaseMs: 1000 });
    await store.commit([session('a', 1)]);
    server.pause();
    const commit = store.commit([put(entry(1, 1))]);
    await expect.poll(() => store.isReady, { timeout: 60_000 }).toBe(false);
    server.resume();
    await commit;
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(1);
  });

  test('ends with a sentence when Redis has lost what it acknowledged', async () => {
    const server = await startRedis({ config: ['appendonly yes', 'appendfsync always'] });
    const store = await openStore(server.url);
    await store.commit([session('a', 1)]);
    const node = await server.client().hgetall('{trellis}:node:n');
    await store.commit([put(entry(1, 1))]);
    await store.commit([put(entry(1, 2))]);
    await server.client().hset('{trellis}:node:n', node);
    await expect(store.commit([put(entry(1, 3))])).rejects.toThrow('has lost what it had acknowledged');
    await expect(store.commit([])).rejects.toThrow(StoreError);
  });

  test('ends with a sentence when somebody has emptied Redis, also while it has nothing to write', async () => {
    const server = await startRedis();
    const writing = await openStore(server.url);
    const idle = storeAt(server.url, { prefix: 'other', leaseMs: 1000 });
    const broken = new Promise<Error>((resolve) => (idle.onBroken = resolve));
    await idle.open();
    await server.client().flushall();
    await expect(writing.commit([session('a', 1)])).rejects.toThrow('has lost what it had acknowledged');
    expect((await broken).message).toContain('has lost what it had acknowledged');
  });

  test('can write nothing once another start has its place', async () => {
    const server = await startRedis();
    const first = await openStore(server.url);
    await first.commit([session('a', 1)]);
    const broken = new Promise<Error>((resolve) => (first.onBroken = resolve));
    const second = await openStore(server.url, { leaseMs: 1000 });
    await expect(first.commit([session('b', 2)])).rejects.toThrow('has taken the place of node n');
    const third = storeAt(server.url);
    expect((await third.open()).sessions.map(({ clientId }) => clientId)).toEqual(['a']);
    void second.commit([]).catch(() => {});
    await first.close();
    void broken;
  });

  test('hears that its place is taken also while it has nothing to write', async () => {
    const server = await startRedis();
    const first = storeAt(server.url, { leaseMs: 1000 });
    const broken = new Promise<Error>((resolve) => (first.onBroken = resolve));
    await first.open();
    await openStore(server.url);
    expect((await broken).message).toContain('has taken the place of node n');
  });

  test('refuses while an earlier start of the node is alive, and waits no longer than its lease', async () => {
    const server = await startRedis();
    await server.client().set('{trellis}:lease:n', '7');
    await server.client().hset('{trellis}:node:n', { incarnation: '7', batch: '0' });
    const elsewhere = JSON.stringify({ host: 'elsewhere', pid: 1 });
    await server.client().hset('{trellis}:nodes', 'n', elsewhere);
    const store = storeAt(server.url, { leaseMs: 1000 });
    await expect(store.open()).rejects.toThrow('Node n, process 1 on elsewhere, is running already.');
    await server.client().pexpire('{trellis}:lease:n', 300);
    await store.open();
    await store.close();
    const onThisHost = { host: hostname(), pid: process.ppid };
    await server.client().hset('{trellis}:nodes', 'n', JSON.stringify(onThisHost));
    await server.client().set('{trellis}:lease:n', '8');
    await expect(store.open()).rejects.toThrow(`Node n, process ${process.ppid} on ${hostname()}, is running already.`);
  });

  test('refuses messages while Redis is full, and takes what frees memory', async () => {
    const server = await startRedis();
    const store = await openStore(server.url);
    await store.commit([session('a', 1), put(entry(1, 1)), put(entry(1, 2))]);
    await server.client().config('SET', 'maxmemory', '1');
    await expect(store.commit([put(entry(1, 3)), { kind: 'queue-delete', queueId: 1, sequence: 1 }])).rejects.toThrow(
      StoreFullError,
    );
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(2);
    await store.commit([{ kind: 'queue-delete', queueId: 1, sequence: 1 }]);
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(1);
    await server.client().config('SET', 'maxmemory', '0');
    await store.commit([put(entry(1, 3))]);
  });

  test('counts a batch only when as many replicas have it as were asked for', async () => {
    const server = await startRedis({ config: ['repl-diskless-sync-delay 0'] });
    const replica = await startRedis({ config: [`replicaof 127.0.0.1 ${server.port}`] });
    const linked = async (): Promise<string> => server.client().info('replication');
    await expect.poll(linked, { timeout: 60_000 }).toContain('state=online');
    const store = await openStore(server.url, { waitReplicas: 1 });
    await store.commit([session('a', 1)]);
    replica.pause();
    let isDone = false;
    const commit = store.commit([put(entry(1, 1))]).then(() => (isDone = true));
    await expect.poll(() => server.client().zcard('{trellis}:q:1'), { timeout: 60_000 }).toBe(1);
    expect(isDone).toBe(false);
    replica.resume();
    await commit;
    expect(await replica.client().zcard('{trellis}:q:1')).toBe(1);
  });
});
