import { MessageRecord } from './message-record.ts';

/** Settled messages still known one by one, so that a further copy is judged exactly; more would fall out of the processor's cache. */
const settledMax = 1 << 13;
/** Messages that were refused or given up and may still come. */
const limboMax = 1 << 14;

/** Keeps the records of messages that are over for a while, then makes new ones out of them. */
export class RecordKeeper {
  readonly #free: MessageRecord[] = [];
  readonly #settled = new Queue(settledMax);
  readonly #limbo = new Queue(limboMax);

  take(): MessageRecord {
    return this.#free.pop() ?? new MessageRecord();
  }

  /** Everybody who is owed the message has it. */
  settled(record: MessageRecord): void {
    record.state = 'settled';
    this.#recycle(this.#settled.push(record));
  }

  /** Nobody is owed the message, and it may come. */
  limbo(record: MessageRecord): void {
    record.state = 'limbo';
    this.#recycle(this.#limbo.push(record));
  }

  #recycle(record: MessageRecord | undefined): void {
    if (record === undefined) return;
    const { client, sequence } = record;
    client.open.delete(sequence);
    if (isDoubtful(record)) client.doubtUpTo = Math.max(client.doubtUpTo, sequence);
    record.extras = record.copies = record.claims = record.guesses = record.will = undefined;
    this.#free.push(record);
  }
}

/** Whether it may still come to someone who has not had it, in a way that looks like a second copy. */
function isDoubtful(record: MessageRecord): boolean {
  const { slots } = record.list;
  for (let place = 0; place < slots.length; place++) {
    const taker = slots[place]?.taker;
    if (taker !== undefined && 'members' in taker && !taker.isEnded && !record.isHad(place)) return true;
  }
  return record.state === 'limbo';
}

/** First in, first out, as many as fit. */
class Queue {
  readonly #entries: (MessageRecord | undefined)[] = [];
  readonly #limit: number;
  #at = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns the one that had to go. */
  push(record: MessageRecord): MessageRecord | undefined {
    if (this.#entries.length < this.#limit) {
      this.#entries.push(record);
      return undefined;
    }
    const gone = this.#entries[this.#at];
    this.#entries[this.#at] = record;
    this.#at = (this.#at + 1) % this.#limit;
    return gone;
  }
}
