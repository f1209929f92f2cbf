import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClientClaims } from '../../../src/store/redis/client-claims.ts';
import { NodePlace } from '../../../src/store/redis/node-place.ts';
import { NodeWatch, type WatchOptions } from '../../../src/store/redis/node-watch.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { Scripts } from '../../../src/store/redis/script-runner.ts';
import type { Mutation } from '../../../src/store/store.ts';
import { fullWill, session } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const STORES: RedisStore[] = [];
let server: RedisServer;

beforeEach(async () => {
  if (redisMissing === '') server = await RedisServer.start();
});

afterEach(async () => {
  for (const store of STORES.splice(0)) await store.close();
  await server.stop();
});

/** A node that does not listen to the others. */
async function nodeOf(nodeId: string): Promise<RedisStore> {
  const options = { prefix: 'trellis', waitReplicas: 0, leaseMs: 60_000, timeoutMs: 60_000, logger: SILENT };
  const store = new RedisStore({ address: parseRedisUrl(server.url), ...options, nodeId });
  await store.open();
  STORES.push(store);
  return store;
}

const move = (clientId: string, queueId: number, nodeId: string): Mutation => ({
  kind: 'session-move',
  clientId,
  queueId,
  nodeId,
});
const ownerOf = (clientId: string): Promise<string | null> => server.client().hget(`{trellis}:s:${clientId}`, 'o');
const version = (): Promise<string | null> => server.client().get('{trellis}:topology');

describe.skipIf(redisMissing !== '')('who has a client id', () => {
  test('does not change when a node answers late to a request that was met long ago', async () => {
    const [a, b] = [await nodeOf('a'), await nodeOf('b')];
    await nodeOf('c');
    await a.claim('x', '');
    await a.commit([move('x', 0, 'b')]);
    await b.claim('x', '');
    await b.commit([move('x', 0, 'c')]);
    await a.commit([move('x', 0, 'b')]);
    expect(await ownerOf('x')).toBe('c');
    expect(await server.client().smembers('{trellis}:own:c')).toEqual(['x']);
    expect(await server.client().exists('{trellis}:own:a', '{trellis}:own:b')).toBe(0);
  });

  test('has its queue as well, also where it came from a node that did not know of the session', async () => {
    const [a, b] = [await nodeOf('a'), await nodeOf('b')];
    await a.commit([session('x', 7)]);
    await a.commit([move('x', 0, 'b')]);
    const before = Number(await version());
    expect((await b.claim('x', ''))?.state.sessions).toMatchObject([{ clientId: 'x', queueId: 7 }]);
    expect(await server.client().hget('{trellis}:f:7', 'o')).toBe('b');
    expect(Number(await version())).toBe(before + 1);
    // Once the others know, they are not told again.
    await b.claim('x', '');
    expect(Number(await version())).toBe(before + 1);
  });
});

describe.skipIf(redisMissing !== '')('a node that comes back after a crash', () => {
  test('lets go of the client ids whose sessions ended with their connections', async () => {
    const before = await nodeOf('a');
    await before.commit([session('x', 1), { kind: 'will-put', record: fullWill }]);
    for (const clientId of ['x', 'w', 'gone', '__proto__']) await before.claim(clientId, '');
    // The one before does not write any more.
    await nodeOf('a');
    expect(new Set(await server.client().smembers('{trellis}:own:a'))).toEqual(new Set(['x', 'w']));
    expect(await server.client().exists('{trellis}:s:gone', '{trellis}:s:__proto__')).toBe(0);
    expect(await ownerOf('x')).toBe('a');
  });

  test('does so although Redis is full', async () => {
    await (await nodeOf('a')).commit([session('x', 1)]);
    await server.client().config('SET', 'maxmemory', '1');
    const store = await nodeOf('a');
    await store.commit([{ kind: 'session-delete', clientId: 'x', epoch: 1, queueId: 1 }]);
    expect(await ownerOf('x')).toBe('a');
    await server.client().config('SET', 'maxmemory', '0');
  });
});

/** What a watch of a node needs, with its scripts under the control of the test. */
async function watchOf(
  nodeId: string,
  change: Pick<WatchOptions, 'onAdopted'> & { after?: (name: string) => Promise<void> },
): Promise<{ watch: NodeWatch; place: NodePlace }> {
  const redis = server.client();
  const keys = new RedisKeys('trellis');
  const scripts = new Scripts(redis);
  const place = new NodePlace(redis, scripts, keys, { nodeId, leaseMs: 60_000 });
  await place.take();
  const { after = async () => {} } = change;
  const told: Pick<Scripts, 'run' | 'runBuffer'> = {
    run: (...call) => scripts.run(...call),
    runBuffer: async (...call) => {
      const answer = await scripts.runBuffer(...call);
      await after(call[0]);
      return answer;
    },
  };
  const replication = { confirmed: <T>(call: () => Promise<T>): Promise<T> => call() };
  const parts = { redis, keys, replication, place, nodeId, leaseMs: 60_000, logger: SILENT };
  const claims = new ClientClaims({ scripts, keys, place, nodeId });
  const { onAdopted } = change;
  return { watch: new NodeWatch({ ...parts, scripts: told as Scripts, claims, onAdopted }), place };
}

describe.skipIf(redisMissing !== '')('what a node left', () => {
  /** A node with a session, a part of a shared subscription, and the will of a client without a session. */
  async function leave(): Promise<void> {
    const a = await nodeOf('a');
    await a.claim('w', '');
    await a.commit([
      session('x', 1),
      { kind: 'group-put', record: { shareKey: 'g/t', queueId: 2 }, online: 1 },
      { kind: 'will-put', record: fullWill },
    ]);
    await a.close();
  }

  test.each([1, 2])('is told whole although the answer to call %i was lost', async (lost) => {
    await leave();
    const found: { clientIds: string[]; shareKeys: string[] }[] = [];
    let answers = 0;
    let told = 0;
    const { watch, place } = await watchOf('b', {
      onAdopted: async ({ clientIds, groups }) => {
        told += 1;
        if (lost === 2 && told === 1) throw new Error('the state could not be read');
        found.push({ clientIds: clientIds.toSorted(), shareKeys: groups.map(({ shareKey }) => shareKey) });
      },
      after: async () => {
        answers += 1;
        if (lost === 1 && answers === 1) throw new Error('Connection is closed.');
      },
    });
    await expect(watch.look()).rejects.toThrow(Error);
    // Whoever wants one of them has to wait until it is known what there is of it.
    const ran: string[] = [];
    watch.onceKnown('x', () => ran.push('earlier'));
    watch.onceKnown('x', () => ran.push('later'));
    expect(ran).toEqual([]);
    await watch.look();
    expect(found).toEqual([{ clientIds: ['w', 'x'], shareKeys: ['g/t'] }]);
    expect(ran).toEqual(['later']);
    watch.onceKnown('x', () => ran.push('at once'));
    expect(ran).toEqual(['later', 'at once']);
    await place.leave();
  });

  test("is its heir's, a client id whose will is to be published too", async () => {
    await leave();
    const { watch } = await watchOf('b', { onAdopted: () => Promise.resolve() });
    await watch.look();
    expect([await ownerOf('x'), await ownerOf('w')]).toEqual(['b', 'b']);
    expect(await server.client().exists('{trellis}:taking:b')).toBe(0);
  });
});
