import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Timer } from '../../src/lib/clock.ts';
import { DeadlineHeap, type Deadline } from '../../src/lib/deadline-heap.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

/** Counts the timers that are set, which is what the heap is there to spare. */
class CountingClock extends FakeClock {
  timersSet = 0;
  longestMs = 0;

  override setTimeout(callback: () => void, delayMs: number): Timer {
    this.timersSet++;
    this.longestMs = Math.max(this.longestMs, delayMs);
    return super.setTimeout(callback, delayMs);
  }
}

class TestDeadline implements Deadline {
  at = 0;
  index = -1;
  /** `index` as it was while it ran. */
  indexWhileRunning: number | undefined;
  readonly #react: (now: number) => void;

  constructor(react: (now: number) => void) {
    this.#react = react;
  }

  onDeadline(now: number): void {
    this.indexWhileRunning = this.index;
    this.#react(now);
  }
}

interface Bench {
  clock: CountingClock;
  heap: DeadlineHeap;
  ran: string[];
  errors: unknown[];
  deadline: (name: string) => TestDeadline;
}

function newBench(nowMs = 1000): Bench {
  const clock = new CountingClock(nowMs);
  const errors: unknown[] = [];
  const ran: string[] = [];
  const heap = new DeadlineHeap(clock, (error) => errors.push(error));
  return { clock, heap, ran, errors, deadline: (name) => new TestDeadline((now) => ran.push(`${name}@${now}`)) };
}

describe('deadlines', () => {
  test('run once, at their time and in order', () => {
    const { clock, heap, ran, deadline } = newBench();
    for (const at of [1030, 1010, 1050, 1020, 1040]) heap.schedule(deadline(`${at}`), at);
    clock.advance(30);
    expect(ran).toEqual(['1010@1010', '1020@1020', '1030@1030']);
    clock.advance(1000);
    expect(ran.slice(3)).toEqual(['1040@1040', '1050@1050']);
    expect(heap.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('all run, in order, when time jumped over several', () => {
    const clock = new CountingClock(0);
    const ran: number[] = [];
    const heap = new DeadlineHeap(clock, () => undefined);
    // The timer is set for 5; what is due by the time it runs runs with it.
    const late = new TestDeadline(() => undefined);
    heap.schedule(late, 5);
    clock.advance(4);
    for (const at of [3, 1, 2]) heap.schedule(new TestDeadline(() => ran.push(at)), at);
    expect(ran).toEqual([]);
    clock.advance(0);
    expect(ran).toEqual([1, 2, 3]);
    expect(heap.size).toBe(1);
  });

  test('can be moved both ways and cancelled, also by one that runs at the same time', () => {
    const { clock, heap, ran, deadline } = newBench();
    const a = deadline('a');
    const b = deadline('b');
    const c = deadline('c');
    const d = deadline('d');
    heap.schedule(a, 1010);
    heap.schedule(b, 1050);
    heap.schedule(c, 1020);
    heap.schedule(a, 1040);
    heap.schedule(b, 1005);
    heap.schedule(
      new TestDeadline(() => {
        heap.cancel(d);
        heap.schedule(a, 1016);
      }),
      1015,
    );
    heap.schedule(d, 1015);
    heap.cancel(c);
    heap.cancel(c);
    clock.advance(100);
    expect(ran.filter((entry) => entry !== 'd@1015')).toEqual(['b@1005', 'a@1016']);
    expect([a, b, c, d].map((each) => each.index)).toEqual([-1, -1, -1, -1]);
  });

  test('keep their order when the one that fills a gap is earlier than those above it', () => {
    const { clock, heap, ran, deadline } = newBench(0);
    const gap = deadline('gap');
    for (const at of [1, 10, 2, 11, 12, 3, 4]) heap.schedule(at === 11 ? gap : deadline(`${at}`), at);
    heap.cancel(gap);
    for (const at of [50, 51, 52, 53]) heap.schedule(deadline(`${at}`), at);
    clock.advance(100);
    expect(ran).toEqual([1, 2, 3, 4, 10, 12, 50, 51, 52, 53].map((at) => `${at}@${at}`));
  });

  test('Infinity is never, and what is not a number is refused', () => {
    const { clock, heap, ran, deadline } = newBench();
    const never = deadline('never');
    heap.schedule(never, Number.POSITIVE_INFINITY);
    expect([never.index, heap.size, clock.pendingTimers]).toEqual([-1, 0, 0]);
    heap.schedule(never, 1001);
    heap.schedule(never, Number.POSITIVE_INFINITY);
    expect([never.index, heap.size]).toEqual([-1, 0]);
    clock.advance(10);
    expect(ran).toEqual([]);
    expect(() => heap.schedule(never, Number.NaN)).toThrow(RangeError);
  });

  test('of years ahead run when the years have passed', () => {
    const { clock, heap, ran, deadline } = newBench();
    const yearMs = 365 * 86_400_000;
    heap.schedule(deadline('long'), 1000 + 10 * yearMs);
    clock.advance(10 * yearMs - 1);
    expect(ran).toEqual([]);
    clock.advance(1);
    expect(ran).toEqual([`long@${1000 + 10 * yearMs}`]);
    expect(clock.longestMs).toBeLessThanOrEqual(0x7fff_ffff);
  });

  test('one that throws does not keep others from running', () => {
    const { clock, heap, ran, errors, deadline } = newBench();
    heap.schedule(deadline('before'), 1001);
    heap.schedule(
      new TestDeadline(() => {
        throw new Error('thrown by a test');
      }),
      1001,
    );
    heap.schedule(deadline('after'), 1001);
    heap.schedule(deadline('later'), 1002);
    clock.advance(5);
    expect(ran.sort()).toEqual(['after@1001', 'before@1001', 'later@1002']);
    expect(errors).toEqual([new Error('thrown by a test')]);
  });

  test('go on after an error handler that throws', () => {
    const clock = new CountingClock(0);
    const ran: string[] = [];
    const heap = new DeadlineHeap(clock, (error) => {
      throw error;
    });
    heap.schedule(
      new TestDeadline(() => {
        throw new Error('thrown by a test');
      }),
      1,
    );
    heap.schedule(new TestDeadline(() => ran.push('after')), 2);
    expect(() => clock.advance(1)).toThrow('thrown by a test');
    clock.advance(1);
    expect(ran).toEqual(['after']);
  });

  test('one that is always due again lets the others and the program have their turn', () => {
    const { clock, heap, ran, deadline } = newBench();
    let runs = 0;
    const greedy = new TestDeadline((now) => {
      runs++;
      if (runs < 5) heap.schedule(greedy, now - 1);
    });
    heap.schedule(greedy, 1001);
    clock.setTimeout(() => ran.push(`program after ${runs}`), 1);
    heap.schedule(deadline('other'), 1001);
    clock.advance(1);
    expect(runs).toBe(5);
    expect(ran).toContain('other@1001');
    expect(ran.find((entry) => entry.startsWith('program'))).toMatch(/after [12]$/);
  });
});

describe('timers of the clock', () => {
  test('are spared when deadlines are moved later, again and again', () => {
    const { clock, heap, ran, deadline } = newBench();
    const deadlines = Array.from({ length: 1000 }, (_, i) => deadline(`${i}`));
    for (const each of deadlines) heap.schedule(each, 2000);
    for (let step = 0; step < 500; step++) {
      clock.advance(1);
      for (const each of deadlines) heap.schedule(each, clock.now() + 1000);
    }
    expect(clock.timersSet).toBe(1);
    expect(ran).toEqual([]);
    clock.advance(999);
    expect(ran).toEqual([]);
    clock.advance(1);
    expect(ran.length).toBe(1000);
    expect(clock.timersSet).toBe(2);
  });

  test('are spared while deadlines run that schedule others', () => {
    const { clock, heap, deadline } = newBench();
    for (let i = 0; i < 100; i++) {
      heap.schedule(new TestDeadline((now) => heap.schedule(deadline(`${i}`), now + 100 - i)), 1001);
    }
    clock.advance(1);
    expect(heap.size).toBe(100);
    expect(clock.timersSet).toBe(2);
  });

  test('there is never more than one, and none after close', () => {
    const { clock, heap, ran, deadline } = newBench();
    const held = deadline('held');
    for (let at = 2000; at > 1500; at--) heap.schedule(deadline(`${at}`), at);
    heap.schedule(held, 1400);
    expect(clock.pendingTimers).toBe(1);
    heap.close();
    expect([clock.pendingTimers, heap.size, held.index]).toEqual([0, 0, -1]);
    heap.schedule(held, 1001);
    expect([clock.pendingTimers, heap.size, held.index]).toEqual([0, 0, -1]);
    clock.advance(5000);
    expect(ran).toEqual([]);
  });

  test('stay off when a deadline closes the heap', () => {
    const { clock, heap, ran, deadline } = newBench();
    heap.schedule(new TestDeadline(() => heap.close()), 1001);
    heap.schedule(deadline('other'), 1002);
    clock.advance(10);
    expect(ran).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});

test('against a naive model, with deadlines that schedule and cancel others', () => {
  const count = 30;
  const which = fc.integer({ min: 0, max: count - 1 });
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ schedule: which, inMs: fc.integer({ min: -5, max: 60 }) }) },
    { weight: 1, arbitrary: fc.record({ cancel: which }) },
  );
  const step = fc.oneof(
    { weight: 3, arbitrary: action },
    { weight: 1, arbitrary: fc.record({ advance: fc.nat({ max: 40 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.array(action, { maxLength: 20 }), (steps, reactions) => {
      const clock = new CountingClock(0);
      const heap = new DeadlineHeap(clock, (error) => {
        throw error;
      });
      /** When each of the scheduled is due. */
      const model = new Map<number, number>();
      let reaction = 0;
      const act = (what: (typeof reactions)[number]): void => {
        if ('cancel' in what) {
          heap.cancel(deadlines[what.cancel]!);
          model.delete(what.cancel);
        } else {
          heap.schedule(deadlines[what.schedule]!, clock.now() + what.inMs);
          model.set(what.schedule, clock.now() + what.inMs);
        }
      };
      const deadlines = Array.from(
        { length: count },
        (_, i) =>
          new TestDeadline((now) => {
            // It is its turn: due, and nothing that was scheduled is due earlier.
            expect(deadlines[i]!.indexWhileRunning).toBe(-1);
            expect(model.get(i)).toBeLessThanOrEqual(now);
            expect(model.get(i)).toBe(Math.min(...model.values()));
            model.delete(i);
            const next = reactions[reaction++];
            if (next !== undefined) act(next);
          }),
      );
      for (const each of steps) {
        if ('advance' in each) clock.advance(each.advance);
        else act(each);
        // Only what was scheduled for the past since time was moved last may be overdue.
        const overdue = [...model.values()].filter((at) => at <= clock.now());
        expect('advance' in each ? overdue : []).toEqual([]);
        expect(heap.size).toBe(model.size);
        for (const [i, each_] of deadlines.entries()) expect(each_.index >= 0).toBe(model.has(i));
      }
    }),
    { numRuns: 500 },
  );
});
