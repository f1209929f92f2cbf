import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QueueEntry } from '../../src/session/queue-entry.ts';
import { type FlushWaiter, WritePath } from '../../src/session/write-path.ts';
import { StoreFullError } from '../../src/store/store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HeldStore } from './held-store.ts';
import { messageOf } from './session-bench.ts';

/** A write path with what it tells its owner; each turn of the loop submits, as a broker's tick does. */
class Trial {
  readonly clock: FakeClock = new FakeClock();
  readonly store: HeldStore = new HeldStore();
  readonly lost: QueueEntry[] = [];
  readonly fatal: Error[] = [];
  readonly path: WritePath;

  constructor(minFreeBytes = 0) {
    this.path = new WritePath(this.store, this.clock, minFreeBytes, {
      onWork: () => this.clock.setImmediate(() => this.path.endTurn()),
      onFatal: (error) => this.fatal.push(error),
      onEntryLost: (entry) => this.lost.push(entry),
      onRouteLost: () => {},
      onInboundLost: () => {},
    });
  }

  async start(): Promise<this> {
    await this.store.open();
    this.path.start();
    this.store.isHeld = true;
    return this;
  }
}

class Waiter implements FlushWaiter {
  waitingFor = 0;
  readonly told: string[] = [];

  onFlushed(flushed: number): void {
    this.told.push(`flushed ${flushed}`);
  }

  onStoreFull(failed: number, retriedAs: number): void {
    this.told.push(`full ${failed}, again as ${retriedAs}`);
  }
}

function entryOf(sequence: number): QueueEntry {
  const entry = new QueueEntry(messageOf({ payload: `${sequence}` }), 1, false, [], '');
  entry.queueId = 1;
  entry.sequence = sequence;
  return entry;
}

const WILL_GONE = { kind: 'will-delete', clientId: 'a' } as const;

describe('the write path', () => {
  test('tells which messages need no room, as they were accepted before they came to their queue', async () => {
    const { path, store, clock } = await new Trial().start();
    const [fresh, posted, moved] = [entryOf(1), entryOf(2), entryOf(3)];
    posted.acceptedIn = 1;
    path.putEntry(fresh);
    path.putEntry(posted);
    // It goes on to another queue before it is accepted.
    moved.replace(fresh);
    path.putEntry(moved);
    await clock.settle();
    store.release();
    await clock.settle();
    expect(store.applied).toMatchObject([{ isAccepted: false }, { isAccepted: true }, { isAccepted: false }]);
  });

  test('gathers all changes of a tick in one batch, and those that come meanwhile in the next', async () => {
    const { path, store, clock, ...trial } = await new Trial().start();
    path.add(WILL_GONE);
    path.putEntry(entryOf(1));
    await clock.settle();
    expect(store.waiting).toBe(1);
    path.putEntry(entryOf(2));
    path.putEntry(entryOf(3));
    await clock.settle();
    expect({ waiting: store.waiting, commits: path.commits }).toEqual({ waiting: 1, commits: 1 });
    store.release();
    await clock.settle();
    expect({ waiting: store.waiting, commits: path.commits, flushed: path.flushed }).toEqual({
      waiting: 1,
      commits: 2,
      flushed: 2,
    });
    store.release();
    await clock.settle();
    expect(path.flushed).toBe(3);
    expect(store.applied.map(({ kind }) => kind)).toEqual(['will-delete', 'queue-put', 'queue-put', 'queue-put']);
    expect(trial.fatal).toEqual([]);
  });

  test('keeps an entry from the store that is acknowledged before its batch leaves', async () => {
    const { path, store, clock } = await new Trial().start();
    const waiter = new Waiter();
    const [gone, kept] = [entryOf(1), entryOf(2)];
    path.putEntry(gone);
    path.putEntry(kept);
    path.deleteEntry(gone);
    path.wait(waiter);
    await clock.settle();
    store.release();
    await clock.settle();
    expect(store.applied).toHaveLength(1);
    expect(waiter.told).toEqual(['flushed 2']);
    // Behind a batch that is on its way as well.
    path.deleteEntry(kept);
    await clock.settle();
    const late = entryOf(3);
    path.putEntry(late);
    path.deleteEntry(late);
    path.wait(waiter);
    store.release();
    await clock.settle();
    expect(store.waiting).toBe(0);
    expect(store.applied.map(({ kind }) => kind)).toEqual(['queue-put', 'queue-delete']);
    expect(waiter.told).toEqual(['flushed 2', 'flushed 4']);
  });

  test('tells waiters of an empty batch without the store', async () => {
    const { path, store, clock } = await new Trial().start();
    const waiter = new Waiter();
    path.wait(waiter);
    await clock.settle();
    expect(store.waiting).toBe(0);
    expect(waiter.told).toEqual(['flushed 2']);
  });

  test('resolves drained once everything added so far is stored', async () => {
    const { path, store, clock } = await new Trial().start();
    let drained = false;
    path.putEntry(entryOf(1));
    void path.drained().then(() => (drained = true));
    path.putEntry(entryOf(2));
    await clock.settle();
    expect(drained).toBe(false);
    store.release();
    await clock.settle();
    expect(drained).toBe(true);
    expect(store.applied).toHaveLength(1);
  });

  test('runs a task while no batch is with the store, and sends on what came meanwhile', async () => {
    const { path, store, clock } = await new Trial().start();
    path.putEntry(entryOf(1));
    await clock.settle();
    const steps: string[] = [];
    const read = Promise.withResolvers<void>();
    const run = path.between(async () => {
      steps.push(`begun with ${store.waiting} under way`);
      await read.promise;
      return 'done';
    });
    path.putEntry(entryOf(2));
    await clock.settle();
    expect(steps).toEqual([]);
    store.release();
    await clock.settle();
    path.putEntry(entryOf(3));
    const drained = path.drained();
    await clock.settle();
    expect([steps, store.waiting, path.flushed]).toEqual([['begun with 0 under way'], 0, 2]);
    read.resolve();
    expect(await run).toBe('done');
    await clock.settle();
    store.release();
    await drained;
    expect(store.applied).toHaveLength(3);
  });

  test('runs tasks that wait together, and lets a batch go before those that come meanwhile', async () => {
    const { path, store, clock } = await new Trial().start();
    const steps: string[] = [];
    const read = Promise.withResolvers<void>();
    const note = (name: string) =>
      path.between(async () => {
        steps.push(name);
        await read.promise;
      });
    path.putEntry(entryOf(1));
    await clock.settle();
    const [first, second] = [note('first'), note('second')];
    store.release();
    await clock.settle();
    const third = note('third');
    path.putEntry(entryOf(2));
    await clock.settle();
    expect(steps).toEqual(['first', 'second']);
    read.resolve();
    await Promise.all([first, second]);
    await clock.settle();
    expect([steps.length, store.waiting]).toEqual([2, 1]);
    store.release();
    await third;
    expect(steps).toEqual(['first', 'second', 'third']);
  });

  test('goes on after a task that fails, also where nothing is to be stored', async () => {
    const { path, store, clock } = await new Trial().start();
    const failed = path.between(() => Promise.reject(new Error('away')));
    const next = path.between(() => Promise.resolve('next'));
    await expect(failed).rejects.toThrow('away');
    expect(await next).toBe('next');
    path.putEntry(entryOf(1));
    await clock.settle();
    store.release();
    await clock.settle();
    expect(store.applied).toHaveLength(1);
  });

  test('gives up the publishes of a batch that found no room and keeps what is not theirs', async () => {
    const { path, store, clock, lost } = await new Trial().start();
    const waiter = new Waiter();
    const [entry, moved, done] = [entryOf(1), entryOf(2), entryOf(3)];
    moved.acceptedIn = 1;
    for (const one of [entry, moved, done]) path.putEntry(one);
    path.add({ kind: 'inbound-put', clientId: 'a', packetId: 1 });
    path.add({ kind: 'retained-put', message: messageOf({ payload: 'r' }) });
    path.add(WILL_GONE);
    path.wait(waiter);
    let drained = false;
    void path.drained().then(() => (drained = true));
    await clock.settle();
    // The store is told of its removal later, as its put is on the way.
    path.deleteEntry(done);
    store.fail(new StoreFullError('full'));
    await clock.settle();
    expect(lost).toEqual([entry]);
    // It never was in the store: its owner's removal costs nothing.
    path.deleteEntry(entry);
    expect(waiter.told).toEqual(['full 2, again as 3']);
    expect({ full: path.full, drained, waiting: store.waiting }).toEqual({ full: true, drained: false, waiting: 0 });
    // The next attempt comes with the probe, not with the next tick.
    await clock.pass(1000);
    expect(store.waiting).toBe(1);
    store.release();
    await clock.settle();
    expect(store.applied.map(({ kind }) => kind)).toEqual(['queue-put', 'will-delete', 'queue-delete']);
    expect(store.disk.readQueue(1, 0, 9, 9).map(({ sequence }) => sequence)).toEqual([2]);
    expect({ full: path.full, drained }).toEqual({ full: false, drained: true });
  });

  test('gives up what such a batch was to accept also where it has come to another queue since', async () => {
    for (const isInTime of [true, false]) {
      const { path, store, clock, lost } = await new Trial().start();
      const [entry, moved, older, later] = [entryOf(1), entryOf(2), entryOf(3), entryOf(4)];
      const move = (): void => {
        moved.replace(entry);
        path.deleteEntry(entry);
        path.putEntry(moved);
      };
      older.acceptedIn = 1;
      path.putEntry(entry);
      path.add(WILL_GONE);
      // It changes queues in the batch itself, or while that is on its way.
      if (isInTime) move();
      await clock.settle();
      if (!isInTime) move();
      path.putEntry(older);
      path.putEntry(later);
      store.fail(new StoreFullError('full'));
      await clock.settle();
      expect(lost).toEqual([moved]);
      path.deleteEntry(moved);
      await clock.pass(1000);
      store.release();
      await clock.settle();
      expect(store.disk.readQueue(1, 0, 9, 9).map(({ sequence }) => sequence)).toEqual([3, 4]);
      expect(path.barrier).toBe(0);
    }
  });

  test('sends on without a need for room what an earlier batch accepted', async () => {
    const { path, store, clock } = await new Trial().start();
    const [entry, moved] = [entryOf(1), entryOf(2)];
    path.putEntry(entry);
    await clock.settle();
    moved.replace(entry);
    path.deleteEntry(entry);
    path.putEntry(moved);
    store.release();
    await clock.settle();
    store.fail(new StoreFullError('full'));
    await clock.pass(1000);
    store.release();
    await clock.settle();
    expect(store.applied).toMatchObject([
      { record: { sequence: 1 }, isAccepted: false },
      { kind: 'queue-delete' },
      { record: { sequence: 2 }, isAccepted: true },
    ]);
  });

  test('takes what was stored before a restart, and what changes queues and never was put, for accepted', () => {
    const [restored, moved, unstored] = [QueueEntry.restored(entryOf(1)), entryOf(2), entryOf(3)];
    moved.replace(restored);
    unstored.replace(entryOf(4));
    expect([restored, moved, unstored].map(({ acceptedIn }) => acceptedIn)).toEqual([1, 1, 1]);
  });

  test('resolves drained also where a batch without room left nothing to store', async () => {
    const { path, store, clock } = await new Trial().start();
    let drained = false;
    path.putEntry(entryOf(1));
    void path.drained().then(() => (drained = true));
    await clock.settle();
    store.fail(new StoreFullError('full'));
    await clock.pass(1000);
    expect(drained).toBe(true);
    expect(store.waiting).toBe(0);
  });

  test('is full while there is less free space than asked for', async () => {
    const { path, store, clock } = await new Trial(1000).start();
    store.isHeld = false;
    expect(path.full).toBe(false);
    store.free = 999;
    path.putEntry(entryOf(1));
    await clock.pass(1000);
    expect(path.full).toBe(true);
    store.free = 1000;
    await clock.pass(1000);
    expect(path.full).toBe(false);
  });

  test('tells nobody anything any more once the store is broken', async () => {
    const { path, store, clock, fatal } = await new Trial().start();
    const waiter = new Waiter();
    path.putEntry(entryOf(1));
    path.wait(waiter);
    await clock.settle();
    store.fail(new Error('the disk is gone'));
    await clock.settle();
    path.putEntry(entryOf(2));
    path.wait(waiter);
    await clock.pass(5000);
    expect(fatal.map(({ message }) => message)).toEqual(['the disk is gone']);
    expect(waiter.told).toEqual([]);
    expect({ waiting: store.waiting, flushed: path.flushed, commits: path.commits }).toEqual({
      waiting: 0,
      flushed: 1,
      commits: 1,
    });
  });

  test('leaves no timer behind', async () => {
    const { path, store, clock } = await new Trial().start();
    expect(clock.pendingTimers).toBe(0);
    store.isHeld = false;
    path.putEntry(entryOf(1));
    await clock.settle();
    expect(clock.pendingTimers).toBe(1);
    path.close();
    expect(clock.pendingTimers).toBe(0);
  });

  test('stores what a list would, in order, and tells of tickets that are stored', async () => {
    const step = fc.record({
      do: fc.constantFrom(
        ...(['put', 'put', 'change', 'move', 'move', 'delete', 'delete', 'wait'] as const),
        ...(['tick', 'tick', 'probe', 'release', 'full'] as const),
      ),
      which: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const trial = await new Trial().start();
        const { path, store, clock } = trial;
        const live: QueueEntry[] = [];
        /** By entry, the ticket that covers its latest change. */
        const due = new Map<QueueEntry, number>();
        /** By entry, the ticket of the batch that its message came with. */
        const accepted = new Map<QueueEntry, number>();
        const waiter: FlushWaiter = {
          waitingFor: 0,
          onFlushed(flushed) {
            const stored = new Set(store.disk.readQueue(1, 0, 1e9, 1e9).map(({ sequence }) => sequence));
            for (const [entry, ticket] of due)
              if (ticket <= flushed) expect(stored.has(entry.sequence)).toBe(live.includes(entry));
          },
          onStoreFull() {},
        };
        let sequence = 0;
        const put = (added: QueueEntry, acceptedIn: number): void => {
          live.push(added);
          path.putEntry(added);
          due.set(added, path.ticket);
          accepted.set(added, acceptedIn);
        };
        const remove = (entry: QueueEntry): void => {
          live.splice(live.indexOf(entry), 1);
          path.deleteEntry(entry);
          due.set(entry, path.ticket);
        };
        for (const { do: action, which } of steps) {
          const entry = live[which % live.length];
          if (action === 'put') {
            sequence += 1;
            put(entryOf(sequence), path.ticket);
          } else if (action === 'move' && entry !== undefined) {
            sequence += 1;
            const moved = entryOf(sequence);
            moved.replace(entry);
            remove(entry);
            put(moved, accepted.get(entry) as number);
          } else if (action === 'change' && entry !== undefined) {
            entry.state = 'sent';
            entry.packetId = entry.sequence;
            path.changeEntry(entry);
          } else if (action === 'delete' && entry !== undefined) {
            remove(entry);
          } else if (action === 'wait') path.wait(waiter);
          else if (action === 'tick') await clock.settle();
          else if (action === 'probe') await clock.pass(1000);
          else if (action === 'release' && store.waiting > 0) {
            store.release();
            await clock.settle();
          } else if (action === 'full' && store.waiting > 0) {
            const failed = path.ticket - 1;
            store.fail(new StoreFullError('full'));
            await clock.settle();
            const given = trial.lost.splice(0);
            expect(given).toHaveLength(new Set(given).size);
            expect(new Set(given)).toEqual(new Set(live.filter((one) => accepted.get(one) === failed)));
            for (const lost of given) {
              remove(lost);
              due.delete(lost);
            }
          }
        }
        while (store.waiting > 0) {
          store.release();
          await clock.pass(1000);
        }
        await clock.pass(1000);
        while (store.waiting > 0) {
          store.release();
          await clock.pass(1000);
        }
        const stored = store.disk.readQueue(1, 0, 1e9, 1e9);
        expect(stored.map((record) => [record.sequence, record.state, record.packetId])).toEqual(
          live.map((one) => [one.sequence, one.state, one.packetId]),
        );
        expect(trial.fatal).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the write path that may hold a batch', () => {
  class HoldingTrial extends Trial {
    override async start(): Promise<this> {
      await super.start();
      this.path.holdMs = 4;
      return this;
    }

    /** An entry that was sent to its taker at once. */
    send(sequence: number): QueueEntry {
      const entry = entryOf(sequence);
      entry.state = 'sent';
      this.path.putEntry(entry);
      return entry;
    }
  }

  test('needs no commit for messages that their takers acknowledge within the hold', async () => {
    const trial = await new HoldingTrial().start();
    const { path, store, clock } = trial;
    const waiter = new Waiter();
    const entries = [trial.send(1), trial.send(2)];
    path.wait(waiter);
    await clock.settle();
    expect({ waiting: store.waiting, told: waiter.told }).toEqual({ waiting: 0, told: [] });
    for (const entry of entries) path.deleteEntry(entry);
    await clock.settle();
    expect({ commits: path.commits, told: waiter.told }).toEqual({ commits: 0, told: ['flushed 2'] });
  });

  test('stores what its takers do not acknowledge in time, and does not wait for them again at once', async () => {
    const trial = await new HoldingTrial().start();
    const { path, store, clock } = trial;
    trial.send(1);
    path.wait(new Waiter());
    await clock.settle();
    expect(store.waiting).toBe(0);
    await clock.pass(4);
    expect(store.waiting).toBe(1);
    store.release();
    await clock.settle();
    trial.send(2);
    path.wait(new Waiter());
    await clock.settle();
    expect(store.waiting).toBe(1);
  });

  test('does not hold what is waited for and nobody is about to acknowledge', async () => {
    const { path, store, clock } = await new HoldingTrial().start();
    path.putEntry(entryOf(1));
    path.wait(new Waiter());
    await clock.settle();
    expect(store.waiting).toBe(1);
  });

  test('gathers removals that nobody waits for, until somebody does', async () => {
    const trial = await new HoldingTrial().start();
    const { path, store, clock } = trial;
    const entries = [1, 2, 3].map(entryOf);
    for (const entry of entries) path.putEntry(entry);
    await clock.settle();
    store.release();
    await clock.settle();
    path.deleteEntry(entries[0] as QueueEntry);
    await clock.settle();
    await clock.pass(7);
    path.deleteEntry(entries[1] as QueueEntry);
    await clock.settle();
    expect(store.waiting).toBe(0);
    await clock.pass(1);
    expect(store.waiting).toBe(1);
    store.release();
    await clock.settle();
    path.deleteEntry(entries[2] as QueueEntry);
    await clock.settle();
    expect(store.waiting).toBe(0);
    path.wait(new Waiter());
    await clock.settle();
    expect(store.waiting).toBe(1);
  });

  test('does not gather anything else', async () => {
    const { path, store, clock } = await new HoldingTrial().start();
    path.add(WILL_GONE);
    await clock.settle();
    expect(store.waiting).toBe(1);
  });
});
