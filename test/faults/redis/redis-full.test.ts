import { describe, expect, test } from 'vitest';
import { until } from '../../support/polling.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { FAULT_TIMEOUT_MS, rounds } from '../steady-run.ts';
import { FaultRun } from './fault-run.ts';
import { expectKept } from './verdict.ts';

/** Refusals that show that a broker knows of a full Redis. */
const REFUSALS = 50;

async function usedMemory(redis: RedisServer): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.client().info('memory'))?.[1]);
}

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/faults/redis
describe.skipIf(redisMissing !== '')('a broker whose Redis is full', () => {
  test(
    'refuses publishes with 0x97 or leaves them unacknowledged, keeps what it acknowledged, and goes on when there is room',
    async () => {
      await using redis = await RedisServer.start({ config: ['maxmemory-policy noeviction'] });
      // Those who come with a new session are refused as well: here nobody does.
      await using run = await FaultRun.start({ url: redis.url, settings: ['redis.leaseMs=1000'], isWild: false });
      run.mayRefuse = true;
      for (const round of rounds(2)) {
        await run.load(150);
        // With a little room, it fills up; below what is used, nothing fits at once.
        const room = round % 2 === 0 ? 300_000 : -1;
        run.checker.mark(`Redis may have ${room} bytes more`);
        const refused = run.refused;
        await redis.client().config('SET', 'maxmemory', (await usedMemory(redis)) + room);
        await until('refusals', () => (run.refused >= refused + REFUSALS ? true : undefined));
        await run.talk(100);
        await redis.client().config('SET', 'maxmemory', 0);
        // Without a reason code, what was not taken is sent again with the next connection only.
        const before = run.acknowledged;
        await until('acknowledgements', () => (run.acknowledged > before ? true : undefined));
        run.dropAll();
      }
      await run.load(50);
      run.mayRefuse = false;
      const verdict = await run.finish();
      // What could not be refused with a reason code comes again behind later ones.
      expectKept({ ...verdict, faults: { ...verdict.faults, reordered: 0 } });
      expect(run.logged('"level":"error"')).toBe(0);
    },
    FAULT_TIMEOUT_MS,
  );
});
