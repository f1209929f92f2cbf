import { afterEach, describe, expect, test } from 'vitest';
import { RecordReader } from '../../../src/store/record-reader.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { Scripts } from '../../../src/store/redis/script-runner.ts';
import { StateReader } from '../../../src/store/redis/state-reader.ts';
import { type Mutation, StoreError } from '../../../src/store/store.ts';
import { entry, fullWill, inbound, put, session, subscription } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

/** Sessions of the test of a large store, in thousands: `TRELLIS_SESSIONS=100000`. */
const SESSIONS = Number(process.env['TRELLIS_SESSIONS'] ?? 20_000);

const OPEN: { end(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of OPEN.splice(0).toReversed()) await each.end();
});

async function startRedis(): Promise<RedisServer> {
  const server = await RedisServer.start();
  OPEN.push({ end: () => server.stop() });
  return server;
}

function storeAt(server: RedisServer): RedisStore {
  const times = { leaseMs: 60_000, timeoutMs: 60_000 };
  const options = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, ...times, logger: SILENT };
  const store = new RedisStore({ address: parseRedisUrl(server.url), ...options });
  OPEN.push({ end: () => store.close() });
  return store;
}

async function readerOf(batch: readonly Mutation[]): Promise<{ server: RedisServer; reader: StateReader }> {
  const server = await startRedis();
  const store = storeAt(server);
  await store.open();
  await store.commit(batch);
  const redis = server.client();
  const parts = { redis, scripts: new Scripts(redis), keys: new RedisKeys('trellis'), reader: new RecordReader() };
  return { server, reader: new StateReader(parts) };
}

describe.skipIf(redisMissing !== '')('the state that a node reads', () => {
  test('has of some client ids what there is, and nothing of others', async () => {
    const { server, reader } = await readerOf([
      session('a', 1),
      subscription('a', 'x/ü', { qos: 2, subscriptionIdentifier: 7 }),
      subscription('a', 'y/#'),
      inbound('a', 3),
      inbound('a', 65_535),
      put(entry(1, 4)),
      put(entry(1, 9)),
      session('b', 2),
      put(entry(2, 1)),
      session('é', 3),
      { kind: 'will-put', record: { ...fullWill, clientId: 'will alone' } },
    ]);
    // What other nodes have to know of a session stands beside what it is.
    await server.client().hset('{trellis}:s:a', 'o', 'n');
    const state = await reader.readSessions(['é', 'nobody', 'a', 'will alone']);
    const queueIds = new Map(state.sessions.map(({ clientId, queueId }) => [clientId, queueId]));
    expect([state.sessions.length, queueIds.get('a'), queueIds.get('é')]).toEqual([2, 1, 3]);
    const subscriptions = new Map(state.subscriptions.map(({ record }) => [record.topicFilter, record]));
    expect(state.subscriptions.map(({ clientId }) => clientId)).toEqual(['a', 'a']);
    expect(subscriptions.get('x/ü')).toMatchObject({ qos: 2, subscriptionIdentifier: 7 });
    expect(subscriptions.get('y/#')).toMatchObject({ qos: 1, subscriptionIdentifier: 0 });
    expect(state.inbound.toSorted((one, other) => one.packetId - other.packetId)).toEqual([
      { clientId: 'a', packetId: 3 },
      { clientId: 'a', packetId: 65_535 },
    ]);
    const wills = state.wills.map(({ clientId, publishAt, will }) => [clientId, publishAt, will.topicName]);
    expect(wills).toEqual([['will alone', fullWill.publishAt, fullWill.will.topicName]]);
    const bytes = entry(1, 4).message.size + entry(1, 9).message.size;
    expect(state.queues).toEqual([{ queueId: 1, count: 2, bytes, firstSequence: 4, lastSequence: 9 }]);
    expect(state.groups).toEqual([]);
    const nothing = { sessions: [], subscriptions: [], groups: [], queues: [], inbound: [], wills: [] };
    expect(await reader.readSessions([])).toEqual(nothing);
  });

  test('is whole where a call has no room for all sessions of a portion', async () => {
    const count = 60;
    const long = 'x'.repeat(60_000);
    const { reader } = await readerOf(
      Array.from({ length: count }, (_, at) => at).flatMap((at) => [
        session(`client ${at}`, at + 1),
        subscription(`client ${at}`, `${long}/${at}`),
        put(entry(at + 1, 1)),
      ]),
    );
    const { sessions, subscriptions, queues } = (await reader.read('n')).state;
    const filters = new Map(subscriptions.map(({ clientId, record }) => [clientId, record.topicFilter]));
    expect([sessions.length, filters.size, queues.length]).toEqual([count, count, count]);
    for (let at = 0; at < count; at++) expect(filters.get(`client ${at}`)).toBe(`${long}/${at}`);
    expect(new Set(queues.map(({ queueId }) => queueId)).size).toBe(count);
  });

  test('is refused where a record is damaged', async () => {
    const { server, reader } = await readerOf([session('a', 1)]);
    await server.client().hset('{trellis}:s:a', 'r', 'xyz');
    await expect(reader.readSessions(['a'])).rejects.toThrow(StoreError);
  });

  test(`is that of ${SESSIONS} sessions, each with a subscription, every tenth with a queue`, async () => {
    const server = await startRedis();
    const store = storeAt(server);
    await store.open();
    for (let at = 0; at < SESSIONS; at += 1000) {
      await store.commit(
        Array.from({ length: 1000 }, (_, index) => at + index).flatMap((id) => [
          session(`client ${id}`, id + 1),
          subscription(`client ${id}`, `t/${id}`),
          ...(id % 10 === 0 ? Array.from({ length: 10 }, (_, sequence) => put(entry(id + 1, sequence + 1))) : []),
        ]),
      );
    }
    await store.close();
    const begun = performance.now();
    const { sessions, subscriptions, queues } = await storeAt(server).open();
    const took = performance.now() - begun;
    if (process.env['TRELLIS_SESSIONS'] !== undefined) console.log(`open in ${Math.round(took)} ms`);
    expect([sessions.length, subscriptions.length, queues.length]).toEqual([SESSIONS, SESSIONS, SESSIONS / 10]);
    expect(new Set(sessions.map(({ clientId }) => clientId)).size).toBe(SESSIONS);
    expect(queues.reduce((sum, { count }) => sum + count, 0)).toBe(SESSIONS);
  });
});
