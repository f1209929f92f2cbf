import type { Clock, Timer } from '../../src/lib/clock.ts';

/** The part of a fake clock that moves time; `FakeClock` has it. */
export interface MovableClock extends Clock {
  /** Lets `ms` milliseconds pass: runs the timers that fall due, in order. */
  advance(ms: number): void;
}

/**
 * A clock for real sockets under fake time: time and timers are those of the movable clock, while the ends of ticks are
 * real, since the bytes of real sockets come and go by themselves.
 */
export class SocketClock implements Clock {
  readonly #time: MovableClock;

  constructor(time: MovableClock) {
    this.#time = time;
  }

  now(): number {
    return this.#time.now();
  }

  calendarNow(): number {
    return this.#time.calendarNow();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    return this.#time.setTimeout(callback, delayMs);
  }

  setImmediate(callback: () => void): void {
    setImmediate(callback);
  }
}
