import type { Message } from '../protocol/message.ts';
import type { Qos, Will } from '../protocol/packets.ts';

/** What an acknowledgement means: see promises in README. */
export type Durability = 'durable' | 'os' | 'memory';

/**
 * User name of a session that nobody owns yet: made of what another broker kept, or opened where nobody had to prove who it
 * is. Whoever is let in with its client id first owns it. No client can have this name [MQTT-1.5.4-2].
 */
export const UNCLAIMED = '\0';

/** What is kept of a session. `queueId` keys its queue; it is never used again for another session or group. */
export interface SessionRecord {
  clientId: string;
  /** Counts up with each owner; a write under an older epoch than the stored one is refused by shared stores. */
  epoch: number;
  queueId: number;
  /** Session Expiry Interval in seconds; 0xFFFFFFFF for never. */
  sessionExpiryInterval: number;
  /** When the session expires, ms since the epoch; Infinity while connected or for never. */
  expiresAt: number;
  /** User name of the identity that opened it; empty for anonymous, or UNCLAIMED. */
  username: string;
}

/** One subscription of a session. `topicFilter` is as subscribed, `$share/...` included. */
export interface SubscriptionRecord {
  topicFilter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
  /** 0 for none. */
  subscriptionIdentifier: number;
}

/** A will waiting to be published or dropped. `publishAt` is Infinity while its connection is open. */
export interface WillRecord {
  clientId: string;
  /** User name of the identity that left it; empty for anonymous. */
  username: string;
  /** What else was proven of it, as src/auth/identity.ts writes it; left out for nothing. */
  identity?: string;
  will: Will;
  /** When to publish it, ms since the epoch. */
  publishAt: number;
}

/** Where a queued message stands: waiting, sent and not acknowledged, or QoS 2 released (PUBREC seen, PUBCOMP not). */
export type QueueState = 'waiting' | 'sent' | 'released';

/** One message in one queue (of a session, or of a shared-subscription group). */
export interface QueueRecord {
  queueId: number;
  /** Position in the queue, an integer counting up, unique within it; order of delivery. */
  sequence: number;
  message: Message;
  /** QoS it is delivered with. */
  qos: Qos;
  /** RETAIN to be sent. */
  retain: boolean;
  /** Empty for none. */
  subscriptionIdentifiers: readonly number[];
  /** 0 while `waiting`. */
  packetId: number;
  state: QueueState;
  /** Key of the group it came from (`share name/topic filter`); empty for an ordinary subscription. */
  shareKey: string;
}

/** A shared-subscription group that owns a queue. */
export interface GroupRecord {
  /** `share name/topic filter`. */
  shareKey: string;
  queueId: number;
}

/**
 * One change. All are idempotent: applying a mutation twice equals applying it once. Deleting what is not there is no
 * error. `session-delete` takes subscriptions, queue, inbound packet ids with it, but not the will.
 */
export type Mutation = LocalMutation | NodeMutation;

/** Those that every store knows. */
export type LocalMutation =
  | { kind: 'session-put'; record: SessionRecord }
  | { kind: 'session-delete'; clientId: string; epoch: number; queueId: number }
  /** `queueId`: that of the session. */
  | { kind: 'subscription-put'; clientId: string; queueId: number; record: SubscriptionRecord }
  | { kind: 'subscription-delete'; clientId: string; topicFilter: string }
  /** `online`: its members here that are connected, NO_MEMBERS or ENDING; of no account where there is one node. */
  | { kind: 'group-put'; record: GroupRecord; online: number }
  | { kind: 'group-delete'; shareKey: string; queueId: number }
  /**
   * Adds an entry, or replaces it whole; `record.message` is written once for all queues that hold it. `isAccepted`: it has
   * been somewhere else, from where this batch takes it, and its publisher knows nothing of that: it needs no room.
   */
  | { kind: 'queue-put'; record: QueueRecord; isAccepted?: boolean }
  /** Changes packetId and state of an entry that is there (no effect where it is not). */
  | { kind: 'queue-state'; queueId: number; sequence: number; packetId: number; state: QueueState }
  | { kind: 'queue-delete'; queueId: number; sequence: number }
  /** Packet id of a QoS 2 PUBLISH received from the client and not yet released. */
  | { kind: 'inbound-put'; clientId: string; packetId: number }
  | { kind: 'inbound-delete'; clientId: string; packetId: number }
  | { kind: 'will-put'; record: WillRecord }
  | { kind: 'will-delete'; clientId: string }
  | { kind: 'retained-put'; message: Message }
  | { kind: 'retained-delete'; topicName: string };

/** Changes that only a store knows which several nodes share (shared-store.ts); another one is never given them. */
export type NodeMutation =
  /**
   * Brings a message to its takers on other nodes, as they are when the batch is applied. `view` tells which sessions
   * were here when its takers here got it; `servedShares` of which shared subscriptions the part here has got it.
   */
  | { kind: 'route'; message: Message; view: number; servedShares: readonly string[] }
  /** There is a taker of this topic filter here that is not a stored session, or none any more. */
  | { kind: 'interest-put'; topicFilter: string }
  | { kind: 'interest-delete'; topicFilter: string }
  /** A message of this node's goes to another queue. */
  | { kind: 'post'; post: PostedMessage }
  /** So many messages have been taken out of the mailbox of a queue. */
  | { kind: 'posted-delete'; queueId: number; count: number }
  /** Hands a client id over to another node, with its session where it has one: 0 as its queue id for none. */
  | { kind: 'session-move'; clientId: string; queueId: number; nodeId: string }
  /** The client id is nobody's any more, where it was this node's. */
  | { kind: 'client-release'; clientId: string }
  /** Removes a retained message that has expired, unless another has taken its place. */
  | { kind: 'retained-expire'; message: Message };

const NODE_KINDS: ReadonlySet<Mutation['kind']> = new Set<NodeMutation['kind']>([
  'route',
  'interest-put',
  'interest-delete',
  'post',
  'posted-delete',
  'session-move',
  'client-release',
  'retained-expire',
]);

/** Whether only a store knows a change that nodes share. */
export function isForNodes(mutation: Mutation): mutation is NodeMutation {
  return NODE_KINDS.has(mutation.kind);
}

/** The change, in a store of one node. @throws Error for one that only a store knows that nodes share. */
export function forOneNode(mutation: Mutation): LocalMutation {
  if (isForNodes(mutation)) throw new Error(`only a store that nodes share takes ${mutation.kind}`);
  return mutation;
}

/** A message for the queue of a session, or of a node's part of a shared subscription, wherever that is. */
export interface PostedMessage {
  readonly queueId: number;
  readonly message: Message;
  /** QoS it is delivered with. */
  readonly qos: Qos;
  /** RETAIN to be sent. */
  readonly retain: boolean;
  /** Empty for none. */
  readonly subscriptionIdentifiers: readonly number[];
  /** Key of the shared subscription it is for; empty for a session. */
  readonly shareKey: string;
}

/** Summary of one queue that is not empty and belongs to a session or a group, at start: enough for limits, the entries themselves are read when needed. */
export interface QueueSummary {
  queueId: number;
  count: number;
  /** Sum of `Message.size` of its entries. */
  bytes: number;
  /** Lowest and highest sequence in it. */
  firstSequence: number;
  lastSequence: number;
}

/** Everything that is needed at start. */
export interface StoredState {
  sessions: SessionRecord[];
  subscriptions: { clientId: string; record: SubscriptionRecord }[];
  groups: GroupRecord[];
  queues: QueueSummary[];
  inbound: { clientId: string; packetId: number }[];
  wills: WillRecord[];
  retained: Message[];
  /** Queue ids from here on were never used; undefined where the highest one of `sessions` and `groups` tells. */
  firstQueueId?: number;
}

/**
 * What survives a crash. One ordered write path: batches are applied in the order of the calls to `commit`, each wholly
 * or not at all.
 */
export interface Store {
  /** What a resolved `commit` means. */
  readonly durability: Durability;
  /** Set before `open`: told when the store cannot be used any more although no commit is on its way. */
  onBroken?: (error: Error) => void;
  /**
   * Opens and checks it, and reads what is needed at start.
   * @throws StoreError with a sentence for people: in use by another process, damaged, made by a newer version, no rights.
   */
  open(): Promise<StoredState>;
  /**
   * Applies the batch atomically; resolves once it is as durable as `durability` says.
   * Rejects with StoreFullError when there was no room and nothing of this batch was applied (later batches may follow);
   * with any other error the store is broken and must not be used any more.
   */
  commit(batch: readonly Mutation[]): Promise<void>;
  /**
   * Entries of a queue with a sequence above `afterSequence`, in order, at most `limit`, at most `maxBytes` of message
   * size (but at least one). Sees every batch committed before the call.
   */
  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]>;
  /** Bytes still free for it; Infinity where unknown. Cheap enough to be asked once a second. */
  freeBytes(): number;
  /** Waits for running commits and releases everything. */
  close(): Promise<void>;
}

/** The store cannot be used; the message is a sentence for people that says what to do. */
export class StoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
  }
}

/** There was no room for a batch and nothing of it was applied. */
export class StoreFullError extends StoreError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreFullError';
  }
}
