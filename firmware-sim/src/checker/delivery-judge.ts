import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import { describeOld, isOrdered, lowestOf, routedBy } from './obligations.ts';
import { copiesAllowed, copiesKey, mayTake } from './taker-finder.ts';
import type { ClientRecord, Session, Subscription, Taker } from './takers.ts';
import type { Row, Slot } from './topics.ts';
import type { Delivery } from './witness.ts';

/** Judges deliveries that came: whether they are the first, in order, and in time. */
export class DeliveryJudge {
  readonly #ledger: Ledger;
  readonly #lateMs: number;

  constructor(ledger: Ledger, lateAfterSeconds: number) {
    this.#ledger = ledger;
    this.#lateMs = lateAfterSeconds * 1000;
  }

  /** A delivery of a message that is so long ago that there is no record of it; its row and number are real. */
  longAfter(row: Row, sequence: number, client: ClientRecord, delivery: Delivery): void {
    const { session } = client;
    const { topic } = row;
    if (session === undefined || !mayTake(session, client === row.client, topic.name, 0)) {
      const text = `got, without a subscription for it, ${describeOld(row, sequence)}`;
      this.#ledger.faultWithout('leaked', client, row.qos, text);
      return;
    }
    const isGroup = client.memberships.length > 0;
    if (!isGroup && sequence > session.heights.get(row.number)) {
      session.heights.set(row.number, sequence);
      return;
    }
    // Wills come whenever they come, and are forgotten sooner.
    if (sequence <= row.client.doubtUpTo || row.lastWill > 0) return;
    if (delivery.qos === 1 || row.qos === 1) this.repeated(delivery, isGroup);
    else if (delivery.qos === 2) {
      this.#ledger.faultWithout('duplicated', client, row.qos, `got again ${describeOld(row, sequence)}`);
    }
  }

  /** A delivery to a session by a subscription that was not there when the message was sent. */
  toExtra(record: MessageRecord, session: Session, delivery: Delivery, isWhole: boolean): void {
    const extras = (record.extras ??= new Map());
    const before = extras.get(session) ?? 0;
    if (before > 0 && delivery.qos === 1 && delivery.dup) return this.repeated(delivery, false);
    extras.set(session, before + 1);
    if (before === 0 && isWhole) this.order(record, session, undefined);
  }

  /** A further delivery to a taker that has the message. */
  again(record: MessageRecord, place: number, session: Session, delivery: Delivery): void {
    const { taker, subscriptions, qos: granted } = record.list.slots[place] as Slot;
    const isGroup = 'members' in taker;
    if (delivery.qos === 1 && delivery.dup && subscriptions.length > 1) return this.repeated(delivery, isGroup);
    // Overlapping subscriptions may bring a copy each; where the client is in groups as well, they are counted already.
    const isCounted = record.copies?.has(copiesKey(session.client)) === true;
    const allowed = isGroup || isCounted ? 1 : copiesAllowed(record, session);
    if (allowed > 1) {
      const copies = (record.copies ??= new Map());
      const before = copies.get(place) ?? 1;
      copies.set(place, before + 1);
      if (before < allowed) return;
    }
    const [first] = subscriptions as [Subscription];
    const own = subscriptions.length === 1 ? Math.min(granted, first.qos) : 0;
    const likely = Math.min(record.qos, isGroup ? lowestOf(taker, subscriptions) : own);
    let qos = Math.max(delivery.qos, likely);
    // A member of a group may have had it with QoS 1, and its session ended before it acknowledged.
    if (isGroup) qos = record.qos === 0 ? 0 : Math.min(delivery.qos, likely) === 2 ? 2 : 1;
    if (qos === 1 || (qos === 0 && record.qos === 1)) return this.repeated(delivery, isGroup);
    // What was sent before this connection may have come on the last one, and QoS 0 promises nothing across them.
    if (qos === 0 && record.sentTick < session.connectedTick) return;
    this.#ledger.fault('duplicated', session.client, record, 'got again');
  }

  /** Counts a repetition that QoS 1 allows. Who gets what was another member's gets it for the first time, without DUP. */
  repeated(delivery: Delivery, isGroup: boolean): void {
    this.#ledger.tally.repeated++;
    if (!delivery.dup && !isGroup) this.#ledger.tally.repeatedWithoutDup++;
  }

  /** Whether a first delivery took too long, though taker and broker were there. */
  late(record: MessageRecord, taker: Taker, session: Session): void {
    const { at } = this.#ledger;
    if (at - record.sentAt <= this.#lateMs || record.will !== undefined) return;
    const routedAt = record.qos === 0 ? record.sentAt : Math.min(routedBy(record), at);
    const reachable = this.#ledger.reachableSince(session);
    if (reachable === -1) return;
    const since = Math.max(routedAt, reachable, 'members' in taker ? taker.churnAt : 0);
    if (at - since > this.#lateMs) {
      this.#ledger.fault('late', session.client, record, `got after ${Math.round(at - since)} ms`);
    }
  }

  /** First deliveries of a row come in the order of their sending [MQTT-4.6.0-6]. */
  order(record: MessageRecord, session: Session, slot: Slot | undefined): void {
    const { number } = record.row;
    const { sequence } = record;
    const height = session.heights.get(number);
    if (sequence > height) {
      session.heights.set(number, sequence);
      return;
    }
    // What was routed before the taker was there comes when its publisher sends it again.
    if (slot === undefined || slot.qos < 0 || !isOrdered(record, slot)) return;
    if (record.qos === 1 && slot.qos === 0 && record.client.endedTick > record.sentTick) return;
    this.#ledger.fault('reordered', session.client, record, `got after message ${height}`);
  }
}
