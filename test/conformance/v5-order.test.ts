import { describe, expect } from 'vitest';
import { PacketType, type Qos } from '../../src/protocol/packets.ts';
import { test } from './statement-test.ts';
import { KEPT } from './v5-raw.ts';

describe('the order of packets', () => {
  test('[MQTT-4.6.0-1] of what is sent again is that of the first time', async ({ broker }) => {
    const publisher = await broker.connect();
    const first = await broker.connect(KEPT);
    await first.subscribe('a/#', 2);
    const expected = [];
    for (let i = 0; i < 30; i += 1) {
      const qos = i % 3 === 0 ? 2 : 1;
      await publisher.publish(`a/${i % 2}`, String(i), { qos });
      const { packetId } = await first.expectPublish({ payload: String(i), qos });
      expected.push({ payload: String(i), packetId, qos, dup: true } as const);
    }
    first.destroy();
    const second = await broker.connect(KEPT);
    for (const publish of expected) await second.expectPublish(publish);
    await second.expectNothing();
  });

  test('[MQTT-4.6.0-2] of PUBACKs is that of the PUBLISH packets', async ({ broker }) => {
    const client = await broker.connect();
    const ids = [9, 3, 7, 1, 65_535, 2];
    for (const packetId of ids) client.sendPublish('a', 'x', { qos: 1, packetId });
    for (const packetId of ids) await client.expect(PacketType.puback, { packetId });
    await client.expectNothing();
  });

  test('[MQTT-4.6.0-2] of PUBACKs stays where some messages have to be stored and others are refused', async ({
    start,
  }) => {
    const broker = await start({ hooks: { authorize: (_client, { topic }) => topic !== 'refused' } });
    const away = await broker.connect(KEPT);
    await away.subscribe('stored', 1);
    await away.disconnect();
    const client = await broker.connect();
    const topicNames = ['stored', 'a', 'refused', 'stored', 'refused', 'a', 'a', 'stored'];
    const ids = topicNames.map((topicName) => client.sendPublish(topicName, 'x', { qos: 1 }));
    for (const packetId of ids) await client.expect(PacketType.puback, { packetId });
  });

  test('[MQTT-4.6.0-3] of PUBRECs is that of the PUBLISH packets', async ({ broker }) => {
    const client = await broker.connect(KEPT);
    const ids = [9, 3, 7, 1, 65_535, 2];
    for (const packetId of ids) client.sendPublish('a', 'x', { qos: 2, packetId });
    for (const packetId of ids) await client.expect(PacketType.pubrec, { packetId });
    await client.expectNothing();
  });

  test('[MQTT-4.6.0-4] of PUBRELs is that of the PUBRECs', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const options of [{}, KEPT]) {
      const client = await broker.connect(options);
      await client.subscribe('a', 2);
      const ids: number[] = [];
      for (let i = 0; i < 6; i += 1) {
        await publisher.publish('a', String(i), { qos: 2 });
        ids.push((await client.expectPublish({ payload: String(i) })).packetId);
      }
      const inOrder = [ids[3]!, ids[0]!, ids[5]!, ids[1]!, ids[4]!, ids[2]!];
      for (const packetId of inOrder) client.sendAck(PacketType.pubrec, packetId);
      for (const packetId of inOrder) await client.expect(PacketType.pubrel, { packetId });
      for (const packetId of inOrder) client.sendAck(PacketType.pubcomp, packetId);
      await client.expectNothing();
    }
  });
});

describe('the order of messages', () => {
  test('[MQTT-4.6.0-5][MQTT-4.6.0-6] is kept per publisher, topic and QoS, live and queued, and none is lost', async ({
    broker,
  }) => {
    const kept = await broker.connect(KEPT);
    await kept.subscribe('a/+', 2);
    await kept.disconnect();
    const live = await broker.connect();
    await live.subscribe('a/+', 2);
    const narrow = await broker.connect({ properties: { receiveMaximum: 2 } });
    await narrow.subscribe('a/#', 2);
    const publishers = [await broker.connect(), await broker.connect()];
    const count = 90;
    for (let i = 0; i < count; i += 1) {
      for (const [p, publisher] of publishers.entries()) {
        const qos = ((i % 2) + 1) as Qos;
        publisher.sendPublish(`a/${i % 3}`, `${p} ${i}`, { qos, packetId: i + 1 });
      }
    }
    for (const publisher of publishers) {
      for (let i = 0; i < count; i += 1) await publisher.next();
    }
    const again = await broker.connect(KEPT);
    for (const taker of [live, again, narrow]) {
      const last = new Map<string, number>();
      for (let i = 0; i < 2 * count; i += 1) {
        const { topicName, qos, payload } = await taker.expectMessage();
        const [publisher, number] = Buffer.from(payload).toString().split(' ');
        const stream = `${publisher} ${topicName} ${qos}`;
        expect(Number(number)).toBeGreaterThan(last.get(stream) ?? -1);
        last.set(stream, Number(number));
      }
      await taker.expectNothing();
    }
  });

  test('[MQTT-4.6.0-5][MQTT-4.6.0-6] is kept for messages of QoS 0 and across aliases', async ({ broker }) => {
    const client = await broker.connect({ properties: { topicAliasMaximum: 2 } });
    await client.subscribe('#', 0);
    const publisher = await broker.connect();
    const count = 200;
    const names = new Map<number, string>();
    for (let i = 0; i < count; i += 1) {
      const topicAlias = (i % 4) + 1;
      publisher.sendPublish(i < 4 ? `t/${topicAlias}` : '', String(i), { properties: { topicAlias } });
    }
    for (let i = 0; i < count; i += 1) {
      const { topicName, properties } = await client.expectPublish({ payload: String(i) });
      if (topicName !== '' && properties.topicAlias !== undefined) names.set(properties.topicAlias, topicName);
      expect(topicName === '' ? names.get(properties.topicAlias!) : topicName).toBe(`t/${(i % 4) + 1}`);
    }
    await client.expectNothing();
  });
});
