import type { TimerHandle, Timers } from '../lib/timers.ts';

/** How many due times are told in one turn; what is late beyond that waits for the next, so that sockets get theirs. */
const duePerTurnMax = 100;

/** Something that comes at fixed times, however late the process is: an open loop. */
export class Schedule {
  readonly #timers: Timers;
  readonly #everyMs: number;
  readonly #onDue: (dueAt: number) => void;
  /** The times are `#base + n * #periodMs`: a sum would drift. */
  #periodMs: number;
  #base: number;
  #next = 0;
  #timer: TimerHandle | undefined;

  /**
   * @param everyMs above 0.
   * @param firstAt the first time, ms on the clock of Timers.
   */
  constructor(timers: Timers, everyMs: number, firstAt: number, onDue: (dueAt: number) => void) {
    this.#timers = timers;
    this.#everyMs = everyMs;
    this.#periodMs = everyMs;
    this.#base = firstAt;
    this.#onDue = onDue;
  }

  /** Goes on with the next time that is not over. */
  start(): void {
    if (this.#timer !== undefined) return;
    const now = this.#timers.now();
    this.#next = Math.max(this.#next, Math.ceil((now - this.#base) / this.#periodMs));
    this.#arm();
  }

  /** Times that fall due from now on are left out. */
  stop(): void {
    if (this.#timer === undefined) return;
    this.#timers.cancel(this.#timer);
    this.#timer = undefined;
  }

  /** Comes `factor` (above 0) times as often as at first from now on; the part of the period that is over stays over. */
  pace(factor: number): void {
    const isRunning = this.#timer !== undefined;
    const now = this.#timers.now();
    if (isRunning) this.#tell(Number.POSITIVE_INFINITY);
    else this.#next = Math.max(this.#next, Math.ceil((now - this.#base) / this.#periodMs));
    const rest = (this.#dueAt - now) / this.#periodMs;
    this.#periodMs = this.#everyMs / factor;
    this.#base = now + rest * this.#periodMs;
    this.#next = 0;
    if (this.#timer === undefined) return;
    this.stop();
    this.#arm();
  }

  get #dueAt(): number {
    return this.#base + this.#next * this.#periodMs;
  }

  #arm(): void {
    this.#timer = this.#timers.after(this.#dueAt - this.#timers.now(), this.#fire);
  }

  readonly #fire = (): void => {
    this.#tell(duePerTurnMax);
    if (this.#timer !== undefined) this.#arm();
  };

  /** Tells what is due, at most `limit` times; ends early where it is stopped meanwhile. */
  #tell(limit: number): void {
    const now = this.#timers.now();
    for (let told = 0; told < limit && this.#timer !== undefined; told++) {
      const dueAt = this.#dueAt;
      if (dueAt > now) return;
      this.#next++;
      this.#onDue(dueAt);
    }
  }
}
