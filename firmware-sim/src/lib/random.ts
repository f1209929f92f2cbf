/**
 * A seeded source of pseudo-random numbers (sfc32). Every device forks its own by name, so that what one device draws
 * does not depend on when others draw: a run can be repeated from its seed.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #seed: number;

  /** @param seed any integer; only its low 32 bits count. */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#a = this.#seed;
    this.#b = 0x9e3779b9;
    this.#c = 0x243f6a88;
    for (let round = 0; round < 12; round++) this.next();
  }

  /** A source of its own for `name`, the same for the same seed and name, whatever was drawn before. */
  fork(name: string): Random {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    return new Random(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d));
  }

  /** From 0 to below 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** An integer from 0 to below `limit` (1 to 2^32). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** From `low` to below `high`. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** True with a probability from 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Waiting time to the next of events that come at random, `mean` apart on average (same unit). */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  /** Normally distributed. */
  normal(mean: number, deviation: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.next());
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
