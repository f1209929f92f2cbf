import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import { NameTree } from './name-tree.ts';
import type { ClientRecord, Session, Subscription } from './takers.ts';
import type { Delivery } from './witness.ts';
import { hasWildcard, topicMatches } from './topic-filter.ts';

/** Superseded values remembered per topic while subscriptions wait for theirs. */
const supersededMax = 16;
/** Values that a topic may hold at once, for all that is known. */
const valuesMax = 256;
/** A QoS 0 message of another client that was sent so long before cannot come after, ms. */
const qos0SettleMs = 60_000;
/** How long a message has to live at least, to be owed to a new subscription, ms. */
const lifeMinMs = 10_000;
/** So many messages a broker sends at once; what is more takes it time, ms. */
const smallReplay = 16;
const largeReplayMs = 10_000;

/** Something a topic may hold, for all that is known. */
interface Value {
  readonly client: ClientRecord;
  readonly sequence: number;
  readonly sentTick: number;
  readonly sentAt: number;
  readonly qos: number;
  readonly isEmpty: boolean;
  readonly expiresAt: number;
  /** When it was surely stored, or surely was not going to be any more; Infinity for not yet. */
  overTick: number;
  /** It was stored: what went before is superseded. */
  isSure: boolean;
}

interface RetainedTopic {
  readonly name: string;
  /** In the order they were sent; QoS 0 is not among them. */
  values: Value[];
  /** The latest sure one. */
  last: Value | undefined;
  /** The latest of QoS 0. */
  qos0:
    | { readonly client: ClientRecord; readonly sequence: number; readonly tick: number; readonly at: number }
    | undefined;
  /** When a message that clears it was last sent. */
  clearedTick: number;
  superseded: { readonly client: ClientRecord; readonly sequence: number; readonly tick: number }[];
  /** What was superseded until then is not remembered one by one. */
  forgottenTick: number;
}

/** What one SUBSCRIBE brings of retained messages. */
export interface Replay {
  readonly subscription: Subscription;
  readonly tick: number;
  /** Topics of which it has to get one and has not; `size` of them in the beginning. */
  due: Set<RetainedTopic> | undefined;
  readonly size: number;
  /** When SUBSCRIBE was written, and when SUBACK came, ms; Infinity for not yet. */
  readonly askedAt: number;
  grantedAt: number;
  /** It is owed every topic that it may bring. */
  readonly isWhole: boolean;
  /** Of an earlier connection: nothing is owed, but something may come. */
  isOld: boolean;
}

/** Which message a delivery with the retain flag brought. */
export interface RetainedFinding {
  readonly client: ClientRecord;
  readonly sequence: number;
  readonly qos: number;
  readonly isWill: boolean;
  /** It may have come by a subscription that keeps the flag: then it waited in a queue, and may be old. */
  readonly isLive: boolean;
}

/** Follows what each topic retains, and judges what new subscriptions get of it. */
export class RetainedWatch {
  /** Owed to subscriptions and not there. */
  outstanding = 0;
  readonly #ledger: Ledger;
  readonly #topics: Map<string, RetainedTopic> = new Map();
  readonly #names: NameTree<RetainedTopic> = new NameTree();
  /** Subscriptions that may still get something, in all. */
  #replays = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  // ---- what topics hold

  /** A retained message was sent, or a retained will may be published from now on. */
  sent(record: MessageRecord): void {
    const { client, sequence, qos, isEmpty, expiresAt } = record;
    const { tick, at } = this.#ledger;
    const topic = this.#topicOf(record.row.topic.name);
    if (isEmpty) topic.clearedTick = tick;
    if (qos === 0 && record.will === undefined) {
      topic.qos0 = { client, sequence, tick, at };
      return;
    }
    const over = Number.POSITIVE_INFINITY;
    const value = {
      client,
      sequence,
      sentTick: tick,
      sentAt: at,
      qos,
      isEmpty,
      expiresAt,
      overTick: over,
      isSure: false,
    };
    topic.values.push(value);
    if (topic.values.length <= valuesMax) return;
    topic.values.shift();
    topic.forgottenTick = Number.POSITIVE_INFINITY; // Whatever is found there now, nobody can say that it is stale.
  }

  /** The broker has stored it. */
  stored(record: MessageRecord): void {
    const topic = this.#topics.get(record.row.topic.name);
    const value = topic?.values.find(
      ({ client, sequence }) => client === record.client && sequence === record.sequence,
    );
    if (topic === undefined || value === undefined) return;
    if (value.overTick === Number.POSITIVE_INFINITY) value.overTick = this.#ledger.tick;
    value.isSure = true;
    if (topic.last === undefined || topic.last.sentTick < value.sentTick) topic.last = value;
    this.#clearQos0(topic, value);
    if (topic.values.length === 1) return;
    const { values } = topic;
    topic.values = values.filter(({ overTick }) => overTick >= value.sentTick);
    for (const old of values) if (old.overTick < value.sentTick) this.#supersede(topic, old);
  }

  /** From now on it will not be stored any more, if it was not. */
  over(record: MessageRecord): void {
    const value = this.#topics
      .get(record.row.topic.name)
      ?.values.find(({ client, sequence }) => client === record.client && sequence === record.sequence);
    if (value !== undefined && value.overTick === Number.POSITIVE_INFINITY) value.overTick = this.#ledger.tick;
  }

  /** It was never published. */
  withdrawn(record: MessageRecord): void {
    const topic = this.#topics.get(record.row.topic.name);
    if (topic === undefined) return;
    topic.values = topic.values.filter(
      ({ client, sequence }) => client !== record.client || sequence !== record.sequence,
    );
  }

  /** Names of all topics that may hold something of this run. */
  get topicNames(): string[] {
    return [...this.#topics.values()]
      .filter(({ values, last, qos0 }) => qos0 !== undefined || values.length > 0 || last?.isEmpty === false)
      .map(({ name }) => name);
  }

  // ---- what subscriptions get

  /** SUBSCRIBE is written. @param isNew whether the session did not have the filter; undefined for unknown. */
  asked(subscription: Subscription, isNew: boolean | undefined): void {
    const { taker, topicFilter, asked } = subscription;
    if ('members' in taker) return; // Shared subscriptions get nothing retained.
    const { retainHandling = 0 } = asked;
    if (retainHandling === 2 || (retainHandling === 1 && isNew === false)) return;
    this.#dropDone(taker);
    const isDue = retainHandling === 0 || isNew === true;
    const isOwn = asked.noLocal === true ? taker.client : undefined; // Brokers may keep its own from it.
    const matching = this.#match(topicFilter);
    const held = isDue ? matching.filter((topic) => this.#isHeld(topic, isOwn)) : [];
    const due = held.length === 0 ? undefined : new Set(held);
    const grantedAt = Number.POSITIVE_INFINITY;
    const { tick, at: askedAt } = this.#ledger;
    taker.replays.push({
      subscription,
      tick,
      due,
      size: held.length,
      askedAt,
      grantedAt,
      isOld: false,
      isWhole: held.length === matching.length,
    });
    this.#replays++;
    this.outstanding += held.length;
  }

  answered(subscription: Subscription, isGranted: boolean): void {
    const { taker } = subscription;
    if ('members' in taker) return;
    const place = taker.replays.findIndex(
      (one) => one.subscription === subscription && one.grantedAt === Number.POSITIVE_INFINITY,
    );
    const replay = taker.replays[place];
    if (replay === undefined) return;
    if (isGranted) replay.grantedAt = this.#ledger.at;
    else this.#drop(taker, (one) => one === replay);
  }

  /** UNSUBACK came. A broker that was busy sending may have stopped; a few messages were on their way by then. */
  left(subscription: Subscription): void {
    const { taker, leavingTick, grantedTick } = subscription;
    if ('members' in taker) return;
    const mayStop = ({ size, grantedAt }: Replay): boolean =>
      leavingTick < grantedTick || (size > smallReplay && this.#ledger.at - grantedAt < largeReplayMs);
    for (const replay of taker.replays) {
      if (replay.subscription === subscription && mayStop(replay)) this.#release(replay);
    }
  }

  /** What is not there is not owed any more. */
  waive(subscription: Subscription): void {
    const { taker } = subscription;
    if ('members' in taker) return;
    for (const replay of taker.replays) if (replay.subscription === subscription) this.#release(replay);
  }

  /** The connection is gone, and with it the claim; but what was on its way may come on the next one. */
  connectionEnded(session: Session): void {
    if (session.replays.length === 0) return;
    this.#drop(session, ({ isWhole, due }) => isWhole && due?.size === 0);
    for (const replay of session.replays) {
      this.#release(replay);
      replay.isOld = true;
    }
  }

  sessionEnded(session: Session): void {
    if (session.replays.length > 0) this.#drop(session, () => true);
  }

  /**
   * A delivery with the retain flag.
   * @returns whether a SUBSCRIBE can have brought it, and not long ago.
   */
  delivered(client: ClientRecord, delivery: Delivery, what: RetainedFinding): boolean {
    const { topicName } = delivery;
    const oldest = this.paid(client, topicName);
    const topic = this.#topics.get(topicName);
    if (oldest === undefined || topic === undefined) return false;
    this.#ledger.tally.retainedChecked++;
    const isRecent = oldest.isOld || this.#ledger.at - oldest.askedAt < largeReplayMs;
    // What is sent again was right when it was sent first, perhaps long ago.
    if (delivery.dup || what.isLive || isFresh(topic, what, oldest.tick)) return isRecent;
    const { last } = topic;
    const holds = last === undefined ? '' : `; the topic holds message ${last.sequence} of ${last.client.clientId}`;
    const text = `got message ${what.sequence} of ${what.client.clientId} as retained on ${topicName}${holds}`;
    this.#ledger.faultWithout('retained', client, what.qos, text);
    return isRecent;
  }

  /** Something retained came, whatever it was. @returns the oldest SUBSCRIBE that may have brought it. */
  paid(client: ClientRecord, topicName: string): Replay | undefined {
    const { session } = client;
    if (session === undefined) return undefined;
    const isSettled = this.#ledger.at - session.connectedAt > largeReplayMs;
    const topic = this.#topics.get(topicName);
    let oldest: Replay | undefined;
    for (const replay of session.replays) {
      const isDue = topic !== undefined && replay.due?.has(topic) === true;
      if (!isDue) {
        if (oldest !== undefined || (replay.isOld && isSettled)) continue;
        if (topicMatches(replay.subscription.topicFilter, topicName)) oldest = replay;
        continue;
      }
      oldest ??= replay;
      replay.due?.delete(topic);
      this.outstanding--;
      break;
    }
    return oldest;
  }

  /** Whether the client waits for what the topic retains. */
  isDue(client: ClientRecord, topicName: string): boolean {
    const topic = this.#topics.get(topicName);
    return topic !== undefined && client.session?.replays.some(({ due }) => due?.has(topic)) === true;
  }

  finish(session: Session, graceMs: number): void {
    if (!session.isUp || this.#ledger.isBrokerDown) return;
    for (const replay of session.replays) this.#judgeMissing(replay, graceMs);
  }

  #judgeMissing(replay: Replay, graceMs: number): void {
    const { at, tally } = this.#ledger;
    const { client, told } = replay.subscription;
    if (replay.due === undefined || at - replay.grantedAt < graceMs) return;
    for (const topic of replay.due) {
      const { values, qos0, clearedTick } = topic;
      const isExcused =
        clearedTick > replay.tick || (qos0?.tick ?? 0) > replay.tick || values.some(({ expiresAt }) => expiresAt <= at);
      replay.due.delete(topic);
      this.outstanding--;
      if (isExcused) continue;
      tally.retainedChecked++;
      const text = `never got what ${topic.name} retains, for its subscription to ${told}`;
      this.#ledger.faultWithout('retained', client, topic.last?.qos ?? 0, text);
    }
  }

  /** It may come, and is not owed. */
  #release(replay: Replay): void {
    this.outstanding -= replay.due?.size ?? 0;
    replay.due = undefined;
  }

  #drop(session: Session, isGone: (replay: Replay) => boolean): void {
    session.replays = session.replays.filter((replay) => {
      if (!isGone(replay)) return true;
      this.outstanding -= replay.due?.size ?? 0;
      this.#replays--;
      return false;
    });
  }

  /** Of what has all it is owed, only the latest per subscription can tell anything more. */
  #dropDone(session: Session): void {
    if (session.replays.length < 64) return;
    this.#drop(session, ({ due }) => due === undefined || due.size === 0);
  }

  #topicOf(topicName: string): RetainedTopic {
    let topic = this.#topics.get(topicName);
    if (topic !== undefined) return topic;
    const none = { values: [], last: undefined, qos0: undefined, superseded: [] };
    topic = { name: topicName, ...none, clearedTick: 0, forgottenTick: 0 };
    this.#topics.set(topicName, topic);
    this.#names.set(topicName, topic);
    return topic;
  }

  #match(topicFilter: string): RetainedTopic[] {
    if (hasWildcard(topicFilter)) return this.#names.match(topicFilter);
    const topic = this.#topics.get(topicFilter);
    return topic === undefined ? [] : [topic];
  }

  /** Whether the topic surely holds something, whichever of its values it is, and nothing of that client. */
  #isHeld({ values, qos0 }: RetainedTopic, butNotOf: ClientRecord | undefined): boolean {
    if (qos0 !== undefined) return false; // Brokers may drop those at any time.
    const { at } = this.#ledger;
    return (
      values.some(({ isSure }) => isSure) &&
      values.every(
        ({ client, isEmpty, expiresAt, qos }) =>
          client !== butNotOf && !isEmpty && qos > 0 && expiresAt > at + lifeMinMs,
      )
    );
  }

  /** A QoS 0 message that surely went before does not matter any more. */
  #clearQos0(topic: RetainedTopic, sure: Value): void {
    const { qos0 } = topic;
    if (qos0 === undefined || qos0.tick > sure.sentTick) return;
    if (qos0.client === sure.client || sure.sentAt - qos0.at > qos0SettleMs) topic.qos0 = undefined;
  }

  #supersede(topic: RetainedTopic, { client, sequence }: Value): void {
    const { tick } = this.#ledger;
    if (this.#replays === 0) {
      topic.superseded = [];
      topic.forgottenTick = Math.max(tick, topic.forgottenTick);
      return;
    }
    topic.superseded.push({ client, sequence, tick });
    if (topic.superseded.length <= supersededMax) return;
    topic.forgottenTick = Math.max(topic.superseded.shift()?.tick ?? tick, topic.forgottenTick);
  }
}

/** Whether the topic may have held this message at some time since then. */
function isFresh(topic: RetainedTopic, { client, sequence, qos, isWill }: RetainedFinding, sinceTick: number): boolean {
  const isIt = (one: { readonly client: ClientRecord; readonly sequence: number }): boolean =>
    one.client === client && one.sequence === sequence;
  const { last, values, superseded, forgottenTick } = topic;
  if (values.some(isIt)) return true;
  if (qos === 0 && !isWill) {
    // It leaves no trace when the broker stores it; only what the same client sent later tells that it is over.
    return last === undefined || last.client !== client || last.sequence <= sequence || last.overTick > sinceTick;
  }
  const old = superseded.find(isIt);
  if (old !== undefined) return old.tick > sinceTick;
  return isWill || forgottenTick > sinceTick;
}
