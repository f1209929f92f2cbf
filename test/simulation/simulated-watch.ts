import type { GroupRecord } from '../../src/store/store.ts';
import type { SimulatedLink } from './simulated-link.ts';
import type { SimulatedRedis } from './simulated-redis.ts';

/** Looks in a row that find a node without a lease until it counts as dead. */
const LOOKS_WITHOUT_LEASE = 3;
/** How much of a lease is left at most of a node whose process is gone. */
const LEFT_OF_DEAD = 0.6;

/** What a watch is made with. */
export interface WatchParts {
  readonly redis: SimulatedRedis;
  readonly link: SimulatedLink;
  readonly nodeId: string;
  readonly leaseMs: number;
  readonly clientsAtOnce: number;
  /** The clock of the world. */
  readonly clock: { now(): number };
  readonly incarnation: () => number;
  readonly isKnownDead: (nodeId: string) => boolean;
  readonly onAdopted: (adopted: { clientIds: readonly string[]; groups: readonly GroupRecord[] }) => Promise<void>;
}

/** Looks after the other nodes, as src/store/redis/node-watch.ts does. */
export class SimulatedWatch {
  readonly #parts: WatchParts;
  readonly #missed: Map<string, number> = new Map();
  #looking: Promise<void> | undefined = undefined;
  #again = false;
  #isClosed = false;
  #call = 1;
  /** Whose belongings were asked for by a call that is not known to be done. */
  #underWay: string | undefined = undefined;
  /** Client ids that came here although nobody here asks for them. */
  #handedOver: string[] = [];
  /** Told when nothing is under way. */
  #onSettled: (() => void)[] = [];

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

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

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#looking?.catch(() => {});
  }

  /** Tells at once, or when this node knows what it is about to take over. */
  onceSettled(then: () => void): void {
    if (this.#isSettled) then();
    else this.#onSettled.push(then);
  }

  get #isSettled(): boolean {
    return this.#underWay === undefined && this.#handedOver.length === 0;
  }

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
    const { redis, link, nodeId, leaseMs, isKnownDead, clock } = this.#parts;
    const nodeIds = await link.call(() => [...redis.nodes]);
    for (const other of nodeIds) {
      if (other === nodeId) continue;
      const lease = await link.call(() => redis.lease(other));
      if (lease !== undefined) {
        this.#missed.delete(other);
        if (lease.until - clock.now() < LEFT_OF_DEAD * leaseMs && isKnownDead(other))
          await this.#fence(other, lease.incarnation);
        continue;
      }
      const missed = (this.#missed.get(other) ?? 0) + 1;
      this.#missed.set(other, missed);
      if (missed >= LOOKS_WITHOUT_LEASE) await this.#fence(other, undefined);
    }
  }

  async #fence(other: string, deadLease: number | undefined): Promise<void> {
    const { redis, link, nodeId, incarnation } = this.#parts;
    await link.call(() => redis.fence(nodeId, incarnation(), other, deadLease));
  }

  async #adoptAll(): Promise<void> {
    const { redis, link, nodeId, incarnation, onAdopted } = this.#parts;
    for (let clientId = this.#handedOver[0]; clientId !== undefined; clientId = this.#handedOver[0]) {
      const wanted = clientId;
      if (await link.call(() => redis.isOwner(nodeId, incarnation(), wanted)))
        await onAdopted({ clientIds: [clientId], groups: [] });
      this.#handedOver.shift();
      this.#tellSettled();
    }
    if (this.#underWay !== undefined) await this.#adoptAllOf(this.#underWay);
    for (const other of await link.call(() => [...redis.gone])) await this.#adoptAllOf(other);
  }

  async #adoptAllOf(other: string): Promise<void> {
    for (let more = true; more && !this.#isClosed; ) more = await this.#adopt(other);
  }

  async #adopt(other: string): Promise<boolean> {
    const { redis, link, nodeId, incarnation, clientsAtOnce, onAdopted } = this.#parts;
    const call = this.#call;
    this.#underWay = other;
    const { clientIds, groups, more } = await link.call(() =>
      redis.adopt(nodeId, incarnation(), other, clientsAtOnce, call),
    );
    if (clientIds.length + groups.length > 0) await onAdopted({ clientIds, groups });
    this.#call += 1;
    this.#underWay = undefined;
    this.#tellSettled();
    return more;
  }

  #tellSettled(): void {
    if (this.#isSettled) for (const then of this.#onSettled.splice(0)) then();
  }
}
