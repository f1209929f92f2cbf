import type { Message } from '../protocol/message.ts';
import type { Mutation, PostedMessage, Store, StoredState, SubscriptionRecord } from './store.ts';
import type { TopologyChange } from './topology-change.ts';

/** A message to be brought to the takers on other nodes, see the mutation `route`. */
export type RouteMutation = Extract<Mutation, { kind: 'route' }>;

/** A posted message with its number: it counts up by one in each queue, from 1. */
export interface MailboxMessage extends PostedMessage {
  readonly number: number;
}

/** What was posted for a queue and not taken yet. */
export interface Mailbox {
  readonly queueId: number;
  /** Number of the last message that was posted, taken or not. */
  readonly lastNumber: number;
  readonly messages: readonly MailboxMessage[];
}

/** What this node takes care of from now on: at start, of a session that comes here, of a node that is gone. */
export type OwnedState = Omit<StoredState, 'retained' | 'firstQueueId'>;

/** The same with what other nodes posted for it. */
export interface AdoptedState extends OwnedState {
  /** Of the queues of its sessions and groups, where anything was ever posted. */
  readonly mailboxes: readonly Mailbox[];
}

/** One message of another node for takers here that are no stored sessions, or get it with QoS 0. */
export interface ForwardedMessage {
  readonly message: Message;
  /** Keys of the shared subscriptions whose part here is to get it. */
  readonly shareKeys: readonly string[];
}

/** Where a message has to go beside the takers of this node. */
export interface MessageRoute {
  /** Queues to post it for. */
  readonly posts: readonly Omit<PostedMessage, 'message'>[];
  /** Nodes that are sent the message itself, each once, and the shared subscriptions it is for there. */
  readonly nodes: readonly { readonly nodeId: string; readonly shareKeys: readonly string[] }[];
}

/** A client id that another node wants to have. */
export interface WantedClient {
  readonly clientId: string;
  /** The node that wants it, and for which user. */
  readonly nodeId: string;
  readonly username: string;
  /** The tenure of the owner that is asked: in a later one the question is out of date. */
  readonly tenure: number;
}

/** A client id that is this node's now. */
export interface Claim {
  /** Another one each time that a client id gets an owner. */
  readonly tenure: number;
  /** What is stored of its session, which may be nothing. */
  readonly state: OwnedState;
}

/** Who takes messages where, as of a version of the topology: what a shared store asks and tells its node. */
export interface Topology {
  /** Version of what it knows. */
  readonly version: number;
  /** Nodes that are there, this one included. */
  readonly nodeIds: Iterable<string>;
  /** Where a message has to go by what is known now. Asked when the batch is sent, and again when that was too late. */
  routeOf(mutation: RouteMutation): MessageRoute;
  /** The queue for a message that goes from a part of a shared subscription to another: as it says, or another if that has gone. */
  redirect(post: PostedMessage): number;
  /** Whether the subscription of a stored session of this node is known as it is: then it need not be told. */
  knows(clientId: string, queueId: number, record: SubscriptionRecord): boolean;
  /** Takes over the changes of the next version. */
  apply(changes: readonly TopologyChange[], version: number): void;
  /** Replaces all that is known. */
  load(changes: readonly TopologyChange[], version: number): void;
}

/** What a shared store tells its node; all calls come in the order of the store. */
export interface NodeEvents {
  /** Messages for queues of this node; one may come twice, or for a queue it does not have any more. */
  onPosted(messages: readonly MailboxMessage[]): void;
  onForwarded(messages: readonly ForwardedMessage[]): void;
  /** The retained message of a topic, of this node or another; undefined for none any more. */
  onRetained(topicName: string, message: Message | undefined): void;
  /** Another node wants to have a client id of this one: it is handed over with `session-move`, or refused. */
  onWanted(wanted: WantedClient): void;
  /**
   * This node takes care of what another one had, which is gone or gave it away. Until this resolves no word comes of a
   * client id that another node wants.
   * @param wasClaimed whether a client id was claimed here since the state was read: then it is out of date.
   */
  onAdopted(state: OwnedState, wasClaimed: (clientId: string) => boolean): Promise<void>;
  /** So many QoS 0 messages were not sent, as the node they were for is far behind. */
  onUnsent(count: number): void;
  /** The topology has changed. */
  onTopology(): void;
}

/** Whether several nodes share a store. */
export function isShared(store: Store): store is SharedStore {
  return 'claim' in store;
}

/** A store that several nodes share, docs/decisions/0009-nodes.md. */
export interface SharedStore extends Store {
  readonly nodeId: string;
  /** Set before `open`. */
  topology: Topology | undefined;
  /** Set before `open`; called only after `listen`. */
  events: NodeEvents | undefined;
  open(): Promise<StoredState & AdoptedState>;
  /** Begins to tell what other nodes do; what happened since `open` comes first. @throws StoreError. */
  listen(): Promise<void>;
  /**
   * Makes this node the owner of a client id, which another node is asked for where it has it. Not to be called for a
   * client id that this node has, nor while a batch that lets go of it is under way.
   * @returns undefined where its owner refuses it to that user.
   */
  claim(clientId: string, username: string): Promise<Claim | undefined>;
  /** Tells a node that wants a client id that it does not get it. */
  refuse(clientId: string, nodeId: string): void;
  /** What is posted for queues now, where anything ever was. */
  readMailboxes(queueIds: readonly number[]): Promise<readonly Mailbox[]>;
  /**
   * Tells the other nodes figures of this one, which go with it, and reads theirs; asked once, whatever the store is up to.
   * @returns by the id of each node that is there what it told last, an empty text for nothing yet. @throws Error where it
   * cannot be had now.
   */
  shareFigures(figures: string): Promise<ReadonlyMap<string, string>>;
  /** Resolves once everything that other nodes did before this call has been told. */
  caughtUp(): Promise<void>;
}
