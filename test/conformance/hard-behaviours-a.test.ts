import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { frame, mqttString, type RawConnect, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectConnectsRefused, expectPacketsRefused, properties, rawPublish, textProperty } from './v5-bytes.ts';

// The rest of these behaviours is in v3-*.test.ts and v5-*.test.ts, under the statements they belong to.

const ID = mqttString('id');
const NONE = Buffer.from([0]);
const ONE_MORE = Buffer.from([0]);
const WILL = { topicName: 'will/topic', payload: 'gone' };

describe('hard behaviours', () => {
  test('hard behaviour 1: an empty client id with a session to keep is refused in 3.x and gets an id in 5.0', async ({
    broker,
  }) => {
    for (const version of [3, 4] as const) {
      const client = await broker.open({ version });
      client.sendConnect({ clientId: '', cleanStart: false });
      await client.expectConnack(2);
      await client.expectClose();
    }
    const client = await broker.open();
    client.sendConnect({ clientId: '', cleanStart: false });
    const connack = await client.expectConnack(0, false);
    expect(connack.properties.assignedClientIdentifier).toMatch(/./);
  });

  test('hard behaviour 2: Session Present is 1 for a session without subscriptions, in 3.1.1 and 5.0', async ({
    broker,
  }) => {
    for (const version of [4, 5] as const) {
      const connect = { clientId: `${version}`, cleanStart: false };
      const options = version === 5 ? { ...connect, properties: { sessionExpiryInterval: 60 } } : connect;
      for (const sessionPresent of [false, true]) {
        const client = await broker.open({ version });
        client.sendConnect(options);
        await client.expectConnack(0, sessionPresent);
        await client.disconnect();
      }
    }
  });

  test('hard behaviour 6: bytes left over behind the last field of a packet are malformed', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { payload: [ID, ONE_MORE] },
      { flags: 0xc2, payload: [ID, mqttString('ann'), mqttString('secret'), ONE_MORE] },
    ]);
    await expectPacketsRefused(broker, 0x81, [
      ...[0x40, 0x50, 0x62, 0x70].map((first) => frame(first, uint16(1), NONE, NONE, ONE_MORE)),
      frame(0x82, uint16(1), NONE, mqttString('a'), NONE, ONE_MORE),
      frame(0xa2, uint16(1), NONE, mqttString('a'), ONE_MORE),
      frame(0xc0, ONE_MORE),
      frame(0xe0, NONE, NONE, ONE_MORE),
      frame(0xf0, Buffer.from([0x19]), properties(textProperty(0x15, 'm')), ONE_MORE),
    ]);
    // In 3.1.1 these packets end earlier.
    for (const packet of [frame(0x40, uint16(1), NONE), frame(0xc0, ONE_MORE), frame(0xe0, NONE)]) {
      const client = await broker.connect({ version: 4 });
      client.send(packet);
      await client.expectClose();
    }
  });

  test('hard behaviour 7: packets that only servers send end the connection', async ({ broker }) => {
    await expectPacketsRefused(broker, 0x82, [
      frame(0x20, NONE, NONE, NONE),
      frame(0x90, uint16(1), NONE, NONE),
      frame(0xb0, uint16(1), NONE, NONE),
      frame(0xd0),
    ]);
    await expectPacketsRefused(broker, 0x81, [frame(0x00)]);
    for (const packet of [
      frame(0x20, NONE, NONE),
      frame(0x90, uint16(1), NONE),
      frame(0xb0, uint16(1)),
      frame(0xd0),
      frame(0x00),
      frame(0xf0, Buffer.from([0x19]), properties(textProperty(0x15, 'm'))),
    ]) {
      const client = await broker.connect({ version: 4 });
      client.send(packet);
      await client.expectClose();
    }
  });

  test('hard behaviour 13: DISCONNECT cannot raise the session expiry from 0, and the will still goes', async ({
    broker,
  }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('will/topic');
    for (const connectProperties of [{}, { sessionExpiryInterval: 0 }]) {
      const client = await broker.connect({ clientId: 'id', will: WILL, properties: connectProperties });
      client.send({ type: PacketType.disconnect, reasonCode: 0, properties: { sessionExpiryInterval: 60 } });
      await client.expectDisconnect(0x82);
      await watcher.expectPublish({ payload: 'gone' });
      const again = await broker.open();
      again.sendConnect({ clientId: 'id', cleanStart: false });
      await again.expectConnack(0, false);
      await again.disconnect();
    }
  });

  test('hard behaviour 13: DISCONNECT may set the session expiry anew where CONNECT asked for one, and 0 to 0', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock(), config: { limits: { sessionExpiryIntervalMax: 1000 } } });
    for (const [requested, changed, passed, sessionPresent] of [
      [60, 100, 90, true],
      [60, 100, 110, false],
      [100, 60, 70, false],
      [60, 0, 0, false],
      [0, 0, 0, false],
      [60, 5000, 990, true],
      [60, 5000, 1010, false],
    ] as const) {
      const connect = { clientId: 'id', properties: { sessionExpiryInterval: requested } };
      const client = await broker.connect(connect);
      client.send({ type: PacketType.disconnect, reasonCode: 0, properties: { sessionExpiryInterval: changed } });
      expect((await client.expectClose()).disconnect).toBeUndefined();
      broker.advance(passed * 1000);
      const again = await broker.open();
      again.sendConnect({ ...connect, cleanStart: false });
      await again.expectConnack(0, sessionPresent);
      await again.disconnect();
    }
  });

  test('hard behaviour 13: what DISCONNECT is compared with is what CONNECT asked for, not what was granted', async ({
    start,
  }) => {
    const broker = await start({ config: { limits: { sessionExpiryIntervalMax: 0 } } });
    const client = await broker.connect({ properties: { sessionExpiryInterval: 60 } });
    expect(client.connack.properties.sessionExpiryInterval).toBe(0);
    client.send({ type: PacketType.disconnect, reasonCode: 0, properties: { sessionExpiryInterval: 60 } });
    expect((await client.expectClose()).disconnect).toBeUndefined();
  });

  test('hard behaviour 14: a DISCONNECT has no reason string that would exceed the Maximum Packet Size', async ({
    broker,
  }) => {
    for (const [maximumPacketSize, hasReason] of [
      [20, false],
      [1000, true],
    ] as const) {
      const client = await broker.connect({ properties: { maximumPacketSize } });
      client.send(frame(0xc1));
      const disconnect = await client.expectDisconnect(0x81);
      expect(disconnect.properties.reasonString !== undefined).toBe(hasReason);
    }
  });

  test('hard behaviour 22: wildcards in a Response Topic or in the topic of a will are refused', async ({ broker }) => {
    for (const topic of ['a/+', '#', 'a+b', 'a#']) {
      const responseTopic = properties(textProperty(0x08, topic));
      await expectPacketsRefused(broker, 0x82, [rawPublish('a', responseTopic)]);
      const will = [responseTopic, mqttString('a'), mqttString('x')];
      await expectConnectsRefused(broker, 0x82, [{ flags: 0x06, payload: [ID, ...will] }]);
      const willTo: RawConnect = { flags: 0x06, payload: [ID, NONE, mqttString(topic), mqttString('x')] };
      await expectConnectsRefused(broker, 0x90, [willTo]);
      const old = await broker.open({ version: 4 });
      old.send(rawConnect(4, { flags: 0x06, payload: [ID, mqttString(topic), mqttString('x')] }));
      await old.expectClose();
    }
  });

  test('hard behaviour 22: an indicator or a boolean of value 2 is refused', async ({ broker }) => {
    const two = (id: number): Buffer => properties(Buffer.from([id, 2]));
    await expectPacketsRefused(broker, 0x82, [rawPublish('a', two(0x01))]);
    await expectConnectsRefused(broker, 0x82, [
      { flags: 0x06, payload: [ID, two(0x01), mqttString('a'), mqttString('x')] },
      { properties: two(0x17), payload: [ID] },
      { properties: two(0x19), payload: [ID] },
    ]);
  });

  test('hard behaviour 23: a password without user name is allowed in 5.0 and not in 3.x', async ({ broker }) => {
    const connect: RawConnect = { flags: 0x42, payload: [ID, mqttString('secret')] };
    const client = await broker.open();
    client.send(rawConnect(5, connect));
    await client.expectConnack(0);
    for (const version of [3, 4] as const) {
      const old = await broker.open({ version });
      old.send(rawConnect(version, connect));
      await old.expectClose();
    }
  });

  test('hard behaviour 26: with a Server Keep Alive a 3.1.1 client that asks for none is served and not cut off', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock(), config: { limits: { serverKeepAlive: 10 } } });
    const client = await broker.open({ version: 4 });
    client.sendConnect({ keepAlive: 0 });
    await client.expectConnack(0);
    broker.advance(3_600_000);
    await client.expectNothing();
  });
});
