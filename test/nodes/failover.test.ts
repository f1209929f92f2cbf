import { setTimeout as pass } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FAULT_TIMEOUT_MS, rounds } from '../faults/steady-run.ts';
import { clusterUrl, REDIS_KEY, sentinelUrl } from '../faults/redis/addresses.ts';
import { expectKept } from '../faults/redis/verdict.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { RedisSentinel } from '../support/redis-sentinel.ts';
import { redisMissing } from '../support/redis-server.ts';
import { NodesRun, tellLoss } from './nodes-run.ts';

/** Between two steps of the move of a slot, ms. */
const STEP_MS = 20;
const SETTINGS = ['redis.timeoutMs=1000'];

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/nodes
describe.skipIf(redisMissing !== '')('nodes on a Redis with replicas', () => {
  test(
    'lose nothing when the slot of their keys moves in a Redis Cluster, and back',
    async () => {
      await using cluster = await RedisCluster.start();
      await using run = await NodesRun.start({
        url: clusterUrl(cluster),
        settings: SETTINGS,
        servers: () => cluster.masters(),
      });
      const slot = await cluster.slotOf(REDIS_KEY);
      for (const _ of rounds(2)) {
        await run.load(100);
        const from = await cluster.slotOwner(REDIS_KEY);
        const to = (await cluster.masters()).find((node) => node !== from);
        // Batches find some of their keys here and some there for a while.
        const onStep = (): Promise<void> => pass(STEP_MS);
        await cluster.moveSlot(slot, from.port, to?.port ?? 0, { keysPerStep: 5, onStep });
      }
      await run.load(100);
      expectKept(await run.finish());
      expect(run.restarts).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );

  for (const waitReplicas of [0, 1]) {
    const what = waitReplicas === 0 ? 'say what was lost, and go on' : 'lose nothing';
    test(
      `${what} at a failover of Sentinels with waitReplicas ${waitReplicas}`,
      async () => {
        await using group = await RedisSentinel.start();
        await using run = await NodesRun.start({
          url: sentinelUrl(group),
          settings: [...SETTINGS, `redis.waitReplicas=${waitReplicas}`],
          servers: async () => [await group.master()],
          mayLose: waitReplicas === 0,
        });
        for (const round of rounds(1)) {
          await run.load(100);
          const old = await group.master();
          run.checker.mark(`the master is killed, ${round}`);
          await old.kill();
          await group.masterAfter(old);
          await old.restart();
          await run.load(100);
        }
        const verdict = await run.finish({ mayLose: waitReplicas === 0 });
        if (waitReplicas > 0) expectKept(verdict);
        else {
          tellLoss('Sentinels', run.restarts, verdict);
          const never = verdict.violations.filter(({ fault }) => fault === 'liveness' || fault === 'phantom');
          expect(never.map(({ text }) => text)).toEqual([]);
        }
      },
      FAULT_TIMEOUT_MS,
    );
  }
});
