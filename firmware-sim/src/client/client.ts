import type { Endpoint } from '../wire/endpoint.ts';
import type { LinkEnd } from '../wire/link.ts';
import type { NetworkPath } from '../wire/network-path.ts';

/** 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0: the protocol level on the wire. */
export type ProtocolVersion = 3 | 4 | 5;

export type QoS = 0 | 1 | 2;

/** Properties of a PUBLISH that simulated devices use; left out where the version is below 5. */
export interface MessageProperties {
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Buffer;
  /** Seconds. */
  readonly messageExpiryInterval?: number;
  readonly userProperties?: Readonly<Record<string, string>>;
}

/** What a will is made of. */
export interface Will {
  readonly topicName: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Seconds; MQTT 5 only. */
  readonly delaySeconds?: number;
}

/** What a CONNECT says. */
export interface ConnectOptions {
  readonly clientId: string;
  readonly version: ProtocolVersion;
  /** Clean Start, or Clean Session of 3.x. */
  readonly cleanStart: boolean;
  /** MQTT 5: 0 ends the session with the connection. In 3.x a session lives on exactly where `cleanStart` is false. */
  readonly sessionExpirySeconds: number;
  /** 0 is off. */
  readonly keepAliveSeconds: number;
  readonly username?: string;
  readonly password?: string;
  readonly will?: Will;
  /** MQTT 5, 1 to 65535. */
  readonly receiveMaximum?: number;
}

/** A message on its way out. */
export interface OutgoingMessage {
  readonly topicName: string;
  /** Must not change until the message is complete: QoS 1 and 2 are sent again from it. */
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
  /** What the owner knows it by; comes back in {@link ClientHandler}. */
  readonly token: number;
}

/** A message that came in. The object and its payload are the handler's only until it returns. */
export interface IncomingMessage {
  readonly topicName: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly properties: MessageProperties | undefined;
}

/** One filter of a SUBSCRIBE. */
export interface SubscribeOptions {
  readonly topicFilter: string;
  readonly qos: QoS;
  /** MQTT 5. */
  readonly noLocal?: boolean;
  /** MQTT 5. */
  readonly retainAsPublished?: boolean;
  /** MQTT 5; 0 to 2. */
  readonly retainHandling?: 0 | 1 | 2;
}

/** What CONNACK said. */
export interface Connected {
  readonly sessionPresent: boolean;
  /** The server's Receive Maximum; 65535 where it names none. */
  readonly receiveMaximum: number;
  /** Seconds; the one in force. */
  readonly keepAliveSeconds: number;
}

/** Why a client has no connection any more. */
export interface ClientEnd {
  readonly cause:
    | LinkEnd['cause']
    | 'refused-by-broker' // CONNACK with a reason code of failure
    | 'disconnected-by-broker' // DISCONNECT of the broker
    | 'timeout' // no CONNACK, or no PINGRESP, in time
    | 'malformed'; // the broker sent what is not MQTT
  /** Of CONNACK or DISCONNECT. */
  readonly reasonCode?: number;
  /** The broker was not told of it: see LinkEnd. */
  readonly silent?: boolean;
  /** One clause for people. */
  readonly text: string;
}

/** Is told what happens to a client. Called synchronously while bytes are read; must not throw. */
export interface ClientHandler {
  onConnected(connected: Connected): void;
  /** QoS 2 messages come once: what is repeated before PUBREL is not told again. */
  onMessage(message: IncomingMessage): void;
  /** The first bytes of this message were given to the network; not told again for a resend. */
  onSent(token: number): void;
  /** PUBACK or PUBREC: the broker has it, or refused it (`reasonCode` 0x80 and above). Told once per message. */
  onAcknowledged(token: number, reasonCode: number): void;
  /**
   * PUBACK, PUBCOMP or a refusal: the place in the window is free. QoS 0: it was written. Told as well of what was
   * acknowledged with PUBREC when the session ended: each message ends with this or with {@link onAbandoned}.
   */
  onCompleted(token: number): void;
  /** The session ended with a connection (or the broker lost it): these were never acknowledged and are not sent again. */
  onAbandoned(token: number): void;
  /** SUBACK; one reason code per filter. */
  onSubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void;
  /** UNSUBACK; 3.x has no reason codes and tells 0. */
  onUnsubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void;
  /** Once per {@link Client.connect} that was not ended by {@link Client.freeze}. */
  onEnd(end: ClientEnd): void;
}

/**
 * An MQTT client of one device: outlives its connections and keeps the client's half of the session (unacknowledged
 * messages, received packet ids of QoS 2) for the next one, as firmware with flash memory does.
 */
export interface Client {
  /** `closing`: DISCONNECT is written, and the broker has not closed yet. */
  readonly state: 'idle' | 'connecting' | 'connected' | 'closing';
  /** QoS 1 and 2 messages not complete yet, those that wait for the window included. */
  readonly inFlight: number;
  /** Bytes that wait for the network. */
  readonly bufferedBytes: number;
  /** Opens a connection; only in state idle. Messages of a session that goes on are sent again. */
  connect(endpoint: Endpoint, path: NetworkPath, options: ConnectOptions): void;
  /** Takes a message over. QoS 1 and 2 wait for the window and for a connection; QoS 0 without one is not sent: false. */
  publish(message: OutgoingMessage): boolean;
  /** Only in state connected, like {@link unsubscribe}. What the connection's end leaves unanswered is not sent again. */
  subscribe(subscriptions: readonly SubscribeOptions[]): void;
  unsubscribe(topicFilters: readonly string[]): void;
  /** DISCONNECT, then closes. `sessionExpirySeconds` (MQTT 5) replaces what CONNECT said; `withWill` sends 0x04. */
  disconnect(options?: { readonly sessionExpirySeconds?: number; readonly withWill?: boolean }): void;
  /** Drops the connection without DISCONNECT; {@link ClientHandler.onEnd} is told before this returns. */
  crash(): void;
  /** Leaves the connection half open for `forMs` and is idle at once; see Link.freeze. */
  freeze(forMs: number): void;
  /** Forgets the session: everything unacknowledged is told as abandoned. Only in state idle. */
  forget(): void;
}

/** Makes clients of one kind; one per thread. */
export interface ClientFactory {
  create(handler: ClientHandler, options: { readonly window: number }): Client;
}
