import { expect, test } from 'vitest';
import { WorkerRestarts } from '../../src/cli/worker-restarts.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

/** Ends it so often, each time as soon as it was started again; what it is told to wait. */
function delays(restarts: WorkerRestarts, clock: FakeClock, times: number, readyMs?: number): (number | undefined)[] {
  return Array.from({ length: times }, () => {
    if (readyMs !== undefined) {
      restarts.ready();
      clock.advance(readyMs);
    }
    const delayMs = restarts.ended();
    clock.advance(delayMs ?? 0);
    return delayMs;
  });
}

test('a worker that was ready is started again for ever, each time later, until it has run for a minute', () => {
  const clock = new FakeClock();
  const restarts = new WorkerRestarts(clock);
  expect(delays(restarts, clock, 9, 59_999)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(delays(restarts, clock, 2, 60_000)).toEqual([500, 500]);
  expect(delays(restarts, clock, 2)).toEqual([1_000, 2_000]);
});

test('a worker that was never ready is given up when it ends for the sixth time within a minute', () => {
  const clock = new FakeClock();
  const restarts = new WorkerRestarts(clock);
  expect(restarts.wasReady).toBe(false);
  expect(delays(restarts, clock, 6)).toEqual([500, 1_000, 2_000, 4_000, 8_000, undefined]);
});

test('a worker that was never ready and takes longer to fail is tried again for ever', () => {
  const clock = new FakeClock();
  const restarts = new WorkerRestarts(clock);
  for (let end = 0; end < 50; end++) {
    clock.advance(12_000);
    expect(restarts.ended()).toBeLessThanOrEqual(30_000);
  }
});
