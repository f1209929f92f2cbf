import type { TimerHandle, Timers } from '../../src/lib/timers.ts';

interface FakeEntry extends TimerHandle {
  readonly callback: () => void;
}

/** Timers whose clock stands still until a test moves it. */
export class FakeTimers implements Timers {
  #now: number;
  /** By due time; of the same time, in the order they were set. */
  readonly #entries: FakeEntry[] = [];

  /** @param now where the clock begins, ms. */
  constructor(now = 1_000_000) {
    this.#now = now;
  }

  /** Timers that are set and have not fired. */
  get pending(): number {
    return this.#entries.length;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const entry: FakeEntry = { dueAt: this.#now + Math.max(0, delayMs), callback };
    let place = this.#entries.length;
    while (place > 0 && (this.#entries[place - 1] as FakeEntry).dueAt > entry.dueAt) place--;
    this.#entries.splice(place, 0, entry);
    return entry;
  }

  cancel(timer: TimerHandle): void {
    const place = this.#entries.indexOf(timer as FakeEntry);
    if (place !== -1) this.#entries.splice(place, 1);
  }

  /** Moves the clock by `ms` and fires what falls due on the way, each at its time, new timers included. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let first = this.#entries[0]; first !== undefined && first.dueAt <= end; first = this.#entries[0]) {
      this.#entries.shift();
      this.#now = Math.max(this.#now, first.dueAt);
      first.callback();
    }
    this.#now = end;
  }

  /** Moves the clock to the next timer and fires all of that time; false when there is none. */
  advanceToNext(): boolean {
    const first = this.#entries[0];
    if (first === undefined) return false;
    this.advance(Math.max(0, first.dueAt - this.#now));
    return true;
  }
}
