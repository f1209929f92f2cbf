import type { StampedPayload } from '../checker/stamp.ts';
import type { Witness } from '../checker/witness.ts';
import type {
  ClientEnd,
  ClientFactory,
  IncomingMessage,
  MessageProperties,
  ProtocolVersion,
  QoS,
  SubscribeOptions,
} from '../client/client.ts';
import type { Random } from '../lib/random.ts';
import type { Timers } from '../lib/timers.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import type { NetworkProfile } from '../wire/network-path.ts';
import type { Metrics } from './metrics.ts';

/** What an agent needs besides its own options; one per thread and class. */
export interface AgentContext {
  readonly timers: Timers;
  readonly witness: Witness;
  readonly clients: ClientFactory;
  readonly endpoint: Endpoint;
  /** Of the stamps, 0 to 2^24 - 1. */
  readonly run: number;
  /** Where to count at this moment; changes with the stage. */
  metrics(): Metrics;
  /** Is told why an attempt to connect did not get there; absent for nobody. */
  connectFailed?(options: AgentOptions, end: ClientEnd): void;
}

/** How one simulated client behaves. */
export interface AgentOptions {
  /** Number of the client for stamps and witness. */
  readonly client: number;
  readonly clientId: string;
  readonly className: string;
  readonly version: ProtocolVersion;
  /** `clean` starts anew with each connection; `persistent` resumes. */
  readonly session: 'clean' | 'persistent';
  /** How long a persistent MQTT 5 session lives without a connection, s. */
  readonly sessionExpirySeconds: number;
  readonly keepAliveSeconds: number;
  readonly username?: string;
  readonly password?: string;
  readonly receiveMaximum?: number;
  /** QoS 1 and 2 messages under way at once; further ones wait. */
  readonly window: number;
  /** Messages kept while there is no connection, of any QoS; the oldest QoS 0 goes first, then new ones are not taken. */
  readonly offlineMax: number;
  /** Waiting time before the next attempt after a failure, doubled from low to high, with jitter, s. */
  readonly reconnectSeconds: readonly [low: number, high: number];
  readonly network: NetworkProfile;
  readonly random: Random;
  readonly will?: AgentWill;
}

/** The will of each connection; stamped anew for each. */
export interface AgentWill {
  readonly topicName: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly delaySeconds: number;
  payload(): StampedPayload;
}

/** Is told what happens to an agent. Called synchronously; must not throw. */
export interface AgentHandler {
  /** Connected; subscriptions are still in force where `sessionPresent`, and are made again by the agent where not. */
  onUp(sessionPresent: boolean): void;
  /** A connection that was up is gone; the agent comes back by itself unless it was told to sleep, leave or crash. */
  onDown(end: ClientEnd): void;
  onMessage(message: IncomingMessage): void;
  /**
   * A publish of QoS 1 or 2 is complete, or was refused (0x80 and above); 0x80 as well where its session ended before
   * the broker answered. `reference` as given to publish.
   */
  onPublished(reference: number, reasonCode: number): void;
}

/** How to publish. */
export interface PublishOptions {
  readonly qos: QoS;
  readonly retain: boolean;
  /** When it was due, ms on the clock of Timers; absent for now. Latency counts from here. */
  readonly dueAt?: number;
  readonly properties?: MessageProperties;
  /** Comes back in onPublished; absent for nothing. */
  readonly reference?: number;
}

/**
 * One client with a memory: keeps itself connected, stamps what it publishes, and tells witness and metrics
 * everything. States: off -> connecting -> up -> (waiting -> connecting ...) -> off.
 */
export interface Agent {
  readonly state: 'off' | 'connecting' | 'up' | 'waiting';
  readonly clientId: string;
  /** Messages of QoS 1 and 2 not complete, and messages kept for the next connection. */
  readonly pending: number;
  /** Connects and stays connected; only from off. */
  start(): void;
  /**
   * Takes a message over; its payload, which must not change any more, is stamped when it goes out. False: it was not
   * taken (the buffer is full, or too much waits for the network) and counts as unsent.
   */
  publish(topicName: string, payload: StampedPayload | undefined, options: PublishOptions): boolean;
  /** Subscribes now or as soon as it is up, and again whenever the session was not there. */
  subscribe(subscriptions: readonly SubscribeOptions[]): void;
  unsubscribe(topicFilters: readonly string[]): void;
  /** DISCONNECT and off; a persistent session stays at the broker. */
  sleep(): void;
  /** DISCONNECT and off, and the session ends where the version can say so (5: expiry 0; 3.x: it stays). */
  leave(): void;
  /** Off without DISCONNECT: the will has to come. */
  crash(): void;
  /** Drops the connection without DISCONNECT and comes back at once, or after `delaySeconds`. */
  drop(delaySeconds: number): void;
}

/** Makes an agent in state off; the witness is told of it. */
export type CreateAgent = (context: AgentContext, options: AgentOptions, handler: AgentHandler) => Agent;
