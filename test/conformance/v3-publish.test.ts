import { describe, expect } from 'vitest';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED, V3_VERSIONS } from './v3-versions.ts';

const ALL_QOS: readonly Qos[] = [0, 1, 2];

describe.each(V3_VERSIONS)('DUP and QoS of PUBLISH in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.3.1-1] DUP is 1 where a PUBLISH is sent again (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 2);
    await first.publish('a', 'one', { qos: 1 });
    await first.publish('a', 'two', { qos: 2 });
    await first.expectPublish({ payload: 'one', dup: false });
    await first.expectPublish({ payload: 'two', dup: false });
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expectMessage({ payload: 'one', dup: true });
    await second.expectMessage({ payload: 'two', dup: true });
    await second.expectNothing();
  });

  test(`[v3 MQTT-3.3.1-2] DUP is 0 with QoS 0, sent and received (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 0);
    for (const qos of ALL_QOS) {
      await client.publish('a', 'x', { qos });
      await client.expectPublish({ qos: 0, dup: false });
    }
    client.send(frame(0x38, mqttString('a')));
    await client.expectClose();
  });

  test(`[v3 MQTT-3.3.1-3] DUP of an incoming PUBLISH is not passed on (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 2);
    for (const qos of [1, 2] as const) {
      await client.publish('a', 'x', { qos, dup: true });
      await client.expectMessage({ qos, dup: false });
    }
  });

  test(`[v3 MQTT-3.3.1-4] QoS 3 closes the connection (${name})`, async ({ broker }) => {
    for (const firstByte of [0x36, 0x37, 0x3e]) {
      const client = await broker.connect({ version });
      client.send(frame(firstByte, mqttString('a'), uint16(1), Buffer.from('payload')));
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.3.4-1] is answered as its QoS says (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    client.sendPublish('a', 'x');
    await client.expectNothing();
    client.sendPublish('a', 'x', { qos: 1, packetId: 5 });
    await client.expect(PacketType.puback, { packetId: 5 });
    client.sendPublish('a', 'x', { qos: 2, packetId: 6 });
    await client.expect(PacketType.pubrec, { packetId: 6 });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.6.1-1] wrong flags of PUBREL close the connection (${name})`, async ({ broker }) => {
    for (const firstByte of [0x60, 0x61, 0x63, 0x66, ...(version === 4 ? [0x6a] : [])]) {
      const client = await broker.connect({ version });
      client.sendPublish('a', 'x', { qos: 2, packetId: 7 });
      await client.expect(PacketType.pubrec, { packetId: 7 });
      client.send(frame(firstByte, uint16(7)));
      await client.expectClose();
    }
  });
});

describe.each(V3_VERSIONS)('retained messages of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.3.1-5] are stored with their QoS for subscribers to come (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    for (const qos of ALL_QOS) await publisher.publish(`a/${qos}`, `QoS ${qos}`, { qos, retain: true });
    await publisher.disconnect();
    const late = await broker.connect({ version });
    for (const qos of ALL_QOS) {
      await late.subscribe(`a/${qos}`, 2);
      await late.expectMessage({ topicName: `a/${qos}`, payload: `QoS ${qos}`, qos, retain: true });
    }
  });

  test(`[v3 MQTT-3.3.1-6] the last of each matching topic goes to a new subscription (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    for (const topicName of ['a/1', 'a/2', 'a', 'b']) {
      await publisher.publish(topicName, 'old', { qos: 1, retain: true });
      await publisher.publish(topicName, `last of ${topicName}`, { qos: 1, retain: true });
    }
    const late = await broker.connect({ version });
    await late.subscribe('a/#', 1);
    const got = [];
    for (let i = 0; i < 3; i += 1) got.push(await late.expectMessage({ retain: true }));
    expect(got.map((packet) => `${packet.topicName}: ${Buffer.from(packet.payload).toString()}`).toSorted()).toEqual([
      'a/1: last of a/1',
      'a/2: last of a/2',
      'a: last of a',
    ]);
    await late.expectNothing();
  });

  test(`[v3 MQTT-3.3.1-7] one of QoS 0 takes the place of the one before (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    await publisher.publish('a', 'old', { qos: 2, retain: true });
    await publisher.publish('a', 'new', { qos: 0, retain: true });
    const late = await broker.connect({ version });
    await late.subscribe('a', 2);
    await late.expectMessage({ payload: 'new', qos: 0, retain: true });
    await late.expectNothing();
  });

  test(`[v3 MQTT-3.3.1-8] have RETAIN 1 where a new subscription brings them (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.publish('a/b', 'x', { qos: 1, retain: true });
    for (const filter of ['a/b', 'a/+', '#']) {
      await client.subscribe(filter, 1);
      await client.expectMessage({ retain: true });
    }
  });

  test(`[v3 MQTT-3.3.1-9] have RETAIN 0 where a subscription was there before (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 2);
    for (const qos of ALL_QOS) {
      for (const retain of [true, false]) {
        await client.publish('a', 'x', { qos, retain });
        await client.expectMessage({ qos, retain: false });
      }
    }
  });

  test(`[v3 MQTT-3.3.1-10] an empty one goes to subscribers and removes what was retained (${name})`, async ({
    broker,
  }) => {
    const client = await broker.connect({ version });
    await client.publish('a', 'x', { qos: 1, retain: true });
    await client.publish('b', 'stays', { qos: 1, retain: true });
    await client.subscribe('a', 1);
    await client.expectMessage({ payload: 'x', retain: true });
    await client.publish('a', '', { qos: 1, retain: true });
    await client.expectMessage({ topicName: 'a', payload: '', retain: false });
    const late = await broker.connect({ version });
    await late.subscribe('#', 1);
    await late.expectMessage({ topicName: 'b', payload: 'stays' });
    await late.expectNothing();
  });

  test(`[v3 MQTT-3.3.1-11] an empty one is not stored (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    for (const qos of ALL_QOS) await client.publish(`a/${qos}`, '', { qos, retain: true });
    await client.subscribe('#', 2);
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.3.1-12] are neither made, replaced nor removed without RETAIN (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    await publisher.publish('a', 'retained', { qos: 1, retain: true });
    for (const qos of ALL_QOS) {
      await publisher.publish('a', 'not retained', { qos });
      await publisher.publish('a', '', { qos });
      await publisher.publish('b', 'not retained', { qos });
    }
    const late = await broker.connect({ version });
    await late.subscribe('#', 2);
    await late.expectMessage({ topicName: 'a', payload: 'retained', retain: true });
    await late.expectNothing();
  });
});

describe.each(V3_VERSIONS)('topic names and delivery of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.3.2-1] a PUBLISH without a whole topic name in UTF-8 closes the connection (${name})`, async ({
    broker,
  }) => {
    const packets = [
      frame(0x30),
      frame(0x30, Buffer.from([0])),
      frame(0x30, uint16(5), Buffer.from('four')),
      frame(0x32, mqttString('a')),
      frame(0x32, mqttString('a'), Buffer.from([0])),
      ...ILL_FORMED.map(([, bytes]) => frame(0x30, mqttString(bytes), Buffer.from('payload'))),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.3.2-2] a topic name with wildcards closes the connection (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('#', 2);
    for (const topicName of ['#', '+', 'a/#', 'a/+/b', 'a+', 'a#b']) {
      for (const firstByte of [0x30, 0x32, 0x34]) {
        const client = await broker.connect({ version });
        client.send(frame(firstByte, mqttString(topicName), uint16(1), Buffer.from('payload')));
        await client.expectClose();
      }
    }
    await watcher.expectNothing();
  });

  test(`[v3 MQTT-3.3.2-3] what is delivered bears the name it was published with, and matches (${name})`, async ({
    broker,
  }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a/+/c', 0);
    for (const topicName of ['a/b/c', 'a/b', 'a//c', 'b/b/c', 'a/b/c/d', 'a/x/c']) await client.publish(topicName, 'x');
    for (const topicName of ['a/b/c', 'a//c', 'a/x/c']) await client.expectPublish({ topicName });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.3.5-1] overlapping subscriptions give the highest of their QoS (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a/b', 0);
    await client.subscribe('a/+', 2);
    await client.subscribe('#', 1);
    const published: readonly (readonly [Qos, Qos])[] = [
      [2, 2],
      [1, 1],
      [0, 0],
    ];
    for (const [qos, delivered] of published) {
      await client.publish('a/b', `QoS ${qos}`, { qos });
      await client.expectMessage({ payload: `QoS ${qos}`, qos: delivered });
      await client.expectNothing();
    }
    await client.publish('b', 'only #', { qos: 2 });
    await client.expectMessage({ payload: 'only #', qos: 1 });
  });

  test(`[v3 MQTT-3.3.5-2] a PUBLISH that is not allowed is acknowledged or ends the connection, and goes nowhere (${name})`, async ({
    start,
  }) => {
    const broker = await start({
      hooks: { authorize: (_client, request) => request.action !== 'publish' || request.topic !== 'forbidden' },
    });
    const watcher = await broker.connect({ version });
    await watcher.subscribe('#', 2);
    for (const qos of [1, 2] as const) {
      const client = await broker.connect({ version });
      client.sendPublish('forbidden', 'x', { qos, packetId: 9, retain: true });
      // Either is right; what must not be is silence on an open connection.
      const answer = await client.next().catch(() => 'closed');
      if (answer === 'closed') expect(client.closed).toBe(true);
      else expect(answer).toMatchObject({ type: qos === 1 ? PacketType.puback : PacketType.pubrec, packetId: 9 });
    }
    await watcher.publish('allowed', 'x', { qos: 1 });
    await watcher.expectMessage({ topicName: 'allowed' });
    await watcher.subscribe('forbidden', 2);
    await watcher.expectNothing();
  });
});
