import { expect } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { type Config, createConfig, type DeepPartial } from '../../src/config.ts';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { createLogger } from '../../src/lib/logger.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import type { ConnackPacket, ProtocolVersion } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { openTcp, openWebSocket } from './client-socket.ts';
import type { RawConnectOptions } from './connect-packet.ts';
import { RawClient } from './raw-client.ts';
import { redisTestStore, usesRedis } from './redis-test-store.ts';
import { type MovableClock, SocketClock } from './socket-clock.ts';

const HOST = '127.0.0.1';

/** How a test broker differs from the usual one. */
export interface TestBrokerOptions {
  /** Laid over the defaults; listeners stay on free ports of loopback and the store in memory unless said otherwise. */
  config?: DeepPartial<Config>;
  hooks?: Hooks;
  /** Makes time stand still but for `TestBroker.advance`. */
  clock?: MovableClock;
  /** A fresh `MemoryStore` by default, in the project of tests with Redis a fresh database; hand over the same one twice for a restart. */
  store?: Store;
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
 * A broker on real sockets with everything a test needs around it. Use it with `await using`, or close it: closing also
 * asserts that the broker sent none of its clients anything that breaks the rules of the protocol.
 */
export class TestBroker {
  readonly broker: Broker;
  readonly #clock: MovableClock | undefined;
  readonly #clients: RawClient[] = [];
  #isClosed = false;

  constructor(broker: Broker, clock: MovableClock | undefined) {
    this.broker = broker;
    this.#clock = clock;
  }

  /** Port of the TCP listener. */
  get port(): number {
    return this.#listener('mqtt:').port;
  }

  /** Where the WebSocket listener is: `ws://127.0.0.1:50123/mqtt`. */
  get webSocketUrl(): string {
    return this.#listener('ws:').url;
  }

  /** A connection on which nothing was sent yet. */
  async open(options: OpenOptions = {}): Promise<RawClient> {
    const name = options.name ?? `client-${this.#clients.length + 1}`;
    const client = new RawClient(name, options.version ?? 5);
    this.#clients.push(client);
    const socket =
      options.transport === 'websocket'
        ? await openWebSocket(this.webSocketUrl, client)
        : await openTcp(HOST, this.port, client);
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

  /** Breaks all connections off, closes the broker, and asserts that no client was sent what breaks the rules. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const client of this.#clients) client.destroy();
    await this.broker.close();
    const violations = this.#clients.map((client) => client.violation).filter((text) => text !== undefined);
    if (violations.length > 0) expect(violations, 'rules of the protocol the broker broke').toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #listener(scheme: string): { url: string; port: number } {
    const found = this.broker.listeners.find((listener) => listener.url.startsWith(scheme));
    if (found === undefined) throw new Error(`no listener with ${scheme}`);
    return found;
  }
}

/** Starts a broker on free ports of loopback, TCP and WebSocket, with its store in memory, silent. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { config: overrides = {}, clock } = options;
  const config = createConfig({
    ...overrides,
    listeners: { tcp: { host: HOST, port: 0 }, websocket: { host: HOST, port: 0 }, ...overrides.listeners },
    // A clock that stands still would hold such bytes, and such batches, back for good.
    limits: { ...(clock === undefined ? {} : { writeDelayMs: 0 }), ...overrides.limits },
    store: { type: 'memory', ...(clock === undefined ? {} : { holdMs: 0 }), ...overrides.store },
    admin: { sysIntervalSeconds: 0, ...overrides.admin },
  });
  const logger = createLogger({ level: 'error', format: 'json', write: () => undefined, clock: systemClock });
  const broker = await startBroker(config, {
    logger,
    clock: clock === undefined ? systemClock : new SocketClock(clock),
    store: options.store ?? (usesRedis() ? await redisTestStore() : new MemoryStore()),
    ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
  });
  return new TestBroker(broker, clock);
}
