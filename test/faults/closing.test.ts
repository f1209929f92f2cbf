import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import type { Store } from '../../src/store/store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HeldStore } from '../session/held-store.ts';
import { openTcp } from '../support/client-socket.ts';
import { FaultyStore } from './faulty-store.ts';
import { startScene, test, until } from './scene.ts';

describe('close', () => {
  test('sends the acknowledgements that are due, tells the clients, and lets nobody in any more', async () => {
    const store = new HeldStore();
    const scene = await startScene({ store });
    const kept = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const away = await scene.broker.connect(kept);
    await away.subscribe('a', 2);
    await away.disconnect();
    await scene.expectUnharmed();
    const clients = [
      await scene.broker.connect({ will: { topicName: 'a', payload: 'gone', qos: 1 } }),
      await scene.broker.connect({ transport: 'websocket' }),
      await scene.broker.connect({ version: 4 }),
    ];
    const half = await scene.broker.open();
    await scene.untilOpen(4);
    store.isHeld = true;
    const acks = clients.map((client) => client.sendPublish('a', 'x', { qos: 1 }));
    await until(() => scene.broker.broker.counters().messages.queued === 3 && store.waiting === 1, 'the commit');
    const { port } = scene.broker;
    const closed = scene.broker.broker.close();
    expect(scene.broker.broker.close()).toBe(closed);
    const ignored = { onBytes: () => undefined, onClose: () => undefined };
    await expect(openTcp('127.0.0.1', port, ignored)).rejects.toThrow('ECONNREFUSED');
    store.isHeld = false;
    store.release();
    for (const [index, client] of clients.entries()) {
      await client.expect(PacketType.puback, { packetId: acks[index] ?? 0 });
      const { disconnect } = await client.expectClose();
      expect(disconnect?.reasonCode).toBe(client.version === 5 ? ReasonCode.serverShuttingDown : undefined);
    }
    await half.expectClose();
    await closed;
    expect(scene.ended()).toEqual({ 'client-disconnect': 1, 'shutting-down': 6 });
    await scene.broker.close();

    // The will of a client that was cut off is among what was kept.
    const next = await startScene({ store: new HeldStore(store.disk) });
    const back = await next.broker.connect(kept);
    expect(back.connack.sessionPresent).toBe(true);
    for (const payload of ['x', 'x', 'x', 'gone']) await back.expectMessage({ topicName: 'a', payload, qos: 1 });
    await back.expectNothing();
    await next.finish();
    await next.broker.close();
  });

  test('takes nothing that fails because the store closes for a fault', async () => {
    const store: Store = new FaultyStore();
    const scene = await startScene({ store });
    const faults: Error[] = [];
    scene.broker.broker.on('fatal', (error) => faults.push(error));
    const close = store.close.bind(store);
    store.close = () => {
      store.onBroken?.(new Error('Connection is closed.'));
      return close();
    };
    await scene.broker.broker.close();
    expect(faults).toEqual([]);
  });

  test('waits for a client that does not go only so long', async () => {
    const clock = new FakeClock();
    const scene = await startScene({ clock, config: { admin: { drainTimeoutMs: 500 }, limits: { lingerMs: 60_000 } } });
    const { client, socket } = await scene.openSocket();
    await client.connect();
    // It reads nothing, so it never learns that it is to go.
    socket.pause();
    const closed = scene.broker.broker.close();
    await until(() => scene.ended()['shutting-down'] === 3, 'the word to all');
    await scene.untilOpen(-1);
    clock.advance(500);
    await closed;
    socket.destroy();
    await scene.broker.close();
  });

  test('is not held up by a hook that never answers', async () => {
    const scene = await startScene({
      hooks: {
        onPublish: (_client, { topicName }) => (topicName === 'never' ? new Promise(() => undefined) : undefined),
        authenticate: ({ clientId }) => (clientId === 'never' ? new Promise(() => undefined) : { allow: true }),
      },
    });
    const stuck = await scene.broker.connect();
    stuck.sendPublish('never', 'x', { qos: 1 });
    const waiting = await scene.broker.open({ name: 'never' });
    waiting.sendConnect();
    await scene.expectUnharmed();
    await scene.broker.broker.close();
    await stuck.expectDisconnect(ReasonCode.serverShuttingDown);
    await waiting.expectConnack(ReasonCode.serverUnavailable);
    await waiting.expectClose();
    expect(scene.ended()).toEqual({ 'shutting-down': 4 });
    await scene.broker.close();
  });
});

describe('disconnect', () => {
  test('ends one client and says whether there was one, and its will is published', async ({ start }) => {
    const scene = await start();
    const { broker } = scene.broker;
    const watcher = await scene.broker.connect();
    await watcher.subscribe('will');
    for (const [version, reasonCode] of [
      [5, ReasonCode.administrativeAction],
      [5, ReasonCode.quotaExceeded],
      [4, ReasonCode.administrativeAction],
    ] as const) {
      const client = await scene.broker.connect({ version, clientId: 'one', will: { topicName: 'will' } });
      expect(broker.disconnect('one', reasonCode, 'because')).toBe(true);
      expect(broker.disconnect('one')).toBe(false);
      const { disconnect } = await client.expectClose();
      const expected = { reasonCode, properties: { reasonString: 'because' } };
      expect(disconnect).toEqual(version === 5 ? expect.objectContaining(expected) : undefined);
      await watcher.expectPublish({ topicName: 'will' });
    }
    expect(broker.disconnect('nobody')).toBe(false);
    await scene.expectEnded({ administrative: 2, 'quota-exceeded': 1 });
  });
});
