import type { Database } from './database.ts';
import type { RecordReader } from './record-reader.ts';
import { KeyKind, StoreKey } from './store-key.ts';
import type { StoreIndex } from './store-index.ts';
import type { QueueSummary, StoredState } from './store.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

/**
 * Reads all records and builds the index.
 * @throws Error when a record is damaged or missing.
 */
export function readStoredState(database: Database, index: StoreIndex, reader: RecordReader): StoredState {
  return new StateReader(database, index, reader).read();
}

class StateReader {
  readonly #database: Database;
  readonly #index: StoreIndex;
  readonly #reader: RecordReader;
  #count = 0;

  constructor(database: Database, index: StoreIndex, reader: RecordReader) {
    this.#database = database;
    this.#index = index;
    this.#reader = reader;
  }

  read(): StoredState {
    const reader = this.#reader;
    this.#visitNumbers(KeyKind.tombstone, (key) => this.#index.erasing.add(key.first));
    const state: StoredState = {
      sessions: this.#readAll(KeyKind.session, () => reader.session()),
      subscriptions: this.#readAll(KeyKind.subscription, () => reader.subscription()),
      groups: this.#readAll(KeyKind.group, () => reader.group()),
      queues: this.#readQueues(),
      inbound: this.#readAll(KeyKind.inbound, () => reader.inbound()),
      wills: this.#readAll(KeyKind.will, () => reader.will()),
      retained: this.#readAll(KeyKind.retained, () => reader.message()),
    };
    this.#checkCompleteness();
    return state;
  }

  #readQueues(): QueueSummary[] {
    const summaries: QueueSummary[] = [];
    const { erasing, references } = this.#index;
    let current: QueueSummary | undefined;
    this.#visitNumbers(KeyKind.entry, ({ first: queueId, second: sequence }) => {
      const info = this.#index.queue(queueId);
      info.lastSequence = sequence;
      const sharedId = this.#reader.entrySharedId();
      if (sharedId !== 0) {
        info.sharedEntries++;
        references.set(sharedId, (references.get(sharedId) ?? 0) + 1);
      }
      if (current?.queueId !== queueId) {
        current = { queueId, count: 0, bytes: 0, firstSequence: sequence, lastSequence: sequence };
        if (!erasing.has(queueId)) summaries.push(current);
      }
      current.count++;
      current.bytes += this.#reader.entrySize();
      current.lastSequence = sequence;
    });
    return summaries;
  }

  /** Finds lost records: the head of the tree knows how many there are, and entries which shared messages. */
  #checkCompleteness(): void {
    const missing = new Set(this.#index.references.keys());
    this.#visitNumbers(KeyKind.sharedMessage, (key) => missing.delete(key.first));
    if (missing.size > 0) throw new Error(`${missing.size} messages that queues refer to are missing`);
    const found = this.#count + 1;
    const expected = this.#database.recordCount();
    if (found !== expected) throw new Error(`${found} of ${expected} records were found`);
  }

  #visitNumbers(kind: number, onRecord: (key: StoreKey) => void): void {
    const start = new StoreKey().numbers(kind, 0, 0);
    const end = new StoreKey().numbers(kind + 1, 0, 0);
    this.#database.visit(start, end, NO_LIMIT, (key, bytes, length) => {
      this.#count++;
      this.#reader.reset(bytes, length);
      onRecord(key);
      return true;
    });
  }

  #readAll<T>(kind: number, decode: () => T): T[] {
    const records: T[] = [];
    const start = new StoreKey().texts(kind, new Uint8Array(0));
    const end = new StoreKey().texts(kind, Buffer.of(0xff));
    this.#database.visit(start, end, NO_LIMIT, (_key, bytes, length) => {
      this.#count++;
      this.#reader.reset(bytes, length);
      records.push(decode());
      return true;
    });
    return records;
  }
}
