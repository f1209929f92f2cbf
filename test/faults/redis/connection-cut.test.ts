import { describe, expect, test } from 'vitest';
import { Random } from '../../fakes/random.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { FAULT_TIMEOUT_MS, rounds } from '../steady-run.ts';
import { FaultRun } from './fault-run.ts';
import { expectKept } from './verdict.ts';

const AWAY = 'Redis is away';
const BACK = 'Redis is back';
const TIMEOUT_MS = 300;
const SETTINGS = [`redis.timeoutMs=${TIMEOUT_MS}`, 'redis.leaseMs=1000'];
const DIRECTIONS = ['requests', 'replies', 'both'] as const;

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/faults/redis
describe.skipIf(redisMissing !== '')('a broker whose connection to Redis', () => {
  test(
    'is cut at random bytes all the time loses nothing and applies nothing twice',
    async () => {
      await using redis = await RedisServer.start();
      await using proxy = await CuttingProxy.start(redis.port);
      await using run = await FaultRun.start({ url: `redis://127.0.0.1:${proxy.port}` });
      const random = new Random(Date.now() % 2 ** 31);
      for (const cut of rounds(20)) {
        // A connection that cannot even be made gives no work to be cut.
        if (cut % 10 === 0) await run.load(30);
        if (random.chance(0.5)) await proxy.cutAfterReplyBytes(random.below(400));
        else await proxy.cutAfterRequestBytes(random.below(20_000));
        run.checker.mark(`cut ${cut}`);
      }
      expect(run.logged(AWAY)).toBeGreaterThan(5);
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'passes nothing one way, or both ways, for longer than redis.timeoutMs acknowledges nothing until it does',
    async () => {
      await using redis = await RedisServer.start();
      await using proxy = await CuttingProxy.start(redis.port);
      await using run = await FaultRun.start({ url: `redis://127.0.0.1:${proxy.port}`, settings: SETTINGS });
      for (const round of rounds(DIRECTIONS.length)) {
        await run.load(100);
        const [away, back] = [run.logged(AWAY), run.logged(BACK)];
        const direction = DIRECTIONS[round % DIRECTIONS.length] as (typeof DIRECTIONS)[number];
        proxy.block(direction);
        run.checker.mark(`${direction} are blocked`);
        expect(await run.acknowledgedWhileAway(2 * TIMEOUT_MS)).toBe(0);
        await run.nextLog(AWAY, away);
        proxy.unblock();
        await run.nextLog(BACK, back);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );
});
