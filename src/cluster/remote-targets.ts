import type { Message } from '../protocol/message.ts';
import type { Qos } from '../protocol/packets.ts';
import type { SubscriptionTaker } from '../router/taker.ts';
import type { StoredSession } from './stored-session.ts';

/** One entry to put into the queue of a stored session that another node takes care of. */
export interface RemoteEntry {
  readonly queueId: number;
  /** The node that takes care of the session. */
  readonly nodeId: string;
  /** QoS it is delivered with. */
  readonly qos: 1 | 2;
  /** RETAIN to be sent. */
  readonly retain: boolean;
  /** Empty for none. */
  readonly subscriptionIdentifiers: readonly number[];
}

/** The part another node has of a shared subscription. */
export interface RemoteSharePart {
  readonly nodeId: string;
  /** The queue of that part. */
  readonly queueId: number;
  /** Members there that are connected. */
  readonly online: number;
  /** It has no member at all, and stands in until there is another part. */
  readonly isOrphan: boolean;
}

/** The parts that other nodes have of one shared subscription; at least one. */
export interface RemoteShare {
  /** `share name/topic filter`. */
  readonly shareKey: string;
  readonly parts: readonly RemoteSharePart[];
}

/** Where a message has to go beside the takers of this node. Never changed once given out. */
export interface RemoteTargets {
  /** In overlap `per-subscription` a queue may have several. */
  readonly entries: readonly RemoteEntry[];
  /** Nodes that are sent the message itself: those with routes that match, or with stored sessions that get it with QoS 0; each once. */
  readonly nodes: readonly string[];
  /** Every shared subscription that matches and of which other nodes have parts; one part of it, there or here, gets the message. */
  readonly shares: readonly RemoteShare[];
}

const NO_ENTRIES: readonly RemoteEntry[] = [];

/** No targets at all: whatever has none is this object. */
export const NO_TARGETS: RemoteTargets = Object.freeze({ entries: NO_ENTRIES, nodes: [], shares: [] });

/** What was found for one topic name: the targets of every message on it. */
export class TopicMatch {
  readonly #takers: readonly SubscriptionTaker<StoredSession>[];
  readonly #routes: readonly string[];
  readonly #shares: readonly RemoteShare[];
  /** Above it, the QoS of a message makes no difference. */
  readonly #qosMax: Qos;
  /** Whether RETAIN of a message makes a difference. */
  readonly #retains: boolean;
  /** Client ids of takers to whom it makes a difference that they are the publisher. */
  readonly #noLocal: ReadonlySet<string> | undefined;
  /** Targets by QoS and RETAIN, made when they are needed first. */
  readonly #targets: (RemoteTargets | undefined)[] = [];

  /**
   * @param takers subscriptions of stored sessions of other nodes.
   * @param routes ids of nodes with routes that match, each once.
   */
  constructor(
    takers: readonly SubscriptionTaker<StoredSession>[],
    routes: readonly string[],
    shares: readonly RemoteShare[],
  ) {
    this.#takers = takers;
    this.#routes = routes;
    this.#shares = shares;
    let qosMax: Qos = 0;
    let retains = false;
    let noLocal: Set<string> | undefined;
    for (const taker of takers) {
      if (taker.qos > qosMax) qosMax = taker.qos;
      if (taker.retainAsPublished) retains = true;
      if (taker.forPublisher !== taker) {
        noLocal ??= new Set();
        noLocal.add(taker.subscriber.clientId);
      }
    }
    this.#qosMax = qosMax;
    this.#retains = retains;
    this.#noLocal = noLocal;
  }

  /** How much it holds, for a cache. */
  get length(): number {
    return this.#takers.length + this.#routes.length + this.#shares.length;
  }

  /** The targets of a message on the topic name. */
  targetsOf(message: Message): RemoteTargets {
    const qos = message.qos < this.#qosMax ? message.qos : this.#qosMax;
    const retain = message.retain && this.#retains;
    if (this.#noLocal?.has(message.publisherId) === true) return this.#targetsFor(qos, retain, message.publisherId);
    const index = retain ? qos + 3 : qos;
    const known = this.#targets[index];
    if (known !== undefined) return known;
    const targets = this.#targetsFor(qos, retain, '');
    this.#targets[index] = targets;
    return targets;
  }

  #targetsFor(messageQos: Qos, retain: boolean, publisherId: string): RemoteTargets {
    const entries: RemoteEntry[] = [];
    const nodes = [...this.#routes];
    for (const taker of this.#takers) {
      const session = taker.subscriber;
      const own = session.clientId === publisherId ? taker.forPublisher : taker;
      if (own === undefined) continue; // [MQTT-3.8.3-3] No Local
      const { nodeId } = session.node;
      const qos = messageQos < own.qos ? messageQos : own.qos; // [MQTT-3.8.4-8]
      if (qos !== 0) {
        entries.push({
          queueId: session.queueId,
          nodeId,
          qos,
          retain: retain && own.retainAsPublished, // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
          subscriptionIdentifiers: own.subscriptionIdentifiers,
        });
      } else if (!nodes.includes(nodeId)) {
        nodes.push(nodeId); // there are few nodes
      }
    }
    if (entries.length === 0 && nodes.length === 0 && this.#shares.length === 0) return NO_TARGETS;
    return { entries: entries.length === 0 ? NO_ENTRIES : entries, nodes, shares: this.#shares };
  }
}
