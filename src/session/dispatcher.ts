import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { SubscriptionTaker, takerList } from '../router/taker.ts';
import type { SessionContext } from './context.ts';
import type { SessionRegistry } from './registry.ts';
import type { RetainedMessages } from './retained-messages.ts';
import type { Session } from './session.ts';

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
      // A QoS 0 publisher cannot be told: its message still reaches those who listen now.
      if (message.qos > 0) return this.#refuse();
    } else if (message.retain) {
      if (this.#context.writePath.full && message.qos > 0) return this.#refuse();
      if (this.#wouldOverflow(message)) return this.#refuse();
      this.#retained.put(message);
    }
    if (!message.retain && message.qos > 0 && this.#wouldOverflow(message)) return this.#refuse();
    books.received += 1;
    const takers = this.#deliver(message);
    if (takers > 0) return ReasonCode.success;
    books.withoutTaker += 1;
    return ReasonCode.noMatchingSubscribers;
  }

  #refuse(): ReasonCode {
    this.#context.books.refused += 1;
    return ReasonCode.quotaExceeded;
  }

  #deliver(message: Message): number {
    const registry = this.#registry;
    const takers = registry.subscriptions.match(message.topicName);
    let count = 0;
    if (takers instanceof SubscriptionTaker) {
      message.isShared = false;
      count = deliverTo(takers, message);
    } else {
      message.isShared = takers.length > 1;
      for (let i = 0; i < takers.length; i++) count += deliverTo(takers[i]!, message);
    }
    if (registry.groupCount > 0) {
      const groups = takerList(registry.groupSubscriptions.match(message.topicName));
      for (const { subscriber } of groups) subscriber.deliver(message); // section 4.8.2: one of each group
      count += groups.length;
    }
    return count;
  }

  /** Whether a QoS 1 or 2 message cannot be promised to a taker; looked at only where it may be so. */
  #wouldOverflow(message: Message): boolean {
    if (message.qos === 0) return false;
    const { writePath, settings } = this.#context;
    const refusesFull = settings.queuePolicy === 'refuse';
    if (!writePath.full && !refusesFull) return false;
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
  let own = taker;
  if (taker.forPublisher !== taker && taker.subscriber.clientId === message.publisherId) {
    if (taker.forPublisher === undefined) return 0; // [MQTT-3.8.3-3] No Local
    own = taker.forPublisher;
  }
  own.subscriber.deliver(message, own, message.retain && own.retainAsPublished); // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
  return 1;
}
