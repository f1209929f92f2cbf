import type { Clock, Timer } from '../lib/clock.ts';
import type { Connection } from './connection.ts';

/** How often it goes round, ms. */
const SWEEP_MS = 1000;

/** Gives messages that are long in flight bytes of their own, so that none keeps what it was read with. Idle, it has no timer. */
export class InFlightSweep {
  readonly #connections: Iterable<Connection>;
  readonly #clock: Clock;
  #timer: Timer | undefined = undefined;

  constructor(connections: Iterable<Connection>, clock: Clock) {
    this.#connections = connections;
    this.#clock = clock;
  }

  /** Something is in flight: it goes round before long, and again for as long as something is. */
  soon(): void {
    this.#timer ??= this.#clock.setTimeout(() => this.#sweep(), SWEEP_MS);
  }

  /** Ends its timer. */
  close(): void {
    this.#timer?.cancel();
  }

  #sweep(): void {
    this.#timer = undefined;
    for (const { session } of this.#connections) {
      if (session === undefined || session.inFlightCount === 0) continue;
      session.detachMessages();
      this.soon();
    }
  }
}
