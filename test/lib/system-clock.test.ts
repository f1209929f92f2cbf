import { performance as monotonic } from 'node:perf_hooks';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/lib/system-clock.ts';

const DAY_MS = 86_400_000;

describe('the system clock', () => {
  test('tells the time since the Unix epoch and never goes backwards', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(60_000);
    let last = systemClock.now();
    for (let count = 0; count < 10_000; count++) {
      const now = systemClock.now();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  test('runs an immediate after the current turn', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      systemClock.setImmediate(() => {
        order.push('immediate');
        resolve();
      });
      order.push('turn');
    });
    expect(order).toEqual(['turn', 'immediate']);
  });

  test('never runs a timer before its time', async () => {
    for (let count = 0; count < 20; count++) {
      const startMs = systemClock.now();
      await new Promise<void>((resolve) => {
        systemClock.setTimeout(resolve, 1.5);
      });
      expect(systemClock.now() - startMs).toBeGreaterThanOrEqual(1.5);
    }
  });
});

describe('a timer of the system clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    // The fake is a global; the clock reads what that global stands for.
    vi.spyOn(monotonic, 'now').mockImplementation(() => performance.now());
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  test('waits longer than Node can in one go', () => {
    const callback = vi.fn<() => void>();
    systemClock.setTimeout(callback, 60 * DAY_MS);
    vi.advanceTimersByTime(60 * DAY_MS - 1);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(callback).toHaveBeenCalledOnce();
  });

  test.each([0, 30])('can be cancelled after %i of 60 days', (days) => {
    const callback = vi.fn<() => void>();
    const timer = systemClock.setTimeout(callback, 60 * DAY_MS);
    vi.advanceTimersByTime(days * DAY_MS);
    timer.cancel();
    vi.advanceTimersByTime(90 * DAY_MS);
    expect(callback).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('can be cancelled after it has run', () => {
    const callback = vi.fn<() => void>();
    const timer = systemClock.setTimeout(callback, 5);
    vi.advanceTimersByTime(6);
    timer.cancel();
    expect(callback).toHaveBeenCalledOnce();
  });
});
