import { SystemTimers, type TimerHandle, type Timers } from '../../src/lib/timers.ts';

/** The system's time, which a test can put forward: clocks jump, and what is set keeps its remaining wait. */
export class ShiftedTimers implements Timers {
  readonly #system: SystemTimers = new SystemTimers();
  #shiftMs = 0;

  now(): number {
    return this.#system.now() + this.#shiftMs;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return this.#system.after(delayMs, callback);
  }

  cancel(timer: TimerHandle): void {
    this.#system.cancel(timer);
  }

  shift(ms: number): void {
    this.#shiftMs += ms;
  }

  clear(): void {
    this.#system.clear();
  }
}
