import type { Message } from '../protocol/message.ts';
import type { AedesSession } from '../store/redis/aedes-reader.ts';
import type { LeftOut } from '../store/redis/left-out.ts';
import { type Mutation, type Store, type StoredState, UNCLAIMED, type WillRecord } from '../store/store.ts';

/** What was taken over, by kind. */
export interface ImportCounts {
  sessions: number;
  subscriptions: number;
  queued: number;
  inbound: number;
  wills: number;
  retained: number;
}

/** Session Expiry Interval of what comes back, seconds: never. */
const NEVER = 0xffff_ffff;
/** The same where only QoS 2 packet ids are left: a day. */
const DAY = 86_400;
/** Sequence of the first entry of a queue: room in front of it, as the broker leaves as well. */
const FIRST_SEQUENCE = 2 ** 40;
/** A batch is committed when it is that large; a session is never divided. */
const BATCH_MUTATIONS = 1000;
const BATCH_BYTES = 4 * 1024 * 1024;

/** A store that was opened, and what was in it; without a store everything is counted and nothing written. */
export interface OpenedStore {
  readonly store: Store | undefined;
  readonly state: StoredState;
}

/** Writes what an import reads to a store, in batches that hold whole sessions, beside what is there. */
export class ImportWriter {
  readonly counts: ImportCounts = { sessions: 0, subscriptions: 0, queued: 0, inbound: 0, wills: 0, retained: 0 };
  readonly #store: Store | undefined;
  readonly #merges: boolean;
  /** What was there before. */
  readonly #clientIds: ReadonlySet<string>;
  readonly #willIds: ReadonlySet<string>;
  readonly #topicNames: ReadonlySet<string>;
  /** Topics of retained messages written: the source may name one twice. */
  readonly #written = new Set<string>();
  #nextQueueId: number;
  #batch: Mutation[] = [];
  #bytes = 0;

  /** @param merges whether what is there already is passed over. */
  constructor({ store, state }: OpenedStore, merges: boolean) {
    this.#store = store;
    this.#merges = merges;
    this.#clientIds = new Set(state.sessions.map(({ clientId }) => clientId));
    this.#willIds = new Set(state.wills.map(({ clientId }) => clientId));
    this.#topicNames = new Set(state.retained.map(({ topicName }) => topicName));
    const queues = [...state.sessions, ...state.groups, ...state.queues];
    const highest = queues.reduce((most, { queueId }) => Math.max(most, queueId), 0);
    this.#nextQueueId = Math.max(highest + 1, state.firstQueueId ?? 0);
  }

  /** One that counts and writes nothing. */
  static toNowhere(): ImportWriter {
    const state = { sessions: [], subscriptions: [], groups: [], queues: [], inbound: [], wills: [], retained: [] };
    return new ImportWriter({ store: undefined, state }, true);
  }

  /** Those of the client ids that must not be written, as they have a session already; none when it merges. */
  async conflicts(clientIds: AsyncIterable<string>): Promise<readonly string[]> {
    const found = new Set<string>();
    if (this.#merges || this.#clientIds.size === 0) return [];
    for await (const clientId of clientIds) if (this.#clientIds.has(clientId)) found.add(clientId);
    return [...found];
  }

  async session(session: AedesSession, leftOut: LeftOut): Promise<void> {
    const { clientId, subscriptions, queue, inbound, isPersistent } = session;
    if (this.#clientIds.has(clientId)) {
      leftOut.note('sessions: the store has one of this client id already', clientId);
      return;
    }
    const queueId = this.#nextQueueId++;
    const expiry = { sessionExpiryInterval: isPersistent ? NEVER : DAY, expiresAt: Number.POSITIVE_INFINITY };
    this.#batch.push({ kind: 'session-put', record: { clientId, epoch: 0, queueId, username: UNCLAIMED, ...expiry } });
    for (const record of subscriptions) this.#batch.push({ kind: 'subscription-put', clientId, queueId, record });
    for (const packetId of inbound) this.#batch.push({ kind: 'inbound-put', clientId, packetId });
    for (const [index, entry] of queue.entries()) {
      const sequence = FIRST_SEQUENCE + index;
      const record = { queueId, sequence, ...entry, subscriptionIdentifiers: [], shareKey: '' };
      this.#batch.push({ kind: 'queue-put', record });
      this.#bytes += entry.message.size;
    }
    this.counts.sessions += 1;
    this.counts.subscriptions += subscriptions.length;
    this.counts.inbound += inbound.length;
    this.counts.queued += queue.length;
    await this.#flushIfLarge();
  }

  async will(record: WillRecord, leftOut: LeftOut): Promise<void> {
    const { clientId } = record;
    if (this.#clientIds.has(clientId) || this.#willIds.has(clientId)) {
      leftOut.note('wills: the store has a session or a will of this client id already', clientId);
      return;
    }
    this.#batch.push({ kind: 'will-put', record });
    this.#bytes += record.will.payload.length;
    this.counts.wills += 1;
    await this.#flushIfLarge();
  }

  async retained(message: Message, leftOut: LeftOut): Promise<void> {
    if (this.#topicNames.has(message.topicName)) {
      leftOut.note('retained messages: the store has one of this topic already', message.topicName);
      return;
    }
    if (this.#written.has(message.topicName)) return;
    this.#written.add(message.topicName);
    this.#batch.push({ kind: 'retained-put', message });
    this.#bytes += message.size;
    this.counts.retained += 1;
    await this.#flushIfLarge();
  }

  /** Commits what is left. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    if (batch.length > 0) await this.#store?.commit(batch);
  }

  async close(): Promise<void> {
    await this.#store?.close();
  }

  async #flushIfLarge(): Promise<void> {
    if (this.#batch.length >= BATCH_MUTATIONS || this.#bytes >= BATCH_BYTES) await this.flush();
  }
}
