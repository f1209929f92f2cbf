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
  /** Number of the last batch that Redis has; 0 for none. */
  batch = 0;
  /** How often this node has taken a client id, or belongings of another node, as far as it knows. */
  #taken = 0;

  constructor(redis: Redis | Cluster, scripts: Scripts, keys: RedisKeys, options: PlaceOptions) {
    this.#redis = redis;
    this.#scripts = scripts;
    this.#keys = keys;
    this.#options = options;
  }

  /**
   * Takes the place. An earlier start of this node that crashed on this host is known to be dead; any other is given the
   * time of its lease.
   * @throws StoreError where this node is running already.
   */
  async take(): Promise<void> {
    const { nodeId, leaseMs } = this.#options;
    for (let looks = 0; ; looks++) {
      const about = aboutOf((await this.#redis.hget(this.#keys.nodes, nodeId)) ?? undefined);
      this.incarnation = await this.#begin(about);
      this.#taken = 0;
      this.batch = 0;
      if (this.incarnation !== 0) return;
      if (looks > LOOKS_PER_LEASE) {
        const where = about === undefined ? '' : `, process ${about.pid} on ${about.host},`;
        throw new StoreError(
          `Node ${nodeId}${where} is running already. Stop it, or give this one a name of its own with cluster.nodeId.`,
        );
      }
      await later(leaseMs / LOOKS_PER_LEASE);
    }
  }

  /**
   * Says that the node is alive. @returns who has its place: `nobody` where Redis has forgotten it, or what it did.
   * @param scripts of the connection to say it by.
   */
  async beat(scripts: Scripts = this.#scripts): Promise<'ours' | 'taken' | 'nobody'> {
    const { nodeId, leaseMs } = this.#options;
    const keys = [this.#keys.node(nodeId), this.#keys.lease(nodeId)];
    const answer = await scripts.run('beat', keys, [this.incarnation, leaseMs, this.#taken, this.batch]);
    return answer === 1 ? 'ours' : answer === 0 ? 'taken' : 'nobody';
  }

  /** Notes how often this node has taken what was not its own, as a script has told. */
  noteTaken(count: number): void {
    this.#taken = Math.max(this.#taken, count);
  }

  /** Writes something for this node: that it is alive. @throws Error where another has its place, or nobody, which the next beat finds. */
  async mark(scripts: Scripts): Promise<void> {
    if ((await this.beat(scripts)) !== 'ours') throw new Error('the place of this node is not its own any more');
  }

  /** Gives the place up, so that nobody has to wait for the lease to end. What is stored stays, for whoever comes. */
  async leave(): Promise<void> {
    const keys = this.#keys;
    const { nodeId } = this.#options;
    const place = [keys.node(nodeId), keys.lease(nodeId), keys.nodes, keys.gone, keys.topology, keys.changes];
    const belongings = [keys.inbox(nodeId), keys.interests(nodeId), keys.own(nodeId), keys.groups(nodeId)];
    await this.#scripts.run('end', [...place, ...belongings, keys.figures], [this.incarnation, nodeId]);
  }

  /** Tells the others figures of this node. @returns what each node that is there has told last, nothing told as an empty text. */
  async shareFigures(figures: string): Promise<ReadonlyMap<string, string>> {
    const keys = this.#keys;
    const { nodeId } = this.#options;
    const names = [keys.node(nodeId), keys.nodes, keys.figures];
    const told = (await this.#scripts.run('figures', names, [this.incarnation, nodeId, figures])) as string[];
    const byNode = new Map<string, string>();
    for (let at = 0; at + 1 < told.length; at += 2) byNode.set(told[at] as string, told[at + 1] as string);
    return byNode;
  }

  /** @returns the incarnation, 0 when the node is alive. */
  async #begin(about: About | undefined): Promise<number> {
    const keys = this.#keys;
    const { nodeId, leaseMs } = this.#options;
    const dead = isDead(about) ? await this.#redis.get(keys.lease(nodeId)) : null;
    const all = [keys.incarnations, keys.nodes, keys.gone, keys.topology, keys.changes];
    const own = [keys.node(nodeId), keys.lease(nodeId), keys.inbox(nodeId), keys.interests(nodeId)];
    const now: About = { host: hostname(), pid: process.pid };
    const values = [nodeId, leaseMs, JSON.stringify(now), dead ?? ''];
    const names = [...all, ...own, keys.figures];
    const [verdict, incarnation] = (await this.#scripts.run('begin', names, values)) as [string, string];
    return verdict === 'OK' ? Number(incarnation) : 0;
  }
}

/** What a node said of itself when it started. */
export function aboutOf(text: string | undefined): About | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as About);
}

/** Whether it ran on this host and does not any more; in a container a new start has the process id of the one before. */
export function isDead(about: About | undefined): boolean {
  if (about === undefined || about.host !== hostname()) return false;
  if (about.pid === process.pid) return true;
  try {
    process.kill(about.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
