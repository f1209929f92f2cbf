import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerProcess, type ProcessEnd } from '../crash/broker-process.ts';
import { Balancer } from './balancer.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { RedisServer } from './redis-server.ts';

/** What a node's lease is here by default, ms. */
export const LEASE_MS = 3_000;

/** Nodes of a test, from TRELLIS_TEST_NODES; default 3. */
export const NODES: number = Number(process.env['TRELLIS_TEST_NODES'] ?? 3);

/** How nodes are started. */
export interface NodesOptions {
  /** Default `NODES`. */
  count?: number;
  /** A Redis that is there, `--store`; by default a server of their own is started. */
  url?: string;
  /** Lines of the configuration of the Redis that is started. */
  redisConfig?: readonly string[];
  /** `redis.leaseMs`, default `LEASE_MS`. */
  leaseMs?: number;
  /** `section.key=value`, of every node. */
  settings?: readonly string[];
  /** Gives each node a proxy of its own to the Redis that is started; default false. */
  isProxied?: boolean;
}

/** One node: its process, and how it reaches Redis. */
interface Node {
  readonly nodeId: string;
  readonly url: string;
  readonly proxy: CuttingProxy | undefined;
  process: BrokerProcess | undefined;
  /** While it listens. */
  port: number | undefined;
  /** Stopped by SIGSTOP, or left out by the test: it is given no connections. */
  isOut: boolean;
}

/**
 * Broker processes on one Redis, with a balancer in front of them. Nodes are named by their index, 0 to count - 1. Use it
 * with `await using`, or stop it.
 */
export class Nodes {
  readonly balancer: Balancer;
  /** The server that was started for them. */
  readonly #redis: RedisServer | undefined;
  readonly #nodes: readonly Node[];
  readonly #settings: readonly string[];
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'trellis-nodes-'));

  constructor(redis: RedisServer | undefined, nodes: readonly Node[], balancer: Balancer, settings: readonly string[]) {
    this.#redis = redis;
    this.#nodes = nodes;
    this.balancer = balancer;
    this.#settings = settings;
  }

  get count(): number {
    return this.#nodes.length;
  }

  /** The Redis that was started for them. @throws Error where they use another. */
  get redis(): RedisServer {
    if (this.#redis === undefined) throw new Error('these nodes use a Redis of the test');
    return this.#redis;
  }

  /** Port of the balancer. */
  get port(): number {
    return this.balancer.port;
  }

  /** Port of a node. @throws Error where it does not run. */
  portOf(index: number): number {
    const { port, nodeId } = this.#node(index);
    if (port === undefined) throw new Error(`${nodeId} does not run`);
    return port;
  }

  /** Between a node and Redis. @throws Error without `isProxied`. */
  proxyOf(index: number): CuttingProxy {
    const { proxy, nodeId } = this.#node(index);
    if (proxy === undefined) throw new Error(`${nodeId} has no proxy`);
    return proxy;
  }

  /** What a node's process has logged so far. */
  logOf(index: number): string {
    return this.#node(index).process?.stderr ?? '';
  }

  /** Whether a node's process runs. */
  runs(index: number): boolean {
    return this.#node(index).process !== undefined;
  }

  /** Whether a node's process takes connections. */
  listens(index: number): boolean {
    return this.#node(index).port !== undefined;
  }

  /** How the process of a node that runs ends. */
  ended(index: number): Promise<ProcessEnd> {
    const { process, nodeId } = this.#node(index);
    if (process === undefined) throw new Error(`${nodeId} does not run`);
    return process.ended;
  }

  /** Ends a node, by default as a crash does, and waits until it is gone. */
  async kill(index: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<ProcessEnd> {
    const ended = this.ended(index);
    this.#node(index).process?.kill(signal);
    return await ended;
  }

  /** Freezes a node (SIGSTOP), and breaks off its connections on the side of the clients, as they would do in time. */
  pause(index: number): void {
    this.#node(index).process?.kill('SIGSTOP');
    this.leaveOut(index);
  }

  /** Lets a node go on after `pause`; connections come to it again. */
  resume(index: number): void {
    this.#node(index).process?.kill('SIGCONT');
    this.#node(index).isOut = false;
  }

  /** Gives a node no connections any more, and breaks off those through the balancer. */
  leaveOut(index: number): void {
    const node = this.#node(index);
    node.isOut = true;
    if (node.port !== undefined) this.balancer.drop(node.port);
  }

  /** Starts a node that does not run, on another port. @throws Error with its log where it ends instead. */
  async start(index: number): Promise<void> {
    const node = this.#node(index);
    if (node.process !== undefined) throw new Error(`${node.nodeId} runs`);
    const process = new BrokerProcess({
      storeFlags: ['--store', node.url],
      compileCache: join(this.#directory, 'cache'),
      settings: [...this.#settings, `cluster.nodeId=${node.nodeId}`],
    });
    node.process = process;
    node.isOut = false;
    void process.ended.then(() => {
      node.process = undefined;
      node.port = undefined;
    });
    const port = await process.ready;
    if (port === undefined) throw new Error(`${node.nodeId} does not start: ${(await process.ended).stderr}`);
    node.port = port;
  }

  /** Ends a node in order, if it runs, and starts it again. @returns how it ended. */
  async restart(index: number): Promise<ProcessEnd | undefined> {
    const end = this.runs(index) ? await this.kill(index, 'SIGTERM') : undefined;
    await this.start(index);
    return end;
  }

  /** Ends all nodes in order, one after the other. @returns how they ended. */
  async drain(): Promise<ProcessEnd[]> {
    const ends: ProcessEnd[] = [];
    for (const index of this.#nodes.keys()) if (this.runs(index)) ends.push(await this.kill(index, 'SIGTERM'));
    return ends;
  }

  /** Ends everything, whatever state it is in. */
  async stop(): Promise<void> {
    await this.balancer.stop();
    const running = [...this.#nodes.keys()].filter((index) => this.runs(index));
    await Promise.all(running.map((index) => this.kill(index)));
    for (const { proxy } of this.#nodes) await proxy?.stop();
    await this.#redis?.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #node(index: number): Node {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }
}

/** Starts a Redis, nodes on it that run when this returns, and a balancer. @throws Error with the log of a node that does not start. */
export async function startNodes(options: NodesOptions = {}): Promise<Nodes> {
  const { count = NODES, leaseMs = LEASE_MS, settings = [], isProxied = false } = options;
  const redis =
    options.url === undefined ? await RedisServer.start({ config: [...(options.redisConfig ?? [])] }) : undefined;
  const nodes: Node[] = [];
  for (let index = 0; index < count; index++) {
    const proxy = isProxied && redis !== undefined ? await CuttingProxy.start(redis.port) : undefined;
    const url = options.url ?? (proxy === undefined ? (redis?.url ?? '') : `redis://127.0.0.1:${proxy.port}`);
    nodes.push({ nodeId: `n${index + 1}`, url, proxy, process: undefined, port: undefined, isOut: false });
  }
  const balancer = await Balancer.start(() =>
    nodes.flatMap(({ port, isOut }) => (port === undefined || isOut ? [] : [port])),
  );
  const common = ['log.level=info', 'admin.sysIntervalSeconds=0', `redis.leaseMs=${leaseMs}`, ...settings];
  const started = new Nodes(redis, nodes, balancer, common);
  try {
    const [first = 0, ...others] = nodes.keys();
    await started.start(first);
    await Promise.all(others.map((index) => started.start(index)));
  } catch (error) {
    await started.stop();
    throw error;
  }
  return started;
}
