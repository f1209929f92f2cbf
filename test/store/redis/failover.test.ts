import { afterEach, describe, expect, test } from 'vitest';
import type { CuttingProxy } from '../../support/cutting-proxy.ts';
import { until } from '../../support/polling.ts';
import { redisMissing } from '../../support/redis-server.ts';
import { session, subscription } from '../../contract/store-records.ts';
import { BareNode, post, route } from './bare-node.ts';
import { ReplicatedRedis } from './replicated-redis.ts';

const OPEN: BareNode[] = [];
const patience = { timeout: 60_000 };
/** None is given up while Redis fails over. */
const LEASE_MS = 600_000;

afterEach(async () => {
  for (const { store } of OPEN.splice(0)) await store.close();
});

/** Nodes, each with a proxy of its own to Redis, that post for queue 1 of the session of client `c`, which `b` has. */
async function startNodes(
  redis: ReplicatedRedis,
  waitReplicas: number,
  leaseMs = LEASE_MS,
): Promise<Record<'a' | 'b' | 'c', BareNode> & { proxies: Record<'a' | 'b' | 'c', CuttingProxy> }> {
  const start = async (nodeId: string): Promise<{ node: BareNode; proxy: CuttingProxy }> => {
    const proxy = await redis.proxy();
    const node = new BareNode(`redis://127.0.0.1:${proxy.port}`, nodeId, { waitReplicas, leaseMs });
    node.route = { posts: [{ queueId: 1, ...post }], nodes: [] };
    OPEN.push(node);
    await node.store.open();
    return { node, proxy };
  };
  const [a, b, c] = [await start('a'), await start('b'), await start('c')];
  for (const { node } of [a, b, c]) await node.store.listen();
  await b.node.store.commit([session('c', 1), subscription('c', 'x')]);
  for (const { node } of [a, c]) await node.store.caughtUp();
  return { a: a.node, b: b.node, c: c.node, proxies: { a: a.proxy, b: b.proxy, c: c.proxy } };
}

/** What a node was told of posts: their numbers and payloads. */
function toldTo({ posted }: BareNode): string[] {
  return posted.map(({ number, message }) => `${number} ${Buffer.from(message.payload).toString()}`);
}

/** Why a node cannot go on, once it cannot. */
function brokenOf({ store }: BareNode): Promise<Error> {
  return new Promise((resolve) => {
    store.onBroken = resolve;
  });
}

describe.skipIf(redisMissing !== '')('at a failover to a replica that had been cut off', () => {
  test('what it lacks was told to nobody, where waitReplicas asks for it', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, b, c, proxies } = await startNodes(redis, 1);
    const { version } = a;
    await redis.cutOff();
    const ofA = a.store.commit([route('of a')]);
    const client = redis.master.client();
    await until('the post', async () => ((await client.llen('{trellis}:r:1')) === 1 ? true : undefined));
    // The inbox waits for the replica with what it has read, or has told it.
    await until('the inbox to be read', async () =>
      (await redis.waiting()).includes('trellis-b-inbox') || b.posted.length > 0 ? true : undefined,
    );
    expect(toldTo(b)).toEqual([]);
    await redis.failOver();
    proxies.b.unblock();
    proxies.c.unblock();
    await c.store.commit([route('of c')]);
    await expect.poll(() => toldTo(b), patience).toEqual(['1 of c']);
    proxies.a.unblock();
    await ofA;
    await expect.poll(() => toldTo(b), patience).toEqual(['1 of c', '2 of a']);
    expect(a.version).toBe(version);
  });

  test('no topology is known that it lacks', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, b, proxies } = await startNodes(redis, 1);
    const { version } = b;
    await redis.cutOff();
    const change = a.store.commit([session('d', 2), subscription('d', 'x')]);
    const client = redis.master.client();
    await until('the change', async () =>
      Number(await client.get('{trellis}:topology')) > version ? true : undefined,
    );
    // This one is told by the answer that its batch is out of date.
    const ofB = b.store.commit([route('of b')]);
    await until('both to wait for the replica', async () => {
      const waiting = await redis.waiting();
      return waiting.includes('trellis-a') && waiting.includes('trellis-b') ? true : undefined;
    });
    expect([a.version, b.version]).toEqual([version, version]);
    await redis.failOver();
    for (const proxy of Object.values(proxies)) proxy.unblock();
    await Promise.all([change, ofB]);
    await expect.poll(() => [a.version, b.version], patience).toEqual([version + 1, version + 1]);
  });

  test('a client id is not claimed where it lacks that', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, c, proxies } = await startNodes(redis, 1);
    await redis.cutOff();
    let isDone = false;
    const ofA = a.store.claim('e', 'user').then((claim) => {
      isDone = true;
      return claim;
    });
    await until('the claim', async () => ((await redis.waiting()).includes('trellis-a') || isDone ? true : undefined));
    expect(isDone).toBe(false);
    expect(await redis.master.client().hget('{trellis}:s:e', 'o')).toBe('a');
    await redis.failOver();
    proxies.c.unblock();
    proxies.b.unblock();
    expect(await c.store.claim('e', 'user')).toBeDefined();
    proxies.a.unblock();
    await until('a to ask c', () => (c.wanted.includes('e') ? true : undefined));
    await c.store.commit([{ kind: 'session-move', clientId: 'e', queueId: 0, nodeId: 'a' }]);
    expect(await ofA).toBeDefined();
  });

  test('a node that has claimed a client id where it lacks that ends, and says why', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, proxies } = await startNodes(redis, 0, 2_000);
    await redis.cutOff();
    expect(await a.store.claim('e', 'user')).toBeDefined();
    const broken = brokenOf(a);
    await redis.failOver();
    proxies.a.unblock();
    expect((await broken).message).toContain('Redis has lost what it had acknowledged');
  });

  test('a node that has written what it lacks ends, also when it writes nothing more', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, proxies } = await startNodes(redis, 0, 2_000);
    await redis.cutOff();
    await a.store.commit([session('d', 2)]);
    const broken = brokenOf(a);
    await redis.failOver();
    proxies.a.unblock();
    expect((await broken).message).toContain('Redis has lost what it had acknowledged');
  });

  test('a node that was started where it lacks that ends, and takes no other process for the reason', async () => {
    await using redis = await ReplicatedRedis.start();
    const { proxies } = await startNodes(redis, 0);
    await redis.cutOff();
    // As after a crash: the place is still there, of a process that is known to be dead.
    const again = new BareNode(`redis://127.0.0.1:${proxies.b.port}`, 'b', { leaseMs: LEASE_MS });
    OPEN.push(again);
    await again.store.open();
    await redis.failOver();
    proxies.b.unblock();
    await expect(again.store.commit([session('d', 2)])).rejects.toThrow('Redis has lost what it had acknowledged');
  });

  test('a node that was told what it lacks ends, and says why', async () => {
    await using redis = await ReplicatedRedis.start();
    const { a, b, c, proxies } = await startNodes(redis, 0);
    await a.store.commit([route('before')]);
    await expect.poll(() => toldTo(b), patience).toEqual(['1 before']);
    await redis.cutOff();
    await a.store.commit([route('of a')]);
    await expect.poll(() => toldTo(b), patience).toEqual(['1 before', '2 of a']);
    const broken = brokenOf(b);
    await redis.failOver();
    proxies.c.unblock();
    await c.store.commit([route('of c')]);
    proxies.b.unblock();
    // What c posted has the number of what is lost, so that b would pass it over.
    expect((await broken).message).toContain('Redis has lost what it had acknowledged');
    await expect(b.store.commit([])).rejects.toThrow('Redis has lost');
  });
});
