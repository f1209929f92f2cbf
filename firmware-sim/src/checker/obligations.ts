import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import type { ClientRecord, Group, Subscription, Taker } from './takers.ts';
import type { Row, Slot } from './topics.ts';

/**
 * The QoS that surely applied all the time from when the message was sent until now; -1 for none. Members of a group
 * count while they are connected: what is given to others, whose sessions may be over, comes to them then.
 */
export function sureSince({ taker, subscriptions }: Slot, { sentTick }: MessageRecord, isOwn: boolean): number {
  let sure = -1;
  const isGroup = 'members' in taker;
  for (const subscription of subscriptions) {
    const { qos, qosBefore, qosTick } = subscription;
    const inForce = qosTick > sentTick ? qosBefore : qos;
    if (!wasSure(subscription, sentTick, isOwn) || (isGroup && !isThere(subscription.client.session, sentTick)))
      continue;
    sure = Math.max(sure, inForce);
  }
  if (sure === -1 || !isGroup) return sure;
  return Math.min(sure, lowestOf(taker, subscriptions));
}

/** The lowest QoS that the group's message may have been given to a member with. */
export function lowestOf(group: Group, subscriptions: readonly Subscription[]): number {
  return subscriptions.reduce((lowest, { qos }) => Math.min(lowest, qos), group.lowestQos as number);
}

function wasSure(subscription: Subscription, sentTick: number, isOwn: boolean): boolean {
  const { grantedTick, isSure, noLocal, localTick } = subscription;
  return isSure && grantedTick < sentTick && !(isOwn && (noLocal !== 'no' || localTick > sentTick));
}

/**
 * When the broker has surely routed it, ms; Infinity for not yet. PUBREL follows PUBREC at once, unless the connection
 * ends in between.
 */
export function routedBy(record: MessageRecord): number {
  if (record.completeTick !== Number.POSITIVE_INFINITY) return record.completeAt;
  return record.client.link === 'up' && record.client.endedTick < record.ackTick
    ? record.ackAt
    : Number.POSITIVE_INFINITY;
}

/** Whether the taker has been connected since that fact. */
export function isThere(taker: Taker | undefined, sinceTick: number): boolean {
  if (taker === undefined || taker.isEnded) return false;
  if ('members' in taker) return taker.isUp && taker.churnTick < sinceTick;
  return taker.isUp && taker.connectedTick < sinceTick;
}

/** Since when everything that is on its way to the taker could come, ms; Infinity where it could not. */
export function presentSince(ledger: Ledger, taker: Taker): number {
  if ('members' in taker) taker.refresh(ledger.at);
  if (taker.isEnded || ledger.isBrokerDown || !taker.isUp) return Number.POSITIVE_INFINITY;
  return Math.max('members' in taker ? taker.churnAt : taker.connectedAt, ledger.brokerUpAt);
}

/** Whether the taker is not owed the message any more, for what happened to the taker. */
export function isWaived(record: MessageRecord, slot: Slot): boolean {
  if (!('members' in slot.taker)) return slot.taker.isEnded;
  if (mayBeDropped(record, slot)) return true;
  // What came for a group may have been for another one, which is owed nothing.
  for (const place of record.claims?.keys() ?? []) {
    if (mayBeDropped(record, record.list.slots[place] as Slot)) return true;
  }
  return false;
}

function mayBeDropped(record: MessageRecord, { taker }: Slot): boolean {
  if (taker.isEnded || !('members' in taker)) return taker.isEnded;
  // [MQTT-4.8.2-5]: what a member that is gone for good had in flight with QoS 2 is not given to another.
  return taker.lapsedTick > record.sentTick || (record.qos === 2 && taker.departedAt >= record.sentAt);
}

/**
 * Subscriptions of one session that overlap with different QoS are streams of their own; and what a group's member did
 * not acknowledge goes to another one late.
 */
export function isOrdered(record: MessageRecord, { taker, subscriptions }: Slot): boolean {
  if ('members' in taker) return taker.isUp && taker.churnTick < record.sentTick;
  const [first] = subscriptions;
  return subscriptions.every(({ qos }) => qos === first?.qos);
}

/** Under whose class a loss is counted. */
export function representative({ taker, subscriptions }: Slot): ClientRecord {
  return 'members' in taker ? (subscriptions[0] as Subscription).client : taker.client;
}

/** A message of which nothing is left but its row and number. */
export function describeOld(row: Row, sequence: number): string {
  return `message ${sequence} of ${row.client.clientId} on ${row.topic.name}, QoS ${row.qos}, which it had long ago`;
}
