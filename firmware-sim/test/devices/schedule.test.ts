import { describe, expect, it } from 'vitest';
import { Schedule } from '../../src/devices/schedule.ts';
import type { Timers } from '../../src/lib/timers.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';

interface Told {
  readonly dueAt: number;
  readonly at: number;
}

interface ScheduleScene {
  readonly timers: FakeTimers;
  readonly told: Told[];
  readonly schedule: Schedule;
  /** The clock goes on by `ms`, and no timer fires meanwhile. */
  readonly hang: (ms: number) => void;
}

function schedule(everyMs: number, firstAt: number): ScheduleScene {
  const timers = new FakeTimers(0);
  const told: Told[] = [];
  let lateMs = 0;
  const late: Timers = {
    now: () => timers.now() + lateMs,
    after: (delayMs, callback) => timers.after(delayMs, callback),
    cancel: (timer) => timers.cancel(timer),
  };
  return {
    timers,
    told,
    schedule: new Schedule(late, everyMs, firstAt, (dueAt) => told.push({ dueAt, at: late.now() })),
    hang: (ms) => {
      lateMs += ms;
    },
  };
}

describe('a schedule', () => {
  it('comes at the first time and then every period, on time', () => {
    const { timers, told, schedule: open } = schedule(100, 30);
    open.start();
    timers.advance(430);
    expect(told).toEqual([30, 130, 230, 330, 430].map((dueAt) => ({ dueAt, at: dueAt })));
  });

  it('does not drift in many periods that no binary fraction can express', () => {
    const { timers, told, schedule: open } = schedule(0.1, 0.05);
    open.start();
    timers.advance(2000);
    expect(told).toHaveLength(20_000);
    expect(told.at(-1)?.dueAt).toBeCloseTo(1999.95, 9);
  });

  it('catches up when the process was late, with the times of the schedule', () => {
    const { timers, told, schedule: open, hang } = schedule(10, 5);
    open.start();
    hang(95);
    timers.advance(0);
    timers.advance(5);
    expect(told.map(({ dueAt }) => dueAt)).toEqual([5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
    expect(new Set(told.map(({ at }) => at))).toEqual(new Set([100]));
  });

  it('lets others in between when very much is late', () => {
    const { timers, told, schedule: open, hang } = schedule(1, 1);
    let toldBefore = 0;
    open.start();
    hang(250);
    timers.after(1, () => {
      toldBefore = told.length;
    });
    timers.advance(1);
    expect(told).toHaveLength(251);
    expect(toldBefore).toBe(100);
  });

  it('leaves out what falls due while it is stopped, and keeps its beat', () => {
    const { timers, told, schedule: open } = schedule(100, 30);
    open.start();
    timers.advance(130);
    open.stop();
    timers.advance(255); // 385
    open.start();
    open.start();
    timers.advance(150);
    expect(told.map(({ dueAt }) => dueAt)).toEqual([30, 130, 430, 530]);
  });

  it('may be stopped by who is told', () => {
    const timers = new FakeTimers(0);
    const told: number[] = [];
    const open: Schedule = new Schedule(timers, 10, 10, (dueAt) => {
      told.push(dueAt);
      open.stop();
    });
    open.start();
    timers.advance(100);
    expect(told).toEqual([10]);
    expect(timers.pending).toBe(0);
  });
});

describe('a schedule whose pace changes', () => {
  it('keeps the part of the period that is over', () => {
    const { timers, told, schedule: open } = schedule(100, 100);
    open.start();
    timers.advance(140); // 40 of 100 are over: 60 % of a period remain
    open.pace(10);
    timers.advance(26);
    open.pace(1); // at 166, told at 146, 156, 166
    timers.advance(200);
    expect(told.map(({ dueAt }) => dueAt)).toEqual([100, 146, 156, 166, 266, 366]);
  });

  it('comes in all exactly as often as the pace says, whenever it changes', () => {
    const { timers, told, schedule: open } = schedule(100, 0);
    open.start();
    let expected = 0;
    for (const [ms, factor] of [
      [333, 1],
      [517, 3],
      [91, 0.5],
      [1000, 7.5],
      [777, 1],
    ] as const) {
      open.pace(factor);
      timers.advance(ms);
      expected += (ms * factor) / 100;
    }
    expect(told).toHaveLength(Math.floor(expected) + 1);
    for (const { dueAt, at } of told) expect(at).toBeCloseTo(dueAt, 6);
  });

  it('tells what was due before at the old pace', () => {
    const { timers, told, schedule: open, hang } = schedule(10, 10);
    open.start();
    hang(35);
    open.pace(0.5);
    timers.advance(65);
    expect(told.map(({ dueAt }) => dueAt)).toEqual([10, 20, 30, 45, 65, 85]);
  });

  it('may change while it is stopped', () => {
    const { timers, told, schedule: open } = schedule(100, 50);
    open.pace(2);
    timers.advance(500);
    expect(told).toEqual([]);
    open.start();
    timers.advance(100);
    expect(told.map(({ dueAt }) => dueAt)).toEqual([525, 575]);
  });
});
