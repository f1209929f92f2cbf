import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, rawUnsubscribe, textProperty } from './v5-bytes.ts';
import { KEPT, sizeOf } from './v5-raw.ts';
import { ILL_FORMED } from './v3-versions.ts';

describe('the form of UNSUBSCRIBE', () => {
  test('[MQTT-3.10.1-1] wrong flags close the connection with 0x81', async ({ broker }) => {
    for (let flags = 0; flags < 16; flags += 1) {
      const packet = frame(0xa0 | flags, uint16(1), rawProperties(), mqttString('a'));
      if (flags !== 2) await expectPacketsRefused(broker, ReasonCode.malformedPacket, [packet]);
    }
    const client = await broker.connect();
    client.send(rawUnsubscribe('a', rawProperties(textProperty(0x26, 'key', 'value'))));
    await client.expect(PacketType.unsuback);
  });

  test('[MQTT-3.10.3-1] a filter that is not UTF-8, or not whole, closes the connection with 0x81', async ({
    broker,
  }) => {
    const strings = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    const filters = [...strings.map(mqttString), Buffer.from([0]), Buffer.from([0, 3, 0x61])];
    const packets = filters.map((filter) => frame(0xa2, uint16(1), rawProperties(), mqttString('a'), filter));
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
  });

  test('[MQTT-3.10.3-2] one without a filter closes the connection with 0x82', async ({ broker }) => {
    await expectPacketsRefused(broker, ReasonCode.protocolError, [frame(0xa2, uint16(1), rawProperties())]);
  });
});

describe('what UNSUBSCRIBE does', () => {
  test('[MQTT-3.10.4-1] compares filters letter by letter', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe(['a/b', 'a/+', '$share/g/a/b'], 1);
    const others = ['a/B', '#', 'a/#', '+/+', 'a/b/', '/a/b', 'a/c', '$share/h/a/b', '$share/g/a/+'];
    const { reasonCodes } = await client.unsubscribe(others);
    expect(reasonCodes).toEqual(others.map(() => ReasonCode.noSubscriptionExisted));
    await client.unsubscribe('$share/g/a/b');
    await client.publish('a/b', 'both', { qos: 1 });
    await client.expectMessage({ payload: 'both' });
    await client.expectNothing();
    await client.unsubscribe('a/+');
    await client.publish('a/b', 'one', { qos: 1 });
    await client.expectMessage({ payload: 'one' });
    await client.publish('a/c', 'none', { qos: 1 });
    await client.unsubscribe('a/b');
    await client.publish('a/b', 'none', { qos: 1 });
    await client.expectNothing();
  });

  test('[MQTT-3.10.4-2] nothing is added for delivery any more', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe(['a', '$share/g/a'], 2);
    await client.unsubscribe(['a', '$share/g/a']);
    const publisher = await broker.connect();
    for (const qos of [0, 1, 2] as const) await publisher.publish('a', 'x', { qos });
    await client.expectNothing();
  });

  test('[MQTT-3.10.4-3] what was begun is delivered to its end', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    const publisher = await broker.connect();
    await first.subscribe('a', 2);
    await publisher.publish('a', 'one', { qos: 1 });
    await publisher.publish('a', 'two', { qos: 2 });
    const one = await first.expectPublish({ payload: 'one' });
    const two = await first.expectPublish({ payload: 'two' });
    await first.unsubscribe('a');
    first.sendAck(PacketType.pubrec, two.packetId);
    await first.expect(PacketType.pubrel, { packetId: two.packetId });
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectMessage({ payload: 'one', packetId: one.packetId, dup: true });
    await second.expect(PacketType.pubrel, { packetId: two.packetId });
    second.sendAck(PacketType.pubcomp, two.packetId);
    await second.expectNothing();
  });

  test('[MQTT-3.10.4-3] what was begun for a shared subscription stays with the client that has it', async ({
    broker,
  }) => {
    const first = await broker.connect();
    const second = await broker.connect();
    for (const client of [first, second]) await client.subscribe('$share/g/a', 2);
    const publisher = await broker.connect();
    for (const qos of [1, 2, 1, 2] as const) await publisher.publish('a', 'x', { qos });
    const begun = [await first.expectPublish(), await first.expectPublish()];
    for (let i = 0; i < 2; i += 1) await second.expectMessage();
    await first.unsubscribe('$share/g/a');
    await second.expectNothing();
    for (const { qos, packetId } of begun) {
      first.sendAck(qos === 1 ? PacketType.puback : PacketType.pubrec, packetId);
      if (qos === 1) continue;
      await first.expect(PacketType.pubrel, { packetId });
      first.sendAck(PacketType.pubcomp, packetId);
    }
    await first.expectNothing();
    await second.expectNothing();
  });

  test('[MQTT-3.10.4-4] is answered with an UNSUBACK', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a');
    client.sendUnsubscribe('a');
    await client.expect(PacketType.unsuback, { reasonCodes: [ReasonCode.success] });
    await client.expectNothing();
  });

  test('[MQTT-3.10.4-5] the UNSUBACK has its packet id, also where there was no such subscription', async ({
    broker,
  }) => {
    const client = await broker.connect();
    for (const packetId of [0xffff, 1, 256]) {
      client.send(frame(0xa2, uint16(packetId), rawProperties(), mqttString('never/subscribed')));
      await client.expect(PacketType.unsuback, { packetId, reasonCodes: [ReasonCode.noSubscriptionExisted] });
    }
  });

  test('[MQTT-3.10.4-6] several filters are removed one after the other, with one UNSUBACK', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe(['a', 'b', 'c'], 1);
    client.sendUnsubscribe(['a', 'never', 'c', 'a']);
    const { success, noSubscriptionExisted } = ReasonCode;
    await client.expect(PacketType.unsuback, {
      reasonCodes: [success, noSubscriptionExisted, success, noSubscriptionExisted],
    });
    await client.expectNothing();
    for (const topicName of ['a', 'b', 'c']) await client.publish(topicName, 'x', { qos: 1 });
    await client.expectMessage({ topicName: 'b' });
    await client.expectNothing();
  });
});

describe('UNSUBACK', () => {
  test('[MQTT-3.11.2-1][MQTT-3.11.2-2] never exceeds Maximum Packet Size with its properties', async ({ broker }) => {
    const maximumPacketSize = 16;
    const client = await broker.connect({ properties: { maximumPacketSize } });
    await client.subscribe('a');
    for (const filter of ['a', 'never', 'a/#/b', '$share/']) {
      client.sendUnsubscribe(filter);
      expect(sizeOf(await client.expect(PacketType.unsuback))).toBeLessThanOrEqual(maximumPacketSize);
    }
  });

  test('[MQTT-3.11.3-1] has its codes in the order of the filters', async ({ broker }) => {
    const client = await broker.connect();
    const present = [true, false, false, true, true, false, true];
    await client.subscribe(present.flatMap((isPresent, i) => (isPresent ? [`topic/${9 - i}`] : [])));
    client.sendUnsubscribe(present.map((_, i) => `topic/${9 - i}`));
    await client.expect(PacketType.unsuback, {
      reasonCodes: present.map((isPresent) => (isPresent ? ReasonCode.success : ReasonCode.noSubscriptionExisted)),
    });
  });

  test('[MQTT-3.11.3-2] has a code there is for it for each filter, valid or not', async ({ broker }) => {
    const known = new Set([0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]);
    const client = await broker.connect();
    await client.subscribe(['a', '$share/g/a', 'a/#']);
    const filters = ['a', '$share/g/a', 'a/#', 'a/#/b', 'a+', '$share//a', '$share/g', '$share/g/'];
    client.sendUnsubscribe(filters);
    const { reasonCodes } = await client.expect(PacketType.unsuback);
    expect(reasonCodes).toHaveLength(filters.length);
    expect(reasonCodes.slice(0, 3)).toEqual([0, 0, 0]);
    expect(reasonCodes.filter((code) => !known.has(code))).toEqual([]);
    expect(reasonCodes.slice(3)).not.toContain(0);
  });
});
