import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NodePlace } from '../../../src/store/redis/node-place.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisConnection } from '../../../src/store/redis/redis-connection.ts';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { Scripts } from '../../../src/store/redis/script-runner.ts';
import { describeEntry } from '../../contract/store-model.ts';
import { entry, NO_LIMIT, put, session, sessionDelete, setState, text } from '../../contract/store-records.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const LEASE_MS = 60_000;
const OPTIONS = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, leaseMs: LEASE_MS, timeoutMs: 60_000 };

let server: RedisServer;
let proxy: CuttingProxy;
let store: RedisStore;

/** Cuts the connection behind so many bytes of the next reply that looks like this. @returns whether there was one so far. */
function cutReply(like: RegExp, bytes: number): () => boolean {
  let isMet = false;
  proxy.onReply((chunk) => {
    const at = isMet ? -1 : chunk.toString('latin1').search(like);
    if (at < 0) return;
    isMet = true;
    void proxy.cutAfterReplyBytes(at + bytes);
  });
  return () => isMet;
}

/** Every way to cut a reply of so many bytes, its end included. */
function cutsOf(bytes: number): number[] {
  return Array.from({ length: bytes + 1 }, (_, at) => at);
}

const trash = (): Promise<number> => server.client().exists('{trellis}:trash');

beforeEach(async () => {
  if (redisMissing !== '') return;
  server = await RedisServer.start();
  proxy = await CuttingProxy.start(server.port);
  const address = parseRedisUrl(`redis://127.0.0.1:${proxy.port}`);
  store = new RedisStore({ address, ...OPTIONS, logger: SILENT });
  await store.open();
});

afterEach(async () => {
  await store.close();
  await proxy.stop();
  await server.stop();
});

describe.skipIf(redisMissing !== '')('wherever the reply is cut,', () => {
  test('a place is taken by the next start, and what is stored is read', async () => {
    await store.commit([session('a', 1), put(entry(1, 1)), put(entry(1, 2))]);
    const replies: [script: string, like: RegExp, longer: number][] = [
      ['begin', /\*2\r\n\$2\r\nOK\r\n\$\d+\r\n\d+\r\n/, 50],
      ['time', /\*2\r\n\$1\d\r\n\d+\r\n\$\d\r\n\d+\r\n/, 50],
      ['readSessions', /\*2\r\n:1\r\n\$\d+\r\n/, 80],
      ['summaries', /\*5\r\n\$1\r\n1\r\n\$1\r\n2\r\n/, 50],
    ];
    for (const [script, like, longer] of replies) {
      let opened = 0;
      for (const bytes of cutsOf(longer)) {
        await store.close();
        const isMet = cutReply(like, bytes);
        // It says so, or what followed the reply was cut.
        const failure = await store.open().then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(isMet(), script).toBe(true);
        if (failure === undefined) opened += 1;
        else expect(failure).toMatchObject({ name: 'StoreError' });
        await store.close();
        const { sessions, queues } = await store.open();
        expect([sessions.length, queues]).toMatchObject([1, [{ queueId: 1, count: 2, firstSequence: 1 }]]);
      }
      // Whoever opens a store is told of any failure: nothing is tried again behind its back.
      expect(opened).toBeLessThan(longer);
    }
    expect((await server.client().hkeys('{trellis}:nodes')).length).toBe(1);
  });

  test('a place is given up', async () => {
    for (const bytes of cutsOf(4)) {
      const isMet = cutReply(/:1\r\n/, bytes);
      await store.close();
      expect(isMet()).toBe(true);
      expect(await server.client().exists('{trellis}:lease:n')).toBe(0);
      await store.open();
    }
  });

  test('a heartbeat renews the lease', async () => {
    const options = { timeoutMs: 60_000, logger: SILENT, name: 'beats', prefix: 'trellis' };
    const connection = new RedisConnection(parseRedisUrl(`redis://127.0.0.1:${proxy.port}`), options);
    await connection.open();
    try {
      const { redis } = connection;
      const place = new NodePlace(redis, new Scripts(redis), new RedisKeys('trellis'), {
        nodeId: 'm',
        leaseMs: LEASE_MS,
      });
      await store.close();
      await place.take();
      await place.beat();
      for (const bytes of cutsOf(4)) {
        await server.client().del('{trellis}:lease:m');
        const isMet = cutReply(/:1\r\n/, bytes);
        if (bytes < 4) await expect(place.beat()).rejects.toThrow(Error);
        else expect(await place.beat()).toBe('ours');
        expect(isMet()).toBe(true);
        expect(await server.client().get('{trellis}:lease:m')).toBe(`${place.incarnation}`);
        await connection.whenReady();
        expect(await place.beat()).toBe('ours');
      }
    } finally {
      await connection.close();
    }
  });

  test('what frees memory is applied once', async () => {
    const message = text('in two queues');
    await store.commit([session('a', 1), session('b', 2)]);
    for (const bytes of cutsOf(6)) {
      const sequence = bytes + 1;
      await store.commit([put(entry(1, sequence, message)), put(entry(2, sequence, message))]);
      const isMet = cutReply(/:\d+\r\n/, bytes);
      // Applied twice, it would take the message from the other queue.
      await store.commit([{ kind: 'queue-delete', queueId: 1, sequence }]);
      expect(isMet()).toBe(true);
      expect((await store.readQueue(2, bytes, NO_LIMIT, NO_LIMIT)).map(describeEntry)).toEqual([
        describeEntry(entry(2, sequence, message)),
      ]);
    }
    expect(new Set(await server.client().hvals('{trellis}:counts'))).toEqual(new Set(['1']));
    expect(await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).toEqual([]);
  });

  test('a queue is read whole', async () => {
    const shared = text('shared');
    const entries = [entry(1, 1), entry(1, 2, shared), entry(2, 1, shared)];
    await store.commit([session('a', 1), session('b', 2), ...entries.map(put), setState(1, 1, 7, 'sent')]);
    const read = async (): Promise<unknown[]> => (await store.readQueue(1, 0, NO_LIMIT, NO_LIMIT)).map(describeEntry);
    const expected = await read();
    expect(expected).toHaveLength(2);
    const before = proxy.replyBytes;
    await read();
    const length = proxy.replyBytes - before;
    expect(length).toBeGreaterThan(30);
    for (const bytes of cutsOf(length)) {
      const isMet = cutReply(/\*6\r\n/, bytes);
      expect(await read()).toEqual(expected);
      expect(isMet()).toBe(true);
    }
  });

  test('queues that were dropped are emptied, and what others hold stays', async () => {
    const shared = text('shared');
    await store.commit([session('z', 1000), put(entry(1000, 1, shared))]);
    for (const bytes of cutsOf(4)) {
      const queueId = bytes + 1;
      const message = text(`shared ${bytes}`);
      await store.commit([
        session('a', queueId),
        put(entry(queueId, 1, message)),
        put(entry(1000, 2 + bytes, message)),
        put(entry(queueId, 2)),
      ]);
      const isMet = cutReply(/:0\r\n/, bytes);
      await store.commit([sessionDelete('a', queueId)]);
      await expect.poll(isMet, { timeout: 60_000 }).toBe(true);
    }
    // What is left behind by a cut goes with the next queue, or the next start.
    await store.close();
    await store.open();
    await expect.poll(trash, { timeout: 60_000 }).toBe(0);
    expect((await server.client().keys('{trellis}:d:*')).length).toBe(0);
    expect(await server.client().hvals('{trellis}:counts')).toEqual(['1', '1', '1', '1', '1']);
    expect(await store.readQueue(1000, 0, NO_LIMIT, NO_LIMIT)).toHaveLength(6);
  });
});
