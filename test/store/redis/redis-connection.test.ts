import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../../src/lib/logger.ts';
import { systemClock } from '../../../src/lib/system-clock.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisConnection } from '../../../src/store/redis/redis-connection.ts';
import { StoreError } from '../../../src/store/store.ts';
import { RedisCluster } from '../../support/redis-cluster.ts';
import { RedisSentinel } from '../../support/redis-sentinel.ts';
import { until } from '../../support/polling.ts';
import { RedisServer, redisMissing } from '../../support/redis-server.ts';

/** Lines logged by the connections of a test. */
let lines: string[] = [];
const opened: RedisConnection[] = [];
/** Everything of a test that printed past the logger. */
const printed = vi.fn<(...values: unknown[]) => void>();

beforeEach(() => {
  lines = [];
  printed.mockClear();
  for (const method of ['error', 'warn', 'log'] as const) vi.spyOn(console, method).mockImplementation(printed);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((connection) => connection.close()));
  vi.restoreAllMocks();
  expect(printed.mock.calls).toEqual([]);
});

function connectionTo(url: string, timeoutMs = 5_000): RedisConnection {
  const logger = createLogger({
    level: 'info',
    format: 'pretty',
    write: (line) => lines.push(line.slice('00:00:00.000 '.length)),
    clock: systemClock,
  });
  const connection = new RedisConnection(parseRedisUrl(url), { timeoutMs, logger, name: 'test', prefix: 'trellis' });
  opened.push(connection);
  return connection;
}

async function open(url: string, timeoutMs?: number): Promise<RedisConnection> {
  const connection = connectionTo(url, timeoutMs);
  await connection.open();
  return connection;
}

/** The connection to one Redis, for what a cluster has not. */
function single(connection: RedisConnection): Redis {
  return connection.redis as Redis;
}

/** Why a connection cannot be opened. */
async function refusal(url: string, timeoutMs?: number): Promise<string> {
  const connection = connectionTo(url, timeoutMs);
  const error = await connection.open().then(
    () => new Error('was opened'),
    (reason: Error) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect(connection.isReady).toBe(false);
  await expect(connection.whenReady()).rejects.toThrow('The connection to Redis is closed.');
  return error.message.replace(/:\d{4,5}/g, ':PORT');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a Redis that cannot be used is a sentence', () => {
  test('when nothing listens', async () => {
    const port = await freePort();
    const end =
      'nothing listens there (connect ECONNREFUSED 127.0.0.1:PORT): start it, or set another redis.url (--store redis://HOST:PORT).';
    expect(await refusal(`redis://127.0.0.1:${port}/3`)).toBe(`Cannot use Redis at redis://127.0.0.1:PORT/3: ${end}`);
    const cluster = await refusal(`redis+cluster://127.0.0.1:${port}`);
    expect(cluster).toBe(`Cannot use Redis at redis+cluster://127.0.0.1:PORT: ${end}`);
    const sentinel = await refusal(`redis+sentinel://127.0.0.1:${port}/m`);
    expect(sentinel).toContain(end);
  });

  test.each(['redis://redis.invalid', 'redis+cluster://redis.invalid', 'redis+sentinel://redis.invalid/m'])(
    'when the host of %s is not known',
    async (url) => {
      expect(await refusal(url)).toContain('is not known here: set another redis.url');
    },
  );

  test.each(['redis', 'rediss', 'redis+cluster'])('when %s connects to what never answers', async (scheme) => {
    await using server = createServer().listen(0, '127.0.0.1');
    const sockets: Socket[] = [];
    server.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => undefined).resume()));
    await once(server, 'listening');
    const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const sentence = await refusal(url, 200);
    for (const socket of sockets) socket.destroy();
    expect(sentence).toContain('no answer within 200 ms');
  });
});

describe.skipIf(redisMissing)('a connection to one Redis', () => {
  test('a wrong or missing password and a Redis that is no cluster are sentences, without the password', async () => {
    await using server = await RedisServer.start({ config: ['requirepass right'] });
    const base = `redis://127.0.0.1:${server.port}`;
    expect(await refusal(base)).toContain('it refuses the user name or password (NOAUTH');
    const wrong = await refusal(base.replace('//', '//:secret-word@'));
    expect(wrong).toContain('it refuses the user name or password (WRONGPASS');
    expect(wrong).not.toContain('secret-word');
    const cluster = base.replace('redis://', 'redis+cluster://');
    expect(await refusal(cluster)).toContain('it refuses the user name or password (NOAUTH');
    expect(await refusal(cluster.replace('//', '//:secret-word@'))).toContain('(WRONGPASS');
    expect(await refusal(cluster.replace('//', '//:right@'))).toContain('it is no Redis Cluster');
    const sentinel = await refusal(`${base.replace('redis:', 'redis+sentinel:')}/m`);
    expect(sentinel).toContain('it is no Sentinel');
    await open(base.replace('//', '//default:right@'));
  });

  test('commands are answered, in the database of the URL, under the name of the connection', async () => {
    await using server = await RedisServer.start();
    const connection = await open(`${server.url}/2`);
    expect(connection.isReady).toBe(true);
    await connection.redis.set('key', 'value');
    await server.client().select(2);
    expect(await server.client().get('key')).toBe('value');
    expect(await single(connection).client('GETNAME')).toBe('test');
    await connection.whenReady();
    expect(lines).toEqual([]);
  });

  test('a command whose connection breaks is rejected and never sent again', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url);
    server.pause();
    const commands = [connection.redis.incr('n'), connection.redis.incr('n')].map((sent) => sent.catch(String));
    const script = connection.redis.eval('return redis.call("incr", KEYS[1])', 1, 'n').catch(String);
    await server.kill();
    expect(await Promise.all([...commands, script])).toEqual(
      Array.from({ length: 3 }, () => expect.stringMatching(/^\w*Error: /)),
    );
    // It is given while there is no connection, and is not sent later either.
    await expect(connection.redis.incr('n')).rejects.toThrow('enableOfflineQueue');
    await server.restart();
    await connection.whenReady();
    expect(connection.isReady).toBe(true);
    expect(await connection.redis.get('n')).toBeNull();
    expect(lines).toEqual([
      expect.stringContaining(
        `WARN  Redis is away: nothing is acknowledged until it is back redis=${server.url} reason="`,
      ),
      `INFO  Redis is back redis=${server.url}`,
    ]);
  });

  test('a Redis that is silent for longer than the time-out is left, and found again, however often that happens', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url, 200);
    for (const round of [1, 2]) {
      server.pause();
      await expect(connection.redis.incr('n')).rejects.toThrow(/reached the max retries|closed/i);
      expect(connection.isReady).toBe(false);
      // Connections to it are accepted meanwhile, and never answered.
      await expect(connection.redis.incr('n')).rejects.toThrow('enableOfflineQueue');
      server.resume();
      await connection.whenReady();
      expect(connection.isReady).toBe(true);
      expect(lines).toHaveLength(2 * round);
      expect(lines.at(-2)).toContain('reason="no answer for 200 ms (ETIMEDOUT)"');
    }
  });

  test('an idle connection that broke in silence is noticed without a command', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url, 200);
    server.pause();
    await until('the connection to be away', () => !connection.isReady || undefined);
    server.resume();
    await until('the connection to be back', () => connection.isReady || undefined);
  });

  test('an answer that takes longer than the time-out, but keeps arriving, is waited for', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url, 200);
    await server.client().set('large', 'x'.repeat(1 << 20));
    const answers = Array.from({ length: 64 }, () => connection.redis.strlen('large'));
    const large = Array.from({ length: 64 }, () => connection.redis.get('large'));
    expect(await Promise.all(answers)).toEqual(answers.map(() => 1 << 20));
    for (const text of await Promise.all(large)) expect(text).toHaveLength(1 << 20);
    expect(lines).toEqual([]);
  });

  test('a Redis that still loads its data is waited for', async () => {
    await using server = await RedisServer.start({
      config: ['key-load-delay 5000', 'loading-process-events-interval-bytes 1024', 'rdbcompression no'],
    });
    const connection = await open(server.url, 1_000);
    const filler = 'x'.repeat(2_000);
    await server.client().mset(Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`key${index}`, filler])));
    await server.client().save();
    await server.kill();
    const restarted = server.restart();
    await connection.whenReady();
    expect(await single(connection).dbsize()).toBe(200);
    await restarted;
  });

  test('a master that became a replica is left: the command is rejected and the connection is opened anew', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url);
    const id = await single(connection).client('ID');
    await server.client().replicaof('127.0.0.1', 1);
    await expect(connection.redis.set('key', 'value')).rejects.toThrow('READONLY');
    await server.client().replicaof('NO', 'ONE');
    await until('another connection', async () => ((await single(connection).client('ID')) === id ? undefined : true));
    await connection.whenReady();
    expect(await connection.redis.get('key')).toBeNull();
  });

  test('a closed connection rejects what has no answer and stays closed', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url, 60_000);
    server.pause();
    const command = connection.redis.incr('n').catch(String);
    const waiting = connection.whenReady().catch(String);
    await connection.close();
    expect(await command).toContain('Connection is closed');
    expect(await waiting).toContain('The connection to Redis is closed.');
    expect(connection.isReady).toBe(false);
    expect(connection.redis.status).toBe('end');
    await connection.close();
    expect(lines).toEqual([]);
  });

  test('a connection can be closed while Redis is away, and does not come back', async () => {
    await using server = await RedisServer.start();
    const connection = await open(server.url);
    await server.kill();
    await until('the connection to be away', () => !connection.isReady || undefined);
    await connection.close();
    await server.restart();
    await expect(connection.whenReady()).rejects.toThrow('The connection to Redis is closed.');
    expect(await server.client().client('LIST')).not.toContain('name=test');
  });
});

describe.skipIf(redisMissing)('a connection to a Redis Cluster', () => {
  test('it finds the node of its keys, follows a slot that moves, and sends nothing twice when nodes end', async () => {
    await using cluster = await RedisCluster.start();
    const connection = await open(`redis+cluster://127.0.0.1:${cluster.nodes[0]!.port}`, 1_000);
    const key = '{trellis}:n';
    // All of them at once, right after the start.
    expect(await Promise.all([connection.redis.incr(key), connection.redis.incr(key)])).toEqual([1, 2]);

    const owner = await cluster.slotOwner(key);
    const other = cluster.nodes.slice(0, 3).find((node) => node !== owner)!;
    await cluster.moveSlot(await cluster.slotOf(key), owner.port, other.port);
    expect(await Promise.all([connection.redis.incr(key), connection.redis.incr(key)])).toEqual([3, 4]);

    other.pause();
    const command = connection.redis.incr(key).catch(String);
    await other.kill();
    // Not that it was sent elsewhere until there were too many redirections.
    expect(await command).toBe('Error: Connection is closed.');
    await cluster.slotOwner(key);
    await connection.whenReady();
    expect(['3', '4']).toContain(await connection.redis.get(key));
    expect(lines.map((line) => line.replace(/redis=.*/, ''))).toEqual([
      'WARN  Redis is away: nothing is acknowledged until it is back ',
      'INFO  Redis is back ',
    ]);
  });

  test('a cluster that is gone as a whole is found again, and can be closed meanwhile', async () => {
    await using cluster = await RedisCluster.start();
    const url = `redis+cluster://${cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
    const [connection, closed] = [await open(url, 1_000), await open(url, 1_000)];
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await until('the connections to be away', () => (!connection.isReady && !closed.isReady) || undefined);
    await closed.close();
    await Promise.all(cluster.nodes.map((node) => node.restart()));
    await connection.whenReady();
    expect(await connection.redis.exists('{trellis}:n')).toBe(0);
  });
});

describe.skipIf(redisMissing)('a connection by way of Sentinels', () => {
  test('it finds the master, and the next one after a failover; a master they do not know is a sentence', async () => {
    await using group = await RedisSentinel.start();
    const hosts = group.sentinels.map(({ host, port }) => `${host}:${port}`).join(',');
    expect(await refusal(`redis+sentinel://${hosts}/other`)).toContain(
      'the Sentinels know no master with the name other.',
    );
    const connection = await open(`redis+sentinel://${hosts}/${group.name}`, 1_000);
    await connection.redis.set('key', 'before');
    const master = await group.master();
    expect(await master.client().get('key')).toBe('before');
    await master.kill();
    const next = await group.masterAfter(master);
    await connection.whenReady();
    await connection.redis.set('key', 'after');
    expect(await next.client().get('key')).toBe('after');
  });
});
