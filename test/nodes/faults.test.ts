import { setTimeout as pass } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FAULT_SECONDS, FAULT_TIMEOUT_MS, rounds } from '../faults/steady-run.ts';
import { expectKept } from '../faults/redis/verdict.ts';
import { LEASE_MS } from '../support/nodes.ts';
import { redisMissing } from '../support/redis-server.ts';
import { NodesRun } from './nodes-run.ts';

const SETTINGS = ['redis.timeoutMs=500'];
const DIRECTIONS = ['requests', 'replies', 'both'] as const;
/** How long Redis answers nothing, ms. */
const PAUSES_MS = [1_000, 2 * LEASE_MS, ...(FAULT_SECONDS > 0 ? [5 * LEASE_MS] : [])];

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/nodes
describe.skipIf(redisMissing !== '')('nodes on one Redis', () => {
  test(
    'lose nothing when devices come and go between them',
    async () => {
      await using run = await NodesRun.start();
      for (const _ of rounds(3)) await run.load(150);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'lose nothing when one is killed: the others go on, and take its clients over',
    async () => {
      await using run = await NodesRun.start();
      for (const round of rounds(run.nodes.count)) {
        await run.load(100);
        const victim = round % run.nodes.count;
        await run.kill(victim);
        await run.loadElsewhere(50);
        if (run.nodes.count > 1 && round % 2 === 0) await run.takenOver(victim);
        await run.loadElsewhere(50);
        await run.startAgain(victim);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'lose nothing when they end in order and come back, one after the other',
    async () => {
      await using run = await NodesRun.start();
      for (const round of rounds(run.nodes.count)) {
        await run.load(100);
        const index = round % run.nodes.count;
        run.nodes.leaveOut(index);
        run.expectEnd(index, 'is ended');
        const { code, stderr } = await run.nodes.kill(index, 'SIGTERM');
        expect(code, stderr).toBe(0);
        await run.loadElsewhere(100);
        await run.startAgain(index);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'take over one that is stopped past its lease, which ends when it goes on',
    async () => {
      await using run = await NodesRun.start();
      for (const round of rounds(1)) {
        await run.load(100);
        const victim = round % run.nodes.count;
        const ended = run.nodes.ended(victim);
        run.expectEnd(victim, 'is stopped');
        run.nodes.pause(victim);
        await run.takenOver(victim);
        await run.loadElsewhere(100);
        run.nodes.resume(victim);
        await run.expectEndsItself(victim, ended);
        await run.startAgain(victim);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'lose nothing when Redis is killed and started again, and none ends',
    async () => {
      await using run = await NodesRun.start({ redisConfig: ['appendonly yes', 'appendfsync always'] });
      for (const round of rounds(2)) {
        await run.load(100);
        await run.nodes.redis.kill();
        run.checker.mark(`Redis is killed, ${round}`);
        await run.nodes.redis.restart();
      }
      await run.load(100);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'go on, all of them, when Redis answers nothing for a while, also past their leases',
    async () => {
      await using run = await NodesRun.start({ settings: SETTINGS });
      for (const round of rounds(PAUSES_MS.length)) {
        await run.load(100);
        const pauseMs = PAUSES_MS[round % PAUSES_MS.length] as number;
        run.nodes.redis.pause();
        run.checker.mark(`Redis is paused for ${pauseMs} ms`);
        try {
          await pass(pauseMs);
        } finally {
          run.nodes.redis.resume();
        }
      }
      await run.load(100);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'keep one that is cut off from Redis for less than its lease',
    async () => {
      await using run = await NodesRun.start({ isProxied: true, settings: SETTINGS });
      for (const round of rounds(DIRECTIONS.length)) {
        await run.load(100);
        const victim = round % run.nodes.count;
        const direction = DIRECTIONS[round % DIRECTIONS.length] as (typeof DIRECTIONS)[number];
        run.nodes.proxyOf(victim).block(direction);
        run.checker.mark(`${direction} of node ${victim} are blocked`);
        await pass(LEASE_MS / 3);
        run.nodes.proxyOf(victim).unblock();
      }
      await run.load(100);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );

  test(
    'take over one that is cut off from Redis for longer than its lease, which ends when it is back',
    async () => {
      await using run = await NodesRun.start({ isProxied: true, settings: SETTINGS });
      for (const round of rounds(FAULT_SECONDS > 0 ? DIRECTIONS.length : 2)) {
        await run.load(100);
        const victim = round % run.nodes.count;
        const direction = DIRECTIONS[(round + 1) % DIRECTIONS.length] as (typeof DIRECTIONS)[number];
        const ended = run.nodes.ended(victim);
        run.expectEnd(victim, `is cut off, ${direction}`);
        run.nodes.proxyOf(victim).block(direction);
        run.nodes.leaveOut(victim);
        await run.takenOver(victim);
        await run.loadElsewhere(100);
        run.nodes.proxyOf(victim).unblock();
        await run.expectEndsItself(victim, ended);
        await run.startAgain(victim);
      }
      await run.load(50);
      expectKept(await run.finish());
    },
    FAULT_TIMEOUT_MS,
  );
});
