import { describe, expect } from 'vitest';
import type { AuthStep, Hooks } from '../../src/hooks/hooks.ts';
import { type Packet, PacketType } from '../../src/protocol/packets.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { frame } from '../support/raw-bytes.ts';
import type { RawClient } from '../support/raw-client.ts';
import { test } from './statement-test.ts';
import { sizeOf } from './v5-raw.ts';

/** Bytes of a PUBLISH to `a` without properties, but for its payload: header 2, topic 3, property length 1. */
const QOS_0_BYTES = 6;

describe('keep alive', () => {
  test('[MQTT-3.1.2-22] disconnects after one and a half times the keep alive, as if the network had failed', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await broker.connect();
    await watcher.subscribe('will/topic');
    const client = await broker.connect({ keepAlive: 10, will: { topicName: 'will/topic', payload: 'gone' } });
    for (let i = 0; i < 5; i += 1) {
      broker.advance(14_000);
      await client.expectNothing();
    }
    await watcher.expectNothing();
    broker.advance(16_000);
    await client.expectDisconnect(0x8d);
    await watcher.expectPublish({ payload: 'gone' });
    const never = await broker.connect({ keepAlive: 0 });
    broker.advance(24 * 3_600_000);
    await never.expectNothing();
  });

  test('[MQTT-3.1.2-22] counts only what the client sends', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const client = await broker.connect({ keepAlive: 10 });
    await client.subscribe('a');
    const publisher = await broker.connect();
    broker.advance(8_000);
    await publisher.publish('a', 'x');
    await client.expectPublish({ payload: 'x' });
    broker.advance(8_000);
    await client.expectDisconnect(0x8d);
  });

  test('[MQTT-3.1.2-21][MQTT-3.2.2-21] holds the client to the Server Keep Alive where it sends one', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock(), config: { limits: { serverKeepAlive: 10 } } });
    for (const keepAlive of [0, 11, 65_535]) {
      const client = await broker.connect({ keepAlive });
      expect(client.connack.properties.serverKeepAlive).toBe(10);
      broker.advance(14_000);
      await client.expectNothing();
      broker.advance(16_000);
      await client.expectDisconnect(0x8d);
    }
  });

  test('[MQTT-3.2.2-22] goes by the keep alive of CONNECT where it sends no Server Keep Alive', async ({ start }) => {
    const broker = await start({ clock: new FakeClock(), config: { limits: { serverKeepAlive: 10 } } });
    for (const keepAlive of [4, 10]) {
      const client = await broker.connect({ keepAlive });
      expect(client.connack.properties.serverKeepAlive).toBeUndefined();
      broker.advance(keepAlive * 1400);
      await client.expectNothing();
      broker.advance(keepAlive * 1600);
      await client.expectDisconnect(0x8d);
    }
  });

  test('[MQTT-3.2.2-22] goes by the keep alive of 3.x clients, who cannot be told another, 0 included', async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock(), config: { limits: { serverKeepAlive: 10 } } });
    const never = await broker.connect({ version: 4, keepAlive: 0 });
    const often = await broker.connect({ version: 4, keepAlive: 100 });
    broker.advance(140_000);
    await never.expectNothing();
    await often.expectNothing();
    broker.advance(160_000);
    await never.expectNothing();
    await often.expectClose();
  });
});

describe('Maximum Packet Size of the client', () => {
  test('[MQTT-3.1.2-24] sends PUBLISH up to it and skips what exceeds it, at every QoS', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const qos of [0, 1, 2] as const) {
      const client = await broker.connect({ properties: { maximumPacketSize: 100 } });
      await client.subscribe('a', qos);
      const largest = 100 - QOS_0_BYTES - (qos > 0 ? 2 : 0);
      await publisher.publish('a', 'x'.repeat(largest), { qos });
      await publisher.publish('a', 'x'.repeat(largest + 1), { qos });
      await publisher.publish('a', 'after', { qos });
      await client.expectMessage({ payload: 'x'.repeat(largest), qos });
      await client.expectMessage({ payload: 'after', qos });
      await client.expectNothing();
    }
  });

  test('[MQTT-3.1.2-24] counts properties in: expiry, subscription identifier, user properties, topic alias', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const client = await broker.connect({ properties: { maximumPacketSize: 100, topicAliasMaximum: 10 } });
    await client.subscribe('a', 0, { subscriptionIdentifiers: [300] });
    // Identifier 1 + 2, expiry 1 + 4, user property 1 + 2 + 1 + 2 + 1 bytes.
    const properties = { messageExpiryInterval: 60, userProperties: [['k', 'v'] as const] };
    const largest = 100 - QOS_0_BYTES - 3 - 5 - 7;
    for (const length of [largest, largest + 1, largest - 1, 0]) {
      await publisher.publish('a', 'x'.repeat(length), { properties });
    }
    for (const length of [largest, largest - 1, 0]) await client.expectPublish({ payload: 'x'.repeat(length) });
    await client.expectNothing();
  });

  test('[MQTT-3.1.2-24] sends neither CONNACK nor DISCONNECT beyond it', async ({ start }) => {
    const broker = await start({
      hooks: {
        authenticate: (client) =>
          client.username === 'eve'
            ? { allow: false, reasonCode: 0x87, reasonString: 'a reason of more than twenty bytes' }
            : { allow: true, userProperties: [['region', 'of more than twenty bytes']] },
      },
    });
    const refused = await broker.open();
    refused.sendConnect({ username: 'eve', properties: { maximumPacketSize: 20 } });
    expect(sizeOf(await refused.expectConnack(0x87))).toBeLessThanOrEqual(20);
    await refused.expectClose();
    const client = await broker.open();
    client.sendConnect({ properties: { maximumPacketSize: 20 } });
    expect(sizeOf(await client.expectConnack(0))).toBeLessThanOrEqual(20);
    client.send(frame(0xc1));
    expect(sizeOf(await client.expectDisconnect(0x81))).toBeLessThanOrEqual(20);
  });

  test('[MQTT-3.1.2-24] turns a client away that has no room for its CONNACK', async ({ broker }) => {
    for (const maximumPacketSize of [1, 4, 5, 10]) {
      const client = await broker.open();
      client.sendConnect({ clientId: 'small', properties: { maximumPacketSize, sessionExpiryInterval: 60 } });
      client.send({ type: PacketType.pingreq });
      if (maximumPacketSize >= 5) await client.expect(PacketType.connack, { reasonCode: 0x95, properties: {} });
      await client.expectClose();
    }
    const client = await broker.open();
    client.sendConnect({ clientId: 'small', cleanStart: false });
    await client.expectConnack(0, false);
  });

  test('[MQTT-3.1.2-25] goes on as if what it skipped had been sent: no slot, no queue, no session keeps it', async ({
    broker,
  }) => {
    const publisher = await broker.connect();
    const session = {
      clientId: 'kept',
      cleanStart: false,
      properties: { maximumPacketSize: 100, receiveMaximum: 1, sessionExpiryInterval: 60 },
    };
    const first = await broker.connect(session);
    await first.subscribe('a', 2);
    const large = 'x'.repeat(200);
    for (const qos of [1, 2, 1, 2] as const) await publisher.publish('a', large, { qos });
    await publisher.publish('a', 'small', { qos: 2 });
    await first.expectMessage({ payload: 'small', qos: 2 });
    await first.expectNothing();
    await first.disconnect();

    for (const payload of [large, 'one', large, large, 'two', large]) await publisher.publish('a', payload, { qos: 1 });
    const second = await broker.connect(session);
    await second.expectMessage({ payload: 'one' });
    await second.expectMessage({ payload: 'two' });
    await second.expectNothing();
    await second.disconnect();

    // Also for a later connection that would have room.
    const third = await broker.connect({ ...session, properties: { sessionExpiryInterval: 60 } });
    await third.expectNothing();
    expect(broker.total(({ messages }) => messages.dropped['packet-too-large'])).toBe(8);
  });

  test('[MQTT-3.1.2-25] skips retained messages alone that are too large', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const [topicName, payload] of [
      ['r/1', 'one'],
      ['r/2', 'x'.repeat(200)],
      ['r/3', 'three'],
    ] as const) {
      await publisher.publish(topicName, payload, { qos: 1, retain: true });
    }
    const client = await broker.connect({ properties: { maximumPacketSize: 100, receiveMaximum: 1 } });
    await client.subscribe('r/+', 1);
    const payloads = [await client.expectMessage(), await client.expectMessage()].map(({ payload }) =>
      Buffer.from(payload).toString(),
    );
    expect(payloads.toSorted()).toEqual(['one', 'three']);
    await client.expectNothing();
  });
});

describe('Topic Alias Maximum of the client', () => {
  /** Publishes to these topics in turn; the aliases used, checked to stand for the right topics. */
  async function aliasesFor(publisher: RawClient, client: RawClient, topics: readonly string[]): Promise<number[]> {
    const known = new Map<number, string>();
    const aliases: number[] = [];
    for (const topicName of topics) {
      await publisher.publish(topicName, `to ${topicName}`);
      const packet = await client.expectPublish({ payload: `to ${topicName}` });
      const alias = packet.properties.topicAlias;
      if (alias !== undefined && packet.topicName !== '') known.set(alias, packet.topicName);
      expect(packet.topicName || known.get(alias ?? 0)).toBe(topicName);
      if (alias !== undefined) aliases.push(alias);
    }
    return aliases;
  }

  const topics = ['t/1', 't/2', 't/1', 't/2', 't/3', 't/4', 't/5', 't/1', 't/3', 't/3', 't/4'];

  test('[MQTT-3.1.2-26] sends no alias above it', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const topicAliasMaximum of [1, 2, 3]) {
      const client = await broker.connect({ properties: { topicAliasMaximum } });
      await client.subscribe('t/#');
      const aliases = await aliasesFor(publisher, client, [...topics, ...topics]);
      expect(aliases.length).toBeGreaterThan(0);
      expect(Math.max(...aliases)).toBeLessThanOrEqual(topicAliasMaximum);
      expect(Math.min(...aliases)).toBeGreaterThan(0);
      await client.disconnect();
    }
  });

  test('[MQTT-3.1.2-27] sends no alias where it is 0 or absent', async ({ broker }) => {
    const publisher = await broker.connect();
    for (const properties of [{}, { topicAliasMaximum: 0 }]) {
      const client = await broker.connect({ properties });
      await client.subscribe('t/#');
      expect(await aliasesFor(publisher, client, topics)).toEqual([]);
      await client.disconnect();
    }
  });
});

describe('what the client requests', () => {
  test('[MQTT-3.1.2-28] sends Response Information only where it is requested', async ({ start }) => {
    const broker = await start({ config: { limits: { responseInformation: 'answers/' } } });
    for (const properties of [{}, { requestResponseInformation: false }]) {
      const client = await broker.connect({ properties });
      expect(client.connack.properties.responseInformation).toBeUndefined();
    }
    const client = await broker.connect({ properties: { requestResponseInformation: true } });
    expect(client.connack.properties.responseInformation).toBe('answers/');
  });

  test('[MQTT-3.1.2-29] sends no reason string or user property but in CONNACK, DISCONNECT and PUBLISH unless wanted', async ({
    start,
  }) => {
    const challenge: Hooks['startAuthExchange'] = () => ({
      step: (_data, packet): AuthStep =>
        packet.type === PacketType.auth
          ? { kind: 'success' }
          : { kind: 'continue', reasonString: 'say more about yourself' },
    });
    const broker = await start({
      hooks: {
        startAuthExchange: challenge,
        authorize: (_client, { topic }) =>
          topic.startsWith('no/') ? { reasonCode: 0x87, reasonString: 'not for you' } : true,
      },
    });
    for (const requestProblemInformation of [false, true]) {
      const client = await broker.open();
      client.sendConnect({ properties: { requestProblemInformation, authenticationMethod: 'm' } });
      const seen: Packet[] = [await client.next()];
      client.send({ type: PacketType.auth, reasonCode: 0x18, properties: { authenticationMethod: 'm' } });
      await client.expectConnack(0);
      client.sendSubscribe('no/a');
      seen.push(await client.next());
      client.sendPublish('no/a', 'x', { qos: 1 });
      seen.push(await client.next());
      client.sendUnsubscribe('no/a');
      seen.push(await client.next());
      client.sendAck(PacketType.pubrel, 99);
      seen.push(await client.next());
      const said = seen.filter(
        (packet) =>
          'properties' in packet &&
          (packet.properties.reasonString !== undefined || packet.properties.userProperties !== undefined),
      );
      if (requestProblemInformation) expect(said.map(({ type }) => type)).toContain(PacketType.auth);
      else expect(said).toEqual([]);
      // User properties of a PUBLISH are the publisher's, and always go along.
      await client.subscribe('a');
      await client.publish('a', 'x', { properties: { userProperties: [['k', 'v']] } });
      await client.expectPublish({ properties: { userProperties: [['k', 'v']] } });
      client.send(frame(0xc1));
      await client.expectDisconnect(0x81);
    }
  });

  test('[MQTT-3.1.2-30] takes nothing but AUTH and DISCONNECT until CONNACK from a client that wants to authenticate', async ({
    start,
  }) => {
    const hooks: Hooks = {
      startAuthExchange: () => ({
        step: (_data, packet) => (packet.type === PacketType.auth ? { kind: 'success' } : { kind: 'continue' }),
      }),
    };
    const broker = await start({ hooks });
    const watcher = await broker.connect();
    await watcher.subscribe('#');
    const wrong = [
      (client: RawClient) => client.sendPublish('a', 'x'),
      (client: RawClient) => client.sendSubscribe('a'),
      (client: RawClient) => client.send({ type: PacketType.pingreq }),
      (client: RawClient) => client.sendConnect(),
    ];
    for (const send of wrong) {
      const client = await broker.open();
      client.sendConnect({ properties: { authenticationMethod: 'm' } });
      await client.expect(PacketType.auth, { reasonCode: 0x18, properties: { authenticationMethod: 'm' } });
      send(client);
      await client.expectConnack(0x82);
      await client.expectClose();
    }
    const leaver = await broker.open();
    leaver.sendConnect({ properties: { authenticationMethod: 'm' } });
    await leaver.expect(PacketType.auth);
    leaver.send({ type: PacketType.disconnect, reasonCode: 0, properties: {} });
    await leaver.expectClose();
    const stayer = await broker.open();
    stayer.sendConnect({ properties: { authenticationMethod: 'm' } });
    await stayer.expect(PacketType.auth);
    stayer.send({ type: PacketType.auth, reasonCode: 0x18, properties: { authenticationMethod: 'm' } });
    await stayer.expectConnack(0);
    await watcher.expectNothing();
  });
});
