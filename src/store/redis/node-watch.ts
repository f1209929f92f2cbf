import type { Cluster, Redis } from 'ioredis';
import type { Logger } from '../../lib/logger.ts';
import { RecordReader } from '../record-reader.ts';
import type { GroupRecord } from '../store.ts';
import { aboutOf, isDead, type NodePlace } from './node-place.ts';
import type { RedisKeys } from './redis-keys.ts';
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
  readonly place: NodePlace;
  readonly nodeId: string;
  readonly leaseMs: number;
  readonly logger: Logger;
  /** Whether this node has a client id, by Redis. */
  readonly isOurs: (clientId: string) => Promise<boolean>;
  /** Told of what this node has taken over; the next part follows when it is done with it. */
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
  /** Number of the next call that takes over a part of what a node left. */
  #call = 1;
  /** The node that the last such call was about, until this node has what it took over. */
  #underWay: string | undefined = undefined;
  /** Client ids that came here although nobody here asks for them: an earlier start of this node did. */
  #handedOver: string[] = [];
  /** Told when nothing is under way. */
  #onSettled: (() => void)[] = [];

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

  /** Ends it; resolves when nothing more comes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#looking?.catch(() => {});
  }

  /**
   * Tells at once, or when this node knows what it is about to take over: in Redis it is the owner before, and it must
   * not answer those who want it as if there were nothing.
   */
  onceSettled(then: () => void): void {
    if (this.#isSettled) then();
    else this.#onSettled.push(then);
  }

  get #isSettled(): boolean {
    return this.#underWay === undefined && this.#handedOver.length === 0;
  }

  /** A client id was handed over that nobody here asks for: it is taken over with the next look. */
  handOver(clientId: string): void {
    this.#handedOver.push(clientId);
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
    const done = await scripts.run('fence', [...all, ...places], [place.incarnation, other, deadLease, NOTE_SECONDS]);
    if (done === 1) logger.warn('a node is not heard of any more; the others take over its sessions', { node: other });
  }

  async #adoptAll(): Promise<void> {
    const { redis, keys, isOurs, onAdopted } = this.#options;
    for (let clientId = this.#handedOver[0]; clientId !== undefined; clientId = this.#handedOver[0]) {
      // It may have been told twice, and be somebody else's by now.
      if (await isOurs(clientId)) await onAdopted({ clientIds: [clientId], groups: [] });
      this.#handedOver.shift();
      this.#tellSettled();
    }
    // What was taken over by a call without an answer is this node's already.
    if (this.#underWay !== undefined) await this.#adoptAllOf(this.#underWay);
    for (const other of await redis.smembers(keys.gone)) await this.#adoptAllOf(other);
  }

  async #adoptAllOf(other: string): Promise<void> {
    for (let more = true; more && !this.#isClosed; ) more = await this.#adopt(other);
  }

  /** @returns whether there may be more. */
  async #adopt(other: string): Promise<boolean> {
    const { scripts, keys, nodeId, place, onAdopted } = this.#options;
    const all = [keys.node(nodeId), keys.nodes, keys.gone, keys.topology, keys.changes];
    this.#underWay = other;
    const parts = [keys.own(other), keys.own(nodeId), keys.groups(other), keys.groups(nodeId)];
    const answer = (await scripts.runBuffer(
      'adopt',
      [...all, ...parts],
      [place.incarnation, nodeId, other, keys.start, CLIENTS_AT_ONCE, this.#call],
    )) as [Buffer[], Buffer[], number];
    const clientIds = answer[0].map((id) => id.toString());
    const groups = answer[1].map((value) => {
      this.#reader.reset(value, value.length);
      return this.#reader.group();
    });
    if (clientIds.length + groups.length > 0) await onAdopted({ clientIds, groups });
    this.#settle();
    return answer[2] === 1;
  }

  #settle(): void {
    this.#call += 1;
    this.#underWay = undefined;
    this.#tellSettled();
  }

  #tellSettled(): void {
    if (this.#isSettled) for (const then of this.#onSettled.splice(0)) then();
  }
}
