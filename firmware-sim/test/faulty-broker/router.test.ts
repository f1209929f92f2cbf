import type { IPublishPacket, Packet } from 'mqtt-packet';
import { expect, it } from 'vitest';
import { binaryPayload, emptyReading, readStamp, writeStamp } from '../../src/checker/stamp.ts';
import { Random } from '../../src/lib/random.ts';
import type { Plant } from './planter.ts';
import { Router } from './router.ts';
import type { RoutedMessage, Session } from './session.ts';

/** A router that does `plant` wrong as often as it is told, and a taker of `a/#` that writes down what it gets. */
function routerOf(times: Partial<Record<Plant, number>>): { router: Router; got: IPublishPacket[]; taker: Session } {
  const router = new Router({ times, chance: 1, random: new Random(1), allows: () => true });
  const got: IPublishPacket[] = [];
  const taker = connect(router, 'taker', got);
  subscribe(taker, 'a/#');
  return { router, got, taker };
}

function connect(router: Router, clientId: string, got: IPublishPacket[]): Session {
  const session = router.create(clientId, 3600);
  const send = (packet: Packet): void => {
    if (packet.cmd !== 'publish') return;
    got.push(packet);
    session.acknowledge('pubcomp', packet.messageId ?? 0, 0);
  };
  session.attach({ send }, 10);
  return session;
}

function subscribe(session: Session, topicFilter: string): void {
  const subscription = { topicFilter, group: undefined, qos: 2, noLocal: false, retainAsPublished: false } as const;
  session.subscriptions.set(topicFilter, subscription);
}

function message(sequence: number, options: Partial<RoutedMessage> = {}): RoutedMessage {
  const payload = binaryPayload(Buffer.from('body'));
  writeStamp(payload, 7, { client: 3, sequence, dueAt: 5, qos: 1 });
  const base = { publisherId: 'sender', topicName: 'a/b', qos: 1, retain: false, properties: undefined } as const;
  return { ...base, payload: payload.bytes, ...options };
}

function sequences(got: readonly IPublishPacket[]): number[] {
  return got.map(({ payload }) => {
    const reading = emptyReading();
    readStamp(payload as Buffer, 7, reading);
    return reading.kind === 'intact' ? reading.sequence : -1;
  });
}

function routed(times: Partial<Record<Plant, number>>, options: Partial<RoutedMessage> = {}): IPublishPacket[] {
  const { router, got } = routerOf(times);
  for (let sequence = 1; sequence <= 4; sequence++) router.route(message(sequence, options));
  router.release();
  expect(router.planter.left).toEqual([]);
  return got;
}

it('routes everything in order where nothing is planted', () => {
  expect(sequences(routed({}))).toEqual([1, 2, 3, 4]);
});

it('loses a delivery', () => {
  expect(sequences(routed({ lose: 1 }))).toEqual([2, 3, 4]);
});

it('repeats a delivery without DUP, with another packet id', () => {
  const got = routed({ repeat: 1 });
  expect(sequences(got).toSorted((a, b) => a - b)).toEqual([1, 1, 2, 3, 4]);
  expect(got.some(({ dup }) => dup)).toBe(false);
  expect(new Set(got.map(({ messageId }) => messageId)).size).toBe(5);
});

it('duplicates QoS 2 and not QoS 1', () => {
  expect(routed({ duplicate: 1 }, { qos: 2 }).length).toBe(5);
  const { router, got } = routerOf({ duplicate: 1 });
  router.route(message(1));
  expect(got.length).toBe(1);
});

it('swaps two deliveries of a stream, and takes a swap back that has no second one', () => {
  expect(sequences(routed({ reorder: 1 }))).toEqual([2, 1, 3, 4]);
  const { router, got } = routerOf({ reorder: 1 });
  router.route(message(1));
  router.route(message(2, { topicName: 'a/other', qos: 0 }));
  expect(sequences(got)).toEqual([2]);
  expect(router.isHolding).toBe(true);
  router.release();
  expect(sequences(got)).toEqual([2, 1]);
  expect(router.planter.left).toEqual(['reorder']);
});

it('changes exactly one byte', () => {
  const received = routed({ corrupt: 1 })[0]?.payload as Buffer;
  const changed = message(1).payload.filter((byte, at) => byte !== received[at]);
  expect(changed.length).toBe(1);
});

it('forges a message with a good stamp that was never sent', () => {
  const got = sequences(routed({ phantom: 1 }));
  expect(got[1]).toBeGreaterThan(1_000_000);
  expect(got.filter((sequence) => sequence < 5)).toEqual([1, 2, 3, 4]);
});

it('delivers a copy on another topic that its taker subscribes to', () => {
  expect(routed({ 'wrong-topic': 1 }).map(({ topic }) => topic)).toEqual(['a/b', 'a/b/elsewhere', 'a/b', 'a/b', 'a/b']);
});

it('leaks only to who has no subscription for it', () => {
  const { router, got } = routerOf({ leak: 1 });
  const leaked: IPublishPacket[] = [];
  subscribe(connect(router, 'stranger', leaked), 'b');
  router.route(message(1));
  router.route(message(2));
  expect([sequences(got), sequences(leaked)]).toEqual([[1, 2], [1]]);
});

it('holds a delivery back until it is let go', () => {
  const { router, got } = routerOf({ late: 1 });
  router.route(message(1));
  router.route(message(2));
  expect(sequences(got)).toEqual([2]);
  router.releaseLate();
  expect(sequences(got)).toEqual([2, 1]);
});

it.each([
  [{}, [2]],
  [{ 'stale-retained': 1 }, [1]],
  [{ 'no-retained': 1 }, []],
] as const)('with %j planted gives a new subscription %j of two retained values', (times, expected) => {
  const { router, got, taker } = routerOf(times);
  for (const sequence of [1, 2]) router.route(message(sequence, { topicName: 'kept', retain: true }));
  subscribe(taker, 'kept');
  for (const subscription of taker.subscriptions.values()) router.replay(taker, subscription);
  expect(sequences(got)).toEqual(expected);
  expect(router.planter.left).toEqual([]);
});
