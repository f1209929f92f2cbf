import type { Clock, Timer } from '../../src/lib/clock.ts';

/** A view of a clock that ends with the process that uses it: nothing it was asked for happens after `kill`. */
export class MortalClock implements Clock {
  readonly #clock: Clock;
  readonly #timers: Set<Timer> = new Set();
  #isDead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#clock.now();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(handle);
      if (!this.#isDead) callback();
    }, delayMs);
    const handle: Timer = {
      cancel: () => {
        this.#timers.delete(handle);
        timer.cancel();
      },
    };
    this.#timers.add(handle);
    return handle;
  }

  setImmediate(callback: () => void): void {
    this.#clock.setImmediate(() => {
      if (!this.#isDead) callback();
    });
  }

  /** Ends it. */
  kill(): void {
    this.#isDead = true;
    for (const timer of [...this.#timers]) timer.cancel();
  }
}
