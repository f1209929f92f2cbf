import type { Cluster, Redis } from 'ioredis';
import { RecordReader } from '../record-reader.ts';
import type { Topology } from '../shared-store.ts';
import { decodeChanges, NO_MEMBERS, type TopologyChange } from '../topology-change.ts';
import { decoded } from './decoded.ts';
import { onlineOf } from './group-online.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Replication } from './replication.ts';
import type { StateReader } from './state-reader.ts';

/** Sessions read at a time. */
const SESSIONS_AT_ONCE = 1_000;

/** An entry of a stream: its id, and names and values in turn. */
export type StreamEntry = readonly [id: Buffer, fields: readonly Buffer[]];

/** What a reader of the topology is made with. */
export interface TopologyReaderParts {
  readonly redis: Redis | Cluster;
  readonly keys: RedisKeys;
  readonly states: StateReader;
  readonly replication: Pick<Replication, 'confirmed'>;
  readonly topology: Topology;
}

/** Keeps what a node knows of who takes messages where as Redis has it: by the changes, and by all of it where some are missing. */
export class TopologyReader {
  readonly #parts: TopologyReaderParts;
  readonly #reader = new RecordReader();
  #loading: Promise<void> | undefined = undefined;

  constructor(parts: TopologyReaderParts) {
    this.#parts = parts;
  }

  /**
   * Takes over changes from the stream; those that are known already are passed over.
   * @returns whether none was missing before them.
   */
  take(entries: readonly StreamEntry[]): boolean {
    const { topology } = this.#parts;
    for (const [id, fields] of entries) {
      const version = Number.parseInt(id.toString('latin1'), 10);
      if (version <= topology.version) continue;
      if (version !== topology.version + 1) return false;
      topology.apply(decodedChanges(fields), version);
    }
    return true;
  }

  /** Reads all of it anew, once at a time. @throws the error of the connection. */
  load(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    const { replication, topology } = this.#parts;
    const { changes, version } = await replication.confirmed(() => this.#read());
    topology.load(changes, version);
  }

  async #read(): Promise<{ changes: TopologyChange[]; version: number }> {
    const { redis, keys } = this.#parts;
    for (;;) {
      // What changes from here on comes again with the changes, which may be applied twice.
      const version = Number((await redis.get(keys.topology)) ?? 0);
      const changes = await this.#readAll();
      const moved = await this.#movedSince(version);
      if (moved === undefined) continue;
      await this.#sessionsOf([...moved.keys()], (clientId) => moved.get(clientId) as string, changes);
      return { changes, version };
    }
  }

  /** All of it, node by node. What moves meanwhile from one that was not read yet to one that was is left out. */
  async #readAll(): Promise<TopologyChange[]> {
    const { redis, keys } = this.#parts;
    const [nodeIds, gone] = await Promise.all([redis.hkeys(keys.nodes), redis.smembers(keys.gone)]);
    const changes: TopologyChange[] = nodeIds.map((nodeId) => ({ kind: 'node-put', nodeId }));
    for (const nodeId of [...nodeIds, ...gone]) await this.#sessions(nodeId, changes);
    for (const nodeId of nodeIds) await this.#routes(nodeId, changes);
    // Their parts of shared subscriptions go on collecting messages.
    for (const nodeId of gone) await this.#shares(nodeId, () => NO_MEMBERS, changes);
    return changes;
  }

  /** Sessions that have moved since a version, by client id the node that they came to; undefined where changes are missing. */
  async #movedSince(version: number): Promise<ReadonlyMap<string, string> | undefined> {
    const { redis, keys } = this.#parts;
    const moved = new Map<string, string>();
    let last = version;
    for (const [id, fields] of await redis.xrangeBuffer(keys.changes, `(${version}-0`, '+')) {
      last += 1;
      if (Number.parseInt(id.toString('latin1'), 10) !== last) return undefined;
      for (const change of decodedChanges(fields))
        if (change.kind === 'session-moved') moved.set(change.clientId, change.nodeId);
    }
    return moved;
  }

  async #sessions(nodeId: string, changes: TopologyChange[]): Promise<void> {
    const { redis, keys } = this.#parts;
    await this.#sessionsOf(await redis.smembers(keys.own(nodeId)), () => nodeId, changes);
  }

  async #sessionsOf(
    clientIds: readonly string[],
    nodeOf: (clientId: string) => string,
    changes: TopologyChange[],
  ): Promise<void> {
    const { states } = this.#parts;
    for (let at = 0; at < clientIds.length; at += SESSIONS_AT_ONCE) {
      const { sessions, subscriptions } = await states.readSessions(clientIds.slice(at, at + SESSIONS_AT_ONCE));
      const queueIds = new Map(sessions.map((session) => [session.clientId, session.queueId]));
      for (const { clientId, record } of subscriptions) {
        const queueId = queueIds.get(clientId);
        if (queueId === undefined || record.topicFilter.startsWith('$share/')) continue;
        changes.push({ kind: 'subscription-put', clientId, nodeId: nodeOf(clientId), queueId, record });
      }
    }
  }

  async #routes(nodeId: string, changes: TopologyChange[]): Promise<void> {
    const { redis, keys } = this.#parts;
    for (const topicFilter of await redis.smembers(keys.interests(nodeId)))
      changes.push({ kind: 'route-put', nodeId, topicFilter });
    await this.#shares(nodeId, onlineOf, changes);
  }

  async #shares(nodeId: string, online: (value: Buffer) => number, changes: TopologyChange[]): Promise<void> {
    const { redis, keys } = this.#parts;
    for (const value of Object.values(await redis.hgetallBuffer(keys.groups(nodeId)))) {
      const { shareKey, queueId } = decoded('part of a shared subscription', () => {
        this.#reader.reset(value, value.length);
        return this.#reader.group();
      });
      changes.push({ kind: 'share-put', nodeId, shareKey, queueId, online: online(value) });
    }
  }
}

function decodedChanges(fields: readonly Buffer[]): TopologyChange[] {
  return decoded('change of the topology', () => decodeChanges(fields[1] as Buffer));
}
