import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { parseRedisUrl } from '../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import type { SharedStore } from '../../src/store/shared-store.ts';
import type { Store } from '../../src/store/store.ts';
import { SILENT } from './silent-logger.ts';

/** Databases that a process uses in turn; the Redis of a project has 200 times as many. */
const DATABASES_PER_PROCESS = 100;
let next = 0;

/** Whether this project of tests has its brokers keep their state in Redis. */
export function usesRedis(): boolean {
  return inject('redisUrl') !== undefined;
}

/** How many nodes this project of tests has each of its brokers be. */
export function nodeCount(): number {
  return inject('nodeCount') ?? 1;
}

/** Stores of so many nodes in an empty database of the project's Redis that no running broker has. */
export async function redisTestStores(count: number): Promise<RedisStore[]> {
  next = (next + 1) % DATABASES_PER_PROCESS;
  const url = `${inject('redisUrl')}/${(process.pid % 200) * DATABASES_PER_PROCESS + next}`;
  const redis = new Redis(url);
  await redis.flushdb();
  redis.disconnect();
  const times = { leaseMs: 60_000, timeoutMs: 60_000 };
  const address = parseRedisUrl(url);
  const options = { address, prefix: 'test', waitReplicas: 0, ...times, logger: SILENT };
  return Array.from({ length: count }, (_, index) => new RedisStore({ ...options, nodeId: `n${index + 1}` }));
}

/** Resolves once everything that other nodes did before has been told to the node of this store. */
export async function caughtUp(store: Store & Partial<Pick<SharedStore, 'caughtUp'>>): Promise<void> {
  await store.caughtUp?.();
}
