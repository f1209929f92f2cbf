import { describe, expect } from 'vitest';
import type { AuthorizeRequest, ClientInfo } from '../../src/hooks/hooks.ts';
import type { Properties } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { frame } from '../support/raw-bytes.ts';
import type { RawClient } from '../support/raw-client.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { vanish } from './v5-bytes.ts';

const WILL = { topicName: 'will/topic', payload: 'gone' };

/** A will 30 s after the connection. */
const LATE_WILL = { ...WILL, properties: { willDelayInterval: 30 } };

/** A session that outlives its connection by 60 s, twice the delay of `LATE_WILL`. */
const KEPT = { clientId: 'kept', cleanStart: false, properties: { sessionExpiryInterval: 60 } };

/** A client that has subscribed to all wills. */
async function watch(broker: TestBroker): Promise<RawClient> {
  const watcher = await broker.connect();
  await watcher.subscribe('will/#', 2);
  return watcher;
}

describe('what becomes of a will', () => {
  test('[MQTT-3.1.2-7] is stored as CONNECT has it, bytes and properties', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const payload = Buffer.from([0, 0xff, 0xc0, 0x80]);
    const properties: Properties = {
      payloadFormatIndicator: 0,
      contentType: 'text/plain',
      responseTopic: 'answer/here',
      correlationData: Uint8Array.from([0, 1, 255]),
      userProperties: [['a', 'b']],
      messageExpiryInterval: 100,
    };
    const client = await broker.connect({ will: { ...WILL, payload, qos: 2, properties } });
    client.destroy();
    const packet = await watcher.expectMessage({ topicName: 'will/topic', payload, qos: 2, retain: false });
    expect(packet.properties).toEqual(properties);
  });

  test('[MQTT-3.1.2-7] belongs to the session: a restart of the broker does not lose it', async ({ start }) => {
    const store = new MemoryStore();
    const clock = new FakeClock();
    const before = await start({ store, clock });
    const client = await before.connect({ ...KEPT, will: LATE_WILL });
    await vanish(before, client, 'kept');
    before.advance(10_000);
    await before.close();
    const after = await start({ store, clock });
    const watcher = await watch(after);
    after.advance(19_000);
    await watcher.expectNothing();
    after.advance(2_000);
    await watcher.expectPublish({ payload: 'gone' });
    after.advance(100_000);
    await watcher.expectNothing();
  });

  test('[MQTT-3.1.2-8] is published when the connection ends in any way but DISCONNECT 0x00', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const vanished = await broker.connect({ will: WILL });
    await watcher.expectNothing();
    vanished.destroy();
    await watcher.expectPublish({ payload: 'gone', qos: 0, retain: false });

    const wrong = await broker.connect({ will: WILL });
    wrong.send(frame(0xc1));
    await wrong.expectDisconnect(0x81);
    await watcher.expectPublish({ payload: 'gone' });

    const asked = await broker.connect({ will: WILL });
    await asked.disconnect(0x04);
    await watcher.expectPublish({ payload: 'gone' });

    const silent = await broker.connect({ will: WILL, keepAlive: 10 });
    broker.advance(16_000);
    await silent.expectDisconnect(0x8d);
    await watcher.expectPublish({ payload: 'gone' });

    const ended = await broker.connect({ will: WILL, clientId: 'ended' });
    broker.disconnect('ended');
    await ended.expectDisconnect(0x98);
    await watcher.expectPublish({ payload: 'gone' });

    const clean = await broker.connect({ will: WILL });
    await clean.disconnect(0x00);
    await watcher.expectNothing();
  });

  test('[MQTT-3.1.2-8] is published to others at once where the session ends with the connection', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const client = await broker.connect({ will: LATE_WILL });
    client.destroy();
    await watcher.expectPublish({ payload: 'gone' });
  });

  test('[MQTT-3.1.2-8] is published when the Will Delay Interval has passed, once', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const client = await broker.connect({ ...KEPT, will: LATE_WILL });
    await vanish(broker, client, 'kept');
    broker.advance(29_999);
    await watcher.expectNothing();
    broker.advance(1_001);
    const packet = await watcher.expectPublish({ payload: 'gone' });
    expect(packet.properties).toEqual({});
    broker.advance(600_000);
    await watcher.expectNothing();
  });

  test('[MQTT-3.1.2-8] is published when the session ends before the Will Delay Interval has passed', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const will = { ...WILL, properties: { willDelayInterval: 3600 } };
    const expired = await broker.connect({ ...KEPT, will });
    await vanish(broker, expired, 'kept');
    broker.advance(59_000);
    await watcher.expectNothing();
    broker.advance(2_000);
    await watcher.expectPublish({ payload: 'gone' });

    const shortened = await broker.connect({ ...KEPT, will });
    await shortened.disconnect(0x04, { sessionExpiryInterval: 0 });
    await watcher.expectPublish({ payload: 'gone' });

    const discarded = await broker.connect({ ...KEPT, will });
    await vanish(broker, discarded, 'kept');
    await watcher.expectNothing();
    await broker.connect({ ...KEPT, cleanStart: true });
    await watcher.expectPublish({ payload: 'gone' });
    broker.advance(24 * 3_600_000);
    await watcher.expectNothing();
  });

  test('[MQTT-3.1.2-8] is published with the rights of the user who left it', async ({ start }) => {
    const asked: { client: ClientInfo; request: AuthorizeRequest }[] = [];
    const broker = await start({
      clock: new FakeClock(),
      hooks: {
        authorize: (client, request) => {
          asked.push({ client, request });
          return request.action !== 'will' || client.username === 'ann';
        },
      },
    });
    const watcher = await watch(broker);
    const short = await broker.connect({ username: 'ann', will: WILL });
    short.destroy();
    await watcher.expectPublish({ payload: 'gone' });
    const kept = await broker.connect({ ...KEPT, username: 'ann', will: LATE_WILL });
    await vanish(broker, kept, 'kept');
    broker.advance(31_000);
    await watcher.expectPublish({ payload: 'gone' });
    const expired = await broker.connect({
      ...KEPT,
      username: 'ann',
      will: { ...WILL, properties: { willDelayInterval: 3600 } },
    });
    await vanish(broker, expired, 'kept');
    broker.advance(61_000);
    await watcher.expectPublish({ payload: 'gone' });
    const wills = asked.filter(({ request }) => request.action === 'will');
    expect(wills.map(({ client }) => client.username)).toEqual(Array(6).fill('ann'));
  });

  test('[MQTT-3.1.2-10] is gone once it was published or DISCONNECT 0x00 came', async ({ start }) => {
    const store = new MemoryStore();
    const clock = new FakeClock();
    const broker = await start({ store, clock });
    const watcher = await watch(broker);
    const first = await broker.connect({ ...KEPT, will: WILL });
    await vanish(broker, first, 'kept');
    await watcher.expectPublish({ payload: 'gone' });
    const second = await broker.connect(KEPT);
    await vanish(broker, second, 'kept');
    const third = await broker.connect({ ...KEPT, will: WILL });
    await third.disconnect();
    const fourth = await broker.connect(KEPT);
    await vanish(broker, fourth, 'kept');
    // Another CONNECT, another will: that of before is not kept beside it.
    const fifth = await broker.connect({ ...KEPT, will: { topicName: 'will/other', payload: 'fifth' } });
    await watcher.expectNothing();
    await vanish(broker, fifth, 'kept');
    await watcher.expectPublish({ topicName: 'will/other', payload: 'fifth' });
    broker.advance(100_000);
    await watcher.expectNothing();
    await broker.close();

    const after = await start({ store, clock });
    const late = await watch(after);
    after.advance(100_000);
    await late.expectNothing();
  });

  test('[MQTT-3.1.2-14] is not retained with Will Retain 0', async ({ broker }) => {
    const watcher = await watch(broker);
    const client = await broker.connect({ will: { ...WILL, qos: 1 } });
    client.destroy();
    await watcher.expectMessage({ payload: 'gone', qos: 1, retain: false });
    const late = await watch(broker);
    await late.expectNothing();
  });

  test('[MQTT-3.1.2-15] is retained with Will Retain 1', async ({ broker }) => {
    const watcher = await watch(broker);
    const client = await broker.connect({ will: { ...WILL, qos: 1, retain: true } });
    client.destroy();
    await watcher.expectMessage({ payload: 'gone', retain: false });
    const late = await watch(broker);
    await late.expectMessage({ payload: 'gone', qos: 1, retain: true });
  });

  test('[MQTT-3.1.3-9] is not published when a connection takes the session up in time', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await watch(broker);
    const first = await broker.connect({ ...KEPT, will: LATE_WILL });
    await vanish(broker, first, 'kept');
    broker.advance(29_000);
    const second = await broker.connect(KEPT);
    expect(second.connack.sessionPresent).toBe(true);
    broker.advance(600_000);
    await watcher.expectNothing();

    // Taken over while connected: the delay begins and is cut short in one.
    const third = await broker.connect({ ...KEPT, will: LATE_WILL });
    await second.expectDisconnect(0x8e);
    const fourth = await broker.connect({ ...KEPT, will: { ...LATE_WILL, payload: 'of the fourth' } });
    await third.expectDisconnect(0x8e);
    broker.advance(600_000);
    await watcher.expectNothing();

    // The new connection's own will has its own delay.
    await vanish(broker, fourth, 'kept');
    broker.advance(29_000);
    await watcher.expectNothing();
    broker.advance(2_000);
    await watcher.expectPublish({ payload: 'of the fourth' });
    await watcher.expectNothing();
  });

  test('[MQTT-3.1.3-10] keeps the order of its user properties, repeated names included', async ({ broker }) => {
    const watcher = await watch(broker);
    const names = ['z', 'a', 'z', '', 'a', '__proto__', 'z'];
    const userProperties = names.map((name, index) => [name, `${index}`] as const);
    const client = await broker.connect({ will: { ...WILL, properties: { userProperties: [...userProperties] } } });
    client.destroy();
    const packet = await watcher.expectPublish({ payload: 'gone' });
    expect(packet.properties.userProperties).toEqual(userProperties);
  });
});

describe('a will when its client id is taken over', () => {
  test('[MQTT-3.1.2-8] is published where it has no delay', async ({ broker }) => {
    const watcher = await watch(broker);
    for (const cleanStart of [false, true]) {
      const first = await broker.connect({ ...KEPT, will: WILL });
      const second = await broker.connect({ ...KEPT, cleanStart });
      await first.expectDisconnect(0x8e);
      await watcher.expectPublish({ payload: 'gone' });
      await watcher.expectNothing();
      await second.disconnect();
    }
  });

  test('[MQTT-3.1.2-8] is published at once, whatever its delay, where Clean Start ends the session', async ({
    broker,
  }) => {
    const watcher = await watch(broker);
    const first = await broker.connect({ ...KEPT, will: LATE_WILL });
    await broker.connect({ ...KEPT, cleanStart: true });
    await first.expectDisconnect(0x8e);
    await watcher.expectPublish({ payload: 'gone' });
    await watcher.expectNothing();
  });
});
