import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mutation, Store, StoredState, WillRecord } from '../../src/store/store.ts';
import { runSteps, stepArbitrary } from './store-random.ts';
import {
  LONG_NAME,
  NO_LIMIT,
  entry,
  fullWill,
  inbound,
  put,
  retained,
  session,
  sessionDelete,
  setState,
  subscription,
  text,
} from './store-records.ts';
import { describeQueues } from './store-queue-contract.ts';
import { StoreModel, describeEntry, describeState } from './store-model.ts';

/** Makes stores that share one place of data. */
export interface StorePlace {
  /** A store that is not open; the one before it is closed. */
  makeStore(): Store;
  /** Removes the data. */
  remove(): Promise<void> | void;
}

/** Runs the suite that every implementation of the port has to pass. */
export function describeStore(name: string, makePlace: () => Promise<StorePlace> | StorePlace): void {
  describe(`the store contract: ${name}`, () => {
    let place: StorePlace;
    let store: Store;

    beforeEach(async () => {
      place = await makePlace();
      store = place.makeStore();
      await store.open();
    });

    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    async function reopen(): Promise<StoredState> {
      await store.close();
      store = place.makeStore();
      return store.open();
    }

    async function readAll(queueId: number): Promise<object[]> {
      return (await store.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT)).map(describeEntry);
    }

    /** Commits and returns where the store differs from the model, before and after reopening. */
    async function differences(...given: Mutation[][]): Promise<object[]> {
      const model = new StoreModel();
      const batches = [ownersOf(given.flat()), ...given];
      for (const batch of batches) {
        for (const mutation of batch) model.apply(mutation);
        await store.commit(batch);
      }
      const mutations = batches.flat();
      const queueIds = mutations.flatMap((mutation) => (mutation.kind === 'queue-put' ? mutation.record.queueId : []));
      const found: object[] = [];
      const wanted: object[] = [];
      for (const queueId of queueIds) {
        found.push(await readAll(queueId));
        wanted.push(model.queue(queueId).map(describeEntry));
      }
      found.push(describeState(await reopen()));
      wanted.push(model.describe());
      for (const queueId of queueIds) {
        found.push(await readAll(queueId));
        wanted.push(model.queue(queueId).map(describeEntry));
      }
      return found.flatMap((actual, at) =>
        isDeepStrictEqual(actual, wanted[at]) ? [] : [{ found: actual, wanted: wanted[at] }],
      );
    }

    describeRecords(differences);
    describeQueues(differences, () => store);
    describeOrder(() => store, reopen, readAll);

    test('returns the binary property of a will as bytes, and names and values in order', async () => {
      await store.commit([{ kind: 'will-put', record: fullWill }]);
      const will = (await reopen()).wills[0]?.will;
      expect(will?.properties.correlationData).toBeInstanceOf(Uint8Array);
      expect(will?.properties.userProperties).toEqual(fullWill.will.properties.userProperties);
    });

    test('refuses a second open and whatever comes before open or after close', async () => {
      await expect(store.open()).rejects.toThrow('already open');
      await store.close();
      await expect(store.commit([])).rejects.toThrow('not open');
      await expect(store.readQueue(1, 0, 1, 1)).rejects.toThrow('not open');
      await store.close();
      await store.open();
      await store.commit([session('again', 1)]);
    });

    test('says how much is free', () => {
      expect(store.freeBytes()).toBeGreaterThan(0);
    });

    test('agrees with a naive model over random operations with reopening in between', async () => {
      const property = fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 40 }), async (steps) => {
        const own = await makePlace();
        try {
          await runSteps(own, steps);
        } finally {
          await own.remove();
        }
      });
      expect(fc.defaultReportMessage(await fc.check(property, { numRuns: 40 }))).toBeUndefined();
    });
  });
}

/** Plays batches and returns where the store differs from the model. */
export type Differences = (...batches: Mutation[][]) => Promise<object[]>;

/** Groups for the queues that belong to nobody in the batches: a store may look for queues by their owners. */
function ownersOf(mutations: readonly Mutation[]): Mutation[] {
  const owned = new Set(
    mutations.map((mutation) =>
      mutation.kind === 'session-put' || mutation.kind === 'group-put' ? mutation.record.queueId : -1,
    ),
  );
  const queueIds = mutations.flatMap((mutation) => (mutation.kind === 'queue-put' ? [mutation.record.queueId] : []));
  return [...new Set(queueIds)]
    .filter((queueId) => !owned.has(queueId))
    .map((queueId) => ({ kind: 'group-put', record: { shareKey: `queue ${queueId}`, queueId }, online: 0 }));
}

function describeRecords(differences: Differences): void {
  test('an empty store has nothing', async () => {
    expect(await differences([])).toEqual([]);
  });

  test('keeps, replaces and deletes sessions, with ids of any length and kind', async () => {
    expect(
      await differences(
        [session('a', 1), session('', 2), session('__proto__', 3), session(LONG_NAME, 4), session(`${LONG_NAME}y`, 5)],
        [session('a', 1, { epoch: 7, expiresAt: 12.5, username: 'ü€😀' }), sessionDelete(LONG_NAME, 4)],
        [sessionDelete('unknown', 99)],
      ),
    ).toEqual([]);
  });

  test('keeps, replaces and deletes subscriptions, with filters of any length', async () => {
    const full = {
      qos: 2,
      noLocal: true,
      retainAsPublished: true,
      retainHandling: 2,
      subscriptionIdentifier: 268_435_455,
    } as const;
    expect(
      await differences(
        [
          subscription('a', '#'),
          subscription('a', LONG_NAME),
          subscription('ab', '#'),
          subscription(LONG_NAME, LONG_NAME),
        ],
        [subscription('a', '#', full), { kind: 'subscription-delete', clientId: 'a', topicFilter: LONG_NAME }],
        [{ kind: 'subscription-delete', clientId: 'nobody', topicFilter: '#' }],
      ),
    ).toEqual([]);
  });

  test('keeps, replaces and deletes groups and takes their queue along', async () => {
    expect(
      await differences(
        [
          { kind: 'group-put', record: { shareKey: 'g/a', queueId: 1 }, online: 0 },
          { kind: 'group-put', record: { shareKey: 'g/b', queueId: 2 }, online: 0 },
          put(entry(1, 1)),
          put(entry(2, 1)),
        ],
        [{ kind: 'group-delete', shareKey: 'g/a', queueId: 1 }],
      ),
    ).toEqual([]);
  });

  test('keeps inbound packet ids once and deletes them', async () => {
    expect(
      await differences(
        [inbound('a', 1), inbound('a', 1), inbound('a', 65_535), inbound('b', 1), inbound(LONG_NAME, 2)],
        [
          { kind: 'inbound-delete', clientId: 'a', packetId: 1 },
          { kind: 'inbound-delete', clientId: 'a', packetId: 2 },
          { kind: 'inbound-delete', clientId: 'z', packetId: 1 },
        ],
      ),
    ).toEqual([]);
  });

  test('keeps wills with every property, replaces and deletes them', async () => {
    const bare: WillRecord = {
      clientId: 'b',
      username: '',
      publishAt: Number.POSITIVE_INFINITY,
      will: { topicName: 't', payload: new Uint8Array(0), qos: 0, retain: false, properties: {} },
    };
    expect(
      await differences(
        [
          { kind: 'will-put', record: bare },
          { kind: 'will-put', record: { ...bare, clientId: 'c' } },
        ],
        [
          { kind: 'will-put', record: fullWill },
          { kind: 'will-delete', clientId: 'c' },
        ],
      ),
    ).toEqual([]);
  });

  test('a deleted session leaves its will', async () => {
    expect(
      await differences(
        [session('a', 1), { kind: 'will-put', record: { ...fullWill, clientId: 'a' } }],
        [sessionDelete('a', 1)],
      ),
    ).toEqual([]);
  });

  test('keeps, replaces and deletes retained messages', async () => {
    expect(
      await differences(
        [retained('a', 'one'), retained('b', 'two'), retained(LONG_NAME, 'three')],
        [
          retained('a', 'four'),
          { kind: 'retained-delete', topicName: 'b' },
          { kind: 'retained-delete', topicName: 'zzz' },
        ],
      ),
    ).toEqual([]);
  });

  test('deletes with a session its subscriptions, packet ids and queue and nothing else, also within one batch', async () => {
    const belongings = (clientId: string, queueId: number): Mutation[] => [
      session(clientId, queueId),
      subscription(clientId, 'x'),
      subscription(clientId, 'y'),
      inbound(clientId, 3),
      put(entry(queueId, 1)),
      put(entry(queueId, 2)),
    ];
    expect(
      await differences(
        [...belongings('a', 1), ...belongings('aa', 2), ...belongings('', 3), ...belongings(LONG_NAME, 4)],
        [...belongings('b', 5), sessionDelete('b', 5)],
        [sessionDelete('a', 1), sessionDelete(LONG_NAME, 4)],
        [sessionDelete('', 3), session('', 6), subscription('', 'z'), inbound('', 4), put(entry(6, 1))],
      ),
    ).toEqual([]);
  });
}

function describeOrder(
  store: () => Store,
  reopen: () => Promise<StoredState>,
  readAll: (queueId: number) => Promise<object[]>,
): void {
  test('applies commits in the order of the calls though nobody waits for them', async () => {
    const done: Promise<void>[] = [];
    const settled: number[] = [];
    for (let round = 0; round < 200; round++) {
      const number = round;
      const commit = store().commit([
        session('a', 1, { epoch: round }),
        put(entry(1, round + 1)),
        setState(1, round, 3, 'sent'),
      ]);
      done.push(commit.then(() => void settled.push(number)));
      if (round % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(done);
    expect(settled).toEqual(Array.from({ length: 200 }, (_, round) => round));
    const opened = await reopen();
    expect(opened.sessions.map(({ epoch }) => epoch)).toEqual([199]);
    const states = (await store().readQueue(1, 0, NO_LIMIT, NO_LIMIT)).map((record) => record.state);
    expect(states).toEqual([...Array.from({ length: 199 }, () => 'sent'), 'waiting']);
  });

  test('a read sees what was committed before the call, awaited or not', async () => {
    const first = store().commit([put(entry(1, 1))]);
    expect(await readAll(1)).toHaveLength(1);
    const second = store().commit([put(entry(1, 2)), setState(1, 1, 5, 'sent')]);
    const third = store().commit([{ kind: 'queue-delete', queueId: 1, sequence: 1 }]);
    expect(await readAll(1)).toEqual([describeEntry(entry(1, 2))]);
    await Promise.all([first, second, third]);
  });

  test('close waits for commits that nobody waited for', async () => {
    const commits = Array.from({ length: 20 }, (_, at) => store().commit([session('a', 1), put(entry(1, at + 1))]));
    const state = await reopen();
    await Promise.all(commits);
    expect(state.queues).toMatchObject([{ queueId: 1, count: 20 }]);
  });

  test('deletes a queue of 100,000 entries at once for whoever looks', async () => {
    const shared = text('in every queue');
    let sequence = 0;
    for (let round = 0; round < 20; round++) {
      const batch: Mutation[] = [];
      for (let i = 0; i < 5_000; i++) batch.push(put(entry(1, ++sequence, i % 50 === 0 ? shared : text(`${i}`))));
      await store().commit(batch);
    }
    await store().commit([session('a', 1), session('b', 2), put(entry(2, 1, shared))]);
    await store().commit([sessionDelete('a', 1)]);
    expect(await readAll(1)).toEqual([]);
    const first = await reopen();
    expect(first.sessions.map(({ clientId }) => clientId)).toEqual(['b']);
    expect(first.queues.map(({ queueId }) => queueId)).toEqual([2]);
    await store().commit([put(entry(3, 1))]);
    expect(await readAll(1)).toEqual([]);
    expect(await readAll(2)).toEqual([describeEntry(entry(2, 1, shared))]);
  });
}
