import { describe, expect } from 'vitest';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED, V3_VERSIONS } from './v3-versions.ts';

/** Flags a client of 3.1 may set when it sends a SUBSCRIBE or UNSUBSCRIBE again: DUP, with the QoS 1 it always has. */
const RESENT = 0b1010;

const qosByte = (value: number): Buffer => Buffer.from([value]);

describe.each(V3_VERSIONS)('the form of SUBSCRIBE in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.8.1-1] wrong flags close the connection (${name})`, async ({ broker }) => {
    for (let flags = 0; flags < 16; flags += 1) {
      if (version === 3 && flags === RESENT) continue;
      const client = await broker.connect({ version });
      client.send(frame(0x80 | flags, uint16(1), mqttString('a'), qosByte(0)));
      if (flags === 2) await client.expect(PacketType.suback);
      else await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.8.3-1] a filter that is not UTF-8 closes the connection (${name})`, async ({ broker }) => {
    for (const [, bytes] of ILL_FORMED) {
      const client = await broker.connect({ version });
      client.send(frame(0x82, uint16(1), mqttString('a'), qosByte(0), mqttString(bytes), qosByte(0)));
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.8.3-3] one without a filter, or with half a pair, closes the connection (${name})`, async ({
    broker,
  }) => {
    const packets = [
      frame(0x82, uint16(1)),
      frame(0x82, uint16(1), mqttString('a')),
      frame(0x82, uint16(1), uint16(4), Buffer.from('abc')),
      frame(0x82, uint16(1), mqttString('a'), qosByte(0), mqttString('b')),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.8.3-4] reserved bits or QoS 3 close the connection (${name})`, async ({ broker }) => {
    for (const options of [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xfe, 0xff]) {
      const client = await broker.connect({ version });
      client.send(frame(0x82, uint16(1), mqttString('a'), qosByte(options)));
      await client.expectClose();
    }
  });
});

describe('refused subscriptions of MQTT 3.1.1', () => {
  test('[v3 MQTT-3.8.3-2] wildcards are refused where they are turned off', async ({ start }) => {
    const broker = await start({ config: { limits: { wildcardSubscriptionAvailable: false } } });
    const client = await broker.connect({ version: 4 });
    client.sendSubscribe(['a/+', 'a/b', '#'], 1);
    await client.expect(PacketType.suback, { reasonCodes: [0x80, 1, 0x80] });
    await client.publish('a/b', 'once', { qos: 1 });
    await client.expectMessage({ payload: 'once' });
    await client.publish('a/c', 'no', { qos: 1 });
    await client.expectNothing();
  });

  test('[v3 MQTT-3.9.3-2] SUBACK has no codes but 0, 1, 2 and 0x80', async ({ start }) => {
    const broker = await start({
      hooks: {
        authorize: (_client, request) => {
          if (request.topic === 'refused') return { reasonCode: 0x97 };
          return request.topic !== 'forbidden';
        },
      },
    });
    const client = await broker.connect({ version: 4 });
    const filters = ['a', 'forbidden', 'refused', 'a/#/b', 'a+', '$share//a', '$share/g'];
    client.sendSubscribe(filters, 2);
    await client.expect(PacketType.suback, { reasonCodes: [2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80] });
    await client.expectNothing();
  });
});

describe.each(V3_VERSIONS)('the answer to SUBSCRIBE in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.8.4-1] is a SUBACK (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    client.sendSubscribe('a', 1);
    await client.expect(PacketType.suback, { reasonCodes: [1] });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.8.4-2] has the packet id of the SUBSCRIBE (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    for (const packetId of [0xffff, 1, 256]) {
      client.send(frame(0x82, uint16(packetId), mqttString('a'), qosByte(0)));
      await client.expect(PacketType.suback, { packetId });
    }
  });

  test(`[v3 MQTT-3.8.4-3] the same filter replaces the subscription and brings retained messages again (${name})`, async ({
    broker,
  }) => {
    const client = await broker.connect({ version });
    await client.publish('a', 'retained', { qos: 2, retain: true });
    for (const qos of [0, 2, 1] as const) {
      await client.subscribe('a', qos);
      await client.expectMessage({ payload: 'retained', qos, retain: true });
      await client.publish('a', 'live', { qos: 2 });
      await client.expectMessage({ payload: 'live', qos, retain: false });
      await client.expectNothing();
    }
    await client.unsubscribe('a');
    await client.publish('a', 'nobody', { qos: 2 });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.8.4-3] replacing a subscription interrupts no flow of messages (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    const client = await broker.connect({ version });
    await client.subscribe('a', 0);
    const count = 200;
    for (let i = 0; i < count; i += 1) {
      publisher.sendPublish('a', String(i));
      if (i % 20 === 0) client.sendSubscribe('a', 0);
    }
    await publisher.ping();
    const got: string[] = [];
    while (got.length < count) {
      const packet = await client.next();
      if (packet.type === PacketType.publish) got.push(Buffer.from(packet.payload).toString());
    }
    expect(got).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  });

  test(`[v3 MQTT-3.8.4-4] several filters are several subscriptions with one SUBACK (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.publish('a', 'retained', { qos: 1, retain: true });
    client.sendSubscribe([
      { topicFilter: 'a', qos: 0 },
      { topicFilter: 'b', qos: 2 },
      { topicFilter: 'a', qos: 1 },
    ]);
    const suback = await client.next();
    expect(suback).toMatchObject({ type: PacketType.suback, reasonCodes: [0, 2, 1] });
    // Once for the subscription, and again as it is replaced.
    await client.expectMessage({ payload: 'retained', retain: true });
    await client.expectMessage({ payload: 'retained', qos: 1, retain: true });
    await client.publish('a', 'x', { qos: 2 });
    await client.expectMessage({ topicName: 'a', qos: 1 });
    await client.publish('b', 'x', { qos: 2 });
    await client.expectMessage({ topicName: 'b', qos: 2 });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.8.4-5] has a code for each filter, the QoS that was granted (${name})`, async ({ start }) => {
    const broker = await start({ config: { limits: { maximumQos: 1 } } });
    const client = await broker.connect({ version });
    client.sendSubscribe([
      { topicFilter: 'a', qos: 0 },
      { topicFilter: 'b', qos: 1 },
      { topicFilter: 'c', qos: 2 },
    ]);
    await client.expect(PacketType.suback, { reasonCodes: [0, 1, 1] });
  });

  test(`[v3 MQTT-3.8.4-6] messages come with the lower of their QoS and the granted one (${name})`, async ({
    broker,
  }) => {
    const client = await broker.connect({ version });
    const all: readonly Qos[] = [0, 1, 2];
    for (const granted of all) await client.subscribe(`a/${granted}`, granted);
    for (const granted of all) {
      for (const published of all) {
        await client.publish(`a/${granted}`, 'x', { qos: published });
        const qos = granted < published ? granted : published;
        await client.expectMessage({ topicName: `a/${granted}`, qos });
      }
    }
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.9.3-1] has its codes in the order of the filters (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    const qos: readonly Qos[] = [2, 0, 1, 1, 0, 2, 2, 1];
    client.sendSubscribe(qos.map((value, i) => ({ topicFilter: `topic/${7 - i}`, qos: value })));
    await client.expect(PacketType.suback, { reasonCodes: [...qos] });
  });
});

describe.each(V3_VERSIONS)('UNSUBSCRIBE of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.10.1-1] wrong flags close the connection (${name})`, async ({ broker }) => {
    for (let flags = 0; flags < 16; flags += 1) {
      if (version === 3 && flags === RESENT) continue;
      const client = await broker.connect({ version });
      client.send(frame(0xa0 | flags, uint16(1), mqttString('a')));
      if (flags === 2) await client.expect(PacketType.unsuback);
      else await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.10.3-1] a filter that is not UTF-8, or not whole, closes the connection (${name})`, async ({
    broker,
  }) => {
    const filters = [...ILL_FORMED.map(([, bytes]) => mqttString(bytes)), Buffer.from([0]), Buffer.from([0, 3, 0x61])];
    for (const filter of filters) {
      const client = await broker.connect({ version });
      client.send(frame(0xa2, uint16(1), mqttString('a'), filter));
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.10.3-2] one without a filter closes the connection (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    client.send(frame(0xa2, uint16(1)));
    await client.expectClose();
  });

  test(`[v3 MQTT-3.10.4-1] compares filters letter by letter (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe(['a/b', 'a/+'], 1);
    await client.unsubscribe(['a/B', '#', 'a/#', '+/+', 'a/b/', '/a/b']);
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

  test(`[v3 MQTT-3.10.4-2] nothing is added for delivery any more (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 2);
    await client.unsubscribe('a');
    const publisher = await broker.connect({ version });
    for (const qos of [0, 1, 2] as const) await publisher.publish('a', 'x', { qos });
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.10.4-3] what was begun is delivered to its end (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 2);
    await first.publish('a', 'one', { qos: 1 });
    await first.publish('a', 'two', { qos: 2 });
    const one = await first.expectPublish({ payload: 'one' });
    const two = await first.expectPublish({ payload: 'two' });
    await first.unsubscribe('a');
    first.sendAck(PacketType.pubrec, two.packetId);
    await first.expect(PacketType.pubrel, { packetId: two.packetId });
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expectMessage({ payload: 'one', packetId: one.packetId, dup: true });
    await second.expect(PacketType.pubrel, { packetId: two.packetId });
    second.sendAck(PacketType.pubcomp, two.packetId);
    await second.expectNothing();
  });

  test(`[v3 MQTT-3.10.4-4] is answered with an UNSUBACK of its packet id (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a');
    for (const packetId of [0xffff, 1, 256]) {
      client.send(frame(0xa2, uint16(packetId), mqttString('a')));
      await client.expect(PacketType.unsuback, { packetId });
    }
  });

  test(`[v3 MQTT-3.10.4-5] is answered where there was no such subscription (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    const packetId = client.sendUnsubscribe('never/subscribed');
    await client.expect(PacketType.unsuback, { packetId });
  });

  test(`[v3 MQTT-3.10.4-6] several filters are removed with one UNSUBACK (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe(['a', 'b', 'c'], 1);
    const packetId = client.sendUnsubscribe(['a', 'never', 'c']);
    await client.expect(PacketType.unsuback, { packetId });
    await client.expectNothing();
    for (const topicName of ['a', 'b', 'c']) await client.publish(topicName, 'x', { qos: 1 });
    await client.expectMessage({ topicName: 'b' });
    await client.expectNothing();
  });
});
