import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { test } from './statement-test.ts';
import { vanish } from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';

describe('the filter of a shared subscription', () => {
  test('[MQTT-4.8.2-1] starts with $share/ and a share name', async ({ broker }) => {
    const client = await broker.connect();
    client.sendSubscribe(['$share//a', '$share//', '$share/', '$share/g/a', '$share/ /a'], 1);
    const invalid = ReasonCode.topicFilterInvalid;
    await client.expect(PacketType.suback, { reasonCodes: [invalid, invalid, invalid, 1, 1] });
    // Anything else is a filter like others, and not shared.
    const ordinary = await broker.connect();
    await ordinary.subscribe(['$SHARE/g/a', '$shared/g/a', 'share/g/a', '/$share/g/a', '$share'], 1);
    await ordinary.publish('a', 'shared', { qos: 1 });
    await ordinary.expectNothing();
    await ordinary.publish('$shared/g/a', 'own', { qos: 1 });
    await ordinary.expectMessage({ topicName: '$shared/g/a' });
  });

  test('[MQTT-4.8.2-2] has a share name without wildcards, and a filter behind it', async ({ broker }) => {
    const client = await broker.connect();
    const wrong = ['$share/+/a', '$share/#/a', '$share/g+/a', '$share/g#/a', '$share/g', '$share/g/', '$share/#'];
    client.sendSubscribe(wrong, 1);
    await client.expect(PacketType.suback, { reasonCodes: wrong.map(() => ReasonCode.topicFilterInvalid) });
    for (const topicName of ['a', 'g/a']) await client.publish(topicName, 'x', { qos: 1 });
    await client.expectNothing();
    // The share name ends at its slash: what follows is the filter, empty levels and wildcards included.
    for (const [filter, topicName] of [
      ['$share/g//a', '/a'],
      ['$share/g/+/b', 'a/b'],
      ['$share/g/c/#', 'c'],
      ['$share/$share/d', 'd'],
    ] as const) {
      await client.subscribe(filter, 1);
      await client.publish(topicName, filter, { qos: 1 });
      await client.expectMessage({ topicName, payload: filter });
      await client.expectNothing();
    }
  });
});

describe('delivery to a shared subscription', () => {
  test('[MQTT-4.8.2-3] has the QoS granted to the member that gets it', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const granted of [0, 1, 2] as const) {
      const client = await broker.connect();
      await client.subscribe('$share/g/a', granted);
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('a', 'x', { qos });
        await client.expectMessage({ qos: Math.min(qos, granted) as 0 | 1 | 2 });
      }
      await client.disconnect();
    }
    const [low, high] = [await broker.connect(), await broker.connect()];
    await low.subscribe('$share/g/a', 0);
    await high.subscribe('$share/g/a', 2);
    for (let i = 0; i < 8; i += 1) await publisher.publish('a', `${i}`, { qos: 2 });
    for (let i = 0; i < 4; i += 1) {
      await low.expectMessage({ qos: 0 });
      await high.expectMessage({ qos: 2 });
    }
    for (const client of [low, high]) await client.expectNothing();
  });

  test('[MQTT-4.8.2-4] a QoS 2 message begun is delivered to the same member when it comes back', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('$share/g/a', 2);
    await publisher.publish('a', 'one', { qos: 2 });
    await publisher.publish('a', 'two', { qos: 2 });
    const one = await first.expectPublish({ payload: 'one' });
    const two = await first.expectPublish({ payload: 'two' });
    first.sendAck(PacketType.pubrec, two.packetId);
    await first.expect(PacketType.pubrel, { packetId: two.packetId });
    const other = await broker.connect();
    await other.subscribe('$share/g/a', 2);
    await vanish(broker, first, 'kept');
    await publisher.publish('a', 'three', { qos: 2 });
    await other.expectMessage({ payload: 'three' });
    await other.expectNothing();
    const again = await broker.connect(KEPT);
    await again.expectPublish({ payload: 'one', packetId: one.packetId, dup: true });
    await again.expect(PacketType.pubrel, { packetId: two.packetId });
    await again.expectNothing();
    await other.expectNothing();
  });

  test('[MQTT-4.8.2-5] a QoS 2 message begun goes to nobody else where the session ends', async ({ broker }) => {
    const publisher = await broker.connect();
    const other = await broker.connect();
    const client = await broker.connect();
    await client.subscribe('$share/g/a', 2);
    await publisher.publish('a', 'begun', { qos: 2 });
    await client.expectPublish({ payload: 'begun' });
    await other.subscribe('$share/g/a', 2);
    await vanish(broker, client);
    await other.expectNothing();
    await publisher.publish('a', 'next', { qos: 2 });
    await other.expectMessage({ payload: 'next' });
    await other.expectNothing();
  });

  test('[MQTT-4.8.2-6] a message refused by PUBACK or PUBREC goes to nobody else', async ({ broker }) => {
    const publisher = await broker.connect();
    const members = [await broker.connect(), await broker.connect()];
    for (const member of members) await member.subscribe('$share/g/a', 2);
    for (const qos of [1, 2] as const) {
      for (const payload of ['one', 'two']) await publisher.publish('a', payload, { qos });
      for (const member of members) {
        const { packetId } = await member.expectPublish({ qos });
        const type = qos === 1 ? PacketType.puback : PacketType.pubrec;
        member.sendAck(type, packetId, ReasonCode.quotaExceeded);
      }
      for (const member of members) await member.expectNothing();
    }
    for (const member of members) await vanish(broker, member);
    const late = await broker.connect();
    await late.subscribe('$share/g/a', 2);
    await late.expectNothing();
  });

  test('[MQTT-4.8.2-3] each group and each other subscription gets its own copy', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect();
    await client.subscribe('a', 0, { subscriptionIdentifiers: [1] });
    await client.subscribe('$share/g/a', 1, { subscriptionIdentifiers: [2] });
    await client.subscribe('$share/h/#', 2, { subscriptionIdentifiers: [3] });
    await publisher.publish('a', 'x', { qos: 2 });
    const copies: [number, number[] | undefined][] = [];
    for (let i = 0; i < 3; i += 1) {
      const { qos, properties } = await client.expectMessage({ payload: 'x' });
      copies.push([qos, properties.subscriptionIdentifiers]);
    }
    expect(copies.toSorted(([a], [b]) => a - b)).toEqual([
      [0, [1]],
      [1, [2]],
      [2, [3]],
    ]);
    await client.expectNothing();
  });
});
