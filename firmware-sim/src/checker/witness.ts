import type { SubscribeOptions } from '../client/client.ts';
import type { StampReading } from './stamp.ts';

/** A message as its publisher hands it to the network for the first time. */
export interface SentMessage {
  /** Counts up from 1 per client, wills included. */
  readonly sequence: number;
  readonly topicName: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** No payload, and so no stamp: clears what the topic retains. */
  readonly isEmpty: boolean;
  /** MQTT 5 message expiry, s; absent for never. */
  readonly expirySeconds?: number;
}

/** The will of a connection; its payload is stamped like any message. */
export interface WillMessage extends SentMessage {
  /** 0 unless MQTT 5 says otherwise. */
  readonly delaySeconds: number;
}

/** What of a CONNECT decides on the session. */
export interface SessionTerms {
  readonly cleanStart: boolean;
  /** How long the session outlives the connection: 0 not at all, Infinity for ever (3.x without clean session). */
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
}

/**
 * What the clients of a run tell the delivery checker, each fact when it happens and in the order it happens; `at` is
 * the time on the clock of Timers. Facts only: what follows from them is the checker's to say. Clients are numbers,
 * so that facts travel cheaply between threads.
 */
export interface Witness {
  /** A client that will publish or subscribe, before anything else is told of it; `client` is new, 0 to 2^24 - 1. */
  client(client: number, clientId: string, className: string): void;

  /** CONNECT is written. */
  connecting(client: number, terms: SessionTerms, will: WillMessage | undefined, at: number): void;
  /** CONNACK, successful. */
  connected(client: number, sessionPresent: boolean, at: number): void;
  /** DISCONNECT is written. `expirySeconds` where it replaces the terms'; `withWill` for reason code 0x04. */
  disconnecting(client: number, withWill: boolean, expirySeconds: number | undefined, at: number): void;
  /**
   * The connection is no more, from where the client stands. `closed`: the broker learns of it at once (FIN or RST, or
   * it closed by itself); `silent`: the broker is not told, and finds out by keep alive, takeover or a late RST.
   */
  ended(client: number, how: 'closed' | 'silent', at: number): void;

  sent(client: number, message: SentMessage, at: number): void;
  /** PUBACK or PUBREC that accepts. */
  acknowledged(client: number, sequence: number, at: number): void;
  /**
   * PUBCOMP (or PUBACK again): the exchange is over. Brokers may route a QoS 2 message when PUBREL comes, so who is to
   * judge them exactly has to be told; who is not judges more mildly what happens between PUBREC and PUBCOMP.
   */
  completed?(client: number, sequence: number, at: number): void;
  /** PUBACK or PUBREC that refuses. */
  refused(client: number, sequence: number, reasonCode: number, at: number): void;
  /** It was sent, was not acknowledged, and will not be sent again. */
  abandoned(client: number, sequence: number, at: number): void;

  /** SUBSCRIBE is written; a filter that begins with `$share/` makes the client a member of that group. */
  subscribing(client: number, subscription: SubscribeOptions, at: number): void;
  /** SUBACK: granted QoS, or 0x80 and above for a refusal. */
  subscribed(client: number, topicFilter: string, reasonCode: number, at: number): void;
  unsubscribing(client: number, topicFilter: string, at: number): void;
  unsubscribed(client: number, topicFilter: string, at: number): void;
  /** The application of this client got a message; `reading` is only valid during the call. */
  delivered(client: number, delivery: Delivery, reading: StampReading, at: number): void;

  /** The broker is about to be killed, or died (`down`); it accepts connections again (`up`). */
  broker(state: 'down' | 'up', at: number): void;
}

/** A received message without its payload; only valid during the call. */
export interface Delivery {
  readonly topicName: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly length: number;
}

/** Whatever can go wrong with delivery; each number in a verdict. */
export type Fault =
  | 'lost' // acknowledged (QoS 1, 2) and owed to a subscription, never delivered
  | 'phantom' // delivered, never sent, or on another topic
  | 'duplicated' // QoS 2 delivered again, or QoS 0 (on one connection)
  | 'reordered' // first deliveries per publisher, topic and QoS go backwards
  | 'leaked' // delivered to who had no subscription for it, or to its own sender despite No Local
  | 'corrupted' // payload bytes changed
  | 'retained' // a new subscription got a stale value, or none where one was retained
  | 'will' // not published after an unclean end, published twice, or published after a clean end
  | 'sessionPresent' // CONNACK says otherwise than what the client was promised
  | 'late'; // delivered after checker.lateAfterSeconds though taker and broker were there

export const faults: readonly Fault[] = [
  'lost',
  'phantom',
  'duplicated',
  'reordered',
  'leaked',
  'corrupted',
  'retained',
  'will',
  'sessionPresent',
  'late',
];

/** Numbers by QoS of the publisher, index 0 to 2. */
export type ByQos = [number, number, number];

/** What a checker found so far, or at the end. */
export interface Verdict {
  /** Faults in all, by the QoS the message was published with, and by class of the client they happened to. */
  readonly faults: Readonly<Record<Fault, { total: number; byQos: ByQos; byClass: Record<string, number> }>>;
  readonly counts: {
    /** Messages, wills that fell due included. */
    readonly sent: ByQos;
    readonly acknowledged: ByQos;
    readonly refused: ByQos;
    readonly abandoned: ByQos;
    /** Deliveries to applications, all of them. */
    readonly delivered: ByQos;
    /** Deliveries that had to come (each taker of a message counts). */
    readonly owed: ByQos;
    /** Owed and not there yet. */
    readonly outstanding: ByQos;
    /** QoS 0 messages that did not arrive; no fault where a connection or the broker ended meanwhile (`excused`). */
    readonly missedQos0: { readonly unexcused: number; readonly excused: number };
    /** QoS 1 messages delivered again, as QoS 1 allows; `withoutDup` of them not flagged as such. */
    readonly repeated: { readonly total: number; readonly withoutDup: number };
    /** Deliveries of earlier or neighbouring runs and of others; not judged. */
    readonly foreign: number;
    readonly willsDue: number;
    readonly retainedChecked: number;
    readonly sessionsResumed: number;
    readonly brokerRestarts: number;
  };
  /** The first of each fault, told so that a person can look into it; at most 20 each. */
  readonly examples: readonly { readonly fault: Fault; readonly at: number; readonly text: string }[];
}
