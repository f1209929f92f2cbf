import type { Clock } from '../lib/clock.ts';

/** When a backend that fails is left alone, and for how long. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open it; 1 and above. */
  readonly failuresMax: number;
  /** How long it stays open before it lets one request through, ms; 1 and above. */
  readonly pauseMs: number;
  readonly clock: Clock;
  /** Told when it opens (`true`) and when it closes again. */
  readonly onChange: (isOpen: boolean) => void;
}

/**
 * Keeps requests from a backend that does not answer, so that clients need not wait for it in vain.
 *
 *     closed ── failures in a row ──► open ── pause ──► half-open: one request ── success ──► closed
 *                                      ▲                           └── failure ──┐
 *                                      └─────────────────────────────────────────┘
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #state: 'closed' | 'open' | 'half-open' = 'closed';
  #failures = 0;
  /** While open: when the next request may try. */
  #pauseEndsAt = 0;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  /** Whether a request would be refused now. */
  get refuses(): boolean {
    if (this.#state === 'closed') return false;
    return this.#state === 'half-open' || this.#options.clock.now() < this.#pauseEndsAt;
  }

  /** Asks to make a request; one that may must end in `succeeded` or `failed`. */
  tryEnter(): boolean {
    if (this.refuses) return false;
    if (this.#state === 'open') this.#state = 'half-open';
    return true;
  }

  /** The backend has answered; what it said does not matter. */
  succeeded(): void {
    const wasClosed = this.#state === 'closed';
    this.#state = 'closed';
    this.#failures = 0;
    if (!wasClosed) this.#options.onChange(false);
  }

  /** No usable answer came. Of requests made before it opened it is of no account any more. */
  failed(): void {
    if (this.#state === 'open') return;
    this.#failures += 1;
    if (this.#state === 'closed' && this.#failures < this.#options.failuresMax) return;
    const wasClosed = this.#state === 'closed';
    this.#state = 'open';
    this.#pauseEndsAt = this.#options.clock.now() + this.#options.pauseMs;
    if (wasClosed) this.#options.onChange(true);
  }
}
