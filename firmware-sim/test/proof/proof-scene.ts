import { vi } from 'vitest';
import type { Agent, AgentHandler, AgentOptions, AgentWill, PublishOptions } from '../../src/agent/agent.ts';
import { Metrics } from '../../src/agent/metrics.ts';
import { createAgent } from '../../src/agent/mqtt-agent.ts';
import { DeliveryChecker } from '../../src/checker/delivery-checker.ts';
import { jsonPayload } from '../../src/checker/stamp.ts';
import type { Verdict } from '../../src/checker/witness.ts';
import type { ClientFactory, SubscribeOptions } from '../../src/client/client.ts';
import { MqttJsClients } from '../../src/client/mqttjs-client.ts';
import { PacketClients } from '../../src/client/packet-client.ts';
import { Random } from '../../src/lib/random.ts';
import { Links } from '../../src/wire/links.ts';
import { FaultyBroker } from '../faulty-broker/faulty-broker.ts';
import type { Plant, Spot } from '../faulty-broker/planter.ts';
import { ShiftedTimers } from './shifted-timers.ts';

/** Late is what comes this much after it could, s; tests do not take that long, they put the clock forward. */
const lateAfterSeconds = 30;

/** What a scene is made with. */
export interface SceneOptions {
  /** Brokers of even seeds route QoS 2 messages when they are released. */
  readonly seed: number;
  /** The simulator's own, or MQTT.js. */
  readonly client?: 'packet' | 'mqttjs';
  readonly times: Partial<Readonly<Record<Plant, number>>>;
  readonly allows: (plant: Plant, spot: Spot) => boolean;
}

/** The checker, and what a test has to know of when it is told something. */
class WatchedChecker extends DeliveryChecker {
  /** Subscriptions in force: client and filter. */
  readonly granted: Set<string> = new Set();

  override subscribing(client: number, subscription: SubscribeOptions, at: number): void {
    this.granted.delete(`${client} ${subscription.topicFilter}`);
    super.subscribing(client, subscription, at);
  }

  override subscribed(client: number, topicFilter: string, reasonCode: number, at: number): void {
    super.subscribed(client, topicFilter, reasonCode, at);
    this.granted.add(`${client} ${topicFilter}`);
  }
}

/** One agent of a scene. */
export interface Member {
  readonly agent: Agent;
  readonly client: number;
  readonly name: string;
  /** Deliveries so far. */
  received: number;
  /** Connections so far. */
  ups: number;
}

/** Real agents on real sockets, a broker with planted faults, and the checker that has to find them. */
export class ProofScene {
  readonly timers: ShiftedTimers = new ShiftedTimers();
  readonly random: Random;
  readonly broker: FaultyBroker;
  readonly checker: WatchedChecker = new WatchedChecker({ lateAfterSeconds });
  readonly #metrics = new Metrics();
  readonly #clients: ClientFactory;
  readonly #members: Member[] = [];
  #counter = 0;

  constructor({ seed, times, allows, client = 'packet' }: SceneOptions) {
    this.random = new Random(seed);
    const plants = { times, allows, chance: 0.2, random: this.random.fork('broker') };
    this.broker = new FaultyBroker(plants, seed % 2 === 0);
    const links = new Links(this.timers, this.random.fork('links'));
    this.#clients = client === 'packet' ? new PacketClients(this.timers, links) : new MqttJsClients(this.timers, links);
  }

  /** A client that is not connected yet; its class is its name up to the first hyphen. */
  member(name: string, options: Partial<AgentOptions> = {}): Member {
    const client = this.#members.length;
    const handler: AgentHandler = {
      onUp: () => void member.ups++,
      onDown: () => undefined,
      onMessage: () => void member.received++,
      onPublished: () => undefined,
    };
    const agent = createAgent(
      {
        timers: this.timers,
        witness: this.checker,
        clients: this.#clients,
        endpoint: { transport: 'tcp', host: '127.0.0.1', port: this.broker.port, path: '/mqtt' },
        run: 0x5eed,
        metrics: () => this.#metrics,
      },
      {
        client,
        clientId: name,
        className: name.split('-')[0] ?? name,
        version: 5,
        session: 'persistent',
        sessionExpirySeconds: 3600,
        keepAliveSeconds: 0,
        window: 20,
        offlineMax: 1000,
        reconnectSeconds: [0.01, 0.1],
        network: {},
        random: this.random.fork(name),
        ...options,
      },
      handler,
    );
    const member: Member = { agent, client, name, received: 0, ups: 0 };
    this.#members.push(member);
    return member;
  }

  /** A client that is connected and has its subscriptions. */
  async present(name: string, filters: readonly SubscribeOptions[], options?: Partial<AgentOptions>): Promise<Member> {
    const member = this.member(name, options);
    member.agent.subscribe(filters);
    member.agent.start();
    await this.up(member);
    await this.subscribed(member, filters);
    return member;
  }

  async up({ agent, name }: Member): Promise<void> {
    await this.until(() => agent.state === 'up', `${name} is up`);
  }

  /** The broker has granted these filters, and the client knows. */
  async subscribed({ client, name }: Member, filters: readonly SubscribeOptions[]): Promise<void> {
    const { granted } = this.checker;
    const isGranted = ({ topicFilter }: SubscribeOptions): boolean => granted.has(`${client} ${topicFilter}`);
    await this.until(() => filters.every(isGranted), `${name} has subscribed`);
  }

  /** A stamped message; every one is different. */
  publish({ agent, name }: Member, topicName: string, options: Partial<PublishOptions> = {}): void {
    const payload = jsonPayload({ from: name, counter: this.#counter++, pad: 'x'.repeat(this.random.below(60)) });
    agent.publish(topicName, payload, { qos: 1, retain: false, ...options });
  }

  will(topicName: string, options: Partial<AgentWill> = {}): AgentWill {
    return {
      topicName,
      qos: 1,
      retain: false,
      delaySeconds: 0,
      payload: () => jsonPayload({ gone: topicName }),
      ...options,
    };
  }

  /** Nothing is under way at any client. */
  async idle(members: readonly Member[] = this.#members): Promise<void> {
    await this.until(() => members.every(({ agent }) => agent.pending === 0), 'all is acknowledged');
  }

  /** Lets `ms` of real time go by, in which devices live their lives. */
  async elapse(ms: number): Promise<void> {
    const end = this.timers.now() + ms;
    await this.until(() => this.timers.now() >= end, `${ms} ms are over`);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const state = (): string =>
      this.#members.map(({ name, agent }) => `${name} ${agent.state} ${agent.pending}`).join(', ');
    await vi.waitUntil(condition, { timeout: 60_000, interval: 3 }).catch(() => {
      throw new Error(`waited in vain: ${what}; ${this.checker.outstanding} outstanding; ${state()}`);
    });
  }

  /** Everything has come that ever will. */
  async drained(): Promise<void> {
    await this.idle();
    this.broker.router.release();
    await this.until(() => this.broker.router.isIdle, 'the broker has delivered all');
    await this.elapse(100); // for QoS 0, and for what must not come
  }

  /**
   * The verdict when all who are not off have been there for a while: others cannot miss anything.
   * @param calmMs that while.
   */
  async verdict(calmMs = 200): Promise<Verdict> {
    const isThere = ({ agent }: Member): boolean => agent.state === 'up' || agent.state === 'off';
    let changedAt = this.timers.now();
    let ups = -1;
    await this.until(() => {
      const sum = this.#members.reduce((total, member) => total + member.ups, 0);
      if (sum !== ups || !this.#members.every(isThere)) changedAt = this.timers.now();
      ups = sum;
      return this.timers.now() - changedAt >= calmMs;
    }, 'all are there to stay');
    this.checker.finish(this.timers.now());
    return this.checker.verdict();
  }

  async stop(): Promise<void> {
    for (const { agent } of this.#members) agent.crash();
    await this.broker.stop();
    this.timers.clear();
  }
}
