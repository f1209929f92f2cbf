import type { Message } from '../protocol/message.ts';
import type { Database } from './database.ts';
import { RecordReader } from './record-reader.ts';
import { KeyKind, StoreKey } from './store-key.ts';
import type { StoreIndex } from './store-index.ts';
import type { QueueRecord } from './store.ts';
import { StoreError } from './store.ts';

/** Above every sequence: sequences are safe integers. */
const SEQUENCE_END = 2 ** 53;

/** Reads windows of queues. */
export class EntryReader {
  readonly #database: Database;
  readonly #index: StoreIndex;
  readonly #reader: RecordReader;
  readonly #sharedReader = new RecordReader();
  readonly #sharedKey = new StoreKey();

  constructor(database: Database, index: StoreIndex, reader: RecordReader) {
    this.#database = database;
    this.#index = index;
    this.#reader = reader;
  }

  /** See `Store.readQueue`. */
  read(queueId: number, afterSequence: number, limit: number, maxBytes: number): QueueRecord[] {
    const found: QueueRecord[] = [];
    if (this.#index.erasing.has(queueId)) return found;
    const reader = this.#reader;
    let bytes = 0;
    const start = new StoreKey().numbers(KeyKind.entry, queueId, Math.max(0, afterSequence + 1));
    const end = new StoreKey().numbers(KeyKind.entry, queueId, SEQUENCE_END);
    this.#database.visit(start, end, limit, (key, value, length) => {
      reader.reset(value, length);
      bytes += reader.entrySize();
      if (found.length > 0 && bytes > maxBytes) return false;
      found.push(reader.entry(queueId, key.second, this.#readShared));
      return true;
    });
    return found;
  }

  /** Called when all else of the entry is decoded, as it overwrites the bytes that the entry was read from. */
  readonly #readShared = (sharedId: number): Message => {
    const value = this.#database.get(this.#sharedKey.numbers(KeyKind.sharedMessage, sharedId, 0));
    if (value === undefined) throw new StoreError('A message that a queue refers to is missing.');
    this.#sharedReader.reset(value, value.length);
    const message = this.#sharedReader.message();
    message.storeId = sharedId;
    return message;
  };
}
