/** What {@link Timers.after} gave out, to cancel it by; opaque. */
export interface TimerHandle {
  /** When it is due, ms on the clock of its {@link Timers}. */
  readonly dueAt: number;
}

/**
 * Time for everything in the simulator that waits: one clock and one heap, however many devices there are. Tests use
 * a fake that is moved by hand.
 */
export interface Timers {
  /** Milliseconds with fractions, monotonic, the same in all threads of the process. */
  now(): number;
  /** Calls back once, `delayMs` (0 or more) from now; never before this call has returned. */
  after(delayMs: number, callback: () => void): TimerHandle;
  /** Takes a timer back; one that has fired already is left alone. */
  cancel(timer: TimerHandle): void;
}

interface Entry extends TimerHandle {
  readonly callback: () => void;
  /** Place in the heap; -1 when it is not in it any more. */
  place: number;
}

/** Timers of the system's clock: a binary heap by due time and one timer of Node for its first entry. */
export class SystemTimers implements Timers {
  readonly #heap: Entry[] = [];
  #armed: NodeJS.Timeout | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  /** Of the process, not of the thread. Kept, as asking for it costs more than asking for the time. */
  readonly #origin = performance.timeOrigin;

  now(): number {
    return this.#origin + performance.now();
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const entry: Entry = { dueAt: this.now() + Math.max(0, delayMs), callback, place: this.#heap.length };
    this.#heap.push(entry);
    this.#rise(entry);
    if (entry.place === 0) this.#arm();
    return entry;
  }

  cancel(timer: TimerHandle): void {
    const entry = timer as Entry;
    if (entry.place !== -1) this.#remove(entry);
  }

  /** Forgets all timers, so that the process may end. */
  clear(): void {
    for (const entry of this.#heap) entry.place = -1;
    this.#heap.length = 0;
    clearTimeout(this.#armed);
    this.#armedFor = Number.POSITIVE_INFINITY;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.dueAt >= this.#armedFor) return;
    clearTimeout(this.#armed);
    this.#armedFor = first.dueAt;
    this.#armed = setTimeout(() => this.#fire(), Math.min(2 ** 31 - 1, Math.max(0, first.dueAt - this.now())));
  }

  #fire(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    // What falls due while the callbacks run waits for the next turn: sockets get theirs in between.
    const now = this.now();
    for (let first = this.#heap[0]; first !== undefined && first.dueAt <= now; first = this.#heap[0]) {
      this.#remove(first);
      first.callback();
    }
    this.#arm();
  }

  #remove(entry: Entry): void {
    const last = this.#heap.pop() as Entry;
    if (last !== entry) {
      last.place = entry.place;
      this.#heap[last.place] = last;
      this.#rise(last);
      this.#sink(last);
    }
    entry.place = -1;
  }

  #rise(entry: Entry): void {
    while (entry.place > 0) {
      const parent = this.#heap[(entry.place - 1) >> 1] as Entry;
      if (parent.dueAt <= entry.dueAt) break;
      this.#swap(parent, entry);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.place + 1];
      const right = this.#heap[2 * entry.place + 2];
      const least = right !== undefined && left !== undefined && right.dueAt < left.dueAt ? right : left;
      if (least === undefined || least.dueAt >= entry.dueAt) return;
      this.#swap(entry, least);
    }
  }

  #swap(upper: Entry, lower: Entry): void {
    this.#heap[lower.place] = upper;
    this.#heap[upper.place] = lower;
    [upper.place, lower.place] = [lower.place, upper.place];
  }
}
