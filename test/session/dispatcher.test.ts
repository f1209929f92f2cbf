import { describe, expect, test } from 'vitest';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { HELD_BACK_BYTES } from '../../src/session/write-path.ts';
import { StoreFullError } from '../../src/store/store.ts';
import { applied, benchAmong, connect, FakeNeighbours } from './fake-neighbours.ts';
import { DURABLE, messageOf, SessionBench } from './session-bench.ts';

const GROUP = '$share/g/t';
const SHARE_KEY = 'g/t';

describe('a message published among several nodes', () => {
  test('is routed with QoS 1 and 2 whoever is known to take it, with the view it was dispatched with', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    expect(bench.publish({ payload: '1', qos: 1 })).toBe(ReasonCode.noMatchingSubscribers);
    neighbours.view = 8;
    bench.publish({ payload: '2', qos: 2 });
    await bench.clock.settle();
    const routes = applied(bench, 'route');
    expect(routes.map(({ message, view, servedShares }) => [`${message.qos}`, view, servedShares])).toEqual([
      ['1', 7, []],
      ['2', 8, []],
    ]);
    expect(bench.books.withoutTaker).toBe(2);
  });

  test('is routed with QoS 0 only where somebody takes it', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.taken.add('u');
    expect(bench.publish({ payload: '1', qos: 0 })).toBe(ReasonCode.noMatchingSubscribers);
    expect(bench.publish({ payload: '2', qos: 0, topicName: 'u' })).toBe(ReasonCode.success);
    await bench.clock.settle();
    expect(applied(bench, 'route').map(({ message }) => message.topicName)).toEqual(['u']);
    expect(bench.books.withoutTaker).toBe(1);
  });

  test('stays here where it is the broker that tells of itself', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.taken.add('$SYS/broker/uptime');
    bench.publish({ payload: '1', qos: 1, topicName: '$SYS/broker/uptime', retain: true });
    await bench.clock.settle();
    expect(bench.store.applied).toEqual([]);
    expect(bench.retained.trie.count).toBe(1);
  });

  test('has bytes of its own when it is routed later than in its turn', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    bench.store.isHeld = true;
    bench.publish({ payload: 'first' });
    await bench.clock.settle();
    const chunk = Buffer.alloc(64 * 1024);
    const message = messageOf({ payload: '' });
    message.bytes = chunk;
    message.payloadEnd = 5;
    chunk.write('later');
    bench.dispatcher.publish(message);
    await bench.clock.settle();
    chunk.fill(0);
    bench.store.isHeld = false;
    bench.store.release();
    await bench.clock.settle();
    expect(applied(bench, 'route').map((one) => Buffer.from(one.message.payload).toString())).toEqual([
      'first',
      'later',
    ]);
  });

  test('counts to what holds publishers back, and with QoS 0 is given up beyond that', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.taken.add('t');
    bench.store.isHeld = true;
    bench.publish({ payload: 'on its way', qos: 1 });
    await bench.clock.settle();
    const large = Buffer.alloc(HELD_BACK_BYTES).toString('latin1');
    for (let count = 1; count <= 3; count++) {
      bench.publish({ payload: large, qos: 0, publisherId: 'p' });
      await bench.clock.settle();
    }
    expect(bench.writePath.openBytes).toBeGreaterThan(2 * HELD_BACK_BYTES);
    expect(bench.books.dropped['store-full']).toBe(1);
    expect(bench.books.imbalance).toBe(0);
    bench.publish({ payload: 'still routed', qos: 1 });
    bench.store.isHeld = false;
    bench.store.release();
    await bench.clock.settle();
    expect(applied(bench, 'route')).toHaveLength(4);
  });

  test('is given up, and booked with QoS 0, where its batch finds the store full; what came from elsewhere is kept', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.taken.add('t');
    const drops: string[] = [];
    bench.books.onDrop = (...drop) => drops.push(drop.join(' '));
    bench.store.isHeld = true;
    bench.publish({ payload: 'refused', qos: 1, publisherId: 'p' });
    bench.publish({ payload: 'lost', qos: 0, publisherId: 'q' });
    bench.writePath.add({ kind: 'posted-delete', queueId: 5, count: 1 });
    bench.writePath.add({ kind: 'interest-put', topicFilter: 'f' });
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(bench.store.applied.map(({ kind }) => kind)).toEqual(['posted-delete', 'interest-put']);
    expect(drops).toEqual(['q t store-full']);
    expect(bench.books.imbalance).toBe(0);
  });

  test('is refused, or given up with QoS 0, while the store is known to be full and others take it', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.taken.add('t');
    bench.store.isHeld = true;
    bench.writePath.add({ kind: 'interest-put', topicFilter: 'f' });
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    await bench.clock.settle();
    expect(bench.publish({ payload: '1', qos: 1 })).toBe(ReasonCode.quotaExceeded);
    expect(bench.publish({ payload: '2', qos: 0 })).toBe(ReasonCode.success);
    expect(bench.publish({ payload: '3', qos: 1, topicName: 'nobody' })).toBe(ReasonCode.noMatchingSubscribers);
    expect(bench.books.dropped['store-full']).toBe(1);
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(applied(bench, 'route').map(({ message }) => message.topicName)).toEqual(['nobody']);
    expect(bench.books.imbalance).toBe(0);
  });

  test('of a shared subscription goes to the part here by how many of its members are connected', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const link = connect(bench.open('c'));
    const session = bench.registry.get('c')!;
    bench.subscribe(session, GROUP, 0);
    const publish = (count: number): number => {
      for (let left = count; left > 0; left--) bench.publish({ payload: '1', qos: 0 });
      return link.take().length;
    };
    expect(publish(10)).toBe(10);
    expect(neighbours.served).toEqual([SHARE_KEY]);
    neighbours.share(SHARE_KEY, 99, 0);
    expect(publish(10)).toBe(10);
    neighbours.share(SHARE_KEY, 99, 3);
    const share = publish(1000);
    expect(share).toBeGreaterThan(180);
    expect(share).toBeLessThan(320);
    session.detach();
    expect(publish(10)).toBe(0);
    expect(neighbours.served).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
    neighbours.online.clear();
    bench.publish({ payload: '1', qos: 0 });
    expect(neighbours.served).toEqual([SHARE_KEY]);
    expect(bench.books.dropped.offline).toBe(1);
  });

  test('has the parts named that got it', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    for (const filter of [GROUP, '$share/h/#', '$share/i/u']) bench.subscribe(bench.open(filter, DURABLE), filter);
    bench.publish({ payload: '1' });
    await bench.clock.settle();
    expect(applied(bench, 'route').map(({ servedShares }) => [...servedShares].sort())).toEqual([['g/t', 'h/#']]);
  });

  test('changes nothing where there is one node', async () => {
    const bench = await new SessionBench().start();
    expect(bench.publish({ payload: '1', qos: 2 })).toBe(ReasonCode.noMatchingSubscribers);
    await bench.clock.settle();
    expect(bench.store.applied).toEqual([]);
  });
});

describe('a message that is not with the store yet', () => {
  test('is delivered to a session that has just come, in its batch, and to no others again', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const here = connect(bench.open('here', DURABLE));
    bench.subscribe(bench.registry.get('here')!, 't', 1);
    await bench.clock.settle();
    bench.store.isHeld = true;
    bench.publish({ payload: '1', qos: 1 });
    bench.publish({ payload: '2', qos: 1 });
    const came = connect(bench.open('came', DURABLE));
    bench.subscribe(bench.registry.get('came')!, 't', 1);
    bench.dispatcher.deliverLate(bench.writePath.unsent(), new Set(['came']));
    bench.publish({ payload: '3', qos: 1 });
    expect([here.payloads, came.payloads]).toEqual([
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
    await bench.clock.settle();
    expect(bench.store.waiting).toBe(1);
    expect(bench.writePath.unsent()).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
  });
});

describe('a message of another node', () => {
  test('goes to those who get nothing posted: sessions that are not stored, and stored ones with QoS 0', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const clean = connect(bench.open('clean'));
    const stored = connect(bench.open('stored', DURABLE));
    const storedQos0 = connect(bench.open('stored, QoS 0', DURABLE));
    bench.subscribe(bench.registry.get('clean')!, 't', 1);
    bench.subscribe(bench.registry.get('stored')!, 't', 1);
    bench.subscribe(bench.registry.get('stored, QoS 0')!, 't', 0);
    await bench.clock.settle();
    const before = bench.store.applied.length;
    bench.dispatcher.forward([{ message: messageOf({ payload: '1' }), shareKeys: [] }]);
    expect([clean, stored, storedQos0].map(({ payloads }) => payloads)).toEqual([['1'], [], ['1']]);
    bench.dispatcher.forward([{ message: messageOf({ payload: '2', qos: 0 }), shareKeys: [] }]);
    expect([clean, stored, storedQos0].map(({ payloads }) => payloads)).toEqual([['1', '2'], ['2'], ['1', '2']]);
    bench.registry.get('clean')!.onPuback(1);
    await bench.clock.settle();
    expect(bench.store.applied).toHaveLength(before);
    expect(bench.books.received).toBe(0);
    expect(bench.books.imbalance).toBe(0);
  });

  test('is not for its publisher where that wants none of its own', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const link = connect(bench.open('c'));
    bench.registry.subscribe(bench.registry.get('c')!, {
      topicFilter: 't',
      qos: 0,
      noLocal: true,
      retainAsPublished: false,
      retainHandling: 0,
      subscriptionIdentifier: 0,
    });
    bench.dispatcher.forward([
      { message: messageOf({ payload: 'own', publisherId: 'c' }), shareKeys: [] },
      { message: messageOf({ payload: 'other', publisherId: 'd' }), shareKeys: [] },
    ]);
    expect(link.payloads).toEqual(['other']);
  });

  test('goes to the parts that are named and no others; one that is gone has it booked as dropped', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const link = connect(bench.open('c'));
    for (const filter of [GROUP, '$share/h/t']) bench.subscribe(bench.registry.get('c')!, filter, 0);
    const drops: string[] = [];
    bench.books.onDrop = (...drop) => drops.push(drop.join(' '));
    bench.dispatcher.forward([{ message: messageOf({ payload: '1', qos: 0 }), shareKeys: [SHARE_KEY, 'gone/t'] }]);
    expect(link.payloads).toEqual(['1']);
    expect(drops).toEqual(['gone/t t offline']);
    expect(bench.books.imbalance).toBe(0);
  });
});
