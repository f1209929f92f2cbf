import type { Database } from './database.ts';
import type { RecordReader } from './record-reader.ts';
import { KeyKind, StoreKey } from './store-key.ts';
import type { StoreIndex } from './store-index.ts';
import type { QueueSummary, StoredState } from './store.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

/** Reads all records and builds the index. */
export function readStoredState(database: Database, index: StoreIndex, reader: RecordReader): StoredState {
  const state: StoredState = {
    sessions: readAll(database, reader, KeyKind.session, () => reader.session()),
    subscriptions: readAll(database, reader, KeyKind.subscription, () => reader.subscription()),
    groups: readAll(database, reader, KeyKind.group, () => reader.group()),
    queues: [],
    inbound: readAll(database, reader, KeyKind.inbound, () => reader.inbound()),
    wills: readAll(database, reader, KeyKind.will, () => reader.will()),
    retained: readAll(database, reader, KeyKind.retained, () => reader.message()),
  };
  readNumbers(database, KeyKind.tombstone, (key) => index.erasing.add(key.first));
  state.queues = readQueues(database, index, reader);
  return state;
}

/**
 * Counts the records that `readStoredState` did not read, and checks that nothing is missing: pages that are lost can
 * make a tree look smaller than it says it is.
 * @throws Error when something is.
 */
export function checkCompleteness(database: Database, index: StoreIndex, state: StoredState): void {
  const missing = new Set(index.references.keys());
  let count = 1 + state.sessions.length + state.subscriptions.length + state.groups.length + state.inbound.length;
  count += state.wills.length + state.retained.length + index.erasing.size;
  readNumbers(database, KeyKind.sharedMessage, (key) => {
    missing.delete(key.first);
    count++;
  });
  readNumbers(database, KeyKind.entry, () => count++);
  if (missing.size > 0) throw new Error(`${missing.size} messages that queues refer to are missing`);
  const expected = database.recordCount();
  if (count !== expected) throw new Error(`${count} of ${expected} records were found`);
}

function readQueues(database: Database, index: StoreIndex, reader: RecordReader): QueueSummary[] {
  const summaries: QueueSummary[] = [];
  let current: QueueSummary | undefined;
  let currentId = -1;
  readNumbers(database, KeyKind.entry, ({ first: queueId, second: sequence }, bytes, length) => {
    reader.reset(bytes, length);
    const info = index.queue(queueId);
    info.lastSequence = sequence;
    const sharedId = reader.entrySharedId();
    if (sharedId !== 0) {
      info.sharedEntries++;
      index.references.set(sharedId, (index.references.get(sharedId) ?? 0) + 1);
    }
    if (queueId !== currentId) {
      currentId = queueId;
      current = { queueId, count: 0, bytes: 0, firstSequence: sequence, lastSequence: sequence };
      if (!index.erasing.has(queueId)) summaries.push(current);
    }
    if (current === undefined) return;
    current.count++;
    current.bytes += reader.entrySize();
    current.lastSequence = sequence;
  });
  return summaries;
}

function readNumbers(
  database: Database,
  kind: number,
  onRecord: (key: StoreKey, bytes: Uint8Array, length: number) => void,
): void {
  const start = new StoreKey().numbers(kind, 0, 0);
  const end = new StoreKey().numbers(kind + 1, 0, 0);
  database.visit(start, end, NO_LIMIT, (key, bytes, length) => {
    onRecord(key, bytes, length);
    return true;
  });
}

function readAll<T>(database: Database, reader: RecordReader, kind: number, decode: () => T): T[] {
  const records: T[] = [];
  const start = new StoreKey().texts(kind, new Uint8Array(0));
  const end = new StoreKey().texts(kind, Buffer.of(0xff));
  database.visit(start, end, NO_LIMIT, (_key, bytes, length) => {
    reader.reset(bytes, length);
    records.push(decode());
    return true;
  });
  return records;
}
