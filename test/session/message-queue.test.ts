import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageQueue, type QueueOwner } from '../../src/session/message-queue.ts';
import { QueueEntry } from '../../src/session/queue-entry.ts';
import type { QueuePolicy, SessionSettings } from '../../src/session/settings.ts';
import { messageOf, SessionBench } from './session-bench.ts';

const QUEUE_ID = 1;
const TOPIC = 't';

interface ModelEntry {
  payload: string;
  expiresAt: number;
}

/** What a queue must hold, as two lists. */
class QueueModel {
  inFlight: ModelEntry[] = [];
  waiting: ModelEntry[] = [];
  expired = 0;
  dropped = 0;
  readonly #settings: SessionSettings;

  constructor(settings: SessionSettings) {
    this.#settings = settings;
  }

  get count(): number {
    return this.inFlight.length + this.waiting.length;
  }

  get bytes(): number {
    return [...this.inFlight, ...this.waiting].reduce((sum, { payload }) => sum + TOPIC.length + payload.length, 0);
  }

  push(entry: ModelEntry, now: number): void {
    const size = TOPIC.length + entry.payload.length;
    const { queueMessagesMax, queueBytesMax, queuePolicy } = this.#settings;
    const isOver = (): boolean => this.count + 1 > queueMessagesMax || this.bytes + size > queueBytesMax;
    if (queuePolicy === 'drop-oldest' && size <= queueBytesMax) {
      while (isOver()) {
        this.#dropExpired(now);
        if (!isOver() || this.waiting.shift() === undefined) break;
        this.dropped += 1;
      }
    }
    if (isOver()) this.dropped += 1;
    else this.waiting.push(entry);
  }

  shift(now: number): ModelEntry | undefined {
    this.#dropExpired(now);
    const entry = this.waiting.shift();
    if (entry !== undefined) this.inFlight.push(entry);
    return entry;
  }

  #dropExpired(now: number): void {
    while (this.waiting[0] !== undefined && this.waiting[0].expiresAt <= now) {
      this.waiting.shift();
      this.expired += 1;
    }
  }
}

class Owner implements QueueOwner {
  readonly name: string = 'owner';
  durable: boolean;
  inFlight: QueueEntry[] = [];
  ready = 0;

  constructor(durable: boolean) {
    this.durable = durable;
  }

  onQueueReady(): void {
    this.ready += 1;
  }

  onInFlightRead(entry: QueueEntry): void {
    this.inFlight.push(entry);
  }
}

function entryOf(payload: string, expiresAt: number = Number.POSITIVE_INFINITY): QueueEntry {
  return new QueueEntry(messageOf({ payload, expiresAt }), 1, false, [], '');
}

function payloadOf(entry: QueueEntry): string {
  return Buffer.from(entry.message.payload).toString();
}

/** A queue by itself, its owner, and the model it is compared with. */
class Trial {
  bench: SessionBench;
  owner: Owner;
  queue: MessageQueue;
  readonly model: QueueModel;
  #sent = 0;

  constructor(bench: SessionBench, durable: boolean) {
    this.bench = bench;
    this.owner = new Owner(durable);
    this.queue = new MessageQueue(bench.context, this.owner, QUEUE_ID);
    this.model = new QueueModel(bench.settings);
  }

  push(length: number, expiresInMs: number): void {
    this.#sent += 1;
    const payload = `${this.#sent}`.padEnd(length, '.');
    const now = this.bench.clock.now();
    this.model.push({ payload, expiresAt: now + expiresInMs }, now);
    this.queue.push(entryOf(payload, now + expiresInMs));
  }

  /** Takes the next entry; what is on disk is in memory one settled clock later. */
  async shift(): Promise<void> {
    const now = this.bench.clock.now();
    let entry = this.queue.shift(now);
    for (let page = 0; entry === undefined && this.queue.waiting > 0 && page < 100; page++) {
      const { ready } = this.owner;
      await this.bench.clock.settle();
      expect(this.owner.ready).toBeGreaterThan(ready);
      entry = this.queue.shift(now);
    }
    expect(entry === undefined ? undefined : payloadOf(entry)).toBe(this.model.shift(now)?.payload);
    if (entry === undefined) return;
    entry.state = 'sent';
    entry.packetId = 1;
    if (this.owner.durable) this.bench.writePath.changeEntry(entry);
    this.owner.inFlight.push(entry);
  }

  remove(which: number): void {
    const [entry] = this.owner.inFlight.splice(which, 1);
    this.model.inFlight.splice(which, 1);
    if (entry !== undefined) this.queue.remove(entry);
  }

  /** Puts what is in flight back in front, as new entries, the way groups do. */
  putBack(): void {
    for (let entry = this.owner.inFlight.pop(); entry !== undefined; entry = this.owner.inFlight.pop()) {
      this.queue.remove(entry);
      this.queue.pushFront(entryOf(payloadOf(entry), entry.message.expiresAt));
    }
    this.model.waiting.unshift(...this.model.inFlight.splice(0));
  }

  async restart(): Promise<void> {
    if (!this.owner.durable) return;
    await this.bench.clock.settle();
    this.bench = await this.bench.restarted();
    this.owner = new Owner(true);
    this.queue = new MessageQueue(this.bench.context, this.owner, QUEUE_ID);
    const { queues } = this.bench.store.disk.read();
    for (const summary of queues) this.queue.restore(summary);
    expect(this.bench.books.restored).toBe(this.model.count);
    await this.queue.readHead();
    this.model.expired = 0;
    this.model.dropped = 0;
  }

  check(): void {
    const { bench, model, queue } = this;
    const { expired, dropped, queued } = bench.books;
    expect({ count: queue.count, bytes: queue.bytes, waiting: queue.waiting, queued }).toEqual({
      count: model.count,
      bytes: model.bytes,
      waiting: model.waiting.length,
      queued: model.count,
    });
    expect({ expired, dropped: dropped['queue-full'] }).toEqual({ expired: model.expired, dropped: model.dropped });
    expect(this.owner.inFlight.map(payloadOf)).toEqual(model.inFlight.map(({ payload }) => payload));
    const stored = this.owner.durable ? [...model.inFlight, ...model.waiting].map(({ payload }) => payload) : [];
    expect(bench.storedPayloads(QUEUE_ID).sort()).toEqual(stored.sort());
    expect(bench.fatal).toEqual([]);
  }
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('push' as const),
      length: fc.constantFrom(4, 4, 30, 120),
      expiresInMs: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 500),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('shift' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('put back' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

describe.each([
  ['in memory', false],
  ['stored', true],
])('a queue %s', (_, durable) => {
  test.each<QueuePolicy>(['drop-oldest', 'drop-newest', 'refuse'])(
    'with policy %s is what two lists are',
    async (queuePolicy) => {
      // With the oldest on disk, what of it has expired is found when it is read, which is later than in the model.
      const expires = !durable || queuePolicy !== 'drop-oldest';
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 5, maxLength: 60 }),
          fc.integer({ min: 1, max: 6 }),
          fc.constantFrom(12, 100, 1000),
          async (steps, queueWindowMessages, queueWindowBytes) => {
            const limits = { queueMessagesMax: 10, queueBytesMax: 200, queueWindowMessages, queueWindowBytes };
            const trial = new Trial(await new SessionBench({ queuePolicy, ...limits }).start(), durable);
            for (const next of steps) {
              if (next.do === 'push') trial.push(next.length, expires ? next.expiresInMs : Number.POSITIVE_INFINITY);
              else if (next.do === 'shift') await trial.shift();
              else if (next.do === 'remove') trial.remove(next.which);
              else if (next.do === 'put back') trial.putBack();
              else if (next.do === 'pass') await trial.bench.clock.pass(600);
              else await trial.restart();
              await trial.bench.clock.settle();
              trial.check();
            }
          },
        ),
        { numRuns: 150 },
      );
    },
  );

  test('keeps its order while pages are read, messages come in and the store is slow', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('push', 'push', 'shift', 'turn'), { maxLength: 80 }), async (steps) => {
        const trial = new Trial(await new SessionBench({ queueWindowMessages: 3 }).start(), durable);
        const { queue, bench } = trial;
        const taken: string[] = [];
        const take = (): void => {
          const entry = queue.shift(bench.clock.now());
          if (entry === undefined) return;
          taken.push(payloadOf(entry));
          queue.remove(entry);
        };
        let sent = 0;
        for (const action of steps) {
          if (action === 'push') {
            sent += 1;
            queue.push(entryOf(`${sent}`));
          } else if (action === 'shift') take();
          else bench.clock.runImmediates();
          if (action === 'turn') await Promise.resolve();
        }
        for (let round = 0; queue.waiting > 0 && round < 200; round++) {
          await bench.clock.settle();
          take();
        }
        expect(taken).toEqual(Array.from({ length: sent }, (__, index) => `${index + 1}`));
        await bench.clock.settle();
        expect(bench.storedPayloads(QUEUE_ID)).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('books everything as dropped when it is closed, and takes no page in afterwards', async () => {
    const trial = new Trial(await new SessionBench({ queueWindowMessages: 1 }).start(), durable);
    const { bench, queue, owner } = trial;
    for (let sent = 0; sent < 5; sent++) trial.push(4, Number.POSITIVE_INFINITY);
    bench.books.owed = 5;
    queue.shift(bench.clock.now());
    queue.close();
    await bench.clock.settle();
    expect({ count: queue.count, waiting: queue.waiting, ready: owner.ready }).toEqual({
      count: 0,
      waiting: 0,
      ready: 0,
    });
    expect(bench.books.dropped['session-ended']).toBe(5);
    expect(bench.books.imbalance).toBe(0);
  });
});

describe('a queue', () => {
  test('gives up an entry wherever it waits', async () => {
    const bench = await new SessionBench({ queueWindowMessages: 2 }).start();
    const queue = new MessageQueue(bench.context, new Owner(true), QUEUE_ID);
    const entries = ['1', '2', '3', '4'].map((payload) => entryOf(payload));
    for (const entry of entries) queue.push(entry);
    expect(entries.map(({ place }) => place)).toEqual(['window', 'window', 'disk', 'disk']);
    queue.forget(entries[1] as QueueEntry);
    queue.forget(entries[3] as QueueEntry);
    await bench.clock.settle();
    expect({ count: queue.count, waiting: queue.waiting }).toEqual({ count: 2, waiting: 2 });
    expect(bench.storedPayloads(QUEUE_ID)).toEqual(['1', '3']);
  });

  test('keeps more than its window in memory while all queues together have room', async () => {
    const bench = await new SessionBench({ queueWindowMessages: 2, queueMemoryBytes: 5000 }).start();
    const [one, other] = [QUEUE_ID, QUEUE_ID + 1].map((id) => new MessageQueue(bench.context, new Owner(true), id));
    const placesOf = (queue: MessageQueue | undefined): string => {
      const entries = Array.from({ length: 5 }, (_, i) => entryOf(`${i}`));
      for (const entry of entries) queue?.push(entry);
      return entries.map(({ place }) => place).join(' ');
    };
    expect(placesOf(one)).toBe('window window window window window');
    // What is left of the memory is for one more; then each queue has its own window and no more.
    expect(placesOf(other)).toBe('window window disk disk disk');
    one?.close();
    other?.close();
    expect(bench.context.waitingMemory.bytes).toBe(0);
  });

  test('asks for no page when what it waited for was given up', async () => {
    const bench = await new SessionBench({ queueWindowMessages: 1 }).start();
    const owner = new Owner(true);
    const queue = new MessageQueue(bench.context, owner, QUEUE_ID);
    const [first, second] = [entryOf('1'), entryOf('2')];
    queue.push(first);
    queue.push(second);
    queue.remove(queue.shift(bench.clock.now()) as QueueEntry);
    queue.forget(second);
    await bench.clock.settle();
    expect(bench.fatal).toEqual([]);
    expect(queue.count).toBe(0);
  });

  test('does not part a batch when it has to read', async () => {
    const bench = await new SessionBench({ queueWindowMessages: 1 }).start();
    const queue = new MessageQueue(bench.context, new Owner(true), QUEUE_ID);
    for (const payload of ['1', '2', '3']) queue.push(entryOf(payload));
    await bench.clock.settle();
    bench.store.isHeld = true;
    const { commits } = bench.writePath;
    bench.writePath.add({ kind: 'inbound-put', clientId: 'a', packetId: 1 });
    queue.shift(bench.clock.now());
    bench.writePath.add({ kind: 'inbound-put', clientId: 'a', packetId: 2 });
    await bench.clock.settle();
    bench.store.isHeld = false;
    bench.store.release();
    await bench.clock.settle();
    expect(bench.store.disk.read().inbound).toHaveLength(2);
    expect(bench.writePath.commits).toBe(commits + 1);
  });

  test('gives up reading its head when the store fails', async () => {
    const bench = await new SessionBench().start();
    const queue = new MessageQueue(bench.context, new Owner(true), QUEUE_ID);
    const failure = new Error('the store is gone');
    bench.store.readQueue = () => Promise.reject(failure);
    queue.restore({ queueId: QUEUE_ID, count: 1, bytes: 1, firstSequence: 5, lastSequence: 5 });
    await queue.readHead();
    expect(bench.fatal).toEqual([failure]);
  });
});

describe('a queue that cannot be read', () => {
  test('ends the broker, and nobody waits for it any more', async () => {
    const bench = new SessionBench();
    bench.store.readQueue = () => Promise.reject(new Error('damaged'));
    const queue = new MessageQueue(bench.context, new Owner(true), QUEUE_ID);
    queue.restore({ queueId: QUEUE_ID, count: 1, bytes: 10, firstSequence: 5, lastSequence: 5 });
    await queue.readHead();
    expect(bench.fatal).toMatchObject([{ message: 'damaged' }]);
  });
});
