import type { Clock } from '../lib/clock.ts';
import { RingQueue } from '../lib/ring-queue.ts';

/** How many may do something that takes long. */
export interface RequestGateOptions {
  /** At once; 1 and above. */
  readonly insideMax: number;
  /** Waiting beside them; 0 and above. */
  readonly waitingMax: number;
  /** Who has waited longer is turned away instead of let in, ms. */
  readonly waitMsMax: number;
  readonly clock: Clock;
}

/** How asking for a place ended; who is let in must `leave`. */
export type Entry = 'entered' | 'full' | 'late';

interface Waiting {
  readonly since: number;
  readonly resolve: (entry: Entry) => void;
}

/**
 * Lets so many in at once and the others wait, in their order. Who comes to the head of the queue too late is turned away
 * there and then; as long as each who is inside leaves within `waitMsMax`, nobody waits for more than twice that.
 */
export class RequestGate {
  readonly #options: RequestGateOptions;
  readonly #waiting = new RingQueue<Waiting>();
  #inside = 0;

  constructor(options: RequestGateOptions) {
    this.#options = options;
  }

  /** Asks for a place; never rejects. */
  enter(): Promise<Entry> {
    const { insideMax, waitingMax, clock } = this.#options;
    if (this.#inside < insideMax) {
      this.#inside += 1;
      return Promise.resolve('entered');
    }
    if (this.#waiting.length >= waitingMax) return Promise.resolve('full');
    const { promise, resolve } = Promise.withResolvers<Entry>();
    this.#waiting.push({ since: clock.now(), resolve });
    return promise;
  }

  /** Gives a place back, to the first who has not waited for too long. */
  leave(): void {
    const { waitMsMax, clock } = this.#options;
    const oldest = clock.now() - waitMsMax;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.since >= oldest) {
        next.resolve('entered');
        return;
      }
      next.resolve('late');
    }
    this.#inside -= 1;
  }
}
