import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { test } from './statement-test.ts';
import { KEPT } from './v5-raw.ts';

describe('the Receive Maximum of the server', () => {
  test('[MQTT-3.3.4-7] one more unfinished PUBLISH closes the connection with 0x93', async ({ start }) => {
    const broker = await start({ config: { limits: { receiveMaximum: 3 } } });
    const client = await broker.connect();
    expect(client.connack.properties.receiveMaximum).toBe(3);
    for (const packetId of [1, 2, 3]) {
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
    }
    // A PUBREC without an error does not free a place.
    client.sendPublish('a', 'x', { qos: 1, packetId: 4 });
    await client.expectDisconnect(ReasonCode.receiveMaximumExceeded);
  });

  test('[MQTT-3.3.4-7] PUBACK, PUBCOMP and a PUBREC with an error free a place', async ({ start }) => {
    const broker = await start({
      config: { limits: { receiveMaximum: 2 } },
      hooks: { authorize: (_client, { topic }) => topic !== 'refused' },
    });
    const client = await broker.connect();
    client.sendPublish('a', 'x', { qos: 2, packetId: 1 });
    await client.expect(PacketType.pubrec, { packetId: 1 });
    for (let packetId = 2; packetId < 12; packetId += 1) {
      client.sendPublish('a', 'x', { qos: 1, packetId });
      await client.expect(PacketType.puback, { packetId });
      client.sendPublish('refused', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId, reasonCode: ReasonCode.notAuthorized });
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId });
    }
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-7] a QoS 2 PUBLISH that is sent again takes no second place', async ({ start }) => {
    const broker = await start({ config: { limits: { receiveMaximum: 1 } } });
    const client = await broker.connect();
    for (let i = 0; i < 5; i += 1) {
      client.sendPublish('a', 'x', { qos: 2, packetId: 1, dup: i > 0 });
      await client.expect(PacketType.pubrec, { packetId: 1 });
    }
  });
});

describe('the Receive Maximum of the client', () => {
  test('[MQTT-3.3.4-9] no more QoS 1 and 2 messages than that are unacknowledged', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect({ properties: { receiveMaximum: 2 } });
    await client.subscribe('a', 2);
    for (let i = 0; i < 7; i += 1) await publisher.publish('a', `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
    const zero = await client.expectPublish({ payload: '0', qos: 1 });
    const one = await client.expectPublish({ payload: '1', qos: 2 });
    await client.expectNothing();
    client.sendAck(PacketType.puback, zero.packetId);
    const two = await client.expectPublish({ payload: '2', qos: 1 });
    await client.expectNothing();
    // PUBREC frees no place, PUBCOMP does.
    client.sendAck(PacketType.pubrec, one.packetId);
    await client.expect(PacketType.pubrel, { packetId: one.packetId });
    await client.expectNothing();
    client.sendAck(PacketType.pubcomp, one.packetId);
    const three = await client.expectPublish({ payload: '3', qos: 2 });
    await client.expectNothing();
    // A PUBREC with an error does.
    client.sendAck(PacketType.pubrec, three.packetId, ReasonCode.unspecifiedError);
    await client.expectPublish({ payload: '4', qos: 1 });
    await client.expectNothing();
    client.sendAck(PacketType.puback, two.packetId, ReasonCode.quotaExceeded);
    await client.expectPublish({ payload: '5', qos: 2 });
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-9] holds for retained and queued messages too', async ({ broker }) => {
    const publisher = await broker.connect();
    const away = await broker.connect(KEPT);
    await away.subscribe('q', 1);
    await away.disconnect();
    for (let i = 0; i < 3; i += 1) {
      await publisher.publish('q', `${i}`, { qos: 1 });
      await publisher.publish(`r/${i}`, 'retained', { qos: 1, retain: true });
    }
    const client = await broker.connect({ ...KEPT, properties: { ...KEPT.properties, receiveMaximum: 1 } });
    await client.subscribe('r/+', 1);
    for (let i = 0; i < 6; i += 1) {
      const { packetId } = await client.expectPublish();
      await client.expectNothing();
      client.sendAck(PacketType.puback, packetId);
    }
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-9] a place stays taken where the client unsubscribes before it acknowledges', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const client = await broker.connect({ properties: { receiveMaximum: 1 } });
    const other = await broker.connect();
    for (const filter of ['a', '$share/g/a']) {
      await client.subscribe([filter, 'b'], 1);
      if (filter.startsWith('$share')) await other.subscribe(filter, 1);
      await publisher.publish('a', 'first', { qos: 1 });
      const { packetId } = await client.expectPublish({ payload: 'first' });
      await client.unsubscribe(filter);
      await publisher.publish('b', 'second', { qos: 1 });
      await client.expectNothing();
      client.sendAck(PacketType.puback, packetId);
      await client.expectMessage({ payload: 'second' });
    }
  });

  test('[MQTT-3.3.4-10] other packets are sent while all places are taken', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect({ properties: { receiveMaximum: 1 } });
    await client.subscribe('a', 2);
    for (const payload of ['1', '2']) await publisher.publish('a', payload, { qos: 2 });
    const { packetId } = await client.expectPublish({ payload: '1' });
    client.sendPublish('b', 'x', { qos: 1, packetId: 7 });
    await client.expect(PacketType.puback, { packetId: 7 });
    client.sendPublish('b', 'x', { qos: 2, packetId: 8 });
    await client.expect(PacketType.pubrec, { packetId: 8 });
    client.sendAck(PacketType.pubrel, 8);
    await client.expect(PacketType.pubcomp, { packetId: 8 });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    await client.expectNothing();
  });

  test('[MQTT-4.9.0-1] is the quota to begin with, on each connection', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect({ ...KEPT, properties: { ...KEPT.properties, receiveMaximum: 3 } });
    await first.subscribe('a', 1);
    for (let i = 0; i < 5; i += 1) await publisher.publish('a', `${i}`, { qos: 1 });
    for (const payload of ['0', '1', '2']) await first.expectPublish({ payload });
    await first.expectNothing();
    first.destroy();
    const second = await broker.connect({ ...KEPT, properties: { ...KEPT.properties, receiveMaximum: 1 } });
    await second.expectPublish({ payload: '0', dup: true });
    await second.expectNothing();
    second.destroy();
    const third = await broker.connect(KEPT);
    for (let i = 0; i < 5; i += 1) await third.expectPublish({ payload: `${i}` });
    await third.expectNothing();
  });

  test('[MQTT-4.9.0-2] each PUBLISH takes one of the quota until none is left', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const receiveMaximum of [1, 2, 10]) {
      const client = await broker.connect({ properties: { receiveMaximum } });
      await client.subscribe('a', 2);
      const sent: number[] = [];
      for (let i = 0; i < 12; i += 1) {
        await publisher.publish('a', `${i}`, { qos: i % 2 === 0 ? 2 : 1 });
        if (i < receiveMaximum) sent.push((await client.expectPublish({ payload: `${i}` })).packetId);
        await client.expectNothing();
      }
      expect(new Set(sent).size).toBe(receiveMaximum);
      await client.disconnect();
    }
  });

  test('[MQTT-4.9.0-3] all other packets are answered where no quota is left, on either side', async ({ start }) => {
    const broker = await start({ config: { limits: { receiveMaximum: 1 } } });
    const publisher = await broker.connect();
    const client = await broker.connect({ properties: { receiveMaximum: 1 } });
    await client.subscribe('a', 2);
    client.sendPublish('c', 'x', { qos: 2, packetId: 9 });
    await client.expect(PacketType.pubrec, { packetId: 9 });
    await publisher.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ payload: 'x', qos: 2 });
    const subscribed = client.sendSubscribe('b', 1);
    await client.expect(PacketType.suback, { packetId: subscribed, reasonCodes: [1] });
    const unsubscribed = client.sendUnsubscribe('b');
    await client.expect(PacketType.unsuback, { packetId: unsubscribed, reasonCodes: [0] });
    await client.expectNothing();
    client.sendAck(PacketType.pubrel, 9);
    await client.expect(PacketType.pubcomp, { packetId: 9 });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    await client.disconnect();
  });
});
