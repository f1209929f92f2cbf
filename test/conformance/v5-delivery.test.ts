import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { test } from './statement-test.ts';
import { KEPT } from './v5-raw.ts';

describe('QoS 0', () => {
  test('[MQTT-4.3.1-1] is sent once, with QoS 0 and DUP 0', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 0);
    const headers: number[] = [];
    first.onHeader = (firstByte) => headers.push(firstByte);
    await first.publish('a', 'x');
    await first.expectPublish({ payload: 'x', qos: 0, dup: false, packetId: 0 });
    expect(headers).toContain(0x30);
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectNothing();
  });
});

describe('QoS 1 and 2 as a sender', () => {
  test('[MQTT-4.3.2-1][MQTT-4.3.3-1] each new message has a packet id that is not in use', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect();
    await client.subscribe('a', 2);
    const inUse = new Map<number, number>();
    const waiting: number[] = [];
    for (let i = 0; i < 300; i += 1) {
      await publisher.publish('a', String(i), { qos: i % 2 === 0 ? 1 : 2 });
      const { packetId, qos } = await client.expectPublish({ payload: String(i) });
      expect(packetId).toBeGreaterThan(0);
      expect(inUse.has(packetId)).toBe(false);
      inUse.set(packetId, qos);
      waiting.push(packetId);
      if (i % 3 !== 0) continue;
      const done = waiting.shift()!;
      if (inUse.get(done) === 1) client.sendAck(PacketType.puback, done);
      else {
        client.sendAck(PacketType.pubrec, done);
        await client.expect(PacketType.pubrel, { packetId: done });
        client.sendAck(PacketType.pubcomp, done);
      }
      inUse.delete(done);
    }
  });

  test('[MQTT-4.3.2-2][MQTT-4.3.3-2] is sent with its QoS, a packet id and DUP 0', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 2);
    for (const qos of [1, 2] as const) {
      const headers: number[] = [];
      client.onHeader = (firstByte) => headers.push(firstByte);
      await client.publish('a', 'x', { qos, dup: true });
      const { packetId } = await client.expectMessage({ payload: 'x', qos, dup: false });
      expect(packetId).toBeGreaterThan(0);
      expect(headers).toContain(0x30 | (qos << 1));
    }
  });

  test('[MQTT-4.3.2-3] QoS 1 is owed until PUBACK', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    const publisher = await broker.connect();
    await first.subscribe('a', 1);
    const ids: number[] = [];
    for (const payload of ['1', '2', '3']) {
      await publisher.publish('a', payload, { qos: 1 });
      ids.push((await first.expectPublish({ payload })).packetId);
    }
    first.sendAck(PacketType.puback, ids[1]!);
    await first.expectNothing();
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectPublish({ payload: '1', packetId: ids[0]!, dup: true });
    await second.expectMessage({ payload: '3', packetId: ids[2]!, dup: true });
    await second.expectNothing();
    second.destroy();
    const third = await broker.connect(KEPT);
    await third.expectMessage({ payload: '1', packetId: ids[0]!, dup: true });
    await third.expectNothing();
  });

  test('[MQTT-4.3.3-3] QoS 2 is owed until PUBREC', async ({ broker }) => {
    const publisher = await broker.connect();
    let client = await broker.connect(KEPT);
    await client.subscribe('a', 2);
    await publisher.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ payload: 'x', dup: false });
    for (let i = 0; i < 2; i += 1) {
      client.destroy();
      client = await broker.connect(KEPT);
      await client.expectPublish({ payload: 'x', packetId, dup: true });
    }
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    client.destroy();
    client = await broker.connect(KEPT);
    await client.expect(PacketType.pubrel, { packetId });
    await client.expectNothing();
  });

  test('[MQTT-4.3.3-4] PUBREC below 0x80 is answered with PUBREL of its packet id, one with an error is not', async ({
    broker,
  }) => {
    const client = await broker.connect();
    await client.subscribe('a', 2);
    for (const reasonCode of [ReasonCode.success, ReasonCode.noMatchingSubscribers]) {
      await client.publish('a', 'x', { qos: 2 });
      const { packetId } = await client.expectPublish();
      client.sendAck(PacketType.pubrec, packetId, reasonCode);
      await client.expect(PacketType.pubrel, { packetId, reasonCode: ReasonCode.success });
      client.sendAck(PacketType.pubcomp, packetId);
    }
    await client.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish();
    client.sendAck(PacketType.pubrec, packetId, ReasonCode.unspecifiedError);
    await client.expectNothing();
  });

  test('[MQTT-4.3.3-5] PUBREL is owed until PUBCOMP', async ({ broker }) => {
    let client = await broker.connect(KEPT);
    await client.subscribe('a', 2);
    await client.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish();
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    for (let i = 0; i < 3; i += 1) {
      client.destroy();
      client = await broker.connect(KEPT);
      await client.expect(PacketType.pubrel, { packetId });
    }
    client.sendAck(PacketType.pubcomp, packetId);
    await client.expectNothing();
    client.destroy();
    client = await broker.connect(KEPT);
    await client.expectNothing();
  });

  test('[MQTT-4.3.3-6] the PUBLISH is not sent again once PUBREL was', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.publish('a', 'x', { qos: 2 });
    const { packetId } = await first.expectPublish();
    first.sendAck(PacketType.pubrec, packetId);
    await first.expect(PacketType.pubrel, { packetId });
    // A PUBREC that comes again is answered with PUBREL again.
    first.sendAck(PacketType.pubrec, packetId);
    await first.expect(PacketType.pubrel, { packetId });
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expect(PacketType.pubrel, { packetId });
    await second.expectNothing();
  });

  test('[MQTT-4.3.3-7] a message that was sent does not expire any more', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await publisher.publish('a', 'x', { qos: 2, properties: { messageExpiryInterval: 10 } });
    const { packetId } = await first.expectPublish({ payload: 'x' });
    broker.advance(20_000);
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectPublish({ payload: 'x', packetId, dup: true });
    second.sendAck(PacketType.pubrec, packetId);
    await second.expect(PacketType.pubrel, { packetId });
    broker.advance(20_000);
    second.destroy();
    const third = await broker.connect(KEPT);
    await third.expect(PacketType.pubrel, { packetId });
    third.sendAck(PacketType.pubcomp, packetId);
    await third.expectNothing();
  });
});

describe('QoS 1 and 2 as a receiver', () => {
  test('[MQTT-4.3.2-4] QoS 1 is answered with a PUBACK of its packet id', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('a', 1);
    const client = await broker.connect();
    for (const packetId of [1, 65_535, 256]) {
      client.sendPublish('a', `${packetId}`, { qos: 1, packetId });
      await client.expect(PacketType.puback, { packetId, reasonCode: ReasonCode.success });
      await watcher.expectMessage({ payload: `${packetId}` });
    }
  });

  test('[MQTT-4.3.2-5] after PUBACK the same packet id means a new message, whatever DUP is', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('a', 1);
    const client = await broker.connect();
    for (const dup of [false, true, false, true]) {
      client.sendPublish('a', 'same', { qos: 1, packetId: 4, dup });
      await client.expect(PacketType.puback, { packetId: 4 });
      await watcher.expectMessage({ payload: 'same' });
    }
    await watcher.expectNothing();
  });

  test('[MQTT-4.3.3-8] QoS 2 is answered with a PUBREC of its packet id', async ({ broker }) => {
    const client = await broker.connect();
    for (const packetId of [1, 65_535, 256]) {
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
    }
  });

  test('[MQTT-4.3.3-9] after a PUBREC with an error the same packet id means a new message', async ({ start }) => {
    const broker = await start({ hooks: { authorize: (_client, { topic }) => topic !== 'refused' } });
    const watcher = await broker.connect();
    await watcher.subscribe('#', 2);
    const client = await broker.connect();
    for (let i = 0; i < 2; i += 1) {
      client.sendPublish('refused', 'x', { qos: 2, packetId: 4 });
      await client.expect(PacketType.pubrec, { packetId: 4, reasonCode: ReasonCode.notAuthorized });
    }
    client.sendPublish('a', 'new', { qos: 2, packetId: 4, dup: true });
    await client.expect(PacketType.pubrec, { packetId: 4, reasonCode: ReasonCode.success });
    await watcher.expectMessage({ payload: 'new' });
    await watcher.expectNothing();
  });

  test('[MQTT-4.3.3-10] QoS 2 is taken over once, however often it comes before PUBREL', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('a', 2);
    const first = await broker.connect(KEPT);
    for (const dup of [false, true, false]) {
      first.sendPublish('a', 'once', { qos: 2, packetId: 8, dup });
      await first.expect(PacketType.pubrec, { packetId: 8 });
    }
    first.destroy();
    const second = await broker.connect(KEPT);
    second.sendPublish('a', 'once', { qos: 2, packetId: 8, dup: true });
    await second.expect(PacketType.pubrec, { packetId: 8 });
    second.sendAck(PacketType.pubrel, 8);
    await second.expect(PacketType.pubcomp, { packetId: 8 });
    await watcher.expectMessage({ payload: 'once', qos: 2 });
    await watcher.expectNothing();
  });

  test('[MQTT-4.3.3-11] PUBREL is answered with a PUBCOMP of its packet id', async ({ broker }) => {
    const client = await broker.connect();
    for (const packetId of [1, 65_535]) {
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId, reasonCode: ReasonCode.success });
    }
    client.sendAck(PacketType.pubrel, 77);
    await client.expect(PacketType.pubcomp, { packetId: 77, reasonCode: ReasonCode.packetIdentifierNotFound });
  });

  test('[MQTT-4.3.3-12] after PUBCOMP the same packet id means a new message', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('a', 2);
    const client = await broker.connect();
    for (const dup of [false, true]) {
      client.sendPublish('a', 'same', { qos: 2, packetId: 8, dup });
      await client.expect(PacketType.pubrec, { packetId: 8 });
      client.sendAck(PacketType.pubrel, 8);
      await client.expect(PacketType.pubcomp, { packetId: 8 });
      await watcher.expectMessage({ payload: 'same' });
    }
    await watcher.expectNothing();
  });

  test('[MQTT-4.3.3-13] the exchange goes on where the message has expired', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const away = await broker.connect(KEPT);
    await away.subscribe('a', 2);
    await away.disconnect();
    const client = await broker.connect();
    const properties = { messageExpiryInterval: 1 };
    client.sendPublish('a', 'x', { qos: 2, packetId: 5, properties });
    await client.expect(PacketType.pubrec, { packetId: 5, reasonCode: ReasonCode.success });
    broker.advance(5000);
    const again = await broker.connect(KEPT);
    await again.expectNothing();
    client.sendPublish('a', 'x', { qos: 2, packetId: 5, dup: true, properties });
    await client.expect(PacketType.pubrec, { packetId: 5, reasonCode: ReasonCode.success });
    await again.expectNothing();
    client.sendAck(PacketType.pubrel, 5);
    await client.expect(PacketType.pubcomp, { packetId: 5, reasonCode: ReasonCode.success });
  });
});
