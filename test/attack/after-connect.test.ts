import type { Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType, type PublishPacket } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { type Attack, connectBytes, scaled, test } from './attack.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function publishBytes(topicName: string, payload: Uint8Array, like: Partial<PublishPacket> = {}): Buffer {
  const plain = { type: PacketType.publish, dup: false, qos: 0, retain: false, packetId: 0, properties: {} } as const;
  return encodePacket({ ...plain, topicName, payload, ...like }, 5);
}

function subscribeBytes(topicFilter: string, qos: 0 | 1): Buffer {
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return encodePacket(
    { type: PacketType.subscribe, packetId: 1, subscriptions: [{ topicFilter, qos, ...options }], properties: {} },
    5,
  );
}

/** Connects so many subscribers of one topic. */
async function subscribers(scene: Attack, count: number, qos: 0 | 1): Promise<Socket[]> {
  const { subscriptions } = await scene.counters();
  const sockets = await scene.connect(count);
  for (const socket of sockets) socket.write(subscribeBytes('load', qos));
  await scene.untilCounters('all subscribed', (counters) => counters.subscriptions === subscriptions + count);
  return sockets;
}

describe('subscribers', () => {
  test('1,000 of 2,000 stop to read under load', async ({ attack }) => {
    const count = scaled(100, 2_000);
    const outboxBytesMax = 64 * KIB;
    const scene = await attack({ config: { limits: { outboxBytesMax, writeDelayMs: 1 } } });
    const sockets = await subscribers(scene, count, 0);
    const received = sockets.map(() => 0);
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.pause();
      else socket.on('data', (chunk: Buffer) => (received[index] = (received[index] as number) + chunk.length));
    }
    const publisher = await scene.client('publisher');
    const payload = Buffer.alloc(4_000);
    const messages = 1_500;
    for (let sent = 0; sent < messages; sent++) await publisher.publish('load', payload);
    const { messages: books } = await scene.counters();
    // More than the kernel keeps for those who do not read: the rest is dropped, and the others get everything.
    expect(books.dropped['slow-reader']).toBeGreaterThan(0);
    const length = publishBytes('load', payload).length;
    const { connections } = await scene.counters();
    expect(connections.clients).toBe(count + 3);
    await scene.untilCounters('all delivered', () =>
      received.every((bytes, index) => index % 2 === 0 || bytes >= messages * length),
    );
    // What is in the outbox, and what the stream has taken over and not got rid of; besides, what V8 collects only later.
    expect(scene.grownMiB).toBeLessThan(64 + (count / 2) * ((3 * outboxBytesMax) / MIB));
  });

  test('one with 20,000 subscriptions, and then one more', async ({ attack }) => {
    const scene = await attack();
    const client = await scene.client('greedy');
    const filters = Array.from({ length: 20_000 }, (_, at) => `a/${at}/+/b/${at % 7}/#`);
    for (let from = 0; from < filters.length; from += 500) await client.subscribe(filters.slice(from, from + 500));
    client.sendSubscribe('one/more');
    const suback = await client.expect(PacketType.suback);
    expect(suback.reasonCodes).toEqual([ReasonCode.quotaExceeded]);
    const publisher = await scene.client('publisher');
    for (let at = 0; at < 200; at++) await publisher.publish(`a/${at}/x/b/${at % 7}/c`, 'x');
    expect(scene.grownMiB).toBeLessThan(100);
  });

  test('who acknowledge nothing hold no more than their share', async ({ attack }) => {
    const inFlightBytesMax = 2 * MIB;
    const scene = await attack({ config: { session: { queueBytesMax: 4 * MIB }, limits: { inFlightBytesMax } } });
    const count = scaled(10, 50);
    for (let at = 0; at < count; at++) {
      const client = await scene.client(`silent-${at}`);
      await client.subscribe(`own/${at}`, 1);
      for (let sent = 0; sent < 1_000; sent++) {
        const packetId = client.sendPublish(`own/${at}`, Buffer.alloc(32 * KIB, sent), { qos: 1 });
        // What comes to it is read, and never acknowledged.
        for (let puback = false; !puback; puback = (await client.next()).type === PacketType.puback);
        expect(packetId).toBeGreaterThan(0);
      }
    }
    const { inFlightBytes, limits } = await scene.counters();
    expect(limits['in-flight-bytes']).toBeGreaterThan(0);
    // Each has one message in flight whatever the others have.
    expect(inFlightBytes).toBeLessThan(inFlightBytesMax + (count + 1) * 33 * KIB);
    expect(scene.grownMiB).toBeLessThan(80 + count * 8);
  });
});

describe('topics', () => {
  test('of 65,535 bytes and of 32,000 levels are refused', async ({ attack }) => {
    const scene = await attack();
    const long = 'x'.repeat(65_535);
    const deep = 'a/'.repeat(32_000);
    for (let round = 0; round < scaled(5, 100); round++) {
      const client = await scene.client('deep');
      client.sendSubscribe([long, deep, '+/'.repeat(32_000), '+/'.repeat(127) + '#']);
      const { reasonCodes } = await client.expect(PacketType.suback);
      expect(reasonCodes).toEqual([0, ReasonCode.topicFilterInvalid, ReasonCode.topicFilterInvalid, 0]);
      await client.publish(long, 'x');
      client.sendPublish(deep, 'x');
      await client.expectPublish({ topicName: long });
      await client.expectDisconnect(ReasonCode.topicNameInvalid);
    }
  });

  test('of 32,000 levels cost little where they are allowed', async ({ attack }) => {
    const scene = await attack({ config: { limits: { topicLevelsMax: 65_536 } } });
    const client = await scene.client('deep');
    const deep = `${'a/'.repeat(32_000)}a`;
    await client.subscribe(['+/'.repeat(32_000), '#', deep, `${'+/a/'.repeat(16_000)}#`, `${'a/'.repeat(100)}#`]);
    for (let round = 0; round < scaled(5, 100); round++) await client.publish(deep, 'x', { retain: round % 2 === 0 });
    await client.subscribe('+/'.repeat(30_000) + '#');
    expect(scene.grownMiB).toBeLessThan(200);
  });
});

describe('memory', () => {
  test('of retained messages ends at its limits', async ({ attack }) => {
    const scene = await attack({ config: { retained: { bytesMax: 8 * MIB, messagesMax: 10_000 } } });
    const client = await scene.client('hoarder');
    let refused = 0;
    const count = scaled(2_000, 50_000);
    for (let at = 0; at < count; at++) {
      const packetId = client.sendPublish(`hoard/${at}`, Buffer.alloc(8 * KIB, at), { qos: 1, retain: true });
      const { reasonCode } = await client.expect(PacketType.puback, { packetId });
      if (reasonCode === ReasonCode.quotaExceeded) refused += 1;
    }
    const { retained } = await scene.counters();
    expect(retained.bytes).toBeLessThanOrEqual(8 * MIB);
    expect(refused).toBeGreaterThan(count / 4);
    expect(scene.grownMiB).toBeLessThan(100);
  });

  test('of wills ends at their size, and many at once harm nobody', async ({ attack }) => {
    const scene = await attack({ config: { limits: { willBytesMax: 8 * KIB }, retained: { bytesMax: 4 * MIB } } });
    const count = scaled(300, 5_000);
    const will = {
      topicName: 'wills/of/attackers',
      payload: Buffer.alloc(8 * KIB - 100),
      qos: 1,
      retain: true,
    } as const;
    const sockets = await scene.connect(count, { will });
    for (const socket of sockets) socket.destroy();
    const { messages } = await scene.untilCounters('all gone', ({ connections }) => connections.open === 2);
    expect(messages.received).toBeGreaterThanOrEqual(count);
    expect(scene.grownMiB).toBeLessThan(60 + count * 0.06);
    const large = connectBytes('large', { will: { ...will, payload: Buffer.alloc(8 * KIB) } });
    await scene.open(1, (socket) => socket.write(large));
    const { connections } = await scene.untilCounters(
      'refused',
      (counters) => counters.connections.ended['quota-exceeded'] === 1,
    );
    expect(connections.clients).toBe(2);
  });

  test('of topic aliases ends at its limit', async ({ attack }) => {
    const scene = await attack({ config: { limits: { topicAliasMaximum: 65_535 } } });
    const long = 'x'.repeat(60_000);
    const count = scaled(20, 500);
    for (let at = 0; at < count; at++) {
      const client = await scene.client('alias');
      for (let topicAlias = 1; topicAlias <= 5; topicAlias++)
        client.sendPublish(`${topicAlias}${long}`, '', { properties: { topicAlias } });
      const { disconnect } = await client.expectClose();
      expect(disconnect?.reasonCode).toBe(ReasonCode.quotaExceeded);
    }
    const short = await scene.client('short');
    for (let topicAlias = 1; topicAlias <= 5_000; topicAlias++)
      short.sendPublish(`short/${topicAlias}`, '', { properties: { topicAlias } });
    await short.expectNothing();
    expect(scene.grownMiB).toBeLessThan(100);
  });
});
