import { describe, expect } from 'vitest';
import type { ProtocolVersion, Qos } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { RawClient } from '../support/raw-client.ts';
import { heldBytes } from './held-bytes.ts';
import { type Scene, test } from './scene.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MESSAGE_BYTES = 128 * KIB;
/** More than the kernel keeps for a socket that nobody reads from, some MiB in each direction. */
const MESSAGES = 240;
const OUTBOX = { outboxBytesMax: 64 * KIB };

/** How a slow reader is connected, and the QoS of what is kept for it. */
const WAYS: readonly { transport: 'tcp' | 'websocket'; version: ProtocolVersion; qos: 1 | 2 }[] = [
  { transport: 'tcp', version: 5, qos: 1 },
  { transport: 'tcp', version: 4, qos: 2 },
  { transport: 'websocket', version: 5, qos: 1 },
];

function payloadOf(index: number): Buffer {
  const payload = Buffer.alloc(MESSAGE_BYTES, index);
  payload.writeUInt32BE(index);
  return payload;
}

/** Publishes all messages while a client next to the slow one takes each of them. */
async function publishAll(scene: Scene, fast: RawClient, qos: Qos, from = 0): Promise<void> {
  const publisher = await scene.broker.connect();
  for (let index = from; index < from + MESSAGES; index++) {
    await publisher.publish('load', payloadOf(index), { qos });
    const { payload } = await fast.expectMessage({ topicName: 'load', qos });
    expect(Buffer.from(payload).readUInt32BE()).toBe(index);
  }
  await publisher.disconnect();
}

/** The indices of the messages a client gets until it has got the one with the last of them. */
async function indicesUntil(client: RawClient, last: number): Promise<number[]> {
  const indices: number[] = [];
  while (indices.at(-1) !== last) {
    const { payload } = await client.expectMessage({ topicName: 'load' });
    const index = Buffer.from(payload).readUInt32BE();
    expect(payloadOf(index).equals(payload)).toBe(true);
    indices.push(index);
  }
  return indices;
}

describe.each(WAYS)(
  'a client of version $version over $transport that stops reading',
  ({ transport, version, qos }) => {
    test('misses QoS 0 messages, which are counted, and costs the others nothing', async ({ start }) => {
      const scene = await start({ config: { limits: OUTBOX } });
      const missed: string[][] = [];
      scene.broker.broker.on('messageDropped', (...drop) => missed.push(drop));
      const fast = await scene.broker.connect();
      await fast.subscribe('load');
      const slow = await scene.broker.connect({ transport, version, name: 'slow' });
      await slow.subscribe(['load', 'last']);
      slow.pause();
      const before = heldBytes();
      await publishAll(scene, fast, 0);
      const grown = heldBytes() - before;
      // The outbox, what the stream took over from it, and what waits in the client's half of this process.
      expect(grown).toBeLessThan(4 * MIB);
      const dropped = scene.broker.broker.counters().messages.dropped['slow-reader'];
      expect(dropped).toBeGreaterThan(MESSAGES / 10);
      expect(missed).toEqual(Array.from({ length: dropped }, () => ['slow', 'load', 'slow-reader']));
      slow.resume();
      const got: number[] = [];
      for (let left = MESSAGES - dropped; left > 0; left--) {
        const { payload } = await slow.expectPublish({ topicName: 'load', qos: 0 });
        got.push(Buffer.from(payload).readUInt32BE());
      }
      expect(got).toEqual([...got].sort((a, b) => a - b));
      await slow.expectNothing();
      // It is a client like any other again.
      await fast.publish('last', 'x');
      await slow.expectPublish({ topicName: 'last', payload: 'x' });
      await scene.expectEnded({ 'client-disconnect': 1 });
    });

    test(`gets every QoS ${qos} message in order once it reads again`, async ({ start }) => {
      const scene = await start({ config: { limits: OUTBOX } });
      const fast = await scene.broker.connect();
      await fast.subscribe('load', qos);
      const slow = await scene.broker.connect({ transport, version });
      await slow.subscribe('load', qos);
      slow.pause();
      await publishAll(scene, fast, qos);
      await scene.expectUnharmed();
      expect(scene.broker.broker.counters().messages.queued).toBe(MESSAGES);
      slow.resume();
      expect(await indicesUntil(slow, MESSAGES - 1)).toEqual(Array.from({ length: MESSAGES }, (_, index) => index));
      await slow.expectNothing();
      expect(scene.broker.broker.counters().messages.queued).toBe(0);
      await scene.expectEnded({ 'client-disconnect': 1 });
    });
  },
);

describe('a slow reader', () => {
  test('costs no more than its queue may hold: the oldest QoS 1 messages give way and are counted', async ({
    start,
  }) => {
    const scene = await start({ config: { limits: OUTBOX, session: { queueBytesMax: 2 * MIB } } });
    const fast = await scene.broker.connect();
    await fast.subscribe('load', 1);
    const slow = await scene.broker.connect({ properties: { receiveMaximum: 4 } });
    await slow.subscribe('load', 1);
    slow.pause();
    const before = heldBytes();
    await publishAll(scene, fast, 1);
    expect(heldBytes() - before).toBeLessThan(6 * MIB);
    slow.resume();
    const got = await indicesUntil(slow, MESSAGES - 1);
    expect(got).toEqual([...new Set(got)].sort((a, b) => a - b));
    const dropped = scene.broker.broker.counters().messages.dropped['queue-full'];
    expect(got.length + dropped).toBe(MESSAGES);
    expect(got.length).toBeGreaterThanOrEqual(12);
  });

  test('of many retained messages gets them page by page as it reads, without the broker holding them twice', async ({
    start,
  }) => {
    const scene = await start();
    const publisher = await scene.broker.connect();
    for (let index = 0; index < MESSAGES; index++) {
      await publisher.publish(`kept/${index}`, payloadOf(index), { qos: 1, retain: true });
    }
    const slow = await scene.broker.connect();
    const before = heldBytes();
    slow.pause();
    slow.sendSubscribe('kept/#', 0);
    for (let i = 0; i < 5; i++) await scene.expectUnharmed();
    expect(heldBytes() - before).toBeLessThan(4 * MIB);
    slow.resume();
    await slow.next();
    const got = new Set<number>();
    for (let left = MESSAGES; left > 0; left--) {
      got.add(Buffer.from((await slow.expectPublish({ retain: true })).payload).readUInt32BE());
    }
    expect(got.size).toBe(MESSAGES);
    await slow.expectNothing();
    expect(scene.broker.broker.counters().messages.dropped['slow-reader']).toBe(0);
  });

  test('stays connected while it sends, and is given up for its keep alive when it does not', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: OUTBOX } });
    const fast = await scene.broker.connect();
    await fast.subscribe('load', 1);
    const connect = { clientId: 'slow', cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
    const slow = await scene.broker.connect({ ...connect, keepAlive: 10 });
    await slow.subscribe('load', 1);
    slow.pause();
    await publishAll(scene, fast, 1);
    for (let i = 0; i < 5; i++) {
      clock.advance(14_000);
      const from = scene.received;
      slow.sendRaw('c000');
      await scene.untilReceived(from + 2);
    }
    await scene.expectEnded({ 'client-disconnect': 1 });
    clock.advance(15_000);
    await scene.expectEnded({ 'client-disconnect': 1, 'keep-alive-timeout': 1 });
    // It does not read the reason either, so it is cut off after a moment.
    clock.advance(1_000);
    await scene.untilOpen(1);
    slow.destroy();
    const again = await scene.broker.connect(connect);
    expect(again.connack.sessionPresent).toBe(true);
    expect(await indicesUntil(again, MESSAGES - 1)).toHaveLength(MESSAGES);
  });

  test('can be disconnected and taken over although nothing reaches it', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: OUTBOX } });
    const fast = await scene.broker.connect();
    await fast.subscribe('load');
    const slow: RawClient[] = [];
    for (const clientId of ['one', 'two']) {
      const client = await scene.broker.connect({ clientId });
      await client.subscribe('load');
      client.pause();
      slow.push(client);
    }
    await publishAll(scene, fast, 0);
    expect(scene.broker.broker.disconnect('one', ReasonCode.quotaExceeded)).toBe(true);
    const two = await scene.broker.connect({ clientId: 'two' });
    await two.expectNothing();
    await scene.expectEnded({ 'client-disconnect': 1, 'quota-exceeded': 1, 'taken-over': 1 });
    clock.advance(1_000);
    await scene.untilOpen(2);
    for (const client of slow) client.destroy();
  });
});
