import { expect } from 'vitest';
import type { Verdict } from '../checker/records.ts';
import type { ProcessEnd } from '../crash/broker-process.ts';
import { LOST, SteadyRun } from '../faults/steady-run.ts';
import { type Nodes, type NodesOptions, startNodes } from '../support/nodes.ts';
import { until } from '../support/polling.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { NodeClients } from './node-clients.ts';

const START = '{trellis}:';
/** What is there for good: that there are nodes, who they are, and who of them knows which change of the topology. */
const LASTING = /^(schema|incarnations|tenures|nodes|node:.*|topology|changes)$/;
/** What a node that runs has besides. */
const OF_RUNNING_NODES = /^(lease|inbox):/;
/** Attempts to start a node again. */
const STARTS_MAX = 60;

/** How a run differs from the usual one. */
export interface NodesRunOptions extends NodesOptions {
  /** Servers whose keys are looked at, where Redis is not one that the nodes started. */
  servers?: () => Promise<readonly RedisServer[]>;
  /** Whether a node may end because Redis lost data; it is started again. Default false. */
  mayLose?: boolean;
}

/**
 * Several nodes under QoS 1 and 2 load, with the fleet of the crash test, whose connections the balancer spreads. A node
 * that ends without having been told to is a fault.
 */
export class NodesRun extends SteadyRun {
  readonly nodes: Nodes;
  readonly #servers: () => Promise<readonly RedisServer[]>;
  readonly #mayLose: boolean;
  /** Nodes that a test has end. */
  readonly #ending = new Set<number>();
  #isCleared = false;

  private constructor(nodes: Nodes, options: NodesRunOptions) {
    super({}, true);
    this.nodes = nodes;
    this.port = nodes.port;
    this.#mayLose = options.mayLose ?? false;
    this.#servers = options.servers ?? ((): Promise<readonly RedisServer[]> => Promise.resolve([nodes.redis]));
    this.checker.groupsKeepOrder = nodes.count === 1;
    if (nodes.count === 1) return;
    // A few processes share the cores of the machine, and a device that comes back brings its session to another node.
    this.messagesPerTick = 1;
    this.disturbance = 0.003;
  }

  /** Starts nodes, has everyone subscribe, and begins to publish. */
  static async start(options: NodesRunOptions = {}): Promise<NodesRun> {
    // A small window of queues in memory, so that most of what waits is in the store only.
    const settings = ['session.queueWindowMessages=20', 'limits.connectTimeoutMs=600000', ...(options.settings ?? [])];
    const run = new NodesRun(await startNodes({ ...options, settings }), options);
    try {
      await run.begin();
    } catch (error) {
      await run.clear();
      throw error;
    }
    for (let index = 0; index < run.nodes.count; index++) run.#watch(index);
    run.isUp = true;
    run.goWild();
    return run;
  }

  /** Messages more are acknowledged while a node is away, where there are others. */
  async loadElsewhere(count: number): Promise<void> {
    if (this.nodes.count > 1) await this.load(count);
  }

  /** Kills a node. Another life begins: what it was told and had not stored is forgotten. */
  async kill(index: number): Promise<void> {
    const port = this.nodes.portOf(index);
    this.expectEnd(index, 'is killed');
    await this.nodes.kill(index);
    const { balancer } = this.nodes;
    await until('its connections to end', () => (balancer.connectionsTo(port) === 0 ? true : undefined));
    // Who said DISCONNECT meanwhile, said it to nobody.
    this.life += 1;
  }

  /** A node is going to end, by the test or by itself: that is no fault. */
  expectEnd(index: number, why: string): void {
    this.life += 1;
    this.#ending.add(index);
    this.checker.mark(`node ${index} ${why}`);
  }

  /** Starts a node again that has ended. */
  async startAgain(index: number): Promise<void> {
    await this.nodes.start(index);
    this.#ending.delete(index);
    this.checker.mark(`node ${index} runs again`);
    this.#watch(index);
  }

  /** Waits until a node's place is free for others to take, and everyone who was there is elsewhere. */
  async takenOver(index: number): Promise<void> {
    const lease = `${START}lease:n${index + 1}`;
    const isOver = async (): Promise<true | undefined> => ((await this.#keys()).includes(lease) ? undefined : true);
    await until(`the end of the lease of node ${index}`, isOver);
    await this.allConnected();
  }

  /** Asserts that a node that was taken over ends by itself, and not as one that was told to. */
  async expectEndsItself(index: number, ended: Promise<ProcessEnd>): Promise<void> {
    await until(`the end of node ${index}`, () => (this.nodes.runs(index) ? undefined : true));
    const { code, signal, stderr } = await ended;
    expect(signal, `how node ${index} ended`).toBeNull();
    expect(code, stderr).not.toBe(0);
  }

  override async clear(): Promise<void> {
    this.#isCleared = true;
    await super.clear();
    await this.nodes.stop();
  }

  /** There is nothing to be started but the nodes. */
  protected override start(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends all sessions, then all nodes, and asserts that nothing is left of either. */
  protected override async endBrokers(): Promise<void> {
    await until('everyone has left', () => (this.devices.every(({ state }) => state === 'offline') ? true : undefined));
    while (!(await this.#endSessions()));
    for (let index = 0; index < this.nodes.count; index++) this.#ending.add(index);
    for (const { code, stderr } of await this.nodes.drain()) {
      if (code !== 0) this.checker.violated('liveness', `SIGTERM ends a node with ${code}: ${stderr}`);
    }
    await this.#nothingLeft((name) => LASTING.test(name));
  }

  /** @returns whether that was all: where Redis loses it once more, nodes start anew with sessions that had ended. */
  async #endSessions(): Promise<boolean> {
    const { restarts } = this;
    const isLost = (): boolean => restarts !== this.restarts;
    try {
      await this.#cleanUp();
      await this.#nothingLeft((name) => LASTING.test(name) || OF_RUNNING_NODES.test(name), isLost);
    } catch (error) {
      if (!isLost()) throw error;
    }
    return !isLost();
  }

  async #cleanUp(): Promise<void> {
    const indices = Array.from({ length: this.nodes.count }, (_, index) => index);
    await until('all nodes to run', () => (indices.every((index) => this.nodes.listens(index)) ? true : undefined));
    const clients = new NodeClients(this.nodes);
    for (const [index, { clientId }] of this.devices.entries()) {
      const client = await clients.connect(index, clientId);
      await client.disconnect();
    }
    const cleaner = await clients.connect(0, 'cleaner');
    for (const topicName of this.fleet.publishers.flatMap(({ retainedTopics }) => retainedTopics)) {
      await cleaner.publish(topicName, '', { qos: 1, retain: true });
    }
    await cleaner.disconnect();
    clients.close();
  }

  /** What was dropped is emptied piece by piece, so this waits for it. */
  async #nothingLeft(mayStay: (name: string) => boolean, isOver = (): boolean => false): Promise<void> {
    let left: string[] = [];
    const look = async (): Promise<true | undefined> => {
      const keys = await this.#keys();
      left = keys.filter((key) => !key.startsWith(START) || !mayStay(key.slice(START.length)));
      return left.length === 0 || isOver() ? true : undefined;
    };
    await until('nothing to be left', look).catch(() => undefined);
    expect(left, 'keys that are left').toEqual([]);
  }

  async #keys(): Promise<string[]> {
    const servers = await this.#servers();
    return (await Promise.all(servers.map(async (server) => [...(await server.keys()).keys()]))).flat();
  }

  #watch(index: number): void {
    void this.nodes.ended(index).then(async ({ code, stderr }) => {
      if (this.#isCleared || this.#ending.has(index)) return;
      this.life += 1;
      this.checker.mark(`node ${index} ended with ${code}`);
      if (this.#mayLose && stderr.includes(LOST)) this.restarts += 1;
      else this.checker.violated('liveness', `node ${index} ended by itself with ${code}: ${stderr}`);
      await this.#tryToStart(index);
    });
  }

  /** Redis may not be there yet, or not writable. */
  async #tryToStart(index: number): Promise<void> {
    for (let attempt = 0; attempt < STARTS_MAX; attempt++) {
      if (this.#isCleared) return;
      try {
        await this.startAgain(index);
        return;
      } catch {
        // Its log says why; the last one counts.
      }
    }
    this.checker.violated('liveness', `node ${index} does not start again: ${this.nodes.logOf(index)}`);
  }
}

/** What replication that does not wait for replicas may cost: it is counted and told, not judged. */
export function tellLoss(what: string, restarts: number, verdict: Verdict): void {
  const found = Object.entries(verdict.faults).filter(([, count]) => count > 0);
  const faults = found.length === 0 ? 'nothing lost' : found.map(([fault, count]) => `${count} ${fault}`).join(', ');
  console.log(
    `${what}, without waitReplicas: ${faults}, of ${verdict.acknowledged} messages acknowledged and ` +
      `${verdict.delivered} deliveries; nodes said ${restarts} times that Redis lost data`,
  );
}
