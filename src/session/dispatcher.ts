import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { SubscriptionTaker, takerList } from '../router/taker.ts';
import type { ForwardedMessage } from '../store/shared-store.ts';
import type { SessionContext } from './context.ts';
import type { Neighbours } from './neighbours.ts';
import { effectiveQos } from './queue-entry.ts';
import type { SessionRegistry } from './registry.ts';
import type { RetainedMessages } from './retained-messages.ts';
import type { Session } from './session.ts';
import type { ShareGroup } from './share-group.ts';

/** Topics of the broker itself: each node has its own. */
const NODE_TOPICS = '$SYS/';
const NO_SHARES: readonly string[] = [];

/** Brings a message to everyone who should get it, sections 3.3.4 and 4.8. */
export class Dispatcher {
  readonly #context: SessionContext;
  readonly #registry: SessionRegistry;
  readonly #retained: RetainedMessages;

  constructor(context: SessionContext, registry: SessionRegistry, retained: RetainedMessages) {
    this.#context = context;
    this.#registry = registry;
    this.#retained = retained;
  }

  /**
   * Delivers one message. What it added to the write path must be durable before it is acknowledged.
   * @returns `success`, `noMatchingSubscribers`, or `quotaExceeded` when it was refused whole: no room in the store, in
   * a queue (policy `refuse`), or among the retained messages.
   */
  publish(message: Message): ReasonCode {
    const { books } = this.#context;
    if (message.retain && !this.#retained.hasRoomFor(message)) {
      books.retainedRefused += 1;
      // A QoS 0 publisher cannot be told: its message still reaches those who listen now.
      if (message.qos > 0) return this.#refuse();
    } else if (message.retain) {
      if (this.#context.writePath.full && message.qos > 0) return this.#refuse();
      if (this.#wouldOverflow(message)) return this.#refuse();
      this.#retained.put(message);
    }
    if (!message.retain && message.qos > 0 && this.#wouldOverflow(message)) return this.#refuse();
    books.received += 1;
    const neighbours = this.#neighboursFor(message);
    const isTaken = neighbours === undefined ? this.#deliver(message) : this.#deliverEverywhere(message, neighbours);
    if (isTaken) return ReasonCode.success;
    books.withoutTaker += 1;
    return ReasonCode.noMatchingSubscribers;
  }

  #refuse(): ReasonCode {
    this.#context.books.refused += 1;
    return ReasonCode.quotaExceeded;
  }

  /** The other nodes, where the message may concern them. */
  #neighboursFor(message: Message): Neighbours | undefined {
    const { neighbours } = this.#context;
    return neighbours === undefined || message.topicName.startsWith(NODE_TOPICS) ? undefined : neighbours;
  }

  /** @returns whether anyone takes it. */
  #deliver(message: Message): boolean {
    const registry = this.#registry;
    let count = this.#deliverToSubscribers(message);
    if (registry.groupCount > 0) {
      const groups = takerList(registry.groupSubscriptions.match(message.topicName));
      for (const { subscriber } of groups) subscriber.deliver(message); // section 4.8.2: one of each group
      count += groups.length;
    }
    return count > 0;
  }

  /**
   * Delivers here, and has the rest brought to the other nodes. With QoS 1 and 2 also where they seem to have no taker:
   * that is looked at again when the batch is applied.
   * @returns whether anyone takes it, by what is known now.
   */
  #deliverEverywhere(message: Message, neighbours: Neighbours): boolean {
    const { view } = neighbours;
    const count = this.#deliverToSubscribers(message);
    const servedShares = this.#deliverToParts(message, neighbours);
    const goesElsewhere = neighbours.hasTakers(message, servedShares);
    if (message.qos > 0 || goesElsewhere) this.#route(message, view, servedShares);
    return goesElsewhere || count > 0 || servedShares.length > 0;
  }

  #route(message: Message, view: number, servedShares: readonly string[]): void {
    const { writePath, keep } = this.#context;
    // Nothing holds back those who publish with QoS 0 for long: memory is bounded, and room left for what frees some.
    if (message.qos === 0 && (writePath.full || writePath.overfull)) {
      this.giveUp(message);
      return;
    }
    keep(message);
    writePath.addMessage({ kind: 'route', message, view, servedShares }, message);
  }

  /** A message could not be brought to other nodes: who published it with QoS 0 cannot be told, so that it is booked. */
  giveUp(message: Message): void {
    if (message.qos > 0) return;
    const { books } = this.#context;
    books.owed += 1;
    books.drop(message.publisherId, message.topicName, 'store-full');
  }

  /** Delivers to the parts here of shared subscriptions that are chosen to get it. @returns their share keys. */
  #deliverToParts(message: Message, neighbours: Neighbours): readonly string[] {
    const registry = this.#registry;
    if (registry.groupCount === 0) return NO_SHARES;
    let served: string[] | undefined;
    for (const { subscriber } of takerList(registry.groupSubscriptions.match(message.topicName))) {
      if (!this.#isServedHere(subscriber, neighbours)) continue;
      subscriber.deliver(message);
      served ??= [];
      served.push(subscriber.shareKey);
    }
    return served ?? NO_SHARES;
  }

  /** Chooses between the part here and those elsewhere: they take turns, each as often as it has connected members. */
  #isServedHere(part: ShareGroup, neighbours: Neighbours): boolean {
    const { shareKey, online } = part;
    const elsewhere = neighbours.onlineElsewhere(shareKey) ?? 0;
    if (elsewhere === 0) return true;
    part.turn += online;
    if (part.turn < online + elsewhere) return false;
    part.turn %= online + elsewhere;
    return online > 0;
  }

  /**
   * Delivers messages of other nodes to those here who get nothing posted: takers that are no stored sessions, stored ones
   * that get it with QoS 0, and the parts here of the shared subscriptions named.
   */
  forward(messages: readonly ForwardedMessage[]): void {
    for (const { message, shareKeys } of messages) {
      const takers = takerList(this.#registry.subscriptions.match(message.topicName));
      message.isShared = takers.length > 1;
      for (const taker of takers) forwardTo(taker, message);
      for (const shareKey of shareKeys) this.#forwardToPart(shareKey, message);
    }
  }

  /** Delivers messages to sessions that came to this node after these had been dispatched. */
  deliverLate(messages: readonly Message[], clientIds: ReadonlySet<string>): void {
    for (const message of messages) {
      const takers = takerList(this.#registry.subscriptions.match(message.topicName));
      const late = takers.filter(({ subscriber }) => clientIds.has(subscriber.clientId));
      message.isShared = late.length > 1;
      for (const taker of late) deliverTo(taker, message);
    }
  }

  #forwardToPart(shareKey: string, message: Message): void {
    const group = this.#registry.group(shareKey);
    if (group !== undefined) {
      group.deliver(message);
      return;
    }
    const { books } = this.#context;
    books.owed += 1;
    books.drop(shareKey, message.topicName, 'offline');
  }

  /** @returns how many there are. */
  #deliverToSubscribers(message: Message): number {
    const takers = this.#registry.subscriptions.match(message.topicName);
    let count = 0;
    if (takers instanceof SubscriptionTaker) {
      message.isShared = false;
      count = deliverTo(takers, message);
    } else {
      message.isShared = takers.length > 1;
      for (let i = 0; i < takers.length; i++) count += deliverTo(takers[i]!, message);
    }
    return count;
  }

  /** Whether a QoS 1 or 2 message cannot be promised to a taker; looked at only where it may be so. */
  #wouldOverflow(message: Message): boolean {
    if (message.qos === 0) return false;
    const { writePath, settings } = this.#context;
    const refusesFull = settings.queuePolicy === 'refuse';
    if (!writePath.full && !refusesFull) return false;
    if (writePath.full && this.#neighboursFor(message)?.hasTakers(message, NO_SHARES) === true) return true;
    const { size } = message;
    for (const { subscriber, qos } of takerList(this.#registry.subscriptions.match(message.topicName))) {
      if (qos === 0) continue;
      if (writePath.full && subscriber.durable) return true;
      if (refusesFull && !subscriber.canSend && subscriber.queue.isFullFor(size)) return true;
    }
    for (const { subscriber } of takerList(this.#registry.groupSubscriptions.match(message.topicName))) {
      if (writePath.full && subscriber.durable) return true;
      if (refusesFull && subscriber.queue.isFullFor(size)) return true;
    }
    return false;
  }
}

/** Delivers to one taker. @returns 1, or 0 where it is the publisher and wants none of its own. */
function deliverTo(taker: SubscriptionTaker<Session>, message: Message): number {
  const own = takerFor(taker, message);
  if (own === undefined) return 0;
  deliverAs(own, message);
  return 1;
}

/** Delivers a message of another node to one taker, unless that has it posted. */
function forwardTo(taker: SubscriptionTaker<Session>, message: Message): void {
  const own = takerFor(taker, message);
  if (own === undefined || (own.subscriber.stored && effectiveQos(message, own.qos) > 0)) return;
  deliverAs(own, message);
}

/** What counts of the taker for this message; undefined for nothing. */
function takerFor(taker: SubscriptionTaker<Session>, message: Message): SubscriptionTaker<Session> | undefined {
  const isOwn = taker.forPublisher !== taker && taker.subscriber.clientId === message.publisherId;
  return isOwn ? taker.forPublisher : taker; // [MQTT-3.8.3-3] No Local
}

function deliverAs(taker: SubscriptionTaker<Session>, message: Message): void {
  const { subscriber } = taker;
  subscriber.deliver(message, taker, message.retain && taker.retainAsPublished); // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
}
