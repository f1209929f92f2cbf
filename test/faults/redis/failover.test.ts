import { describe, expect, test } from 'vitest';
import type { Verdict } from '../../checker/records.ts';
import { RedisCluster } from '../../support/redis-cluster.ts';
import { RedisSentinel } from '../../support/redis-sentinel.ts';
import { redisMissing, type RedisServer } from '../../support/redis-server.ts';
import { FAULT_TIMEOUT_MS, rounds } from '../steady-run.ts';
import { clusterUrl, REDIS_KEY, sentinelUrl } from './addresses.ts';
import { FaultRun } from './fault-run.ts';
import { expectKept } from './verdict.ts';

const AWAY = 'Redis is away';
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

/** Has replicas not follow any more, so that what is written from now on is on the master alone. */
async function stopReplication(master: RedisServer): Promise<void> {
  await master.client().call('ACL', 'SETUSER', 'default', '-psync', '-sync');
  await master.client().call('CLIENT', 'KILL', 'TYPE', 'replica');
}

/** What masters are taken from: Sentinels, or a Redis Cluster. */
interface Masters {
  master(): Promise<RedisServer>;
  after(old: RedisServer): Promise<unknown>;
}

function mastersOf(group: RedisSentinel | RedisCluster): Masters {
  if (group instanceof RedisSentinel) {
    return { master: () => group.master(), after: (old) => group.masterAfter(old) };
  }
  return { master: () => group.slotOwner(REDIS_KEY), after: () => group.slotOwner(REDIS_KEY) };
}

/** Kills master after master, each behind replicas that have not followed for a while. @returns how many. */
async function failOver(run: FaultRun, group: RedisSentinel | RedisCluster, waits: boolean): Promise<number> {
  const masters = mastersOf(group);
  let failovers = 0;
  for (const round of rounds(1)) {
    await run.load(100);
    const old = await masters.master();
    // At length every other one is without warning: what that costs is what is on its way.
    if (round % 2 === 0) {
      await stopReplication(old);
      run.checker.mark('replicas do not follow any more');
      if (waits) expect(await run.acknowledgedWhileAway(1_500)).toBe(0);
      else await run.load(50);
    }
    run.checker.mark(`the master is killed, ${round}`);
    await old.kill();
    await masters.after(old);
    await old.restart();
    failovers += 1;
    await run.load(50);
  }
  return failovers;
}

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/faults/redis
describe.skipIf(redisMissing !== '')('a broker on Redis with replicas', () => {
  for (const kind of ['Sentinels', 'Redis Cluster'] as const) {
    const start = (): Promise<RedisSentinel | RedisCluster> =>
      kind === 'Sentinels' ? RedisSentinel.start() : RedisCluster.start();
    const urlOf = (group: RedisSentinel | RedisCluster): string =>
      group instanceof RedisSentinel ? sentinelUrl(group) : clusterUrl(group);

    test(
      `loses nothing at a failover of ${kind} when it waits for a replica, and acknowledges nothing that none has`,
      async () => {
        await using group = await start();
        const settings = [...SETTINGS, 'redis.waitReplicas=1'];
        await using run = await FaultRun.start({ url: urlOf(group), settings });
        await failOver(run, group, true);
        // In a cluster the new master may be known before the connection to the old one is noticed to be gone.
        if (kind === 'Sentinels') expect(run.logged(AWAY)).toBeGreaterThan(0);
        expectKept(await run.finish());
        expect(run.restarts).toBe(0);
      },
      FAULT_TIMEOUT_MS,
    );

    test(
      `says that data was lost at a failover of ${kind} when it does not wait, and goes on with what there is`,
      async () => {
        await using group = await start();
        await using run = await FaultRun.start({ url: urlOf(group), settings: SETTINGS });
        const failovers = await failOver(run, group, false);
        const verdict = await run.finish({ mayLose: true });
        tell(kind, failovers, run, verdict);
        expect(verdict.faults.lost).toBeGreaterThan(0);
        expect(run.restarts).toBeGreaterThan(0);
        expect([verdict.faults.liveness, verdict.faults.phantom]).toEqual([0, 0]);
      },
      FAULT_TIMEOUT_MS,
    );
  }

  test(
    'loses nothing when the slot of its keys moves in a Redis Cluster, and back',
    async () => {
      await using cluster = await RedisCluster.start();
      await using run = await FaultRun.start({ url: clusterUrl(cluster), settings: SETTINGS });
      const slot = await cluster.slotOf(REDIS_KEY);
      for (const _ of rounds(2)) {
        await run.load(100);
        const from = await cluster.slotOwner(REDIS_KEY);
        const to = (await cluster.masters()).find((node) => node !== from);
        const onStep = (): Promise<void> => run.talk(0, 2);
        await cluster.moveSlot(slot, from.port, to?.port ?? 0, { keysPerStep: 5, onStep });
      }
      await run.load(100);
      expectKept(await run.finish());
      expect(run.restarts).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );
});
