import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { expectBalanced } from '../support/balance.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { FaultyStore } from './faulty-store.ts';

/** How often the broker looks whether there is room again, ms. */
const PROBE_MS = 1000;
/** A will that found no room is tried again after this time at the latest. */
const RETRY_MS = 2000;

/** CONNECT of a session that outlives its connection. */
function durable(version: ProtocolVersion): RawConnectOptions {
  return { cleanStart: false, ...(version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}) };
}

let state: MemoryState;
let store: FaultyStore;
let broker: TestBroker;

async function start(): Promise<void> {
  store = new FaultyStore(state);
  broker = await startTestBroker({ clock: new FakeClock(), store });
}

/** Closes the broker; where it waits for room, its time passes. */
async function close(): Promise<void> {
  const closed = broker.close().then(() => 'closed');
  const turn = (): Promise<string> => new Promise((resolve) => setImmediate(resolve, 'open'));
  while ((await Promise.race([closed, turn()])) === 'open') broker.advance(PROBE_MS);
}

/** Closes the broker, with its books in balance, and starts another on what it stored. */
async function restart(): Promise<void> {
  expectBalanced(broker.broker);
  store.hasRoom = true;
  store.hasReserve = true;
  await close();
  await start();
}

/** Starts another broker on what has been stored by now; nothing more of this one is. */
async function crash(): Promise<void> {
  store.break(new Error('gone'));
  await close();
  await start();
}

beforeEach(async () => {
  state = new MemoryState();
  await start();
});

afterEach(close);

/** A connected client with a durable subscription, QoS 2. */
async function subscriber(name = 'subscriber', topicFilter = 'durable/#'): Promise<RawClient> {
  const client = await broker.connect({ name, ...durable(5) });
  await client.subscribe(topicFilter, 2);
  return client;
}

/** The broker finds so little room at its next look that it does not even try. */
function runShort(): void {
  store.free = 1;
  broker.advance(PROBE_MS);
  expect(broker.broker.counters().store.full).toBe(true);
}

/** There is no room from now on, which the broker finds out with its next commit. */
function fill(): void {
  store.hasRoom = false;
}

function makeRoom(): void {
  store.hasRoom = true;
  store.free = Number.POSITIVE_INFINITY;
  broker.advance(PROBE_MS);
}

/** Both ways to find out. */
const WAYS = [
  ['short of room', runShort],
  ['out of room', fill],
] as const;

test('a will that is due while there is no room is published once there is', async () => {
  const away = await subscriber();
  await away.disconnect();
  const client = await broker.connect({ will: { topicName: 'durable/will', payload: 'gone', qos: 1 } });
  runShort();
  client.destroy();
  await expect.poll(() => broker.broker.counters().connections.ended['connection-lost']).toBe(1);
  makeRoom();
  broker.advance(RETRY_MS);
  const back = await broker.connect({ name: 'subscriber', ...durable(5) });
  await back.expectMessage({ topicName: 'durable/will', payload: 'gone' });
  await back.expectNothing();
  expectBalanced(broker.broker);
});

describe.each(WAYS)('with a store that is %s', (_text, exhaust) => {
  test.each([1, 2] as const)('a QoS %i publish of MQTT 5.0 to a durable session is refused with 0x97', async (qos) => {
    const away = await subscriber();
    await away.disconnect();
    const publisher = await broker.connect();
    exhaust();
    publisher.sendPublish('durable/1', 'refused', { qos });
    const type = qos === 1 ? PacketType.puback : PacketType.pubrec;
    await publisher.expect(type, { packetId: 1, reasonCode: ReasonCode.quotaExceeded });
    expect(broker.broker.counters().messages.refused).toBe(1);
    makeRoom();
    await publisher.publish('durable/1', 'taken', { qos });
    await restart();
    const back = await broker.connect({ name: 'subscriber', ...durable(5) });
    await back.expectMessage({ payload: 'taken', qos });
    await back.expectNothing();
    expectBalanced(broker.broker);
  });

  test.each([1, 2] as const)(
    'a QoS %i publish of MQTT 3.1.1 is not acknowledged until it is sent again',
    async (qos) => {
      const away = await subscriber();
      await away.disconnect();
      const publisher = await broker.connect({ name: 'publisher', version: 4, ...durable(4) });
      exhaust();
      const packetId = publisher.sendPublish('durable/1', 'again', { qos });
      // By the time of a failed commit, too; not by time.
      await expect.poll(() => broker.broker.counters().messages.refused).toBe(1);
      await publisher.expectNothing();
      makeRoom();
      publisher.destroy();
      const again = await broker.connect({ name: 'publisher', version: 4, ...durable(4) });
      again.sendPublish('durable/1', 'again', { qos, packetId, dup: true });
      await again.expect(qos === 1 ? PacketType.puback : PacketType.pubrec, { packetId });
      if (qos === 2) {
        again.sendAck(PacketType.pubrel, packetId);
        await again.expect(PacketType.pubcomp, { packetId });
      }
      const back = await broker.connect({ name: 'subscriber', ...durable(5) });
      await back.expectMessage({ payload: 'again', qos });
      await back.expectNothing();
      expectBalanced(broker.broker);
    },
  );

  test('QoS 0, and QoS 1 and 2 to sessions that end with their connection, go on', async () => {
    const away = await subscriber();
    const live = await broker.connect();
    await live.subscribe('#', 2);
    const publisher = await broker.connect();
    exhaust();
    await publisher.publish('durable/1', 'zero', { qos: 0 });
    await live.expectMessage({ payload: 'zero', qos: 0 });
    await away.expectMessage({ payload: 'zero', qos: 0 });
    for (const qos of [1, 2] as const) {
      await publisher.publish('elsewhere', `QoS ${qos}`, { qos });
      await live.expectMessage({ payload: `QoS ${qos}`, qos });
    }
    await live.expectNothing();
    expectBalanced(broker.broker);
  });

  test('what frees room works: queued messages are delivered, acknowledged and removed', async () => {
    const away = await subscriber();
    const inFlight = await subscriber('in-flight');
    const publisher = await broker.connect({ name: 'publisher', ...durable(5) });
    await away.disconnect();
    const sent = publisher.sendPublish('durable/0', 'released later', { qos: 2 });
    await publisher.expect(PacketType.pubrec);
    for (const qos of [1, 2] as const) await publisher.publish(`durable/${qos}`, `QoS ${qos}`, { qos });
    const publishes = [await inFlight.expectPublish(), await inFlight.expectPublish(), await inFlight.expectPublish()];
    exhaust();
    publisher.sendAck(PacketType.pubrel, sent);
    await publisher.expect(PacketType.pubcomp, { packetId: sent });
    for (const { qos, packetId } of publishes)
      inFlight.sendAck(qos === 1 ? PacketType.puback : PacketType.pubrec, packetId);
    for (const { packetId } of publishes.filter(({ qos }) => qos === 2)) {
      await inFlight.expect(PacketType.pubrel, { packetId });
      inFlight.sendAck(PacketType.pubcomp, packetId);
    }
    await inFlight.expectNothing();
    await expect
      .poll(() => store.applied.filter(({ kind }) => kind === 'queue-delete').length)
      .toBeGreaterThanOrEqual(3);
    expect(store.applied.filter(({ kind }) => kind === 'inbound-delete').length).toBeGreaterThanOrEqual(1);
    await restart();
    const back = await broker.connect({ name: 'in-flight', ...durable(5) });
    await back.expectNothing();
    const other = await broker.connect({ name: 'subscriber', ...durable(5) });
    for (let count = 0; count < 3; count++) await other.expectMessage();
    await other.expectNothing();
    expectBalanced(broker.broker);
  });

  test('nothing acknowledged before is lost', async () => {
    const away = await subscriber();
    await away.disconnect();
    const publisher = await broker.connect();
    for (let count = 0; count < 20; count++) await publisher.publish('durable/1', `kept ${count}`, { qos: 1 });
    exhaust();
    for (let count = 0; count < 5; count++) {
      publisher.sendPublish('durable/1', 'refused', { qos: 1 });
      await publisher.expect(PacketType.puback, { reasonCode: ReasonCode.quotaExceeded });
    }
    await restart();
    const back = await broker.connect({ name: 'subscriber', ...durable(5) });
    for (let count = 0; count < 20; count++) await back.expectMessage({ payload: `kept ${count}` });
    await back.expectNothing();
    expectBalanced(broker.broker);
  });

  test('a retained message is refused, and the one before stays', async () => {
    const publisher = await broker.connect();
    await publisher.publish('kept', 'before', { qos: 1, retain: true });
    exhaust();
    publisher.sendPublish('kept', 'refused', { qos: 1, retain: true });
    await publisher.expect(PacketType.puback, { reasonCode: ReasonCode.quotaExceeded });
    const reader = await broker.connect();
    await reader.subscribe('kept', 1);
    await reader.expectMessage({ payload: 'before', retain: true });
    await reader.expectNothing();
    makeRoom();
    await restart();
    const after = await broker.connect();
    await after.subscribe('kept', 1);
    await after.expectMessage({ payload: 'before', retain: true });
    expectBalanced(broker.broker);
  });
});

describe('with a store that is out of room', () => {
  test('a durable session waits for its CONNACK until there is room', async () => {
    const publisher = await broker.connect();
    const connected: string[] = [];
    broker.broker.on('clientConnected', ({ clientId }) => connected.push(clientId));
    fill();
    store.hasReserve = false;
    const waiting = await broker.open({ name: 'waiting' });
    waiting.sendConnect(durable(5));
    await expect.poll(() => store.refusals).toBe(1);
    await publisher.expectNothing();
    expect(connected).toEqual([]);
    store.hasReserve = true;
    makeRoom();
    await waiting.expectConnack(0);
    await restart();
    await (await broker.open({ name: 'waiting' })).connect(durable(5));
    expect(broker.broker.counters().sessions).toBe(1);
  });

  test('sessions and subscriptions still find room in the reserve, and so does what frees some', async () => {
    const taker = await subscriber();
    const publisher = await broker.connect();
    await publisher.publish('durable/1', 'taken', { qos: 1 });
    const { packetId } = await taker.expectPublish({ payload: 'taken' });
    fill();
    const late = await subscriber('late', 'late/#');
    taker.sendAck(PacketType.puback, packetId);
    await taker.unsubscribe('durable/#');
    await taker.disconnect();
    await late.expectNothing();
    expect(store.refusals).toBe(0);
    expect(store.applied.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['queue-delete', 'subscription-delete']),
    );
    await crash();
    expect(broker.broker.counters()).toMatchObject({ sessions: 2, subscriptions: 1, messages: { queued: 0 } });
    expectBalanced(broker.broker);
  });

  test('what was delivered and acknowledged while its batch failed is booked once', async () => {
    const taker = await subscriber();
    const publisher = await broker.connect();
    fill();
    store.pause();
    publisher.sendPublish('durable/1', 'early', { qos: 1 });
    await taker.expectMessage({ payload: 'early', qos: 1 });
    await taker.expectNothing();
    store.resume();
    await publisher.expect(PacketType.puback, { reasonCode: ReasonCode.quotaExceeded });
    makeRoom();
    await publisher.publish('durable/1', 'late', { qos: 1 });
    await taker.expectMessage({ payload: 'late', qos: 1 });
    await taker.expectNothing();
    expectBalanced(broker.broker);
  });

  test.each(['a restart', 'a crash'])(
    'a shared subscription loses nothing when acknowledged messages change hands before %s',
    async (what) => {
      const shared = '$share/group/durable/#';
      const one = await subscriber('one', shared);
      const other = await subscriber('other', shared);
      await other.disconnect();
      const publisher = await broker.connect();
      const payloads = ['first', 'second', 'third'];
      for (const payload of payloads) {
        await publisher.publish('durable/1', payload, { qos: 1 });
        await one.expectPublish({ payload });
      }
      const back = await broker.connect({ name: 'other', ...durable(5) });
      fill();
      one.destroy();
      for (const payload of payloads) await back.expectPublish({ payload, qos: 1 });
      await expect.poll(() => store.refusals).toBe(1);
      if (what === 'a crash') await crash();
      else await restart();
      const again = await broker.connect({ name: 'other', ...durable(5) });
      for (const payload of payloads) await again.expectMessage({ payload, qos: 1 });
      await again.expectNothing();
      expectBalanced(broker.broker);
    },
  );

  test.each([4, 5] as const)(
    'a repeated QoS 2 message that is durable already is not refused (version %i)',
    async (version) => {
      const taker = await subscriber();
      const publisher = await broker.connect({ name: 'publisher', version, ...durable(version) });
      const packetId = publisher.sendPublish('durable/1', 'once', { qos: 2 });
      await publisher.expect(PacketType.pubrec, { packetId, reasonCode: 0 });
      await taker.expectMessage({ payload: 'once' });
      publisher.destroy();
      const again = await broker.connect({ name: 'publisher', version, ...durable(version) });
      await again.ping();
      fill();
      const fields = { type: PacketType.publish, retain: false, topicName: 'durable/1', properties: {} } as const;
      const refused = { ...fields, dup: false, qos: 1, packetId: 77, payload: Buffer.from('refused') } as const;
      const repeated = { ...fields, dup: true, qos: 2, packetId, payload: Buffer.from('once') } as const;
      // Both in one batch.
      again.send(Buffer.concat([encodePacket(refused, version), encodePacket(repeated, version)]));
      if (version === 5) await again.expect(PacketType.puback, { packetId: 77, reasonCode: ReasonCode.quotaExceeded });
      await again.expect(PacketType.pubrec, { packetId, reasonCode: 0 });
      expect(store.refusals).toBe(1);
      makeRoom();
      again.sendAck(PacketType.pubrel, packetId);
      await again.expect(PacketType.pubcomp, { packetId });
      await taker.expectPublish({ payload: 'refused' }); // It went out before the flush that failed.
      await taker.expectNothing();
      expectBalanced(broker.broker);
    },
  );

  test('a repeated QoS 2 message is taken as a new one where the first one was given up', async () => {
    const away = await subscriber();
    await away.disconnect();
    const publisher = await broker.connect({ name: 'publisher', version: 4, ...durable(4) });
    store.pause();
    fill();
    const packetId = publisher.sendPublish('durable/1', 'once', { qos: 2 });
    await publisher.ping();
    publisher.destroy();
    // Back before the commit fails: CONNACK waits until it is known what came of the message.
    const again = await broker.open({ name: 'publisher', version: 4 });
    again.sendConnect(durable(4));
    again.sendPublish('durable/1', 'once', { qos: 2, packetId, dup: true });
    const bystander = await broker.connect();
    await bystander.ping();
    store.resume();
    await expect.poll(() => store.refusals).toBe(1);
    makeRoom();
    await again.expectConnack(0, true);
    await again.expect(PacketType.pubrec, { packetId });
    const back = await broker.connect({ name: 'subscriber', ...durable(5) });
    await back.expectMessage({ payload: 'once' });
    await back.expectNothing();
    expectBalanced(broker.broker);
  });

  test('retained messages refused in one batch leave the one before them', async () => {
    const publisher = await broker.connect();
    await publisher.publish('kept', 'before', { qos: 1, retain: true });
    fill();
    const publish = { type: PacketType.publish, dup: false, retain: true, qos: 1, properties: {} } as const;
    const packets = ['kept', 'kept', 'new'].map((topicName, index) =>
      encodePacket({ ...publish, topicName, packetId: 10 + index, payload: Buffer.from(`refused ${index}`) }, 5),
    );
    publisher.send(Buffer.concat(packets));
    for (let index = 0; index < 3; index++)
      await publisher.expect(PacketType.puback, { packetId: 10 + index, reasonCode: ReasonCode.quotaExceeded });
    const reader = await broker.connect();
    await reader.subscribe(['kept', 'new'], 1);
    await reader.expectMessage({ topicName: 'kept', payload: 'before', retain: true });
    await reader.expectNothing();
    expect(broker.broker.counters().retained.count).toBe(1);
  });
});

describe('with a store whose flush fails', () => {
  test.each([4, 5] as const)(
    'nothing is acknowledged any more and the broker says so (version %i)',
    async (version) => {
      const away = await subscriber();
      await away.disconnect();
      const publisher = await broker.connect({ version });
      await publisher.publish('durable/1', 'before', { qos: 1 });
      const bystander = await broker.connect();
      store.break(new Error('input/output error'));
      publisher.sendPublish('durable/1', 'never', { qos: 1 });
      publisher.sendPublish('durable/1', 'never', { qos: 2 });
      const error = await broker.broker.fatal;
      expect(error.message).toContain('input/output error');
      // Neither an acknowledgement nor a DISCONNECT that could be taken for an orderly end.
      expect((await publisher.expectClose()).disconnect).toBeUndefined();
      expect((await bystander.expectClose()).disconnect).toBeUndefined();
      const late = await broker.open();
      await late.expectClose();
      expect(store.commitsAfterBreak).toBe(1);
      await close();
      expect(store.commitsAfterBreak).toBe(1);
      await start();
      const back = await broker.connect({ name: 'subscriber', ...durable(5) });
      await back.expectMessage({ payload: 'before' });
      await back.expectNothing();
    },
  );
});
