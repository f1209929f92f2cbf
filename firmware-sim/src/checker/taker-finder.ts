import type { QoS } from '../client/client.ts';
import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import type { ClientRecord, Session, Subscription } from './takers.ts';
import type { Slot } from './topics.ts';
import { topicMatches } from './topic-filter.ts';

/** Answers of {@link TakerFinder.find} that are no places. */
export const found: { readonly extra: -1; readonly leak: -2; readonly moved: -3 } = { extra: -1, leak: -2, moved: -3 };

/** Says for which taker a client got a message: for itself, or for one of its groups. */
export class TakerFinder {
  /** Whether the last answer was one of several that were possible. */
  isAmbiguous = false;
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /**
   * The place in the message's list; `extra` for a client that is not in it and may get the message, since it had or
   * has a subscription that was not there when the message was sent; `leak` for one that may not; `moved` where it was
   * taken note of already and is in order.
   */
  find(record: MessageRecord, client: ClientRecord, qos: QoS): number {
    this.isAmbiguous = false;
    const { session } = client;
    if (session === undefined) return found.leak;
    const direct = ownPlace(record, client, session);
    if (client.memberships.length === 0 && direct !== -1) return direct;
    const places = placesOf(record, client, direct);
    if (places.length > 1) return this.#choose(record, client, session, { places, qos });
    const [only] = places;
    const isFree = only !== undefined && !record.isHad(only);
    if (isFree && extraCopies(record, session) > 0) (record.claims ??= new Map()).set(only, client);
    const extras = record.extras?.get(session) ?? 0;
    if (!isFree && (extraCopies(record, session) > extras || (extras > 0 && qos === 1))) return found.extra;
    if (only === undefined) return extraCopies(record, session) > 0 ? found.extra : found.leak;
    // What the place was counted for may have been another taker's of a client that has several.
    const holder = isFree ? undefined : record.claims?.get(only);
    if (holder === undefined || holder === client) return only;
    record.claims?.delete(only);
    if (holder.session !== undefined) this.#moveElsewhere(record, holder, holder.session, only);
    return found.moved;
  }

  /** How well a delivery of that QoS fits what the client has not got of the message: 0 not at all, 4 exactly. */
  fit(record: MessageRecord, client: ClientRecord, qos: number): number {
    const { session } = client;
    const place = this.placeWithRoom(record, client, qos);
    if (place !== -1) return rankOf(record, place, qos);
    return session !== undefined && extraCopies(record, session) > (record.extras?.get(session) ?? 0) ? 1 : 0;
  }

  /** The place of one of the client's takers that has not got it; -1 for none. */
  placeWithRoom(record: MessageRecord, client: ClientRecord, qos: number): number {
    const { session } = client;
    if (session === undefined) return -1;
    return likeliest(record, placesOf(record, client, ownPlace(record, client, session)), qos);
  }

  /** Copies for several takers of one client cannot be told apart: only their number is judged, but of QoS 1. */
  #choose(
    record: MessageRecord,
    client: ClientRecord,
    session: Session,
    { places, qos }: { readonly places: readonly number[]; readonly qos: QoS },
  ): number {
    this.isAmbiguous = true;
    const copies = (record.copies ??= new Map());
    const key = copiesKey(client);
    const count = (copies.get(key) ?? 0) + (qos === 1 ? 0 : 1);
    copies.set(key, count);
    const free = likeliest(record, places, qos);
    if (free !== -1) {
      (record.claims ??= new Map()).set(free, client);
      return free;
    }
    for (const place of places) {
      const holder = record.claims?.get(place);
      if (holder === undefined || holder === client || holder.session === undefined) continue;
      if (!this.#moveElsewhere(record, holder, holder.session, place)) continue;
      record.claims?.set(place, client);
      return found.moved;
    }
    const direct = ownPlace(record, client, session);
    const allowed = direct === -1 ? places.length : places.length - 1 + copiesAllowed(record, session);
    return count <= allowed + extraCopies(record, session) ? found.moved : (places[0] as number);
  }

  /** Counts what a client got for one taker for another of its takers, if there is one without. */
  #moveElsewhere(record: MessageRecord, holder: ClientRecord, session: Session, from: number): boolean {
    const others = placesOf(record, holder, ownPlace(record, holder, session));
    const rest = others.filter((place) => place !== from);
    const free = likeliest(record, rest, Math.min(record.qos, 1));
    if (free === -1) return false;
    const { taker } = record.list.slots[free] as Slot;
    record.markHad(free);
    if (record.isAwaited(free)) this.#ledger.unawait(record, free, taker);
    else if (record.isHoped(free)) record.clearHoped(free);
    record.claims?.set(free, holder);
    return true;
  }
}

/** The place of the session itself; -1 where it may not get the message for itself. */
function ownPlace(record: MessageRecord, client: ClientRecord, session: Session): number {
  const own = record.list.placeOf(session);
  return own !== -1 && isForbidden(record, own, client) ? -1 : own;
}

/** All places at which the client may have got the message. */
function placesOf(record: MessageRecord, client: ClientRecord, direct: number): number[] {
  const places = direct === -1 ? [] : [direct];
  for (const { taker, goneTick } of client.memberships) {
    if (goneTick < record.earliestTick) continue;
    const place = record.list.placeOf(taker);
    if (place !== -1 && !places.includes(place)) places.push(place);
  }
  return places;
}

/** Of the places without it the one that it was meant for, judged by what each is owed and by its QoS; -1 for none. */
function likeliest(record: MessageRecord, places: readonly number[], qos: number): number {
  let best = -1;
  let bestRank = 0;
  for (const place of places) {
    if (record.isHad(place)) continue;
    const rank = rankOf(record, place, qos);
    if (rank > bestRank) [best, bestRank] = [place, rank];
  }
  return best;
}

function rankOf(record: MessageRecord, place: number, qos: number): number {
  const slot = record.list.slots[place] as Slot;
  const granted = slot.taker === record.client.session ? slot.ownQos : slot.qos;
  const isExact = Math.min(granted, record.qos) === qos;
  if (record.isAwaited(place)) return isExact ? 4 : 3;
  if (record.isHoped(place)) return isExact ? 4 : 2;
  if (record.state !== 'sent' || granted === -1 || !slot.subscriptions.some(({ isSure }) => isSure)) return 1;
  return isExact ? 4 : 3;
}

/** Its own message, and all subscriptions that match say No Local [MQTT-3.8.3-3]. */
function isForbidden(record: MessageRecord, place: number, client: ClientRecord): boolean {
  if (client !== record.client) return false;
  const { sentTick } = record;
  return record.list.slots[place]?.subscriptions.every((subscription) => keepsOwn(subscription, sentTick)) === true;
}

/** Whether it had No Local when the message was sent, and has it still; what was queued before is not held back. */
function keepsOwn({ noLocal, localTick }: Subscription, sentTick: number): boolean {
  return noLocal === 'yes' && localTick < sentTick;
}

/** Under which copies for a client with several takers are counted; places count from 0. */
export function copiesKey(client: ClientRecord): number {
  return -1 - client.number;
}

/** Subscriptions of the session that match and may have been in force after that fact. */
function* matching(session: Session, isOwn: boolean, topicName: string, sinceTick: number): Generator<Subscription> {
  for (const some of [session.subscriptions.values(), session.former]) {
    for (const subscription of some) {
      const { goneTick, topicFilter } = subscription;
      if (goneTick > sinceTick && !(isOwn && keepsOwn(subscription, sinceTick)) && topicMatches(topicFilter, topicName))
        yield subscription;
    }
  }
}

/** Whether the session may get a message: it has a subscription for it now, or had one after that fact. */
export function mayTake(session: Session, isOwn: boolean, topicName: string, sinceTick: number): boolean {
  return session.isRevived || matching(session, isOwn, topicName, sinceTick).next().done !== true;
}

/** How often a session may get a message for itself: once for each of its subscriptions [MQTT-3.3.4-2]. */
export function copiesAllowed(record: MessageRecord, session: Session): number {
  let copies = 0;
  for (const { taker } of matching(
    session,
    session.client === record.client,
    record.row.topic.name,
    record.earliestTick,
  )) {
    if (taker === session) copies++;
  }
  return Math.max(1, copies);
}

/** How often a session may get it by subscriptions that came after the message was sent. */
function extraCopies(record: MessageRecord, session: Session): number {
  if (session.isRevived) return Number.POSITIVE_INFINITY;
  let copies = 0;
  for (const { taker } of matching(
    session,
    session.client === record.client,
    record.row.topic.name,
    record.earliestTick,
  )) {
    const place = record.list.placeOf(taker);
    if (place === -1 || (taker === session && isForbidden(record, place, session.client))) copies++;
  }
  return copies;
}
