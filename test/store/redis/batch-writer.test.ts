import { afterEach, describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { type Mutation, type QueueRecord, StoreFullError } from '../../../src/store/store.ts';
import { entry, NO_LIMIT, put, session, setState, text } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const OPEN: { end(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of OPEN.splice(0).toReversed()) await each.end();
});

async function openStore(): Promise<{ server: RedisServer; store: RedisStore }> {
  const server = await RedisServer.start();
  OPEN.push({ end: () => server.stop() });
  const times = { leaseMs: 60_000, timeoutMs: 60_000 };
  const options = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, ...times, logger: SILENT };
  const store = new RedisStore({ address: parseRedisUrl(server.url), ...options });
  OPEN.push({ end: () => store.close() });
  await store.open();
  return { server, store };
}

const del = (queueId: number, sequence: number): Mutation => ({ kind: 'queue-delete', queueId, sequence });

/** Sequences of a queue, with the packet id where there is one. */
async function entriesOf(store: RedisStore, queueId: number): Promise<string[]> {
  const records = await store.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT);
  return records.map(({ sequence, packetId }: QueueRecord) =>
    packetId === 0 ? `${sequence}` : `${sequence}:${packetId}`,
  );
}

const sequences = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

describe.skipIf(redisMissing !== '')('a batch on Redis', () => {
  test.each<[does: string, batch: Mutation[], left: string[]]>([
    ['put, then deleted while others further on are', [put(entry(1, 5)), del(1, 5), del(1, 9)], ['1', '2', '3']],
    [
      'put, then sent while others further on are',
      [put(entry(1, 5)), put(entry(1, 6)), setState(1, 5, 7, 'sent'), setState(1, 9, 8, 'sent')],
      ['1', '2', '3', '5:7', '6'],
    ],
    ['sent twice', [setState(1, 2, 7, 'sent'), setState(1, 2, 8, 'sent')], ['1', '2:8', '3']],
    ['sent, then deleted', [setState(1, 2, 7, 'sent'), setState(1, 3, 8, 'sent'), del(1, 2), del(1, 3)], ['1']],
    ['deleted, then sent', [del(1, 2), setState(1, 2, 7, 'sent')], ['1', '3']],
    ['deleted, then put again', [del(1, 2), put(entry(1, 2))], ['1', '2', '3']],
    ['sent, then put again', [setState(1, 2, 7, 'sent'), put(entry(1, 2))], ['1', '2', '3']],
    ['deleted before it is put for the first time', [del(1, 4), put(entry(1, 4))], ['1', '2', '3', '4']],
    [
      'sent although one between is not there',
      [del(1, 2), ...[1, 2, 3].map((at) => setState(1, at, at, 'sent'))],
      ['1:1', '3:3'],
    ],
    ['deleted from behind', [del(1, 3), del(1, 2), del(1, 1)], []],
  ])('does in its order what it says of an entry that is %s', async (_, batch, left) => {
    const { server, store } = await openStore();
    await store.commit([session('a', 1), put(entry(1, 1)), put(entry(1, 2)), put(entry(1, 3))]);
    await store.commit(batch);
    expect(await entriesOf(store, 1)).toEqual(left);
    const states = (await server.client().hkeys('{trellis}:f:1')).filter((field) => field !== 'b' && field !== 'o');
    expect(states.toSorted()).toEqual(left.filter((each) => each.includes(':')).map((each) => each.split(':')[0]));
  });

  test('is applied although Redis is full, where its messages have been accepted and are somewhere else so far', async () => {
    const { server, store } = await openStore();
    await store.commit([session('a', 1), session('b', 2), put(entry(1, 1))]);
    await server.client().config('SET', 'maxmemory', '1');
    await expect(store.commit([put(entry(2, 1)), del(1, 1)])).rejects.toBeInstanceOf(StoreFullError);
    await store.commit([{ kind: 'queue-put', record: entry(2, 1), isAccepted: true }, del(1, 1)]);
    expect([await entriesOf(store, 1), await entriesOf(store, 2)]).toEqual([[], ['1']]);
  });

  test('may be about many thousand entries of a queue', async () => {
    const { store } = await openStore();
    const all = sequences(1, 4500);
    await store.commit([session('a', 1), ...all.map((at) => put(entry(1, at)))]);
    await store.commit([
      ...all.map((at) => setState(1, at, at, 'sent')),
      ...sequences(1, 2200).map((at) => del(1, at)),
    ]);
    expect(await entriesOf(store, 1)).toEqual(sequences(2201, 4500).map((at) => `${at}:${at}`));
    await store.commit(sequences(2201, 4499).map((at) => del(1, at)));
    expect(await entriesOf(store, 1)).toEqual(['4500:4500']);
  });

  test('costs a few commands for each queue, however many entries it is about', async () => {
    const { server, store } = await openStore();
    await store.commit([session('a', 1), session('b', 2), put(entry(1, 1)), put(entry(2, 1))]);
    await server.client().config('RESETSTAT');
    const messages = sequences(2, 101).map((at) => text(`message ${at}`));
    await store.commit(
      messages.flatMap((message, at) => [1, 2].map((queueId) => put(entry(queueId, at + 2, message)))),
    );
    await store.commit(sequences(2, 101).flatMap((at) => [1, 2].map((queueId) => setState(queueId, at, at, 'sent'))));
    await store.commit(sequences(2, 101).flatMap((at) => [del(1, at), del(2, at)]));
    const stats = await server.client().info('commandstats');
    const calls = (name: string): number =>
      Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`, 'u').exec(stats)?.[1] ?? 0);
    const names = ['zadd', 'zcount', 'zrange', 'zremrangebyscore'];
    expect(names.map((name) => [name, calls(name)])).toEqual(names.map((name) => [name, 2]));
    expect(await server.client().exists('{trellis}:messages', '{trellis}:counts')).toBe(0);
  });
});
