import type { Cluster, Redis } from 'ioredis';
import type { RecordReader } from '../record-reader.ts';
import type { QueueSummary, StoredState } from '../store.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Sessions asked for in one round trip. */
const SESSIONS_AT_ONCE = 1_000;
/** Queues looked at in one call of a script. */
const QUEUES_AT_ONCE = 500;

/** What a node needs at start, without its retained messages. */
export type NodeState = Omit<StoredState, 'retained'>;

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

  /** @throws Error when a record is damaged or the connection breaks. */
  async read(nodeId: string): Promise<NodeState> {
    const state: NodeState = { sessions: [], subscriptions: [], groups: [], queues: [], inbound: [], wills: [] };
    const clientIds = await this.#redis.smembers(this.#keys.own(nodeId));
    for (let at = 0; at < clientIds.length; at += SESSIONS_AT_ONCE) {
      const some = clientIds.slice(at, at + SESSIONS_AT_ONCE);
      const hashes = await Promise.all(some.map((id) => this.#redis.hgetallBuffer(this.#keys.session(id))));
      for (const [index, hash] of hashes.entries()) this.#readSession(some[index] as string, hash, state);
    }
    for (const value of Object.values(await this.#redis.hgetallBuffer(this.#keys.groups(nodeId)))) {
      this.#reader.reset(value, value.length);
      state.groups.push(this.#reader.group());
    }
    const queueIds = [...state.sessions, ...state.groups].map(({ queueId }) => queueId);
    for (let at = 0; at < queueIds.length; at += QUEUES_AT_ONCE) {
      state.queues.push(...(await this.#summaries(queueIds.slice(at, at + QUEUES_AT_ONCE))));
    }
    return state;
  }

  #readSession(clientId: string, hash: Record<string, Buffer>, state: NodeState): void {
    const reader = this.#reader;
    for (const [field, value] of Object.entries(hash)) {
      reader.reset(value, value.length);
      const kind = field[0];
      if (kind === 'r') state.sessions.push(reader.session());
      else if (kind === 'f') state.subscriptions.push(reader.subscription());
      else if (kind === 'w') state.wills.push(reader.will());
      else state.inbound.push({ clientId, packetId: Number(field.slice(1)) });
    }
  }

  async #summaries(queueIds: readonly number[]): Promise<QueueSummary[]> {
    const keys = queueIds.flatMap((id) => [this.#keys.queue(id), this.#keys.flight(id)]);
    const found = (await this.#scripts.run('summaries', keys, [])) as string[];
    const summaries: QueueSummary[] = [];
    for (const [index, queueId] of queueIds.entries()) {
      const [count, bytes, firstSequence, lastSequence] = found.slice(4 * index, 4 * index + 4).map(Number) as [
        number,
        number,
        number,
        number,
      ];
      if (count > 0) summaries.push({ queueId, count, bytes, firstSequence, lastSequence });
    }
    return summaries;
  }
}
