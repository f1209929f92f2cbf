import { RingQueue } from '../lib/ring-queue.ts';

/** How much is done at once. */
export interface TurnQueueOptions {
  /** Jobs under way at once, at least 1. */
  readonly concurrency: number;
  /** Jobs that wait for their turn; above it one is turned away. */
  readonly waitingMax: number;
}

/** How a job ended. */
export type TurnResult<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Turned away at once: too many wait already. */
  | { readonly kind: 'busy' }
  /** Nobody wanted it any more when its turn came. */
  | { readonly kind: 'dropped' };

/** Somebody who waits for a turn. */
interface Waiter {
  readonly isWanted: () => boolean;
  /** Says whether the turn is taken. */
  readonly answer: (isTaken: boolean) => void;
}

/** Runs what is expensive a few at a time and turns away what would wait too long, so that a flood of logins costs a bounded share. */
export class TurnQueue {
  readonly #options: TurnQueueOptions;
  readonly #waiting = new RingQueue<Waiter>();
  #running = 0;
  #done = 0;
  #busy = 0;
  #dropped = 0;

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  /** Jobs under way and waiting now, and how many ended in which way so far. */
  get counters(): { running: number; waiting: number; done: number; busy: number; dropped: number } {
    const [running, waiting] = [this.#running, this.#waiting.length];
    return { running, waiting, done: this.#done, busy: this.#busy, dropped: this.#dropped };
  }

  /**
   * Runs a job when its turn has come.
   * @param isWanted Asked before a job that waited begins; one that nobody wants, as its connection has gone, is dropped.
   * It must not throw.
   * @returns how it ended; rejects as the job does.
   */
  async run<T>(job: () => Promise<T>, isWanted: () => boolean): Promise<TurnResult<T>> {
    if (this.#running < this.#options.concurrency) this.#running += 1;
    else if (!this.#hasRoom()) {
      this.#busy += 1;
      return { kind: 'busy' };
    } else if (!(await this.#turn(isWanted))) {
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

  #turn(isWanted: () => boolean): Promise<boolean> {
    return new Promise((answer) => {
      this.#waiting.push({ isWanted, answer });
    });
  }

  /** The one who takes the turn counts as running from here on. */
  #passTurn(): void {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#running -= 1;
        return;
      }
      const isTaken = next.isWanted();
      next.answer(isTaken);
      if (isTaken) return;
    }
  }

  /** Those whose connections have gone must not keep others out. Costs a walk over the queue, only while it is full. */
  #hasRoom(): boolean {
    const { length } = this.#waiting;
    if (length < this.#options.waitingMax) return true;
    for (let looked = 0; looked < length; looked++) {
      const waiter = this.#waiting.shift()!;
      if (waiter.isWanted()) this.#waiting.push(waiter);
      else waiter.answer(false);
    }
    return this.#waiting.length < this.#options.waitingMax;
  }
}
