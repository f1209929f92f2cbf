import type { Clock, Timer } from './clock.ts';

/** Something that is to happen at a time. It belongs to at most one heap, which alone writes `at` and `index`. */
export interface Deadline {
  /** When, in milliseconds since the epoch. */
  at: number;
  /** Position in the heap, -1 when not scheduled; -1 to begin with. */
  index: number;
  /** Called once when the time has come, after it is taken out of the heap. */
  onDeadline(now: number): void;
}

/** The longest delay a timer takes; later deadlines are looked at again after it. */
const MAX_DELAY_MS = 0x7fff_ffff;

/**
 * The deadlines of all clients behind one timer of the clock.
 *
 * A binary heap orders deadlines by a key which is at most their time. Moving a deadline later, as every packet does with
 * a keep alive, writes its time and nothing else: the key is brought up to it when it reaches the top. So it costs
 * O(1), and O(log n) once per key that falls due. The timer is likewise left alone when the first deadline is moved later
 * or cancelled: it fires in vain once and is armed anew.
 *
 *     keys    [ 5,  9,  7 ]     top: key 5, but at = 20 -> key 20, sinks -> [ 7, 9, 20 ]
 *     at      [20,  9,  7 ]
 */
export class DeadlineHeap {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #onTimer = (): void => this.#run();
  readonly #deadlines: Deadline[] = [];
  readonly #keys: number[] = [];
  #timer: Timer | undefined;
  /** When the timer fires; Infinity without one. */
  #timerAt = Number.POSITIVE_INFINITY;
  #state: 'idle' | 'running' | 'closed' = 'idle';

  /** @param onError gets what a deadline throws; the others run nevertheless. */
  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Deadlines scheduled. */
  get size(): number {
    return this.#deadlines.length;
  }

  /**
   * Schedules a deadline, or moves it. After `close` it does nothing.
   * @param at milliseconds since the epoch; a time in the past is due at once, but not before this returns; Infinity is
   *   never, which cancels it.
   * @throws RangeError when it is not a number.
   */
  schedule(deadline: Deadline, at: number): void {
    if (Number.isNaN(at)) throw new RangeError('a deadline needs a time');
    if (this.#state === 'closed') return;
    if (at === Number.POSITIVE_INFINITY) {
      this.cancel(deadline);
      return;
    }
    deadline.at = at;
    const index = deadline.index;
    if (index < 0) {
      this.#deadlines.push(deadline);
      this.#keys.push(at);
      this.#rise(this.#keys.length - 1, deadline, at);
    } else if (at < this.#keys[index]!) {
      this.#rise(index, deadline, at);
    }
    this.#arm();
  }

  /** Takes a deadline out; without effect when it is not scheduled. */
  cancel(deadline: Deadline): void {
    const index = deadline.index;
    if (index < 0) return;
    deadline.index = -1;
    const last = this.#deadlines.pop()!;
    const key = this.#keys.pop()!;
    if (index === this.#deadlines.length) return;
    this.#rise(index, last, key);
    if (last.index === index) this.#sink(index, last, key);
  }

  /** Takes all deadlines out without running them, and stops the timer. */
  close(): void {
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const deadline of this.#deadlines) deadline.index = -1;
    this.#deadlines.length = 0;
    this.#keys.length = 0;
  }

  #run(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#state = 'running';
    const now = this.#clock.now();
    try {
      // Those that schedule themselves for now again wait for the next timer, so that the rest of the program has a turn.
      for (let left = this.#deadlines.length; left > 0; left--) {
        const deadline = this.#takeDue(now);
        if (deadline === undefined) break;
        this.#runOne(deadline, now);
      }
    } finally {
      if (this.#state === 'running') {
        this.#state = 'idle';
        this.#arm();
      }
    }
  }

  #runOne(deadline: Deadline, now: number): void {
    try {
      deadline.onDeadline(now);
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Takes the first deadline out if it is due, after the keys before it were brought up to their times. */
  #takeDue(now: number): Deadline | undefined {
    for (;;) {
      const top = this.#deadlines[0];
      if (top === undefined || this.#keys[0]! > now) return undefined;
      if (top.at === this.#keys[0]) {
        this.cancel(top);
        return top;
      }
      this.#sink(0, top, top.at);
    }
  }

  #arm(): void {
    const first = this.#keys[0];
    if (first === undefined || first >= this.#timerAt || this.#state !== 'idle') return;
    this.#timer?.cancel();
    const now = this.#clock.now();
    const delayMs = Math.min(Math.max(Math.ceil(first - now), 0), MAX_DELAY_MS);
    this.#timerAt = now + delayMs;
    this.#timer = this.#clock.setTimeout(this.#onTimer, delayMs);
  }

  /** Puts a deadline with a key at a position, or above it while those above are later. */
  #rise(from: number, deadline: Deadline, key: number): void {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const parentKey = this.#keys[parent]!;
      if (parentKey <= key) break;
      this.#place(index, this.#deadlines[parent]!, parentKey);
      index = parent;
    }
    this.#place(index, deadline, key);
  }

  /** Puts a deadline with a key at a position, or below it while those below are earlier. */
  #sink(from: number, deadline: Deadline, key: number): void {
    const size = this.#deadlines.length;
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#keys[child + 1]! < this.#keys[child]!) child++;
      const childKey = this.#keys[child]!;
      if (childKey >= key) break;
      this.#place(index, this.#deadlines[child]!, childKey);
      index = child;
    }
    this.#place(index, deadline, key);
  }

  #place(index: number, deadline: Deadline, key: number): void {
    this.#deadlines[index] = deadline;
    this.#keys[index] = key;
    deadline.index = index;
  }
}
