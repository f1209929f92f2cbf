import { Cluster, type Redis } from 'ioredis';
import type { Logger } from '../../lib/logger.ts';
import { StoreError } from '../store.ts';
import { describeRedisAddress, type RedisAddress } from './redis-address.ts';
import type { RedisConnection } from './redis-connection.ts';

/** Version of the layout of our keys, which the key `{prefix}:schema` holds. */
const redisSchemaVersion = 1;

/** Oldest Redis that will do: functions of its scripts and of its replication are used that came with it. */
const oldestMajor = 7;

/**
 * Looks whether an open connection leads to a Redis that can keep what is acknowledged, and marks its database as ours.
 * Warns of what makes acknowledged messages less durable than they might be.
 * @throws StoreError with a sentence that says what to change: too old, evicts keys, is a replica, holds other data.
 */
export async function checkRedis(connection: RedisConnection, prefix: string, logger: Logger): Promise<void> {
  const { redis, address } = connection;
  // After a failover or a move of the slot any master may have our keys.
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const reports = await Promise.all(nodes.map((node) => reportOf(node, address)));
  for (const report of reports) checkServer(report, address);
  warnOf(reports, address, logger);
  await claimSchema(redis, prefix, address);
}

/** What a server says of itself. */
interface Report {
  /** Lines of INFO. */
  readonly info: ReadonlyMap<string, string>;
  /** Undefined where asking is not allowed. */
  readonly appendfsync: string | undefined;
}

async function reportOf(node: Redis, address: RedisAddress): Promise<Report> {
  let text: string;
  try {
    text = await node.info();
  } catch (error) {
    throw sentence(address, `it does not tell what it is (${(error as Error).message})`, error);
  }
  const info = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) info.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return { info, appendfsync: await appendfsyncOf(node) };
}

async function appendfsyncOf(node: Redis): Promise<string | undefined> {
  try {
    const [, value] = (await node.config('GET', 'appendfsync')) as string[];
    return value;
  } catch {
    // Services that run Redis for others forbid CONFIG.
    return undefined;
  }
}

function checkServer({ info }: Report, address: RedisAddress): void {
  const version = info.get('redis_version') ?? 'unknown';
  if (!(Number.parseInt(version, 10) >= oldestMajor)) {
    throw sentence(address, `its version is ${version}, but Trellis needs Redis ${oldestMajor}.0 or newer, or Valkey`);
  }
  if (address.kind !== 'cluster' && info.get('redis_mode') === 'cluster') {
    throw sentence(
      address,
      'it is a node of a Redis Cluster: use a URL that begins with redis+cluster:// or rediss+cluster://',
    );
  }
  if (info.get('role') === 'slave') {
    const master = `${info.get('master_host') ?? '?'}:${info.get('master_port') ?? '?'}`;
    throw sentence(
      address,
      `it is a replica of ${master}, which cannot be written to: name its master, or its Sentinels (redis+sentinel://host:port/master-name)`,
    );
  }
  const policy = info.get('maxmemory_policy');
  if (policy !== 'noeviction') {
    throw sentence(
      address,
      `its maxmemory-policy is ${policy ?? 'unknown'}, so that it may throw away what was acknowledged: set it to noeviction`,
    );
  }
}

function warnOf(reports: readonly Report[], address: RedisAddress, logger: Logger): void {
  const redis = describeRedisAddress(address);
  if (reports.some(({ info }) => info.get('aof_enabled') !== '1')) {
    logger.warn(
      'Redis keeps no append-only file: acknowledged messages are lost when it restarts (set appendonly yes)',
      {
        redis,
      },
    );
    return;
  }
  const weak = reports.find(({ appendfsync }) => appendfsync !== 'always');
  if (weak === undefined) return;
  const message = weakFlush.get(weak.appendfsync ?? '') ?? unknownFlush;
  logger.warn(message, { redis, ...(weak.appendfsync === undefined ? {} : { appendfsync: weak.appendfsync }) });
}

const weakFlush: ReadonlyMap<string, string> = new Map([
  [
    'everysec',
    'Redis flushes its append-only file once a second: what was acknowledged in the last two seconds may be lost when its machine fails (appendfsync always loses nothing)',
  ],
  [
    'no',
    'Redis leaves it to the system when its append-only file is flushed: what was acknowledged in the last half minute may be lost when its machine fails (appendfsync always loses nothing)',
  ],
]);
const unknownFlush =
  'Redis does not tell how it flushes its append-only file: unless appendfsync is always, acknowledged messages may be lost when its machine fails';

async function claimSchema(redis: Redis | Cluster, prefix: string, address: RedisAddress): Promise<void> {
  const key = `{${prefix}}:schema`;
  let found: string | null;
  try {
    found = await redis.get(key);
    // One of several nodes that start at once sets it. Where it is there, a full Redis keeps nobody from starting.
    if (found === null) {
      await redis.set(key, redisSchemaVersion, 'NX');
      found = await redis.get(key);
    }
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith('WRONGTYPE')) throw sentence(address, foreign(key), error);
    throw sentence(address, `its key ${key} cannot be read and written (${message})`, error);
  }
  if (found === null || !/^[1-9]\d{0,8}$/.test(found)) throw sentence(address, foreign(key));
  if (Number(found) > redisSchemaVersion) {
    throw sentence(
      address,
      `its data was written by a newer Trellis (schema ${found}, this one knows ${redisSchemaVersion}): start that version, or set another redis.prefix`,
    );
  }
}

function foreign(key: string): string {
  return `its key ${key} holds something that is not Trellis's: set another redis.prefix, or another database`;
}

function sentence(address: RedisAddress, clause: string, cause?: unknown): StoreError {
  return new StoreError(`Cannot use Redis at ${describeRedisAddress(address)}: ${clause}.`, { cause });
}
