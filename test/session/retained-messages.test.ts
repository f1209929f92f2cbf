import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StoreFullError } from '../../src/store/store.ts';
import { applied, benchAmong, FakeNeighbours } from './fake-neighbours.ts';
import { messageOf, SessionBench } from './session-bench.ts';

function valueOf(bench: SessionBench, topicName: string): string | undefined {
  const message = bench.retained.trie.get(topicName);
  return message === undefined ? undefined : Buffer.from(message.payload).toString();
}

function storedValues(bench: SessionBench): Map<string, string> {
  const { retained } = bench.store.disk.read();
  return new Map(retained.map(({ topicName, payload }) => [topicName, Buffer.from(payload).toString()]));
}

describe('retained messages', () => {
  test('are what a map holds, within both limits, in memory and on disk', async () => {
    const step = fc.record({
      topic: fc.nat(4),
      length: fc.constantFrom(0, 3, 20),
      expiresInMs: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 500),
      passMs: fc.constantFrom(0, 0, 0, 300),
    });
    const limits = { retainedMessagesMax: 3, retainedBytesMax: 50 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const bench = await new SessionBench(limits).start();
        const model = new Map<string, { value: string; expiresAt: number }>();
        for (const [index, { topic, length, expiresInMs, passMs }] of steps.entries()) {
          await bench.clock.pass(passMs);
          const now = bench.clock.now();
          for (const [name, { expiresAt }] of model) if (expiresAt <= now) model.delete(name);
          const topicName = `t${topic}`;
          const payload = length === 0 ? '' : `${index}`.padEnd(length, '.');
          const message = messageOf({ topicName, payload, retain: true, expiresAt: now + expiresInMs });
          const others = [...model].filter(([name]) => name !== topicName);
          const bytes = others.reduce((sum, [name, { value }]) => sum + name.length + value.length, 0);
          const fits =
            length === 0 ||
            (others.length < limits.retainedMessagesMax && bytes + message.size <= limits.retainedBytesMax);
          expect(bench.retained.hasRoomFor(message)).toBe(fits);
          if (fits) {
            bench.retained.put(message);
            if (length === 0) model.delete(topicName);
            else model.set(topicName, { value: payload, expiresAt: now + expiresInMs });
          }
          await bench.clock.settle();
          const expected = new Map([...model].map(([name, { value }]) => [name, value]));
          expect(new Map([...model.keys()].map((name) => [name, valueOf(bench, name)]))).toEqual(expected);
          expect(bench.retained.trie.count).toBe(model.size);
          expect(storedValues(bench)).toEqual(expected);
        }
        const restarted = await bench.restarted();
        expect(restarted.retained.trie.count).toBe(model.size);
      }),
      { numRuns: 150 },
    );
  });

  test('that expired while the broker was down are gone', async () => {
    const bench = await new SessionBench().start();
    bench.retained.put(messageOf({ topicName: 'short', payload: '1', expiresAt: bench.clock.now() + 1000 }));
    bench.retained.put(messageOf({ topicName: 'long', payload: '2', expiresAt: bench.clock.now() + 60_000 }));
    await bench.clock.settle();
    const restarted = await bench.restarted(2000);
    await restarted.clock.pass(1);
    expect([valueOf(restarted, 'short'), valueOf(restarted, 'long')]).toEqual([undefined, '2']);
    expect([...storedValues(restarted).keys()]).toEqual(['long']);
  });

  test('of the broker itself are not stored', async () => {
    const bench = await new SessionBench().start();
    bench.retained.put(messageOf({ topicName: '$SYS/broker/uptime', payload: '1' }));
    bench.retained.remove('$SYS/broker/uptime');
    await bench.clock.settle();
    expect(bench.store.applied).toEqual([]);
  });

  test('go back to the one before where the store had no room, also across batches', async () => {
    const bench = await new SessionBench().start();
    const put = (payload: string): void => bench.retained.put(messageOf({ topicName: 't', payload }));
    put('kept');
    await bench.clock.settle();
    bench.store.isHeld = true;
    put('refused');
    await bench.clock.settle();
    put('refused as well');
    bench.store.fail(new StoreFullError('full'));
    await bench.clock.settle();
    expect(valueOf(bench, 't')).toBe('refused as well');
    await bench.clock.pass(1000);
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(valueOf(bench, 't')).toBe('kept');
    expect([...storedValues(bench)]).toEqual([['t', 'kept']]);
  });

  test('that were replaced do not take their successor along when they would have expired', async () => {
    const bench = await new SessionBench().start();
    bench.retained.put(messageOf({ topicName: 't', payload: '1', expiresAt: bench.clock.now() + 1000 }));
    bench.retained.put(messageOf({ topicName: 't', payload: '2' }));
    await bench.clock.pass(2000);
    expect(valueOf(bench, 't')).toBe('2');
  });
});

describe('retained messages among several nodes', () => {
  test('are written, and kept when the store has put them in order', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const message = messageOf({ payload: '1', retain: true });
    bench.retained.put(message);
    bench.retained.put(messageOf({ topicName: 'unknown', payload: '', retain: true }));
    await bench.clock.settle();
    expect([valueOf(bench, 't'), bench.retained.trie.count]).toEqual([undefined, 0]);
    expect(bench.store.applied).toEqual([
      { kind: 'retained-put', message },
      { kind: 'retained-delete', topicName: 'unknown' },
    ]);
    bench.retained.apply('t', message);
    bench.retained.apply('t', messageOf({ payload: 'of another node' }));
    expect(valueOf(bench, 't')).toBe('of another node');
    bench.retained.apply('t', undefined);
    bench.retained.apply('t', undefined);
    expect(bench.retained.trie.count).toBe(0);
    expect(bench.store.applied).toHaveLength(2);
  });

  test('that were refused for lack of room were never kept', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    bench.store.isHeld = true;
    bench.retained.put(messageOf({ payload: '1' }));
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    await bench.clock.settle();
    // While it is known to be full, QoS 0 adds nothing either.
    bench.retained.put(messageOf({ payload: '2', qos: 0 }));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect([bench.store.applied, bench.retained.trie.count]).toEqual([[], 0]);
  });

  test('have room as those do that are kept', async () => {
    const bench = await benchAmong(new FakeNeighbours(), { retainedMessagesMax: 1 });
    bench.retained.apply('a', messageOf({ topicName: 'a', payload: '1' }));
    expect(bench.retained.hasRoomFor(messageOf({ topicName: 'b', payload: '1' }))).toBe(false);
    expect(bench.retained.hasRoomFor(messageOf({ topicName: 'a', payload: '2' }))).toBe(true);
  });

  test('expire on every node, and in the store unless another has taken their place', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const short = messageOf({ payload: '1', expiresAt: bench.clock.now() + 1000 });
    bench.retained.apply('t', short);
    bench.retained.apply('u', messageOf({ topicName: 'u', payload: '1', expiresAt: bench.clock.now() + 1000 }));
    bench.retained.apply('u', messageOf({ topicName: 'u', payload: '2' }));
    await bench.clock.pass(1000);
    await bench.clock.settle();
    expect([valueOf(bench, 't'), valueOf(bench, 'u')]).toEqual([undefined, '2']);
    expect(applied(bench, 'retained-expire')).toEqual([{ kind: 'retained-expire', message: short }]);
    expect(bench.store.applied).toHaveLength(1);
  });

  test('of the broker itself are kept at once, and stored nowhere', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const topicName = '$SYS/broker/uptime';
    bench.retained.put(messageOf({ topicName, payload: '1', expiresAt: bench.clock.now() + 1000 }));
    expect(valueOf(bench, topicName)).toBe('1');
    await bench.clock.pass(1000);
    expect(valueOf(bench, topicName)).toBeUndefined();
    await bench.clock.settle();
    expect(bench.store.applied).toEqual([]);
  });
});
