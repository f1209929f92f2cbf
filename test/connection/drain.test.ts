import { describe, expect, test } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { ConnectionTable } from '../../src/connection/connection-table.ts';
import { sayGoodbye } from '../../src/connection/drain.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { startTestBroker } from '../support/test-broker.ts';

/** Connections that note what they were told; `told` is in the order of it. */
function connected(count: number): {
  table: ConnectionTable;
  all: Connection[];
  told: [index: number, reasonCode: number][];
} {
  const table = new ConnectionTable();
  const told: [index: number, reasonCode: number][] = [];
  const all = Array.from({ length: count }, (_, index) => {
    const connection = { address: 'a', close: (code: number) => told.push([index, code]) };
    table.add(connection as unknown as Connection);
    return connection as unknown as Connection;
  });
  return { table, all, told };
}

const toldAt = (told: readonly [number, number][]): number[] => told.map(([index]) => index);

describe('the clients of a node that stops', () => {
  test('are told all at once where no time is given', async () => {
    const { table, told } = connected(3);
    const clock = new FakeClock();
    await sayGoodbye(table, clock, { drainMs: 0, serverReference: '' });
    expect(told).toEqual([2, 1, 0].map((index) => [index, ReasonCode.serverShuttingDown]));
    expect(clock.pendingTimers).toBe(0);
  });

  test('are told one by one over the time given, those that came last first', async () => {
    const { table, told } = connected(4);
    const clock = new FakeClock();
    const done = sayGoodbye(table, clock, { drainMs: 2_000, serverReference: '' });
    expect(toldAt(told)).toEqual([3]);
    await clock.pass(499);
    expect(toldAt(told)).toEqual([3]);
    await clock.pass(1);
    expect(toldAt(told)).toEqual([3, 2]);
    await clock.pass(999);
    expect(toldAt(told)).toEqual([3, 2, 1]);
    await clock.pass(1);
    expect(toldAt(told)).toEqual([3, 2, 1, 0]);
    await done;
    expect(clock.pendingTimers).toBe(0);
  });

  test('are told in steps where there are many, all of them within the time', async () => {
    const { table, told } = connected(10_000);
    const clock = new FakeClock();
    const done = sayGoodbye(table, clock, { drainMs: 1_000, serverReference: '' });
    await clock.pass(500);
    expect(told.length).toBe(5_001);
    await clock.pass(500);
    await done;
    expect(told.length).toBe(10_000);
  });

  test('keep nobody waiting once all of them are gone', async () => {
    const { table, all, told } = connected(2);
    const clock = new FakeClock();
    const done = sayGoodbye(table, clock, { drainMs: 3_600_000, serverReference: '' });
    for (const connection of all) table.remove(connection);
    await clock.pass(1_000);
    await done;
    expect(toldAt(told)).toEqual([1]);
  });
});

describe('a broker with its state in Redis', () => {
  const cluster = { drainMs: 60_000, serverReference: 'mqtt.example:1883' };

  test('serves those of its clients that were not told to go yet, and closes when they are', async () => {
    const clock = new FakeClock();
    const options = { clock, store: new MemoryStore(), config: { store: { type: 'redis' as const }, cluster } };
    await using scene = await startTestBroker(options);
    const stays = await scene.connect();
    const goes = await scene.connect();
    const closed = scene.broker.close();
    const { disconnect } = await goes.expectClose();
    expect(disconnect).toMatchObject({
      reasonCode: ReasonCode.useAnotherServer,
      properties: { serverReference: 'mqtt.example:1883' },
    });
    await stays.subscribe('a', 1);
    await stays.publish('a', 'x', { qos: 1 });
    await stays.expectMessage({ topicName: 'a', payload: 'x' });
    for (let second = 0; second < 30; second++) await clock.pass(1_000);
    await stays.expectDisconnect(ReasonCode.useAnotherServer);
    await closed;
    expect(scene.broker.counters().connections.ended['shutting-down']).toBe(2);
  });

  test('just closes the connections of 3.x clients', async () => {
    const config = { store: { type: 'redis' as const }, cluster: { serverReference: 'mqtt.example:1883' } };
    await using scene = await startTestBroker({ store: new MemoryStore(), config });
    const client = await scene.connect({ version: 4 });
    await scene.broker.close();
    expect((await client.expectClose()).disconnect).toBeUndefined();
  });

  test('is the only one that has others to send clients to', async () => {
    await using scene = await startTestBroker({ store: new MemoryStore(), config: { cluster } });
    const client = await scene.connect();
    await scene.broker.close();
    await client.expectDisconnect(ReasonCode.serverShuttingDown);
  });
});
