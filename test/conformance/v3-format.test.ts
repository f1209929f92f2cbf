import { describe, expect } from 'vitest';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { frame, mqttString, rawConnect, uint16 } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED, V3_VERSIONS } from './v3-versions.ts';

/** Sends CONNECTs that hold this text in each string field; asserts that each connection is closed without a CONNACK. */
async function expectRefusedInConnect(broker: TestBroker, version: ProtocolVersion, bad: Buffer): Promise<void> {
  const id = mqttString('id');
  const text = mqttString(bad);
  const connects = [
    rawConnect(version, { payload: [text] }),
    rawConnect(version, { flags: 0x06, payload: [id, text, mqttString('payload')] }),
    rawConnect(version, { flags: 0x82, payload: [id, text] }),
  ];
  for (const connect of connects) {
    const client = await broker.open({ version });
    client.send(connect);
    await client.expectClose();
  }
}

/** The same for the strings of PUBLISH, SUBSCRIBE and UNSUBSCRIBE, of clients that are connected. */
async function expectRefusedInTopics(broker: TestBroker, version: ProtocolVersion, bad: Buffer): Promise<void> {
  const text = mqttString(bad);
  const packets = [
    frame(0x30, text, Buffer.from('payload')),
    frame(0x82, uint16(1), text, Buffer.from([0])),
    frame(0xa2, uint16(1), text),
  ];
  for (const packet of packets) {
    const client = await broker.connect({ version });
    client.send(packet);
    await client.expectClose();
  }
}

describe.each(V3_VERSIONS)('strings of MQTT %s', (name, version) => {
  test.for(ILL_FORMED)(`[v3 MQTT-1.5.3-1] closes on a string with %s (${name})`, async ([, bytes], { broker }) => {
    await expectRefusedInConnect(broker, version, bytes);
    await expectRefusedInTopics(broker, version, bytes);
  });

  test(`[v3 MQTT-1.5.3-2] closes on a string with U+0000 (${name})`, async ({ broker }) => {
    for (const text of ['\0', 'a\0', 'a\0b', '\0a']) {
      await expectRefusedInConnect(broker, version, Buffer.from(text));
      await expectRefusedInTopics(broker, version, Buffer.from(text));
    }
  });

  test(`[v3 MQTT-1.5.3-3] keeps U+FEFF at the start, in the middle and at the end (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe(['a/b', '\uFEFFa/b', 'a/\uFEFFb', 'a/b\uFEFF'], 0);
    for (const topicName of ['\uFEFFa/b', 'a/\uFEFFb', 'a/b\uFEFF', 'a/b']) {
      await client.publish(topicName, topicName);
      const packet = await client.expectPublish({ topicName });
      expect(Buffer.from(packet.payload).equals(Buffer.from(topicName))).toBe(true);
    }
    await client.unsubscribe('a/b');
    await client.publish('a/b', 'not taken');
    await client.publish('\uFEFFa/b', 'taken');
    await client.expectPublish({ topicName: '\uFEFFa/b', payload: 'taken' });
  });
});

describe.each(V3_VERSIONS)('flags of the fixed header in MQTT %s', (name, version) => {
  const wrong: readonly (readonly [packet: string, bytes: Buffer])[] = [
    ...[0x41, 0x42, 0x48].map((first) => ['PUBACK', frame(first, uint16(1))] as const),
    ...[0x51, 0x52].map((first) => ['PUBREC', frame(first, uint16(1))] as const),
    ...[0x60, 0x61, 0x63, 0x66].map((first) => ['PUBREL', frame(first, uint16(1))] as const),
    ...[0x71, 0x72].map((first) => ['PUBCOMP', frame(first, uint16(1))] as const),
    ...[0x80, 0x81, 0x83, 0x86].map(
      (first) => ['SUBSCRIBE', frame(first, uint16(1), mqttString('a'), uint16(0).subarray(1))] as const,
    ),
    ...[0xa0, 0xa1, 0xa3].map((first) => ['UNSUBSCRIBE', frame(first, uint16(1), mqttString('a'))] as const),
    ...[0xc1, 0xc2, 0xc8].map((first) => ['PINGREQ', frame(first)] as const),
    ...[0xe1, 0xe2, 0xe8].map((first) => ['DISCONNECT', frame(first)] as const),
  ];

  test(`[v3 MQTT-2.2.2-2] closes on reserved flags in any packet of a client (${name})`, async ({ broker }) => {
    for (const firstByte of [0x11, 0x12, 0x14, 0x18]) {
      const client = await broker.open({ version });
      client.send(rawConnect(version, { firstByte, payload: [mqttString('id')] }));
      await client.expectClose();
    }
    for (const [, bytes] of wrong) {
      const client = await broker.connect({ version });
      client.send(bytes);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-2.2.2-1] sends each packet with its reserved flags as they have to be (${name})`, async ({
    broker,
  }) => {
    const client = await broker.open({ version });
    const headers: number[] = [];
    client.onHeader = (first) => headers.push(first);
    await client.connect();
    await client.subscribe('a', 2);
    await client.publish('b', 'one', { qos: 1 });
    await client.publish('b', 'two', { qos: 2 });
    await client.publish('a', 'three', { qos: 2 });
    await client.expectMessage({ payload: 'three' });
    await client.unsubscribe('a');
    await client.ping();
    // CONNACK, SUBACK, PUBACK, PUBREC, PUBCOMP, PUBREL, UNSUBACK, PINGRESP; the flags of PUBLISH are not reserved.
    const expected = [0x20, 0x90, 0x40, 0x50, 0x70, 0x62, 0xb0, 0xd0];
    expect(new Set(headers.filter((first) => first >> 4 !== PacketType.publish))).toEqual(new Set(expected));
  });
});

describe.each(V3_VERSIONS)('packet ids in MQTT %s', (name, version) => {
  test(`[v3 MQTT-2.3.1-1] closes on packet id 0, and sends none (${name})`, async ({ broker }) => {
    const packets = [
      frame(0x32, mqttString('a'), uint16(0), Buffer.from('payload')),
      frame(0x34, mqttString('a'), uint16(0), Buffer.from('payload')),
      frame(0x82, uint16(0), mqttString('a'), Buffer.from([0])),
      frame(0xa2, uint16(0), mqttString('a')),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
    const client = await broker.connect({ version });
    await client.subscribe('a', 2);
    for (const qos of [1, 2] as const) {
      await client.publish('a', 'x', { qos });
      expect((await client.expectMessage({ qos })).packetId).toBeGreaterThan(0);
    }
  });

  test(`[v3 MQTT-2.3.1-4] gives each PUBLISH an unused packet id and keeps it when it sends again (${name})`, async ({
    broker,
  }) => {
    const publisher = await broker.connect({ version });
    const first = await broker.connect({ version, clientId: 'keeper', cleanStart: false });
    await first.subscribe('a', 2);
    await publisher.publish('a', 'one', { qos: 1 });
    await publisher.publish('a', 'two', { qos: 2 });
    const one = await first.expectPublish({ payload: 'one', dup: false });
    const two = await first.expectPublish({ payload: 'two', dup: false });
    expect(two.packetId).not.toBe(one.packetId);
    first.destroy();

    const second = await broker.connect({ version, clientId: 'keeper', cleanStart: false });
    await second.expectPublish({ payload: 'one', packetId: one.packetId, dup: true });
    await second.expectPublish({ payload: 'two', packetId: two.packetId, dup: true });
    await publisher.publish('a', 'three', { qos: 1 });
    const three = await second.expectPublish({ payload: 'three', dup: false });
    expect([one.packetId, two.packetId]).not.toContain(three.packetId);
  });

  test(`[v3 MQTT-2.3.1-5] neither sends nor looks for a packet id with QoS 0 (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 0);
    client.send(frame(0x30, mqttString('a'), Buffer.from([0x00, 0x00, 0x31])));
    const sent = await client.expectPublish({ topicName: 'a', qos: 0, payload: Buffer.from([0x00, 0x00, 0x31]) });
    expect(sent.packetId).toBe(0);
    await client.publish('a', 'from QoS 1', { qos: 1 });
    await client.expectPublish({ qos: 0, packetId: 0, payload: 'from QoS 1' });
  });

  test(`[v3 MQTT-2.3.1-6] acknowledges with the packet id of the PUBLISH (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    for (const packetId of [1, 0x1234, 0xffff]) {
      client.sendPublish('a', 'x', { qos: 1, packetId });
      await client.expect(PacketType.puback, { packetId });
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId });
    }
    await client.subscribe('b', 2);
    await client.publish('b', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ qos: 2 });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId });
    client.sendAck(PacketType.pubcomp, packetId);
    await client.expectNothing();
  });

  test(`[v3 MQTT-2.3.1-7] answers SUBSCRIBE and UNSUBSCRIBE with their packet ids (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    for (const packetId of [1, 0x1234, 0xffff]) {
      client.send(frame(0x82, uint16(packetId), mqttString('a'), Buffer.from([1])));
      await client.expect(PacketType.suback, { packetId, reasonCodes: [1] });
      client.send(frame(0xa2, uint16(packetId), mqttString('a')));
      await client.expect(PacketType.unsuback, { packetId });
    }
  });
});
