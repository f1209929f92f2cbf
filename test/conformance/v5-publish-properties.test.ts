import { describe, expect } from 'vitest';
import { PacketType, type Properties, type PublishPacket } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, rawPublish, textProperty } from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';
import { ILL_FORMED } from './v3-versions.ts';

/** Takes the message with these properties the ways there are: live, retained, and out of a queue. */
async function deliveries(broker: TestBroker, properties: Properties): Promise<PublishPacket[]> {
  const live = await broker.connect();
  const away = await broker.connect(KEPT);
  for (const client of [live, away]) await client.subscribe([{ topicFilter: 'a', retainHandling: 2 }], 2);
  await away.disconnect();
  const publisher = await broker.connect();
  await publisher.publish('a', 'x', { qos: 1, retain: true, properties });
  const late = await broker.connect();
  await late.subscribe('a', 2);
  const again = await broker.connect(KEPT);
  return [await live.expectMessage(), await late.expectMessage(), await again.expectMessage()];
}

describe('properties that are passed on', () => {
  test('[MQTT-3.3.2-4] Payload Format Indicator', async ({ broker }) => {
    for (const payloadFormatIndicator of [0, 1] as const) {
      for (const { properties } of await deliveries(broker, { payloadFormatIndicator })) {
        expect(properties).toEqual({ payloadFormatIndicator });
      }
    }
    for (const { properties } of await deliveries(broker, {})) expect(properties).toEqual({});
  });

  test('[MQTT-3.3.2-15] Response Topic', async ({ broker }) => {
    for (const responseTopic of ['answers/to/me', '$a/é/😀//']) {
      for (const { properties } of await deliveries(broker, { responseTopic })) {
        expect(properties).toEqual({ responseTopic });
      }
    }
  });

  test('[MQTT-3.3.2-16] Correlation Data', async ({ broker }) => {
    for (const bytes of [[], [0, 255, 0xc0, 0x80, 0]]) {
      const correlationData = new Uint8Array(bytes);
      for (const { properties } of await deliveries(broker, { correlationData })) {
        expect({ correlationData: new Uint8Array(properties.correlationData ?? [1]) }).toEqual({ correlationData });
      }
    }
  });

  test('[MQTT-3.3.2-17][MQTT-3.3.2-18] User Properties, all and in their order', async ({ broker }) => {
    const userProperties: [string, string][] = [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
      ['', ''],
      ['b', '0'],
      ['__proto__', 'é\u{1f600}'],
    ];
    for (const { properties } of await deliveries(broker, { userProperties })) {
      expect(properties).toEqual({ userProperties });
    }
  });

  test('[MQTT-3.3.2-17][MQTT-3.3.2-18] User Properties between others that do not stay', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('a', 0);
    const client = await broker.connect();
    const user = (name: string): Buffer => textProperty(0x26, name, 'v');
    const alias = Buffer.from([0x23, 0, 1]);
    const expiry = Buffer.from([0x02, 0, 0, 0, 100]);
    client.send(rawPublish('a', rawProperties(user('3'), alias, user('1'), expiry, user('2'))));
    const { properties } = await watcher.expectPublish();
    expect(properties.userProperties).toEqual([
      ['3', 'v'],
      ['1', 'v'],
      ['2', 'v'],
    ]);
  });

  test('[MQTT-3.3.2-20] Content Type', async ({ broker }) => {
    for (const contentType of ['application/json; charset=utf-8', '', 'é']) {
      for (const { properties } of await deliveries(broker, { contentType }))
        expect(properties).toEqual({ contentType });
    }
  });
});

describe('properties that are not well-formed', () => {
  /** PUBLISH packets with a string property that is wrong in each of the ways there are. */
  const illFormed = (id: number): Buffer[] => {
    const strings = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    const runsPast = Buffer.from([id, 0, 5, 0x61]);
    const lists = [...strings.map((bytes) => textProperty(id, bytes)), runsPast];
    return lists.map((list) => rawPublish('a', rawProperties(list)));
  };

  test('[MQTT-3.3.2-13] a Response Topic has to be UTF-8', async ({ broker }) => {
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, illFormed(0x08));
  });

  test('[MQTT-3.3.2-14] a Response Topic must not hold wildcards', async ({ broker }) => {
    const topics = ['#', '+', 'a/#', 'a/+/b', 'a+'];
    const packets = topics.map((topic) => rawPublish('a', rawProperties(textProperty(0x08, topic))));
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });

  test('[MQTT-3.3.2-19] a Content Type has to be UTF-8', async ({ broker }) => {
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, illFormed(0x03));
  });
});

describe('Message Expiry Interval', () => {
  test('[MQTT-3.3.2-5] what expires before its delivery has begun is not delivered', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const first = await broker.connect(KEPT);
    await first.subscribe('a/+', 2);
    await first.disconnect();
    const publisher = await broker.connect();
    for (const qos of [1, 2] as const) {
      await publisher.publish('a/short', 'short', { qos, properties: { messageExpiryInterval: 10 } });
      await publisher.publish('a/long', 'long', { qos, properties: { messageExpiryInterval: 11 } });
    }
    await publisher.publish('b', 'retained', { qos: 1, retain: true, properties: { messageExpiryInterval: 10 } });
    broker.advance(10_000);
    const second = await broker.connect(KEPT);
    for (const qos of [1, 2] as const) {
      await second.expectMessage({ payload: 'long', qos, properties: { messageExpiryInterval: 1 } });
    }
    await second.subscribe('b', 1);
    await second.expectNothing();
  });

  test('[MQTT-3.3.2-5] what expires while Receive Maximum holds it back is not delivered', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const client = await broker.connect({ properties: { receiveMaximum: 1 } });
    await client.subscribe('a', 1);
    const publisher = await broker.connect();
    await publisher.publish('a', 'first', { qos: 1, properties: { messageExpiryInterval: 5 } });
    await publisher.publish('a', 'second', { qos: 1, properties: { messageExpiryInterval: 5 } });
    await publisher.publish('a', 'third', { qos: 1 });
    const { packetId } = await client.expectPublish({ payload: 'first' });
    broker.advance(6000);
    client.sendAck(PacketType.puback, packetId);
    await client.expectMessage({ payload: 'third' });
    await client.expectNothing();
  });

  test('[MQTT-3.3.2-6] is sent less the time the message has waited', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const away = await broker.connect(KEPT);
    await away.subscribe('a', 2);
    await away.disconnect();
    const live = await broker.connect();
    await live.subscribe('a', 2);
    const properties = { messageExpiryInterval: 100 };
    for (const qos of [0, 1, 2] as const) await live.publish('a', 'x', { qos, retain: qos === 1, properties });
    for (const qos of [0, 1, 2] as const) {
      expect((await live.expectMessage({ qos })).properties).toEqual({ messageExpiryInterval: 100 });
    }
    broker.advance(30_000);
    const late = await broker.connect();
    await late.subscribe('a', 2);
    expect((await late.expectMessage({ retain: true })).properties).toEqual({ messageExpiryInterval: 70 });
    broker.advance(30_000);
    const again = await broker.connect(KEPT);
    for (const qos of [1, 2] as const) {
      expect((await again.expectMessage({ qos })).properties).toEqual({ messageExpiryInterval: 40 });
    }
    const later = await broker.connect();
    await later.subscribe('a', 2);
    expect((await later.expectMessage({ retain: true })).properties).toEqual({ messageExpiryInterval: 40 });
    broker.advance(40_000);
    const tooLate = await broker.connect();
    await tooLate.subscribe('a', 2);
    await tooLate.expectNothing();
  });

  test('[MQTT-3.3.2-6] is not invented where the publisher sent none', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const client = await broker.connect();
    await client.publish('a', 'x', { retain: true });
    broker.advance(1_000_000);
    await client.subscribe('a', 0);
    expect((await client.expectPublish({ payload: 'x' })).properties).toEqual({});
  });
});

describe('Topic Alias', () => {
  test('[MQTT-3.3.2-7] those of a client end with its connection', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('#', 0);
    const first = await broker.connect(KEPT);
    await first.publish('a', 'one', { properties: { topicAlias: 3 } });
    await first.publish('', 'two', { properties: { topicAlias: 3 } });
    for (const payload of ['one', 'two']) await watcher.expectPublish({ topicName: 'a', payload });
    await first.disconnect();
    const second = await broker.connect(KEPT);
    second.sendPublish('', 'three', { properties: { topicAlias: 3 } });
    await second.expectDisconnect(ReasonCode.protocolError);
    await watcher.expectNothing();
  });

  test('[MQTT-3.3.2-7] those towards a client are set again on a new connection', async ({ broker }) => {
    const properties = { ...KEPT.properties, topicAliasMaximum: 5 };
    const publisher = await broker.connect();
    for (let i = 0; i < 2; i += 1) {
      const client = await broker.connect({ ...KEPT, properties });
      await client.subscribe('a', 0);
      await publisher.publish('a', 'x');
      const { properties: sent } = await client.expectPublish({ topicName: 'a' });
      await publisher.publish('a', 'y');
      await client.expectPublish({ topicName: '', payload: 'y', properties: { topicAlias: sent.topicAlias! } });
      await client.disconnect();
    }
  });

  test('[MQTT-3.3.2-8] 0 closes the connection with 0x94', async ({ broker }) => {
    const alias = rawProperties(Buffer.from([0x23, 0, 0]));
    const packets = [rawPublish('a', alias), rawPublish('', alias)];
    await expectPacketsRefused(broker, ReasonCode.topicAliasInvalid, packets);
  });

  test('[MQTT-3.3.2-8] 0 is never sent', async ({ broker }) => {
    const client = await broker.connect({ properties: { topicAliasMaximum: 2 } });
    await client.subscribe('#', 0);
    for (let i = 0; i < 12; i += 1) {
      await client.publish(`a/${i % 4}`, 'x');
      const { properties } = await client.expectPublish();
      expect(properties.topicAlias).not.toBe(0);
    }
  });

  test('[MQTT-3.3.2-9] one above the maximum of the server closes the connection with 0x94', async ({ start }) => {
    for (const topicAliasMaximum of [0, 3]) {
      const broker = await start({ config: { limits: { topicAliasMaximum } } });
      const client = await broker.connect();
      expect(client.connack.properties.topicAliasMaximum ?? 0).toBe(topicAliasMaximum);
      client.sendPublish('a', 'x', { properties: { topicAlias: topicAliasMaximum + 1 } });
      await client.expectDisconnect(ReasonCode.topicAliasInvalid);
    }
  });

  test('[MQTT-3.3.2-11] none above the maximum of the client is sent, and none where it said nothing', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    for (const topicAliasMaximum of [undefined, 0, 1, 3]) {
      const client = await broker.connect({ properties: topicAliasMaximum === undefined ? {} : { topicAliasMaximum } });
      await client.subscribe('+', 0);
      const known = new Map<number, string>();
      for (let round = 0; round < 3; round += 1) {
        for (let i = 0; i < 6; i += 1) {
          await publisher.publish(`${i}`, 'x');
          const { topicName, properties } = await client.expectPublish();
          const alias = properties.topicAlias ?? 0;
          expect(alias).toBeLessThanOrEqual(topicAliasMaximum ?? 0);
          if (alias !== 0 && topicName !== '') known.set(alias, topicName);
          expect(topicName === '' ? known.get(alias) : topicName).toBe(`${i}`);
        }
      }
      await client.disconnect();
    }
  });

  test('[MQTT-3.3.2-12] all from 1 to the maximum of the server are accepted and may be set anew', async ({
    broker,
  }) => {
    const client = await broker.connect();
    const maximum = client.connack.properties.topicAliasMaximum!;
    expect(maximum).toBeGreaterThan(0);
    const watcher = await broker.connect();
    await watcher.subscribe('#', 1);
    for (let alias = 1; alias <= maximum; alias += 1) {
      client.sendPublish(`a/${alias}`, 'set', { properties: { topicAlias: alias } });
    }
    for (let alias = maximum; alias >= 1; alias -= 1)
      client.sendPublish('', 'used', { properties: { topicAlias: alias } });
    client.sendPublish('b', 'anew', { properties: { topicAlias: 1 } });
    client.sendPublish('', 'used', { qos: 1, properties: { topicAlias: 1 } });
    for (let alias = 1; alias <= maximum; alias += 1) {
      await watcher.expectPublish({ topicName: `a/${alias}`, payload: 'set' });
    }
    for (let alias = maximum; alias >= 1; alias -= 1) {
      const packet = await watcher.expectPublish({ topicName: `a/${alias}`, payload: 'used' });
      // An alias belongs to one connection and is not passed on.
      expect(packet.properties).toEqual({});
    }
    await watcher.expectPublish({ topicName: 'b', payload: 'anew' });
    await watcher.expectMessage({ topicName: 'b', payload: 'used' });
    await watcher.expectNothing();
  });
});
