import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { Scripts } from '../../../src/store/redis/script-runner.ts';
import { decodeChanges, NO_MEMBERS } from '../../../src/store/topology-change.ts';
import { entry, fullWill, put, session } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const keys = new RedisKeys('trellis');
const INCARNATION = 7;
let server: RedisServer;
let store: RedisStore;
let scripts: Scripts;

function openStore(nodeId: string): RedisStore {
  const address = parseRedisUrl(`redis://127.0.0.1:${server.port}`);
  const times = { leaseMs: 60_000, timeoutMs: 60_000 };
  return new RedisStore({ address, prefix: 'trellis', nodeId, waitReplicas: 0, ...times, logger: SILENT });
}

/** As node `b`, which has a place of its own. */
async function adopt(other: string, call: number): Promise<[Buffer[], Buffer[], number]> {
  const names = [keys.node('b'), keys.nodes, keys.gone, keys.topology, keys.changes];
  const parts = [keys.own(other), keys.own('b'), keys.groups(other), keys.groups('b')];
  const values = [INCARNATION, 'b', other, keys.start, 10, call];
  return (await scripts.runBuffer('adopt', [...names, ...parts], values)) as [Buffer[], Buffer[], number];
}

/** Whether node `b` is told that it has a client id. */
async function claims(clientId: string, frame: string): Promise<boolean> {
  const names = [keys.node('b'), keys.nodes, keys.topology, keys.changes, keys.own('b'), keys.session(clientId)];
  return (await scripts.run('claim', names, [INCARNATION, 'b', clientId, keys.start, frame])) === 1;
}

beforeEach(async () => {
  if (redisMissing !== '') return;
  server = await RedisServer.start();
  store = openStore('a');
  await store.open();
  scripts = new Scripts(server.client());
  await server.client().hset(keys.node('b'), 'incarnation', INCARNATION, 'batch', 0);
});

afterEach(async () => {
  await store.close();
  await server.stop();
});

describe.skipIf(redisMissing !== '')('what a node that is gone left', () => {
  test('is taken over once, and told again where the answer was lost', async () => {
    await store.commit([
      session('c', 1),
      put(entry(1, 1)),
      { kind: 'group-put', record: { shareKey: 'g/t', queueId: 2 }, online: 3 },
      { kind: 'will-put', record: fullWill },
    ]);
    await store.close();
    const first = await adopt('a', 1);
    const [clientIds, groups, more] = first;
    expect(clientIds.map(String).sort()).toEqual(['c', fullWill.clientId]);
    expect([groups.length, more]).toEqual([1, 0]);
    const version = await server.client().get(keys.topology);
    expect(await adopt('a', 1)).toEqual(first);
    expect(await server.client().get(keys.topology)).toBe(version);
    expect(await adopt('a', 2)).toEqual([[], [], 0]);
    const [, fields] = (await server.client().xrevrangeBuffer(keys.changes, '+', '-', 'COUNT', 1))[0]!;
    expect(decodeChanges(fields[1]!)).toEqual([
      { kind: 'session-moved', clientId: 'c', nodeId: 'b' },
      { kind: 'share-put', nodeId: 'b', shareKey: 'g/t', queueId: 2, online: NO_MEMBERS },
    ]);
    // Its will too has one owner, so that no other node publishes it as well.
    for (const clientId of ['c', fullWill.clientId])
      expect(await server.client().hget(keys.session(clientId), 'o')).toBe('b');
    expect(await server.client().hget(keys.flight(1), 'o')).toBe('b');
  });

  test('is not found any more by the next start of that node', async () => {
    await store.commit([{ kind: 'group-put', record: { shareKey: 'g/t', queueId: 2 }, online: 1 }]);
    await store.close();
    await adopt('a', 1);
    const next = openStore('a');
    expect((await next.open()).groups).toEqual([]);
    await next.close();
    expect(await server.client().hlen(keys.groups('b'))).toBe(1);
  });
});

describe.skipIf(redisMissing !== '')('a client id', () => {
  test('is only looked for without a frame: its owner is not asked', async () => {
    await store.commit([session('c', 1)]);
    expect(await claims('c', '')).toBe(false);
    expect(await claims('free', '')).toBe(false);
    expect(await server.client().exists(keys.inbox('a'), keys.session('free'))).toBe(0);
    expect(await claims('c', 'frame')).toBe(false);
    expect(await server.client().xlen(keys.inbox('a'))).toBe(1);
    await store.commit([{ kind: 'session-move', clientId: 'c', queueId: 1, nodeId: 'b' }]);
    expect(await claims('c', '')).toBe(true);
  });

  test('that is handed over twice goes to the first, and stays where that has handed it', async () => {
    await server.client().hset(keys.nodes, 'b', '{}', 'd', '{}');
    await store.commit([session('c', 1)]);
    await store.commit([{ kind: 'session-move', clientId: 'c', queueId: 1, nodeId: 'b' }]);
    await store.commit([{ kind: 'session-move', clientId: 'c', queueId: 0, nodeId: 'd' }]);
    expect(await server.client().hget(keys.session('c'), 'o')).toBe('b');
    expect(await server.client().smembers(keys.own('b'))).toEqual(['c']);
    expect(await server.client().smembers(keys.own('d'))).toEqual([]);
    // Who asked in vain is told to ask again.
    expect(await server.client().xlen(keys.inbox('d'))).toBe(1);
  });
});
