import type { Database } from './database.ts';
import { Operation } from './entry-operations.ts';
import type { WriteSize } from './file-space.ts';
import type { RecordReader } from './record-reader.ts';
import { KeyKind, StoreKey, keyEnd, keyPart, packetIdPart } from './store-key.ts';
import type { QueueInfo, StoreIndex } from './store-index.ts';
import type { ClientChanges, ValueRange, WriteGroup } from './write-group.ts';

/** Bytes that a key and the heads around a record add to its value at most, but for keys of text. */
const RECORD_OVERHEAD = 32;
/** Values above this stand on pages of their own; the exact bound of LMDB is a little higher. */
const LARGEST_INLINE = 1_900;
const PAGE_HEAD = 24;
const NO_LIMIT = Number.POSITIVE_INFINITY;

/**
 * Writes groups, one after the other. `prepare` reads what the group depends on (no transaction runs then, so reads are
 * current) and brings the index up to date; `emit` hands everything to the database; `undo` restores the index after a
 * failure and `finish` forgets what a success made obsolete.
 */
export class GroupWriter {
  readonly #database: Database;
  readonly #index: StoreIndex;
  readonly #reader: RecordReader;
  readonly #key = new StoreKey();
  readonly #endKey = new StoreKey();
  readonly #removals: StoreKey[] = [];
  readonly #tombstones: number[] = [];
  readonly #erased: number[] = [];
  readonly #countsBefore = new Map<number, number>();
  readonly #sharedEntriesBefore = new Map<QueueInfo, number>();
  #eraseBudget = 0;
  readonly #pageSize: number;
  #size: WriteSize = { puts: 0, removals: 0, inlineBytes: 0, largePages: 0 };

  constructor(database: Database, index: StoreIndex, reader: RecordReader) {
    this.#database = database;
    this.#index = index;
    this.#reader = reader;
    this.#pageSize = database.pageCounts().pageSize;
  }

  /** Returns what is to be written; of deleted queues it erases `eraseBudget` entries at most. */
  prepare(group: WriteGroup, eraseBudget: number): WriteSize {
    this.#removals.length = 0;
    this.#tombstones.length = 0;
    this.#erased.length = 0;
    this.#countsBefore.clear();
    this.#sharedEntriesBefore.clear();
    this.#eraseBudget = eraseBudget;
    this.#size = { puts: 0, removals: 0, inlineBytes: 0, largePages: 0 };
    this.#database.refresh();
    for (const [clientId, client] of group.clients) this.#prepareClient(clientId, client);
    this.#prepareEntries(group);
    for (const queueId of this.#index.erasing) {
      if (this.#eraseBudget === 0) break;
      this.#eraseQueue(queueId);
    }
    for (const queueId of group.droppedQueues) {
      if (!this.#index.queues.has(queueId) || this.#index.erasing.has(queueId)) continue;
      if (this.#eraseQueue(queueId)) continue;
      this.#tombstones.push(queueId);
      this.#index.erasing.add(queueId);
    }
    this.#dropUnreferenced();
    for (const ranges of [group.groups, group.wills, group.retained]) {
      for (const range of ranges.values()) this.#countRange(range);
    }
    for (const [id, range] of group.sharedMessages) if (this.#index.references.has(id)) this.#countRange(range);
    this.#size.puts += this.#tombstones.length;
    this.#size.removals += this.#removals.length + this.#erased.length;
    return this.#size;
  }

  /** Puts and removes, within a batch of the database. */
  emit(group: WriteGroup): void {
    for (const key of this.#removals) this.#database.remove(key);
    for (const [clientId, client] of group.clients) this.#emitClient(clientId, client);
    for (const [shareKey, range] of group.groups) this.#write(KeyKind.group, keyPart(shareKey), range);
    for (const [clientId, range] of group.wills) this.#write(KeyKind.will, keyPart(clientId), range);
    for (const [topicName, range] of group.retained) this.#write(KeyKind.retained, keyPart(topicName), range);
    for (const [id, { start, end }] of group.sharedMessages) {
      if (this.#index.references.has(id)) {
        this.#database.put(this.#key.numbers(KeyKind.sharedMessage, id, 0), start, end);
      }
    }
    this.#emitEntries(group);
    for (const queueId of this.#tombstones) {
      // A value is needed, its bytes do not matter.
      this.#database.put(this.#key.numbers(KeyKind.tombstone, queueId, 0), 0, 1);
    }
    for (const queueId of this.#erased) this.#database.remove(this.#key.numbers(KeyKind.tombstone, queueId, 0));
  }

  /** The group is written. */
  finish(): void {
    for (const queueId of this.#erased) {
      this.#index.erasing.delete(queueId);
      this.#index.queues.delete(queueId);
    }
  }

  /** The group is not written: the index becomes what it was. */
  undo(): void {
    for (const [id, count] of this.#countsBefore) {
      if (count === 0) this.#index.references.delete(id);
      else this.#index.references.set(id, count);
    }
    for (const [info, sharedEntries] of this.#sharedEntriesBefore) info.sharedEntries = sharedEntries;
    for (const queueId of this.#tombstones) this.#index.erasing.delete(queueId);
  }

  #prepareClient(clientId: string, client: ClientChanges): void {
    if (client.session !== undefined) this.#countRange(client.session);
    for (const range of client.subscriptions.values()) this.#countRange(range);
    for (const range of client.inbound.values()) this.#countRange(range);
    if (!client.erased) return;
    const part = keyPart(clientId);
    for (const kind of [KeyKind.subscription, KeyKind.inbound]) {
      this.#database.visit(this.#key.texts(kind, part), this.#endKey.texts(kind, keyEnd(part)), NO_LIMIT, (key) => {
        this.#removals.push(key);
        return true;
      });
    }
  }

  #prepareEntries(group: WriteGroup): void {
    const { entries, droppedQueues } = group;
    const index = this.#index;
    const mayBeGone = droppedQueues.size + index.erasing.size > 0;
    for (let row = 0; row < entries.length; row++) {
      const operation = entries.operation[row];
      if (operation === Operation.none) continue;
      const queueId = entries.queueId[row]!;
      if (mayBeGone && (droppedQueues.has(queueId) || index.erasing.has(queueId))) {
        entries.operation[row] = Operation.none;
        continue;
      }
      if (operation === Operation.state) {
        this.#prepareState(group, row);
        continue;
      }
      if (operation === Operation.delete) this.#size.removals++;
      else this.#countPut(entries.end[row]! - entries.start[row]!);
      const sharedId = entries.sharedId[row]!;
      if (sharedId === 0 && entries.fresh[row] === 1) continue;
      const info = index.queue(queueId);
      if (entries.fresh[row] === 0 && info.sharedEntries > 0)
        this.#releaseStored(info, queueId, entries.sequence[row]!);
      if (sharedId !== 0) this.#count(info, sharedId, 1);
    }
  }

  /** Turns a change of state into a put of the changed entry, or into nothing where there is no entry. */
  #prepareState(group: WriteGroup, row: number): void {
    const { entries, writer } = group;
    const value = this.#database.get(this.#key.numbers(KeyKind.entry, entries.queueId[row]!, entries.sequence[row]!));
    if (value === undefined) {
      entries.operation[row] = Operation.none;
      return;
    }
    const start = writer.position;
    writer.raw(value, 0, value.length);
    writer.setEntryState(start, entries.packetId[row]!, entries.state[row]!);
    entries.start[row] = start;
    entries.end[row] = writer.position;
    entries.operation[row] = Operation.put;
    this.#countPut(value.length);
  }

  #countRange(range: ValueRange): void {
    if (range === null) this.#size.removals++;
    // Twice its length, as keys of text repeat a part of the value.
    else this.#countPut(2 * (range.end - range.start));
  }

  #countPut(length: number): void {
    this.#size.puts++;
    this.#size.inlineBytes += Math.min(length, LARGEST_INLINE) + RECORD_OVERHEAD;
    if (length > LARGEST_INLINE) this.#size.largePages += Math.ceil((length + PAGE_HEAD) / this.#pageSize);
  }

  #releaseStored(info: QueueInfo, queueId: number, sequence: number): void {
    const value = this.#database.get(this.#key.numbers(KeyKind.entry, queueId, sequence));
    if (value === undefined) return;
    this.#reader.reset(value, value.length);
    const sharedId = this.#reader.entrySharedId();
    if (sharedId !== 0) this.#count(info, sharedId, -1);
  }

  #count(info: QueueInfo, sharedId: number, change: 1 | -1): void {
    const before = this.#index.references.get(sharedId) ?? 0;
    if (!this.#countsBefore.has(sharedId)) this.#countsBefore.set(sharedId, before);
    if (!this.#sharedEntriesBefore.has(info)) this.#sharedEntriesBefore.set(info, info.sharedEntries);
    this.#index.references.set(sharedId, before + change);
    info.sharedEntries += change;
  }

  /** Removes entries of a queue as far as the budget goes; returns whether it is empty then. */
  #eraseQueue(queueId: number): boolean {
    const info = this.#index.queue(queueId);
    const budget = this.#eraseBudget;
    let found = 0;
    this.#database.visit(
      this.#key.numbers(KeyKind.entry, queueId, 0),
      this.#endKey.numbers(KeyKind.entry, queueId + 1, 0),
      budget,
      (key, bytes, length) => {
        found++;
        this.#removals.push(key);
        if (info.sharedEntries > 0) {
          this.#reader.reset(bytes, length);
          const sharedId = this.#reader.entrySharedId();
          if (sharedId !== 0) this.#count(info, sharedId, -1);
        }
        return true;
      },
    );
    this.#eraseBudget -= found;
    if (found === budget) return false;
    this.#erased.push(queueId);
    return true;
  }

  #dropUnreferenced(): void {
    for (const [id, before] of this.#countsBefore) {
      if (this.#index.references.get(id) !== 0) continue;
      this.#index.references.delete(id);
      if (before > 0) this.#removals.push(new StoreKey().numbers(KeyKind.sharedMessage, id, 0));
    }
  }

  #emitClient(clientId: string, client: ClientChanges): void {
    const part = keyPart(clientId);
    if (client.session !== undefined) this.#write(KeyKind.session, part, client.session);
    for (const [topicFilter, range] of client.subscriptions) {
      this.#write(KeyKind.subscription, Buffer.concat([part, keyPart(topicFilter)]), range);
    }
    for (const [packetId, range] of client.inbound) {
      this.#write(KeyKind.inbound, Buffer.concat([part, packetIdPart(packetId)]), range);
    }
  }

  #emitEntries(group: WriteGroup): void {
    const entries = group.entries;
    const database = this.#database;
    const key = this.#key;
    for (let row = 0; row < entries.length; row++) {
      const operation = entries.operation[row];
      if (operation === Operation.none) continue;
      key.numbers(KeyKind.entry, entries.queueId[row]!, entries.sequence[row]!);
      if (operation === Operation.put) database.put(key, entries.start[row]!, entries.end[row]!);
      else database.remove(key);
    }
  }

  #write(kind: number, text: Uint8Array, range: ValueRange): void {
    this.#key.texts(kind, text);
    if (range === null) this.#database.remove(this.#key);
    else this.#database.put(this.#key, range.start, range.end);
  }
}
