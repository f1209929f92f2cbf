import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { type Nodes, startNodes } from '../support/nodes.ts';
import { until } from '../support/polling.ts';
import { redisMissing } from '../support/redis-server.ts';
import { HOUR, type NodeClient, NodeClients } from './node-clients.ts';

const SESSION_TAKEN_OVER = 0x8e;

describe.skipIf(redisMissing !== '')('a session that moves to another node', () => {
  let nodes: Nodes;
  let clients: NodeClients;

  beforeAll(async () => {
    nodes = await startNodes();
    clients = new NodeClients(nodes);
  });

  afterEach(() => clients.close());

  afterAll(() => nodes?.stop());

  test('brings its subscriptions, and messages of any node find it', async () => {
    const first = await clients.resume(0, 'moves');
    await first.subscribe([{ topicFilter: 'moves/+/x', qos: 2 }], 2, { subscriptionIdentifiers: [9] });
    await first.disconnect();
    for (let round = 1; round < 7; round++) {
      const moved = await clients.resume(round, 'moves');
      expect(moved.connack.sessionPresent).toBe(true);
      for (const index of [0, 1, 2]) {
        const publisher = await clients.connect(index, `moves-${round}-${index}`);
        await publisher.publish(`moves/${index}/x`, `${round}`, { qos: 2 });
        const { properties } = await moved.expectMessage({
          topicName: `moves/${index}/x`,
          payload: `${round}`,
          qos: 2,
        });
        expect(properties.subscriptionIdentifiers).toEqual([9]);
      }
      // Every other time it is taken from a client that is still there, and whose answers have arrived.
      await moved.ping();
      if (round % 2 === 0) await moved.disconnect();
    }
  });

  test('brings what waits for it, in order, also while messages go on coming', async () => {
    const name = 'queue-moves';
    const first = await clients.resume(0, name);
    await first.subscribe(name, 1);
    await first.disconnect();
    const publisher = await clients.connect(1, `${name}-publisher`);
    let sent = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) await publisher.publish(name, `${sent++}`, { qos: 1 });
    })();
    let expected = 0;
    for (let round = 1; round < 10; round++) {
      const moved = await clients.resume(round, name);
      expect(moved.connack.sessionPresent).toBe(true);
      for (let count = 0; count < 20; count++) {
        const packet = await moved.expectPublish();
        // What was in flight when it moved comes again.
        const number = Number(Buffer.from(packet.payload).toString());
        expect(number).toBeLessThanOrEqual(expected);
        if (number < expected) expect(packet.dup).toBe(true);
        expected = Math.max(expected, number + 1);
        moved.sendAck(PacketType.puback, packet.packetId);
      }
    }
    isOver = true;
    await publishing;
    const last = await clients.resume(0, name);
    while (expected < sent) {
      const number = Number(Buffer.from((await last.expectMessage()).payload).toString());
      expect(number).toBeLessThanOrEqual(expected);
      expected = Math.max(expected, number + 1);
    }
    await last.expectNothing();
  });

  describe('with a QoS 2 message in flight to it', () => {
    test('gets PUBLISH again with DUP when it had not answered', async () => {
      const first = await clients.resume(0, 'out-published');
      await first.subscribe('out-published', 2);
      const publisher = await clients.connect(1, 'out-published-publisher');
      await publisher.publish('out-published', 'x', { qos: 2 });
      const { packetId } = await first.expectPublish({ payload: 'x', dup: false });
      first.destroy();
      const moved = await clients.resume(2, 'out-published');
      await moved.expectMessage({ payload: 'x', dup: true, packetId });
      await moved.expectNothing();
    });

    test('gets PUBREL again when it had answered with PUBREC, and the message no more', async () => {
      const first = await clients.resume(0, 'out-released');
      await first.subscribe('out-released', 2);
      const publisher = await clients.connect(1, 'out-released-publisher');
      await publisher.publish('out-released', 'x', { qos: 2 });
      const { packetId } = await first.expectPublish({ payload: 'x' });
      first.sendAck(PacketType.pubrec, packetId);
      await first.expect(PacketType.pubrel, { packetId });
      for (const index of [2, 1, 0]) {
        const moved = await clients.resume(index, 'out-released');
        await moved.expect(PacketType.pubrel, { packetId });
        if (index > 0) continue;
        moved.sendAck(PacketType.pubcomp, packetId);
        await moved.expectNothing();
      }
      const last = await clients.resume(1, 'out-released');
      await last.expectNothing();
      await publisher.publish('out-released', 'y', { qos: 2 });
      await last.expectMessage({ payload: 'y', dup: false });
    });

    test('gets as many as Receive Maximum says, those in flight before it moved included', async () => {
      const properties = { receiveMaximum: 3 };
      const first = await clients.resume(0, 'out-window', { properties });
      await first.subscribe('out-window', 2);
      const publisher = await clients.connect(1, 'out-window-publisher');
      for (let count = 0; count < 5; count++) await publisher.publish('out-window', `${count}`, { qos: 2 });
      const ids: number[] = [];
      for (let count = 0; count < 3; count++) ids.push((await first.expectPublish({ payload: `${count}` })).packetId);
      await first.expectNothing();
      const moved = await clients.resume(2, 'out-window', { properties });
      for (const [count, packetId] of ids.entries())
        await moved.expectPublish({ payload: `${count}`, dup: true, packetId });
      await moved.expectNothing();
      for (const packetId of ids) moved.sendAck(PacketType.pubrec, packetId);
      for (const packetId of ids) await moved.expect(PacketType.pubrel, { packetId });
      for (const packetId of ids) moved.sendAck(PacketType.pubcomp, packetId);
      for (const payload of ['3', '4']) await moved.expectMessage({ payload });
      await moved.expectNothing();
    });
  });

  test('has its QoS 2 publishes delivered once, wherever it sends them again', async () => {
    const taker = await clients.connect(2, 'in-taker');
    await taker.subscribe('in', 2);
    let client: NodeClient = await clients.resume(0, 'in');
    const packetId = client.sendPublish('in', 'x', { qos: 2 });
    await client.expect(PacketType.pubrec, { packetId, reasonCode: 0 });
    for (const index of [1, 2, 0]) {
      client.destroy();
      client = await clients.resume(index, 'in');
      expect(client.connack.sessionPresent).toBe(true);
      client.sendPublish('in', 'x', { qos: 2, packetId, dup: true });
      await client.expect(PacketType.pubrec, { packetId, reasonCode: 0 });
    }
    client = await clients.resume(1, 'in');
    client.sendAck(PacketType.pubrel, packetId);
    await client.expect(PacketType.pubcomp, { packetId, reasonCode: 0 });
    // The packet id is free again, also elsewhere.
    client = await clients.resume(2, 'in');
    client.sendPublish('in', 'mark', { qos: 2, packetId });
    await client.expect(PacketType.pubrec, { packetId, reasonCode: 0 });
    await taker.expectMessage({ payload: 'x' });
    await taker.expectMessage({ payload: 'mark' });
  });

  describe('is taken from a client that is connected, which', () => {
    for (const cleanStart of [true, false]) {
      test(`gets DISCONNECT 0x8E (Clean Start ${cleanStart ? 1 : 0})`, async () => {
        const name = `taken-${cleanStart}`;
        const old = await clients.connect(0, name, { expiry: HOUR });
        await old.subscribe(name, 1);
        const present = await clients.connect(1, name, { cleanStart, expiry: HOUR });
        expect(present.connack.sessionPresent).toBe(!cleanStart);
        await old.expectDisconnect(SESSION_TAKEN_OVER);
        const publisher = await clients.connect(2, `${name}-publisher`);
        await publisher.publish(name, 'x', { qos: 1 });
        await present.subscribe(`${name}-mark`, 1);
        await publisher.publish(`${name}-mark`, 'mark', { qos: 1 });
        if (!cleanStart) await present.expectMessage({ payload: 'x' });
        await present.expectMessage({ payload: 'mark' });
      });
    }

    test('is closed where it speaks MQTT 3.1.1, and where its session ends with the connection', async () => {
      const old = await clients.connect(0, 'taken-v4', { version: 4 });
      await clients.connect(1, 'taken-v4', { version: 4 });
      await old.expectClose();
      const clean = await clients.connect(2, 'taken-clean');
      const next = await clients.connect(1, 'taken-clean', { cleanStart: false });
      expect(next.connack.sessionPresent).toBe(false);
      await clean.expectDisconnect(SESSION_TAKEN_OVER);
    });
  });

  describe('ends when its time is over', () => {
    const keyOf = (name: string): string => `{trellis}:s:${name}`;
    const exists = async (name: string): Promise<boolean> => (await nodes.redis.client().exists(keyOf(name))) === 1;

    test('counted from its last disconnection, at the node it was at then', async () => {
      const first = await clients.resume(0, 'expires');
      await first.subscribe('expires', 1);
      const moved = await clients.resume(1, 'expires', { expiry: 2 });
      expect(moved.connack.sessionPresent).toBe(true);
      await first.expectDisconnect(SESSION_TAKEN_OVER);
      await clients.pass(3);
      // Not while it is connected.
      expect(await exists('expires')).toBe(true);
      await moved.disconnect();
      await until('its end', async () => ((await exists('expires')) ? undefined : true));
      const again = await clients.resume(2, 'expires');
      expect(again.connack.sessionPresent).toBe(false);
    });

    test('not by what a node had been told that it left', async () => {
      const first = await clients.resume(0, 'stays', { expiry: 1 });
      await first.disconnect();
      const moved = await clients.resume(1, 'stays');
      if (!moved.connack.sessionPresent) throw new Error('it took longer than the second that the session had');
      await moved.disconnect();
      await clients.pass(2);
      expect(await exists('stays')).toBe(true);
    });

    test('with DISCONNECT that gives it none any more, at any node', async () => {
      const first = await clients.resume(0, 'dropped');
      await first.subscribe('dropped', 1);
      const moved = await clients.resume(1, 'dropped');
      await moved.disconnect(0, { sessionExpiryInterval: 0 });
      const again = await clients.resume(2, 'dropped');
      expect(again.connack.sessionPresent).toBe(false);
    });
  });

  describe('and a will:', () => {
    const willOf = (
      name: string,
      delay?: number,
    ): { topicName: string; payload: string; qos: 1; properties: object } => ({
      topicName: `will/${name}`,
      payload: name,
      qos: 1,
      properties: delay === undefined ? {} : { willDelayInterval: delay },
    });

    /** Someone at a node who gets the wills of these clients. */
    async function watcherOf(...names: string[]): Promise<NodeClient> {
      const watcher = await clients.connect(2, `watcher-${names[0]}`);
      await watcher.subscribe(
        names.map((name) => `will/${name}`),
        2,
      );
      return watcher;
    }

    test('it is published at once to takers at all nodes when the connection breaks', async () => {
      const watcher = await watcherOf('broken');
      const stored = await clients.resume(1, 'watcher-stored');
      await stored.subscribe('will/broken', 1);
      await stored.disconnect();
      const client = await clients.connect(0, 'broken', { will: { ...willOf('broken'), retain: true } });
      client.destroy();
      await watcher.expectMessage({ payload: 'broken', retain: false });
      const again = await clients.resume(0, 'watcher-stored');
      await again.expectMessage({ payload: 'broken' });
      const late = await clients.connect(1, 'watcher-late');
      await late.subscribe('will/broken', 1);
      await late.expectMessage({ payload: 'broken', retain: true });
    });

    test('it is not published after DISCONNECT', async () => {
      const watcher = await watcherOf('polite', 'rude');
      const polite = await clients.connect(0, 'polite', { will: willOf('polite') });
      await polite.disconnect();
      const rude = await clients.connect(0, 'rude', { will: willOf('rude') });
      rude.destroy();
      await watcher.expectMessage({ payload: 'rude' });
    });

    test('it is published when a client without one takes over elsewhere, once', async () => {
      const watcher = await watcherOf('overtaken', 'overtaken-mark');
      const old = await clients.resume(0, 'overtaken', { will: willOf('overtaken') });
      const next = await clients.resume(1, 'overtaken');
      await old.expectDisconnect(SESSION_TAKEN_OVER);
      await watcher.expectMessage({ payload: 'overtaken' });
      next.destroy();
      const mark = await clients.connect(0, 'overtaken-mark', { will: willOf('overtaken-mark') });
      mark.destroy();
      await watcher.expectMessage({ payload: 'overtaken-mark' });
    });

    test('its delay goes on where the client does not come back, and ends with the session', async () => {
      const watcher = await watcherOf('delayed', 'session-ends');
      const delayed = await clients.resume(0, 'delayed', { will: willOf('delayed', 1) });
      delayed.destroy();
      await watcher.expectMessage({ payload: 'delayed' });
      const ends = await clients.resume(1, 'session-ends', { expiry: 1, will: willOf('session-ends', 1000) });
      ends.destroy();
      await watcher.expectMessage({ payload: 'session-ends' });
    });

    test('one that is delayed is cancelled when the client comes back elsewhere in time, taking over or not', async () => {
      const watcher = await watcherOf('returns', 'taken', 'later');
      const returns = await clients.resume(0, 'returns', { will: willOf('returns', 3) });
      const taken = await clients.resume(0, 'taken', { will: willOf('taken', 3) });
      const later = await clients.resume(0, 'later', { will: willOf('later', 4) });
      returns.destroy();
      const [back, over] = [await clients.resume(1, 'returns'), await clients.resume(2, 'taken')];
      expect([back.connack.sessionPresent, over.connack.sessionPresent]).toEqual([true, true]);
      await taken.expectDisconnect(SESSION_TAKEN_OVER);
      later.destroy();
      // The others would have been due before.
      await watcher.expectMessage({ payload: 'later' });
    });

    test('the delay of the will a client comes with again is that of where it is', async () => {
      const watcher = await watcherOf('renewed', 'renewed-old');
      const old = await clients.resume(0, 'renewed', { will: willOf('renewed-old', 1000) });
      const next = await clients.resume(1, 'renewed', { will: willOf('renewed', 1) });
      await old.expectDisconnect(SESSION_TAKEN_OVER);
      next.destroy();
      await watcher.expectMessage({ payload: 'renewed' });
    });
  });
});
