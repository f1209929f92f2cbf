import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SystemTimers, type TimerHandle, type Timers } from '../../src/lib/timers.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';

const ascending = (a: number, b: number): number => a - b;

/** What a random test does to timers. */
type Step =
  | { readonly kind: 'after'; readonly delayMs: number }
  | { readonly kind: 'cancel'; readonly which: number }
  | { readonly kind: 'advance'; readonly ms: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('after' as const), delayMs: fc.integer({ min: 0, max: 500 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(100) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 200 }) }),
    },
  ),
  { maxLength: 120 },
);

/** Fires everything that the steps leave over, and compares with a plain list of what is due when. */
function checkAgainstList(timers: Timers, advance: (ms: number) => void, script: readonly Step[]): void {
  const start = timers.now();
  const expected = new Map<number, number>();
  const handles: TimerHandle[] = [];
  const fired: { id: number; dueAt: number; at: number }[] = [];
  for (const step of script) {
    if (step.kind === 'after') {
      const id = handles.length;
      const handle = timers.after(step.delayMs, () => fired.push({ id, dueAt: handle.dueAt, at: timers.now() }));
      handles.push(handle);
      expected.set(id, handle.dueAt);
    } else if (step.kind === 'cancel') {
      const id = step.which % Math.max(1, handles.length);
      const handle = handles[id];
      if (handle === undefined) continue;
      timers.cancel(handle);
      if (!fired.some((one) => one.id === id)) expected.delete(id);
    } else {
      advance(step.ms);
      const now = timers.now();
      expect(fired.map(({ id }) => id).sort(ascending)).toEqual(
        [...expected]
          .filter(([, dueAt]) => dueAt <= now)
          .map(([id]) => id)
          .sort(ascending),
      );
    }
  }
  advance(1000);
  expect(fired.map(({ id }) => id).sort(ascending)).toEqual([...expected.keys()].sort(ascending));
  expect(fired.map(({ dueAt }) => dueAt)).toEqual(fired.map(({ dueAt }) => dueAt).sort(ascending));
  expect(fired.every(({ at, dueAt }) => at >= dueAt && dueAt >= start)).toBe(true);
}

describe('SystemTimers', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('fires every timer once, in order and not early, whatever is set, taken back and passed by', () => {
    fc.assert(
      fc.property(steps, (script) => checkAgainstList(new SystemTimers(), (ms) => vi.advanceTimersByTime(ms), script)),
    );
  });

  it('never calls back before after() has returned, even without a delay', () => {
    const timers = new SystemTimers();
    const calls: string[] = [];
    timers.after(0, () => calls.push('fired'));
    timers.after(-5, () => calls.push('fired late'));
    calls.push('returned');
    vi.advanceTimersByTime(1);
    expect(calls[0]).toBe('returned');
    expect(new Set(calls)).toEqual(new Set(['fired', 'fired late', 'returned']));
    expect(calls).toHaveLength(3);
  });

  it('keeps its order when a timer is taken back amid others', () => {
    const timers = new SystemTimers();
    const fired: number[] = [];
    const handles = [1, 100, 2, 101, 102, 3, 4].map((delayMs) => timers.after(delayMs, () => fired.push(delayMs)));
    // Its place in the heap, below 100, goes to the last one, 4, which must not stay there.
    timers.cancel(handles[3] as TimerHandle);
    for (const delayMs of [200, 201, 202, 203]) timers.after(delayMs, () => {});
    vi.advanceTimersByTime(10);
    expect(fired).toEqual([1, 2, 3, 4]);
  });

  it('keeps one timer of the system, however many there are', () => {
    const timers = new SystemTimers();
    for (let count = 0; count < 1000; count++) timers.after(1 + ((count * 7919) % 1000), () => {});
    expect(vi.getTimerCount()).toBe(1);
  });

  it('fires a timer that is further away than a timer of the system can be', () => {
    const timers = new SystemTimers();
    const far = 2 ** 31 + 5000;
    let isFired = false;
    timers.after(far, () => {
      isFired = true;
    });
    vi.advanceTimersByTime(far - 10);
    expect(isFired).toBe(false);
    vi.advanceTimersByTime(20);
    expect(isFired).toBe(true);
  });

  it('leaves no timer of the system behind when all are forgotten', () => {
    const timers = new SystemTimers();
    let fired = 0;
    const forgotten = timers.after(10, () => fired++);
    timers.clear();
    expect(vi.getTimerCount()).toBe(0);
    timers.cancel(forgotten);
    timers.after(20, () => fired++);
    vi.advanceTimersByTime(30);
    expect(fired).toBe(1);
  });

  it('lets a callback take back a timer of the same time and set others', () => {
    const timers = new SystemTimers();
    const calls: string[] = [];
    const handles = ['a', 'b'].map((name, place) =>
      timers.after(10, () => {
        calls.push(name);
        timers.cancel(handles[1 - place] as TimerHandle);
        timers.after(5, () => calls.push(`after ${name}`));
      }),
    );
    vi.advanceTimersByTime(20);
    expect(calls).toHaveLength(2);
    expect(calls[1]).toBe(`after ${calls[0]}`);
  });
});

describe('SystemTimers.now', () => {
  it('is the same in all threads', async () => {
    const source = `
      const { parentPort } = require('node:worker_threads');
      import(process.argv[2]).then(({ SystemTimers }) => {
        const timers = new SystemTimers();
        parentPort.on('message', () => parentPort.postMessage(timers.now()));
        parentPort.postMessage(0);
      });`;
    const path = new URL('../../src/lib/timers.ts', import.meta.url).href;
    const worker = new Worker(source, { eval: true, argv: [path] });
    await once(worker, 'message');
    const timers = new SystemTimers();
    for (let round = 0; round < 20; round++) {
      const before = timers.now();
      worker.postMessage(0, []);
      const [there] = (await once(worker, 'message')) as [number];
      expect(there).toBeGreaterThan(before);
      expect(there).toBeLessThan(timers.now());
    }
    await worker.terminate();
  });
});

describe('FakeTimers', () => {
  it('behaves as the timers of the system do', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const timers = new FakeTimers();
        checkAgainstList(timers, (ms) => timers.advance(ms), script);
      }),
    );
  });

  it('fires what callbacks set on the way, at its time', () => {
    const timers = new FakeTimers(0);
    const at: number[] = [];
    const again = (): void => {
      at.push(timers.now());
      timers.after(10, again);
    };
    timers.after(10, again);
    timers.advance(35);
    expect(at).toEqual([10, 20, 30]);
    expect(timers.now()).toBe(35);
    expect(timers.pending).toBe(1);
  });
});
