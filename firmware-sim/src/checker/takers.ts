import type { QoS, SubscribeOptions } from '../client/client.ts';
import { Heights } from './heights.ts';
import type { MessageRecord } from './message-record.ts';
import type { Replay } from './retained-watch.ts';
import type { RowSet } from './topics.ts';
import type { ByQos, SessionTerms } from './witness.ts';

/** Subscriptions that are gone, kept for messages that were on their way to them. */
const formerMax = 16;

/** Who is owed a message once: a session, or a group of shared subscribers. */
export type Taker = Session | Group;

/** A client of the run. Times without unit are ticks: numbers of facts. */
export class ClientRecord {
  readonly number: number;
  readonly clientId: string;
  readonly className: string;
  /** Messages by sequence number that may still matter, those just settled included. */
  readonly open: Map<number, MessageRecord> = new Map();
  readonly rows: Map<string, RowSet> = new Map();
  /** Memberships of shared subscriptions, left ones at the front. */
  memberships: readonly Subscription[] = [];
  link: 'off' | 'connecting' | 'up' = 'off';
  terms: SessionTerms = { cleanStart: true, expirySeconds: 0, keepAliveSeconds: 0 };
  session: Session | undefined;
  /** End of the last connection; 0 for none. */
  endedTick = 0;
  /** Sequence numbers up to here may belong to messages of which it was forgotten who got them. */
  doubtUpTo = 0;

  constructor(number: number, clientId: string, className: string) {
    this.number = number;
    this.clientId = clientId;
    this.className = className;
  }
}

/** What a broker keeps for a client from its first connection on, or from a clean start, until it ends. */
export class Session {
  readonly client: ClientRecord;
  /** By filter as told, `$share/...` included. */
  readonly subscriptions: Map<string, Subscription> = new Map();
  /** Gone lately. */
  readonly former: Subscription[] = [];
  /** Owed to it and not there, by QoS of the publisher. */
  readonly awaiting: ByQos = [0, 0, 0];
  /** Highest sequence number that was delivered first, per row of messages. */
  readonly heights: Heights = new Heights();
  /** Retained messages it is owed since SUBSCRIBE. */
  replays: Replay[] = [];
  /** Wills of QoS 0 it is owed; they are not owed any more when its connection ends. */
  fleetingWills: Set<MessageRecord> | undefined;
  isEnded = false;
  /** The broker may know subscriptions of it that were made in an earlier run. */
  isInherited = false;
  /** It was thought to be over, and the broker had it still: nobody knows with which subscriptions. */
  isRevived = false;
  isUp = false;
  /** When it may have expired at the earliest, ms; Infinity while it is connected. */
  expiresAt: number = Number.POSITIVE_INFINITY;
  connectedTick = 0;
  connectedAt = 0;

  constructor(client: ClientRecord) {
    this.client = client;
  }

  /** Takes a subscription out, but remembers it for a while. */
  retire(subscription: Subscription): void {
    this.subscriptions.delete(subscription.told);
    this.former.push(subscription);
    if (this.former.length > formerMax) this.former.shift();
  }
}

/** All members of one shared subscription. */
export class Group {
  /** `$share/name/filter`. */
  readonly told: string;
  readonly members: Map<ClientRecord, Subscription> = new Map();
  readonly awaiting: ByQos = [0, 0, 0];
  isEnded = false;
  /** Gone, and the broker may not have noticed, until when at the latest, ms: they may still be given messages. */
  readonly ghosts: Map<ClientRecord, { readonly untilAt: number; readonly qos: QoS }>;
  /** All members are connected: what one of them does not get cannot be waiting for another. */
  isUp = true;
  /** When a member last came, went, connected or lost its connection. */
  churnTick = 0;
  churnAt = 0;
  /** When a member last left for good, ms: what of QoS 2 was on its way to it is not given to others [MQTT-4.8.2-5]. */
  departedAt = 0;

  /** When there last was no member for sure: what waited for one then may have been dropped. */
  lapsedTick = 0;

  constructor(told: string, ghosts: Group['ghosts']) {
    this.told = told;
    this.ghosts = ghosts;
  }

  /** Something about the membership of one changed. */
  review(tick: number, at: number): void {
    for (const [{ session }, { isSure }] of this.members) {
      if (isSure && session !== undefined && session.expiresAt > at) return;
    }
    this.lapsedTick = tick;
  }

  /** The broker knows by now that this member is gone. */
  exorcise(client: ClientRecord, at: number): void {
    if (this.ghosts.delete(client)) this.departedAt = Math.max(this.departedAt, at);
  }

  /** Forgets members that the broker knows to be gone by now. */
  refresh(at: number): void {
    for (const [client, { untilAt }] of this.ghosts) if (untilAt < at) this.exorcise(client, untilAt);
    this.isUp = this.ghosts.size === 0;
    for (const { session } of this.members.keys()) if (session?.isUp !== true) this.isUp = false;
  }

  /** The lowest QoS that a message may be given to a member with, those that may be taken for members included. */
  get lowestQos(): QoS {
    let lowest: QoS = 2;
    for (const { qos } of this.members.values()) if (qos < lowest) lowest = qos;
    for (const { qos } of this.ghosts.values()) if (qos < lowest) lowest = qos;
    return lowest;
  }

  /** A member came, went, connected or lost its connection. */
  churn(tick: number, at: number): void {
    this.churnTick = tick;
    this.churnAt = at;
    this.review(tick, at);
    this.refresh(at);
  }
}

/** One filter of one client, from SUBSCRIBE to UNSUBACK or the end of the session; Infinity for what is not yet. */
export class Subscription {
  readonly id: number;
  readonly client: ClientRecord;
  readonly taker: Taker;
  /** The filter as it was told. */
  readonly told: string;
  /** The same without `$share/name/`. */
  readonly topicFilter: string;
  readonly askedTick: number;
  grantedTick: number = Number.POSITIVE_INFINITY;
  grantedAt: number = Number.POSITIVE_INFINITY;
  leavingTick: number = Number.POSITIVE_INFINITY;
  goneTick: number = Number.POSITIVE_INFINITY;
  /** SUBSCRIBEs and UNSUBSCRIBEs of this connection that are not answered yet. */
  unanswered = 1;
  unansweredLeaves = 0;
  /** The lowest QoS that may be in force, since `qosTick`; before that it was `qosBefore`. */
  qos: QoS;
  qosTick = 0;
  qosBefore: QoS = 0;
  /** The same for No Local. */
  noLocal: 'yes' | 'no' | 'maybe';
  localTick = 0;
  /** Whether it was ever asked for: what waits in a queue keeps its flag. */
  retainAsPublished: boolean;
  /** The last SUBSCRIBE, and its time in ms. */
  asked: SubscribeOptions;
  askedAt: number;
  /** Goes up with each change. */
  version = 0;

  constructor(
    id: number,
    owner: { readonly client: ClientRecord; readonly taker: Taker },
    asked: SubscribeOptions & { readonly matches: string },
    when: { readonly tick: number; readonly at: number },
  ) {
    this.id = id;
    this.client = owner.client;
    this.taker = owner.taker;
    this.told = asked.topicFilter;
    this.topicFilter = asked.matches;
    this.askedTick = when.tick;
    this.askedAt = when.at;
    this.qos = asked.qos;
    this.noLocal = asked.noLocal === true ? 'yes' : 'no';
    this.retainAsPublished = asked.retainAsPublished === true;
    this.asked = asked;
  }

  /** Granted, and not on its way out. */
  get isSure(): boolean {
    return this.grantedTick !== Number.POSITIVE_INFINITY && this.leavingTick === Number.POSITIVE_INFINITY;
  }
}
