import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Qos } from '../../src/protocol/packets.ts';
import type { Session } from '../../src/session/session.ts';
import type { QueueRecord } from '../../src/store/store.ts';
import { benchAmong, FakeNeighbours, postedOf } from './fake-neighbours.ts';
import { RecordingLink } from './recording-link.ts';
import { DURABLE, messageOf, SessionBench } from './session-bench.ts';
import { type ModelEntry, SessionModel } from './session-model.ts';

type AckType = 'PUBACK' | 'PUBREC' | 'PUBREC error' | 'PUBCOMP';

type Step =
  | { do: 'deliver'; qos: Qos; length: number; expiresInMs: number }
  | { do: 'acknowledge'; type: AckType; which: number }
  | { do: 'attach'; receiveMaximum: number; payloadMax: number }
  | { do: 'detach' }
  | { do: 'writable'; writable: boolean }
  | { do: 'pass'; ms: number }
  | { do: 'restart' };

const ackType = fc.constantFrom<AckType>('PUBACK', 'PUBREC', 'PUBREC error', 'PUBCOMP');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      qos: fc.constantFrom<Qos>(0, 1, 2),
      length: fc.constantFrom(4, 4, 4, 40),
      expiresInMs: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 500),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('acknowledge' as const), type: ackType, which: fc.nat(6) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('attach' as const),
      receiveMaximum: fc.integer({ min: 1, max: 4 }),
      payloadMax: fc.constantFrom(20, 100, 100),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('detach' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('writable' as const), writable: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(100, 600) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

/** One session, and the model it is compared with after every step. */
class Trial {
  bench: SessionBench;
  session: Session;
  link: RecordingLink | undefined = undefined;
  readonly model: SessionModel;
  #sent = 0;
  readonly #expiry: number;

  constructor(bench: SessionBench, durable: boolean) {
    this.bench = bench;
    this.model = new SessionModel(bench.settings.inFlightBytesMax);
    this.#expiry = durable ? DURABLE : 0;
    this.session = bench.open('client', this.#expiry);
    bench.subscribe(this.session, 't', 2);
  }

  async run(next: Step): Promise<void> {
    const { model, bench } = this;
    const now = bench.clock.now();
    switch (next.do) {
      case 'deliver': {
        this.#sent += 1;
        const payload = `${this.#sent}`.padEnd(next.length, '.');
        const expiresAt = now + next.expiresInMs;
        model.deliver(payload, next.qos, now, expiresAt);
        bench.publish({ payload, qos: next.qos, expiresAt });
        break;
      }
      case 'acknowledge':
        this.#acknowledge(next.type, next.which);
        break;
      case 'attach': {
        if (this.link !== undefined) this.session.detach();
        this.link = new RecordingLink(next.receiveMaximum);
        this.link.payloadMax = next.payloadMax;
        model.attach({ ...next, writable: true }, now);
        this.session.attach(this.link);
        break;
      }
      case 'detach':
        this.link = undefined;
        model.detach();
        this.session.detach();
        break;
      case 'writable':
        if (this.link === undefined || model.link === undefined) break;
        this.link.writable = next.writable;
        model.link.writable = next.writable;
        model.pump(now);
        this.session.pump();
        break;
      case 'pass':
        await bench.clock.pass(next.ms);
        break;
      case 'restart':
        await this.#restart();
        break;
    }
    await this.bench.clock.settle();
  }

  /** Acknowledges one of what is in flight, or an id that is not. */
  #acknowledge(type: AckType, which: number): void {
    const { model, session, link } = this;
    if (link === undefined) return;
    const packetId = model.answerable[which]?.packetId ?? 60_000;
    const result = model.acknowledge(type, packetId, this.bench.clock.now());
    if (type === 'PUBACK') expect(session.onPuback(packetId)).toBe(result);
    else if (type === 'PUBCOMP') expect(session.onPubcomp(packetId)).toBe(result);
    else expect(session.onPubrec(packetId, type === 'PUBREC error')).toBe(result);
  }

  async #restart(): Promise<void> {
    if (this.#expiry === 0) return;
    await this.bench.clock.settle();
    this.link = undefined;
    this.model.restart();
    this.bench = await this.bench.restarted();
    this.session = this.bench.registry.get('client') as Session;
    this.bench.registry.open({
      clientId: 'client',
      epoch: 2,
      cleanStart: false,
      sessionExpiryInterval: this.#expiry,
      username: '',
    });
    await this.session.read();
    const { books } = this.bench;
    expect(books.restored).toBe(this.model.entries.length);
    // The books of a broker begin with its life.
    this.model.delivered = 0;
    this.model.expired = 0;
    this.model.dropped = 0;
  }

  check(): void {
    const { bench, model, session } = this;
    // A QoS 2 message waits for its flush, so order is told per QoS, as [MQTT-4.6.0] does.
    const out = model.out.splice(0);
    const sent = this.link?.take() ?? [];
    for (const qos of [0, 1, 2]) {
      const plain = sent.filter((packet) => packet.qos === qos);
      expect(plain.map(({ type, packetId, dup, payload }) => ({ type, packetId, qos, dup, payload }))).toEqual(
        out.filter((packet) => packet.qos === qos),
      );
    }
    const { books } = bench;
    expect(books.imbalance).toBe(0);
    const dropped = Object.values(books.dropped).reduce((sum, count) => sum + count, 0);
    const { delivered, expired, queued } = books;
    expect({ delivered, expired, queued, dropped }).toEqual({
      delivered: model.delivered,
      expired: model.expired,
      queued: model.entries.length,
      dropped: model.dropped,
    });
    expect(session.inFlightCount).toBe(model.inFlight.length);
    expect(bench.registry.inFlightBytes).toBe(model.inFlightBytes);
    if (this.#expiry > 0) expect(bench.stored(session.queue.queueId).map(storedForm)).toEqual(model.entries.map(form));
    else expect(bench.store.applied).toEqual([]);
    expect(bench.fatal).toEqual([]);
  }
}

function form({ payload, qos, state, packetId }: ModelEntry): object {
  return { payload, qos, state, packetId };
}

function storedForm({ message, qos, state, packetId }: QueueRecord): object {
  return { payload: Buffer.from(message.payload).toString(), qos, state, packetId };
}

describe.each([
  ['a session that ends with its connection', false],
  ['a durable session', true],
])('%s', (_, durable) => {
  test('sends, repeats and forgets as the model does, and stores exactly what is owed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.constantFrom(1, 3, 100),
        fc.constantFrom(1, 12, 1_000_000),
        async (steps, queueWindowMessages, inFlightBytesMax) => {
          const settings = { queueWindowMessages, inFlightBytesMax };
          const trial = new Trial(await new SessionBench(settings).start(), durable);
          for (const next of steps) {
            await trial.run(next);
            trial.check();
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a session', () => {
  test('gets one message after the other while all clients together have too much in flight', async () => {
    const bench = await new SessionBench({ inFlightBytesMax: 100 }).start();
    const [silent, other] = [bench.open('silent'), bench.open('other', DURABLE)];
    const links = [new RecordingLink(), new RecordingLink()] as const;
    silent.attach(links[0]);
    other.attach(links[1]);
    bench.subscribe(silent, 'silent', 1);
    bench.subscribe(other, 't', 1);
    for (let sent = 0; sent < 5; sent++) bench.publish({ topicName: 'silent', payload: 'x'.repeat(44) });
    expect(links[0].payloads).toHaveLength(2);
    expect(bench.held).toBe(1);
    for (let sent = 1; sent <= 3; sent++) bench.publish({ payload: `${sent}` });
    expect(links[1].payloads).toEqual(['1']);
    // Who acknowledges goes on, whatever the others do.
    for (const packetId of [1, 2]) expect(other.onPuback(packetId)).toBe('done');
    expect(links[1].payloads).toEqual(['1', '2', '3']);
    // The one that went away has nothing in flight: there is room for more than one again.
    silent.detach();
    expect(bench.registry.inFlightBytes).toBe(2);
    bench.publish({ payload: '4' });
    expect(links[1].payloads).toEqual(['1', '2', '3', '4']);
    bench.registry.end(other, 'for the test');
    expect(bench.registry.inFlightBytes).toBe(4);
    other.detach();
    expect(bench.registry.inFlightBytes).toBe(0);
  });

  test('counts packet ids up, skips those in use and begins again at 1', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client');
    bench.subscribe(session, 't', 1);
    const link = new RecordingLink();
    session.attach(link);
    for (let sent = 1; sent <= 65_535; sent++) {
      bench.publish({ payload: '' });
      // The third one stays in flight.
      if (sent !== 3) session.onPuback(sent);
    }
    link.take();
    for (let sent = 0; sent < 3; sent++) bench.publish({ payload: '' });
    expect(link.take().map(({ packetId }) => packetId)).toEqual([1, 2, 4]);
  });

  test('sends a QoS 2 message of a durable session only once it is flushed, a QoS 1 message at once', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 2);
    await bench.clock.settle();
    const link = new RecordingLink();
    session.attach(link);
    bench.store.isHeld = true;
    bench.publish({ payload: 'two', qos: 2 });
    bench.publish({ payload: 'one', qos: 1 });
    await bench.clock.settle();
    expect(link.payloads).toEqual(['one']);
    bench.store.release();
    await bench.clock.settle();
    expect(link.payloads).toEqual(['one', 'two']);
  });

  test('sends PUBREL of a durable session only once the PUBREC is flushed', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 2);
    const link = new RecordingLink();
    session.attach(link);
    bench.publish({ payload: 'two', qos: 2 });
    await bench.clock.settle();
    link.take();
    bench.store.isHeld = true;
    session.onPubrec(1, false);
    await bench.clock.settle();
    expect(link.take()).toEqual([]);
    // A repeated PUBREC does not hurry it.
    session.onPubrec(1, false);
    expect(link.take()).toEqual([]);
    bench.store.release();
    await bench.clock.settle();
    expect(link.take().map(({ type }) => type)).toEqual(['PUBREL']);
  });

  test('sends a QoS 2 message once, whatever connection its flush finds', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 2);
    await bench.clock.settle();
    const first = new RecordingLink();
    session.attach(first);
    bench.store.isHeld = true;
    bench.publish({ payload: 'two', qos: 2 });
    await bench.clock.settle();
    session.detach();
    const second = new RecordingLink();
    session.attach(second);
    bench.store.release();
    await bench.clock.settle();
    expect(first.payloads).toEqual([]);
    expect(second.sent.map(({ payload, dup }) => ({ payload, dup }))).toEqual([{ payload: 'two', dup: false }]);
  });

  test.each<Qos>([0, 1, 2])(
    'gives its client nothing that it lost the right to before another node had posted it, QoS %i',
    async (qos) => {
      const bench = await benchAmong(new FakeNeighbours());
      const session = bench.open('client', DURABLE);
      bench.subscribe(session, '#');
      const link = new RecordingLink();
      session.attach(link);
      session.mayReceive = (topicName) => topicName !== 'secret';
      const posted = ['secret', 'open'].map((topicName) =>
        postedOf(session.queueId, { payload: topicName, topicName, qos }, ''),
      );
      bench.registry.takePosted(posted);
      await bench.clock.settle();
      expect(link.payloads).toEqual(['open']);
      expect(bench.books.dropped['not-authorized']).toBe(1);
      if (qos > 0) session.onPuback(1);
      if (qos === 2) session.onPubrec(1, true);
      expect(bench.books.imbalance).toBe(0);
    },
  );

  test('does not send a QoS 2 message that its client loses the right to while that is flushed', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, '#');
    const link = new RecordingLink();
    session.attach(link);
    bench.store.isHeld = true;
    bench.publish({ payload: 'secret', topicName: 'secret', qos: 2 });
    bench.publish({ payload: 'open', topicName: 'open', qos: 2 });
    await bench.clock.settle();
    session.mayReceive = (topicName) => topicName !== 'secret';
    bench.store.isHeld = false;
    while (bench.store.waiting > 0) bench.store.release();
    await bench.clock.settle();
    expect(link.payloads).toEqual(['open']);
    expect(bench.storedPayloads(session.queueId)).toEqual(['open']);
    expect(bench.books.dropped['not-authorized']).toBe(1);
  });

  test('queues QoS 0 messages while it is away where that is asked for, and only then', async () => {
    for (const queueQos0 of [false, true]) {
      const bench = await new SessionBench({ queueQos0 }).start();
      const session = bench.open('client', DURABLE);
      bench.subscribe(session, 't', 2);
      bench.publish({ payload: 'away', qos: 0 });
      const link = new RecordingLink();
      session.attach(link);
      expect(link.payloads).toEqual(queueQos0 ? ['away'] : []);
      expect(bench.books.dropped.offline).toBe(queueQos0 ? 0 : 1);
      expect(bench.books.imbalance).toBe(0);
    }
  });

  test('gives up what the store had no room for and goes on with what came later', async () => {
    const { StoreFullError } = await import('../../src/store/store.ts');
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 1);
    await bench.clock.settle();
    const link = new RecordingLink(1);
    session.attach(link);
    bench.store.isHeld = true;
    for (const payload of ['1', '2']) bench.publish({ payload });
    await bench.clock.settle();
    bench.publish({ payload: '3' });
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    // The first was sent before its batch failed: it takes the client's only place until it is acknowledged.
    expect(link.payloads).toEqual(['1']);
    expect(session.onPuback(1)).toBe('done');
    await bench.clock.settle();
    expect(link.payloads).toEqual(['1', '3']);
    expect(bench.storedPayloads(session.queue.queueId)).toEqual(['3']);
    expect(bench.books.dropped['store-full']).toBe(2);
    expect(bench.books.queued).toBe(1);
    expect(bench.books.imbalance).toBe(0);
  });

  test('books a message once that is acknowledged while its batch fails', async () => {
    const { StoreFullError } = await import('../../src/store/store.ts');
    const bench = await new SessionBench().start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 1);
    await bench.clock.settle();
    session.attach(new RecordingLink());
    bench.store.isHeld = true;
    bench.publish({ payload: '1' });
    await bench.clock.settle();
    expect(session.onPuback(1)).toBe('done');
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    const { delivered, queued, dropped } = bench.books;
    expect({ delivered, queued, full: dropped['store-full'] }).toEqual({ delivered: 1, queued: 0, full: 0 });
    expect(session.queue.count).toBe(0);
  });

  test('keeps the order of its queue when it is resumed as one that ends with its connection', async () => {
    const bench = await new SessionBench({ queueWindowMessages: 2 }).start();
    const session = bench.open('client', DURABLE);
    bench.subscribe(session, 't', 1);
    for (const payload of ['1', '2', '3', '4']) bench.publish({ payload });
    await bench.clock.settle();
    expect(bench.open('client', 0)).toBe(session);
    const link = new RecordingLink(1);
    session.attach(link);
    bench.publish({ payload: '5' });
    for (let packetId = 1; packetId <= 5; packetId++) {
      await bench.clock.settle();
      session.onPuback(packetId);
    }
    expect(link.payloads).toEqual(['1', '2', '3', '4', '5']);
    expect(bench.fatal).toEqual([]);
  });

  test('delivers with the lower of both QoS', async () => {
    const bench = await new SessionBench().start();
    const session = bench.open('client');
    const link = new RecordingLink();
    session.attach(link);
    for (const granted of [0, 1, 2] as const) {
      bench.subscribe(session, 't', granted);
      for (const qos of [0, 1, 2] as const) bench.dispatcher.publish(messageOf({ payload: '', qos }));
      expect(link.take().map(({ qos }) => qos)).toEqual([0, 1, 2].map((qos) => Math.min(qos, granted)));
    }
  });
});
