import { hostname } from 'node:os';
import { setTimeout as later } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import { StoreError } from '../store.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** How often it is looked whether a lease has ended, per lease. */
const LOOKS_PER_LEASE = 20;

/** What a place is taken with. */
export interface PlaceOptions {
  readonly nodeId: string;
  /** How long the place is kept for a node that is not heard of, ms. */
  readonly leaseMs: number;
}

/** What the nodes know of each other. */
interface About {
  readonly host: string;
  readonly pid: number;
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
   * Takes the place and takes over what dead nodes left. An earlier start of this node that crashed on this host is
   * known to be dead; any other is given the time of its lease.
   * @throws StoreError where this or another node is alive.
   */
  async take(): Promise<void> {
    const { leaseMs } = this.#options;
    for (let looks = 0; ; looks++) {
      let busy = await this.#try();
      while (busy === undefined) busy = await this.#try();
      if (busy === '') return;
      if (looks > LOOKS_PER_LEASE) throw new StoreError(await this.#sentence(busy));
      await later(leaseMs / LOOKS_PER_LEASE);
    }
  }

  /** Says that the node is alive. @returns who has its place: `nobody` where Redis has forgotten it. */
  async beat(): Promise<'ours' | 'taken' | 'nobody'> {
    const { nodeId, leaseMs } = this.#options;
    const keys = [this.#keys.node(nodeId), this.#keys.lease(nodeId)];
    const answer = await this.#scripts.run('beat', keys, [this.incarnation, leaseMs]);
    return answer === 1 ? 'ours' : answer === 0 ? 'taken' : 'nobody';
  }

  /** Gives the place up, so that nobody has to wait for the lease to end. What is stored stays. */
  async leave(): Promise<void> {
    const { nodeId } = this.#options;
    await this.#scripts.run('end', [this.#keys.node(nodeId), this.#keys.lease(nodeId)], [this.incarnation]);
  }

  /** @returns the node that is in the way, empty for none, undefined where the nodes changed meanwhile. */
  async #try(): Promise<string | undefined> {
    const { nodeId, leaseMs } = this.#options;
    const keys = this.#keys;
    const known = await this.#redis.hgetall(keys.nodes);
    const others = Object.keys(known).filter((other) => other !== nodeId);
    const dead = isDead(aboutOf(known[nodeId])) ? await this.#redis.get(keys.lease(nodeId)) : null;
    const names = [nodeId, ...others].flatMap((id) => [keys.node(id), keys.lease(id), keys.own(id), keys.groups(id)]);
    const about: About = { host: hostname(), pid: process.pid };
    const answer = await this.#scripts.run(
      'begin',
      [keys.incarnations, keys.nodes, ...names],
      [nodeId, leaseMs, JSON.stringify(about), dead ?? '', ...others],
    );
    const [verdict, detail] = answer as [string, string];
    if (verdict === 'AGAIN') return undefined;
    if (verdict === 'BUSY') return detail;
    this.incarnation = Number(detail);
    return '';
  }

  async #sentence(busy: string): Promise<string> {
    const about = aboutOf((await this.#redis.hget(this.#keys.nodes, busy)) ?? undefined);
    const where = about === undefined ? '' : `, process ${about.pid} on ${about.host},`;
    if (busy === this.#options.nodeId) {
      return `Node ${busy}${where} is running already. Stop it, or give this one a name of its own with cluster.nodeId.`;
    }
    return `Node ${busy}${where} uses this Redis under the same redis.prefix. Stop it, or choose another prefix or another Redis.`;
  }
}

function aboutOf(text: string | undefined): About | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as About);
}

/** Whether it ran on this host and does not any more; in a container a new start has the process id of the one before. */
function isDead(about: About | undefined): boolean {
  if (about === undefined || about.host !== hostname()) return false;
  if (about.pid === process.pid) return true;
  try {
    process.kill(about.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
