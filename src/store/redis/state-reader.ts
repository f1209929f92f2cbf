import type { Cluster, Redis } from 'ioredis';
import type { RecordReader } from '../record-reader.ts';
import type { OwnedState } from '../shared-store.ts';
import type { GroupRecord, QueueSummary } from '../store.ts';
import { NO_MEMBERS } from '../topology-change.ts';
import { decoded } from './decoded.ts';
import { onlineOf } from './group-online.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Sessions asked for in one call of a script, and how many such calls are on their way at once. */
const SESSIONS_AT_ONCE = 500;
const CALLS_AT_ONCE = 4;
/** Bytes of sessions that one call answers with, unless a single session has more. */
const ANSWER_BYTES = 1024 * 1024;
/** Queues looked at in one call of a script. */
const QUEUES_AT_ONCE = 500;
/** Texts that the script of summaries returns for each queue. */
const SUMMARY_TEXTS = 5;
/** First letters of the fields of a session's hash. */
const Field = { session: 0x72, subscription: 0x66, inbound: 0x69, will: 0x77 } as const;
/** First letter of the field, and length of the value. */
const HEAD_BYTES = 5;

/** Reads what a node takes care of: sessions, subscriptions, QoS 2 ids, wills, groups, and how full the queues are. */
export class StateReader {
  readonly #redis: Redis | Cluster;
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #reader: RecordReader;

  constructor(parts: { redis: Redis | Cluster; scripts: Scripts; keys: RedisKeys; reader: RecordReader }) {
    this.#redis = parts.redis;
    this.#scripts = parts.scripts;
    this.#keys = parts.keys;
    this.#reader = parts.reader;
  }

  /**
   * Everything of a node, and its client ids of which nothing is stored: their sessions ended with an earlier start of it.
   * @throws StoreError when a record is damaged, the error of the connection when it breaks. */
  async read(nodeId: string): Promise<{ state: OwnedState; leftOver: readonly string[] }> {
    const clientIds = await this.#redis.smembers(this.#keys.own(nodeId));
    const values = Object.values(await this.#redis.hgetallBuffer(this.#keys.groups(nodeId)));
    // Of several parts of one shared subscription, one that has members comes first.
    const groups = values
      .toSorted((one, other) => Number(onlineOf(one) === NO_MEMBERS) - Number(onlineOf(other) === NO_MEMBERS))
      .map((value) =>
        decoded('part of a shared subscription', () => {
          this.#reader.reset(value, value.length);
          return this.#reader.group();
        }),
      );
    const state = await this.readParts(clientIds, groups);
    const kept = new Set([...state.sessions, ...state.wills].map(({ clientId }) => clientId));
    return { state, leftOver: clientIds.filter((clientId) => !kept.has(clientId)) };
  }

  /** Sessions, and these groups, with what is in their queues. @throws StoreError when a record is damaged, the error of the connection when it breaks. */
  async readParts(clientIds: readonly string[], groups: readonly GroupRecord[]): Promise<OwnedState> {
    const state = await this.readSessions(clientIds);
    state.groups.push(...groups);
    await this.#addSummaries(
      groups.map(({ queueId }) => queueId),
      state,
    );
    return state;
  }

  /**
   * What there is of these client ids, in no order: sessions with what belongs to them, wills also without one.
   * @throws StoreError when a record is damaged, the error of the connection when it breaks.
   */
  async readSessions(clientIds: readonly string[]): Promise<OwnedState> {
    const state: OwnedState = { sessions: [], subscriptions: [], groups: [], queues: [], inbound: [], wills: [] };
    let next = 0;
    const readPortions = async (): Promise<void> => {
      while (next < clientIds.length) {
        const portion = clientIds.slice(next, next + SESSIONS_AT_ONCE);
        next += SESSIONS_AT_ONCE;
        await this.#readPortion(portion, state);
      }
    };
    await Promise.all(Array.from({ length: CALLS_AT_ONCE }, readPortions));
    return state;
  }

  async #readPortion(clientIds: readonly string[], state: OwnedState): Promise<void> {
    const keys = clientIds.map((clientId) => this.#keys.session(clientId));
    const queueIds: number[] = [];
    for (let read = 0; read < keys.length; ) {
      const [count, bytes] = (await this.#scripts.runBuffer('readSessions', keys.slice(read), [ANSWER_BYTES])) as [
        number,
        Buffer,
      ];
      const before = state.sessions.length;
      decoded('session', () => this.#decode(clientIds.slice(read, read + count), bytes, state));
      for (const { queueId } of state.sessions.slice(before)) queueIds.push(queueId);
      read += count;
    }
    await this.#addSummaries(queueIds, state);
  }

  /** Bytes as the script `readSessions` returns them: for each session how many fields, and then those. */
  #decode(clientIds: readonly string[], bytes: Buffer, state: OwnedState): void {
    let at = 0;
    for (const clientId of clientIds) {
      let left = bytes.readUInt32LE(at);
      at += 4;
      for (; left > 0; left--) {
        const start = at + HEAD_BYTES;
        const end = start + bytes.readUInt32LE(at + 1);
        this.#decodeField(clientId, bytes[at] as number, bytes.subarray(start, end), state);
        at = end;
      }
    }
  }

  #decodeField(clientId: string, field: number, value: Buffer, state: OwnedState): void {
    const reader = this.#reader;
    if (field === Field.inbound) {
      state.inbound.push({ clientId, packetId: Number(value.toString('latin1')) });
      return;
    }
    reader.reset(value, value.length);
    if (field === Field.session) state.sessions.push(reader.session());
    else if (field === Field.subscription) state.subscriptions.push(reader.subscription());
    else if (field === Field.will) state.wills.push(reader.will());
  }

  async #addSummaries(queueIds: readonly number[], state: OwnedState): Promise<void> {
    for (let at = 0; at < queueIds.length; at += QUEUES_AT_ONCE) {
      state.queues.push(...(await this.#summaries(queueIds.slice(at, at + QUEUES_AT_ONCE))));
    }
  }

  async #summaries(queueIds: readonly number[]): Promise<QueueSummary[]> {
    const keys = queueIds.flatMap((id) => [this.#keys.queue(id), this.#keys.flight(id)]);
    const found = (await this.#scripts.run('summaries', keys, [])) as string[];
    const summaries: QueueSummary[] = [];
    for (let at = 0; at < found.length; at += SUMMARY_TEXTS) {
      const [place, count, bytes, firstSequence, lastSequence] = found.slice(at, at + SUMMARY_TEXTS).map(Number) as [
        number,
        number,
        number,
        number,
        number,
      ];
      const queueId = queueIds[place - 1] as number;
      summaries.push({ queueId, count, bytes, firstSequence, lastSequence });
    }
    return summaries;
  }
}
