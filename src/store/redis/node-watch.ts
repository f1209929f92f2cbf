import type { Cluster, Redis } from 'ioredis';
import { errorText } from '../../lib/error-text.ts';
import type { Logger } from '../../lib/logger.ts';
import { RecordReader } from '../record-reader.ts';
import { type GroupRecord, StoreError } from '../store.ts';
import type { ClientClaims } from './client-claims.ts';
import { decoded } from './decoded.ts';
import { aboutOf, isDead, type NodePlace } from './node-place.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Replication } from './replication.ts';
import type { Scripts } from './script-runner.ts';

/** Looks in a row that find a node without a lease until it counts as dead: all leases end while Redis is stopped. */
const LOOKS_WITHOUT_LEASE = 3;
/** How much of a lease is left at most of a node whose process is gone: one that lives beats more often. */
const LEFT_OF_DEAD = 0.6;
/** Client ids taken over in one call of a script. */
const CLIENTS_AT_ONCE = 500;
/** How long a node that was given up is told so when it comes back, s. */
const NOTE_SECONDS = 86_400;

/** What a part of a dead node's belongings is. */
export interface Adopted {
  readonly clientIds: readonly string[];
  readonly groups: readonly GroupRecord[];
}

/** What a watch is made with. */
export interface WatchOptions {
  readonly redis: Redis | Cluster;
  readonly scripts: Scripts;
  readonly keys: RedisKeys;
  readonly replication: Pick<Replication, 'confirmed'>;
  readonly place: NodePlace;
  readonly nodeId: string;
  readonly leaseMs: number;
  readonly logger: Logger;
  /** Told when a part is being taken over. */
  readonly claims: Pick<ClientClaims, 'collect' | 'forget'>;
  /**
   * Told of what this node has taken over; the next part follows when it is done with it. Where it fails it is told again,
   * unless that is a StoreError.
   */
  readonly onAdopted: (adopted: Adopted) => Promise<void>;
}

/** Looks after the other nodes: takes the place away from those that are not heard of any more, and takes over what they had. */
export class NodeWatch {
  readonly #options: WatchOptions;
  readonly #reader = new RecordReader();
  /** By node id, looks in a row that found no lease. */
  readonly #missed: Map<string, number> = new Map();
  #looking: Promise<void> | undefined = undefined;
  #again = false;
  #isClosed = false;
  /** The node of which a part may have been taken over, without it being known here yet. */
  #unfinished: string | undefined = undefined;
  #calls = 0;
  /** Client ids that were handed over for an earlier start of this node, or for a claim that was given up. */
  readonly #handedOver: string[] = [];
  /** By client id, what waits until it is known. */
  readonly #waiting: Map<string, () => void> = new Map();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Looks, once at a time. @throws the error of the connection: nothing is known then. */
  look(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = this.#lookAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Has a client id taken over that was handed over although nobody here wants it, with the next look. */
  handOver(clientId: string): void {
    this.#handedOver.push(clientId);
  }

  /** Runs it when all that this node has taken over is known here, the last one alone for each client id. */
  onceKnown(clientId: string, run: () => void): void {
    this.#waiting.set(clientId, run);
    this.#runKnown();
  }

  #runKnown(): void {
    if (this.#unfinished !== undefined || this.#handedOver.length > 0) return;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const run of waiting) run();
  }

  /** Ends it; resolves when nothing more comes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#looking?.catch(() => {});
  }

  async #lookAll(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#fenceDead();
        await this.#adoptAll();
      } while (this.#again && !this.#isClosed);
    } catch (error) {
      this.#missed.clear();
      throw error;
    }
  }

  async #fenceDead(): Promise<void> {
    const { redis, keys, nodeId, leaseMs } = this.#options;
    const known = await redis.hgetall(keys.nodes);
    for (const other of this.#missed.keys()) if (known[other] === undefined) this.#missed.delete(other);
    for (const [other, about] of Object.entries(known)) {
      if (other === nodeId) continue;
      const [lease, left] = await Promise.all([redis.get(keys.lease(other)), redis.pttl(keys.lease(other))]);
      if (lease !== null) {
        this.#missed.delete(other);
        if (left < LEFT_OF_DEAD * leaseMs && isDead(aboutOf(about))) await this.#fence(other, lease);
        continue;
      }
      const missed = (this.#missed.get(other) ?? 0) + 1;
      this.#missed.set(other, missed);
      if (missed >= LOOKS_WITHOUT_LEASE) await this.#fence(other, '');
    }
  }

  async #fence(other: string, deadLease: string): Promise<void> {
    const { scripts, keys, nodeId, place, logger } = this.#options;
    const all = [keys.node(nodeId), keys.incarnations, keys.nodes, keys.gone, keys.topology, keys.changes];
    const places = [keys.node(other), keys.lease(other), keys.inbox(other), keys.interests(other)];
    const done = await scripts.run(
      'fence',
      [...all, ...places, keys.figures],
      [place.incarnation, other, deadLease, NOTE_SECONDS],
    );
    if (done === 1) logger.warn('a node is not heard of any more; the others take over its sessions', { node: other });
  }

  async #adoptAll(): Promise<void> {
    const { redis, keys } = this.#options;
    if (this.#unfinished !== undefined) await this.#adopt(this.#unfinished);
    await this.#adoptHandedOver();
    for (const other of await redis.smembers(keys.gone)) {
      for (let more = true; more && !this.#isClosed; ) more = await this.#adopt(other);
    }
  }

  async #adoptHandedOver(): Promise<void> {
    const { redis, replication, keys, nodeId, claims } = this.#options;
    for (let [clientId] = this.#handedOver; clientId !== undefined; [clientId] = this.#handedOver) {
      claims.collect();
      // A client may have come for it here, and have gone to another node since.
      const id = clientId;
      if ((await replication.confirmed(() => redis.sismember(keys.own(nodeId), id))) === 1)
        await this.#tell(nodeId, [clientId], []);
      claims.forget();
      this.#handedOver.shift();
    }
    this.#runKnown();
  }

  /** @returns whether there may be more. */
  async #adopt(other: string): Promise<boolean> {
    const { redis, scripts, replication, keys, nodeId, place, claims } = this.#options;
    if (this.#unfinished === undefined) {
      this.#calls += 1;
      claims.collect();
    }
    this.#unfinished = other;
    const all = [keys.node(nodeId), keys.nodes, keys.gone, keys.topology, keys.changes];
    const parts = [keys.own(other), keys.own(nodeId), keys.groups(other), keys.groups(nodeId), keys.taking(nodeId)];
    const { incarnation } = place;
    const values = [incarnation, nodeId, other, keys.start, CLIENTS_AT_ONCE, `${incarnation}-${this.#calls}`];
    const answer = (await replication.confirmed(() => scripts.runBuffer('adopt', [...all, ...parts], values))) as [
      Buffer[],
      Buffer[],
      number,
      number,
    ];
    place.noteTaken(answer[3]);
    await this.#tell(
      other,
      answer[0].map((id) => id.toString()),
      answer[1],
    );
    this.#unfinished = undefined;
    claims.forget();
    this.#runKnown();
    // The next call passes over what stays.
    if (answer[2] === 0) redis.del(keys.taking(nodeId)).catch(() => {});
    return answer[2] === 1;
  }

  async #tell(other: string, clientIds: readonly string[], records: readonly Buffer[]): Promise<void> {
    const { onAdopted, logger } = this.#options;
    try {
      const groups = decoded('part of a shared subscription', () =>
        records.map((value) => {
          this.#reader.reset(value, value.length);
          return this.#reader.group();
        }),
      );
      if (clientIds.length + groups.length > 0) await onAdopted({ clientIds, groups });
    } catch (error) {
      if (!(error instanceof StoreError) || this.#isClosed) throw error;
      logger.error('what a node left cannot be read; its sessions wait for their clients', {
        node: other,
        error: errorText(error),
      });
    }
  }
}
