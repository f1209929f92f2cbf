import type { Clock, Timer } from '../../src/lib/clock.ts';

/**
 * A view of a clock that ends with the process that uses it: nothing it was asked for happens after `kill`. While it is
 * paused the process stands still: what falls due happens when it goes on, in order.
 */
export class MortalClock implements Clock {
  readonly #clock: Clock;
  readonly #timers: Set<Timer> = new Set();
  #state: 'running' | 'paused' | 'dead' = 'running';
  #held: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  now(): number {
    return this.#clock.now();
  }

  calendarNow(): number {
    return this.#clock.calendarNow();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = this.#clock.setTimeout(() => {
      this.run(() => {
        if (this.#timers.delete(handle)) callback();
      });
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
    this.#clock.setImmediate(() => this.run(callback));
  }

  /** Does what comes to the process from outside: now, when it goes on, or never. */
  run(callback: () => void): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'paused' || this.#held.length > 0) this.#held.push(callback);
    else callback();
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** Goes on, with what has been held first, one thing a turn. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#clock.setImmediate(() => this.#goOn());
  }

  #goOn(): void {
    if (this.#state !== 'running') return;
    this.#held[0]?.();
    this.#held.shift();
    if (this.#held.length > 0) this.#clock.setImmediate(() => this.#goOn());
  }

  /** Ends it. */
  kill(): void {
    this.#state = 'dead';
    this.#held = [];
    for (const timer of [...this.#timers]) timer.cancel();
  }
}
