import type { Clock } from '../lib/clock.ts';
import { RingQueue } from '../lib/ring-queue.ts';

/** How much is done at once. */
export interface TurnQueueOptions {
  /** Jobs under way at once, at least 1. */
  readonly concurrency: number;
  /** Jobs that wait for their turn, of those that go first and of the others; above it one is turned away. */
  readonly waitingMax: number;
  /**
   * How long a job waits for its turn, ms: one that waited longer is dropped. Whoever is behind so many that its deadline
   * passes before its answer comes must not have a turn, or all turns would go to those who cannot use them.
   */
  readonly waitMsMax: number;
}

/** Who asks for a turn. */
export interface Asker {
  /** Asked before a job that waited begins; one that nobody wants, as its connection has gone, is dropped. It must not throw. */
  readonly isWanted: () => boolean;
  /** Whether it goes before others that wait. */
  readonly goesFirst: boolean;
}

/** How a job ended. */
export type TurnResult<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Turned away at once: too many wait already. */
  | { readonly kind: 'busy' }
  /** It had waited for too long, or nobody wanted it any more, when its turn came. */
  | { readonly kind: 'dropped' };

/** Somebody who waits for a turn. */
interface Waiter {
  readonly isWanted: () => boolean;
  readonly since: number;
  /** Says whether the turn is taken. */
  readonly answer: (isTaken: boolean) => void;
}

/** Runs what is expensive a few at a time and turns away what would wait too long, so that a flood of logins costs a bounded share. */
export class TurnQueue {
  readonly #options: TurnQueueOptions;
  readonly #clock: Clock;
  readonly #first = new RingQueue<Waiter>();
  readonly #others = new RingQueue<Waiter>();
  #running = 0;
  #done = 0;
  #busy = 0;
  #dropped = 0;

  constructor(options: TurnQueueOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Jobs under way and waiting now, and how many ended in which way so far. */
  get counters(): { running: number; waiting: number; done: number; busy: number; dropped: number } {
    const [running, waiting] = [this.#running, this.#first.length + this.#others.length];
    return { running, waiting, done: this.#done, busy: this.#busy, dropped: this.#dropped };
  }

  /**
   * Runs a job when its turn has come.
   * @returns how it ended; rejects as the job does.
   */
  async run<T>(job: () => Promise<T>, { isWanted, goesFirst }: Asker): Promise<TurnResult<T>> {
    const waiting = goesFirst ? this.#first : this.#others;
    if (this.#running < this.#options.concurrency) this.#running += 1;
    else if (!this.#hasRoom(waiting)) {
      this.#busy += 1;
      return { kind: 'busy' };
    } else if (!(await this.#turn(waiting, isWanted))) {
      this.#dropped += 1;
      return { kind: 'dropped' };
    }
    try {
      return { kind: 'done', value: await job() };
    } finally {
      this.#done += 1;
      this.#passTurn();
    }
  }

  #turn(waiting: RingQueue<Waiter>, isWanted: () => boolean): Promise<boolean> {
    return new Promise((answer) => {
      waiting.push({ isWanted, since: this.#clock.now(), answer });
    });
  }

  /** The one who takes the turn counts as running from here on. */
  #passTurn(): void {
    for (;;) {
      const next = this.#first.shift() ?? this.#others.shift();
      if (next === undefined) {
        this.#running -= 1;
        return;
      }
      const isTaken = this.#isDue(next);
      next.answer(isTaken);
      if (isTaken) return;
    }
  }

  #isDue({ isWanted, since }: Waiter): boolean {
    return this.#clock.now() - since <= this.#options.waitMsMax && isWanted();
  }

  /** Those who waited in vain must not keep others out. Costs a walk over the queue, only while it is full. */
  #hasRoom(waiting: RingQueue<Waiter>): boolean {
    const { length } = waiting;
    if (length < this.#options.waitingMax) return true;
    for (let looked = 0; looked < length; looked++) {
      const waiter = waiting.shift()!;
      if (this.#isDue(waiter)) waiting.push(waiter);
      else waiter.answer(false);
    }
    return waiting.length < this.#options.waitingMax;
  }
}
