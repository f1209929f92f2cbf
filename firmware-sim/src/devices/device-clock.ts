import type { DeviceClock } from '../scenario/scenario.ts';

/** A device's own clock, as wrong as its class says. */
export class DriftingClock {
  readonly #offsetMs: number;
  readonly #drift: number;
  readonly #startedAt: number;

  /** @param startedAt when the device was made, ms on the clock of Timers; it drifts from there. */
  constructor(clock: DeviceClock, startedAt: number) {
    this.#offsetMs = clock.offsetSeconds * 1000;
    this.#drift = clock.driftPpm / 1e6;
    this.#startedAt = startedAt;
  }

  /** What it shows at `now`; both ms since 1970. */
  read(now: number): number {
    return now + this.#offsetMs + (now - this.#startedAt) * this.#drift;
  }
}
