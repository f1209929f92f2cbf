import { describe, expect, test } from 'vitest';
import { LOCAL_PREFIX } from '../../src/session/registry.ts';
import { StoreFullError } from '../../src/store/store.ts';
import { applied, benchAmong, connect, FakeNeighbours, postedOf, stateOf } from './fake-neighbours.ts';
import { DURABLE, SessionBench } from './session-bench.ts';

describe('a message posted for a session', () => {
  test('is sent or queued as posted, and leaves its mailbox in the same batch', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = bench.open('c', DURABLE);
    const link = connect(session, 1);
    const { queueId } = session;
    bench.registry.takePosted([
      { ...postedOf(queueId, { payload: '1', qos: 2 }), qos: 1, retain: true, subscriptionIdentifiers: [5] },
      postedOf(queueId, { payload: '2' }),
      postedOf(777, { payload: 'for a queue that is not here' }),
    ]);
    await bench.clock.settle();
    expect(link.sent.map(({ payload, qos, retain, identifiers }) => [payload, qos, retain, identifiers])).toEqual([
      ['1', 1, true, [5]],
    ]);
    expect(bench.storedPayloads(queueId)).toEqual(['1', '2']);
    expect(applied(bench, 'posted-delete')).toEqual([{ kind: 'posted-delete', queueId, count: 2 }]);
    expect(bench.writePath.commits).toBe(1);
    session.onPuback(1);
    session.onPuback(2);
    expect(link.payloads).toEqual(['1', '2']);
    expect([bench.books.owed, bench.books.delivered, bench.books.received]).toEqual([2, 2, 0]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('is not lost where its batch finds the store full: it was accepted before', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = bench.open('c', DURABLE);
    await bench.clock.settle();
    bench.store.isHeld = true;
    bench.registry.takePosted([postedOf(session.queueId, { payload: '1' })]);
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(bench.storedPayloads(session.queueId)).toEqual(['1']);
    expect(applied(bench, 'posted-delete')).toHaveLength(1);
    expect(bench.books.imbalance).toBe(0);
  });

  test('that a limit of its queue gives up is booked, and leaves its mailbox all the same', async () => {
    const bench = await benchAmong(new FakeNeighbours(), { queueMessagesMax: 1, queuePolicy: 'drop-newest' });
    const { queueId } = bench.open('c', DURABLE);
    bench.registry.takePosted(['1', '2'].map((payload) => postedOf(queueId, { payload })));
    await bench.clock.settle();
    expect(bench.storedPayloads(queueId)).toEqual(['1']);
    expect(bench.books.dropped['queue-full']).toBe(1);
    expect(applied(bench, 'posted-delete').map(({ count }) => count)).toEqual([2]);
    expect(bench.books.imbalance).toBe(0);
  });
});

describe('a session that another node is to have', () => {
  test('goes with all it has, and nothing of it is touched any more', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const session = bench.open('c', DURABLE);
    bench.subscribe(session, 't');
    bench.subscribe(session, '$share/g/u', 1);
    connect(session, 2);
    for (const payload of ['1', '2', '3']) bench.publish({ payload, qos: 2 });
    bench.publish({ payload: 'shared', topicName: 'u' });
    await bench.clock.settle();
    bench.registry.disconnect(session);
    bench.store.isHeld = true;
    bench.publish({ payload: '4' });
    const { queueId } = session;
    bench.registry.release(session, 'other');
    await bench.clock.settle();
    bench.publish({ payload: 'not for it' });
    expect(bench.registry.get('c')).toBeUndefined();
    expect(bench.registry.queueOwner(queueId)).toBeUndefined();
    expect(bench.registry.subscriptionCount).toBe(0);
    expect(neighbours.told).toEqual(['went c']);
    bench.store.isHeld = false;
    bench.store.release();
    await bench.clock.settle();
    await bench.clock.settle();
    expect(applied(bench, 'session-move')).toEqual([{ kind: 'session-move', clientId: 'c', queueId, nodeId: 'other' }]);
    const after = bench.store.applied.slice(bench.store.applied.findIndex(({ kind }) => kind === 'session-move') + 1);
    expect(after.map(({ kind }) => kind)).toEqual(['route']);
    expect(bench.storedPayloads(queueId).slice(0, 4)).toEqual(['1', '2', '3', '4']);
    expect([bench.ended, bench.books.moved, bench.books.queued]).toEqual([[], 4, 1]);
    // Its shared subscription goes on there, and so what waits for it.
    neighbours.share('g/u', 99, 0);
    bench.registry.handOverGroups();
    await bench.clock.pass(2 * DURABLE * 1000);
    expect(applied(bench, 'post').map(({ post }) => [post.queueId, post.shareKey])).toEqual([[99, 'g/u']]);
    expect(applied(bench, 'group-delete')).toHaveLength(1);
    expect([bench.ended, bench.books.moved, bench.books.queued]).toEqual([[], 5, 0]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('is as one that ended for what was under way: flushes, reads of its queue, its connection', async () => {
    const bench = await benchAmong(new FakeNeighbours(), { queueWindowMessages: 2 });
    const session = bench.open('c', DURABLE);
    bench.subscribe(session, 't');
    for (const payload of ['1', '2', '3', '4', '5']) bench.publish({ payload, qos: 2 });
    await bench.clock.settle();
    const link = connect(session);
    bench.store.isHeld = true;
    await bench.clock.settle();
    const sent = link.sent.length;
    session.detach();
    bench.registry.release(session, 'other');
    expect(bench.registry.disconnect(session)).toBe(false);
    const { queueId } = session;
    bench.store.isHeld = false;
    while (bench.store.waiting > 0) bench.store.release();
    await bench.clock.settle();
    expect(link.sent).toHaveLength(sent);
    const kinds = bench.store.applied.map(({ kind }) => kind);
    expect(kinds.lastIndexOf('session-put')).toBeLessThan(kinds.indexOf('session-move'));
    expect(bench.storedPayloads(queueId)).toHaveLength(5);
    expect(bench.fatal).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('resumes on that one with subscriptions, what is in flight, what waits, and what was posted meanwhile', async () => {
    const neighbours = new FakeNeighbours();
    const there = await benchAmong(neighbours);
    const here = await benchAmong(new FakeNeighbours());
    const session = here.open('c', DURABLE);
    here.subscribe(session, 't', 2);
    connect(session, 1);
    for (const payload of ['1', '2']) here.publish({ payload });
    session.inbound = new Map([[9, 0]]);
    here.writePath.add({ kind: 'inbound-put', clientId: 'c', packetId: 9 });
    here.registry.disconnect(session);
    here.registry.release(session, 'there');
    await here.clock.settle();
    const state = stateOf(here, 'c');
    there.store.disk.apply(here.store.applied.filter(({ kind }) => kind === 'session-put' || kind === 'queue-put'));
    const { queueId } = session;
    const mailbox = { queueId, lastNumber: 1, messages: [postedOf(queueId, { payload: '3' })] };
    await there.registry.adopt({ ...state, mailboxes: [mailbox] }, { isClaimed: true });
    const adopted = there.open('c', DURABLE);
    await adopted.read();
    const link = connect(adopted);
    await there.clock.settle();
    expect(neighbours.told).toEqual(['came c']);
    expect(link.sent.map(({ payload, dup }) => [payload, dup])).toEqual([
      ['1', true],
      ['2', false],
      ['3', false],
    ]);
    expect(adopted.inbound?.has(9)).toBe(true);
    expect(applied(there, 'posted-delete')).toEqual([{ kind: 'posted-delete', queueId, count: 1 }]);
    there.publish({ payload: '4' });
    expect(link.payloads.at(-1)).toBe('4');
    expect(there.books.restored).toBe(2);
    for (const packetId of [1, 2, 3, 4]) adopted.onPuback(packetId);
    expect(there.books.queued).toBe(0);
    expect([here.books.imbalance, there.books.imbalance]).toEqual([0, 0]);
  });
});

describe('sessions of a node that is gone', () => {
  const record = { epoch: 1, username: '', expiresAt: Number.POSITIVE_INFINITY };
  const none = { subscriptions: [], groups: [], queues: [], inbound: [], mailboxes: [] };

  test('begin to expire, go on expiring, or end, as after a restart', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const now = bench.clock.now();
    await bench.registry.adopt(
      {
        ...none,
        sessions: [
          { ...record, clientId: 'connected', queueId: 11, sessionExpiryInterval: 10 },
          { ...record, clientId: 'away', queueId: 12, sessionExpiryInterval: 10, expiresAt: now + 5000 },
          { ...record, clientId: 'expired', queueId: 13, sessionExpiryInterval: 10, expiresAt: now - 1 },
          { ...record, clientId: 'brief', queueId: 14, sessionExpiryInterval: 0 },
        ],
      },
      { isClaimed: false },
    );
    expect(bench.ended).toEqual(['expired: expired', 'brief: connection closed on another node']);
    expect(bench.registry.get('connected')?.expiresAt).toBe(now + 10_000);
    await bench.clock.pass(6000);
    expect(bench.ended.slice(2)).toEqual(['away: expired']);
    await bench.clock.pass(6000);
    expect(bench.ended.slice(3)).toEqual(['connected: expired']);
    expect(applied(bench, 'session-delete').map(({ queueId }) => queueId)).toEqual([13, 14, 12, 11]);
    const came = ['connected', 'away', 'expired', 'brief'].map((clientId) => `came ${clientId}`);
    expect(neighbours.told.slice(0, 4)).toEqual(came);
    expect(neighbours.told.slice(4)).toEqual(['let go expired', 'let go brief', 'let go away', 'let go connected']);
  });

  test('that were claimed leave their client id in use', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const sessions = [{ ...record, clientId: 'c', queueId: 11, sessionExpiryInterval: 0 }];
    await bench.registry.adopt({ ...none, sessions }, { isClaimed: true });
    expect([bench.registry.size, neighbours.told]).toEqual([0, ['came c']]);
  });

  test('do not draw the queue ids of this one after theirs', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const first = bench.open('first', DURABLE);
    const sessions = [{ ...record, clientId: 'c', queueId: 2 ** 40, sessionExpiryInterval: 10 }];
    await bench.registry.adopt({ ...none, sessions }, { isClaimed: false });
    expect(bench.open('second', DURABLE).queueId).toBe(first.queueId + 1);
  });

  test('that a client comes for while what others have in flight is read stay with it', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const sessions = ['a', 'b'].map((clientId, index) => {
      return { ...record, clientId, queueId: 11 + index, sessionExpiryInterval: 10, expiresAt: bench.clock.now() - 1 };
    });
    const subscriptions = ['a', 'b'].map((clientId) => {
      const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
      return { clientId, record: { ...options, topicFilter: '$share/g/t', subscriptionIdentifier: 0 } };
    });
    const adopted = bench.registry.adopt({ ...none, sessions, subscriptions }, { isClaimed: false });
    const session = bench.open('b', DURABLE);
    const link = connect(session);
    await adopted;
    expect(bench.ended).toEqual(['a: expired']);
    expect([session.ended, session.link]).toEqual([false, link]);
  });
});

describe('a client id', () => {
  test('is let go when its session ends, unless it stays in use or is not a client', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    bench.registry.disconnect(bench.open('clean'));
    bench.open('durable', DURABLE);
    bench.open('durable', DURABLE, true);
    expect(neighbours.told).toEqual(['let go clean']);
    bench.registry.disconnect(bench.open(`${LOCAL_PREFIX}1`));
    bench.registry.end(bench.registry.get('durable')!, 'administrator');
    expect(neighbours.told).toEqual(['let go clean', 'let go durable']);
  });
});

describe('interest', () => {
  test('in a topic filter is told with its first taker that is not stored, and taken back with the last', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const tell = async (): Promise<string[]> => {
      await bench.clock.settle();
      const told = [...applied(bench, 'interest-put'), ...applied(bench, 'interest-delete')];
      bench.store.applied.length = 0;
      return told.map(({ kind, topicFilter }) => `${kind} ${topicFilter}`);
    };
    const [first, second] = [bench.open('first'), bench.open(`${LOCAL_PREFIX}1`)];
    const durable = bench.open('durable', DURABLE);
    bench.subscribe(durable, 'a');
    bench.subscribe(first, '$share/g/a');
    expect(await tell()).toEqual([]);
    bench.subscribe(first, 'a');
    bench.subscribe(first, 'a', 1);
    expect(await tell()).toEqual(['interest-put a']);
    bench.subscribe(second, 'a');
    bench.registry.unsubscribe(durable, 'a');
    bench.registry.unsubscribe(first, 'a');
    expect(await tell()).toEqual([]);
    bench.registry.disconnect(second);
    expect(await tell()).toEqual(['interest-delete a']);
    bench.subscribe(first, 'b');
    bench.registry.unsubscribe(first, 'b');
    expect(await tell()).toEqual(['interest-put b', 'interest-delete b']);
  });

  test('of a session that is stored and will end with its connection is told as its subscriptions', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    bench.open('c', DURABLE);
    const session = bench.open('c', 0);
    bench.subscribe(session, 'a');
    bench.registry.unsubscribe(session, 'a');
    await bench.clock.settle();
    const kinds = bench.store.applied.map(({ kind }) => kind).filter((kind) => kind !== 'session-put');
    expect(kinds).toEqual(['subscription-put', 'subscription-delete']);
  });

  test('is nobody else’s where there is one node', async () => {
    const bench = await new SessionBench().start();
    bench.subscribe(bench.open('c'), 'a');
    bench.registry.disconnect(bench.registry.get('c')!);
    await bench.clock.settle();
    expect(bench.store.applied).toEqual([]);
  });
});

describe('a restart', () => {
  test('takes what was posted meanwhile, and deletes a session that was to end with its connection', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const session = bench.open('c', DURABLE);
    bench.open('brief', DURABLE);
    bench.open('brief', 0);
    await bench.clock.settle();
    const state = bench.store.disk.read();
    const restarted = new SessionBench({}, bench.store.disk, bench.clock, neighbours);
    await restarted.store.open();
    const { queueId } = session;
    const mailboxes = [{ queueId, lastNumber: 1, messages: [postedOf(queueId, { payload: '1' })] }];
    await restarted.registry.restore({ ...state, mailboxes });
    await restarted.clock.settle();
    expect(restarted.storedPayloads(queueId)).toEqual(['1']);
    expect(applied(restarted, 'posted-delete')).toHaveLength(1);
    expect(restarted.ended).toEqual(['brief: connection closed by a restart']);
    expect(restarted.store.disk.read().sessions.map(({ clientId }) => clientId)).toEqual(['c']);
    expect(neighbours.told).toEqual(['came c', 'came brief', 'let go brief']);
    expect(restarted.books.imbalance).toBe(0);
  });
});
