import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import type { RawClient } from '../support/raw-client.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, rawPublish, rawSubscribe } from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';

/** Takes the next message and returns its Subscription Identifiers, smallest first. */
async function identifiersOfNext(client: RawClient, payload: string): Promise<number[]> {
  const { properties } = await client.expectMessage({ payload });
  return (properties.subscriptionIdentifiers ?? []).toSorted((a, b) => a - b);
}

const PER_SUBSCRIPTION = { config: { session: { overlap: 'per-subscription' } } } as const;

describe('overlapping subscriptions with one copy', () => {
  test('[MQTT-3.3.4-2] it has the highest QoS granted', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe([
      { topicFilter: 'a/b', qos: 0 },
      { topicFilter: 'a/+', qos: 2 },
      { topicFilter: 'a/#', qos: 1 },
    ]);
    for (const qos of [0, 1, 2] as const) {
      await client.publish('a/b', 'x', { qos });
      await client.expectMessage({ topicName: 'a/b', qos });
      await client.expectNothing();
    }
    await client.unsubscribe('a/+');
    await client.publish('a/b', 'x', { qos: 2 });
    await client.expectMessage({ qos: 1 });
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-3] it has the identifiers there are, where some subscriptions have none', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a/b', 2);
    await client.subscribe('a/+', 1, { subscriptionIdentifiers: [7] });
    await client.publish('a/b', 'x', { qos: 2 });
    expect(await identifiersOfNext(client, 'x')).toEqual([7]);
    await client.publish('a/c', 'y', { qos: 2 });
    expect(await identifiersOfNext(client, 'y')).toEqual([7]);
    await client.unsubscribe('a/+');
    await client.publish('a/b', 'z', { qos: 2 });
    expect(await identifiersOfNext(client, 'z')).toEqual([]);
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-4] it has the identifiers of all that match, live and queued', async ({ broker }) => {
    const live = await broker.connect();
    const away = await broker.connect(KEPT);
    for (const client of [live, away]) {
      await client.subscribe('a/b', 0, { subscriptionIdentifiers: [1] });
      await client.subscribe('a/+', 1, { subscriptionIdentifiers: [268_435_455] });
      await client.subscribe('#', 2, { subscriptionIdentifiers: [128] });
      await client.subscribe('b', 2, { subscriptionIdentifiers: [9] });
    }
    await away.disconnect();
    await live.publish('a/b', 'x', { qos: 2 });
    const again = await broker.connect(KEPT);
    for (const client of [live, again]) {
      expect(await identifiersOfNext(client, 'x')).toEqual([1, 128, 268_435_455]);
      await client.expectNothing();
    }
  });

  test('[MQTT-3.3.4-2][MQTT-3.3.4-4] a retained message comes as one copy like that too', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a/b', 'retained', { qos: 2, retain: true });
    await client.subscribe([{ topicFilter: 'a/#', retainHandling: 2 }], 2, { subscriptionIdentifiers: [1] });
    await client.subscribe('a/b', 0, { subscriptionIdentifiers: [2] });
    const { qos, properties } = await client.expectMessage({ payload: 'retained', retain: true });
    expect(qos).toBe(2);
    expect(properties.subscriptionIdentifiers?.toSorted()).toEqual([1, 2]);
    await client.expectNothing();
  });
});

describe('overlapping subscriptions with a copy for each', () => {
  test('[MQTT-3.3.4-5] each has the identifier of its own subscription, if that has one', async ({ start }) => {
    const broker = await start(PER_SUBSCRIPTION);
    const client = await broker.connect();
    await client.subscribe('a/b', 0, { subscriptionIdentifiers: [1] });
    await client.subscribe('a/+', 1);
    await client.subscribe('a/#', 2, { subscriptionIdentifiers: [3] });
    await client.publish('a/b', 'x', { qos: 2 });
    const copies: [number, number[]][] = [];
    for (let i = 0; i < 3; i += 1) {
      const { qos, properties } = await client.expectMessage({ payload: 'x' });
      copies.push([qos, properties.subscriptionIdentifiers ?? []]);
    }
    expect(copies.toSorted(([a], [b]) => a - b)).toEqual([
      [0, [1]],
      [1, []],
      [2, [3]],
    ]);
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-5] a retained message has that of the subscription that brought it', async ({ start }) => {
    const broker = await start(PER_SUBSCRIPTION);
    const client = await broker.connect();
    await client.publish('a/b', 'retained', { qos: 2, retain: true });
    const filters = ['a/b', 'a/+', 'a/#', '#'];
    for (const [i, topicFilter] of filters.entries()) {
      await client.subscribe(topicFilter, i % 2 === 0 ? 2 : 1, { subscriptionIdentifiers: [i + 1] });
      const { qos, properties } = await client.expectMessage({ payload: 'retained', retain: true });
      expect([topicFilter, qos, properties.subscriptionIdentifiers]).toEqual([
        topicFilter,
        i % 2 === 0 ? 2 : 1,
        [i + 1],
      ]);
      await client.expectNothing();
    }
  });
});

describe('Subscription Identifiers of clients', () => {
  test('[MQTT-3.3.4-6] one in a PUBLISH closes the connection with 0x82', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('#', 0, { subscriptionIdentifiers: [1] });
    const lists = [
      [0x0b, 1],
      [0x0b, 0],
      [0x0b, 0x80, 0x01],
    ].map((bytes) => rawPublish('a', rawProperties(Buffer.from(bytes))));
    await expectPacketsRefused(broker, ReasonCode.protocolError, lists);
    await watcher.expectNothing();
  });

  test('[MQTT-3.3.4-3] they are replaced with the subscription', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 1, { subscriptionIdentifiers: [1] });
    await client.subscribe('a', 1, { subscriptionIdentifiers: [2] });
    await client.publish('a', 'x', { qos: 1 });
    expect(await identifiersOfNext(client, 'x')).toEqual([2]);
    await client.subscribe('a', 1);
    await client.publish('a', 'y', { qos: 1 });
    expect(await identifiersOfNext(client, 'y')).toEqual([]);
  });

  test('[MQTT-3.3.4-3] 0 in a SUBSCRIBE, or two of them, closes the connection with 0x82', async ({ broker }) => {
    const lists = [
      [0x0b, 0],
      [0x0b, 1, 0x0b, 2],
    ].map((bytes) => rawSubscribe('a', rawProperties(Buffer.from(bytes))));
    await expectPacketsRefused(broker, ReasonCode.protocolError, lists);
    const client = await broker.connect();
    client.send(rawSubscribe('a', rawProperties(Buffer.from([0x0b, 0xff, 0xff, 0xff, 0x7f]))));
    await client.expect(PacketType.suback, { reasonCodes: [0] });
  });
});
