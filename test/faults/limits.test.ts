import { describe, expect } from 'vitest';
import { PacketType, type Properties } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { test } from './scene.ts';

const TRANSPORTS = ['tcp', 'websocket'] as const;

describe('the Receive Maximum of the broker', () => {
  test.for(TRANSPORTS)(
    'exceeded, 0x93 can be read although the client goes on sending, over %s',
    async (transport, { start }) => {
      const scene = await start({ config: { limits: { receiveMaximum: 10 } } });
      const watcher = await scene.broker.connect();
      await watcher.subscribe('a', 2);
      const client = await scene.broker.connect({ transport });
      const payload = Buffer.alloc(16_384, 1);
      for (let packetId = 1; packetId <= 300; packetId++) client.sendPublish('a', payload, { qos: 2, packetId });
      for (let packetId = 1; packetId <= 10; packetId++) {
        await client.expect(PacketType.pubrec, { packetId });
        await watcher.expectMessage({ payload });
      }
      const { disconnect, reset } = await client.expectClose();
      expect({ reasonCode: disconnect?.reasonCode, reset }).toEqual({
        reasonCode: ReasonCode.receiveMaximumExceeded,
        reset: false,
      });
      await watcher.expectNothing();
      await scene.expectEnded({ 'receive-maximum-exceeded': 1 });
    },
  );

  test('does not exist in 3.1.1: what is too much waits', async ({ start }) => {
    const scene = await start({ config: { limits: { receiveMaximum: 10 } } });
    const client = await scene.broker.connect({ version: 4 });
    for (let packetId = 1; packetId <= 300; packetId++) client.sendPublish('a', 'x', { qos: 2, packetId });
    for (let packetId = 1; packetId <= 300; packetId++) await client.expect(PacketType.pubrec, { packetId });
    await scene.expectEnded({});
  });
});

describe('the Maximum Packet Size of a client', () => {
  test.for(TRANSPORTS)(
    'a message above it is skipped and counted, and nothing behind it waits, over %s',
    async (transport, { start }) => {
      const scene = await start();
      const drops: string[][] = [];
      scene.broker.broker.on('messageDropped', (...drop) => drops.push(drop));
      const publisher = await scene.broker.connect();
      const small = await scene.broker.connect({
        transport,
        name: 'small',
        properties: { maximumPacketSize: 200, receiveMaximum: 1 },
      });
      const large = await scene.broker.connect();
      await small.subscribe('a', 2);
      await large.subscribe('a', 2);
      const long = Buffer.alloc(300, 1);
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('a', long, { qos });
        await publisher.publish('a', 'short', { qos });
        await large.expectMessage({ payload: long });
        await large.expectMessage({ payload: 'short' });
        await small.expectMessage({ payload: 'short', qos });
        await small.expectNothing();
      }
      expect(drops).toEqual(Array.from({ length: 3 }, () => ['small', 'a', 'packet-too-large']));
      expect(scene.broker.broker.counters().messages).toMatchObject({ queued: 0, dropped: { 'packet-too-large': 3 } });
      await scene.expectEnded({});
    },
  );

  test('more messages above it than the Receive Maximum, queued while the client was away, stall nothing', async ({
    start,
  }) => {
    const scene = await start();
    const connect = { clientId: 'small', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const before = await scene.broker.connect(connect);
    await before.subscribe('a', 2);
    await before.disconnect();
    const publisher = await scene.broker.connect();
    for (let i = 0; i < 20; i++)
      await publisher.publish('a', i === 10 ? 'short' : Buffer.alloc(300), { qos: i % 2 === 0 ? 1 : 2 });
    const properties: Properties = { ...connect.properties, maximumPacketSize: 200, receiveMaximum: 2 };
    const after = await scene.broker.connect({ ...connect, properties });
    await after.expectMessage({ payload: 'short' });
    await after.expectNothing();
    expect(scene.broker.broker.counters().messages).toMatchObject({ queued: 0, dropped: { 'packet-too-large': 19 } });
    await scene.expectEnded({ 'client-disconnect': 1 });
  });

  test('no reason is told where there is no room for it', async ({ start }) => {
    const scene = await start({ hooks: { authorize: (_client, { topic }) => topic !== 'denied' } });
    const client = await scene.broker.connect({ properties: { maximumPacketSize: 20 } });
    client.sendPublish('denied', 'x', { qos: 1 });
    await client.expect(PacketType.puback, { reasonCode: ReasonCode.notAuthorized });
    client.sendRaw('d000');
    const disconnect = await client.expectDisconnect(ReasonCode.protocolError);
    expect(disconnect.properties).toEqual({});
    await scene.expectEnded({ 'protocol-error': 1 });
  });
});

describe('topic aliases', () => {
  test.for([
    ['0', 'a', 0, ReasonCode.topicAliasInvalid, 'topic-alias-invalid'],
    ['above the maximum', 'a', 4, ReasonCode.topicAliasInvalid, 'topic-alias-invalid'],
    ['65,535', 'a', 65_535, ReasonCode.topicAliasInvalid, 'topic-alias-invalid'],
    ['never set', '', 2, ReasonCode.protocolError, 'protocol-error'],
  ] as const)(
    'one that is %s ends the connection',
    async ([, topicName, topicAlias, reasonCode, reason], { start }) => {
      const scene = await start({ config: { limits: { topicAliasMaximum: 3 } } });
      const watcher = await scene.broker.connect();
      await watcher.subscribe('a');
      const client = await scene.broker.connect();
      expect(client.connack.properties.topicAliasMaximum).toBe(3);
      client.sendPublish('a', 'fine', { properties: { topicAlias: 3 } });
      client.sendPublish('', 'fine', { properties: { topicAlias: 3 } });
      client.sendPublish(topicName, 'not fine', { properties: { topicAlias } });
      await client.expectDisconnect(reasonCode);
      for (let i = 0; i < 2; i++) await watcher.expectPublish({ topicName: 'a', payload: 'fine' });
      await watcher.expectNothing();
      await scene.expectEnded({ [reason]: 1 });
    },
  );

  test('do not outlive their connection, nor reach another', async ({ start }) => {
    const scene = await start();
    const connect = { clientId: 'alias', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const first = await scene.broker.connect(connect);
    await first.publish('a', 'x', { properties: { topicAlias: 1 } });
    for (const client of [await scene.broker.connect(), await scene.broker.connect(connect)]) {
      client.sendPublish('', 'x', { properties: { topicAlias: 1 } });
      await client.expectDisconnect(ReasonCode.protocolError);
    }
    await scene.expectEnded({ 'taken-over': 1, 'protocol-error': 2 });
  });
});
