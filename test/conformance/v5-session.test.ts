import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { vanish } from './v5-bytes.ts';

const KEPT = { clientId: 'kept', cleanStart: false, properties: { sessionExpiryInterval: 60 } };

/** A session that is kept for 60 s, has subscribed `a` with QoS 2, and whose client has left. */
async function leaveSession(broker: TestBroker): Promise<void> {
  const client = await broker.connect(KEPT);
  await client.subscribe('a', 2);
  await client.disconnect();
}

describe('Clean Start', () => {
  test('[MQTT-3.1.2-4] 1 discards the session there is and begins a new one', async ({ broker }) => {
    await leaveSession(broker);
    const publisher = await broker.connect();
    await publisher.publish('a', 'while away', { qos: 1 });
    const clean = await broker.open();
    clean.sendConnect({ ...KEPT, cleanStart: true });
    await clean.expectConnack(0, false);
    await publisher.publish('a', 'not subscribed any more', { qos: 1 });
    await clean.expectNothing();
    await clean.disconnect();
    const again = await broker.open();
    again.sendConnect(KEPT);
    await again.expectConnack(0, true);
    await publisher.publish('a', 'still not subscribed', { qos: 1 });
    await again.expectNothing();
  });

  test('[MQTT-3.1.2-4] 1 discards messages in flight in both directions', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.publish('a', 'one', { qos: 1 });
    await first.expectPublish({ payload: 'one' });
    first.sendPublish('b', 'two', { qos: 2, packetId: 9 });
    await first.expect(PacketType.pubrec, { packetId: 9 });
    await vanish(broker, first, 'kept');
    const watcher = await broker.connect();
    await watcher.subscribe('b', 2);
    const clean = await broker.connect({ ...KEPT, cleanStart: true });
    await clean.expectNothing();
    clean.sendAck(PacketType.pubrel, 9);
    await clean.expect(PacketType.pubcomp, { packetId: 9, reasonCode: 0x92 });
    await clean.publish('b', 'new under the same packet id', { qos: 2, packetId: 9 });
    await watcher.expectMessage({ payload: 'new under the same packet id' });
  });

  test('[MQTT-3.1.2-5] 0 goes on with the session there is', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 2);
    await first.publish('a', 'in flight', { qos: 1 });
    const { packetId } = await first.expectPublish({ payload: 'in flight' });
    first.sendPublish('b', 'not released', { qos: 2, packetId: 77 });
    await first.expect(PacketType.pubrec, { packetId: 77 });
    await vanish(broker, first, 'kept');
    const watcher = await broker.connect();
    await watcher.subscribe('b', 2);
    await watcher.publish('a', 'while away', { qos: 2 });
    const second = await broker.open();
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    await second.expectMessage({ payload: 'in flight', packetId, dup: true });
    await second.expectMessage({ payload: 'while away', qos: 2, dup: false });
    await second.publish('b', 'not released', { qos: 2, packetId: 77, dup: true });
    await watcher.expectNothing();
    await second.publish('a', 'still subscribed', { qos: 1 });
    await second.expectMessage({ payload: 'still subscribed' });
  });

  test('[MQTT-3.1.2-6] 0 makes a session where there is none', async ({ broker }) => {
    const first = await broker.open();
    first.sendConnect(KEPT);
    await first.expectConnack(0, false);
    await first.subscribe('a', 1);
    await first.disconnect();
    const publisher = await broker.connect();
    await publisher.publish('a', 'while away', { qos: 1 });
    const second = await broker.open();
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    await second.expectMessage({ payload: 'while away' });
  });

  test('[MQTT-3.1.4-4] acts on Clean Start while another connection has the session', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 1);
    const second = await broker.open();
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    await second.publish('a', 'x', { qos: 1 });
    await second.expectMessage({ payload: 'x' });
    const third = await broker.open();
    third.sendConnect({ ...KEPT, cleanStart: true });
    await third.expectConnack(0, false);
    await third.publish('a', 'y', { qos: 1 });
    await third.expectNothing();
    await first.expectDisconnect(0x8e);
    await second.expectDisconnect(0x8e);
  });
});

describe('Session Expiry Interval', () => {
  test('[MQTT-3.1.2-23] above 0 keeps the session for that time after the connection', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const publisher = await broker.connect();
    await leaveSession(broker);
    broker.advance(59_000);
    await publisher.publish('a', 'while away', { qos: 1 });
    const inTime = await broker.open();
    inTime.sendConnect(KEPT);
    await inTime.expectConnack(0, true);
    await inTime.expectMessage({ payload: 'while away' });
    // The interval begins anew with each end of a connection, however it ends.
    broker.advance(600_000);
    await vanish(broker, inTime, 'kept');
    broker.advance(59_000);
    const again = await broker.open();
    again.sendConnect(KEPT);
    await again.expectConnack(0, true);
    await again.disconnect();
    broker.advance(61_000);
    const late = await broker.open();
    late.sendConnect(KEPT);
    await late.expectConnack(0, false);
    await publisher.publish('a', 'x', { qos: 1 });
    await late.expectNothing();
  });

  test('[MQTT-3.1.2-23] above 0 keeps the session over a restart of the broker', async ({ start }) => {
    const store = new MemoryStore();
    const clock = new FakeClock();
    const before = await start({ store, clock });
    await leaveSession(before);
    const publisher = await before.connect();
    await publisher.publish('a', 'while away', { qos: 2 });
    await before.close();
    const after = await start({ store, clock });
    after.advance(30_000);
    const again = await after.open();
    again.sendConnect(KEPT);
    await again.expectConnack(0, true);
    await again.expectMessage({ payload: 'while away', qos: 2 });
    await again.disconnect();
    await after.close();
    const last = await start({ store, clock });
    last.advance(61_000);
    const late = await last.open();
    late.sendConnect(KEPT);
    await late.expectConnack(0, false);
  });

  test('[MQTT-3.1.2-23] 0, or none, keeps nothing, and the highest value keeps it for good', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    for (const properties of [{}, { sessionExpiryInterval: 0 }]) {
      const client = await broker.connect({ clientId: 'id', cleanStart: false, properties });
      expect(client.connack.sessionPresent).toBe(false);
      await client.subscribe('a', 1);
      await client.disconnect();
    }
    const forever = { clientId: 'id', cleanStart: false, properties: { sessionExpiryInterval: 0xffff_ffff } };
    const first = await broker.connect(forever);
    expect(first.connack.sessionPresent).toBe(false);
    expect(first.connack.properties.sessionExpiryInterval).toBeUndefined();
    await first.disconnect();
    broker.advance(10 * 24 * 3_600_000);
    const second = await broker.open();
    second.sendConnect(forever);
    await second.expectConnack(0, true);
  });

  test('[MQTT-3.1.2-23] is what CONNACK says where the broker grants less', async ({ start }) => {
    const clock = new FakeClock();
    const broker = await start({ clock, config: { limits: { sessionExpiryIntervalMax: 30 } } });
    const first = await broker.connect(KEPT);
    expect(first.connack.properties.sessionExpiryInterval).toBe(30);
    await first.disconnect();
    broker.advance(29_000);
    const second = await broker.open();
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    await second.disconnect();
    broker.advance(31_000);
    const third = await broker.open();
    third.sendConnect(KEPT);
    await third.expectConnack(0, false);
  });
});
