import type { Cluster, Redis } from 'ioredis';
import { StoreError } from '../store.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** What a place is taken with. */
export interface PlaceOptions {
  readonly nodeId: string;
  /** How long the place is kept for a node that is not heard of, ms. */
  readonly leaseMs: number;
  /** What others have to know of the node, as text. */
  readonly about: string;
}

/** A node's place among those that share a Redis: only who holds it can write. */
export class NodePlace {
  readonly #redis: Redis | Cluster;
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #options: PlaceOptions;
  /** Drawn from Redis at each start; 0 before. */
  incarnation = 0;

  constructor(redis: Redis | Cluster, scripts: Scripts, keys: RedisKeys, options: PlaceOptions) {
    this.#redis = redis;
    this.#scripts = scripts;
    this.#keys = keys;
    this.#options = options;
  }

  /**
   * Takes the place, from an earlier start of this node where there is one, and takes over what dead nodes left.
   * @throws StoreError where another node is alive.
   */
  async take(): Promise<void> {
    const { nodeId, leaseMs, about } = this.#options;
    const keys = this.#keys;
    for (;;) {
      const others = (await this.#redis.hkeys(keys.nodes)).filter((other) => other !== nodeId);
      const nodes = [nodeId, ...others];
      const names = nodes.flatMap((id) => [keys.node(id), keys.lease(id), keys.own(id), keys.groups(id)]);
      const answer = await this.#scripts.run(
        'begin',
        [keys.incarnations, keys.nodes, ...names],
        [nodeId, leaseMs, about, ...others],
      );
      const [verdict, detail] = answer as [string, string];
      if (verdict === 'BUSY') {
        throw new StoreError(
          `Node ${detail} uses this Redis under the same redis.prefix. End it, or choose another prefix or another Redis.`,
        );
      }
      if (verdict !== 'OK') continue;
      this.incarnation = Number(detail);
      return;
    }
  }

  /** Says that the node is alive. @returns false where another has its place. */
  async beat(): Promise<boolean> {
    const { nodeId, leaseMs } = this.#options;
    const keys = [this.#keys.node(nodeId), this.#keys.lease(nodeId)];
    return (await this.#scripts.run('beat', keys, [this.incarnation, leaseMs])) === 1;
  }

  /** Gives the place up, so that nobody has to wait for the lease to end. What is stored stays. */
  async leave(): Promise<void> {
    const { nodeId } = this.#options;
    await this.#scripts.run('end', [this.#keys.node(nodeId), this.#keys.lease(nodeId)], [this.incarnation]);
  }
}
