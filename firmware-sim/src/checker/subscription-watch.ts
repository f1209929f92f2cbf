import type { SubscribeOptions } from '../client/client.ts';
import type { Ledger } from './ledger.ts';
import type { MessageWatch } from './message-watch.ts';
import type { RetainedWatch } from './retained-watch.ts';
import { type ClientRecord, Group, type Session, Subscription } from './takers.ts';
import { sharedFilter } from './topic-filter.ts';

/** Memberships that a client has left, kept for what was on its way. */
const leftMax = 8;

/** Follows subscriptions from SUBSCRIBE to UNSUBACK, or to the end of their session. */
export class SubscriptionWatch {
  readonly #ledger: Ledger;
  readonly #messages: MessageWatch;
  readonly #retained: RetainedWatch;
  readonly #groups: Map<string, Group> = new Map();
  #lastId = 0;

  constructor(ledger: Ledger, watches: { messages: MessageWatch; retained: RetainedWatch }) {
    this.#ledger = ledger;
    this.#messages = watches.messages;
    this.#retained = watches.retained;
  }

  subscribing(session: Session, asked: SubscribeOptions): void {
    const known = session.subscriptions.get(asked.topicFilter);
    if (known === undefined) {
      this.#retained.asked(this.#create(session, asked), session.isInherited ? undefined : true);
      return;
    }
    const wasSure = known.isSure;
    known.asked = asked;
    known.askedAt = this.#ledger.at;
    known.unanswered++;
    known.qos = Math.min(known.qos, asked.qos) as 0 | 1 | 2;
    if (known.noLocal !== (asked.noLocal === true ? 'yes' : 'no')) known.noLocal = 'maybe';
    if (asked.retainAsPublished === true) known.retainAsPublished = true;
    if (known.leavingTick !== Number.POSITIVE_INFINITY) {
      this.#retained.waive(known);
      known.leavingTick = Number.POSITIVE_INFINITY;
      known.grantedTick = Number.POSITIVE_INFINITY;
    }
    this.#changed(known);
    this.#messages.leaving(known);
    this.#retained.asked(known, wasSure ? false : undefined);
  }

  subscribed(session: Session, topicFilter: string, reasonCode: number): void {
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return;
    const { tick, at } = this.#ledger;
    subscription.unanswered = Math.max(0, subscription.unanswered - 1);
    this.#retained.answered(subscription, reasonCode < 0x80);
    if (reasonCode >= 0x80) {
      if (subscription.grantedTick === Number.POSITIVE_INFINITY && subscription.unanswered === 0)
        this.#gone(subscription);
      else subscription.grantedTick = Number.POSITIVE_INFINITY;
      this.#changed(subscription);
      return;
    }
    const { asked, unanswered } = subscription;
    const granted = reasonCode === 2 ? 2 : reasonCode === 1 ? 1 : 0;
    if (granted < subscription.qos || unanswered === 0) {
      if (granted > subscription.qos) {
        subscription.qosBefore = subscription.qos;
        subscription.qosTick = tick;
      }
      subscription.qos = granted;
    }
    if (unanswered === 0) {
      const noLocal = asked.noLocal === true ? 'yes' : 'no';
      if (noLocal !== subscription.noLocal) subscription.localTick = tick;
      subscription.noLocal = noLocal;
    }
    if (subscription.grantedTick === Number.POSITIVE_INFINITY) {
      subscription.grantedTick = tick;
      subscription.grantedAt = at;
      if (subscription.taker instanceof Group) subscription.taker.churn(tick, at);
    }
    this.#changed(subscription);
  }

  unsubscribing(session: Session, topicFilter: string): void {
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return;
    const { tick, at } = this.#ledger;
    subscription.leavingTick = Math.min(subscription.leavingTick, tick);
    subscription.unansweredLeaves++;
    if (subscription.taker instanceof Group) {
      subscription.taker.departedAt = at;
      subscription.taker.churn(tick, at);
    }
    this.#changed(subscription);
    this.#messages.leaving(subscription);
  }

  unsubscribed(session: Session, topicFilter: string): void {
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return;
    subscription.unansweredLeaves = Math.max(0, subscription.unansweredLeaves - 1);
    // Asked for again since: what was answered is the UNSUBSCRIBE before.
    if (subscription.leavingTick === Number.POSITIVE_INFINITY || subscription.unansweredLeaves > 0) return;
    this.#retained.left(subscription);
    this.#gone(subscription);
  }

  /** The connection is gone: no answer will come any more. @param expiresAt when the session may expire, ms. */
  connectionEnded(session: Session, expiresAt: number): void {
    session.isUp = false;
    session.expiresAt = expiresAt;
    this.#messages.connectionEnded(session);
    this.#retained.connectionEnded(session);
    for (const subscription of session.subscriptions.values()) {
      subscription.unanswered = 0;
      subscription.unansweredLeaves = 0;
    }
    this.#churn(session.client);
  }

  connected(session: Session): void {
    session.isUp = true;
    session.expiresAt = Number.POSITIVE_INFINITY;
    session.connectedTick = this.#ledger.tick;
    session.connectedAt = this.#ledger.at;
    for (const { told } of session.client.memberships) {
      this.#groups.get(told)?.exorcise(session.client, this.#ledger.at);
    }
    this.#churn(session.client);
  }

  /**
   * The session is no more: nothing is owed to it, and its subscriptions are gone.
   * @param noticedAt when the broker knows at the latest, ms.
   */
  sessionEnded(session: Session, noticedAt = 0): void {
    if (session.isEnded) return;
    this.#retained.sessionEnded(session);
    session.isUp = false;
    for (const subscription of session.subscriptions.values()) {
      const { taker } = subscription;
      if (taker instanceof Group) {
        taker.departedAt = this.#ledger.at;
        if (noticedAt > 0) taker.ghosts.set(session.client, { untilAt: noticedAt, qos: subscription.qos });
      }
      this.#gone(subscription);
    }
    this.#ledger.endTaker(session);
  }

  /** The broker may have lost the session: what was owed is owed still, but nothing new before it is asked for again. */
  doubt(session: Session): void {
    for (const subscription of session.subscriptions.values()) {
      subscription.grantedTick = Number.POSITIVE_INFINITY;
      this.#changed(subscription);
      if (subscription.taker instanceof Group) subscription.taker.departedAt = this.#ledger.at;
    }
  }

  #create(session: Session, asked: SubscribeOptions): Subscription {
    const { client } = session;
    const shared = sharedFilter(asked.topicFilter);
    const matches = shared?.topicFilter ?? asked.topicFilter;
    const taker = shared === undefined ? session : this.#group(asked.topicFilter);
    const subscription = new Subscription(++this.#lastId, { client, taker }, { ...asked, matches }, this.#ledger);
    session.subscriptions.set(asked.topicFilter, subscription);
    if (taker instanceof Group) {
      taker.members.set(client, subscription);
      const isLeft = ({ goneTick }: Subscription): boolean => goneTick !== Number.POSITIVE_INFINITY;
      const left = client.memberships.filter(isLeft).slice(-leftMax);
      client.memberships = [...left, ...client.memberships.filter((one) => !isLeft(one)), subscription];
      taker.churn(this.#ledger.tick, this.#ledger.at);
    }
    this.#ledger.topics.add(subscription);
    return subscription;
  }

  #group(told: string): Group {
    let group = this.#groups.get(told);
    if (group === undefined || group.isEnded) {
      group = new Group(told, group?.ghosts ?? new Map());
      this.#groups.set(told, group);
    }
    return group;
  }

  #gone(subscription: Subscription): void {
    const { tick, at, topics } = this.#ledger;
    const { client, taker } = subscription;
    subscription.leavingTick = Math.min(subscription.leavingTick, tick);
    subscription.goneTick = tick;
    subscription.version++;
    topics.remove(subscription);
    client.session?.retire(subscription);
    if (!(taker instanceof Group)) return;
    taker.members.delete(client);
    taker.churn(tick, at);
    if (taker.members.size > 0) return;
    if (taker.ghosts.size === 0) this.#groups.delete(taker.told);
    this.#ledger.endTaker(taker);
  }

  #changed(subscription: Subscription): void {
    subscription.version++;
    this.#ledger.topics.changed(subscription);
    if (subscription.taker instanceof Group) subscription.taker.review(this.#ledger.tick, this.#ledger.at);
  }

  #churn({ memberships }: ClientRecord): void {
    for (const { taker, goneTick } of memberships) {
      if (taker instanceof Group && goneTick === Number.POSITIVE_INFINITY)
        taker.churn(this.#ledger.tick, this.#ledger.at);
    }
  }
}
