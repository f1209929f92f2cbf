import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { test } from './statement-test.ts';
import { vanish } from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';

const expiringAfter = (sessionExpiryInterval: number) =>
  ({ clientId: 'kept', cleanStart: false, properties: { sessionExpiryInterval } }) as const;

describe('session state', () => {
  test('[MQTT-4.1.0-1] is kept as long as the connection, however short its expiry', async ({ start }) => {
    for (const interval of [0, 10]) {
      const broker = await start({ clock: new FakeClock() });
      const publisher = await broker.connect();
      const client = await broker.connect(expiringAfter(interval));
      await client.subscribe('a', 2);
      await publisher.publish('a', 'early', { qos: 2 });
      const { packetId } = await client.expectPublish({ payload: 'early' });
      client.sendPublish('b', 'x', { qos: 2, packetId: 9 });
      await client.expect(PacketType.pubrec, { packetId: 9 });
      broker.advance(10_000_000);
      client.sendAck(PacketType.pubrec, packetId);
      await client.expect(PacketType.pubrel, { packetId, reasonCode: ReasonCode.success });
      client.sendAck(PacketType.pubrel, 9);
      await client.expect(PacketType.pubcomp, { packetId: 9, reasonCode: ReasonCode.success });
      await publisher.publish('a', 'late', { qos: 1 });
      await client.expectMessage({ payload: 'late' });
    }
  });

  test('[MQTT-4.1.0-2] is discarded once the connection is closed and the expiry has passed', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const publisher = await broker.connect();
    const first = await broker.connect(expiringAfter(10));
    await first.subscribe('a', 1);
    await vanish(broker, first, 'kept');
    await publisher.publish('a', 'kept', { qos: 1 });
    broker.advance(9_999);
    const second = await broker.connect(expiringAfter(10));
    expect(second.connack.sessionPresent).toBe(true);
    await second.expectMessage({ payload: 'kept' });
    await vanish(broker, second, 'kept');
    await publisher.publish('a', 'lost', { qos: 1 });
    broker.advance(10_000);
    expect(broker.total(({ sessions }) => sessions)).toBe(1);
    const third = await broker.connect(expiringAfter(10));
    expect(third.connack.sessionPresent).toBe(false);
    await publisher.publish('a', 'nobody', { qos: 1 });
    await third.expectNothing();
  });

  test('[MQTT-4.1.0-2] is discarded with the connection where the expiry is 0, and never where it is the largest', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock() });
    for (const [interval, isKept] of [
      [0, false],
      [0xffff_ffff, true],
    ] as const) {
      const first = await broker.connect(expiringAfter(interval));
      await vanish(broker, first, 'kept');
      broker.advance(86_400_000);
      const second = await broker.connect(expiringAfter(interval));
      expect(second.connack.sessionPresent).toBe(isKept);
      await vanish(broker, second, 'kept');
    }
  });

  test('[MQTT-4.1.0-2] goes by the expiry DISCONNECT has', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const first = await broker.connect(expiringAfter(10));
    await first.disconnect(0, { sessionExpiryInterval: 100 });
    broker.advance(99_000);
    const second = await broker.connect(expiringAfter(10));
    expect(second.connack.sessionPresent).toBe(true);
    await second.disconnect(0, { sessionExpiryInterval: 0 });
    const third = await broker.connect(expiringAfter(10));
    expect(third.connack.sessionPresent).toBe(false);
  });
});

describe('what is sent again', () => {
  test('[MQTT-4.4.0-1] are unacknowledged PUBLISH and PUBREL packets with their packet ids', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    const ids: number[] = [];
    for (const [payload, qos] of [
      ['one', 2],
      ['two', 1],
      ['three', 2],
    ] as const) {
      await publisher.publish('a', payload, { qos });
      ids.push((await first.expectPublish({ payload, qos })).packetId);
    }
    first.sendAck(PacketType.pubrec, ids[0]!);
    await first.expect(PacketType.pubrel, { packetId: ids[0]! });
    first.destroy();
    await publisher.publish('a', 'later', { qos: 1 });
    const second = await broker.connect(KEPT);
    expect(second.connack.sessionPresent).toBe(true);
    await second.expect(PacketType.pubrel, { packetId: ids[0]! });
    await second.expectPublish({ payload: 'two', packetId: ids[1]!, dup: true });
    await second.expectPublish({ payload: 'three', packetId: ids[2]!, dup: true });
    await second.expectPublish({ payload: 'later', dup: false });
    await second.expectNothing();
  });

  test('[MQTT-4.4.0-1] is nothing while the connection lasts, however long that is', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const client = await broker.connect(KEPT);
    await client.subscribe('a', 2);
    await client.publish('a', 'one', { qos: 1 });
    await client.publish('a', 'two', { qos: 2 });
    await client.expectPublish({ payload: 'one' });
    const { packetId } = await client.expectPublish({ payload: 'two' });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    for (let i = 0; i < 10; i += 1) {
      broker.advance(600_000);
      await client.expectNothing();
    }
  });

  test('[MQTT-4.4.0-1] is nothing where Clean Start is 1', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.publish('a', 'one', { qos: 2 });
    await first.expectPublish({ payload: 'one' });
    first.destroy();
    const second = await broker.connect({ ...KEPT, cleanStart: true });
    expect(second.connack.sessionPresent).toBe(false);
    await second.expectNothing();
  });

  test('[MQTT-4.4.0-2] is nothing that PUBACK or PUBREC refused', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    const publisher = await broker.connect();
    await first.subscribe('a', 2);
    for (const qos of [1, 2] as const) {
      await publisher.publish('a', 'refused', { qos });
      const { packetId } = await first.expectPublish({ payload: 'refused', qos });
      const type = qos === 1 ? PacketType.puback : PacketType.pubrec;
      first.sendAck(type, packetId, ReasonCode.implementationSpecificError);
    }
    await first.expectNothing();
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectNothing();
  });
});

describe('messages the server took over', () => {
  test('[MQTT-4.5.0-1] are added to the state of every session with a match', async ({ broker }) => {
    const filters = ['a/b', 'a/+', 'a/#', '#', '+/b'];
    for (const clientId of filters) {
      const client = await broker.connect({ ...KEPT, clientId });
      await client.subscribe(clientId, 1);
      await client.disconnect();
    }
    const other = await broker.connect({ ...KEPT, clientId: 'other' });
    await other.subscribe('b/a', 1);
    const publisher = await broker.connect();
    await publisher.publish('a/b', 'x', { qos: 1 });
    await publisher.publish('a/b', 'y', { qos: 2 });
    await other.expectNothing();
    for (const clientId of filters) {
      const client = await broker.connect({ ...KEPT, clientId });
      expect(client.connack.sessionPresent).toBe(true);
      await client.expectMessage({ topicName: 'a/b', payload: 'x', qos: 1 });
      await client.expectMessage({ topicName: 'a/b', payload: 'y', qos: 1 });
      await client.expectNothing();
    }
  });
});
