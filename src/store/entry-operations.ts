import type { Message } from '../protocol/message.ts';
import type { QueueState } from './store.ts';

/** What is to be done with a queue entry. */
export const Operation = {
  /** Put and deleted again before it was written. */
  none: 0,
  put: 1,
  delete: 2,
  /** Packet id and state of an entry that is in the database. */
  state: 3,
} as const;

const FIRST_SLOTS = 1024;

/**
 * The changes of one transaction to queue entries, at most one for each entry: the last one wins. Columns instead of
 * objects, found through an open-addressing hash table, because this sees every QoS 1 and 2 message at least twice.
 */
export class EntryOperations {
  /** Number of rows; the columns are longer after a larger transaction. */
  length = 0;
  readonly queueId: number[] = [];
  readonly sequence: number[] = [];
  readonly operation: number[] = [];
  /** 1 where the database cannot hold the entry yet, so that deleting it means forgetting it. */
  readonly fresh: number[] = [];
  /** The value is `start` to `end` of the transaction's buffer, its message begins at `messageStart`. */
  readonly start: number[] = [];
  readonly messageStart: number[] = [];
  readonly end: number[] = [];
  /** Id of the shared message that the value refers to; 0 where it holds the message. */
  readonly sharedId: number[] = [];
  /** The message that the value holds. */
  readonly message: (Message | undefined)[] = [];
  readonly packetId: number[] = [];
  readonly state: QueueState[] = [];
  /** Row + 1, or 0 for an empty slot. */
  #slots = new Int32Array(FIRST_SLOTS);

  /** Row of the entry, -1 where it has none. */
  find(queueId: number, sequence: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(queueId, sequence) & mask;
    for (;;) {
      const row = this.#slots[slot]! - 1;
      if (row === -1 || (this.sequence[row] === sequence && this.queueId[row] === queueId)) return row;
      slot = (slot + 1) & mask;
    }
  }

  /** Adds a row for an entry that has none. */
  add(queueId: number, sequence: number, fresh: boolean): number {
    const row = this.length++;
    this.queueId[row] = queueId;
    this.sequence[row] = sequence;
    this.operation[row] = Operation.none;
    this.fresh[row] = fresh ? 1 : 0;
    this.start[row] = 0;
    this.messageStart[row] = 0;
    this.end[row] = 0;
    this.sharedId[row] = 0;
    this.message[row] = undefined;
    this.packetId[row] = 0;
    this.state[row] = 'waiting';
    if (this.length * 2 > this.#slots.length) this.#grow();
    else this.#insert(row);
    return row;
  }

  /** Forgets all rows and keeps the room. */
  clear(): void {
    this.message.fill(undefined, 0, this.length);
    this.length = 0;
    this.#slots.fill(0);
  }

  #insert(row: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash(this.queueId[row]!, this.sequence[row]!) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = row + 1;
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let row = 0; row < this.length; row++) this.#insert(row);
  }
}

function hash(queueId: number, sequence: number): number {
  const mixed = Math.imul(queueId, 0x9e3779b1) ^ Math.imul(sequence, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}
