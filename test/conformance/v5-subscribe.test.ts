import { describe, expect } from 'vitest';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, rawSubscribe } from './v5-bytes.ts';
import { KEPT, sizeOf } from './v5-raw.ts';
import { ILL_FORMED } from './v3-versions.ts';

/** SUBSCRIBE of these filters with their options bytes, packet id 1, no properties. */
function rawFilters(...filters: readonly (readonly [filter: string, options: number])[]): Buffer {
  const payload = filters.flatMap(([filter, options]) => [mqttString(filter), Buffer.from([options])]);
  return frame(0x82, uint16(1), rawProperties(), ...payload);
}

const REFUSING: Hooks = {
  authorize: (_client, { action, topic }) => {
    if (action !== 'subscribe') return true;
    if (topic === 'fails') throw new Error('a fault of the hook');
    const code = /^refused\/(\d+)$/.exec(topic)?.[1];
    if (code !== undefined) return { reasonCode: Number(code), reasonString: 'a reason '.repeat(20) };
    return topic !== 'forbidden';
  },
};

describe('the form of SUBSCRIBE', () => {
  test('[MQTT-3.8.1-1] wrong flags close the connection with 0x81', async ({ broker }) => {
    for (let flags = 0; flags < 16; flags += 1) {
      const packet = frame(0x80 | flags, uint16(1), rawProperties(), mqttString('a'), Buffer.from([0]));
      if (flags !== 2) await expectPacketsRefused(broker, ReasonCode.malformedPacket, [packet]);
    }
    const client = await broker.connect();
    client.send(rawSubscribe('a'));
    await client.expect(PacketType.suback, { reasonCodes: [0] });
  });

  test('[MQTT-3.8.3-1] a filter that is not UTF-8 closes the connection with 0x81', async ({ broker }) => {
    const strings = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    const packets = strings.map((bytes) => rawSubscribe(bytes));
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
  });

  test('[MQTT-3.8.3-2] one without a filter closes the connection with 0x82, half a pair with 0x81', async ({
    broker,
  }) => {
    await expectPacketsRefused(broker, ReasonCode.protocolError, [frame(0x82, uint16(1), rawProperties())]);
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, [
      frame(0x82, uint16(1), rawProperties(), mqttString('a')),
      frame(0x82, uint16(1), rawProperties(), uint16(4), Buffer.from('abc')),
      frame(0x82, uint16(1), rawProperties(), mqttString('a'), Buffer.from([0]), mqttString('b')),
    ]);
  });

  test('[MQTT-3.8.3-4] No Local on a shared subscription closes the connection with 0x82', async ({ broker }) => {
    const packets = [rawFilters(['$share/g/a', 0x04]), rawFilters(['a', 0], ['$share/g/#', 0x05])];
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });

  test('[MQTT-3.8.3-5] reserved bits of the options close the connection with 0x81', async ({ broker }) => {
    const packets = [0x40, 0x80, 0xc0, 0x41].map((options) => rawFilters(['a', 0], ['b', options]));
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
  });
});

describe('No Local', () => {
  test('[MQTT-3.8.3-3] keeps a client from getting its own messages', async ({ broker }) => {
    const client = await broker.connect();
    const other = await broker.connect();
    await client.subscribe([{ topicFilter: 'a/#', noLocal: true }], 2);
    for (const qos of [0, 1, 2] as const) {
      await client.publish('a/b', 'own', { qos });
      await client.expectNothing();
      await other.publish('a/b', 'theirs', { qos });
      await client.expectMessage({ payload: 'theirs', qos });
    }
  });

  test('[MQTT-3.8.3-3] goes by the client id, over connections and through the queue', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe([{ topicFilter: 'a', noLocal: true }], 1);
    await first.disconnect();
    const will = { topicName: 'a', payload: 'own will', qos: 1 } as const;
    const second = await broker.connect({ ...KEPT, will });
    await second.publish('a', 'own', { qos: 1 });
    await second.disconnect(ReasonCode.disconnectWithWillMessage);
    const other = await broker.connect();
    await other.publish('a', 'theirs', { qos: 1 });
    const third = await broker.connect(KEPT);
    await third.expectMessage({ payload: 'theirs' });
    await third.expectNothing();
  });

  test('[MQTT-3.8.3-3] leaves overlapping subscriptions without it alone', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe([{ topicFilter: 'a/#', noLocal: true, qos: 2 }], 2, { subscriptionIdentifiers: [1] });
    await client.subscribe([{ topicFilter: 'a/b', qos: 1 }], 1, { subscriptionIdentifiers: [2] });
    await client.publish('a/b', 'own', { qos: 2 });
    const { properties } = await client.expectMessage({ payload: 'own', qos: 1 });
    expect(properties.subscriptionIdentifiers).toEqual([2]);
    await client.publish('a/c', 'own', { qos: 2 });
    await client.expectNothing();
  });
});

describe('the answer to SUBSCRIBE', () => {
  test('[MQTT-3.8.4-1] is a SUBACK', async ({ broker }) => {
    const client = await broker.connect();
    client.sendSubscribe('a', 1);
    await client.expect(PacketType.suback, { reasonCodes: [1] });
    client.sendSubscribe('a/#/b', 1);
    await client.expect(PacketType.suback, { reasonCodes: [ReasonCode.topicFilterInvalid] });
    await client.expectNothing();
  });

  test('[MQTT-3.8.4-2] has the packet id of the SUBSCRIBE', async ({ broker }) => {
    const client = await broker.connect();
    for (const packetId of [0xffff, 1, 256]) {
      client.send(frame(0x82, uint16(packetId), rawProperties(), mqttString('a'), Buffer.from([0])));
      await client.expect(PacketType.suback, { packetId });
    }
  });

  test('[MQTT-3.8.4-3] the same filter replaces the subscription with all its options', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe([{ topicFilter: 'a', noLocal: true, retainAsPublished: true }], 2);
    await client.publish('a', 'own', { qos: 2, retain: true });
    await client.expectNothing();
    await client.subscribe([{ topicFilter: 'a', retainHandling: 2 }], 1);
    await client.publish('a', 'own', { qos: 2, retain: true });
    await client.expectMessage({ payload: 'own', qos: 1, retain: false });
    await client.expectNothing();
    await client.unsubscribe('a');
    await client.publish('a', 'nobody', { qos: 2 });
    await client.expectNothing();
  });

  test('[MQTT-3.8.4-4] replacing with Retain Handling 0 brings retained messages again', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a', 'retained', { qos: 2, retain: true });
    for (const qos of [0, 2, 1] as const) {
      await client.subscribe([{ topicFilter: 'a', retainHandling: 0 }], qos);
      await client.expectMessage({ payload: 'retained', qos, retain: true });
      await client.expectNothing();
    }
  });

  test('[MQTT-3.8.4-4] replacing a subscription loses no message', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect();
    await client.subscribe('a', 1);
    const count = 200;
    for (let i = 0; i < count; i += 1) {
      publisher.sendPublish('a', String(i), { qos: 1 });
      if (i % 20 === 0) client.sendSubscribe('a', 1);
    }
    const got: string[] = [];
    while (got.length < count) {
      const packet = await client.next();
      if (packet.type !== PacketType.publish) continue;
      client.sendAck(PacketType.puback, packet.packetId);
      got.push(Buffer.from(packet.payload).toString());
    }
    expect(got).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  });

  test('[MQTT-3.8.4-5] several filters are handled one after the other, with one SUBACK', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a', 'retained', { qos: 1, retain: true });
    await client.publish('b', 'retained', { qos: 1, retain: true });
    client.sendSubscribe(
      [
        { topicFilter: 'b', qos: 0 },
        { topicFilter: 'a/#/b', qos: 1 },
        { topicFilter: 'a', qos: 2, retainHandling: 1 },
      ],
      0,
      { subscriptionIdentifiers: [5] },
    );
    await client.expect(PacketType.suback, { reasonCodes: [0, ReasonCode.topicFilterInvalid, 2] });
    await client.expectMessage({ topicName: 'b', retain: true, properties: { subscriptionIdentifiers: [5] } });
    await client.expectMessage({ topicName: 'a', retain: true, properties: { subscriptionIdentifiers: [5] } });
    for (const topicName of ['a', 'b']) {
      await client.publish(topicName, 'x', { qos: 2 });
      await client.expectMessage({ topicName, qos: topicName === 'a' ? 2 : 0 });
    }
    await client.expectNothing();
  });

  test('[MQTT-3.8.4-5] of a filter that comes twice the last one counts', async ({ broker }) => {
    const client = await broker.connect();
    client.sendSubscribe([
      { topicFilter: 'a', qos: 2 },
      { topicFilter: 'b', qos: 1 },
      { topicFilter: 'a', qos: 0 },
    ]);
    await client.expect(PacketType.suback, { reasonCodes: [2, 1, 0] });
    await client.publish('a', 'x', { qos: 2 });
    await client.expectMessage({ qos: 0 });
    await client.expectNothing();
  });

  test('[MQTT-3.8.4-6] has a code for each filter, however many there are', async ({ broker }) => {
    const client = await broker.connect();
    for (const count of [1, 2, 1000]) {
      client.sendSubscribe(
        Array.from({ length: count }, (_, i) => `topic/${i}`),
        1,
      );
      const { reasonCodes } = await client.expect(PacketType.suback);
      expect(reasonCodes).toEqual(Array.from({ length: count }, () => 1));
    }
  });

  test('[MQTT-3.8.4-7] tells the QoS granted or the failure', async ({ start }) => {
    const broker = await start({ hooks: REFUSING, config: { limits: { maximumQos: 1 } } });
    const client = await broker.connect();
    client.sendSubscribe(['a', { topicFilter: 'b', qos: 1 }, { topicFilter: 'c', qos: 2 }, 'forbidden', 'a+']);
    await client.expect(PacketType.suback, {
      reasonCodes: [0, 1, 1, ReasonCode.notAuthorized, ReasonCode.topicFilterInvalid],
    });
    const publisher = await broker.connect();
    for (const topicName of ['a', 'b', 'c', 'forbidden', 'a+'.slice(0, 1)]) {
      await publisher.publish(topicName, 'x', { qos: 1 });
    }
    await client.expectMessage({ topicName: 'a', qos: 0 });
    await client.expectMessage({ topicName: 'b', qos: 1 });
    await client.expectMessage({ topicName: 'c', qos: 1 });
    await client.expectMessage({ topicName: 'a', qos: 0 });
    await client.expectNothing();
  });

  test('[MQTT-3.8.4-8] messages come with the lower of their QoS and the granted one', async ({ broker }) => {
    const client = await broker.connect();
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
});

describe('SUBACK', () => {
  test('[MQTT-3.9.2-1][MQTT-3.9.2-2] never exceeds Maximum Packet Size with its properties', async ({ start }) => {
    const maximumPacketSize = 16;
    const broker = await start({ hooks: REFUSING });
    const client = await broker.connect({ properties: { maximumPacketSize } });
    for (const filter of ['a', 'refused/135', 'fails', 'a/#/b']) {
      client.sendSubscribe(filter, 1);
      expect(sizeOf(await client.expect(PacketType.suback))).toBeLessThanOrEqual(maximumPacketSize);
    }
  });

  test('[MQTT-3.9.3-1] has its codes in the order of the filters', async ({ start }) => {
    const broker = await start({ hooks: REFUSING });
    const client = await broker.connect();
    const qos: readonly Qos[] = [2, 0, 1, 1, 0, 2, 2, 1];
    const filters = qos.map((value, i) => ({ topicFilter: i === 3 ? 'forbidden' : `topic/${7 - i}`, qos: value }));
    client.sendSubscribe(filters);
    await client.expect(PacketType.suback, { reasonCodes: [2, 0, 1, ReasonCode.notAuthorized, 0, 2, 2, 1] });
  });

  test('[MQTT-3.9.3-2] has the codes there are for it', async ({ start }) => {
    const limits = {
      wildcardSubscriptionAvailable: false,
      sharedSubscriptionAvailable: false,
      subscriptionsPerSessionMax: 4,
    };
    const broker = await start({ hooks: REFUSING, config: { limits } });
    const client = await broker.connect();
    const outcomes: [string, number][] = [
      ['a', 0],
      ['b', 1],
      ['c', 2],
      ['forbidden', ReasonCode.notAuthorized],
      ['fails', ReasonCode.implementationSpecificError],
      ['$share/g/a', ReasonCode.sharedSubscriptionsNotSupported],
      ['a/+', ReasonCode.wildcardSubscriptionsNotSupported],
      ['a+', ReasonCode.topicFilterInvalid],
      ['d', 0],
      ['e', ReasonCode.quotaExceeded],
      ['a', 0],
    ];
    const filters = outcomes.map(([topicFilter, code]) => ({ topicFilter, qos: (code < 3 ? code : 0) as Qos }));
    client.sendSubscribe(filters);
    await client.expect(PacketType.suback, { reasonCodes: outcomes.map(([, code]) => code) });
  });

  test('[MQTT-3.9.3-2] has one of them where the embedding program refuses with another', async ({ start }) => {
    const broker = await start({ hooks: REFUSING });
    const client = await broker.connect();
    for (const code of [0x8a, 0x99, 0x90, 0x80, 0x97]) {
      client.sendSubscribe(`refused/${code}`, 1);
      const { reasonCodes } = await client.expect(PacketType.suback);
      expect(reasonCodes[0]).toBeGreaterThanOrEqual(0x80);
    }
  });
});
