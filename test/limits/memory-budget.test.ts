import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { LimitCounters } from '../../src/limits/limit-counters.ts';
import { MemoryBudget, SHEDDING, type ShedTransition } from '../../src/limits/memory-budget.ts';
import { defaultMemoryBudget, readProcessMemory, usedPart } from '../../src/limits/process-memory.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

let clock: FakeClock;
let counters: LimitCounters;
let used = 0;
let readings = 0;
let transitions: ShedTransition[] = [];
let budget: MemoryBudget;

beforeEach(() => {
  clock = new FakeClock();
  counters = new LimitCounters();
  used = 0;
  readings = 0;
  transitions = [];
  budget = new MemoryBudget({
    used: () => {
      readings += 1;
      return used;
    },
    clock,
    counters,
    onChange: (transition) => transitions.push(transition),
  });
});

/** What is given up when so much is used. */
function look(part: number): string {
  used = part;
  clock.advance(250);
  budget.look(clock.now());
  return (SHEDDING[budget.level] as { sheds: string }).sheds;
}

describe('a memory budget', () => {
  test('gives up in the stated order, and takes back in the other with some distance', () => {
    expect([0, 0.79, 0.8, 0.85, 0.9, 0.95, 2].map(look)).toEqual([
      'nothing',
      'nothing',
      'slow-readers',
      'connections',
      'subscriptions',
      'publishes',
      'publishes',
    ]);
    expect([0.91, 0.89, 0.86, 0.84, 0.81, 0.79, 0.76, 0.74].map(look)).toEqual([
      'publishes',
      'subscriptions',
      'subscriptions',
      'connections',
      'connections',
      'slow-readers',
      'slow-readers',
      'nothing',
    ]);
  });

  test('says what it does, and counts how often it began to', () => {
    look(0.87);
    look(0.7);
    look(0.99);
    expect(transitions).toEqual([
      { from: 'nothing', to: 'connections', used: 0.87 },
      { from: 'connections', to: 'nothing', used: 0.7 },
      { from: 'nothing', to: 'publishes', used: 0.99 },
    ]);
    expect(SHEDDING.map(({ sheds }) => budget.entered(sheds))).toEqual([0, 2, 2, 1, 1]);
  });

  test('does not waver at the edge of a level', () => {
    for (let i = 0; i < 100; i++) look(i % 2 === 0 ? 0.801 : 0.799);
    expect(transitions).toHaveLength(1);
  });

  test('refuses what it gives up, and counts that', () => {
    expect([budget.refusesConnection(), budget.refusesSubscription(), budget.holdsPublisher()]).toEqual([
      false,
      false,
      false,
    ]);
    expect(budget.outboxBytesMax(16_000)).toBe(16_000);
    look(0.8);
    expect([budget.refusesConnection(), budget.outboxBytesMax(16_000)]).toEqual([false, 1000]);
    look(0.9);
    expect([budget.refusesConnection(), budget.refusesSubscription(), budget.holdsPublisher()]).toEqual([
      true,
      true,
      false,
    ]);
    look(0.95);
    expect(budget.holdsPublisher()).toBe(true);
    expect(
      ['memory-connections', 'memory-subscriptions', 'memory-publishes'].map((reason) =>
        counters.get(reason as 'memory-publishes'),
      ),
    ).toEqual([1, 1, 1]);
  });

  test('reads no more often than it must, and has no timer while nothing is given up', () => {
    for (let i = 0; i < 1000; i++) budget.look(clock.now());
    expect([readings, clock.pendingTimers]).toEqual([1, 0]);
    look(0.96);
    expect(clock.pendingTimers).toBe(1);
    used = 0.1;
    clock.advance(250);
    expect([budget.level, clock.pendingTimers]).toEqual([0, 0]);
    look(0.96);
    budget.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('the memory of the process', () => {
  const MIB = 1024 * 1024;
  const reading = {
    anonymousBytes: 500 * MIB,
    ownBytes: 450 * MIB,
    heapUsedBytes: 100 * MIB,
    heapLimitBytes: 4096 * MIB,
  };

  test('counts by what the kernel counts, as long as the process can account for it', () => {
    expect(usedPart(reading, 1000 * MIB)).toBe(0.5);
    // What the allocator kept of a flood that is over will be used again.
    expect(usedPart({ ...reading, ownBytes: 100 * MIB }, 1000 * MIB)).toBeLessThan(0.2);
  });

  test('counts by the heap where that is nearer to its own limit', () => {
    expect(usedPart({ ...reading, heapUsedBytes: 4096 * MIB * 0.9 }, 1_000_000 * MIB)).toBeCloseTo(0.9);
  });

  test('can be read, and has a budget', () => {
    const { anonymousBytes, ownBytes, heapUsedBytes, heapLimitBytes } = readProcessMemory();
    expect(anonymousBytes).toBeGreaterThan(10 * MIB);
    expect(ownBytes).toBeGreaterThan(heapUsedBytes);
    expect(heapLimitBytes).toBeGreaterThan(heapUsedBytes);
    expect(defaultMemoryBudget()).toBeGreaterThan(100 * MIB);
  });

  test('is read where no file can be opened any more, as many connections take care of that', () => {
    const child = fileURLToPath(new URL('without-files-child.ts', import.meta.url));
    const limited = ['-c', 'ulimit -n 200 && exec "$0" "$1"', process.execPath, child];
    const { stdout, stderr } = spawnSync('sh', limited, {
      encoding: 'utf8',
      timeout: 60_000,
      env: { PATH: process.env.PATH },
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'EMFILE true\n', stderr: '' });
  });

  test('grows with buffers that were written to, and shrinks without them', () => {
    const before = readProcessMemory();
    const held = Buffer.alloc(64 * MIB, 1);
    const during = readProcessMemory();
    expect(during.anonymousBytes - before.anonymousBytes).toBeGreaterThan(50 * MIB);
    expect(during.ownBytes - before.ownBytes).toBeGreaterThan(50 * MIB);
    expect(held[0]).toBe(1);
  });
});
