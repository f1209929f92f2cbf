import type { Message } from '../protocol/message.ts';
import { copyMessage, copyQueueRecord, copyWillRecord } from './copies.ts';
import {
  forOneNode,
  type GroupRecord,
  type LocalMutation,
  type Mutation,
  type QueueRecord,
  type QueueState,
  type QueueSummary,
  type SessionRecord,
  type StoredState,
  type SubscriptionRecord,
  type WillRecord,
} from './store.ts';

/** Entries of one queue; `inOrder` says whether the order of insertion is the order of sequence. */
interface MemoryQueue {
  entries: Map<number, QueueRecord>;
  inOrder: boolean;
  lastInserted: number;
}

/**
 * What a store holds, as maps in memory. Apart from `MemoryStore` so that a test can keep one as its simulated disk and
 * decide itself which batches reach it.
 */
export class MemoryState {
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #subscriptions = new Map<string, Map<string, SubscriptionRecord>>();
  readonly #inbound = new Map<string, Set<number>>();
  readonly #groups = new Map<string, GroupRecord>();
  readonly #wills = new Map<string, WillRecord>();
  readonly #retained = new Map<string, Message>();
  readonly #queues = new Map<number, MemoryQueue>();
  /** The compact copy kept of a message, so that a message in several queues is held once. */
  readonly #copies = new WeakMap<Message, Message>();

  /** Applies the mutations in order. What is kept of them is copied. */
  apply(batch: readonly Mutation[]): void {
    for (const mutation of batch) this.#applyOne(forOneNode(mutation));
  }

  /** Everything that `Store.open` returns. */
  read(): StoredState {
    return {
      sessions: [...this.#sessions.values()].map((record) => ({ ...record })),
      subscriptions: [...this.#subscriptions].flatMap(([clientId, records]) =>
        [...records.values()].map((record) => ({ clientId, record: { ...record } })),
      ),
      groups: [...this.#groups.values()].map((record) => ({ ...record })),
      queues: [...this.#queues].map(([queueId, queue]) => summarize(queueId, queue)),
      inbound: [...this.#inbound].flatMap(([clientId, packetIds]) =>
        [...packetIds].map((packetId) => ({ clientId, packetId })),
      ),
      wills: [...this.#wills.values()].map(copyWillRecord),
      retained: [...this.#retained.values()],
    };
  }

  /** Entries of a queue, see `Store.readQueue`. */
  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): QueueRecord[] {
    const queue = this.#queues.get(queueId);
    const found: QueueRecord[] = [];
    if (queue === undefined) return found;
    if (!queue.inOrder) sortQueue(queue);
    let bytes = 0;
    for (const record of queue.entries.values()) {
      if (record.sequence <= afterSequence) continue;
      bytes += record.message.size;
      if (found.length >= limit || (found.length > 0 && bytes > maxBytes)) break;
      found.push(copyQueueRecord(record, record.message));
    }
    return found;
  }

  #applyOne(mutation: LocalMutation): void {
    switch (mutation.kind) {
      case 'session-put':
        this.#sessions.set(mutation.record.clientId, { ...mutation.record });
        return;
      case 'session-delete':
        this.#sessions.delete(mutation.clientId);
        this.#subscriptions.delete(mutation.clientId);
        this.#inbound.delete(mutation.clientId);
        this.#queues.delete(mutation.queueId);
        return;
      case 'subscription-put':
        this.#putSubscription(mutation.clientId, mutation.record);
        return;
      case 'subscription-delete':
        this.#deleteSubscription(mutation.clientId, mutation.topicFilter);
        return;
      case 'group-put':
        this.#groups.set(mutation.record.shareKey, { ...mutation.record });
        return;
      case 'group-delete':
        this.#groups.delete(mutation.shareKey);
        this.#queues.delete(mutation.queueId);
        return;
      case 'queue-put':
        this.#putEntry(mutation.record);
        return;
      case 'queue-state':
        this.#setEntryState(mutation);
        return;
      case 'queue-delete':
        this.#deleteEntry(mutation.queueId, mutation.sequence);
        return;
      case 'inbound-put':
        this.#putInbound(mutation.clientId, mutation.packetId);
        return;
      case 'inbound-delete':
        this.#deleteInbound(mutation.clientId, mutation.packetId);
        return;
      case 'will-put':
        this.#wills.set(mutation.record.clientId, copyWillRecord(mutation.record));
        return;
      case 'will-delete':
        this.#wills.delete(mutation.clientId);
        return;
      case 'retained-put':
        this.#retained.set(mutation.message.topicName, this.#copyOf(mutation.message));
        return;
      case 'retained-delete':
        this.#retained.delete(mutation.topicName);
        return;
    }
  }

  #putSubscription(clientId: string, record: SubscriptionRecord): void {
    let records = this.#subscriptions.get(clientId);
    if (records === undefined) {
      records = new Map();
      this.#subscriptions.set(clientId, records);
    }
    records.set(record.topicFilter, { ...record });
  }

  #deleteSubscription(clientId: string, topicFilter: string): void {
    const records = this.#subscriptions.get(clientId);
    if (records?.delete(topicFilter) === true && records.size === 0) this.#subscriptions.delete(clientId);
  }

  #putInbound(clientId: string, packetId: number): void {
    const packetIds = this.#inbound.get(clientId);
    if (packetIds === undefined) this.#inbound.set(clientId, new Set([packetId]));
    else packetIds.add(packetId);
  }

  #deleteInbound(clientId: string, packetId: number): void {
    const packetIds = this.#inbound.get(clientId);
    if (packetIds?.delete(packetId) === true && packetIds.size === 0) this.#inbound.delete(clientId);
  }

  #putEntry(record: QueueRecord): void {
    let queue = this.#queues.get(record.queueId);
    if (queue === undefined) {
      queue = { entries: new Map(), inOrder: true, lastInserted: -1 };
      this.#queues.set(record.queueId, queue);
    }
    if (!queue.entries.has(record.sequence)) {
      if (record.sequence < queue.lastInserted) queue.inOrder = false;
      queue.lastInserted = record.sequence;
    }
    queue.entries.set(record.sequence, copyQueueRecord(record, this.#copyOf(record.message)));
  }

  #setEntryState(change: { queueId: number; sequence: number; packetId: number; state: QueueState }): void {
    const record = this.#queues.get(change.queueId)?.entries.get(change.sequence);
    if (record === undefined) return;
    record.packetId = change.packetId;
    record.state = change.state;
  }

  #deleteEntry(queueId: number, sequence: number): void {
    const queue = this.#queues.get(queueId);
    if (queue?.entries.delete(sequence) === true && queue.entries.size === 0) this.#queues.delete(queueId);
  }

  #copyOf(message: Message): Message {
    let copy = this.#copies.get(message);
    if (copy === undefined) {
      copy = copyMessage(message);
      this.#copies.set(message, copy);
      this.#copies.set(copy, copy);
    }
    return copy;
  }
}

function summarize(queueId: number, queue: MemoryQueue): QueueSummary {
  let bytes = 0;
  let firstSequence = Number.POSITIVE_INFINITY;
  let lastSequence = 0;
  for (const record of queue.entries.values()) {
    bytes += record.message.size;
    if (record.sequence < firstSequence) firstSequence = record.sequence;
    if (record.sequence > lastSequence) lastSequence = record.sequence;
  }
  return { queueId, count: queue.entries.size, bytes, firstSequence, lastSequence };
}

function sortQueue(queue: MemoryQueue): void {
  queue.entries = new Map([...queue.entries].sort(([a], [b]) => a - b));
  queue.inOrder = true;
  queue.lastInserted = -1;
  for (const sequence of queue.entries.keys()) queue.lastInserted = sequence;
}
