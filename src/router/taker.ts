import type { Qos } from '../protocol/packets.ts';

/** The options of one subscription that decide how a message is delivered, section 3.8.3.1. */
export interface TrieSubscription {
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 1 to 268,435,455; 0 for none. */
  subscriptionIdentifier: number;
}

/** One delivery to make: the merge of all matching subscriptions of one subscriber, or one of them alone. */
export interface Taker<S> {
  readonly subscriber: S;
  /** The highest QoS of the subscriptions merged here. */
  readonly qos: Qos;
  /** True when any of the subscriptions merged here has Retain As Published. */
  readonly retainAsPublished: boolean;
  /** One for each subscription merged here that has one; equal ones are repeated. */
  readonly subscriptionIdentifiers: readonly number[];
  /** True when every subscription merged here has No Local: the publisher itself gets nothing. */
  readonly noLocal: boolean;
  /**
   * What to use instead when the subscriber is the publisher: the merge of the subscriptions without No Local. It is the
   * same object when none has it, and undefined when all have it.
   */
  readonly forPublisher: Taker<S> | undefined;
}

const NO_IDENTIFIERS: readonly number[] = [];

/** The only implementation of `Taker`: one is kept per subscription, so that a match of one subscription makes none and is it. */
export class SubscriptionTaker<S> implements Taker<S> {
  readonly subscriber: S;
  readonly qos: Qos;
  readonly retainAsPublished: boolean;
  readonly subscriptionIdentifiers: readonly number[];
  forPublisher: SubscriptionTaker<S> | undefined;

  constructor(subscriber: S, qos: Qos, retainAsPublished: boolean, subscriptionIdentifiers: readonly number[]) {
    this.subscriber = subscriber;
    this.qos = qos;
    this.retainAsPublished = retainAsPublished;
    this.subscriptionIdentifiers = subscriptionIdentifiers;
    this.forPublisher = this;
  }

  get noLocal(): boolean {
    return this.forPublisher === undefined;
  }

  /** Tells whether it says the same as the subscription, so that replacing it would change nothing. */
  equals(subscription: TrieSubscription): boolean {
    return (
      this.qos === subscription.qos &&
      this.noLocal === subscription.noLocal &&
      this.retainAsPublished === subscription.retainAsPublished &&
      (this.subscriptionIdentifiers[0] ?? 0) === subscription.subscriptionIdentifier
    );
  }
}

/** Who gets a message: the one taker alone, where there is one, or a list, which is never changed. */
export type Takers<S> = SubscriptionTaker<S> | readonly SubscriptionTaker<S>[];

/** The takers as a list. */
export function takerList<S>(takers: Takers<S>): readonly SubscriptionTaker<S>[] {
  return takers instanceof SubscriptionTaker ? [takers] : takers;
}

/** The takers of one topic filter: a single one as it is, several by subscriber. */
export type TakerSlot<S> = SubscriptionTaker<S> | Map<S, SubscriptionTaker<S>>;

/** Makes the taker of one subscription. */
export function takerOf<S>(subscriber: S, subscription: TrieSubscription): SubscriptionTaker<S> {
  const { qos, noLocal, retainAsPublished, subscriptionIdentifier } = subscription;
  const identifiers = subscriptionIdentifier === 0 ? NO_IDENTIFIERS : [subscriptionIdentifier];
  const taker = new SubscriptionTaker(subscriber, qos, retainAsPublished, identifiers);
  if (noLocal) taker.forPublisher = undefined; // [MQTT-3.8.3-3]
  return taker;
}

/** Finds the taker of a subscriber in a slot. */
export function findTaker<S>(slot: TakerSlot<S> | undefined, subscriber: S): SubscriptionTaker<S> | undefined {
  if (slot === undefined) return undefined;
  if (slot instanceof Map) return slot.get(subscriber);
  return slot.subscriber === subscriber ? slot : undefined;
}

/** Puts a taker in, in place of the one of the same subscriber. @returns the slot to keep. */
export function slotWith<S>(slot: TakerSlot<S> | undefined, taker: SubscriptionTaker<S>): TakerSlot<S> {
  if (slot === undefined) return taker;
  if (slot instanceof Map) return slot.set(taker.subscriber, taker);
  if (slot.subscriber === taker.subscriber) return taker;
  return new Map([
    [slot.subscriber, slot],
    [taker.subscriber, taker],
  ]);
}

/** Takes the taker of a subscriber out. @returns the slot to keep, undefined when it is empty. */
export function slotWithout<S>(slot: TakerSlot<S>, subscriber: S): TakerSlot<S> | undefined {
  if (!(slot instanceof Map)) return slot.subscriber === subscriber ? undefined : slot;
  slot.delete(subscriber);
  if (slot.size > 1) return slot;
  for (const last of slot.values()) return last;
  return undefined;
}

/** Lists the takers of all slots, one for each subscription. */
export function listTakers<S>(slots: readonly TakerSlot<S>[]): SubscriptionTaker<S>[] {
  const takers: SubscriptionTaker<S>[] = [];
  for (const slot of slots) {
    if (slot instanceof Map) {
      for (const taker of slot.values()) takers.push(taker);
    } else {
      takers.push(slot);
    }
  }
  return takers;
}

/** Up to this many takers, comparing each with each is cheaper than a map of subscribers. */
const FEW_TAKERS = 8;

/**
 * Lists the takers of all slots, those of one subscriber merged into one, so that each gets the message once.
 *
 * Where there is a large slot, as in a fan-out beside which somebody listens to `#`, it is looked up in rather than
 * copied to another map: the cost is that of listing it, and linear in the takers of the others.
 */
export function mergeSlots<S>(slots: readonly TakerSlot<S>[]): SubscriptionTaker<S>[] {
  const largest = largestMap(slots);
  if (largest === undefined) return mergeBySubscriber(listTakers(slots));
  const others = slots.filter((slot) => slot !== largest);
  const takers = listTakers(others);
  const merged: SubscriptionTaker<S>[] = [];
  const overlapping = new Set<S>();
  for (const taker of others.length > 1 ? mergeBySubscriber(takers) : takers) {
    const same = largest.get(taker.subscriber);
    merged.push(same === undefined ? taker : merge([same, taker]));
    if (same !== undefined) overlapping.add(taker.subscriber);
  }
  const overlaps = overlapping.size > 0;
  for (const taker of largest.values()) if (!overlaps || !overlapping.has(taker.subscriber)) merged.push(taker);
  return merged;
}

function largestMap<S>(slots: readonly TakerSlot<S>[]): Map<S, SubscriptionTaker<S>> | undefined {
  let largest: Map<S, SubscriptionTaker<S>> | undefined;
  for (const slot of slots) {
    if (slot instanceof Map && slot.size > (largest?.size ?? FEW_TAKERS)) largest = slot;
  }
  return largest;
}

function mergeBySubscriber<S>(takers: readonly SubscriptionTaker<S>[]): SubscriptionTaker<S>[] {
  const positions = takers.length > FEW_TAKERS ? new Map<S, number>() : undefined;
  const merged: SubscriptionTaker<S>[] = [];
  let overlaps: Map<number, SubscriptionTaker<S>[]> | undefined;
  for (const taker of takers) {
    const position =
      positions === undefined ? positionOf(merged, taker.subscriber) : (positions.get(taker.subscriber) ?? -1);
    const first = position < 0 ? undefined : merged[position];
    if (first === undefined) {
      positions?.set(taker.subscriber, merged.length);
      merged.push(taker);
      continue;
    }
    overlaps ??= new Map();
    const parts = overlaps.get(position);
    if (parts === undefined) overlaps.set(position, [first, taker]);
    else parts.push(taker);
  }
  if (overlaps !== undefined) for (const [position, parts] of overlaps) merged[position] = merge(parts);
  return merged;
}

function positionOf<S>(takers: readonly SubscriptionTaker<S>[], subscriber: S): number {
  for (let i = 0; i < takers.length; i++) if (takers[i]?.subscriber === subscriber) return i;
  return -1;
}

function merge<S>(parts: readonly SubscriptionTaker<S>[]): SubscriptionTaker<S> {
  const merged = combine(parts);
  if (parts.every((part) => part.forPublisher === part)) return merged;
  const own: SubscriptionTaker<S>[] = [];
  for (const part of parts) if (part.forPublisher !== undefined) own.push(part.forPublisher);
  merged.forPublisher = own.length === 0 ? undefined : combine(own);
  return merged;
}

function combine<S>(parts: readonly SubscriptionTaker<S>[]): SubscriptionTaker<S> {
  let qos: Qos = 0;
  let retainAsPublished = false;
  const identifiers: number[] = [];
  for (const part of parts) {
    if (part.qos > qos) qos = part.qos; // [MQTT-3.3.4-2]
    if (part.retainAsPublished) retainAsPublished = true;
    for (const identifier of part.subscriptionIdentifiers) identifiers.push(identifier); // [MQTT-3.3.4-4]
  }
  return new SubscriptionTaker(parts[0]!.subscriber, qos, retainAsPublished, identifiers);
}
