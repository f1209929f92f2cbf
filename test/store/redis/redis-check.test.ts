import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../../src/lib/logger.ts';
import { systemClock } from '../../../src/lib/system-clock.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { checkRedis } from '../../../src/store/redis/redis-check.ts';
import { RedisConnection } from '../../../src/store/redis/redis-connection.ts';
import { StoreError } from '../../../src/store/store.ts';
import { ScriptedRedis } from './scripted-redis.ts';
import { RedisCluster } from '../../support/redis-cluster.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';

/** Lines logged in a test, without their time. */
let lines: string[] = [];

beforeEach(() => {
  lines = [];
});

const logger = createLogger({
  level: 'info',
  format: 'pretty',
  write: (line) => lines.push(line.slice('00:00:00.000 '.length)),
  clock: systemClock,
});

/** Connects, checks and closes. @throws what the check throws, its ports replaced. */
async function checkAt(url: string): Promise<void> {
  const connection = new RedisConnection(parseRedisUrl(url), { timeoutMs: 5_000, logger, name: 'test', prefix: 'pre' });
  try {
    await connection.open();
    await checkRedis(connection, 'pre', logger);
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    throw error;
  } finally {
    await connection.close();
  }
}

describe.skipIf(redisMissing)('a Redis of today', () => {
  let server: RedisServer;

  beforeEach(async () => {
    server = await RedisServer.start({ config: ['appendonly yes', 'appendfsync always'] });
  });
  afterEach(() => server.stop());

  test('is taken, marked as ours, and taken again, without a word', async () => {
    await Promise.all([checkAt(server.url), checkAt(server.url)]);
    expect(await server.client().get('{pre}:schema')).toBe('1');
    await checkAt(server.url);
    expect(await server.keys()).toEqual(new Map([['{pre}:schema', 'string']]));
    expect(lines).toEqual([]);
  });

  test.each(['volatile-lru', 'allkeys-random'])('is refused when it may throw keys away by %s', async (policy) => {
    await server.client().config('SET', 'maxmemory-policy', policy);
    await expect(checkAt(server.url)).rejects.toThrow(
      `Cannot use Redis at ${server.url}: its maxmemory-policy is ${policy}, so that it may throw away what was acknowledged: set it to noeviction.`,
    );
    expect(await server.keys()).toEqual(new Map());
  });

  test('is refused when it is a replica', async () => {
    await server.client().replicaof('127.0.0.1', 1);
    await expect(checkAt(server.url)).rejects.toThrow('it is a replica of 127.0.0.1:1, which cannot be written to');
  });

  test.each(['0', '-1', 'one', '1.0', '', '01'])('is refused when its schema is %j', async (schema) => {
    await server.client().set('{pre}:schema', schema);
    await expect(checkAt(server.url)).rejects.toThrow(
      "its key {pre}:schema holds something that is not Trellis's: set another redis.prefix, or another database.",
    );
    expect(await server.client().get('{pre}:schema')).toBe(schema);
  });

  test('is refused when its schema is of another kind, or newer', async () => {
    await server.client().lpush('{pre}:schema', '1');
    await expect(checkAt(server.url)).rejects.toThrow('holds something that is not');
    await server.client().del('{pre}:schema');
    await server.client().set('{pre}:schema', '2');
    await expect(checkAt(server.url)).rejects.toThrow(
      'its data was written by a newer Trellis (schema 2, this one knows 1): start that version, or set another redis.prefix.',
    );
  });

  test('is refused when it may not be asked or written', async () => {
    const url = server.url.replace('//', '//limited:word@');
    await server.client().acl('SETUSER', 'limited', 'on', '>word', '~*', '+@all', '-set');
    await expect(checkAt(url)).rejects.toThrow('its key {pre}:schema cannot be read and written (NOPERM');
    await server.client().acl('SETUSER', 'limited', '+set', '-config');
    await checkAt(url);
    expect(lines).toEqual([
      `WARN  Redis does not tell how it flushes its append-only file: unless appendfsync is always, acknowledged messages may be lost when its machine fails redis=${server.url}`,
    ]);
  });

  test.each([
    ['everysec', 'in the last two seconds'],
    ['no', 'in the last half minute'],
  ])('is warned of when it flushes later (appendfsync %s)', async (appendfsync, loss) => {
    await server.client().config('SET', 'appendfsync', appendfsync);
    await checkAt(server.url);
    expect(lines).toEqual([expect.stringContaining(`what was acknowledged ${loss} may be lost`)]);
    expect(lines[0]).toMatch(new RegExp(`^WARN .* redis=${server.url} appendfsync=${appendfsync}$`));
  });

  test('is warned of when it writes nothing to disk', async () => {
    await server.client().config('SET', 'appendonly', 'no');
    await checkAt(server.url);
    expect(lines).toEqual([
      `WARN  Redis keeps no append-only file: acknowledged messages are lost when it restarts (set appendonly yes) redis=${server.url}`,
    ]);
  });
});

describe.skipIf(redisMissing)('a Redis Cluster', () => {
  test('is checked at each of its masters, and refused under the URL of a single one', async () => {
    await using cluster = await RedisCluster.start({ config: ['appendonly yes', 'appendfsync always'] });
    const [, second] = cluster.nodes;
    const url = `redis+cluster://127.0.0.1:${second!.port}`;
    await checkAt(url);
    expect(lines).toEqual([]);
    for (const node of cluster.nodes.slice(0, 3)) {
      await node.client().config('SET', 'maxmemory-policy', 'allkeys-lru');
      await expect(checkAt(url)).rejects.toThrow('its maxmemory-policy is allkeys-lru');
      await node.client().config('SET', 'maxmemory-policy', 'noeviction');
    }
    const owner = await cluster.slotOwner('{pre}:schema');
    await expect(checkAt(owner.url)).rejects.toThrow('it is a node of a Redis Cluster: use a URL that begins with');
  });
});

describe('a Redis of another kind', () => {
  test.each([
    ['redis_version:6.2.14', 'its version is 6.2.14, but Trellis needs Redis 7.0 or newer, or Valkey.'],
    ['redis_version:soon', 'its version is soon, but'],
    ['server_name:other', 'its version is unknown, but'],
    ['redis_version:7.2.4', 'its maxmemory-policy is unknown'],
  ])('is refused when it says %s', async (info, clause) => {
    await using redis = await ScriptedRedis.start({ info });
    await expect(checkAt(redis.url)).rejects.toThrow(clause);
  });

  test.each(['redis_version:7.0.0', 'redis_version:7.2.4\r\nvalkey_version:9.0.1', 'redis_version:10.0.0'])(
    'is taken when it says %j',
    async (version) => {
      const info = `${version}\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master`;
      await using redis = await ScriptedRedis.start({ info, get: '1', config: 'always' });
      await checkAt(redis.url);
      expect(lines).toEqual([]);
    },
  );
});
