import { naiveMatch } from '../router/naive-match.ts';
import {
  type Delivery,
  FAULTS,
  type Fault,
  type MessageRecord,
  type ReceivedMessage,
  type SentMessage,
  type SubscriptionRecord,
  type TakerRecord,
  type Verdict,
  type Violation,
} from './records.ts';

/**
 * Is told everything that clients of a broker see, in the order they see it, and says at the end which promises were
 * broken. Time is the number of events told so far: a message was routed somewhere between being sent and being
 * acknowledged, so what it had to do, and what it may have done, follows from comparing such numbers.
 */
export class DeliveryChecker {
  /** Whether members of a group get QoS 2 messages in order: among nodes what waits is handed from one to another. */
  groupsKeepOrder = true;
  #now = 0;
  readonly #messages: Map<string, MessageRecord> = new Map();
  readonly #byPublisher: Map<string, Map<number, MessageRecord>> = new Map();
  readonly #takers: Map<string, TakerRecord> = new Map();
  readonly #marks: { at: number; text: string }[] = [];
  readonly #violations: Violation[] = [];

  // ---- what clients do and see

  /** Something that belongs into every history, such as a kill. */
  mark(text: string): void {
    this.#marks.push({ at: this.#tick(), text });
  }

  /** A publisher sends a message for the first time. @throws Error where payload or sequence was there before. */
  sent(message: SentMessage): void {
    const record = {
      message,
      sentAt: this.#tick(),
      acknowledgedAt: Number.POSITIVE_INFINITY,
      isForbidden: false,
      deliveries: new Map(),
    };
    const { publisher, sequence, payload } = message;
    let ofPublisher = this.#byPublisher.get(publisher);
    if (ofPublisher === undefined) this.#byPublisher.set(publisher, (ofPublisher = new Map()));
    if (ofPublisher.has(sequence)) throw new Error(`${publisher} sends ${sequence} twice`);
    ofPublisher.set(sequence, record);
    if (payload === '') return;
    if (this.#messages.has(payload)) throw new Error(`two messages with payload ${payload}`);
    this.#messages.set(payload, record);
  }

  /** A publisher sees PUBACK or PUBREC. */
  acknowledged(publisher: string, sequence: number): void {
    const record = this.#recordOf(publisher, sequence);
    const at = this.#tick();
    if (record.acknowledgedAt === Number.POSITIVE_INFINITY) record.acknowledgedAt = at;
  }

  /** A message was taken back by an acknowledged act of its publisher: nobody may get it. */
  forbidden(publisher: string, sequence: number): void {
    this.#recordOf(publisher, sequence).isForbidden = true;
  }

  /** A taker sends SUBSCRIBE; a filter it has is a subscription changed, which this does not follow. */
  subscribing(taker: string, topicFilter: string, qos: 1 | 2, isGroup = false): void {
    let record = this.#takers.get(taker);
    if (record === undefined) this.#takers.set(taker, (record = { name: taker, isGroup, subscriptions: [] }));
    if (this.#currentOf(taker, topicFilter) !== undefined) return;
    const later = { grantedAt: Infinity, leavingAt: Infinity, goneAt: Infinity };
    record.subscriptions.push({ topicFilter, qos, askedAt: this.#tick(), ...later });
  }

  /** A taker sees SUBACK. */
  subscribed(taker: string, topicFilter: string): void {
    const subscription = this.#subscriptionOf(taker, topicFilter);
    subscription.grantedAt = Math.min(subscription.grantedAt, this.#tick());
  }

  /** A taker sends UNSUBSCRIBE. */
  unsubscribing(taker: string, topicFilter: string): void {
    const subscription = this.#subscriptionOf(taker, topicFilter);
    subscription.leavingAt = Math.min(subscription.leavingAt, this.#tick());
  }

  /** A taker sees UNSUBACK. */
  unsubscribed(taker: string, topicFilter: string): void {
    this.#subscriptionOf(taker, topicFilter).goneAt = this.#tick();
  }

  /** An application gets a message; `receiver` is the session, itself a taker or one member of the group that is. */
  delivered(taker: string, receiver: string, received: ReceivedMessage): void {
    if (!this.#takers.has(taker)) throw new Error(`${taker} is no taker`);
    const at = this.#tick();
    const record = this.#messages.get(received.payload);
    if (record === undefined) {
      this.violated('phantom', `${receiver} got what nobody sent: ${JSON.stringify(received)}`);
      return;
    }
    if (record.message.topicName !== received.topicName) {
      this.violated('phantom', `${receiver} got it on ${received.topicName}: ${this.describe(record)}`);
    }
    let deliveries = record.deliveries.get(taker);
    if (deliveries === undefined) record.deliveries.set(taker, (deliveries = []));
    deliveries.push({ at, receiver, qos: received.qos, dup: received.dup });
  }

  /** A client sees CONNACK; `expected` is undefined where either is right: CONNECT was sent before, and not answered. */
  connected(clientId: string, sessionPresent: boolean, expected: boolean | undefined): void {
    this.#tick();
    if (expected === undefined || expected === sessionPresent) return;
    const text = `${clientId}: Session Present is ${sessionPresent} after ${this.#marks.at(-1)?.text ?? 'the start'}`;
    this.violated('session-present', text);
  }

  /** What a fresh subscription finds retained at the end; undefined for nothing. */
  retainedFound(topicName: string, payload: string | undefined): void {
    const allowed = this.#retainedCandidates(topicName);
    if (
      allowed.some((record) =>
        record === undefined ? payload === undefined : record.message.payload === (payload ?? ''),
      )
    )
      return;
    const last = allowed[0];
    const expected = last === undefined ? 'nothing' : this.describe(last);
    this.violated('retained', `${topicName} holds ${JSON.stringify(payload)}, the last acknowledged is ${expected}`);
  }

  /** Notes a fault that only the caller can see. */
  violated(fault: Fault, text: string): void {
    this.#violations.push({ fault, text });
  }

  // ---- what came of it

  /** How many deliveries are still missing; 0 is when there is nothing to wait for. */
  get missing(): number {
    let missing = 0;
    for (const record of this.#records()) {
      for (const taker of this.#takers.values())
        if (isOwed(record, taker) && !record.deliveries.has(taker.name)) missing += 1;
    }
    return missing;
  }

  /** Judges everything told so far; may be asked more than once. */
  verdict(): Verdict {
    const violations = [...this.#violations];
    const note = (fault: Fault, record: MessageRecord, who: string): void => {
      violations.push({ fault, text: `${who}: ${this.describe(record)}` });
    };
    const verdict = { sent: 0, acknowledged: 0, delivered: 0, repeated: 0, wills: 0 };
    for (const record of this.#records()) {
      verdict.sent += 1;
      if (record.acknowledgedAt !== Number.POSITIVE_INFINITY) verdict.acknowledged += 1;
      if (record.message.isWill === true && record.deliveries.size > 0) verdict.wills += 1;
      if (record.isForbidden && record.deliveries.size > 0) note('uncalled', record, 'anyone');
      for (const taker of this.#takers.values()) {
        const deliveries = record.deliveries.get(taker.name);
        if (deliveries === undefined) {
          if (isOwed(record, taker)) note('lost', record, taker.name);
          continue;
        }
        verdict.delivered += 1;
        verdict.repeated += this.#judgeDeliveries(record, taker, deliveries, note);
      }
    }
    for (const record of this.#reordered()) note('reordered', record.record, record.receiver);
    const faults = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
    for (const { fault } of violations) faults[fault] += 1;
    return { faults, violations, ...verdict };
  }

  /** All that is known of a message, in order, with the marks that fall into its time. */
  describe(record: MessageRecord): string {
    const { publisher, sequence, topicName, qos, retain, isWill } = record.message;
    const events = [{ at: record.sentAt, text: 'sent' }];
    if (record.acknowledgedAt !== Number.POSITIVE_INFINITY)
      events.push({ at: record.acknowledgedAt, text: 'acknowledged' });
    for (const deliveries of record.deliveries.values()) {
      for (const { at, receiver, qos: as, dup } of deliveries)
        events.push({ at, text: `to ${receiver} with QoS ${as}${dup ? ' DUP' : ''}` });
    }
    const last = Math.max(...events.map(({ at }) => at));
    const marks = this.#marks.filter(({ at }) => at >= record.sentAt);
    // The marks up to the last event, and the one after it.
    events.push(...marks.filter(({ at }, index) => at <= last || (marks[index - 1]?.at ?? 0) <= last));
    events.sort((one, other) => one.at - other.at);
    const history = events.map(({ at, text }) => `${at} ${text}`).join('; ');
    const what = `${isWill === true ? 'will' : 'message'} ${sequence} of ${publisher} on ${topicName}`;
    return `${what}, QoS ${qos}${retain ? ' retained' : ''}: ${history}`;
  }

  /** @returns how many of the deliveries were repetitions that QoS 1 allows. */
  #judgeDeliveries(
    record: MessageRecord,
    taker: TakerRecord,
    deliveries: readonly Delivery[],
    note: (fault: Fault, record: MessageRecord, who: string) => void,
  ): number {
    const granted = possibleQos(record, taker);
    if (granted.size === 0) {
      note('leak', record, taker.name);
      return 0;
    }
    let repeated = 0;
    for (const [index, { qos, receiver }] of deliveries.entries()) {
      if (!granted.has(qos)) note('wrong-qos', record, receiver);
      if (index === 0) continue;
      if (qos === 2) note('duplicate', record, taker.name);
      else repeated += 1;
    }
    return repeated;
  }

  /** First deliveries that came after one of a later message of the same publisher, topic and QoS [MQTT-4.6.0]. */
  #reordered(): { record: MessageRecord; receiver: string }[] {
    const firsts: { at: number; receiver: string; record: MessageRecord }[] = [];
    for (const record of this.#records()) {
      for (const [taker, deliveries] of record.deliveries) {
        // What a group takes back from one member goes to another behind later ones, with QoS 1.
        const mayBeLate = record.message.qos === 1 || !this.groupsKeepOrder;
        if (this.#takers.get(taker)?.isGroup === true && mayBeLate) continue;
        const first = deliveries[0] as Delivery;
        firsts.push({ at: first.at, receiver: first.receiver, record });
      }
    }
    firsts.sort((one, other) => one.at - other.at);
    const highest: Map<string, number> = new Map();
    return firsts.filter(({ receiver, record }) => {
      const { publisher, topicName, qos, sequence } = record.message;
      const key = `${receiver} ${publisher} ${topicName} ${qos}`;
      const before = highest.get(key) ?? -1;
      highest.set(key, Math.max(before, sequence));
      return sequence < before;
    });
  }

  /** The last acknowledged message retained on the topic first, and those sent after it; undefined for nothing. */
  #retainedCandidates(topicName: string): (MessageRecord | undefined)[] {
    let candidates: (MessageRecord | undefined)[] = [undefined];
    for (const record of this.#records()) {
      if (!record.message.retain || record.message.topicName !== topicName) continue;
      if (record.acknowledgedAt !== Number.POSITIVE_INFINITY) candidates = [record];
      else candidates.push(record);
    }
    return candidates;
  }

  *#records(): Generator<MessageRecord> {
    for (const ofPublisher of this.#byPublisher.values()) yield* ofPublisher.values();
  }

  #recordOf(publisher: string, sequence: number): MessageRecord {
    const record = this.#byPublisher.get(publisher)?.get(sequence);
    if (record === undefined) throw new Error(`${publisher} never sent ${sequence}`);
    return record;
  }

  /** The subscription that has not been left, or whose leaving is not yet confirmed. */
  #currentOf(taker: string, topicFilter: string): SubscriptionRecord | undefined {
    return this.#takers
      .get(taker)
      ?.subscriptions.findLast((one) => one.topicFilter === topicFilter && one.goneAt === Number.POSITIVE_INFINITY);
  }

  #subscriptionOf(taker: string, topicFilter: string): SubscriptionRecord {
    const subscription = this.#currentOf(taker, topicFilter);
    if (subscription === undefined) throw new Error(`${taker} has not asked for ${topicFilter}`);
    return subscription;
  }

  #tick(): number {
    this.#now += 1;
    return this.#now;
  }
}

/** Whether the taker must have got the message: acknowledged, and subscribed all the time it may have been routed. */
function isOwed(record: MessageRecord, taker: TakerRecord): boolean {
  const { message, sentAt, acknowledgedAt, isForbidden } = record;
  if (acknowledgedAt === Number.POSITIVE_INFINITY || isForbidden || message.payload === '') return false;
  return taker.subscriptions.some(
    ({ topicFilter, grantedAt, leavingAt }) =>
      grantedAt < sentAt && leavingAt > acknowledgedAt && naiveMatch(topicFilter, message.topicName),
  );
}

/** The QoS it may come with, by the subscriptions that may have existed when it was routed; none where there was none. */
function possibleQos(record: MessageRecord, taker: TakerRecord): Set<number> {
  const { message, sentAt, acknowledgedAt } = record;
  const matching = taker.subscriptions.filter(
    ({ topicFilter, askedAt, goneAt }) =>
      askedAt < acknowledgedAt && goneAt > sentAt && naiveMatch(topicFilter, message.topicName),
  );
  return new Set(matching.map(({ qos }) => Math.min(qos, message.qos)));
}
