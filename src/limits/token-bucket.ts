/**
 * Allows so much a second, and what was saved up to a burst at once. The caller that takes more than there is runs into
 * debt and is told how long to wait until that is paid: nothing is ever refused here.
 *
 *     100 a second, burst 100: take(100) -> 0 ms, take(50) -> 500 ms; 500 ms later take(1) -> 10 ms
 *
 * `take` costs some arithmetic on four numbers and makes nothing.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  /** @param perSecond above 0. @param burst above 0, full at first. @param now ms, as in `take`. */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes n at `now`, ms, never before an earlier call's. @returns how long to wait before the next, ms; 0 for not at all. */
  take(n: number, now: number): number {
    const tokens = this.#refill(now) - n;
    this.#tokens = tokens;
    return tokens >= 0 ? 0 : Math.ceil(-tokens / this.#perMs);
  }

  /** Takes n if they are there. @returns whether they were; otherwise nothing was taken. */
  takeIfThere(n: number, now: number): boolean {
    const tokens = this.#refill(now);
    if (tokens < n) return false;
    this.#tokens = tokens - n;
    return true;
  }

  #refill(now: number): number {
    const tokens = this.#tokens + (now - this.#at) * this.#perMs;
    this.#at = now;
    this.#tokens = tokens < this.#burst ? tokens : this.#burst;
    return this.#tokens;
  }
}
