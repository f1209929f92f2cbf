import { type Agent, type AgentHandler, type AgentOptions } from '../../src/agent/agent.ts';
import { Metrics } from '../../src/agent/metrics.ts';
import { createAgent } from '../../src/agent/mqtt-agent.ts';
import { binaryPayload, emptyReading, readStamp, type StampedPayload, writeStamp } from '../../src/checker/stamp.ts';
import type { Witness } from '../../src/checker/witness.ts';
import type {
  Client,
  ClientEnd,
  ClientHandler,
  Connected,
  ConnectOptions,
  OutgoingMessage,
  SubscribeOptions,
} from '../../src/client/client.ts';
import { Random } from '../../src/lib/random.ts';
import type { Endpoint } from '../../src/wire/endpoint.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';

/** A client without a network: a test plays the broker by calling its handler. */
export class FakeClient implements Client {
  readonly handler: ClientHandler;
  readonly window: number;
  state: Client['state'] = 'idle';
  inFlight = 0;
  bufferedBytes = 0;
  /** Whether QoS 0 counts as written at once, as with the own client, or when the test says so, as with MQTT.js. */
  writesAtOnce = true;
  /** Whether ends that the agent asks for are told at once. */
  endsAtOnce = true;
  readonly connects: ConnectOptions[] = [];
  readonly published: OutgoingMessage[] = [];
  readonly subscribed: (readonly SubscribeOptions[])[] = [];
  readonly unsubscribed: (readonly string[])[] = [];
  readonly disconnects: { readonly sessionExpirySeconds?: number }[] = [];
  crashes = 0;
  forgets = 0;

  constructor(handler: ClientHandler, window: number) {
    this.handler = handler;
    this.window = window;
  }

  connect(_endpoint: Endpoint, _path: unknown, options: ConnectOptions): void {
    if (this.state !== 'idle') throw new Error('connect in state ' + this.state);
    this.state = 'connecting';
    this.connects.push(options);
  }

  publish(message: OutgoingMessage): boolean {
    if (message.qos === 0 && this.state !== 'connected') return false;
    this.published.push(message);
    if (message.qos > 0) this.inFlight++;
    if (this.writesAtOnce) {
      this.handler.onSent(message.token);
      if (message.qos === 0) this.handler.onCompleted(message.token);
    }
    return true;
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    this.subscribed.push(subscriptions);
  }

  unsubscribe(topicFilters: readonly string[]): void {
    this.unsubscribed.push(topicFilters);
  }

  disconnect(options: { readonly sessionExpirySeconds?: number } = {}): void {
    this.disconnects.push(options);
    if (this.endsAtOnce) this.end({ cause: 'ended', text: 'ended' });
  }

  crash(): void {
    this.crashes++;
    if (this.endsAtOnce) this.end({ cause: 'destroyed', text: 'dropped' });
  }

  freeze(): void {
    this.state = 'idle';
  }

  forget(): void {
    if (this.state !== 'idle') throw new Error('forget in state ' + this.state);
    this.forgets++;
    this.inFlight = 0;
    for (const { token, qos } of this.published) if (qos > 0) this.handler.onAbandoned(token);
  }

  // ---- the broker's part

  accept(connected: Partial<Connected> = {}): void {
    this.state = 'connected';
    this.handler.onConnected({ sessionPresent: false, receiveMaximum: 65_535, keepAliveSeconds: 60, ...connected });
  }

  end(end: ClientEnd): void {
    this.state = 'idle';
    this.handler.onEnd(end);
  }

  acknowledge(token: number, reasonCode = 0): void {
    this.handler.onAcknowledged(token, reasonCode);
    this.complete(token);
  }

  complete(token: number): void {
    this.inFlight--;
    this.handler.onCompleted(token);
  }
}

/** What was told to a witness: `['connecting', 7, ...]`, without the times. */
export type Fact = readonly [name: string, client: number, ...rest: unknown[]];

/** Everything around one agent: fake client, fake time, a witness that writes down, a handler that writes down. */
export class AgentScene {
  readonly timers: FakeTimers = new FakeTimers();
  readonly facts: Fact[] = [];
  readonly events: (readonly unknown[])[] = [];
  readonly metrics: Metrics = new Metrics();
  readonly failures: ClientEnd[] = [];
  readonly agent: Agent;
  readonly client: FakeClient;
  /** What the handler does besides writing down. */
  readonly reactions: Partial<AgentHandler> = {};

  constructor(options: Partial<AgentOptions> = {}) {
    let client: FakeClient | undefined;
    const handler: AgentHandler = {
      onUp: (sessionPresent) => this.#event('up', () => this.reactions.onUp?.(sessionPresent), sessionPresent),
      onDown: (end) => this.#event('down', () => this.reactions.onDown?.(end), end.cause),
      onMessage: (message) => this.#event('message', () => this.reactions.onMessage?.(message), message.topicName),
      onPublished: (reference, reasonCode) =>
        this.#event('published', () => this.reactions.onPublished?.(reference, reasonCode), reference, reasonCode),
    };
    this.agent = createAgent(
      {
        timers: this.timers,
        witness: this.#witness(),
        clients: { create: (told, { window }) => (client = new FakeClient(told, window)) },
        endpoint: { transport: 'tcp', host: '127.0.0.1', port: 1883, path: '/mqtt' },
        run: 0xabc,
        metrics: () => this.metrics,
        connectFailed: (_options, end) => this.failures.push(end),
      },
      {
        client: 7,
        clientId: 'sensor-7',
        className: 'sensor',
        version: 5,
        session: 'persistent',
        sessionExpirySeconds: 600,
        keepAliveSeconds: 60,
        window: 2,
        offlineMax: 3,
        reconnectSeconds: [1, 8],
        network: {},
        random: new Random(1),
        ...options,
      },
      handler,
    );
    if (client === undefined) throw new Error('the agent made no client');
    this.client = client;
  }

  /** Started and connected. */
  static up(options: Partial<AgentOptions> = {}): AgentScene {
    const scene = new AgentScene(options);
    scene.agent.start();
    scene.client.accept();
    return scene;
  }

  /** The facts of one name, without name and client. */
  told(name: keyof Witness): (readonly unknown[])[] {
    return this.facts.filter((fact) => fact[0] === name).map(([, , ...rest]) => rest);
  }

  /** Names of all facts since the last call. */
  takeFactNames(): string[] {
    return this.facts.splice(0).map(([name]) => name);
  }

  publish(text: string, options: Partial<Parameters<Agent['publish']>[2]> = {}): boolean {
    return this.agent.publish('t', binaryPayload(Buffer.from(text)), { qos: 1, retain: false, ...options });
  }

  /** A message of a simulator as the broker would deliver it. */
  deliver(stamp: { client: number; sequence: number; dueAt: number }, options: { retain?: boolean } = {}): void {
    const payload: StampedPayload = binaryPayload(Buffer.from('x'));
    writeStamp(payload, 0xabc, { ...stamp, qos: 1 });
    this.client.handler.onMessage({
      topicName: 'in',
      payload: payload.bytes,
      qos: 1,
      retain: options.retain ?? false,
      dup: false,
      properties: undefined,
    });
  }

  #event(name: string, react: () => void, ...rest: unknown[]): void {
    this.events.push([name, ...rest]);
    react();
  }

  #witness(): Witness {
    const note = (...fact: Fact): void => void this.facts.push(fact);
    return {
      client: (client, clientId, className) => note('client', client, clientId, className),
      connecting: (client, terms, will) => note('connecting', client, terms, will),
      connected: (client, sessionPresent) => note('connected', client, sessionPresent),
      disconnecting: (client, withWill, expirySeconds) => note('disconnecting', client, withWill, expirySeconds),
      ended: (client, how) => note('ended', client, how),
      sent: (client, { sequence, topicName, qos, retain, isEmpty, ...rest }) =>
        note('sent', client, { sequence, topicName, qos, retain, isEmpty }, rest.expirySeconds),
      completed: (client, sequence) => note('completed', client, sequence),
      acknowledged: (client, sequence) => note('acknowledged', client, sequence),
      refused: (client, sequence, reasonCode) => note('refused', client, sequence, reasonCode),
      abandoned: (client, sequence) => note('abandoned', client, sequence),
      subscribing: (client, { topicFilter }) => note('subscribing', client, topicFilter),
      subscribed: (client, topicFilter, reasonCode) => note('subscribed', client, topicFilter, reasonCode),
      unsubscribing: (client, topicFilter) => note('unsubscribing', client, topicFilter),
      unsubscribed: (client, topicFilter) => note('unsubscribed', client, topicFilter),
      delivered: (client, delivery, reading) => note('delivered', client, { ...delivery }, { ...reading }),
      broker: () => undefined,
    };
  }
}

/** What the stamp of a payload says. */
export function stampOf(payload: Buffer): {
  kind: string;
  client: number;
  sequence: number;
  dueAt: number;
  qos: number;
} {
  const reading = emptyReading();
  readStamp(payload, 0xabc, reading);
  return { ...reading };
}

/** What is in front of the stamp. */
export function bodyOf(payload: Buffer): string {
  return payload.toString('latin1').split('~')[0] ?? '';
}
