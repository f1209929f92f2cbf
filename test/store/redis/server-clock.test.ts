import { afterEach, describe, expect, test } from 'vitest';
import { Message } from '../../../src/protocol/message.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { ServerClock } from '../../../src/store/redis/server-clock.ts';
import { entry, fullWill, NO_LIMIT, put, session } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';

const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;

/** A local clock and one of Redis, and how long each question takes on its way there and back, ms. */
class TwoClocks {
  localMs = START_MS;
  aheadMs: number;
  trips: readonly (readonly [there: number, back: number])[] = [[1, 1]];
  readonly clock: ServerClock;
  #asked = 0;

  constructor(aheadMs: number) {
    this.aheadMs = aheadMs;
    this.clock = new ServerClock(
      () => {
        const [there, back] = this.trips[this.#asked++ % this.trips.length] as readonly [number, number];
        this.localMs += there;
        const time = this.localMs + this.aheadMs;
        this.localMs += back;
        return Promise.resolve(time);
      },
      () => this.localMs,
    );
  }
}

describe('the clock of Redis', () => {
  test.each([HOUR_MS, -HOUR_MS, 250, -250])('that is %d ms ahead is found at once', async (aheadMs) => {
    const { clock } = new TwoClocks(aheadMs);
    expect(clock.offsetMs).toBe(0);
    await clock.measure();
    expect(clock.offsetMs).toBe(aheadMs);
  });

  test('is told by the quickest of some questions', async () => {
    const clocks = new TwoClocks(HOUR_MS);
    clocks.trips = [
      [5_000, 1],
      [1, 9_000],
      [3, 1],
      [4_000, 2],
    ];
    await clocks.clock.measure();
    expect(clocks.clock.offsetMs).toBe(HOUR_MS + 1);
  });

  test('that hardly differs counts as equal, and what is in doubt changes nothing', async () => {
    const near = new TwoClocks(40);
    await near.clock.measure();
    expect(near.clock.offsetMs).toBe(0);
    const slow = new TwoClocks(HOUR_MS);
    await slow.clock.measure();
    slow.trips = [[0, 4_000]];
    await slow.clock.measure();
    expect(slow.clock.offsetMs).toBe(HOUR_MS);
  });

  test('that was set anew is followed in steps', async () => {
    const clocks = new TwoClocks(HOUR_MS);
    await clocks.clock.measure();
    clocks.aheadMs += 8_000;
    await clocks.clock.measure();
    expect(clocks.clock.offsetMs).toBe(HOUR_MS + 2_000);
    for (let beat = 0; beat < 40; beat++) await clocks.clock.measure();
    expect(Math.abs(clocks.clock.offsetMs - clocks.aheadMs)).toBeLessThanOrEqual(100);
  });

  test('that cannot be asked leaves what was known', async () => {
    let isAway = false;
    const clock = new ServerClock(
      () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(START_MS + HOUR_MS)),
      () => START_MS,
    );
    await clock.measure();
    isAway = true;
    await expect(clock.measure()).rejects.toThrow('away');
    expect(clock.offsetMs).toBe(HOUR_MS);
  });
});

const OPEN: { end(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of OPEN.splice(0).toReversed()) await each.end();
});

const near = (ms: number, expected: number): void => expect(Math.abs(ms - expected)).toBeLessThan(30_000);

describe.skipIf(redisMissing !== '')('stores whose local clocks differ', () => {
  const storeAt = (server: RedisServer, aheadMs: number): RedisStore => {
    const times = { leaseMs: 60_000, timeoutMs: 60_000, now: () => Date.now() + aheadMs };
    const options = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, ...times, logger: SILENT };
    const store = new RedisStore({ address: parseRedisUrl(server.url), ...options });
    OPEN.push({ end: () => store.close() });
    return store;
  };

  test.each([
    ['ahead of', HOUR_MS, 0],
    ['behind', -HOUR_MS, HOUR_MS],
  ])('read the remaining times that one %s them has written', async (_, writerAheadMs, readerAheadMs) => {
    const server = await RedisServer.start();
    OPEN.push({ end: () => server.stop() });
    const writer = storeAt(server, writerAheadMs);
    await writer.open();
    const written = Date.now() + writerAheadMs;
    const expiring = (topicName: string, ms: number): Message =>
      new Message({ topicName, payload: Buffer.from('x'), qos: 1, retain: true, expiresAt: written + ms });
    const shared = expiring('shared', 600_000);
    await writer.commit([
      session('a', 1, { expiresAt: written + 300_000 }),
      session('b', 2),
      { kind: 'will-put', record: { ...fullWill, clientId: 'a', publishAt: written + 400_000 } },
      { kind: 'will-put', record: { ...fullWill, clientId: 'b', publishAt: Number.POSITIVE_INFINITY } },
      put(entry(1, 1, expiring('own', 500_000))),
      put(entry(1, 2, shared)),
      put(entry(2, 1, shared)),
      put(entry(2, 2)),
      { kind: 'retained-put', message: expiring('kept', 700_000) },
      { kind: 'retained-put', message: new Message({ topicName: 'for good', payload: Buffer.from('x'), qos: 1 }) },
    ]);
    await writer.close();

    const reader = storeAt(server, readerAheadMs);
    const state = await reader.open();
    const now = Date.now() + readerAheadMs;
    const sessions = new Map(state.sessions.map((record) => [record.clientId, record.expiresAt - now]));
    near(sessions.get('a') ?? Number.NaN, 300_000);
    expect(sessions.get('b')).toBe(Number.POSITIVE_INFINITY);
    const wills = new Map(state.wills.map((record) => [record.clientId, record.publishAt - now]));
    near(wills.get('a') ?? Number.NaN, 400_000);
    expect(wills.get('b')).toBe(Number.POSITIVE_INFINITY);
    const queue = async (queueId: number): Promise<[number, number]> => {
      const [one, two] = await reader.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT);
      return [(one?.message.expiresAt ?? Number.NaN) - now, (two?.message.expiresAt ?? Number.NaN) - now];
    };
    const [own, first] = await queue(1);
    near(own, 500_000);
    near(first, 600_000);
    const [second, never] = await queue(2);
    near(second, 600_000);
    expect(never).toBe(Number.POSITIVE_INFINITY);
    const retained = new Map(state.retained.map((message) => [message.topicName, message.expiresAt - now]));
    near(retained.get('kept') ?? Number.NaN, 700_000);
    expect(retained.get('for good')).toBe(Number.POSITIVE_INFINITY);
  });
});
