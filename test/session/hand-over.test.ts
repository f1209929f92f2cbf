import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Session } from '../../src/session/session.ts';
import { HELD_BACK_BYTES } from '../../src/session/write-path.ts';
import { StoreFullError } from '../../src/store/store.ts';
import { ENDING, NO_MEMBERS } from '../../src/store/topology-change.ts';
import { RecordingLink } from './recording-link.ts';
import { applied, benchAmong, connect, FakeNeighbours, postedOf, stateOf } from './fake-neighbours.ts';
import { DURABLE, type SessionBench } from './session-bench.ts';

const GROUP = '$share/g/t';
const SHARE_KEY = 'g/t';
const ELSEWHERE = 99;

function partOf(bench: SessionBench): number {
  return bench.registry.group(SHARE_KEY)!.queue.queueId;
}

/** Payloads of what was posted, and the queue it was posted for. */
function posts(bench: SessionBench): string[] {
  return applied(bench, 'post').map(
    ({ post }) => `${Buffer.from(post.message.payload).toString()} for ${post.queueId}`,
  );
}

function memberOf(bench: SessionBench, clientId: string, expiry = DURABLE): Session {
  const session = bench.open(clientId, expiry);
  bench.subscribe(session, GROUP, 1);
  return session;
}

describe('the part of a shared subscription on one of several nodes', () => {
  test('is stored from its beginning, and so is what waits in it or is in flight, whoever its members are', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = memberOf(bench, 'c', 0);
    const queueId = partOf(bench);
    connect(session, 1);
    for (const payload of ['1', '2']) bench.publish({ payload });
    await bench.clock.settle();
    expect(bench.store.disk.read().groups).toEqual([{ shareKey: SHARE_KEY, queueId }]);
    expect(bench.storedPayloads(queueId)).toEqual(['1', '2']);
    session.onPuback(1);
    session.onPuback(2);
    await bench.clock.settle();
    expect(bench.storedPayloads(queueId)).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('tells how many members are connected where that makes a difference', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const told = async (): Promise<number[]> => {
      await bench.clock.settle();
      const counts = applied(bench, 'group-put').map(({ online }) => online);
      bench.store.applied.length = 0;
      return counts;
    };
    const sessions = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => memberOf(bench, name));
    expect(await told()).toEqual([0]);
    for (const session of sessions) connect(session);
    expect(await told()).toEqual([1, 3]);
    expect(bench.registry.group(SHARE_KEY)?.online).toBe(6);
    bench.subscribe(sessions[0]!, GROUP, 2);
    expect(bench.registry.group(SHARE_KEY)?.online).toBe(6);
    for (const session of sessions.slice(0, 4)) bench.registry.disconnect(session);
    expect(await told()).toEqual([]);
    bench.registry.disconnect(sessions[4]!);
    bench.registry.unsubscribe(sessions[5]!, GROUP);
    expect(await told()).toEqual([1, 0]);
  });

  test('takes what other nodes post for it: to a member that can, or to its queue, in the batch that says so', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = memberOf(bench, 'c');
    const link = connect(session, 1);
    const queueId = partOf(bench);
    await bench.clock.settle();
    bench.store.isHeld = true;
    bench.registry.takePosted(['1', '2'].map((payload) => postedOf(queueId, { payload, qos: 2 }, SHARE_KEY)));
    await bench.clock.settle();
    // Both were accepted before.
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(link.payloads).toEqual(['1']);
    expect(bench.storedPayloads(session.queueId)).toEqual(['1']);
    expect(bench.storedPayloads(queueId)).toEqual(['2']);
    expect(applied(bench, 'posted-delete').map(({ count }) => count)).toEqual([2]);
    session.onPuback(1);
    session.onPuback(2);
    expect(link.payloads).toEqual(['1', '2']);
    expect(bench.books.imbalance).toBe(0);
  });

  test('hands over what waits, in flight or not, once no member is connected here and one is elsewhere', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const session = memberOf(bench, 'c');
    const queueId = partOf(bench);
    connect(session, 2);
    for (const payload of ['1', '2', '3', '4']) bench.publish({ payload });
    await bench.clock.settle();
    bench.registry.disconnect(session);
    bench.registry.handOverGroups();
    await bench.clock.settle();
    expect(posts(bench)).toEqual([]);
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    bench.registry.handOverGroups();
    await bench.clock.settle();
    expect(posts(bench)).toEqual(['1', '2', '3', '4'].map((payload) => `${payload} for ${ELSEWHERE}`));
    expect(applied(bench, 'post').map(({ post }) => [post.qos, post.retain, post.shareKey])[0]).toEqual([
      1,
      false,
      SHARE_KEY,
    ]);
    expect([bench.storedPayloads(queueId), bench.storedPayloads(session.queueId)]).toEqual([[], []]);
    expect([bench.books.moved, bench.books.queued, bench.books.imbalance]).toEqual([4, 0, 0]);
  });

  test('hands over when its last connected member goes, and what comes for it later', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    const [first, second] = [memberOf(bench, 'first'), memberOf(bench, 'second')];
    const queueId = partOf(bench);
    connect(first);
    connect(second, 1);
    bench.registry.takePosted(['1', '2'].map((payload) => postedOf(queueId, { payload }, SHARE_KEY)));
    bench.registry.disconnect(first);
    await bench.clock.settle();
    expect(posts(bench)).toEqual([]);
    bench.registry.disconnect(second);
    await bench.clock.settle();
    expect(posts(bench).sort()).toEqual([`1 for ${ELSEWHERE}`, `2 for ${ELSEWHERE}`]);
    bench.registry.takePosted([postedOf(queueId, { payload: '3' }, SHARE_KEY)]);
    await bench.clock.settle();
    expect(posts(bench)).toHaveLength(3);
    expect(applied(bench, 'posted-delete')).toHaveLength(2);
    expect(bench.books.imbalance).toBe(0);
  });

  test('hands over only what was accepted: a message that the store refuses goes nowhere', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    const session = memberOf(bench, 'c');
    connect(session, 1);
    await bench.clock.settle();
    bench.store.isHeld = true;
    for (const payload of ['1', '2']) bench.publish({ payload, qos: 1 });
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    bench.registry.disconnect(session);
    await bench.clock.settle();
    bench.store.fail(new StoreFullError('full'));
    bench.store.isHeld = false;
    await bench.clock.pass(2000);
    expect(posts(bench)).toEqual([]);
    expect([bench.books.dropped['store-full'], bench.books.queued]).toEqual([2, 0]);
    // The same again, with room.
    neighbours.online.clear();
    connect(session, 1);
    bench.store.isHeld = true;
    for (const payload of ['3', '4']) bench.publish({ payload });
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    bench.registry.disconnect(session);
    await bench.clock.settle();
    expect(posts(bench)).toEqual([]);
    bench.store.isHeld = false;
    while (bench.store.waiting > 0) bench.store.release();
    await bench.clock.settle();
    expect(posts(bench)).toEqual([`3 for ${ELSEWHERE}`, `4 for ${ELSEWHERE}`]);
    expect(bench.books.moved).toBe(2);
    expect(bench.books.imbalance).toBe(0);
  });

  test('hands over a long queue in portions, reading it as it goes, and books what has expired', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours, { queueMessagesMax: 5000, queueBytesMax: 10_000_000 });
    memberOf(bench, 'c');
    bench.publish({ payload: 'expires', expiresAt: bench.clock.now() + 1000 });
    for (let count = 0; count < 3000; count++) bench.publish({ payload: `${count}` });
    await bench.clock.pass(2000);
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    bench.registry.handOverGroups();
    expect(bench.books.moved).toBeLessThanOrEqual(1000);
    await bench.clock.settle();
    expect(posts(bench)).toEqual(Array.from({ length: 3000 }, (_, count) => `${count} for ${ELSEWHERE}`));
    expect([bench.books.moved, bench.books.expired, bench.books.queued]).toEqual([3000, 1, 0]);
    expect(bench.store.disk.read().queues).toEqual([]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('does not hand over faster than the store takes it', async () => {
    const neighbours = new FakeNeighbours();
    const settings = { queueBytesMax: 2 ** 40, queueMemoryBytes: 2 ** 40 };
    const bench = await benchAmong(neighbours, settings);
    memberOf(bench, 'c');
    const payload = Buffer.alloc(HELD_BACK_BYTES / 4).toString('latin1');
    for (let count = 0; count < 12; count++) bench.publish({ payload });
    await bench.clock.settle();
    bench.store.isHeld = true;
    bench.writePath.add({ kind: 'interest-put', topicFilter: 'f' });
    await bench.clock.settle();
    neighbours.share(SHARE_KEY, ELSEWHERE, 1);
    bench.registry.handOverGroups();
    await bench.clock.settle();
    expect(bench.books.moved).toBe(8);
    bench.store.isHeld = false;
    bench.store.release();
    await bench.clock.settle();
    expect(bench.books.moved).toBe(12);
    expect(bench.books.imbalance).toBe(0);
  });
});

describe('a part without any member', () => {
  test('is deleted at once where nothing waits in it', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = memberOf(bench, 'c');
    const queueId = partOf(bench);
    bench.registry.unsubscribe(session, GROUP);
    await bench.clock.settle();
    expect(applied(bench, 'group-delete')).toEqual([{ kind: 'group-delete', shareKey: SHARE_KEY, queueId }]);
    expect([bench.registry.groupCount, bench.registry.queueOwner(queueId)]).toEqual([0, undefined]);
  });

  test('gives what waits, and what the one that ended had in flight, to a part elsewhere, connected or not', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.share(SHARE_KEY, ELSEWHERE, 0);
    const session = memberOf(bench, 'c', 0);
    const queueId = partOf(bench);
    connect(session, 1);
    for (const payload of ['1', '2']) bench.publish({ payload });
    await bench.clock.settle();
    bench.registry.disconnect(session);
    await bench.clock.settle();
    expect(posts(bench)).toEqual([`1 for ${ELSEWHERE}`, `2 for ${ELSEWHERE}`]);
    expect(applied(bench, 'group-delete')).toEqual([{ kind: 'group-delete', shareKey: SHARE_KEY, queueId }]);
    expect(bench.store.disk.read().queues).toEqual([]);
    expect([bench.books.moved, bench.books.queued, bench.books.imbalance]).toEqual([2, 0, 0]);
  });

  test('drops what waits where its last member has left and nobody else has a part', async () => {
    const bench = await benchAmong(new FakeNeighbours());
    const session = memberOf(bench, 'c');
    for (const payload of ['1', '2']) bench.publish({ payload });
    await bench.clock.settle();
    bench.registry.unsubscribe(session, GROUP);
    await bench.clock.settle();
    expect([bench.books.dropped['session-ended'], bench.books.queued, bench.books.imbalance]).toEqual([2, 0, 0]);
    expect(applied(bench, 'group-delete')).toHaveLength(1);
  });

  test('that was another node’s gives what waits to the part here, matches nothing, and still takes what is posted', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    neighbours.share(SHARE_KEY, ELSEWHERE, 5);
    const gone = await benchAmong(new FakeNeighbours());
    gone.open('makes the queue ids differ', DURABLE);
    memberOf(gone, 'never adopted');
    for (const payload of ['1', '2']) gone.publish({ payload });
    await gone.clock.settle();
    const session = memberOf(bench, 'c');
    connect(session, 1);
    const state = { ...stateOf(gone, 'nobody'), mailboxes: [] };
    const queueId = state.groups[0]!.queueId;
    bench.store.disk.apply(gone.store.applied.filter(({ kind }) => kind === 'queue-put'));
    const mailbox = { queueId, lastNumber: 1, messages: [postedOf(queueId, { payload: '3' }, SHARE_KEY)] };
    expect(partOf(bench)).not.toBe(queueId);
    const adopted = bench.registry.adopt({ ...state, mailboxes: [mailbox] }, { isClaimed: false });
    expect([bench.registry.groupCount, bench.registry.groupSubscriptions.size]).toEqual([1, 1]);
    await adopted;
    await bench.clock.settle();
    expect(posts(bench)).toEqual(['1', '2', '3'].map((payload) => `${payload} for ${partOf(bench)}`));
    // The last member of the part here could go while one of the other node's is still on its way.
    expect(applied(bench, 'group-delete')).toEqual([]);
    await bench.clock.pass(60_000);
    expect(applied(bench, 'group-delete')).toEqual([{ kind: 'group-delete', shareKey: SHARE_KEY, queueId }]);
    expect([bench.books.restored, bench.books.moved, bench.books.queued]).toEqual([2, 3, 0]);
    expect(bench.books.imbalance).toBe(0);
  });

  test('waits a while for its members to come from the node that is gone, here or elsewhere', async () => {
    for (const comes of ['here', 'elsewhere', 'nowhere']) {
      const neighbours = new FakeNeighbours();
      const bench = await benchAmong(neighbours);
      const gone = await benchAmong(new FakeNeighbours());
      memberOf(gone, 'c');
      gone.publish({ payload: '1' });
      await gone.clock.settle();
      bench.store.disk.apply(gone.store.applied.filter(({ kind }) => kind === 'queue-put'));
      await bench.registry.adopt(stateOf(gone, 'nobody'), { isClaimed: false });
      await bench.clock.pass(15_000);
      if (comes === 'elsewhere') {
        neighbours.share(SHARE_KEY, ELSEWHERE, 0);
        bench.registry.handOverGroups();
        await bench.clock.settle();
        expect(posts(bench)).toEqual([`1 for ${ELSEWHERE}`]);
      } else if (comes === 'here') {
        const session = memberOf(bench, 'd');
        const link = connect(session);
        await bench.clock.settle();
        expect(link.payloads).toEqual(['1']);
        session.onPuback(1);
      }
      await bench.clock.pass(20_000);
      expect(bench.books.dropped['session-ended']).toBe(comes === 'nowhere' ? 1 : 0);
      expect(applied(bench, 'group-delete')).toHaveLength(comes === 'here' ? 0 : 1);
      expect([bench.books.queued, bench.books.imbalance]).toEqual([0, 0]);
    }
  });

  test('is what a restart makes of one whose members are gone; the others are parts again', async () => {
    const neighbours = new FakeNeighbours();
    const bench = await benchAmong(neighbours);
    bench.subscribe(bench.open('brief', 0), '$share/h/t', 1);
    const lost = bench.registry.group('h/t')!.queue.queueId;
    memberOf(bench, 'c');
    bench.publish({ payload: '1' });
    await bench.clock.settle();
    neighbours.share('h/t', ELSEWHERE, 0);
    const restarted = await bench.restarted();
    await restarted.clock.settle();
    expect(posts(restarted)).toEqual([`1 for ${ELSEWHERE}`]);
    await restarted.clock.pass(60_000);
    expect(applied(restarted, 'group-delete')).toEqual([{ kind: 'group-delete', shareKey: 'h/t', queueId: lost }]);
    // What the others knew of before the restart is told anew; the one that is to be deleted gets nothing more in the end.
    const told = applied(restarted, 'group-put').map(({ record, online }) => [record.shareKey, online]);
    expect(told).toEqual([
      [SHARE_KEY, 0],
      ['h/t', NO_MEMBERS],
      ['h/t', ENDING],
    ]);
    expect(restarted.registry.groupCount).toBe(1);
    expect(restarted.storedPayloads(partOf(restarted))).toEqual(['1']);
    expect(restarted.books.imbalance).toBe(0);
  });

  test('gives what a member of another node had in flight to others, also when that member has expired', async () => {
    const gone = await benchAmong(new FakeNeighbours());
    const session = memberOf(gone, 'c');
    connect(session);
    gone.publish({ payload: '1' });
    await gone.clock.settle();
    for (const expiresAt of [Number.POSITIVE_INFINITY, 0]) {
      const state = stateOf(gone, 'c');
      const neighbours = new FakeNeighbours();
      const other = await benchAmong(neighbours);
      neighbours.share(SHARE_KEY, ELSEWHERE, 1);
      other.store.disk.apply(gone.store.applied.filter(({ kind }) => kind === 'session-put' || kind === 'queue-put'));
      const sessions = state.sessions.map((record) => ({ ...record, expiresAt }));
      await other.registry.adopt({ ...state, sessions }, { isClaimed: false });
      await other.clock.settle();
      expect(posts(other)).toEqual([`1 for ${ELSEWHERE}`]);
      expect(other.registry.get('c') === undefined).toBe(expiresAt === 0);
      expect([other.books.moved, other.books.queued, other.books.imbalance]).toEqual([1, 0, 0]);
    }
  });
});

const MEMBERS = ['a', 'b', 'c'];

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('publish' as const, 'posted' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('answer' as const), who: fc.nat(2) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('connect' as const, 'disconnect' as const), who: fc.nat(2) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'leave' as const, 'end' as const), who: fc.nat(2) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('elsewhere' as const), online: fc.constantFrom(-1, 0, 0, 1) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
);

/** A part whose members come and go, while parts elsewhere do. */
class Trial {
  readonly neighbours: FakeNeighbours;
  readonly bench: SessionBench;
  readonly links: Map<string, RecordingLink> = new Map();
  readonly done: string[] = [];
  #count = 0;
  /** Payloads that this part was to deliver. */
  readonly taken: string[] = [];

  constructor(bench: SessionBench, neighbours: FakeNeighbours) {
    this.bench = bench;
    this.neighbours = neighbours;
  }

  publish(): void {
    const payload = `${this.#count++}`;
    this.neighbours.served = [];
    this.bench.publish({ payload });
    if (this.neighbours.served.includes(SHARE_KEY)) this.taken.push(payload);
  }

  posted(): void {
    const group = this.bench.registry.group(SHARE_KEY);
    if (group === undefined) return;
    const payload = `${this.#count++}`;
    this.bench.registry.takePosted([postedOf(group.queue.queueId, { payload }, SHARE_KEY)]);
    this.taken.push(payload);
  }

  connect(name: string, expiry: number): void {
    this.disconnect(name);
    const link = new RecordingLink(2);
    this.bench.open(name, expiry).attach(link);
    this.links.set(name, link);
  }

  disconnect(name: string): void {
    if (!this.links.delete(name)) return;
    this.bench.registry.disconnect(this.bench.registry.get(name)!);
  }

  answer(name: string): boolean {
    const link = this.links.get(name);
    const sent = link?.sent.shift();
    if (sent === undefined) return false;
    expect(this.bench.registry.get(name)?.onPuback(sent.packetId)).toBe('done');
    this.done.push(sent.payload);
    return true;
  }
}

describe('a part of a shared subscription, whatever comes', () => {
  test('has each message acknowledged by a member, or handed over, or booked as dropped: one of them, once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.tuple(...MEMBERS.map(() => fc.constantFrom(0, DURABLE))),
        fc.constantFrom(2, 100),
        async (steps, expiries, queueWindowMessages) => {
          const neighbours = new FakeNeighbours();
          const bench = await benchAmong(neighbours, { queueWindowMessages });
          const trial = new Trial(bench, neighbours);
          for (const next of steps) {
            const who = 'who' in next ? next.who : 0;
            const name = MEMBERS[who] as string;
            const session = bench.registry.get(name);
            if (next.do === 'publish') trial.publish();
            else if (next.do === 'posted') trial.posted();
            else if (next.do === 'answer') trial.answer(name);
            else if (next.do === 'connect') trial.connect(name, expiries[who] as number);
            else if (next.do === 'disconnect') trial.disconnect(name);
            else if (next.do === 'join' && session !== undefined) bench.subscribe(session, GROUP, 1);
            else if (next.do === 'leave' && session !== undefined) bench.registry.unsubscribe(session, GROUP);
            else if (next.do === 'end' && session !== undefined && !trial.links.has(name))
              bench.registry.end(session, 'administrator');
            else if (next.do === 'elsewhere') {
              if (next.online < 0) {
                neighbours.online.clear();
                neighbours.parts.clear();
              } else neighbours.share(SHARE_KEY, ELSEWHERE, next.online);
              bench.registry.handOverGroups();
            } else await bench.clock.settle();
            expect(bench.books.imbalance).toBe(0);
          }
          await bench.clock.settle();
          // Members that are left finish what they have, then all go and another node takes the rest.
          for (let round = 0; round < 20; round++) {
            for (const name of MEMBERS) while (trial.answer(name));
            await bench.clock.settle();
          }
          neighbours.share(SHARE_KEY, ELSEWHERE, 1);
          for (const name of MEMBERS) {
            trial.disconnect(name);
            const session = bench.registry.get(name);
            if (session !== undefined) bench.registry.end(session, 'administrator');
          }
          bench.registry.handOverGroups();
          await bench.clock.pass(120_000);
          const moved = posts(bench).map((post) => post.split(' ')[0] as string);
          const dropped = bench.books.dropped['session-ended'];
          expect(new Set([...trial.done, ...moved]).size).toBe(trial.done.length + moved.length);
          expect(trial.done.length + moved.length + dropped).toBe(trial.taken.length);
          expect(trial.taken).toEqual(expect.arrayContaining([...trial.done, ...moved]));
          expect([bench.books.queued, bench.books.imbalance]).toEqual([0, 0]);
          const disk = bench.store.disk.read();
          expect([disk.queues, disk.groups, disk.sessions]).toEqual([[], [], []]);
          expect(bench.fatal).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
