import { describe, expect } from 'vitest';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties } from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';
import { ILL_FORMED } from './v3-versions.ts';

const ALL_QOS: readonly Qos[] = [0, 1, 2];

describe('DUP and QoS of PUBLISH', () => {
  test('[MQTT-3.3.1-1] DUP is 1 where a PUBLISH is sent again', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.publish('a', 'one', { qos: 1 });
    await first.publish('a', 'two', { qos: 2 });
    await first.expectPublish({ payload: 'one', dup: false });
    await first.expectPublish({ payload: 'two', dup: false });
    first.destroy();
    const second = await broker.connect(KEPT);
    await second.expectMessage({ payload: 'one', dup: true });
    await second.expectMessage({ payload: 'two', dup: true });
    await second.expectNothing();
  });

  test('[MQTT-3.3.1-1] DUP stays 0 where a message had to wait and is sent for the first time', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.disconnect();
    const publisher = await broker.connect();
    for (const qos of [1, 2] as const) await publisher.publish('a', `QoS ${qos}`, { qos });
    const second = await broker.connect(KEPT);
    for (const qos of [1, 2] as const) await second.expectMessage({ payload: `QoS ${qos}`, qos, dup: false });
  });

  test('[MQTT-3.3.1-2] DUP is 0 on every QoS 0 message sent', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 0);
    for (const qos of ALL_QOS) {
      await client.publish('a', 'x', { qos, dup: qos > 0 });
      await client.expectPublish({ qos: 0, dup: false });
    }
  });

  test('[MQTT-3.3.1-2] DUP with QoS 0 closes the connection with 0x81', async ({ broker }) => {
    const packet = frame(0x38, mqttString('a'), rawProperties());
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, [packet]);
  });

  test('[MQTT-3.3.1-3] DUP of an incoming PUBLISH is not passed on', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 2);
    for (const qos of [1, 2] as const) {
      await client.publish('a', 'x', { qos, dup: true });
      await client.expectMessage({ qos, dup: false });
    }
  });

  test('[MQTT-3.3.1-4] QoS 3 closes the connection with 0x81', async ({ broker }) => {
    const packets = [0x36, 0x37, 0x3e, 0x3f].map((firstByte) =>
      frame(firstByte, mqttString('a'), uint16(1), rawProperties(), Buffer.from('payload')),
    );
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
  });
});

describe('RETAIN of an incoming PUBLISH', () => {
  test('[MQTT-3.3.1-5] 1 stores the message, its QoS and its properties in place of the one before', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const properties = { contentType: 'text/plain', userProperties: [['key', 'value']] as const };
    for (const qos of ALL_QOS) {
      await publisher.publish(`a/${qos}`, 'old', { qos: 1, retain: true });
      await publisher.publish(`a/${qos}`, 'new', {
        qos,
        retain: true,
        properties: { ...properties, userProperties: [...properties.userProperties] },
      });
    }
    await publisher.disconnect();
    const late = await broker.connect();
    for (const qos of ALL_QOS) {
      await late.subscribe(`a/${qos}`, 2);
      const packet = await late.expectMessage({ topicName: `a/${qos}`, payload: 'new', qos, retain: true });
      expect(packet.properties).toEqual(properties);
      await late.expectNothing();
    }
  });

  test('[MQTT-3.3.1-6] an empty payload is delivered and removes what was retained', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a', 'x', { qos: 1, retain: true });
    await client.publish('b', 'stays', { qos: 1, retain: true });
    await client.subscribe('a', 1);
    await client.expectMessage({ payload: 'x', retain: true });
    await client.publish('a', '', { qos: 1, retain: true });
    await client.expectMessage({ topicName: 'a', payload: '', retain: false });
    const late = await broker.connect();
    await late.subscribe('#', 1);
    await late.expectMessage({ topicName: 'b', payload: 'stays' });
    await late.expectNothing();
  });

  test('[MQTT-3.3.1-7] an empty payload is not stored, whatever its QoS', async ({ broker }) => {
    const client = await broker.connect();
    for (const qos of ALL_QOS) await client.publish(`a/${qos}`, '', { qos, retain: true });
    await client.subscribe('#', 2);
    await client.expectNothing();
  });

  test('[MQTT-3.3.1-8] 0 neither stores, replaces nor removes', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a', 'retained', { qos: 1, retain: true });
    for (const payload of ['live', '']) {
      await client.publish('a', payload, { qos: 1 });
      await client.publish('b', payload, { qos: 1 });
    }
    await client.subscribe('#', 2);
    await client.expectMessage({ topicName: 'a', payload: 'retained', qos: 1, retain: true });
    await client.expectNothing();
  });
});

describe('Retain Handling', () => {
  test('[MQTT-3.3.1-9] 0 brings the matching retained messages, each time', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a/1', 'one', { qos: 1, retain: true });
    await client.publish('b/1', 'another', { qos: 1, retain: true });
    for (let i = 0; i < 3; i += 1) {
      await client.subscribe([{ topicFilter: 'a/+', retainHandling: 0 }], 1);
      await client.expectMessage({ topicName: 'a/1', payload: 'one', retain: true });
      await client.expectNothing();
    }
  });

  test('[MQTT-3.3.1-10] 1 brings them for a new subscription only', async ({ broker }) => {
    const client = await broker.connect(KEPT);
    await client.publish('a/1', 'one', { qos: 1, retain: true });
    const filters = [{ topicFilter: 'a/+', retainHandling: 1 }] as const;
    await client.subscribe(filters, 1);
    await client.expectMessage({ payload: 'one', retain: true });
    await client.subscribe(filters, 2);
    await client.expectNothing();
    await client.disconnect();
    // The subscription of the session is no new one either.
    const again = await broker.connect(KEPT);
    await again.subscribe(filters, 1);
    await again.expectNothing();
    await again.unsubscribe('a/+');
    await again.subscribe(filters, 1);
    await again.expectMessage({ payload: 'one', retain: true });
    await again.expectNothing();
  });

  test('[MQTT-3.3.1-11] 2 brings none', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a', 'one', { qos: 1, retain: true });
    for (let i = 0; i < 2; i += 1) {
      await client.subscribe([{ topicFilter: 'a', retainHandling: 2 }], 1);
      await client.expectNothing();
    }
    await client.publish('a', 'live', { qos: 1 });
    await client.expectMessage({ payload: 'live' });
  });
});

describe('Retain As Published', () => {
  test('[MQTT-3.3.1-12] 0 makes RETAIN 0 on what is forwarded', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe([{ topicFilter: 'a', retainAsPublished: false }], 2);
    for (const qos of ALL_QOS) {
      for (const retain of [true, false]) {
        await client.publish('a', 'x', { qos, retain });
        await client.expectMessage({ qos, retain: false });
      }
    }
  });

  test('[MQTT-3.3.1-13] 1 keeps RETAIN as it came, through a queue as well', async ({ broker }) => {
    const live = await broker.connect();
    const away = await broker.connect(KEPT);
    for (const client of [live, away]) await client.subscribe([{ topicFilter: 'a', retainAsPublished: true }], 2);
    await away.disconnect();
    for (const qos of ALL_QOS) {
      for (const retain of [true, false]) {
        await live.publish('a', 'x', { qos, retain });
        await live.expectMessage({ qos, retain });
      }
    }
    const again = await broker.connect(KEPT);
    for (const qos of [1, 2] as const) {
      for (const retain of [true, false]) await again.expectMessage({ qos, retain });
    }
    await again.expectNothing();
  });
});

describe('the topic name', () => {
  test('[MQTT-3.3.2-1] has to be there and to be UTF-8', async ({ broker }) => {
    const packets = [
      frame(0x30),
      frame(0x30, Buffer.from([0])),
      frame(0x30, Buffer.from([0, 4, 0x61])),
      ...ILL_FORMED.map(([, bytes]) => frame(0x30, mqttString(bytes), rawProperties())),
    ];
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
    await expectPacketsRefused(broker, ReasonCode.protocolError, [frame(0x30, mqttString(''), rawProperties())]);
  });

  test('[MQTT-3.3.2-2] must not hold wildcards', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('#', 1);
    for (const topicName of ['#', '+', 'a/#', 'a/+/b', 'a+', 'a#']) {
      for (const qos of ALL_QOS) {
        const client = await broker.connect();
        client.sendPublish(topicName, 'x', { qos });
        await client.expectDisconnect(ReasonCode.topicNameInvalid);
      }
    }
    await watcher.expectNothing();
  });

  test('[MQTT-3.3.2-3] of what is sent matches a filter of the client', async ({ broker }) => {
    const publisher = await broker.connect();
    const clients = new Map([
      ['a/b', ['a/b']],
      ['a/+', ['a/', 'a/b']],
      ['a/#', ['a', 'a/', 'a/b', 'a/b/c', 'a/b/']],
      ['+/b', ['a/b', '/b']],
      ['/+', ['/b']],
    ]);
    const takers = new Map<string, Awaited<ReturnType<typeof broker.connect>>>();
    for (const filter of clients.keys()) {
      const client = await broker.connect();
      await client.subscribe(filter, 1);
      takers.set(filter, client);
    }
    for (const topicName of ['a', 'a/', 'a/b', 'a/b/c', '/b', 'b', 'a/b/', 'A', 'ab']) {
      await publisher.publish(topicName, topicName, { qos: 1 });
    }
    for (const [filter, topicNames] of clients) {
      const client = takers.get(filter)!;
      for (const topicName of topicNames) await client.expectMessage({ topicName, payload: topicName });
      await client.expectNothing();
    }
  });
});

describe('the answer to PUBLISH', () => {
  test('[MQTT-3.3.4-1] is none with QoS 0, PUBACK with QoS 1 and PUBREC with QoS 2', async ({ broker }) => {
    const client = await broker.connect();
    client.sendPublish('a', 'x');
    await client.expectNothing();
    client.sendPublish('a', 'x', { qos: 1, packetId: 5 });
    await client.expect(PacketType.puback, { packetId: 5 });
    client.sendPublish('a', 'x', { qos: 2, packetId: 6 });
    await client.expect(PacketType.pubrec, { packetId: 6 });
    await client.expectNothing();
  });

  test('[MQTT-3.3.4-1] comes for refused publishes as well', async ({ start }) => {
    const broker = await start({ hooks: { authorize: () => false } });
    const client = await broker.connect();
    client.sendPublish('a', 'x');
    await client.expectNothing();
    client.sendPublish('a', 'x', { qos: 1, packetId: 5 });
    await client.expect(PacketType.puback, { packetId: 5, reasonCode: ReasonCode.notAuthorized });
    client.sendPublish('a', 'x', { qos: 2, packetId: 6 });
    await client.expect(PacketType.pubrec, { packetId: 6, reasonCode: ReasonCode.notAuthorized });
    await client.expectNothing();
  });
});
