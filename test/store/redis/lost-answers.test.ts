import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { StoreFullError } from '../../../src/store/store.ts';
import { entry, NO_LIMIT, put, session } from '../../contract/store-records.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

let server: RedisServer;
let proxy: CuttingProxy;
let store: RedisStore;

beforeEach(async () => {
  if (redisMissing !== '') return;
  server = await RedisServer.start();
  proxy = await CuttingProxy.start(server.port);
  store = new RedisStore({
    address: parseRedisUrl(`redis://127.0.0.1:${proxy.port}`),
    prefix: 'trellis',
    nodeId: 'n',
    waitReplicas: 0,
    leaseMs: 60_000,
    timeoutMs: 60_000,
    logger: SILENT,
  });
  await store.open();
});

afterEach(async () => {
  await store.close();
  await proxy.stop();
  await server.stop();
});

/** Cuts the connection with all that was held back, and has Redis be full from then on. */
async function cutWhenFull(): Promise<void> {
  await server.client().config('SET', 'maxmemory', '1');
  proxy.cutAll();
  proxy.unblock();
}

const sequences = async (): Promise<number[]> =>
  (await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).map(({ sequence }) => sequence);

describe.skipIf(redisMissing !== '')('where Redis is full when a batch whose answer was lost is sent again,', () => {
  test('a batch that was applied counts, and the next one is applied too', async () => {
    await store.commit([session('a', 1)]);
    proxy.block('replies');
    const commit = store.commit([put(entry(1, 1))]);
    await expect.poll(() => server.client().zcard('{trellis}:q:1'), { timeout: 60_000 }).toBe(1);
    await cutWhenFull();
    await commit;
    await server.client().config('SET', 'maxmemory', '0');
    await store.commit([put(entry(1, 2))]);
    expect(await sequences()).toEqual([1, 2]);
  });

  test('a batch that was not applied never is, and the next one is applied', async () => {
    await store.commit([session('a', 1)]);
    proxy.block('requests');
    const commit = store.commit([put(entry(1, 1))]);
    await cutWhenFull();
    await expect(commit).rejects.toBeInstanceOf(StoreFullError);
    await server.client().config('SET', 'maxmemory', '0');
    await store.commit([put(entry(1, 2))]);
    expect(await sequences()).toEqual([2]);
  });
});
