import { afterEach, describe, expect, test } from 'vitest';
import { FrameWriter } from '../../../src/store/redis/inbox-frame.ts';
import { session, subscription } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { BareNode, post, route } from './bare-node.ts';

const OPEN: { end(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of OPEN.splice(0).toReversed()) await each.end();
});

async function startNodes(...nodeIds: string[]): Promise<{ server: RedisServer; nodes: BareNode[] }> {
  const server = await RedisServer.start();
  OPEN.push({ end: () => server.stop() });
  const nodes: BareNode[] = [];
  for (const nodeId of nodeIds) {
    const node = new BareNode(server.url, nodeId);
    nodes.push(node);
    OPEN.push({ end: () => node.store.close() });
    await node.store.open();
  }
  for (const { store } of nodes) await store.listen();
  return { server, nodes };
}

const patience = { timeout: 60_000 };

describe.skipIf(redisMissing !== '')('among nodes on one Redis', () => {
  test('what one posts for a queue is told to its owner, and stays until that has taken it', async () => {
    const { server, nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await b.store.commit([session('c', 1)]);
    a.route = { posts: [{ queueId: 1, ...post }], nodes: [] };
    await a.store.commit([route('one'), route('two')]);
    await expect.poll(() => b.posted.map(({ number }) => number), patience).toEqual([1, 2]);
    expect(b.posted.map(({ message }) => Buffer.from(message.payload).toString())).toEqual(['one', 'two']);
    expect(b.posted[0]?.subscriptionIdentifiers).toEqual([7]);
    expect((await b.store.readMailboxes([1]))[0]?.messages).toHaveLength(2);
    await b.store.commit([{ kind: 'posted-delete', queueId: 1, count: 2 }]);
    expect(await b.store.readMailboxes([1, 2])).toEqual([{ queueId: 1, lastNumber: 2, messages: [] }]);
    expect(await server.client().exists('{trellis}:r:1', '{trellis}:messages')).toBe(0);
  });

  test('a batch that was routed by an older topology is routed again', async () => {
    const { nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await a.store.caughtUp();
    const { asked } = a;
    // Told of it or not: what counts is that the batch is applied with what Redis knows.
    await b.store.commit([session('c', 1), subscription('c', 'x')]);
    await a.store.commit([route('one')]);
    expect(a.asked - asked).toBeGreaterThanOrEqual(1);
    expect(a.changes).toContainEqual(expect.objectContaining({ kind: 'subscription-put', clientId: 'c', queueId: 1 }));
    expect(a.version).toBe(b.version);
  });

  test('a node that is far behind gets no QoS 0 messages, and all others', async () => {
    const { server, nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await a.store.commit([route('found')]);
    await b.store.close();
    // One that is there and reads nothing.
    await server.client().hset('{trellis}:nodes', 'b', '{}');
    await server.client().set('{trellis}:lease:b', '1');
    a.route = { posts: [], nodes: [{ nodeId: 'b', shareKeys: [] }] };
    const fill = server.client().pipeline();
    for (let entries = 0; entries < 10_000; entries++) fill.xadd('{trellis}:inbox:b', '*', 'f', '');
    await fill.exec();
    await a.store.commit([route('one', 0), route('two', 0), route('three', 1)]);
    expect(a.unsent).toBe(2);
    expect(await server.client().xlen('{trellis}:inbox:b')).toBe(10_001);
    await server.client().del('{trellis}:inbox:b');
    await a.store.commit([route('four', 0)]);
    expect(a.unsent).toBe(2);
    expect(await server.client().xlen('{trellis}:inbox:b')).toBe(1);
  });

  test('a client id is asked for, handed over with its session, or refused', async () => {
    const { nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await b.store.commit([session('c', 1), subscription('c', 'x')]);
    const claim = a.store.claim('c', 'user');
    await expect.poll(() => b.wanted.length, patience).toBeGreaterThan(0);
    await b.store.commit([{ kind: 'session-move', clientId: 'c', queueId: 1, nodeId: 'a' }]);
    const state = (await claim)?.state;
    expect(state?.sessions.map(({ queueId }) => queueId)).toEqual([1]);
    expect(state?.subscriptions).toHaveLength(1);
    const refused = b.store.claim('c', 'other');
    await expect.poll(() => a.wanted, patience).toContain('c');
    a.store.refuse('c', 'b');
    expect(await refused).toBeUndefined();
  });

  test('a client id that is handed over to one who does not want it is taken over, unless it has gone on since', async () => {
    const { server, nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await b.store.commit([session('c', 1), session('d', 2), session('e', 3)]);
    await b.store.commit([
      { kind: 'session-move', clientId: 'c', queueId: 1, nodeId: 'a' },
      { kind: 'session-move', clientId: 'd', queueId: 2, nodeId: 'a' },
    ]);
    const adopted = (): string[] => a.adopted.flatMap(({ sessions }) => sessions.map(({ clientId }) => clientId));
    await expect.poll(adopted, patience).toEqual(['c', 'd']);
    // A word that comes late: the session is elsewhere again.
    await a.store.commit([{ kind: 'session-move', clientId: 'c', queueId: 1, nodeId: 'b' }]);
    await expect.poll(() => b.adopted.length, patience).toBe(1);
    await server.client().xadd('{trellis}:inbox:a', '*', 'f', new FrameWriter().handedOver('c'));
    await b.store.commit([{ kind: 'session-move', clientId: 'e', queueId: 3, nodeId: 'a' }]);
    await expect.poll(() => adopted(), patience).toContain('e');
    expect(adopted()).toEqual(['c', 'd', 'e']);
  });

  test('what a node leaves is taken over by another', async () => {
    const { server, nodes } = await startNodes('a', 'b');
    const [a, b] = nodes as [BareNode, BareNode];
    await b.store.commit([session('c', 1), subscription('c', 'x')]);
    await b.store.commit([{ kind: 'group-put', record: { shareKey: 'g/t', queueId: 2 }, online: 1 }]);
    await b.store.close();
    await expect
      .poll(() => a.adopted.flatMap(({ sessions }) => sessions).map(({ clientId }) => clientId), patience)
      .toEqual(['c']);
    await expect
      .poll(() => a.adopted.flatMap(({ groups }) => groups), patience)
      .toEqual([{ shareKey: 'g/t', queueId: 2 }]);
    await expect
      .poll(() => server.client().exists('{trellis}:gone', '{trellis}:own:b', '{trellis}:groups:b'), patience)
      .toBe(0);
    expect(await server.client().hget('{trellis}:f:1', 'o')).toBe('a');
  });
});
