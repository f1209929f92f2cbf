import { describe, expect } from 'vitest';
import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { frame, mqttString } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { V3_VERSIONS } from './v3-versions.ts';

/** A session that is kept, has subscribed `a` with QoS 2, and whose client has left. */
async function leaveSession(broker: TestBroker, version: ProtocolVersion): Promise<void> {
  const client = await broker.connect({ version, clientId: 'kept', cleanStart: false });
  await client.subscribe('a', 2);
  await client.disconnect();
}

describe.each(V3_VERSIONS)('Clean Session of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.2-4] 0 makes a session, keeps it, and goes on with it (${name})`, async ({ broker }) => {
    await leaveSession(broker, version);
    const again = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await again.publish('a', 'to myself', { qos: 2 });
    await again.expectMessage({ payload: 'to myself', qos: 2 });
  });

  test(`[v3 MQTT-3.1.2-5] 0 stores QoS 1 and 2 messages for a client that is away (${name})`, async ({ broker }) => {
    await leaveSession(broker, version);
    const publisher = await broker.connect({ version });
    await publisher.publish('a', 'one', { qos: 1 });
    await publisher.publish('a', 'two', { qos: 2 });
    await publisher.publish('b', 'not subscribed', { qos: 2 });
    const again = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await again.expectMessage({ payload: 'one', qos: 1, dup: false, retain: false });
    await again.expectMessage({ payload: 'two', qos: 2, dup: false, retain: false });
    await again.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-6] 1 discards the session before and keeps none after (${name})`, async ({ broker }) => {
    await leaveSession(broker, version);
    const publisher = await broker.connect({ version });
    await publisher.publish('a', 'while away', { qos: 1 });
    const clean = await broker.connect({ version, clientId: 'kept', cleanStart: true });
    await publisher.publish('a', 'not subscribed any more', { qos: 1 });
    await clean.expectNothing();
    await clean.subscribe('b', 1);
    await clean.disconnect();
    await publisher.publish('b', 'while away', { qos: 1 });
    const again = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await publisher.publish('a', 'x', { qos: 1 });
    await publisher.publish('b', 'x', { qos: 1 });
    await again.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-7] leaves retained messages alone when a session ends (${name})`, async ({ broker }) => {
    const publisher = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    await publisher.publish('a', 'retained', { qos: 1, retain: true });
    await publisher.disconnect();
    const clean = await broker.connect({ version, clientId: 'kept' });
    await clean.disconnect();
    const late = await broker.connect({ version });
    await late.subscribe('a', 1);
    await late.expectMessage({ payload: 'retained', retain: true });
  });

  test(`[v3 MQTT-4.1.0-1] keeps the state of a session over a restart of the broker (${name})`, async ({ start }) => {
    const store = new MemoryStore();
    const before = await start({ store });
    const client = await before.connect({ version, clientId: 'kept', cleanStart: false });
    await client.subscribe('a/+', 2);
    await client.publish('a/1', 'in flight', { qos: 1 });
    const sent = await client.expectPublish({ payload: 'in flight' });
    client.sendPublish('b', 'not released', { qos: 2, packetId: 77 });
    await client.next();
    client.destroy();
    const publisher = await before.connect({ version });
    await publisher.publish('a/2', 'while away', { qos: 2 });
    await before.close();

    const after = await start({ store });
    const watcher = await after.connect({ version });
    await watcher.subscribe('b', 2);
    const again = await after.connect({ version, clientId: 'kept', cleanStart: false });
    await again.expectMessage({ payload: 'in flight', dup: true, packetId: sent.packetId });
    await again.expectMessage({ payload: 'while away', qos: 2 });
    await again.publish('b', 'not released', { qos: 2, packetId: 77, dup: true });
    await watcher.expectNothing();
    await again.publish('a/3', 'subscribed', { qos: 1 });
    await again.expectMessage({ payload: 'subscribed' });
  });

  test(`[v3 MQTT-4.1.0-2] keeps a session as long as its connection (${name})`, async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const client = await broker.connect({ version });
    await client.subscribe('a', 1);
    broker.advance(400 * 24 * 3_600_000);
    await client.publish('a', 'still there', { qos: 1 });
    await client.expectMessage({ payload: 'still there' });
  });
});

describe.each(V3_VERSIONS)('the will of MQTT %s', (name, version) => {
  const will = { topicName: 'will/topic', payload: 'gone' };

  test(`[v3 MQTT-3.1.2-8] is published when the connection ends in any way but DISCONNECT (${name})`, async ({
    broker,
  }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 1);
    const vanished = await broker.connect({ version, will });
    await watcher.expectNothing();
    vanished.destroy();
    await watcher.expectPublish({ payload: 'gone', qos: 0, retain: false });

    const wrong = await broker.connect({ version, will });
    wrong.send(frame(0x36, mqttString('a')));
    await wrong.expectClose();
    await watcher.expectPublish({ payload: 'gone' });

    const displaced = await broker.connect({ version, clientId: 'one', will });
    await broker.connect({ version, clientId: 'one' });
    await displaced.expectClose();
    await watcher.expectPublish({ payload: 'gone' });
    await watcher.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-10] is gone once it was published or DISCONNECT came (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 1);
    const first = await broker.connect({ version, clientId: 'kept', cleanStart: false, will });
    first.destroy();
    await watcher.expectPublish({ payload: 'gone' });
    const second = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    second.send(frame(0x36, mqttString('a')));
    await second.expectClose();
    const third = await broker.connect({ version, clientId: 'kept', cleanStart: false, will });
    await third.disconnect();
    const fourth = await broker.connect({ version, clientId: 'kept', cleanStart: false });
    fourth.send(frame(0x36, mqttString('a')));
    await fourth.expectClose();
    await watcher.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-12] is not published where there is none (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('#', 1);
    const client = await broker.connect({ version });
    client.send(frame(0x36, mqttString('a')));
    await client.expectClose();
    await watcher.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-16] is not retained with Will Retain 0 (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 1);
    const client = await broker.connect({ version, will: { ...will, qos: 1 } });
    client.destroy();
    await watcher.expectMessage({ payload: 'gone', qos: 1, retain: false });
    const late = await broker.connect({ version });
    await late.subscribe('will/topic', 1);
    await late.expectNothing();
  });

  test(`[v3 MQTT-3.1.2-17] is retained with Will Retain 1 (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 1);
    const client = await broker.connect({ version, will: { ...will, qos: 1, retain: true } });
    client.destroy();
    await watcher.expectMessage({ payload: 'gone', retain: false });
    const late = await broker.connect({ version });
    await late.subscribe('will/topic', 1);
    await late.expectMessage({ payload: 'gone', qos: 1, retain: true });
  });

  test(`[v3 MQTT-3.14.4-3] is discarded on DISCONNECT (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 1);
    for (const cleanStart of [true, false]) {
      const client = await broker.connect({ version, clientId: 'one', cleanStart, will });
      await client.disconnect();
    }
    await watcher.expectNothing();
    await watcher.publish('will/topic', 'the watcher works', { qos: 1 });
    await watcher.expectMessage({ payload: 'the watcher works' });
  });
});

describe.each(V3_VERSIONS)('PINGREQ and DISCONNECT of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.12.4-1] answers each PINGREQ with a PINGRESP (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    client.sendRaw('c000 c000 c000');
    for (let i = 0; i < 3; i += 1) expect((await client.next()).type).toBe(13);
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.14.1-1] disconnects on reserved bits in DISCONNECT, and takes it for none (${name})`, async ({
    broker,
  }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic');
    for (const firstByte of [0xe1, 0xe2, 0xe4, 0xe8]) {
      const client = await broker.connect({ version, will: { topicName: 'will/topic', payload: 'gone' } });
      client.send(frame(firstByte));
      await client.expectClose();
      await watcher.expectPublish({ payload: 'gone' });
    }
  });
});
