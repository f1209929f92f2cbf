/** A message as its publisher sent it; payloads are all different, apart from empty ones of topics nobody subscribes to. */
export interface SentMessage {
  publisher: string;
  /** Counts up per publisher. */
  sequence: number;
  topicName: string;
  qos: 1 | 2;
  retain: boolean;
  payload: string;
  /** A will is sent with CONNECT, and acknowledged by an unclean end of the connection. */
  isWill?: boolean;
}

/** A message as an application got it. */
export interface ReceivedMessage {
  topicName: string;
  qos: number;
  dup: boolean;
  payload: string;
}

/** One receipt of a message, on the checker's logical clock. */
export interface Delivery {
  at: number;
  receiver: string;
  qos: number;
  dup: boolean;
}

/** Everything known of one message, on the checker's logical clock. */
export interface MessageRecord {
  message: SentMessage;
  sentAt: number;
  /** When the publisher saw PUBACK or PUBREC; Infinity for never. */
  acknowledgedAt: number;
  /** Whether it must not be delivered to anyone. */
  isForbidden: boolean;
  /** By taker. */
  deliveries: Map<string, Delivery[]>;
}

/** One subscription from being asked for to being gone, on the checker's logical clock; Infinity for not yet. */
export interface SubscriptionRecord {
  topicFilter: string;
  qos: 1 | 2;
  askedAt: number;
  grantedAt: number;
  leavingAt: number;
  goneAt: number;
}

/** Who is owed one copy of each message: a session, or a shared subscription with all its members. */
export interface TakerRecord {
  name: string;
  isGroup: boolean;
  subscriptions: SubscriptionRecord[];
}

/** The faults that are counted; each count has to be 0. */
export const FAULTS = [
  /** Acknowledged, matched by a subscription acknowledged before it was sent, never delivered. */
  'lost',
  /** Delivered once more with QoS 2, to a session or to a whole group. */
  'duplicate',
  /** First deliveries of one publisher, topic and QoS to one receiver go backwards. */
  'reordered',
  /** Delivered, never sent: unknown bytes, or on another topic. */
  'phantom',
  /** Delivered with another QoS than the lower of the publisher's and the subscription's. */
  'wrong-qos',
  /** Delivered without a subscription. */
  'leak',
  /** Delivered though its publisher took it back: the will of a connection that ended cleanly. */
  'uncalled',
  /** Session Present is not what it has to be. */
  'session-present',
  /** A retained value is neither the last acknowledged one nor a later one. */
  'retained',
  /** Something that has to happen did not, or the other side broke the protocol. */
  'liveness',
] as const;

/** One of the faults that are counted. */
export type Fault = (typeof FAULTS)[number];

/** A fault with all that is known of what it happened to. */
export interface Violation {
  fault: Fault;
  text: string;
}

/** What came of a run. */
export interface Verdict {
  faults: Record<Fault, number>;
  violations: Violation[];
  sent: number;
  acknowledged: number;
  /** First deliveries, of all takers. */
  delivered: number;
  /** Further deliveries with QoS 1, which that allows. */
  repeated: number;
  wills: number;
}
