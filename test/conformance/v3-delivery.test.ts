import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { frame, mqttString } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { V3_VERSIONS } from './v3-versions.ts';

describe.each(V3_VERSIONS)('QoS 0 and 1 of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.3.1-1] QoS 0 is sent once with QoS 0 and DUP 0 (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 0);
    const headers: number[] = [];
    first.onHeader = (firstByte) => headers.push(firstByte);
    await first.publish('a', 'x');
    await first.expectPublish({ payload: 'x', qos: 0, dup: false, packetId: 0 });
    expect(headers).toContain(0x30);
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expectNothing();
  });

  test(`[v3 MQTT-4.3.2-1] QoS 1 is sent with an unused packet id and is owed until PUBACK (${name})`, async ({
    broker,
  }) => {
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 1);
    const ids = [];
    for (const payload of ['1', '2', '3']) {
      await first.publish('a', payload, { qos: 1 });
      ids.push((await first.expectPublish({ payload, qos: 1, dup: false })).packetId);
    }
    expect(new Set(ids).size).toBe(3);
    first.sendAck(PacketType.puback, ids[1]!);
    await first.expectNothing();
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expectPublish({ payload: '1', packetId: ids[0]!, dup: true });
    await second.expectMessage({ payload: '3', packetId: ids[2]!, dup: true });
    await second.expectNothing();
    second.destroy();
    const third = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await third.expectMessage({ payload: '1', packetId: ids[0]!, dup: true });
    await third.expectNothing();
  });

  test(`[v3 MQTT-4.3.2-2] QoS 1 is answered with PUBACK, after which the packet id means a new message (${name})`, async ({
    broker,
  }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('a', 1);
    const client = await broker.connect({ version });
    for (const [payload, dup] of [
      ['first', false],
      ['second', false],
      ['third', true],
    ] as const) {
      client.sendPublish('a', payload, { qos: 1, packetId: 4, dup });
      await client.expect(PacketType.puback, { packetId: 4 });
      await watcher.expectMessage({ payload, dup: false });
    }
  });
});

describe.each(V3_VERSIONS)('QoS 2 of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.3.3-1] is sent with an unused packet id, released on PUBREC, and owed until PUBCOMP (${name})`, async ({
    broker,
  }) => {
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 2);
    await first.publish('a', 'x', { qos: 2 });
    await first.publish('a', 'y', { qos: 2 });
    const x = await first.expectPublish({ payload: 'x', qos: 2, dup: false });
    const y = await first.expectPublish({ payload: 'y', qos: 2, dup: false });
    expect(y.packetId).not.toBe(x.packetId);
    first.destroy();
    // Not received: sent again.
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expectPublish({ payload: 'x', packetId: x.packetId, dup: true });
    await second.expectPublish({ payload: 'y', packetId: y.packetId, dup: true });
    second.sendAck(PacketType.pubrec, x.packetId);
    await second.expect(PacketType.pubrel, { packetId: x.packetId });
    second.destroy();
    // Received and not completed: PUBREL again, never the PUBLISH.
    const third = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await third.expect(PacketType.pubrel, { packetId: x.packetId });
    await third.expectMessage({ payload: 'y', packetId: y.packetId, dup: true });
    third.sendAck(PacketType.pubcomp, x.packetId);
    await third.expectNothing();
    third.destroy();
    const fourth = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await fourth.expectNothing();
  });

  test(`[v3 MQTT-4.3.3-2] is taken over once, however often it comes before PUBREL (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('a', 2);
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    for (const dup of [false, true, false]) {
      first.sendPublish('a', 'once', { qos: 2, packetId: 8, dup });
      await first.expect(PacketType.pubrec, { packetId: 8 });
    }
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    second.sendPublish('a', 'once', { qos: 2, packetId: 8, dup: true });
    await second.expect(PacketType.pubrec, { packetId: 8 });
    second.sendAck(PacketType.pubrel, 8);
    await second.expect(PacketType.pubcomp, { packetId: 8 });
    await watcher.expectMessage({ payload: 'once', qos: 2 });
    await watcher.expectNothing();

    second.sendAck(PacketType.pubrel, 8);
    await second.expect(PacketType.pubcomp, { packetId: 8 });
    second.sendPublish('a', 'new', { qos: 2, packetId: 8, dup: true });
    await second.expect(PacketType.pubrec, { packetId: 8 });
    await watcher.expectMessage({ payload: 'new', qos: 2 });
  });
});

describe.each(V3_VERSIONS)('delivery in MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.4.0-1] unacknowledged PUBLISH and PUBREL are sent again with their packet ids (${name})`, async ({
    broker,
  }) => {
    const publisher = await broker.connect({ version });
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a', 2);
    const ids: number[] = [];
    for (const [payload, qos] of [
      ['one', 2],
      ['two', 1],
      ['three', 2],
    ] as const) {
      await publisher.publish('a', payload, { qos });
      ids.push((await first.expectPublish({ payload, qos })).packetId);
    }
    first.sendAck(PacketType.pubrec, ids[0]!);
    await first.expect(PacketType.pubrel, { packetId: ids[0]! });
    first.destroy();
    await publisher.publish('a', 'later', { qos: 1 });
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await second.expect(PacketType.pubrel, { packetId: ids[0]! });
    await second.expectPublish({ payload: 'two', packetId: ids[1]!, dup: true });
    await second.expectPublish({ payload: 'three', packetId: ids[2]!, dup: true });
    await second.expectPublish({ payload: 'later', dup: false });
    await second.expectNothing();
  });

  test(`[v3 MQTT-4.5.0-1] a message is added to the state of every session with a match (${name})`, async ({
    broker,
  }) => {
    const filters = ['a/b', 'a/+', 'a/#', '#', '+/b'];
    for (const clientId of filters) {
      const client = await broker.connect({ version, clientId, cleanStart: false });
      await client.subscribe(clientId, 1);
      await client.disconnect();
    }
    const other = await broker.connect({ version, clientId: 'other', cleanStart: false });
    await other.subscribe('b/a', 1);
    const publisher = await broker.connect({ version });
    await publisher.publish('a/b', 'x', { qos: 1 });
    await other.expectNothing();
    for (const clientId of filters) {
      const client = await broker.connect({ version, clientId, cleanStart: false });
      await client.expectMessage({ topicName: 'a/b', payload: 'x', qos: 1 });
      await client.expectNothing();
    }
  });
});

describe.each(V3_VERSIONS)('the order of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.6.0-1] of what is sent again is that of the first time (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version });
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await first.subscribe('a/#', 2);
    const expected = [];
    for (let i = 0; i < 30; i += 1) {
      const qos = i % 3 === 0 ? 2 : 1;
      await publisher.publish(`a/${i % 2}`, String(i), { qos });
      const { packetId } = await first.expectPublish({ payload: String(i), qos });
      expected.push({ payload: String(i), packetId, qos, dup: true } as const);
    }
    first.destroy();
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    for (const publish of expected) await second.expectPublish(publish);
    await second.expectNothing();
  });

  test(`[v3 MQTT-4.6.0-2] of PUBACKs is that of the PUBLISH packets (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    const ids = [9, 3, 7, 1, 65_535, 2];
    for (const packetId of ids) client.sendPublish('a', 'x', { qos: 1, packetId });
    for (const packetId of ids) await client.expect(PacketType.puback, { packetId });
    await client.expectNothing();
  });

  test(`[v3 MQTT-4.6.0-3] of PUBRECs is that of the PUBLISH packets (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    const ids = [9, 3, 7, 1, 65_535, 2];
    for (const packetId of ids) client.sendPublish('a', 'x', { qos: 2, packetId });
    for (const packetId of ids) await client.expect(PacketType.pubrec, { packetId });
    await client.expectNothing();
  });

  test(`[v3 MQTT-4.6.0-4] of PUBRELs is that of the PUBRECs (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    await client.subscribe('a', 2);
    const ids: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      await client.publish('a', String(i), { qos: 2 });
      ids.push((await client.expectPublish({ payload: String(i) })).packetId);
    }
    for (const packetId of ids) client.sendAck(PacketType.pubrec, packetId);
    for (const packetId of ids) await client.expect(PacketType.pubrel, { packetId });
    await client.expectNothing();
  });

  test(`[v3 MQTT-4.6.0-5][v3 MQTT-4.6.0-6] of messages is kept per publisher, topic and QoS, live and queued (${name})`, async ({
    broker,
  }) => {
    const kept = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await kept.subscribe('a/+', 2);
    await kept.disconnect();
    const live = await broker.connect({ version });
    await live.subscribe('a/+', 2);
    const publisher = await broker.connect({ version });
    const count = 150;
    for (let i = 0; i < count; i += 1) {
      publisher.sendPublish(`a/${i % 4}`, String(i), { qos: i % 2 === 0 ? 1 : 2, packetId: i + 1 });
    }
    for (let i = 0; i < count; i += 1) {
      await publisher.expect(i % 2 === 0 ? PacketType.puback : PacketType.pubrec, { packetId: i + 1 });
    }
    const again = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    for (const taker of [live, again]) {
      const last = new Map<string, number>();
      for (let i = 0; i < count; i += 1) {
        const { topicName, qos, payload } = await taker.expectMessage();
        const number = Number(Buffer.from(payload).toString());
        expect(number).toBeGreaterThan(last.get(`${topicName} ${qos}`) ?? -1);
        last.set(`${topicName} ${qos}`, number);
      }
      await taker.expectNothing();
    }
  });
});

describe.each(V3_VERSIONS)('errors in MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.8.0-1] a violation closes the connection it came on, and no other (${name})`, async ({ broker }) => {
    const other = await broker.connect({ version });
    await other.subscribe('a', 1);
    const packets = [
      frame(0x36, mqttString('a')),
      frame(0x20, Buffer.from([0, 0])),
      frame(0x90, Buffer.from([0, 1, 0])),
      frame(0xb0, Buffer.from([0, 1])),
      frame(0xd0),
      frame(0x00),
      frame(0xf0),
      frame(0xc0, Buffer.from([0])),
      frame(0x40, Buffer.from([0, 1, 0])),
      Buffer.from('30ffffffff7f', 'hex'),
      Buffer.from('c08000', 'hex'),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
    await other.publish('a', 'still here', { qos: 1 });
    await other.expectMessage({ payload: 'still here' });
  });

  test(`[v3 MQTT-4.8.0-2] a passing fault closes the connection, and the next attempt works (${name})`, async ({
    start,
  }) => {
    let isFailing = true;
    const broker = await start({
      hooks: {
        onPublish: () => {
          if (isFailing) throw new Error('a passing fault');
          return undefined;
        },
      },
    });
    const watcher = await broker.connect({ version });
    await watcher.subscribe('a', 1);
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    first.sendPublish('a', 'x', { qos: 1, packetId: 3 });
    await first.expectClose();
    await watcher.expectNothing();
    isFailing = false;
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    second.sendPublish('a', 'x', { qos: 1, packetId: 3, dup: true });
    await second.expect(PacketType.puback, { packetId: 3 });
    await watcher.expectMessage({ payload: 'x' });
  });
});
