import { randomInt } from 'node:crypto';

const ID_RANGES = 2 ** 21;
const IDS_PER_RANGE = 2 ** 32;

/** What the store remembers of one queue. */
export interface QueueInfo {
  /** No entry with a higher sequence was ever written. */
  lastSequence: number;
  /** Entries that refer to a shared message. */
  sharedEntries: number;
}

/** The little that the embedded store keeps in memory: bounded by the number of queues and of shared messages. */
export class StoreIndex {
  /** Queue entries that refer to a shared message, by its id. */
  readonly references: Map<number, number> = new Map();
  readonly queues: Map<number, QueueInfo> = new Map();
  /** Queues that are gone but not yet erased. */
  readonly erasing: Set<number> = new Set();
  /**
   * Ids begin anywhere, so that a `Message` which still carries the id of another store, or of an earlier opening, is
   * not taken for a stored one.
   */
  #lastSharedId = randomInt(ID_RANGES) * IDS_PER_RANGE;

  queue(queueId: number): QueueInfo {
    let info = this.queues.get(queueId);
    if (info === undefined) {
      info = { lastSequence: -1, sharedEntries: 0 };
      this.queues.set(queueId, info);
    }
    return info;
  }

  nextSharedId(): number {
    do {
      this.#lastSharedId = this.#lastSharedId >= Number.MAX_SAFE_INTEGER ? 1 : this.#lastSharedId + 1;
    } while (this.references.has(this.#lastSharedId));
    return this.#lastSharedId;
  }
}
