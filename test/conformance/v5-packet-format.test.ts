import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { frame, mqttString, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, openBytes, properties, rawPublish, rawSubscribe, textProperty } from './v5-bytes.ts';

const NONE = Buffer.from([0]);
const ID = mqttString('id');

describe('flags of the fixed header', () => {
  const subscribe = [uint16(1), NONE, mqttString('a'), NONE];
  const unsubscribe = [uint16(1), NONE, mqttString('a')];
  const auth = [Buffer.from([0x19]), properties(textProperty(0x15, 'method'))];

  /** Every first byte of a packet type but the right one. */
  function wrongFlags(type: number, right: number): number[] {
    return [...Array(16).keys()].filter((flags) => flags !== right).map((flags) => (type << 4) | flags);
  }

  test('[MQTT-2.1.3-1] refuses reserved flags of another value in every packet type', async ({ broker }) => {
    for (const firstByte of wrongFlags(PacketType.connect, 0)) {
      const client = await broker.open();
      client.send(rawConnect(5, { firstByte, payload: [ID] }));
      await client.expectClose();
    }
    await expectPacketsRefused(broker, 0x81, [
      ...[PacketType.puback, PacketType.pubrec, PacketType.pubcomp].flatMap((type) =>
        wrongFlags(type, 0).map((first) => frame(first, uint16(1))),
      ),
      ...wrongFlags(PacketType.pubrel, 2).map((first) => frame(first, uint16(1))),
      ...wrongFlags(PacketType.subscribe, 2).map((first) => frame(first, ...subscribe)),
      ...wrongFlags(PacketType.unsubscribe, 2).map((first) => frame(first, ...unsubscribe)),
      ...wrongFlags(PacketType.pingreq, 0).map((first) => frame(first)),
      ...wrongFlags(PacketType.disconnect, 0).map((first) => frame(first)),
      ...wrongFlags(PacketType.auth, 0).map((first) => frame(first, ...auth)),
    ]);
  });

  test('[MQTT-2.1.3-1] sends each packet with the flags it has to have', async ({ start }) => {
    const broker = await start({
      hooks: {
        startAuthExchange: () => ({
          step: (_data, packet) => (packet.type === PacketType.auth ? { kind: 'success' } : { kind: 'continue' }),
        }),
      },
    });
    const client = await broker.open();
    const headers: number[] = [];
    client.onHeader = (first) => headers.push(first);
    client.sendConnect({ properties: { authenticationMethod: 'm' } });
    await client.expect(PacketType.auth);
    client.send({ type: PacketType.auth, reasonCode: 0x18, properties: { authenticationMethod: 'm' } });
    await client.expectConnack(0);
    await client.subscribe('a', 2);
    await client.publish('b', 'one', { qos: 1 });
    await client.publish('b', 'two', { qos: 2 });
    await client.publish('a', 'three', { qos: 2 });
    await client.expectMessage({ payload: 'three' });
    await client.unsubscribe('a');
    await client.ping();
    client.send(frame(0xc0, NONE));
    await client.expectDisconnect(0x81);
    // All that servers send but PUBLISH, whose flags are not reserved.
    const expected = [0xf0, 0x20, 0x90, 0x40, 0x50, 0x70, 0x62, 0xb0, 0xd0, 0xe0];
    expect(new Set(headers.filter((first) => first >> 4 !== PacketType.publish))).toEqual(new Set(expected));
  });
});

describe('packet ids', () => {
  test('[MQTT-2.2.1-2] neither sends nor looks for a packet id with QoS 0', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a');
    // Were there a packet id, 0x0000 would be it, and the property length 0x31.
    client.send(frame(0x30, mqttString('a'), NONE, Buffer.from([0x00, 0x00, 0x31])));
    await client.expectPublish({ topicName: 'a', qos: 0, packetId: 0, payload: Buffer.from([0x00, 0x00, 0x31]) });
    await client.publish('a', 'from QoS 1', { qos: 1 });
    await client.expectPublish({ qos: 0, packetId: 0, payload: 'from QoS 1' });
  });

  test('[MQTT-2.2.1-3] refuses packet id 0', async ({ broker }) => {
    await expectPacketsRefused(broker, 0x81, [
      frame(0x32, mqttString('a'), uint16(0), NONE, Buffer.from('payload')),
      frame(0x34, mqttString('a'), uint16(0), NONE, Buffer.from('payload')),
      frame(0x82, uint16(0), NONE, mqttString('a'), NONE),
      frame(0xa2, uint16(0), NONE, mqttString('a')),
      frame(0x40, uint16(0)),
      frame(0x50, uint16(0)),
      frame(0x62, uint16(0)),
      frame(0x70, uint16(0)),
    ]);
  });

  test('[MQTT-2.2.1-4] counts packet ids up from 1, and keeps one for sending again', async ({ broker }) => {
    const session = { clientId: 'keeper', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const publisher = await broker.connect();
    const first = await broker.connect(session);
    await first.subscribe('a', 2);
    for (const [payload, qos, packetId] of [
      ['one', 1, 1],
      ['two', 2, 2],
      ['three', 1, 3],
    ] as const) {
      await publisher.publish('a', payload, { qos });
      await first.expectPublish({ payload, qos, packetId, dup: false });
    }
    first.sendAck(PacketType.puback, 1);
    await first.expectNothing();
    first.destroy();

    const second = await broker.connect(session);
    await second.expectPublish({ payload: 'two', packetId: 2, dup: true });
    await second.expectPublish({ payload: 'three', packetId: 3, dup: true });
    await publisher.publish('a', 'four', { qos: 1 });
    await second.expectPublish({ payload: 'four', packetId: 4, dup: false });
    const other = await broker.connect();
    await other.subscribe('a', 1);
    await publisher.publish('a', 'five', { qos: 1 });
    await other.expectPublish({ payload: 'five', packetId: 1 });
  });

  test('[MQTT-2.2.1-4] comes round after 65,535 and leaves out the packet ids in use', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 1);
    const publishAndTake = async (count: number): Promise<number[]> => {
      for (let i = 0; i < count; i += 1) void broker.broker.publish({ topicName: 'a', payload: '', qos: 1 });
      const ids: number[] = [];
      for (let i = 0; i < count; i += 1) {
        const packet = await client.next();
        if (packet.type === PacketType.publish) ids.push(packet.packetId);
      }
      return ids;
    };
    const [kept, alsoKept] = await publishAndTake(3);
    client.sendAck(PacketType.puback, 2);
    for (let last = 3; last < 65_535; ) {
      const ids = await publishAndTake(Math.min(1000, 65_535 - last));
      expect([ids[0], ids.at(-1)]).toEqual([last + 1, last + ids.length]);
      last += ids.length;
      for (const id of ids) client.sendAck(PacketType.puback, id);
    }
    expect([kept, alsoKept]).toEqual([1, 2]);
    // 1 and 3 were never acknowledged, 2 was.
    expect(await publishAndTake(3)).toEqual([2, 4, 5]);
  });

  test('[MQTT-2.2.1-5] acknowledges with the packet id of the PUBLISH', async ({ broker }) => {
    const client = await broker.connect();
    for (const packetId of [1, 0x1234, 0xffff]) {
      client.sendPublish('a', 'x', { qos: 1, packetId });
      await client.expect(PacketType.puback, { packetId });
      client.sendPublish('a', 'x', { qos: 2, packetId });
      await client.expect(PacketType.pubrec, { packetId });
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId, reasonCode: 0 });
    }
    await client.subscribe('b', 2);
    await client.publish('b', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ qos: 2 });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId, reasonCode: 0 });
    client.sendAck(PacketType.pubcomp, packetId);
    await client.expectNothing();
  });

  test('[MQTT-2.2.1-6] answers SUBSCRIBE and UNSUBSCRIBE with their packet ids', async ({ broker }) => {
    const client = await broker.connect();
    for (const packetId of [1, 0x1234, 0xffff]) {
      client.send(frame(0x82, uint16(packetId), NONE, mqttString('a'), Buffer.from([1])));
      await client.expect(PacketType.suback, { packetId, reasonCodes: [1] });
      client.send(frame(0xa2, uint16(packetId), NONE, mqttString('a')));
      await client.expect(PacketType.unsuback, { packetId, reasonCodes: [0] });
    }
  });
});

describe('properties', () => {
  test('[MQTT-2.2.2-1] says with a property length of 0 that there are none', async ({ broker }) => {
    const connection = await openBytes(broker);
    connection.write(rawConnect(5, { payload: [ID] }));
    expect((await connection.packet())[0]).toBe(0x20);
    connection.write(rawSubscribe('a'));
    expect((await connection.packet()).toString('hex')).toBe('900400010000');
    connection.write(rawPublish('a'));
    expect((await connection.packet()).toString('hex')).toBe(`300b00016100${Buffer.from('payload').toString('hex')}`);
    connection.write(frame(0xa2, uint16(2), NONE, mqttString('a')));
    expect((await connection.packet()).toString('hex')).toBe('b00400020000');
    connection.destroy();
  });

  test('[MQTT-2.2.2-1] refuses packets that leave the property length out', async ({ broker }) => {
    await expectPacketsRefused(broker, 0x81, [
      frame(0x30, mqttString('a')),
      frame(0x32, mqttString('a'), uint16(1)),
      frame(0x82, uint16(1), mqttString('a'), NONE),
      frame(0xa2, uint16(1), mqttString('a')),
      frame(0xf0, Buffer.from([0x18])),
    ]);
    const client = await broker.open();
    client.send(rawConnect(5, { properties: Buffer.alloc(0), payload: [ID] }));
    await client.expectConnack(0x81);
    await client.expectClose();
  });
});
