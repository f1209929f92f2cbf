import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { RecentMap } from '../lib/recent-map.ts';
import type { Verdict } from './authenticator.ts';

/** How much is remembered, and for how long. */
export interface VerdictCacheOptions {
  /** Above it the oldest are forgotten; 1 and above. */
  readonly entriesMax: number;
  /** How long a verdict is good for, ms; 0 for not at all. */
  readonly forMs: number;
  readonly clock: Clock;
}

interface Entry {
  readonly verdict: Verdict;
  /** By the clock, ms since the epoch. */
  readonly until: number;
}

/**
 * Verdicts by what they were asked for with. What was asked is kept as a hash with a key of this process: it holds
 * passwords, which can neither be read nor guessed from that.
 */
export class VerdictCache {
  readonly #options: VerdictCacheOptions;
  readonly #key = randomBytes(32);
  readonly #entries: RecentMap<string, Entry>;

  constructor(options: VerdictCacheOptions) {
    this.#options = options;
    this.#entries = new RecentMap(options.entriesMax);
  }

  /** What a question is remembered by. */
  keyOf(question: string): string {
    return createHmac('sha256', this.#key).update(question).digest('base64');
  }

  /** A verdict that is still good. */
  get(key: string): Verdict | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#options.clock.now() < entry.until) return entry?.verdict;
    this.#entries.delete(key);
    return undefined;
  }

  /** Remembers a verdict, at most as long as the right to be connected lasts. */
  set(key: string, verdict: Verdict): void {
    const { forMs, clock } = this.#options;
    const expiresAt = (verdict.kind === 'accepted' ? verdict.expiresAt : undefined) ?? Infinity;
    const leftMs = Math.min(forMs, expiresAt - clock.calendarNow());
    if (leftMs > 0) this.#entries.set(key, { verdict, until: clock.now() + leftMs });
  }
}
