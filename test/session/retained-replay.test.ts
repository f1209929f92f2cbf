import { describe, expect, test } from 'vitest';
import type { Qos } from '../../src/protocol/packets.ts';
import { replayRetained } from '../../src/session/retained-replay.ts';
import type { Session } from '../../src/session/session.ts';
import type { SessionSettings } from '../../src/session/settings.ts';
import type { SubscriptionRecord } from '../../src/store/store.ts';
import { benchAmong, FakeNeighbours } from './fake-neighbours.ts';
import { RecordingLink } from './recording-link.ts';
import { messageOf, SessionBench } from './session-bench.ts';

function subscriptionOf(topicFilter: string, qos: Qos = 0, subscriptionIdentifier = 0): SubscriptionRecord {
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return { topicFilter, qos, subscriptionIdentifier, ...options };
}

/** A session with a connection that subscribes to retained messages. */
class Trial {
  readonly bench: SessionBench;
  readonly session: Session;
  readonly link: RecordingLink = new RecordingLink();

  constructor(bench: SessionBench, sessionExpiryInterval = 0) {
    this.bench = bench;
    this.session = bench.open('c', sessionExpiryInterval);
    this.session.attach(this.link);
  }

  static async start(topics: readonly string[], settings: Partial<SessionSettings> = {}): Promise<Trial> {
    const bench = await new SessionBench({ retainedMessagesMax: 100_000, ...settings }).start();
    for (const topicName of topics) bench.retained.put(messageOf({ topicName, payload: topicName, retain: true }));
    await bench.clock.settle();
    return new Trial(bench);
  }

  /** As one SUBSCRIBE does it. */
  subscribe(...records: SubscriptionRecord[]): void {
    const { bench, session } = this;
    for (const record of records) bench.registry.subscribe(session, record);
    const source = { retained: bench.retained.trie, subscriptions: bench.registry.subscriptions };
    replayRetained(bench.context, source, session, records);
  }
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `t/${String(index).padStart(5, '0')}`);
}

describe('a replay of retained messages', () => {
  test('sends what the filters match, once, with RETAIN and the lower QoS', async () => {
    const trial = await Trial.start(['a', 'a/b', 'b', '$x']);
    trial.subscribe(subscriptionOf('a/#', 1), subscriptionOf('+', 0), subscriptionOf('a', 0));
    await trial.bench.clock.settle();
    const sent = trial.link.sent.map(({ payload, qos, retain }) => `${payload} ${qos} ${retain}`);
    expect(sent.sort()).toEqual(['a 1 true', 'a/b 1 true', 'b 0 true']);
    expect(trial.session.replays).toBeUndefined();
  });

  test('merges overlapping subscriptions with their identifiers, or sends one copy for each as configured', async () => {
    for (const overlap of ['once', 'per-subscription'] as const) {
      const trial = await Trial.start(['a'], { overlap });
      trial.subscribe(subscriptionOf('a', 0, 1), subscriptionOf('#', 0, 2));
      await trial.bench.clock.settle();
      const identifiers = trial.link.sent.map((packet) => packet.identifiers);
      expect(identifiers).toEqual(overlap === 'once' ? [[1, 2]] : [[1], [2]]);
    }
  });

  test('goes on over several turns, so that others get theirs, and misses none', async () => {
    const topics = names(1500);
    const trial = await Trial.start(topics);
    trial.subscribe(subscriptionOf('t/#'));
    const inFirstTurn = trial.link.sent.length;
    expect(inFirstTurn).toBeGreaterThan(0);
    expect(inFirstTurn).toBeLessThan(500);
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toEqual(topics);
  });

  test('does no more in a turn for a client that acknowledges fast', async () => {
    const topics = names(1500);
    const trial = await Trial.start(topics);
    trial.subscribe(subscriptionOf('t/#', 1));
    const inFirstTurn = trial.link.sent.length;
    for (const { packetId } of trial.link.sent) trial.session.onPuback(packetId);
    expect(trial.link.sent.length).toBe(inFirstTurn);
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toEqual(topics);
  });

  test('of many filters that match nothing is over in one turn', async () => {
    const trial = await Trial.start(names(1500));
    trial.subscribe(...Array.from({ length: 50 }, (_, i) => subscriptionOf(`u/${i}${i % 2 === 0 ? '' : '/+'}`)));
    expect(trial.session.replays).toBeUndefined();
    expect(trial.link.sent).toEqual([]);
  });

  test('waits for a client that has its Receive Maximum, and for an outbox that is long', async () => {
    const topics = names(10);
    const trial = await Trial.start(topics);
    trial.link.receiveMaximum = 3;
    trial.subscribe(subscriptionOf('#', 1));
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toEqual(topics.slice(0, 3));
    trial.link.congested = true;
    trial.session.onPuback(1);
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toHaveLength(3);
    trial.link.congested = false;
    for (let packetId = 2; packetId <= 10; packetId++) {
      trial.session.onPuback(packetId);
      await trial.bench.clock.settle();
    }
    expect(trial.link.payloads).toEqual(topics);
    expect(trial.bench.books.queued).toBe(0);
    expect(trial.bench.books.imbalance).toBe(0);
  });

  test('leaves out a value that was replaced while it waited: the new one came as a live message', async () => {
    const trial = await Trial.start(names(3));
    trial.link.congested = true;
    trial.subscribe(subscriptionOf('#', 0));
    trial.bench.publish({ topicName: 't/00001', payload: 'new', qos: 0, retain: true });
    trial.link.congested = false;
    trial.session.pump();
    await trial.bench.clock.settle();
    expect(trial.link.sent.map(({ payload, retain }) => [payload, retain])).toEqual([
      ['new', false],
      ['t/00000', true],
      ['t/00002', true],
    ]);
  });

  test('ends for what was unsubscribed meanwhile', async () => {
    const trial = await Trial.start(names(3));
    trial.link.congested = true;
    trial.subscribe(subscriptionOf('#'));
    trial.bench.registry.unsubscribe(trial.session, '#');
    trial.link.congested = false;
    trial.session.pump();
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toEqual([]);
    expect(trial.session.replays).toBeUndefined();
  });

  test('sends nothing that has expired', async () => {
    const trial = await Trial.start([]);
    const { bench } = trial;
    const expiresAt = bench.clock.now() + 1000;
    bench.retained.put(messageOf({ topicName: 'short', payload: 'short', expiresAt }));
    bench.retained.put(messageOf({ topicName: 'long', payload: 'long' }));
    trial.link.congested = true;
    trial.subscribe(subscriptionOf('#'));
    await bench.clock.pass(1000);
    trial.link.congested = false;
    trial.session.pump();
    await bench.clock.settle();
    expect(trial.link.payloads).toEqual(['long']);
  });

  test('of one SUBSCRIBE follows that of the one before', async () => {
    const trial = await Trial.start(['a', 'b']);
    trial.link.congested = true;
    trial.subscribe(subscriptionOf('b'));
    trial.subscribe(subscriptionOf('a'));
    trial.link.congested = false;
    trial.session.pump();
    await trial.bench.clock.settle();
    expect(trial.link.payloads).toEqual(['b', 'a']);
  });
});

describe('a replay of retained messages among several nodes', () => {
  /** A session that subscribes while the other nodes are heard out. */
  async function begin(neighbours: FakeNeighbours, expiry = 0): Promise<Trial> {
    const bench = await benchAmong(neighbours);
    neighbours.waiting = [];
    return new Trial(bench, expiry);
  }

  async function catchUp({ bench }: Trial, neighbours: FakeNeighbours): Promise<void> {
    await bench.clock.settle();
    for (const resolve of neighbours.waiting?.splice(0) ?? []) resolve();
    await bench.clock.settle();
  }

  test('begins when all that was acknowledged anywhere is known, also where nothing was retained before', async () => {
    const neighbours = new FakeNeighbours();
    const trial = await begin(neighbours);
    trial.subscribe(subscriptionOf('#'));
    await trial.bench.clock.settle();
    expect(neighbours.waiting).toHaveLength(1);
    trial.bench.retained.apply('a', messageOf({ topicName: 'a', payload: 'a' }));
    trial.session.pump();
    expect(trial.link.payloads).toEqual([]);
    await catchUp(trial, neighbours);
    expect(trial.link.payloads).toEqual(['a']);
    expect(trial.session.replays).toBeUndefined();
  });

  test('waits for what was published here before: it may not be stored yet', async () => {
    const neighbours = new FakeNeighbours();
    const trial = await begin(neighbours);
    trial.bench.store.isHeld = true;
    trial.bench.publish({ topicName: 'a', payload: 'a', retain: true });
    trial.subscribe(subscriptionOf('#'));
    await trial.bench.clock.settle();
    expect(neighbours.waiting).toEqual([]);
    trial.bench.store.isHeld = false;
    trial.bench.store.release();
    await trial.bench.clock.settle();
    expect(neighbours.waiting).toHaveLength(1);
  });

  test('does nothing where the session has lost its connection, or has another', async () => {
    for (const comesBack of [false, true]) {
      const neighbours = new FakeNeighbours();
      const trial = await begin(neighbours, 10);
      trial.bench.retained.apply('a', messageOf({ topicName: 'a', payload: 'a' }));
      trial.subscribe(subscriptionOf('#'));
      await trial.bench.clock.settle();
      trial.bench.registry.disconnect(trial.session);
      const second = new RecordingLink();
      if (comesBack) trial.session.attach(second);
      await catchUp(trial, neighbours);
      if (!comesBack) trial.session.attach(second);
      await trial.bench.clock.settle();
      expect([trial.link.payloads, second.payloads]).toEqual([[], []]);
      expect(trial.session.replays).toBeUndefined();
    }
  });
});
