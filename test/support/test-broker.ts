import { expect } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { type Config, createConfig, type DeepPartial } from '../../src/config.ts';
import type { Access } from '../../src/connection/access.ts';
import type { BrokerCounters } from '../../src/counters.ts';
import type { BrokerEvents, Hooks } from '../../src/hooks/hooks.ts';
import { createLogger, type Logger } from '../../src/lib/logger.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import type { ConnackPacket, ProtocolVersion } from '../../src/protocol/packets.ts';
import type { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { isShared } from '../../src/store/shared-store.ts';
import type { Store } from '../../src/store/store.ts';
import { openTcp, openWebSocket } from './client-socket.ts';
import type { RawConnectOptions } from './connect-packet.ts';
import { RawClient } from './raw-client.ts';
import { caughtUp, nodeCount, redisTestStores, usesRedis } from './redis-test-store.ts';
import { type MovableClock, SocketClock } from './socket-clock.ts';

const HOST = '127.0.0.1';

/** How a test broker differs from the usual one. */
export interface TestBrokerOptions {
  /** Laid over the defaults; listeners stay on free ports of loopback and the store in memory unless said otherwise. */
  config?: DeepPartial<Config>;
  hooks?: Hooks;
  /** The access rules; none by default. */
  access?: Access;
  /** Silent by default. */
  logger?: Logger;
  /** Makes time stand still but for `TestBroker.advance`. */
  clock?: MovableClock;
  /**
   * A fresh `MemoryStore` by default, in projects of tests with Redis a fresh database; hand over the same one twice for a
   * restart. With a store of the test there is one node, also in the project with several.
   */
  store?: Store;
  /** Part of the memory in use; without it there is no limit to memory. */
  memoryUsed?: () => number;
}

/** How a client comes to the broker. */
export interface OpenOptions {
  /** 5 by default. */
  version?: ProtocolVersion;
  transport?: 'tcp' | 'websocket';
  /** `client-1`, `client-2`, ... by default; also the default client id. */
  name?: string;
}

/**
 * A broker on real sockets with everything a test needs around it; in the project of tests with several nodes that many,
 * to which connections are dealt in turn, beginning with `broker`. Use it with `await using`, or close it: closing also
 * asserts that the broker sent none of its clients anything that breaks the rules of the protocol.
 */
export class TestBroker {
  readonly broker: Broker;
  readonly #nodes: readonly TestNode[];
  readonly #clock: MovableClock | undefined;
  readonly #isShared: boolean;
  readonly #clients: RawClient[] = [];
  #isClosed = false;

  constructor(nodes: readonly TestNode[], clock: MovableClock | undefined) {
    this.broker = (nodes[0] as TestNode).broker;
    this.#nodes = nodes;
    this.#clock = clock;
    this.#isShared = nodes.some(({ store }) => isShared(store));
  }

  /** Nodes that it is. */
  get nodeCount(): number {
    return this.#nodes.length;
  }

  /** Port of the TCP listener. */
  get port(): number {
    return listenerOf(this.broker, 'mqtt:').port;
  }

  /** Where the WebSocket listener is: `ws://127.0.0.1:50123/mqtt`. */
  get webSocketUrl(): string {
    return listenerOf(this.broker, 'ws:').url;
  }

  /** A connection on which nothing was sent yet. */
  async open(options: OpenOptions = {}): Promise<RawClient> {
    const name = options.name ?? `client-${this.#clients.length + 1}`;
    const client = new RawClient(name, options.version ?? 5);
    const { broker } = this.#nodes[this.#clients.length % this.#nodes.length] as TestNode;
    this.#clients.push(client);
    if (this.#nodes.length > 1) client.settle = () => this.#settle();
    if (this.#isShared) client.settleSubscription = () => this.#settle();
    const socket =
      options.transport === 'websocket'
        ? await openWebSocket(listenerOf(broker, 'ws:').url, client)
        : await openTcp(HOST, listenerOf(broker, 'mqtt:').port, client);
    return client.attach(socket);
  }

  /**
   * A connection accepted with CONNECT; its CONNACK is `client.connack`. Clean session, no keep alive, MQTT 5.0 by default.
   * @throws Error when the broker refuses it.
   */
  async connect(options: OpenOptions & RawConnectOptions = {}): Promise<RawClient & { connack: ConnackPacket }> {
    const client = await this.open(options);
    const connack = await client.connect(options);
    return Object.assign(client, { connack });
  }

  /** Lets `ms` milliseconds pass on the clock the broker was started with. */
  advance(ms: number): void {
    if (this.#clock === undefined) throw new Error('time goes by itself: start the broker with a clock to move it');
    this.#clock.advance(ms);
  }

  /** Ends the connection of a client, at whichever node. */
  disconnect(clientId: string, reasonCode?: ReasonCode, reason?: string): void {
    for (const { broker } of this.#nodes) broker.disconnect(clientId, reasonCode, reason);
  }

  /** Has the listener called on each event of that name, at all nodes. */
  on<Name extends keyof BrokerEvents>(name: Name, listener: (...args: BrokerEvents[Name]) => void): void {
    for (const { broker } of this.#nodes) broker.on(name, listener);
  }

  /** Has all nodes look anew at what clients may do. */
  async rightsChanged(): Promise<void> {
    await Promise.all(this.#nodes.map(({ broker }) => broker.rightsChanged()));
  }

  /** A counter, over all nodes. */
  total(read: (counters: BrokerCounters) => number): number {
    return this.#nodes.reduce((sum, { broker }) => sum + read(broker.counters()), 0);
  }

  /** Breaks all connections off, closes the broker, and asserts that no client was sent what breaks the rules. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const client of this.#clients) client.destroy();
    await Promise.all(this.#nodes.map(({ broker }) => broker.close()));
    const violations = this.#clients.map((client) => client.violation).filter((text) => text !== undefined);
    if (violations.length > 0) expect(violations, 'rules of the protocol the broker broke').toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Waits until every node has done, and every other has been told of, what nodes have taken so far. */
  async #settle(): Promise<void> {
    // What is acknowledged here is behind all that this node took before, and nobody's wildcard subscription matches it.
    await Promise.all(this.#nodes.map(({ broker }) => broker.publish({ topicName: '$settle', payload: '', qos: 1 })));
    await Promise.all(this.#nodes.map(({ store }) => caughtUp(store)));
  }
}

/** One broker of several on a store that they share, or the only one. */
interface TestNode {
  readonly broker: Broker;
  readonly store: Store;
}

function listenerOf({ listeners }: Broker, scheme: string): { url: string; port: number } {
  const found = listeners.find((listener) => listener.url.startsWith(scheme));
  if (found === undefined) throw new Error(`no listener with ${scheme}`);
  return found;
}

/** Starts a broker on free ports of loopback, TCP and WebSocket, with its store in memory, silent; several in the project of tests with several nodes. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { config: overrides = {}, clock } = options;
  const config = createConfig({
    ...overrides,
    listeners: { tcp: { host: HOST, port: 0 }, websocket: { host: HOST, port: 0 }, ...overrides.listeners },
    // A clock that stands still would hold such bytes, and such batches, back for good.
    // What the process that runs the tests has in memory is nothing to the broker.
    limits: {
      ...(clock === undefined ? {} : { writeDelayMs: 0 }),
      memoryBytesMax: options.memoryUsed === undefined ? 0 : 'auto',
      ...overrides.limits,
    },
    store: { type: 'memory', ...(clock === undefined ? {} : { holdMs: 0 }), ...overrides.store },
    admin: { sysIntervalSeconds: 0, ...overrides.admin },
  });
  const silent = createLogger({ level: 'error', format: 'json', write: () => undefined, clock: systemClock });
  const nodes: TestNode[] = [];
  try {
    for (const store of await storesOf(options)) {
      const broker = await startBroker(config, {
        logger: options.logger ?? silent,
        clock: clock === undefined ? systemClock : new SocketClock(clock),
        store,
        hooks: options.hooks,
        access: options.access,
        memoryUsed: options.memoryUsed,
      });
      nodes.push({ broker, store });
    }
  } catch (error) {
    await Promise.all(nodes.map(({ broker }) => broker.close()));
    throw error;
  }
  return new TestBroker(nodes, clock);
}

async function storesOf({ store }: TestBrokerOptions): Promise<readonly Store[]> {
  if (store !== undefined) return [store];
  return usesRedis() ? await redisTestStores(nodeCount()) : [new MemoryStore()];
}
