import type { Random } from '../lib/random.ts';

/** How long to wait before the next attempt to connect: doubled with each failure, and not the same for all devices. */
export class BackOff {
  readonly #lowMs: number;
  readonly #highMs: number;
  readonly #random: Random;
  #failures = 0;

  /** @param seconds the first waiting time, and the longest. */
  constructor(seconds: readonly [low: number, high: number], random: Random) {
    [this.#lowMs, this.#highMs] = [seconds[0] * 1000, seconds[1] * 1000];
    this.#random = random;
  }

  failed(): void {
    this.#failures++;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** ms; between half of the waiting time and all of it. */
  next(): number {
    const doublings = Math.min(30, Math.max(0, this.#failures - 1));
    return Math.min(this.#highMs, this.#lowMs * 2 ** doublings) * this.#random.between(0.5, 1);
  }
}
