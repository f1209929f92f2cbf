import type { Agent, AgentHandler, AgentOptions, PublishOptions } from '../../../src/agent/agent.ts';
import type { StampedPayload } from '../../../src/checker/stamp.ts';
import type { QoS, SubscribeOptions } from '../../../src/client/client.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { Timers } from '../../../src/lib/timers.ts';

interface BusMessage {
  readonly topicName: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
}

interface Outgoing extends BusMessage {
  readonly reference: number | undefined;
}

/** How good the bus is. */
export interface BusOptions {
  readonly latencyMs: number;
  /** Mean time between cuts of a connection, s; 0 never. */
  readonly cutEverySeconds: number;
  /** Part of the deliveries whose payload is damaged on the way; manifests are spared, as they come only once. */
  readonly damaged: number;
}

/** A broker without a network: retained messages, sessions, QoS 1 with its repetitions, and cuts at random. */
export class Bus {
  readonly timers: Timers;
  readonly random: Random;
  readonly options: BusOptions;
  /** Subscribers by filter. */
  readonly #takers: Map<string, Set<BusAgent>> = new Map();
  readonly #retained: Map<string, BusMessage> = new Map();
  #isCalm = false;

  constructor(timers: Timers, random: Random, options: BusOptions) {
    this.timers = timers;
    this.random = random;
    this.options = options;
  }

  get isCalm(): boolean {
    return this.#isCalm;
  }

  agent(handler: AgentHandler, session: AgentOptions['session'], name: string): BusAgent {
    return new BusAgent(this, handler, session, name);
  }

  /** No more cuts and damage. */
  calm(): void {
    this.#isCalm = true;
  }

  route(message: BusMessage): void {
    if (message.retain) this.#retained.set(message.topicName, message);
    for (const topicFilter of filtersOf(message.topicName)) {
      for (const agent of this.#takers.get(topicFilter) ?? []) agent.deliver({ ...message, retain: false });
    }
  }

  unsubscribe(agent: BusAgent, topicFilter: string): void {
    this.#takers.get(topicFilter)?.delete(agent);
  }

  subscribe(agent: BusAgent, topicFilter: string): void {
    const takers = this.#takers.get(topicFilter) ?? new Set();
    this.#takers.set(topicFilter, takers.add(agent));
    for (const message of this.#retained.values()) {
      if (filtersOf(message.topicName).includes(topicFilter)) agent.deliver(message);
    }
  }
}

/** The filters of the kinds used here that match a topic name: itself, `+` for its last level, `#` for its last levels. */
function filtersOf(topicName: string): string[] {
  const levels = topicName.split('/');
  const filters = [topicName, [...levels.slice(0, -1), '+'].join('/')];
  for (let level = 1; level < levels.length; level++) filters.push([...levels.slice(0, level), '#'].join('/'));
  return filters;
}

/** A client of the bus, with its session at the bus. */
export class BusAgent implements Agent {
  readonly clientId: string;
  state: Agent['state'] = 'off';
  /** Is told of each message before the device is. */
  onDelivery: (topicName: string, payload: Buffer) => void = () => {};
  /** Is told of each publish. */
  onPublish: (topicName: string, payload: Buffer) => void = () => {};
  readonly #bus: Bus;
  readonly #handler: AgentHandler;
  readonly #session: AgentOptions['session'];
  readonly #wanted: Map<string, SubscribeOptions> = new Map();
  readonly #subscribed: Set<string> = new Set();
  #hasSession = false;
  /** Of the connection, so that what belonged to an earlier one is told apart. */
  #epoch = 0;
  #outgoing: Outgoing[] = [];
  #incoming: BusMessage[] = [];

  constructor(bus: Bus, handler: AgentHandler, session: AgentOptions['session'], name: string) {
    this.#bus = bus;
    this.#handler = handler;
    this.#session = session;
    this.clientId = name;
  }

  get pending(): number {
    return this.#outgoing.length;
  }

  deliver(message: BusMessage): void {
    if (this.state !== 'up' && !this.#hasSession) return;
    this.#incoming.push(message);
    if (this.state === 'up') this.#handOver(message);
  }

  start(): void {
    if (this.state !== 'off') throw new Error(`${this.clientId} started while ${this.state}`);
    this.state = 'connecting';
    this.#connectLater();
  }

  publish(topicName: string, payload: StampedPayload | undefined, options: PublishOptions): boolean {
    const { qos, retain, reference } = options;
    const message = { topicName, payload: payload?.bytes ?? Buffer.alloc(0), qos, retain, reference };
    this.onPublish(topicName, message.payload);
    if (qos === 0 && this.state !== 'up') return false;
    if (qos > 0) this.#outgoing.push(message);
    if (this.state === 'up') this.#send(message);
    return true;
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    for (const subscription of subscriptions) this.#wanted.set(subscription.topicFilter, subscription);
    if (this.state === 'up') this.#subscribe();
  }

  unsubscribe(): void {
    throw new Error('not needed here');
  }

  sleep(): void {
    this.#off('off');
  }

  leave(): void {
    this.#off('off');
  }

  crash(): void {
    this.#off('off');
  }

  drop(): void {
    this.cut();
  }

  /** Loses its connection, and comes back after a while. */
  cut(): void {
    if (this.state !== 'up') return;
    this.#off('waiting');
  }

  #off(state: 'off' | 'waiting'): void {
    const wasUp = this.state === 'up';
    this.state = state;
    this.#epoch++;
    if (state === 'waiting') this.#connectLater();
    if (this.#session === 'clean') {
      this.#hasSession = false;
      for (const topicFilter of this.#subscribed) this.#bus.unsubscribe(this, topicFilter);
      this.#subscribed.clear();
      this.#incoming = [];
    }
    if (wasUp) this.#handler.onDown({ cause: 'cut', text: 'cut' } as never);
  }

  #connectLater(): void {
    const epoch = ++this.#epoch;
    this.#after(this.#bus.random.between(10, 3000), epoch, () => {
      this.state = 'up';
      const isPresent = this.#hasSession;
      this.#hasSession = this.#session === 'persistent';
      const lost = isPresent ? [] : this.#outgoing.splice(0);
      this.#subscribe();
      this.#handler.onUp(isPresent);
      for (const { reference } of lost) if (reference !== undefined) this.#handler.onPublished(reference, 0x80);
      if (isPresent) {
        for (const message of this.#outgoing) this.#send(message);
        for (const message of this.#incoming) this.#handOver(message);
      }
      this.#planCut(this.#epoch);
    });
  }

  #planCut(epoch: number): void {
    const { cutEverySeconds } = this.#bus.options;
    if (cutEverySeconds === 0) return;
    this.#after(this.#bus.random.exponential(cutEverySeconds * 1000), epoch, () => {
      if (!this.#bus.isCalm) this.cut();
    });
  }

  #subscribe(): void {
    for (const topicFilter of this.#wanted.keys()) {
      if (this.#subscribed.has(topicFilter)) continue;
      this.#subscribed.add(topicFilter);
      this.#bus.subscribe(this, topicFilter);
    }
  }

  /** There and back again, unless a cut comes between: then it may have arrived, and is sent again with the session. */
  #send(message: Outgoing): void {
    const { latencyMs } = this.#bus.options;
    this.#after(latencyMs, this.#epoch, () => {
      this.#bus.route(message);
      this.#after(latencyMs, this.#epoch, () => {
        const place = this.#outgoing.indexOf(message);
        if (place === -1) return;
        this.#outgoing.splice(place, 1);
        if (message.reference !== undefined) this.#handler.onPublished(message.reference, 0);
      });
    });
  }

  #handOver(message: BusMessage): void {
    const { latencyMs, damaged } = this.#bus.options;
    this.#after(latencyMs, this.#epoch, () => {
      this.#incoming.splice(this.#incoming.indexOf(message), 1);
      const payload = Buffer.from(message.payload);
      const mayBeDamaged = !this.#bus.isCalm && !message.topicName.endsWith('/manifest');
      if (mayBeDamaged && this.#bus.random.chance(damaged)) {
        const at = this.#bus.random.below(payload.length);
        payload[at] = (payload[at] as number) ^ (1 << this.#bus.random.below(8));
      }
      this.onDelivery(message.topicName, payload);
      this.#handler.onMessage({ ...message, payload, dup: false, properties: undefined });
      payload.fill(0xff); // the handler's only until it returns
    });
  }

  #after(delayMs: number, epoch: number, callback: () => void): void {
    this.#bus.timers.after(delayMs, () => {
      if (epoch === this.#epoch) callback();
    });
  }
}
