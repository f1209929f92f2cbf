import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Qos } from '../../src/protocol/packets.ts';
import type { Session } from '../../src/session/session.ts';
import { StoreFullError } from '../../src/store/store.ts';
import { RecordingLink } from './recording-link.ts';
import { DURABLE, SessionBench } from './session-bench.ts';

const GROUP = '$share/g/t';

interface Unanswered {
  payload: string;
  qos: Qos;
  isReleased: boolean;
}

/** A client that takes part in a group, its session reconnecting or made anew. */
class Member {
  readonly #bench: SessionBench;
  readonly name: string;
  readonly expiry: number;
  session: Session;
  link: RecordingLink | undefined = undefined;
  /** What it got on this connection and has not finished, by packet id. */
  readonly unanswered: Map<number, Unanswered> = new Map();
  /** Everything it ever got. */
  readonly got: { payload: string; qos: Qos }[] = [];
  /** Payloads it acknowledged to the end. */
  readonly done: string[] = [];

  constructor(bench: SessionBench, name: string, expiry: number) {
    this.#bench = bench;
    this.name = name;
    this.expiry = expiry;
    this.session = bench.open(name, expiry);
  }

  attach(receiveMaximum: number): void {
    if (this.link !== undefined) this.detach();
    this.session = this.#bench.open(this.name, this.expiry);
    this.link = new RecordingLink(receiveMaximum);
    this.session.attach(this.link);
  }

  detach(): void {
    if (this.link === undefined) return;
    this.take();
    this.link = undefined;
    this.unanswered.clear();
    this.#bench.registry.disconnect(this.session);
  }

  /** Leaves for good; what it had in flight is up to the group. */
  end(): void {
    if (!this.session.ended) this.#bench.registry.end(this.session, 'expired');
    this.unanswered.clear();
  }

  take(): void {
    for (const { type, packetId, payload, qos } of this.link?.take() ?? []) {
      if (type === 'PUBLISH') {
        this.got.push({ payload, qos });
        if (qos > 0) this.unanswered.set(packetId, { payload, qos, isReleased: false });
        else this.done.push(payload);
      } else {
        const known = this.unanswered.get(packetId)?.payload ?? this.#earlier(packetId);
        this.unanswered.set(packetId, { payload: known, qos: 2, isReleased: true });
      }
    }
  }

  readonly #received: Map<number, string> = new Map();

  #earlier(packetId: number): string {
    return this.#received.get(packetId) as string;
  }

  /** Answers one of what it got: PUBACK, PUBREC or PUBCOMP. */
  answer(which: number): void {
    this.take();
    const [packetId, exchange] = [...this.unanswered][which] ?? [];
    if (packetId === undefined || exchange === undefined) return;
    this.unanswered.delete(packetId);
    if (exchange.qos === 1) {
      expect(this.session.onPuback(packetId)).toBe('done');
      this.done.push(exchange.payload);
    } else if (exchange.isReleased) {
      expect(this.session.onPubcomp(packetId)).toBe('done');
      this.done.push(exchange.payload);
    } else {
      this.#received.set(packetId, exchange.payload);
      expect(this.session.onPubrec(packetId, false)).toBe('done');
    }
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('publish' as const), qos: fc.constantFrom<Qos>(1, 2) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('answer' as const), who: fc.nat(2), which: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('attach' as const),
      who: fc.nat(2),
      receiveMaximum: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('detach' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('join' as const), who: fc.nat(2), qos: fc.constantFrom<Qos>(1, 2) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
);

describe('a shared subscription', () => {
  test.each([
    ['durable members', [DURABLE, DURABLE, DURABLE]],
    ['members that end with their connection', [0, 0, 0]],
    ['members of both kinds', [DURABLE, 0, DURABLE]],
  ])('with %s loses nothing, and gives each message to one of them', async (_, expiries) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 80 }),
        fc.constantFrom('round-robin', 'random', 'sticky', 'least-in-flight'),
        fc.constantFrom(2, 100),
        async (steps, sharePolicy, queueWindowMessages) => {
          const bench = await new SessionBench({ sharePolicy, queueWindowMessages }).start();
          // It never connects before the end, and keeps the group alive.
          const anchor = new Member(bench, 'anchor', DURABLE);
          bench.subscribe(anchor.session, GROUP);
          const apart = [new Member(bench, 'other group', 0), new Member(bench, 'plain', 0)];
          for (const [index, member] of apart.entries()) {
            bench.subscribe(member.session, index === 0 ? '$share/h/t' : 't');
            member.link = new RecordingLink();
            member.session.attach(member.link);
          }
          const members = expiries.map((expiry, index) => new Member(bench, `member ${index}`, expiry));
          const published: { payload: string; qos: Qos }[] = [];
          for (const next of steps) {
            const member = members['who' in next ? next.who : 0] as Member;
            if (next.do === 'publish') {
              const payload = `${published.length}`;
              published.push({ payload, qos: next.qos });
              bench.publish({ payload, qos: next.qos });
            } else if (next.do === 'answer') member.answer(next.which);
            else if (next.do === 'attach') member.attach(next.receiveMaximum);
            else if (next.do === 'detach') member.detach();
            else if (next.do === 'leave') bench.registry.unsubscribe(member.session, GROUP);
            else if (next.do === 'join' && !member.session.ended) bench.subscribe(member.session, GROUP, next.qos);
            else await bench.clock.settle();
            expect(bench.books.imbalance).toBe(0);
          }
          for (const member of [...members, anchor]) {
            member.attach(100);
            bench.subscribe(member.session, GROUP);
          }
          for (let round = 0; round < 100 && bench.books.queued > 0; round++) {
            await bench.clock.settle();
            for (const member of [...members, anchor, ...apart]) {
              member.take();
              while (member.unanswered.size > 0) member.answer(0);
            }
          }
          expect(bench.books.queued).toBe(0);
          const all = [...members, anchor];
          const done = all.flatMap((member) => member.done);
          const ended = bench.books.dropped['session-ended'];
          // What a member refuses by ending is QoS 2 in flight, and not given to another [MQTT-4.8.2-5].
          expect(done).toHaveLength(published.length - ended);
          expect(new Set(done).size).toBe(done.length);
          for (const { payload } of published) {
            const takers = all.filter((member) => member.got.some((one) => one.payload === payload));
            const firm = all.filter((member) => member.got.some((one) => one.payload === payload && one.qos === 2));
            expect(firm.length).toBeLessThanOrEqual(1);
            if (firm.length === 0 && done.includes(payload)) expect(takers.length).toBeGreaterThan(0);
            else if (!done.includes(payload)) expect(firm.length).toBe(1);
          }
          for (const member of apart)
            expect(member.done).toEqual(expect.arrayContaining(published.map(({ payload }) => payload)));
          for (const member of apart) expect(member.done).toHaveLength(published.length);
          expect(bench.fatal).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('gives QoS 1 messages in flight to another member when one goes, in order and before later ones', async () => {
    const bench = await new SessionBench().start();
    const [first, second] = [new Member(bench, 'first', DURABLE), new Member(bench, 'second', DURABLE)];
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    first.attach(10);
    for (const payload of ['1', '2', '3']) bench.publish({ payload });
    second.attach(1);
    bench.publish({ payload: '4' });
    bench.publish({ payload: '5' });
    first.detach();
    await bench.clock.settle();
    for (let answered = 0; answered < 5; answered++) second.answer(0);
    expect(first.got.map(({ payload }) => payload)).toEqual(['1', '2', '3', '5']);
    expect(second.done).toEqual(['4', '1', '2', '3', '5']);
  });

  test('keeps QoS 2 messages in flight with the member that has them', async () => {
    const bench = await new SessionBench().start();
    const [first, second] = [new Member(bench, 'first', DURABLE), new Member(bench, 'second', DURABLE)];
    for (const member of [first, second]) bench.subscribe(member.session, GROUP);
    first.attach(10);
    bench.publish({ payload: '1', qos: 2 });
    await bench.clock.settle();
    second.attach(10);
    first.detach();
    await bench.clock.settle();
    second.take();
    expect(second.got).toEqual([]);
    first.attach(10);
    first.answer(0);
    await bench.clock.settle();
    first.answer(0);
    expect(first.done).toEqual(['1']);
  });

  test('leaves with a member that unsubscribed what it has in flight, until it goes', async () => {
    const bench = await new SessionBench().start();
    const [first, second] = [new Member(bench, 'first', DURABLE), new Member(bench, 'second', DURABLE)];
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    first.attach(10);
    bench.publish({ payload: '1' });
    second.attach(10);
    bench.registry.unsubscribe(first.session, GROUP);
    second.take();
    expect(second.got).toEqual([]);
    first.detach();
    first.end();
    second.answer(0);
    expect(second.done).toEqual(['1']);
  });

  test('gives what a member had in flight at a restart to the others, also when that member has expired', async () => {
    for (const expiry of [10, DURABLE]) {
      const bench = await new SessionBench().start();
      const first = new Member(bench, 'first', expiry);
      bench.subscribe(first.session, GROUP, 1);
      bench.subscribe(bench.open('second', DURABLE), GROUP, 1);
      first.attach(10);
      bench.publish({ payload: '1' });
      first.detach();
      await bench.clock.settle();
      const restarted = await bench.restarted(20_000);
      expect(restarted.registry.get('first') === undefined).toBe(expiry === 10);
      const second = new Member(restarted, 'second', DURABLE);
      second.attach(10);
      await bench.clock.settle();
      second.answer(0);
      expect(second.done).toEqual(['1']);
      expect(restarted.books.imbalance).toBe(0);
    }
  });

  test('loses nothing that changes queues while the store is full', async () => {
    const bench = await new SessionBench().start();
    const first = new Member(bench, 'first', DURABLE);
    const second = new Member(bench, 'second', DURABLE);
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    bench.publish({ payload: '1' });
    await bench.clock.settle();
    bench.store.isHeld = true;
    // From the group's queue to the member, and back, and to the other.
    first.attach(10);
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    await bench.clock.pass(1000);
    second.attach(10);
    first.detach();
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(bench.storedPayloads(second.session.queue.queueId)).toEqual(['1']);
    second.answer(0);
    await bench.clock.pass(2000);
    expect(second.done).toEqual(['1']);
    expect(bench.store.disk.read().queues).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('gives up a refused message that a member had and another got while its batch was on its way', async () => {
    const bench = await new SessionBench().start();
    const first = new Member(bench, 'first', DURABLE);
    const second = new Member(bench, 'second', DURABLE);
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    bench.store.isHeld = true;
    first.attach(10);
    bench.publish({ payload: 'refused' });
    await bench.clock.settle();
    second.attach(10);
    first.detach();
    second.take();
    expect([first, second].map(({ got }) => got.length)).toEqual([1, 1]);
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(bench.store.disk.read().queues).toEqual([]);
    expect(bench.books.dropped['store-full']).toBe(1);
    // The client has it all the same, and may answer.
    second.answer(0);
    bench.publish({ payload: 'next' });
    second.answer(0);
    await bench.clock.settle();
    expect(second.done).toEqual(['refused', 'next']);
    expect(bench.books.queued).toBe(0);
    expect(bench.books.imbalance).toBe(0);
  });

  test('gives a refused QoS 2 message that waited for a member to nobody, until it is sent again', async () => {
    // The member comes in the turn of the message, or while its batch is on its way.
    for (const isInTime of [true, false]) {
      const bench = await new SessionBench().start();
      const member = new Member(bench, 'member', DURABLE);
      bench.subscribe(member.session, GROUP);
      bench.store.isHeld = true;
      bench.publish({ payload: '1', qos: 2 });
      if (!isInTime) await bench.clock.settle();
      member.attach(10);
      await bench.clock.settle();
      bench.store.fail(new StoreFullError('full'));
      bench.store.isHeld = false;
      await bench.clock.pass(2000);
      member.take();
      expect(member.got).toEqual([]);
      bench.publish({ payload: '1', qos: 2 });
      await bench.clock.settle();
      member.answer(0);
      await bench.clock.settle();
      member.answer(0);
      await bench.clock.settle();
      expect(member.done).toEqual(['1']);
      expect(member.got).toHaveLength(1);
      expect(bench.store.disk.read().queues).toEqual([]);
      expect(bench.books.imbalance).toBe(0);
    }
  });

  test.each(['waited for a member', 'went to a member at once'])(
    'keeps a QoS 1 message that %s until it is acknowledged, where that member is not stored',
    async (how) => {
      for (const payloads of [['1'], ['1', '2', '3']]) {
        const bench = await new SessionBench({ queueWindowMessages: 2 }).start();
        const first = new Member(bench, 'first', 0);
        bench.subscribe(bench.open('absent', DURABLE), GROUP, 1);
        bench.subscribe(first.session, GROUP, 1);
        if (how === 'went to a member at once') first.attach(10);
        for (const payload of payloads) bench.publish({ payload });
        await bench.clock.settle();
        if (how === 'waited for a member') first.attach(10);
        await bench.clock.settle();
        first.take();
        expect(first.got.map(({ payload }) => payload)).toEqual(payloads);
        expect(bench.books.imbalance).toBe(0);
        const restarted = await bench.restarted();
        const second = new Member(restarted, 'second', 0);
        restarted.subscribe(second.session, GROUP, 1);
        second.attach(10);
        await restarted.clock.settle();
        for (const _ of payloads) second.answer(0);
        expect(second.done).toEqual(payloads);
        await restarted.clock.settle();
        expect(restarted.store.disk.read().queues).toEqual([]);
        expect(restarted.books.queued).toBe(0);
        expect(restarted.books.imbalance).toBe(0);
      }
    },
  );

  test('leaves what it lent to a member that is not stored with it when all others go', async () => {
    const bench = await new SessionBench().start();
    const [first, second] = [new Member(bench, 'first', 0), new Member(bench, 'second', DURABLE)];
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    first.attach(10);
    bench.publish({ payload: '1' });
    await bench.clock.settle();
    bench.registry.unsubscribe(second.session, GROUP);
    bench.registry.unsubscribe(first.session, GROUP);
    await bench.clock.settle();
    expect(bench.store.disk.read().queues).toEqual([]);
    first.answer(0);
    expect(first.done).toEqual(['1']);
    expect(bench.books.delivered).toBe(1);
    expect(bench.books.queued).toBe(0);
    expect(bench.books.imbalance).toBe(0);
  });

  test('gives up a refused message that it lent to a member that is not stored', async () => {
    const bench = await new SessionBench().start();
    const [first, second] = [new Member(bench, 'first', 0), new Member(bench, 'second', DURABLE)];
    for (const member of [first, second]) bench.subscribe(member.session, GROUP, 1);
    bench.store.isHeld = true;
    first.attach(10);
    bench.publish({ payload: 'refused' });
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(bench.books.dropped['store-full']).toBe(1);
    first.answer(0);
    bench.publish({ payload: 'next' });
    first.answer(0);
    await bench.clock.settle();
    expect(first.done).toEqual(['refused', 'next']);
    expect(bench.store.disk.read().queues).toEqual([]);
    expect(bench.books.queued).toBe(0);
    expect(bench.books.imbalance).toBe(0);
  });

  test('drops what expires while no member takes it', async () => {
    const bench = await new SessionBench().start();
    const member = new Member(bench, 'member', DURABLE);
    bench.subscribe(member.session, GROUP, 1);
    bench.publish({ payload: 'short', expiresAt: bench.clock.now() + 1000 });
    bench.publish({ payload: 'long' });
    await bench.clock.pass(1000);
    member.attach(10);
    member.take();
    expect(member.got.map(({ payload }) => payload)).toEqual(['long']);
    expect(bench.books.expired).toBe(1);
    expect(bench.books.imbalance).toBe(0);
  });

  test('gives a member QoS 0 messages, and those that become so, whatever it has not acknowledged', async () => {
    const bench = await new SessionBench().start();
    const member = new Member(bench, 'member', DURABLE);
    bench.subscribe(member.session, GROUP, 1);
    member.attach(1);
    for (const payload of ['unacknowledged', 'waits']) bench.publish({ payload });
    bench.publish({ payload: 'free', qos: 0 });
    expect((member.link as RecordingLink).payloads).toEqual(['unacknowledged', 'free']);
    bench.subscribe(member.session, GROUP, 0);
    bench.publish({ payload: 'becomes free' });
    // What waits became free with the new subscription, and comes before what was published later.
    expect((member.link as RecordingLink).payloads.slice(2)).toEqual(['waits', 'becomes free']);
    expect(Object.values(bench.books.dropped).some((count) => count > 0)).toBe(false);
    expect(bench.books.imbalance).toBe(0);
  });

  test('drops QoS 0 messages nobody can take, by the reason', async () => {
    const bench = await new SessionBench().start();
    const member = new Member(bench, 'member', DURABLE);
    bench.subscribe(member.session, GROUP, 1);
    bench.publish({ payload: '1', qos: 0 });
    expect(bench.books.dropped.offline).toBe(1);
    member.attach(10);
    (member.link as RecordingLink).writable = false;
    bench.publish({ payload: '2', qos: 0 });
    expect(bench.books.dropped['slow-reader']).toBe(1);
    expect(bench.books.imbalance).toBe(0);
  });
});
