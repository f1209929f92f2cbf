import type { Message } from '../protocol/message.ts';
import { EntryOperations, Operation } from './entry-operations.ts';
import { RecordWriter } from './record-writer.ts';
import type { StoreIndex } from './store-index.ts';
import {
  forOneNode,
  type LocalMutation,
  type Mutation,
  type QueueRecord,
  type QueueState,
  type WillRecord,
} from './store.ts';

/** Where in the group's buffer a value stands; null for a record to be removed. */
export type ValueRange = { start: number; end: number } | null;

/** Changes to the records that hang on one client id. */
export interface ClientChanges {
  /** Everything stored before this group goes first. */
  erased: boolean;
  session: ValueRange | undefined;
  readonly subscriptions: Map<string, ValueRange>;
  readonly inbound: Map<number, ValueRange>;
}

/** A call to `commit` that waits for its group. */
export interface PendingCommit {
  readonly batch: readonly Mutation[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A larger buffer than this is not kept for the next group. */
const KEPT_CAPACITY = 4 * 1024 * 1024;

/**
 * All commits that become one transaction. Mutations are folded as they come: of several changes to one record only the
 * last is written, and an entry that is put and deleted within the group leaves nothing to write at all. Values are
 * encoded at once, so nothing of the caller's buffers is needed later.
 */
export class WriteGroup {
  readonly commits: PendingCommit[] = [];
  readonly entries: EntryOperations = new EntryOperations();
  readonly clients: Map<string, ClientChanges> = new Map();
  readonly groups: Map<string, ValueRange> = new Map();
  readonly wills: Map<string, ValueRange> = new Map();
  readonly retained: Map<string, ValueRange> = new Map();
  /** Shared messages of which this group writes the first reference, by id. */
  readonly sharedMessages: Map<number, { start: number; end: number }> = new Map();
  readonly droppedQueues: Set<number> = new Set();
  writer: RecordWriter = new RecordWriter();
  readonly #index: StoreIndex;

  constructor(index: StoreIndex) {
    this.#index = index;
  }

  /** Makes it empty for another use. */
  clear(): void {
    this.commits.length = 0;
    this.entries.clear();
    this.clients.clear();
    this.groups.clear();
    this.wills.clear();
    this.retained.clear();
    this.sharedMessages.clear();
    this.droppedQueues.clear();
    if (this.writer.bytes.length > KEPT_CAPACITY) this.writer = new RecordWriter();
    this.writer.position = 0;
  }

  /**
   * Takes over the shared messages of a group that failed, as entries of this one may refer to them. What is not
   * referred to is not written.
   */
  adoptSharedMessages(failed: WriteGroup): void {
    for (const [id, { start, end }] of failed.sharedMessages) {
      const from = this.writer.position;
      this.writer.raw(failed.writer.bytes, start, end);
      this.sharedMessages.set(id, { start: from, end: this.writer.position });
    }
  }

  absorb(batch: readonly Mutation[]): void {
    for (let i = 0; i < batch.length; i++) this.#absorbOne(forOneNode(batch[i]!));
  }

  #absorbOne(mutation: LocalMutation): void {
    switch (mutation.kind) {
      case 'queue-put':
        this.#putEntry(mutation.record);
        return;
      case 'queue-delete':
        this.#deleteEntry(mutation.queueId, mutation.sequence);
        return;
      case 'queue-state':
        this.#setEntryState(mutation);
        return;
      case 'inbound-put':
        this.#putInbound(mutation.clientId, mutation.packetId);
        return;
      case 'inbound-delete':
        this.#client(mutation.clientId).inbound.set(mutation.packetId, null);
        return;
      case 'session-put': {
        const start = this.writer.position;
        this.writer.session(mutation.record);
        this.#client(mutation.record.clientId).session = this.#rangeFrom(start);
        return;
      }
      case 'session-delete':
        this.#deleteSession(mutation.clientId, mutation.queueId);
        return;
      case 'subscription-put': {
        const start = this.writer.position;
        this.writer.subscription(mutation.clientId, mutation.record);
        this.#client(mutation.clientId).subscriptions.set(mutation.record.topicFilter, this.#rangeFrom(start));
        return;
      }
      case 'subscription-delete':
        this.#client(mutation.clientId).subscriptions.set(mutation.topicFilter, null);
        return;
      case 'group-put': {
        const start = this.writer.position;
        this.writer.group(mutation.record);
        this.groups.set(mutation.record.shareKey, this.#rangeFrom(start));
        return;
      }
      case 'group-delete':
        this.groups.set(mutation.shareKey, null);
        this.droppedQueues.add(mutation.queueId);
        return;
      case 'will-put':
        this.#putWill(mutation.record);
        return;
      case 'will-delete':
        this.wills.set(mutation.clientId, null);
        return;
      case 'retained-put': {
        const start = this.writer.position;
        this.writer.message(mutation.message);
        this.retained.set(mutation.message.topicName, this.#rangeFrom(start));
        return;
      }
      case 'retained-delete':
        this.retained.set(mutation.topicName, null);
        return;
    }
  }

  #putEntry(record: QueueRecord): void {
    if (this.#isGone(record.queueId)) return;
    const entries = this.entries;
    let row = entries.find(record.queueId, record.sequence);
    if (row === -1) {
      const info = this.#index.queue(record.queueId);
      const fresh = record.sequence > info.lastSequence;
      if (fresh) info.lastSequence = record.sequence;
      row = entries.add(record.queueId, record.sequence, fresh);
    }
    const message = record.message;
    const sharedId = this.#sharedIdOf(message, row);
    const writer = this.writer;
    entries.operation[row] = Operation.put;
    entries.sharedId[row] = sharedId;
    entries.start[row] = writer.position;
    writer.entryHead(record, sharedId !== 0);
    entries.messageStart[row] = writer.position;
    if (sharedId === 0) {
      writer.message(message);
      entries.message[row] = message;
      // Should the same message come again within this group, this tells the entry that already holds it.
      message.storeId = -1 - row;
    } else {
      writer.f64(sharedId);
      entries.message[row] = undefined;
    }
    entries.end[row] = writer.position;
  }

  /** Id of the shared copy that the entry in `row` can refer to, made now when another entry holds the message; else 0. */
  #sharedIdOf(message: Message, row: number): number {
    const id = message.storeId;
    if (id === 0) return 0;
    if (id > 0) return this.sharedMessages.has(id) || this.#index.references.has(id) ? id : 0;
    const entries = this.entries;
    const holder = -1 - id;
    // The number may be left over from an earlier group or another store.
    if (holder === row || holder >= entries.length || entries.message[holder] !== message) return 0;
    const sharedId = this.#index.nextSharedId();
    const messageStart = entries.messageStart[holder]!;
    const start = this.writer.shareEntry(entries.start[holder]!, messageStart, entries.end[holder]!, sharedId);
    this.sharedMessages.set(sharedId, { start, end: this.writer.position });
    entries.end[holder] = messageStart + 8;
    entries.sharedId[holder] = sharedId;
    entries.message[holder] = undefined;
    message.storeId = sharedId;
    return sharedId;
  }

  #deleteEntry(queueId: number, sequence: number): void {
    if (this.#isGone(queueId)) return;
    const entries = this.entries;
    let row = entries.find(queueId, sequence);
    if (row === -1) {
      if (!this.#mayBeStored(queueId, sequence)) return;
      row = entries.add(queueId, sequence, false);
    }
    entries.operation[row] = entries.fresh[row] === 1 ? Operation.none : Operation.delete;
    entries.sharedId[row] = 0;
    entries.message[row] = undefined;
  }

  #setEntryState(change: { queueId: number; sequence: number; packetId: number; state: QueueState }): void {
    if (this.#isGone(change.queueId)) return;
    const entries = this.entries;
    let row = entries.find(change.queueId, change.sequence);
    if (row === -1) {
      if (!this.#mayBeStored(change.queueId, change.sequence)) return;
      row = entries.add(change.queueId, change.sequence, false);
      entries.operation[row] = Operation.state;
    }
    const operation = entries.operation[row];
    if (operation === Operation.put) {
      this.writer.setEntryState(entries.start[row]!, change.packetId, change.state);
    } else if (operation === Operation.state) {
      entries.packetId[row] = change.packetId;
      entries.state[row] = change.state;
    }
  }

  #putInbound(clientId: string, packetId: number): void {
    const start = this.writer.position;
    this.writer.inbound(clientId, packetId);
    this.#client(clientId).inbound.set(packetId, this.#rangeFrom(start));
  }

  #putWill(record: WillRecord): void {
    const start = this.writer.position;
    this.writer.will(record);
    this.wills.set(record.clientId, this.#rangeFrom(start));
  }

  #deleteSession(clientId: string, queueId: number): void {
    const client = this.#client(clientId);
    client.erased = true;
    client.session = null;
    client.subscriptions.clear();
    client.inbound.clear();
    this.droppedQueues.add(queueId);
  }

  #client(clientId: string): ClientChanges {
    let client = this.clients.get(clientId);
    if (client === undefined) {
      client = { erased: false, session: undefined, subscriptions: new Map(), inbound: new Map() };
      this.clients.set(clientId, client);
    }
    return client;
  }

  /** Queue ids are never used again, so nothing that comes for a deleted queue has an effect. */
  #isGone(queueId: number): boolean {
    return this.droppedQueues.has(queueId) || this.#index.erasing.has(queueId);
  }

  #mayBeStored(queueId: number, sequence: number): boolean {
    const info = this.#index.queues.get(queueId);
    return info !== undefined && sequence <= info.lastSequence;
  }

  #rangeFrom(start: number): { start: number; end: number } {
    return { start, end: this.writer.position };
  }
}
