import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from './clock.ts';

/** The longest delay Node takes; a longer one would run at once. */
const MAX_DELAY_MS = 2_147_483_647;

/** When the process began, ms since the Unix epoch; a getter, as the global `performance` is one. */
const START_MS: number = performance.timeOrigin;

/** Milliseconds since the Unix epoch, read from the monotonic clock: a changed wall clock does not move it. */
function monotonicNow(): number {
  return START_MS + performance.now();
}

/** One pending callback. Node may wake it early (by rounding) or must (by `MAX_DELAY_MS`); then it waits for the rest. */
class SystemTimer implements Timer {
  readonly #callback: () => void;
  readonly #deadlineMs: number;
  #handle: NodeJS.Timeout;

  constructor(callback: () => void, delayMs: number) {
    this.#callback = callback;
    this.#deadlineMs = monotonicNow() + delayMs;
    this.#handle = this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  static readonly #wake = (timer: SystemTimer): void => {
    const restMs = timer.#deadlineMs - monotonicNow();
    if (restMs > 0) timer.#handle = timer.#arm(restMs);
    else timer.#callback();
  };

  #arm(delayMs: number): NodeJS.Timeout {
    return setTimeout(SystemTimer.#wake, Math.min(Math.ceil(delayMs), MAX_DELAY_MS), this);
  }
}

/** The clock of the running process: real time that never goes backwards, Node's timers and immediates. */
export const systemClock: Clock = {
  now: monotonicNow,
  calendarNow: Date.now,
  setTimeout(callback: () => void, delayMs: number): Timer {
    return new SystemTimer(callback, delayMs);
  },
  setImmediate(callback: () => void): void {
    setImmediate(callback);
  },
};
