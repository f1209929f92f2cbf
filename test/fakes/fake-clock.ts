import type { Clock, Timer } from '../../src/lib/clock.ts';

/** More rounds than this without coming to rest is a loop in what is tested. */
const MAX_ROUNDS = 100_000;

class FakeTimer implements Timer {
  readonly deadlineMs: number;
  readonly callback: () => void;
  readonly #timers: FakeTimer[];

  constructor(timers: FakeTimer[], deadlineMs: number, callback: () => void) {
    this.#timers = timers;
    this.deadlineMs = deadlineMs;
    this.callback = callback;
  }

  cancel(): void {
    const index = this.#timers.indexOf(this);
    if (index >= 0) this.#timers.splice(index, 1);
  }
}

/** Lets every microtask, and whatever the process does for real in a turn of its loop, run. */
function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A clock that stands still until it is told to move. */
export class FakeClock implements Clock {
  /** By how much the clock on the wall was set after the start. */
  calendarAheadMs = 0;
  #nowMs: number;
  /** By deadline; of equal deadlines the one set first. */
  readonly #timers: FakeTimer[] = [];
  #immediates: (() => void)[] = [];

  /** @param nowMs where it starts, in milliseconds since the Unix epoch. */
  constructor(nowMs: number = Date.UTC(2025, 0, 1)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  calendarNow(): number {
    return this.#nowMs + this.calendarAheadMs;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = new FakeTimer(this.#timers, this.#nowMs + Math.max(0, delayMs), callback);
    const index = this.#timers.findLastIndex((other) => other.deadlineMs <= timer.deadlineMs);
    this.#timers.splice(index + 1, 0, timer);
    return timer;
  }

  setImmediate(callback: () => void): void {
    this.#immediates.push(callback);
  }

  /** How many timers have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** How many callbacks wait for the end of the turn. */
  get pendingImmediates(): number {
    return this.#immediates.length;
  }

  /** Moves time on by so many milliseconds and runs the timers that fall due, in order, each at its own time. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    while (this.#runNextTimer(untilMs));
    this.#nowMs = untilMs;
  }

  /** Runs the immediates that are pending now, not those they set; one turn of the loop. */
  runImmediates(): void {
    const due = this.#immediates;
    this.#immediates = [];
    for (const callback of due) callback();
  }

  /** Runs immediates and microtasks until there are none; time stands still. */
  async settle(): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      await turnOfTheLoop();
      if (this.#immediates.length === 0) return;
      this.runImmediates();
    }
    throw new Error(`The clock has not come to rest after ${MAX_ROUNDS} rounds.`);
  }

  /** Like `advance`, but everything settles before the first timer and after each. */
  async pass(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await this.settle();
    while (this.#runNextTimer(untilMs)) await this.settle();
    this.#nowMs = untilMs;
  }

  /** Runs the first timer if it is due by then. */
  #runNextTimer(untilMs: number): boolean {
    const timer = this.#timers[0];
    if (timer === undefined || timer.deadlineMs > untilMs) return false;
    this.#timers.shift();
    this.#nowMs = timer.deadlineMs;
    timer.callback();
    return true;
  }
}
