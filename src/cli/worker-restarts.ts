import type { Clock } from '../lib/clock.ts';

/** Wait before the first new start, ms; each further one waits twice as long. */
const FIRST_DELAY_MS = 500;
/** Longest wait, ms. */
const LONGEST_DELAY_MS = 30_000;
/** A worker that was ready for so long, ms, is started again as at first. */
const STEADY_MS = 60_000;
/** A worker that was never ready may end so often within `WINDOW_MS`. */
const ENDS_MAX = 5;
/** Length of the window, ms. */
const WINDOW_MS = 60_000;

/** When one worker that has ended is started again. */
export class WorkerRestarts {
  readonly #clock: Clock;
  #delayMs: number = FIRST_DELAY_MS;
  #readyAt: number | undefined = undefined;
  #wasReady = false;
  /** When the worker ended, in the window, while it was never ready. */
  #ends: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The worker is ready. */
  ready(): void {
    this.#wasReady = true;
    this.#readyAt = this.#clock.now();
  }

  /** Whether the worker has been ready since the first start. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** The worker has ended. @returns how long to wait, ms, or undefined where another start is as hopeless as those before. */
  ended(): number | undefined {
    const now = this.#clock.now();
    if (this.#readyAt !== undefined && now - this.#readyAt >= STEADY_MS) this.#delayMs = FIRST_DELAY_MS;
    this.#readyAt = undefined;
    if (!this.#wasReady) {
      this.#ends = [...this.#ends.filter((end) => now - end < WINDOW_MS), now];
      if (this.#ends.length > ENDS_MAX) return undefined;
    }
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
    return delayMs;
  }
}
