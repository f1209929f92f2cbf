import { describe, expect, test } from 'vitest';
import type { Verdict } from '../../checker/records.ts';
import { RedisCluster } from '../../support/redis-cluster.ts';
import { RedisSentinel } from '../../support/redis-sentinel.ts';
import { redisMissing } from '../../support/redis-server.ts';
import { FAULT_TIMEOUT_MS, FaultRun, rounds } from './fault-run.ts';
import { expectKept } from './verdict.ts';

const AWAY = 'Redis is away';
/** A key of ours; all of them are in its slot. */
const KEY = '{trellis}:schema';
const SETTINGS = ['redis.timeoutMs=1000', 'redis.leaseMs=2000'];

/** What replication that does not wait for replicas may cost: it is counted and told, not judged. */
function tell(what: string, failovers: number, run: FaultRun, verdict: Verdict): void {
  const found = Object.entries(verdict.faults).filter(([, count]) => count > 0);
  const faults = found.length === 0 ? 'nothing lost' : found.map(([fault, count]) => `${count} ${fault}`).join(', ');
  console.log(
    `${what}, ${failovers} failovers without waitReplicas: ${faults}, of ${verdict.acknowledged} messages acknowledged ` +
      `and ${verdict.delivered} deliveries; the broker said ${run.restarts} times that Redis lost data`,
  );
}

function clusterUrl(cluster: RedisCluster): string {
  return `redis+cluster://${cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
}

function sentinelUrl(group: RedisSentinel): string {
  return `redis+sentinel://${group.sentinels.map(({ host, port }) => `${host}:${port}`).join(',')}/${group.name}`;
}

/** Kills the master under load, waits for another, and starts the old one as its replica. @returns failovers. */
async function failOver(run: FaultRun, group: RedisSentinel): Promise<number> {
  let failovers = 0;
  for (const round of rounds(1)) {
    await run.load(150);
    const old = await group.master();
    run.checker.mark(`the master is killed, ${round}`);
    await old.kill();
    await group.masterAfter(old);
    await old.restart();
    failovers += 1;
  }
  await run.load(100);
  return failovers;
}

async function failOverCluster(run: FaultRun, cluster: RedisCluster): Promise<number> {
  let failovers = 0;
  for (const round of rounds(1)) {
    await run.load(150);
    const old = await cluster.slotOwner(KEY);
    run.checker.mark(`the master of the slot is killed, ${round}`);
    await old.kill();
    await cluster.slotOwner(KEY);
    await old.restart();
    failovers += 1;
  }
  await run.load(100);
  return failovers;
}

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/faults/redis
describe.skipIf(redisMissing !== '')('a broker on Redis with replicas', () => {
  test(
    'loses nothing at a failover of Sentinels when it waits for a replica',
    async () => {
      await using group = await RedisSentinel.start();
      const settings = [...SETTINGS, 'redis.waitReplicas=1'];
      await using run = await FaultRun.start({ url: sentinelUrl(group), settings });
      await failOver(run, group);
      expect(run.logged(AWAY)).toBeGreaterThan(0);
      expectKept(await run.finish());
      expect(run.restarts).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'goes on after a failover of Sentinels when it does not wait, and says so when something was lost',
    async () => {
      await using group = await RedisSentinel.start();
      await using run = await FaultRun.start({ url: sentinelUrl(group), settings: SETTINGS });
      const failovers = await failOver(run, group);
      const verdict = await run.finish({ mayLose: true });
      tell('Sentinels', failovers, run, verdict);
      expect([verdict.faults.liveness, verdict.faults.phantom, verdict.faults.leak]).toEqual([0, 0, 0]);
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'loses nothing when the slot of its keys moves in a Redis Cluster, and back',
    async () => {
      await using cluster = await RedisCluster.start();
      await using run = await FaultRun.start({ url: clusterUrl(cluster), settings: SETTINGS });
      const slot = await cluster.slotOf(KEY);
      for (const _ of rounds(2)) {
        await run.load(100);
        const from = await cluster.slotOwner(KEY);
        const masters = await cluster.masters();
        const to = masters.find((node) => node !== from);
        const onStep = (): Promise<void> => run.talk(0, 2);
        await cluster.moveSlot(slot, from.port, to?.port ?? 0, { keysPerStep: 5, onStep });
      }
      await run.load(100);
      expectKept(await run.finish());
      expect(run.restarts).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'loses nothing at a failover of a Redis Cluster when it waits for a replica',
    async () => {
      await using cluster = await RedisCluster.start();
      const settings = [...SETTINGS, 'redis.waitReplicas=1'];
      await using run = await FaultRun.start({ url: clusterUrl(cluster), settings });
      await failOverCluster(run, cluster);
      expectKept(await run.finish());
      expect(run.restarts).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'goes on after a failover of a Redis Cluster when it does not wait, and says so when something was lost',
    async () => {
      await using cluster = await RedisCluster.start();
      await using run = await FaultRun.start({ url: clusterUrl(cluster), settings: SETTINGS });
      const failovers = await failOverCluster(run, cluster);
      const verdict = await run.finish({ mayLose: true });
      tell('Redis Cluster', failovers, run, verdict);
      expect([verdict.faults.liveness, verdict.faults.phantom, verdict.faults.leak]).toEqual([0, 0, 0]);
    },
    FAULT_TIMEOUT_MS,
  );
});
