import { describe, expect, test } from 'vitest';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { FAULT_SECONDS, FAULT_TIMEOUT_MS, rounds } from '../steady-run.ts';
import { FaultRun } from './fault-run.ts';
import { expectKept } from './verdict.ts';

const AWAY = 'Redis is away';
const BACK = 'Redis is back';
const LEASE_MS = 1_000;
const TIMEOUT_MS = 300;
const PAUSES_MS = [TIMEOUT_MS / 4, 2 * TIMEOUT_MS, 2 * LEASE_MS, ...(FAULT_SECONDS > 0 ? [30_000] : [])];
const SETTINGS = [`redis.timeoutMs=${TIMEOUT_MS}`, `redis.leaseMs=${LEASE_MS}`];

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/faults/redis
describe.skipIf(redisMissing !== '')('a broker whose Redis', () => {
  test(
    'is killed and started again keeps what it acknowledged, and acknowledges nothing meanwhile',
    async () => {
      await using redis = await RedisServer.start({ config: ['appendonly yes', 'appendfsync always'] });
      await using run = await FaultRun.start({ url: redis.url });
      for (const round of rounds(3)) {
        await run.load(150);
        const [away, back] = [run.logged(AWAY), run.logged(BACK)];
        await redis.kill();
        run.checker.mark(`Redis is killed, ${round}`);
        await run.nextLog(AWAY, away);
        expect(await run.acknowledgedWhileAway(200)).toBe(0);
        await redis.restart();
        await run.nextLog(BACK, back);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'does not answer for a while, also past redis.timeoutMs and redis.leaseMs, goes on when it does',
    async () => {
      await using redis = await RedisServer.start();
      await using run = await FaultRun.start({ url: redis.url, settings: SETTINGS });
      for (const round of rounds(PAUSES_MS.length)) {
        await run.load(100);
        const [away, back] = [run.logged(AWAY), run.logged(BACK)];
        const pauseMs = PAUSES_MS[round % PAUSES_MS.length] as number;
        redis.pause();
        run.checker.mark(`Redis is paused for ${pauseMs} ms`);
        try {
          expect(await run.acknowledgedWhileAway(pauseMs)).toBe(0);
          if (pauseMs > TIMEOUT_MS) await run.nextLog(AWAY, away);
        } finally {
          redis.resume();
        }
        if (pauseMs > TIMEOUT_MS) await run.nextLog(BACK, back);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );
});
