import { DeliveryJudge } from './delivery-judge.ts';
import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import { isThere, isWaived, presentSince, representative, routedBy, sureSince } from './obligations.ts';
import { RecordKeeper } from './record-keeper.ts';
import { copiesAllowed, found, TakerFinder } from './taker-finder.ts';
import type { ClientRecord, Session, Subscription } from './takers.ts';
import type { Row, Slot } from './topics.ts';
import type { WillState } from './will-watch.ts';
import type { Delivery, SentMessage } from './witness.ts';

/** How long a QoS 0 message may take before it counts as missed, ms. */
const missedAfterMs = 10_000;

/** Brokers count message expiry in seconds, and may be one ahead. */
const expiryMarginMs = 1000;

/** Follows every message from being sent to being with everybody who is owed it. */
export class MessageWatch {
  readonly finder: TakerFinder;
  readonly judge: DeliveryJudge;
  readonly #ledger: Ledger;
  readonly #keeper = new RecordKeeper();
  /** Owed to somebody while the broker may not have routed them: QoS 2 before PUBCOMP, and wills just due. */
  readonly #incomplete: Set<MessageRecord> = new Set();

  constructor(ledger: Ledger, lateAfterSeconds: number) {
    this.#ledger = ledger;
    this.judge = new DeliveryJudge(ledger, lateAfterSeconds);
    this.finder = new TakerFinder(ledger);
  }

  // ---- publishers

  sent(client: ClientRecord, message: SentMessage): MessageRecord {
    const { tally, topics } = this.#ledger;
    const { sequence, qos } = message;
    tally.sent[qos]++;
    const row = topics.rowOf(client, message.topicName, qos);
    if (sequence > row.lastSent) row.lastSent = sequence;
    const record = this.begin(row, message);
    if (qos > 0) return record;
    record.state = 'open';
    this.owe(record);
    return record;
  }

  /** A record of a message that is going to be sent, or a will. */
  begin(row: Row, message: SentMessage): MessageRecord {
    const { topics, tick, at } = this.#ledger;
    const record = this.#keeper.take();
    record.begin(row, message.sequence, topics.takers(row.topic));
    record.retain = message.retain;
    record.isEmpty = message.isEmpty;
    record.sentTick = record.earliestTick = tick;
    record.sentAt = at;
    const { expirySeconds } = message;
    if (expirySeconds !== undefined) record.expiresAt = at + expirySeconds * 1000 - expiryMarginMs;
    row.client.open.set(message.sequence, record);
    return record;
  }

  acknowledged(record: MessageRecord): void {
    const { tally, tick, at } = this.#ledger;
    tally.acknowledged[record.qos]++;
    record.ackTick = tick;
    record.ackAt = at;
    record.state = 'open';
    if (record.qos === 1) {
      record.completeTick = tick;
      record.completeAt = at;
    }
    this.owe(record);
  }

  /** Takes the takers that there are now; who has it already still has it. */
  relist(record: MessageRecord): void {
    const { extras } = record;
    record.relist(this.#ledger.topics.takers(record.row.topic));
    for (const [session, copies] of extras ?? []) {
      for (let left = copies; left > 0; left--) {
        const place = this.finder.placeWithRoom(record, session.client, record.qos);
        if (place !== -1) record.markHad(place);
      }
    }
  }

  /** PUBCOMP came. */
  completed(record: MessageRecord): void {
    if (record.completeTick !== Number.POSITIVE_INFINITY) return;
    record.completeTick = this.#ledger.tick;
    record.completeAt = this.#ledger.at;
    this.#incomplete.delete(record);
  }

  /** Refused, given up, or taken back: nobody is owed it any more, and whoever gets it gets it. */
  letGo(record: MessageRecord): void {
    const { slots } = record.list;
    for (let place = 0; record.left > 0 && place < slots.length; place++) {
      if (record.isAwaited(place)) this.#ledger.unawait(record, place, (slots[place] as Slot).taker);
      else if (record.isHoped(place)) record.clearHoped(place);
    }
    this.#incomplete.delete(record);
    if (record.will !== undefined) return;
    this.#keeper.limbo(record);
    if (record.isEmpty) this.#passOn(record);
  }

  /** Empty messages cannot be told apart: whoever got this one may have got a later one that is owed to it. */
  #passOn(record: MessageRecord): void {
    for (const [place, { taker }] of record.list.slots.entries()) {
      if (!record.isHad(place)) continue;
      for (const other of this.onTopic(record.row.topic.name)) {
        const there = other.isEmpty && other.sentTick > record.sentTick ? other.list.placeOf(taker) : -1;
        if (there === -1 || other.isHad(there) || (other.state !== 'sent' && other.state !== 'open')) continue;
        other.markHad(there);
        if (other.isAwaited(there)) this.#ledger.unawait(other, there, taker);
        else if (other.isHoped(there)) other.clearHoped(there);
        this.#settleIfDone(other);
        break;
      }
    }
  }

  /** All messages on a topic that may still matter. */
  *onTopic(topicName: string): Generator<MessageRecord> {
    const publishers = new Set(this.#ledger.topics.find(topicName)?.rows.map((row) => row.client));
    for (const publisher of publishers) {
      for (const record of publisher.open.values()) if (record.row.topic.name === topicName) yield record;
    }
  }

  /** The publisher's session is over: what it had not released (PUBREL) may never have been routed. */
  publisherSessionEnded(client: ClientRecord): void {
    for (const record of client.open.values()) {
      const isHalf = record.state === 'open' && record.qos === 2 && record.completeTick === Number.POSITIVE_INFINITY;
      if (isHalf && record.will === undefined) this.letGo(record);
    }
  }

  /** Decides to whom the message is owed, now that the broker has it. */
  owe(record: MessageRecord): void {
    const ledger = this.#ledger;
    const { list, qos, client } = record;
    const { slots } = list;
    const isUnchanged = ledger.topics.takers(record.row.topic) === list;
    if (isUnchanged && qos === 0 && record.will === undefined && slots.length === 0) return this.#settle(record);
    for (let place = 0; place < slots.length; place++) {
      const slot = slots[place] as Slot;
      const { taker } = slot;
      const isOwn = client.session === taker;
      const isGroup = 'members' in taker;
      const granted = isGroup || !isUnchanged ? sureSince(slot, record, isOwn) : isOwn ? slot.ownQos : slot.qos;
      if (granted < 0 || (isGroup && record.will !== undefined)) continue; // Of a group's will, nobody keeps books.
      const isOwed = granted > 0 && qos > 0;
      if (isOwed) ledger.tally.owed[qos]++;
      if (record.isHad(place) || taker.isEnded) continue;
      if (isOwed) ledger.await(record, place, taker);
      else if (!isGroup && isThere(taker, record.sentTick)) {
        if (record.will === undefined) record.markHoped(place);
        else ledger.await(record, place, taker);
      }
    }
    if (record.left === 0) this.#settle(record);
    else if (record.completeTick === Number.POSITIVE_INFINITY && (qos === 2 || record.will !== undefined)) {
      this.#incomplete.add(record);
    }
  }

  // ---- takers

  /** A subscription is being left or changed: what the broker may not have routed may not come by it. */
  leaving(subscription: Subscription): void {
    for (const record of this.#incomplete) {
      const place = record.list.placeOf(subscription.taker);
      if (place === -1 || !record.isAwaited(place)) continue;
      const slot = record.list.slots[place] as Slot;
      const granted = sureSince(slot, record, record.client.session === slot.taker);
      if (granted > 0 || (granted === 0 && record.will !== undefined)) continue;
      this.#ledger.unawait(record, place, slot.taker);
      this.#settleIfDone(record);
    }
  }

  /** The connection of a session is gone: wills of QoS 0 that were on their way are not owed any more. */
  connectionEnded(session: Session): void {
    for (const record of session.fleetingWills ?? []) {
      const place = record.list.placeOf(session);
      if (place !== -1 && record.isAwaited(place)) this.#ledger.unawait(record, place, session);
      this.#settleIfDone(record);
    }
    session.fleetingWills = undefined;
  }

  /**
   * A delivery of a message that is known.
   * @param isWhole false where its payload was damaged, and the stamp may be wrong.
   * @returns false where the client was thought to have got it damaged before: that was another message.
   */
  delivered(record: MessageRecord, client: ClientRecord, delivery: Delivery, isWhole: boolean): boolean {
    const place = this.finder.find(record, client, delivery.qos);
    const session = client.session as Session;
    if (place < 0) {
      if (place === found.leak) this.#ledger.fault('leaked', client, record, 'got, without a subscription for it,');
      else if (place === found.extra) this.judge.toExtra(record, session, delivery, isWhole);
      else this.#settleIfDone(record);
      return true;
    }
    const slot = record.list.slots[place] as Slot;
    const wasGuessed = isWhole && record.guesses?.delete(place) === true;
    if (record.isHad(place) && !wasGuessed) {
      this.judge.again(record, place, session, delivery);
      return true;
    }
    if (!wasGuessed) {
      record.markHad(place);
      if (!isWhole) (record.guesses ??= new Set()).add(place);
    }
    if (record.isAwaited(place)) {
      this.#ledger.unawait(record, place, slot.taker);
      this.judge.late(record, slot.taker, session);
    } else if (record.isHoped(place)) {
      record.clearHoped(place);
      this.judge.late(record, slot.taker, session);
    }
    if (isWhole && !this.finder.isAmbiguous) this.judge.order(record, session, slot);
    this.#settleIfDone(record);
    return !wasGuessed;
  }

  /** How well a delivery fits what the client has not got of the message, for all that is known: 0 not at all. */
  fit(record: MessageRecord, client: ClientRecord, qos: number): number {
    if (record.state !== 'sent' && record.state !== 'open') return 0;
    return this.finder.fit(record, client, qos);
  }

  /** The client got this message, or one that looks like it: it is not owed to it any more, and nothing else is judged. */
  took(record: MessageRecord, client: ClientRecord, qos: number): void {
    const place = this.finder.placeWithRoom(record, client, qos);
    if (place === -1) return;
    record.markHad(place);
    if (record.isAwaited(place)) this.#ledger.unawait(record, place, (record.list.slots[place] as Slot).taker);
    else if (record.isHoped(place)) record.clearHoped(place);
    this.#settleIfDone(record);
  }

  /**
   * A delivery of a will.
   * @param mayRepeat whether a further copy can be the same publication sent again.
   * @returns how often it must have been published, where each subscription accounts for one copy; 0 for nothing new.
   */
  willTaken(record: MessageRecord, client: ClientRecord, delivery: Delivery, mayRepeat: boolean): number {
    const place = this.finder.find(record, client, delivery.qos);
    if (place === found.leak) {
      this.#ledger.fault('leaked', client, record, 'got, without a subscription for it,');
      return 0;
    }
    if (place === found.moved) return 1;
    const session = client.session as Session;
    const taker = place === found.extra ? session : (record.list.slots[place] as Slot).taker;
    const { copies } = record.will as WillState;
    const before = copies.get(taker) ?? 0;
    if (place === found.extra) {
      const extras = (record.extras ??= new Map());
      extras.set(session, (extras.get(session) ?? 0) + 1);
      return 1;
    }
    const isGroup = taker !== session;
    if (before > 0 && (mayRepeat || (isGroup && delivery.qos === 1))) {
      this.judge.repeated(delivery, isGroup);
      return 0;
    }
    copies.set(taker, before + 1);
    if (!record.isHad(place)) record.markHad(place);
    if (record.isAwaited(place)) this.#ledger.unawait(record, place, taker);
    this.#settleIfDone(record);
    return isGroup || this.finder.isAmbiguous ? 1 : Math.ceil((before + 1) / copiesAllowed(record, session));
  }

  // ---- time

  /** Looks after what no fact will ever settle: takers that are gone, expired messages, QoS 0 that did not come. */
  sweep(client: ClientRecord): void {
    for (const record of client.open.values()) {
      if (record.state !== 'open' || record.left === 0) continue;
      const { slots } = record.list;
      const isExpired = this.#ledger.at >= record.expiresAt;
      for (let place = 0; record.left > 0 && place < slots.length; place++) {
        const slot = slots[place] as Slot;
        if (record.isAwaited(place)) {
          if (isExpired || isWaived(record, slot)) this.#ledger.unawait(record, place, slot.taker);
        } else if (record.isHoped(place)) this.#judgeMissed(record, place, slot, missedAfterMs);
      }
      this.#settleIfDone(record);
    }
  }

  /** What is still owed to somebody who was there is lost. Takers that are not there cannot know. */
  finish(client: ClientRecord, graceMs: number): void {
    this.sweep(client);
    for (const record of client.open.values()) {
      if (record.state !== 'open' || record.will !== undefined) continue;
      const { slots } = record.list;
      for (let place = 0; record.left > 0 && place < slots.length; place++) {
        const slot = slots[place] as Slot;
        if (record.isHoped(place)) this.#judgeMissed(record, place, slot, graceMs);
        else if (record.isAwaited(place) && this.isMissing(record, slot, graceMs)) {
          this.#ledger.unawait(record, place, slot.taker);
          this.#ledger.fault('lost', representative(slot), record, 'never got');
        }
      }
      this.#settleIfDone(record);
    }
  }

  /** Whether the taker should have it by now. */
  isMissing(record: MessageRecord, { taker }: Slot, graceMs: number): boolean {
    const ledger = this.#ledger;
    const since = Math.max(record.will === undefined ? routedBy(record) : record.ackAt, presentSince(ledger, taker));
    return since <= ledger.at - graceMs;
  }

  #judgeMissed(record: MessageRecord, place: number, slot: Slot, graceMs: number): void {
    const { at, tally } = this.#ledger;
    const { taker } = slot;
    const isGone = !isThere(taker, record.sentTick);
    if (!isGone && at - record.sentAt < graceMs) return;
    record.clearHoped(place);
    if (!taker.isEnded && sureSince(slot, record, false) < 0) return;
    const isExcused =
      isGone ||
      record.isEmpty ||
      record.claims !== undefined ||
      record.client.endedTick > record.sentTick ||
      this.#ledger.wasDown(record.sentAt, at);
    if (isExcused) tally.missedExcused++;
    else tally.missedUnexcused++;
  }

  #settleIfDone(record: MessageRecord): void {
    if (record.left === 0 && record.state === 'open') this.#settle(record);
  }

  #settle(record: MessageRecord): void {
    this.#incomplete.delete(record);
    if (record.will === undefined) this.#keeper.settled(record);
    else record.state = 'settled';
  }
}
