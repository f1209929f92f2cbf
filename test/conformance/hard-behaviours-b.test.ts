import { describe, expect } from 'vitest';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import {
  expectConnectsRefused,
  expectPacketsRefused,
  properties as rawProperties,
  rawPublish,
  rawSubscribe,
  rawUnsubscribe,
  textProperty,
  vanish,
} from './v5-bytes.ts';
import { KEPT } from './v5-raw.ts';

/** Packets of a connected client with these property bytes, all else being right. */
function withProperties(list: Buffer): Buffer[] {
  return [
    rawPublish('a', list),
    rawSubscribe('a', list),
    rawUnsubscribe('a', list),
    ...[0x40, 0x50, 0x62, 0x70].map((first) => frame(first, uint16(1), Buffer.from([0]), list)),
    frame(0xe0, Buffer.from([0]), list),
    frame(0xf0, Buffer.from([0x18]), list),
  ];
}

/** The properties there are but User Property, each as bytes. */
const SINGLE_USE: readonly Buffer[] = [
  ...[0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a].map((id) => Buffer.from([id, 1])),
  ...[0x13, 0x21, 0x22, 0x23].map((id) => Buffer.from([id, 0, 1])),
  ...[0x02, 0x11, 0x18, 0x27].map((id) => Buffer.from([id, 0, 0, 1, 0])),
  ...[0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f].map((id) => textProperty(id, 'a')),
  Buffer.from([0x0b, 1]),
];

/** Property identifiers of each packet a connected client sends, in the order of `withProperties`. */
const ALLOWED: readonly (readonly number[])[] = [
  [0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23],
  [0x0b],
  [],
  ...[0, 1, 2, 3].map(() => [0x1f]),
  [0x11, 0x1c, 0x1f],
  [0x15, 0x16, 0x1f],
];

describe('properties', () => {
  test('hard behaviour 10: one of another packet is malformed, whichever packet and property', async ({ broker }) => {
    for (const property of SINGLE_USE) {
      const packets = withProperties(rawProperties(property)).filter((_, i) => !ALLOWED[i]!.includes(property[0]!));
      await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
    }
  });

  test('hard behaviour 10: an unknown one is malformed, whichever packet', async ({ broker }) => {
    for (const id of [0x00, 0x04, 0x2b, 0x7f]) {
      const packets = withProperties(rawProperties(Buffer.from([id, 0, 0, 0, 0])));
      await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
      await expectConnectsRefused(broker, ReasonCode.malformedPacket, [
        { properties: rawProperties(Buffer.from([id, 0])), payload: [mqttString('a')] },
      ]);
    }
  });

  test('hard behaviour 10: one that may come once is a protocol error where it comes twice', async ({ broker }) => {
    for (const property of SINGLE_USE) {
      const packets = withProperties(rawProperties(property, property)).filter((_, i) =>
        ALLOWED[i]!.includes(property[0]!),
      );
      await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
    }
    const ofConnect = [0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27];
    const connects = SINGLE_USE.filter((property) => ofConnect.includes(property[0]!)).map((property) => ({
      properties: rawProperties(property, property),
      payload: [mqttString('a')],
    }));
    expect(connects).toHaveLength(ofConnect.length);
    await expectConnectsRefused(broker, ReasonCode.protocolError, connects);
  });
});

describe('overlapping filters', () => {
  test('hard behaviour 8: of one SUBSCRIBE bring a retained message once, with the highest QoS', async ({ broker }) => {
    const client = await broker.connect();
    await client.publish('a/b', 'retained', { qos: 2, retain: true });
    const filters = [
      { topicFilter: 'a/b', qos: 0 },
      { topicFilter: 'a/+', qos: 2 },
      { topicFilter: '#', qos: 1 },
    ] as const;
    await client.subscribe(filters, 0, { subscriptionIdentifiers: [4] });
    const { properties } = await client.expectMessage({ payload: 'retained', qos: 2, retain: true });
    expect(new Set(properties.subscriptionIdentifiers)).toEqual(new Set([4]));
    await client.expectNothing();
  });
});

describe('a client that breaks a limit', () => {
  test('hard behaviour 15: can read 0x93 while it is still sending', async ({ start }) => {
    const broker = await start({ config: { limits: { receiveMaximum: 2 } } });
    for (const transport of ['tcp', 'websocket'] as const) {
      const client = await broker.connect({ transport });
      for (let packetId = 1; packetId <= 3; packetId += 1) client.sendPublish('a', 'x', { qos: 2, packetId });
      // More than the buffers of a socket hold: unread, they would make the broker's system reset the connection.
      for (let i = 0; i < 200; i += 1) client.sendPublish('a', Buffer.alloc(50_000), { qos: 0 });
      // What still has to be made durable then is not acknowledged any more.
      let last = await client.next();
      while (last.type === PacketType.pubrec) last = await client.next();
      expect(last).toMatchObject({ type: PacketType.disconnect, reasonCode: ReasonCode.receiveMaximumExceeded });
      await client.expectClose();
    }
  });

  test('hard behaviour 16: a PUBREL for an unknown packet id is answered with 0x92, in 3.1.1 plainly', async ({
    broker,
  }) => {
    for (const version of [4, 5] as const) {
      const client = await broker.connect({ version });
      client.sendAck(PacketType.pubrel, 12);
      const reasonCode = version === 5 ? ReasonCode.packetIdentifierNotFound : 0;
      await client.expect(PacketType.pubcomp, { packetId: 12, reasonCode });
      await client.expectNothing();
    }
  });

  test('hard behaviour 21: QoS 3 and Retain Handling 3 are protocol errors of SUBSCRIBE', async ({ broker }) => {
    const packets = [0x03, 0x30, 0x33, 0x3f].map((options) =>
      frame(0x82, uint16(1), rawProperties(), mqttString('a'), Buffer.from([options])),
    );
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });

  test('hard behaviour 21: QoS 3 of a will, and a will QoS without a will, are malformed', async ({ broker }) => {
    const will = [rawProperties(), mqttString('will'), mqttString('gone')];
    const client = await broker.open();
    client.send(rawConnect(5, { flags: 0x1e, payload: [mqttString('a'), ...will] }));
    await client.expectConnack(ReasonCode.malformedPacket);
    await client.expectClose();
    await expectConnectsRefused(broker, ReasonCode.malformedPacket, [{ flags: 0x0a, payload: [mqttString('a')] }]);
  });
});

describe('retained messages', () => {
  test('hard behaviour 18: are not replayed where a session is resumed', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 1);
    await first.disconnect();
    await publisher.publish('b', 'retained', { qos: 1, retain: true });
    const second = await broker.connect(KEPT);
    await second.subscribe('b', 1);
    await second.expectMessage({ payload: 'retained', retain: true });
    await second.disconnect();
    const third = await broker.connect(KEPT);
    await third.expectNothing();
  });

  test('hard behaviour 18: are not replayed for a refused subscription nor for a shared one', async ({ start }) => {
    const broker = await start({
      hooks: { authorize: (_client, { action, topic }) => action !== 'subscribe' || topic !== 'secret' },
    });
    const client = await broker.connect();
    await client.publish('secret', 'retained', { qos: 1, retain: true });
    client.sendSubscribe(['secret', '$share/g/secret', 'secret/#/x']);
    const { notAuthorized, topicFilterInvalid } = ReasonCode;
    await client.expect(PacketType.suback, { reasonCodes: [notAuthorized, notAuthorized, topicFilterInvalid] });
    await client.subscribe('$share/g/#', 1);
    await client.expectNothing();
  });

  test('hard behaviour 18: CONNACK comes before what waits, and SUBACK before what is retained', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 1);
    await first.disconnect();
    for (let i = 0; i < 50; i += 1) await publisher.publish('a', `${i}`, { qos: 1, retain: true });
    const second = await broker.open({ name: 'kept' });
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    for (let i = 0; i < 50; i += 1) await second.expectMessage({ payload: `${i}`, retain: false });
    second.sendSubscribe('#', 1);
    await second.expect(PacketType.suback);
    await second.expectMessage({ payload: '49', retain: true });
    await second.expectNothing();
  });

  test('hard behaviour 28: come with the lower of their QoS and the granted one', async ({ broker }) => {
    const client = await broker.connect();
    const all: readonly Qos[] = [0, 1, 2];
    for (const qos of all) await client.publish(`a/${qos}`, 'x', { qos, retain: true });
    for (const granted of all) {
      for (const published of all) {
        await client.subscribe(`a/${published}`, granted);
        const qos = granted < published ? granted : published;
        await client.expectMessage({ topicName: `a/${published}`, qos, retain: true });
      }
    }
    await client.expectNothing();
  });

  test('hard behaviour 28: deleting one brings the empty payload to those who listen, as published where they ask', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    await publisher.publish('a', 'x', { qos: 1, retain: true });
    const plain = await broker.connect();
    const asPublished = await broker.connect();
    await plain.subscribe([{ topicFilter: 'a', retainHandling: 2 }], 1);
    await asPublished.subscribe([{ topicFilter: 'a', retainHandling: 2, retainAsPublished: true }], 1);
    await publisher.publish('a', '', { qos: 1, retain: true });
    await plain.expectMessage({ topicName: 'a', payload: '', retain: false });
    await asPublished.expectMessage({ topicName: 'a', payload: '', retain: true });
  });
});

describe('shared subscriptions', () => {
  test('hard behaviour 19: groups of one name with other filters, and of other names, are independent', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const takers = await Promise.all(
      ['$share/g/a/b', '$share/g/a/+', '$share/g/#', '$share/h/a/b', 'a/#'].map(async (filter) => {
        const client = await broker.connect();
        await client.subscribe(filter, 1);
        return client;
      }),
    );
    for (const payload of ['1', '2']) await publisher.publish('a/b', payload, { qos: 1 });
    for (const taker of takers) {
      for (const payload of ['1', '2']) await taker.expectMessage({ topicName: 'a/b', payload });
      await taker.expectNothing();
    }
  });

  test('hard behaviour 19: no PUBLISH is lost where a member vanishes or unsubscribes with it in flight', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const vanishing = await broker.connect();
    const leaving = await broker.connect();
    const staying = await broker.connect();
    for (const client of [vanishing, leaving, staying]) await client.subscribe('$share/g/a/#', 1);
    const count = 30;
    for (let i = 0; i < count; i += 1) await publisher.publish(`a/${i}`, `${i}`, { qos: 1 });
    for (let i = 0; i < count / 3; i += 1) {
      await vanishing.expectPublish();
      await leaving.expectPublish();
    }
    await leaving.unsubscribe('$share/g/a/#');
    await vanish(broker, leaving);
    await vanish(broker, vanishing);
    const got = new Set<string>();
    for (let i = 0; i < count; i += 1) got.add(Buffer.from((await staying.expectMessage()).payload).toString());
    expect(got.size).toBe(count);
    await staying.expectNothing();
  });

  test('hard behaviour 19: a message waits for the group while nobody of it is there', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('$share/g/a', 1);
    await vanish(broker, first, 'kept');
    for (let i = 0; i < 5; i += 1) await publisher.publish('a', `${i}`, { qos: 1 });
    const again = await broker.connect(KEPT);
    for (let i = 0; i < 5; i += 1) await again.expectMessage({ payload: `${i}` });
    await again.expectNothing();
  });
});

describe('a publisher', () => {
  test('hard behaviour 24: that mixes QoS 0, 1 and 2 on a topic loses nothing, and keeps the order of each', async ({
    broker,
  }) => {
    const takers = await Promise.all(
      [{}, { properties: { receiveMaximum: 3 } }, KEPT].map(async (options) => {
        const client = await broker.connect(options);
        await client.subscribe('a', 2);
        return client;
      }),
    );
    const publisher = await broker.connect();
    const count = 300;
    for (let i = 0; i < count; i += 1) {
      publisher.sendPublish('a', `${i}`, { qos: (i % 3) as Qos, packetId: i + 1 });
    }
    for (let i = 0; i < count; i += 1) {
      if (i % 3 === 0) continue;
      await publisher.expect(i % 3 === 1 ? PacketType.puback : PacketType.pubrec, { packetId: i + 1 });
    }
    for (const taker of takers) {
      const got: number[][] = [[], [], []];
      for (let i = 0; i < count; i += 1) {
        const { qos, payload } = await taker.expectMessage();
        got[qos]!.push(Number(Buffer.from(payload).toString()));
      }
      for (const qos of [0, 1, 2]) {
        expect(got[qos]).toEqual(Array.from({ length: count / 3 }, (_, i) => 3 * i + qos));
      }
      await taker.expectNothing();
    }
  });
});

describe('answers', () => {
  test('hard behaviour 27: SUBACK and UNSUBACK say what became of each filter, by version', async ({ start }) => {
    const broker = await start({ hooks: { authorize: (_client, { topic }) => topic !== 'forbidden' } });
    for (const [version, refused, invalid] of [
      [4, 0x80, 0x80],
      [5, ReasonCode.notAuthorized, ReasonCode.topicFilterInvalid],
    ] as const) {
      const client = await broker.connect({ version });
      client.sendSubscribe(['forbidden', 'a', 'a#', 'b'], 2);
      await client.expect(PacketType.suback, { reasonCodes: [refused, 2, invalid, 2] });
      client.sendUnsubscribe(['b', 'forbidden', 'a', 'b']);
      const { success, noSubscriptionExisted } = ReasonCode;
      const reasonCodes = [success, noSubscriptionExisted, success, noSubscriptionExisted];
      await client.expect(PacketType.unsuback, { reasonCodes: version === 5 ? reasonCodes : [] });
    }
  });
});
