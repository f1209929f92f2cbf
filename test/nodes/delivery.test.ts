import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Properties, Qos } from '../../src/protocol/packets.ts';
import { type Nodes, NODES, startNodes } from '../support/nodes.ts';
import { until } from '../support/polling.ts';
import { redisMissing } from '../support/redis-server.ts';
import { HOUR, NodeClients } from './node-clients.ts';

const MESSAGES = 60;
const QOS = [0, 1, 2] as const;

describe.skipIf(redisMissing !== '')('between nodes', () => {
  let nodes: Nodes;
  let clients: NodeClients;
  const libraryClients: MqttClient[] = [];

  beforeAll(async () => {
    nodes = await startNodes();
    clients = new NodeClients(nodes);
  });

  afterEach(async () => {
    for (const client of libraryClients.splice(0)) await client.endAsync(true);
    clients.close();
  });

  afterAll(() => nodes?.stop());

  /** A client of MQTT.js at a node, connected. */
  async function library(index: number, clientId: string, clean: boolean, protocolVersion: 4 | 5): Promise<MqttClient> {
    const url = `mqtt://127.0.0.1:${nodes.portOf(index % NODES)}`;
    const client = await mqtt.connectAsync(url, { clientId, clean, protocolVersion, reconnectPeriod: 0 });
    libraryClients.push(client);
    return client;
  }

  for (const protocolVersion of [4, 5] as const) {
    for (const qos of QOS) {
      test(`QoS ${qos} messages of MQTT.js arrive once and in order (version ${protocolVersion})`, async () => {
        const name = `plain-${protocolVersion}-${qos}`;
        const taker = await library(1, `${name}-taker`, true, protocolVersion);
        const taken: string[] = [];
        taker.on('message', (_, payload) => taken.push(payload.toString()));
        await taker.subscribeAsync(`${name}/+`, { qos });
        const publisher = await library(0, `${name}-publisher`, true, protocolVersion);
        // What is acknowledged has been matched with all subscriptions; QoS 0 alone promises nothing at once.
        await publisher.publishAsync(`${name}/first`, 'first', { qos: 1 });
        const sent = Array.from({ length: MESSAGES }, (_, index) => `${index}`);
        await Promise.all(sent.map((payload) => publisher.publishAsync(`${name}/next`, payload, { qos })));
        await until('all messages', () => (taken.length > MESSAGES ? true : undefined));
        await publisher.publishAsync(`${name}/next`, 'last', { qos });
        await until('the last message', () => (taken.at(-1) === 'last' ? true : undefined));
        expect(taken).toEqual(['first', ...sent, 'last']);
      });
    }

    test(`a session that waits gets QoS 1 and 2 messages of several nodes (version ${protocolVersion})`, async () => {
      const name = `waits-${protocolVersion}`;
      const options = protocolVersion === 5 ? { expiry: HOUR } : {};
      const first = await clients.connect(1, name, { version: protocolVersion, cleanStart: false, ...options });
      await first.subscribe(`${name}/#`, 2);
      await first.disconnect();
      for (const qos of [1, 2] as const) {
        const publishers = await Promise.all(
          [0, 1, 2].map((index) => clients.connect(index, `${name}-${qos}-${index}`, { version: protocolVersion })),
        );
        for (let count = 0; count < 10; count++) {
          for (const [index, client] of publishers.entries()) {
            await client.publish(`${name}/${index}/${qos}`, `${count}`, { qos });
          }
        }
      }
      const again = await clients.connect(2, name, { version: protocolVersion, cleanStart: false, ...options });
      expect(again.connack.sessionPresent).toBe(true);
      const taken = new Map<string, string[]>();
      for (let count = 0; count < 60; count++) {
        const { topicName, payload } = await again.expectMessage();
        taken.set(topicName, [...(taken.get(topicName) ?? []), Buffer.from(payload).toString()]);
      }
      const counted = Array.from({ length: 10 }, (_, count) => `${count}`);
      expect([...taken.values()]).toEqual(Array.from({ length: 6 }, () => counted));
      await again.expectNothing();
    });
  }

  test('a subscription gets the lower QoS, whatever node a message comes from', async () => {
    const taker = await clients.connect(1, 'lower');
    await taker.subscribe([{ topicFilter: 'lower/0' }, { topicFilter: 'lower/1', qos: 1 }]);
    const publisher = await clients.connect(0, 'lower-publisher');
    for (const level of [0, 1] as const) {
      await publisher.publish(`lower/${level}`, 'two', { qos: 2 });
      await taker.expectMessage({ topicName: `lower/${level}`, qos: level, retain: false, dup: false });
    }
  });

  test('what is published after an UNSUBACK at another node is not delivered', async () => {
    const taker = await clients.connect(1, 'leaver');
    await taker.subscribe(['leaver/a', 'leaver/b'], 1);
    const publisher = await clients.connect(0, 'leaver-publisher');
    await publisher.publish('leaver/a', 'before', { qos: 1 });
    await taker.expectMessage({ payload: 'before' });
    await taker.unsubscribe('leaver/a');
    await publisher.publish('leaver/a', 'after', { qos: 1 });
    await publisher.publish('leaver/b', 'mark', { qos: 1 });
    await taker.expectMessage({ payload: 'mark' });
  });

  test('No Local holds for its own client alone', async () => {
    const self = await clients.resume(0, 'nolocal');
    await self.subscribe([{ topicFilter: 'nolocal', qos: 1, noLocal: true }]);
    await self.publish('nolocal', 'own', { qos: 1 });
    const other = await clients.connect(1, 'nolocal-other');
    await other.publish('nolocal', 'of another', { qos: 1 });
    await self.expectMessage({ payload: 'of another' });
    // Its PUBACK is there before another connection takes over.
    await self.ping();
    const moved = await clients.resume(2, 'nolocal');
    await moved.publish('nolocal', 'own again', { qos: 1 });
    await other.publish('nolocal', 'mark', { qos: 1 });
    await moved.expectMessage({ payload: 'mark' });
  });

  test('a message bears the identifiers of all subscriptions it matches, and its properties', async () => {
    const taker = await clients.connect(1, 'identified');
    await taker.subscribe('identified/+', 1, { subscriptionIdentifiers: [7] });
    await taker.subscribe('identified/#', 2, { subscriptionIdentifiers: [300_000] });
    const publisher = await clients.connect(0, 'identified-publisher');
    const properties: Properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'answers',
      correlationData: Buffer.from('42'),
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
    };
    for (const qos of [1, 2] as const) {
      await publisher.publish('identified/x', `${qos}`, { qos, properties });
      const received: (readonly number[])[] = [];
      // One copy with both, or one for each.
      while (received.flat().length < 2) {
        const packet = await taker.expectMessage({ payload: `${qos}` });
        expect(packet.properties).toMatchObject({ contentType: 'text/plain', responseTopic: 'answers' });
        expect(packet.properties.userProperties).toEqual(properties.userProperties);
        received.push(packet.properties.subscriptionIdentifiers ?? []);
      }
      expect(received.flat().sort((a, b) => a - b)).toEqual([7, 300_000]);
    }
    await taker.expectNothing();
  });

  test('the time a message waited, wherever, is taken off its expiry, and one that is over is not delivered', async () => {
    const first = await clients.resume(1, 'expiring');
    await first.subscribe('expiring', 1);
    await first.disconnect();
    const publisher = await clients.connect(0, 'expiring-publisher');
    await publisher.publish('expiring', 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
    await publisher.publish('expiring', 'long', { qos: 1, properties: { messageExpiryInterval: 1000 } });
    await clients.pass(2);
    const again = await clients.resume(2, 'expiring');
    const packet = await again.expectMessage({ payload: 'long' });
    expect(packet.properties.messageExpiryInterval).toBeLessThan(1000);
    expect(packet.properties.messageExpiryInterval).toBeGreaterThan(800);
  });

  test('retained messages are the same at all nodes, as soon as they are acknowledged', async () => {
    const watcher = await clients.connect(2, 'retained-watcher');
    await watcher.subscribe([
      { topicFilter: 'retained/#', qos: 1 },
      { topicFilter: 'retained/kept', qos: 1, retainAsPublished: true },
    ]);
    for (const qos of [1, 2] as Qos[]) {
      for (let round = 0; round < 5; round++) {
        const publisher = await clients.connect(round, `retained-${qos}-${round}`);
        const payload = `${qos} ${round}`;
        await publisher.publish('retained/plain', payload, { qos, retain: true });
        await watcher.expectMessage({ topicName: 'retained/plain', payload, retain: false });
        const reader = await clients.connect(round + 1, `retained-reader-${qos}-${round}`);
        await reader.subscribe('retained/plain', 2);
        await reader.expectMessage({ payload, retain: true, qos });
        await publisher.publish('retained/plain', '', { qos, retain: true });
        await watcher.expectMessage({ topicName: 'retained/plain', payload: '' });
        await reader.expectMessage({ payload: '', retain: false });
        const late = await clients.connect(round + 2, `retained-late-${qos}-${round}`);
        await late.subscribe('retained/plain', 2);
        await late.expectNothing();
      }
    }
    const publisher = await clients.connect(0, 'retained-kept');
    await publisher.publish('retained/kept', 'x', { qos: 1, retain: true });
    const copies = [await watcher.expectMessage({ payload: 'x' })];
    if (!(copies[0]?.retain ?? false)) copies.push(await watcher.expectMessage({ payload: 'x' }));
    expect(copies.map(({ retain }) => retain)).toContain(true);
  });

  describe('a shared subscription with members at all of them', () => {
    test('gets each message once, and members fair shares', async () => {
      const members = await Promise.all([0, 1, 2].map((index) => clients.connect(index, `fair-${index}`)));
      const counts = new Map<string, number[]>();
      for (const member of members) {
        await member.subscribe('$share/fair/fair/#', 2);
        counts.set(member.name, []);
        // Taken as it comes: a member that does not acknowledge is spared.
        void (async () => {
          for (;;) {
            const { payload } = await member.expectMessage();
            counts.get(member.name)?.push(Number(Buffer.from(payload).toString()));
          }
        })().catch(() => undefined);
      }
      const all = 300;
      const publishers = await Promise.all([0, 1, 2].map((index) => clients.connect(index, `fair-publisher-${index}`)));
      for (let count = 0; count < all; count++) {
        await publishers[count % 3]?.publish('fair/x', `${count}`, { qos: count % 2 === 0 ? 1 : 2 });
      }
      const taken = (): number[] => [...counts.values()].flat();
      await until('all messages', () => (taken().length >= all ? true : undefined));
      expect(taken().sort((a, b) => a - b)).toEqual(Array.from({ length: all }, (_, count) => count));
      for (const [name, numbers] of counts) expect(numbers.length, name).toBeGreaterThan(all / 3 / 3);
    });

    for (const how of ['with DISCONNECT', 'by a broken connection', 'with UNSUBSCRIBE'] as const) {
      test(`loses nothing when the only member of a node leaves ${how}`, async () => {
        const group = `leave-${how.replaceAll(' ', '-')}`;
        const leaver = await clients.connect(1, `${group}-leaver`);
        await leaver.subscribe(`$share/${group}/${group}`, 1);
        const publisher = await clients.connect(0, `${group}-publisher`);
        for (let count = 0; count < 20; count++) await publisher.publish(group, `${count}`, { qos: 1 });
        // In flight to the leaver, and never acknowledged.
        for (let count = 0; count < 20; count++) await leaver.expectPublish({ payload: `${count}` });
        const stayer = await clients.connect(2, `${group}-stayer`);
        await stayer.subscribe(`$share/${group}/${group}`, 1);
        if (how === 'with DISCONNECT') await leaver.disconnect();
        else if (how === 'by a broken connection') leaver.destroy();
        else await leaver.unsubscribe(`$share/${group}/${group}`);
        if (how === 'with UNSUBSCRIBE') await leaver.disconnect();
        const taken = new Set<string>();
        while (taken.size < 20) taken.add(Buffer.from((await stayer.expectMessage()).payload).toString());
        await publisher.publish(group, 'mark', { qos: 1 });
        await stayer.expectMessage({ payload: 'mark' });
      });
    }

    test('keeps what is published while no member is connected for the first that comes, at whatever node', async () => {
      const member = await clients.resume(1, 'absent-member');
      await member.subscribe('$share/absent/absent', 2);
      await member.disconnect();
      const publisher = await clients.connect(0, 'absent-publisher');
      for (let count = 0; count < 20; count++) await publisher.publish('absent', `${count}`, { qos: 2 });
      const again = await clients.resume(2, 'absent-member');
      for (let count = 0; count < 20; count++) await again.expectMessage({ payload: `${count}`, qos: 2 });
      await again.expectNothing();
    });
  });
});
