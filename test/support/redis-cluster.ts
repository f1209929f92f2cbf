import { until } from './polling.ts';
import { RedisServer } from './redis-server.ts';

const HOST = '127.0.0.1';
const SLOTS = 16_384;
const MIGRATE_TIMEOUT_MS = 20_000;

/** How a cluster differs from the usual one. */
export interface RedisClusterOptions {
  /** Lines of every node's configuration, as in redis.conf. */
  config?: readonly string[];
  /** Milliseconds a node is silent before the others take it for dead; default 2000. */
  nodeTimeoutMs?: number;
}

/**
 * What a move of a slot has come to: both sides know of it, one more portion of its keys has moved, the new owner says
 * that it is, and so does the old one. From the first to the third, commands are redirected with ASK or told to try again.
 */
export type SlotMoveStep = 'announced' | 'keys-moved' | 'taken' | 'given';

/** How a slot moves. */
export interface SlotMoveOptions {
  /** Keys per portion; default 1. */
  keysPerStep?: number;
  /** Called after every step, which the move waits for. */
  onStep?: (step: SlotMoveStep) => Promise<void> | void;
}

/** A Redis Cluster of three masters with a replica each. Use it with `await using`, or stop it. */
export class RedisCluster {
  /** Three masters, then the replica of each; what they are changes with a failover. */
  readonly nodes: readonly RedisServer[];
  readonly #ids: ReadonlyMap<RedisServer, string>;

  private constructor(ids: ReadonlyMap<RedisServer, string>) {
    this.nodes = [...ids.keys()];
    this.#ids = ids;
  }

  /** Starts a cluster and waits until every node takes it for whole and every replica follows. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const config = [
      'cluster-enabled yes',
      `cluster-node-timeout ${options.nodeTimeoutMs ?? 2000}`,
      'repl-diskless-sync-delay 0',
      ...(options.config ?? []),
    ];
    const started = await Promise.allSettled(Array.from({ length: 6 }, () => RedisServer.start({ config })));
    const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    try {
      for (const result of started) if (result.status === 'rejected') throw result.reason;
      return new RedisCluster(await join(nodes));
    } catch (error) {
      await Promise.all(nodes.map((node) => node.stop()));
      throw error;
    }
  }

  /** The slot of a key, 0 to 16383. */
  async slotOf(key: string): Promise<number> {
    return await this.#up().client().cluster('KEYSLOT', key);
  }

  /** Nodes that are up and take themselves for masters. */
  async masters(): Promise<RedisServer[]> {
    const up = this.nodes.filter(({ isUp }) => isUp);
    const infos = await Promise.all(up.map((node) => node.client().info('replication')));
    return up.filter((_, index) => infos[index]?.includes('role:master') === true);
  }

  /** The node that takes itself for the master of the key's slot, the latest elected where several do; waits for one that is up. */
  async slotOwner(key: string): Promise<RedisServer> {
    const slot = await this.slotOf(key);
    return await until(`an owner of slot ${slot}`, async () => {
      const up = this.nodes.filter(({ isUp }) => isUp);
      const claims = await Promise.all(up.map(async (node) => ({ node, epoch: await claimOf(node, slot) })));
      return claims.filter(({ epoch }) => epoch >= 0).sort((a, b) => b.epoch - a.epoch)[0]?.node;
    });
  }

  /** Moves a slot with its keys between masters that are up, one portion after the other. @throws Error when one of them refuses. */
  async moveSlot(slot: number, fromPort: number, toPort: number, options: SlotMoveOptions = {}): Promise<void> {
    const [source, target] = [this.#at(fromPort), this.#at(toPort)];
    const [from, to] = [source.client(), target.client()];
    const [fromId, toId] = [this.#ids.get(source) ?? '', this.#ids.get(target) ?? ''];
    const auth = target.password === undefined ? [] : ['AUTH', target.password];
    await to.cluster('SETSLOT', slot, 'IMPORTING', fromId);
    await from.cluster('SETSLOT', slot, 'MIGRATING', toId);
    await options.onStep?.('announced');
    for (;;) {
      const keys = await from.cluster('GETKEYSINSLOT', slot, options.keysPerStep ?? 1);
      if (keys.length === 0) break;
      await from.migrate(HOST, toPort, '', 0, MIGRATE_TIMEOUT_MS, ...auth, 'KEYS', ...keys);
      await options.onStep?.('keys-moved');
    }
    await to.cluster('SETSLOT', slot, 'NODE', toId);
    await options.onStep?.('taken');
    await from.cluster('SETSLOT', slot, 'NODE', toId);
    await options.onStep?.('given');
  }

  /** Ends all nodes, whatever state they are in. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #up(): RedisServer {
    const node = this.nodes.find(({ isUp }) => isUp);
    if (node === undefined) throw new Error('no node of the cluster is up');
    return node;
  }

  #at(port: number): RedisServer {
    const node = this.nodes.find((other) => other.port === port);
    if (node === undefined) throw new Error(`no node of the cluster has port ${port}`);
    return node;
  }
}

/** Makes a cluster of six nodes that know nothing of each other. @returns the nodes with their ids. */
async function join(nodes: readonly RedisServer[]): Promise<Map<RedisServer, string>> {
  const ids = new Map<RedisServer, string>();
  const masters = nodes.slice(0, 3);
  for (const [index, node] of nodes.entries()) {
    ids.set(node, await node.client().cluster('MYID'));
    // Epochs that differ from the start spare the nodes their own way to that.
    await node.client().cluster('SET-CONFIG-EPOCH', index + 1);
  }
  for (const [index, master] of masters.entries()) {
    const [first, next] = [index, index + 1].map((third) => Math.ceil((SLOTS * third) / masters.length));
    await master.client().cluster('ADDSLOTSRANGE', first ?? 0, (next ?? 0) - 1);
  }
  // Everyone is told of everyone: gossip would take seconds.
  for (const node of nodes) {
    for (const other of nodes) {
      if (other !== node) await node.client().call('CLUSTER', 'MEET', HOST, other.port, await busPort(other));
    }
  }
  for (const [index, replica] of nodes.slice(3).entries()) {
    const master = ids.get(masters[index] as RedisServer) ?? '';
    await until('a master to follow', () => replica.client().cluster('REPLICATE', master));
  }
  await Promise.all(nodes.map((node) => until('a whole cluster', () => isWhole(node))));
  return ids;
}

async function busPort(node: RedisServer): Promise<number> {
  const [, port] = (await node.client().config('GET', 'cluster-port')) as [string, string];
  return Number(port);
}

/** True once a node knows all six of the cluster, takes it for whole, and follows its master if it is a replica. */
async function isWhole(node: RedisServer): Promise<true | undefined> {
  const state = await node.client().cluster('INFO');
  const known = (await node.client().cluster('NODES')) as string;
  const replication = await node.client().info('replication');
  const isOk = state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:6');
  const replicas = known.split('\n').filter((line) => /^\S+ \S+ (myself,)?slave /.test(line)).length;
  const follows = replication.includes('role:master') || replication.includes('master_link_status:up');
  return isOk && replicas === 3 && !known.includes('handshake') && follows ? true : undefined;
}

/** The configuration epoch in which a node took a slot; -1 when it does not take itself for its master. */
async function claimOf(node: RedisServer, slot: number): Promise<number> {
  const known = (await node.client().cluster('NODES')) as string;
  const fields =
    known
      .split('\n')
      .find((line) => line.includes('myself'))
      ?.split(' ') ?? [];
  const [, , flags = '', , , , epoch = '', , ...ranges] = fields;
  const owns = ranges.some((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return first !== undefined && last !== undefined && first <= slot && slot <= last;
  });
  return owns && flags.includes('master') ? Number(epoch) : -1;
}
