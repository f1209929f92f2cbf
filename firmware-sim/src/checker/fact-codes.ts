import type { SubscribeOptions } from '../client/client.ts';
import type { StampReading } from './stamp.ts';
import type { SentMessage } from './witness.ts';

/** Kinds of facts in a batch: the first number of each; `[code, at, client, ...]`, in all so many numbers as `sizes` says. */
export const code: {
  readonly client: 0;
  readonly connecting: 1;
  readonly connectingWithWill: 2;
  readonly connected: 3;
  readonly disconnecting: 4;
  readonly ended: 5;
  readonly sent: 6;
  readonly acknowledged: 7;
  readonly refused: 8;
  readonly abandoned: 9;
  readonly subscribing: 10;
  readonly subscribed: 11;
  readonly unsubscribing: 12;
  readonly unsubscribed: 13;
  readonly delivered: 14;
  readonly broker: 15;
  readonly completed: 16;
} = {
  client: 0,
  connecting: 1,
  connectingWithWill: 2,
  connected: 3,
  disconnecting: 4,
  ended: 5,
  sent: 6,
  acknowledged: 7,
  refused: 8,
  abandoned: 9,
  subscribing: 10,
  subscribed: 11,
  unsubscribing: 12,
  unsubscribed: 13,
  delivered: 14,
  broker: 15,
  completed: 16,
};

/** Numbers per fact, by code. */
export const sizes: readonly number[] = [5, 6, 11, 4, 5, 4, 7, 4, 5, 4, 5, 5, 4, 4, 10, 4, 4];

/** Kinds of readings, by the number they are recorded with. */
export const readingKinds: readonly StampReading['kind'][] = ['intact', 'damaged', 'foreign', 'empty'];

/** Everything of a message but its topic, its sequence number and its expiry, in one number. */
export function messageBits({ qos, retain, isEmpty }: SentMessage): number {
  return qos | (retain ? 4 : 0) | (isEmpty ? 8 : 0);
}

/** The message; `expirySeconds` is NaN for none. */
export function messageOf(bits: number, sequence: number, topicName: string, expirySeconds: number): SentMessage {
  const message = { sequence, topicName, qos: qosOf(bits), retain: (bits & 4) !== 0, isEmpty: (bits & 8) !== 0 };
  return Number.isNaN(expirySeconds) ? message : { ...message, expirySeconds };
}

/** Everything of a subscription but its filter, in one number: two bits each, 3 for what is not there. */
export function subscriptionBits({ qos, noLocal, retainAsPublished, retainHandling }: SubscribeOptions): number {
  return qos | (flag(noLocal) << 2) | (flag(retainAsPublished) << 4) | ((retainHandling ?? 3) << 6);
}

/** The subscription. */
export function subscriptionOf(bits: number, topicFilter: string): SubscribeOptions {
  const noLocal = (bits >> 2) & 3;
  const retainAsPublished = (bits >> 4) & 3;
  const retainHandling = (bits >> 6) & 3;
  return {
    topicFilter,
    qos: qosOf(bits),
    ...(noLocal !== 3 && { noLocal: noLocal === 1 }),
    ...(retainAsPublished !== 3 && { retainAsPublished: retainAsPublished === 1 }),
    ...(retainHandling !== 3 && { retainHandling: retainHandling as 0 | 1 | 2 }),
  };
}

/** QoS in the lowest two bits. */
export function qosOf(bits: number): 0 | 1 | 2 {
  return (bits & 3) as 0 | 1 | 2;
}

function flag(value: boolean | undefined): number {
  return value === undefined ? 3 : value ? 1 : 0;
}
