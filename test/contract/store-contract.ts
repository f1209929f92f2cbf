import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import type { Mutation, QueueRecord, Store, StoredState, WillRecord } from '../../src/store/store.ts';
import { StoreModel, describeEntry, describeState } from './store-model.ts';

/** Makes stores that share one place of data. */
export interface StorePlace {
  /** A store that is not open; the one before it is closed. */
  makeStore(): Store;
  /** Removes the data. */
  remove(): Promise<void> | void;
}

const NO_LIMIT = 1_000_000_000;
const LONG_NAME = 'x'.repeat(65_535);

/** Runs the suite that every implementation of the port has to pass. */
export function describeStore(name: string, makePlace: () => Promise<StorePlace> | StorePlace): void {
  describe(name, () => {
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

    /** Commits and expects the store to hold what the model says, before and after reopening. */
    async function expectModel(...batches: Mutation[][]): Promise<StoredState> {
      const model = new StoreModel();
      for (const batch of batches) {
        for (const mutation of batch) model.apply(mutation);
        await store.commit(batch);
      }
      const queueIds = batches.flat().flatMap((mutation) => (mutation.kind === 'queue-put' ? mutation.record.queueId : []));
      for (const queueId of queueIds) expect(await readAll(queueId)).toEqual(model.queue(queueId).map(describeEntry));
      const state = await reopen();
      expect(describeState(state)).toEqual(model.describe());
      for (const queueId of queueIds) expect(await readAll(queueId)).toEqual(model.queue(queueId).map(describeEntry));
      return state;
    }

    describeRecords(expectModel);
    describeQueues(expectModel, () => store);
    describeOrder(() => store, reopen, readAll);

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
      await fc.assert(
        fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 40 }), async (steps) => {
          const own = await makePlace();
          try {
            await runSteps(own, steps);
          } finally {
            await own.remove();
          }
        }),
        { numRuns: 40 },
      );
    });
  });
}

type ExpectModel = (...batches: Mutation[][]) => Promise<StoredState>;

function describeRecords(expectModel: ExpectModel): void {
  test('an empty store has nothing', async () => {
    await expectModel([]);
  });

  test('keeps, replaces and deletes sessions, with ids of any length and kind', async () => {
    await expectModel(
      [session('a', 1), session('', 2), session('__proto__', 3), session(LONG_NAME, 4), session(`${LONG_NAME}y`, 5)],
      [session('a', 1, { epoch: 7, expiresAt: 12.5, username: 'ü€😀' }), sessionDelete(LONG_NAME, 4)],
      [sessionDelete('unknown', 99)],
    );
  });

  test('keeps, replaces and deletes subscriptions, with filters of any length', async () => {
    const full = { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2, subscriptionIdentifier: 268_435_455 } as const;
    await expectModel(
      [subscription('a', '#'), subscription('a', LONG_NAME), subscription('ab', '#'), subscription(LONG_NAME, LONG_NAME)],
      [subscription('a', '#', full), { kind: 'subscription-delete', clientId: 'a', topicFilter: LONG_NAME }],
      [{ kind: 'subscription-delete', clientId: 'nobody', topicFilter: '#' }],
    );
  });

  test('keeps, replaces and deletes groups and takes their queue along', async () => {
    await expectModel(
      [
        { kind: 'group-put', record: { shareKey: 'g/a', queueId: 1 } },
        { kind: 'group-put', record: { shareKey: 'g/b', queueId: 2 } },
        put(entry(1, 1)),
        put(entry(2, 1)),
      ],
      [{ kind: 'group-delete', shareKey: 'g/a', queueId: 1 }],
    );
  });

  test('keeps inbound packet ids once and deletes them', async () => {
    await expectModel(
      [inbound('a', 1), inbound('a', 1), inbound('a', 65_535), inbound('b', 1), inbound(LONG_NAME, 2)],
      [
        { kind: 'inbound-delete', clientId: 'a', packetId: 1 },
        { kind: 'inbound-delete', clientId: 'a', packetId: 2 },
        { kind: 'inbound-delete', clientId: 'z', packetId: 1 },
      ],
    );
  });

  test('keeps wills with every property, replaces and deletes them', async () => {
    const bare: WillRecord = {
      clientId: 'b',
      publishAt: Number.POSITIVE_INFINITY,
      will: { topicName: 't', payload: new Uint8Array(0), qos: 0, retain: false, properties: {} },
    };
    const state = await expectModel(
      [{ kind: 'will-put', record: bare }, { kind: 'will-put', record: { ...bare, clientId: 'c' } }],
      [{ kind: 'will-put', record: fullWill }, { kind: 'will-delete', clientId: 'c' }],
    );
    const will = state.wills.find(({ clientId }) => clientId === fullWill.clientId)?.will;
    expect(will?.properties.correlationData).toBeInstanceOf(Uint8Array);
    expect(will?.properties.userProperties).toEqual(fullWill.will.properties.userProperties);
  });

  test('a deleted session leaves its will', async () => {
    await expectModel([session('a', 1), { kind: 'will-put', record: { ...fullWill, clientId: 'a' } }], [sessionDelete('a', 1)]);
  });

  test('keeps, replaces and deletes retained messages', async () => {
    await expectModel(
      [retained('a', 'one'), retained('b', 'two'), retained(LONG_NAME, 'three')],
      [retained('a', 'four'), { kind: 'retained-delete', topicName: 'b' }, { kind: 'retained-delete', topicName: 'zzz' }],
    );
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
    await expectModel(
      [...belongings('a', 1), ...belongings('aa', 2), ...belongings('', 3), ...belongings(LONG_NAME, 4)],
      [...belongings('b', 5), sessionDelete('b', 5)],
      [sessionDelete('a', 1), sessionDelete(LONG_NAME, 4)],
      [sessionDelete('', 3), session('', 6), subscription('', 'z'), inbound('', 4), put(entry(6, 1))],
    );
  });
}

function describeQueues(expectModel: ExpectModel, store: () => Store): void {
  test('keeps every field of an entry and of its message', async () => {
    const bytes = Buffer.from('....payload....');
    const message = new Message({
      topicName: 'töpic/😀',
      payload: bytes,
      qos: 2,
      retain: true,
      properties: Buffer.from([1, 1, 38, 0, 1, 97, 0, 1, 98]),
      expiresAt: 1_893_456_000_123,
      publisherId: 'publisher-ü',
    });
    message.payloadStart = 4;
    message.payloadEnd = 11;
    const identifiers = [1, 128, 268_435_455];
    await expectModel([
      put({ ...entry(1, 1, message), qos: 2, retain: true, subscriptionIdentifiers: identifiers, packetId: 65_535, state: 'released', shareKey: 'group/tö' }),
      put(entry(1, 2, new Message({ topicName: '', payload: new Uint8Array(0), qos: 0 }))),
      put(entry(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
      put(entry(2 ** 32, 2 ** 32 + 1)),
      put(entry(0, 1)),
    ]);
  });

  test('replaces an entry whole, changes its state and deletes it', async () => {
    await expectModel(
      [put(entry(1, 1)), put(entry(1, 2)), put(entry(1, 3))],
      [put({ ...entry(1, 1, text('other')), qos: 2 }), state(1, 2, 77, 'sent'), { kind: 'queue-delete', queueId: 1, sequence: 3 }],
      [state(1, 2, 78, 'released'), state(1, 9, 1, 'sent'), state(8, 1, 1, 'sent'), { kind: 'queue-delete', queueId: 8, sequence: 1 }],
    );
  });

  test('folds what happens to an entry within one batch', async () => {
    const remove: Mutation = { kind: 'queue-delete', queueId: 1, sequence: 1 };
    await expectModel([put(entry(1, 1)), state(1, 1, 5, 'sent')]);
    await store().commit([remove]);
    await expectModel([put(entry(1, 1)), remove]);
    await expectModel([put(entry(1, 1)), remove, state(1, 1, 5, 'sent')]);
    await expectModel([put(entry(1, 1)), remove, put(entry(1, 1, text('second'))), state(1, 1, 6, 'sent')]);
    await expectModel([state(1, 1, 7, 'released'), remove]);
  });

  test('keeps entries in the order of sequence, however they came', async () => {
    await expectModel([put(entry(1, 300)), put(entry(1, 2)), put(entry(1, 65_536))], [put(entry(1, 256)), put(entry(1, 1))]);
  });

  test('keeps a message that several queues share until the last of them is done with it', async () => {
    const shared = text('shared');
    const other = text('other');
    const remove = (queueId: number, sequence: number): Mutation => ({ kind: 'queue-delete', queueId, sequence });
    await expectModel(
      [put(entry(1, 1, shared)), put(entry(1, 2, other)), put(entry(2, 1, shared)), put(entry(3, 1, shared)), put(entry(3, 2, other))],
      [remove(1, 1)],
      [put(entry(4, 1, shared))],
      [remove(2, 1), state(3, 1, 9, 'sent')],
      [put(entry(3, 2, text('replaced')))],
      [remove(3, 1), remove(4, 1), remove(1, 2)],
      [put(entry(5, 1, shared)), put(entry(5, 2, other))],
    );
  });

  test('hands a message from one queue to another, stored alone, shared or just read', async () => {
    const alone = text('alone');
    const shared = text('shared');
    const move = (from: number, to: number, message: Message): Mutation[] => [
      { kind: 'queue-delete', queueId: from, sequence: 1 },
      put(entry(to, 1, message)),
    ];
    await store().commit([put(entry(1, 1, alone)), put(entry(2, 1, shared)), put(entry(3, 1, shared))]);
    await store().commit([...move(1, 11, alone), ...move(2, 12, shared), ...move(3, 13, shared)]);
    const [read] = await store().readQueue(12, 0, 1, NO_LIMIT);
    await store().commit([...move(12, 22, read!.message), { kind: 'queue-delete', queueId: 13, sequence: 1 }]);
    const model = [entry(11, 1, alone), entry(22, 1, shared)];
    for (const record of model) {
      const found = await store().readQueue(record.queueId, 0, 9, NO_LIMIT);
      expect(found.map(describeEntry)).toEqual([describeEntry(record)]);
    }
    for (const queueId of [1, 2, 3, 12, 13]) expect(await store().readQueue(queueId, 0, 9, NO_LIMIT)).toEqual([]);
  });

  test('does not mind when the buffer or the batch of a commit changes after the call', async () => {
    const payload = Buffer.from('before');
    const record = { ...entry(1, 1, new Message({ topicName: 't', payload, qos: 1 })), subscriptionIdentifiers: [1] };
    const batch: Mutation[] = [put(record)];
    const expected = describeEntry(record);
    const done = store().commit(batch);
    payload.fill('x');
    batch.length = 0;
    record.subscriptionIdentifiers.push(2);
    await done;
    expect((await store().readQueue(1, 0, 9, NO_LIMIT)).map(describeEntry)).toEqual([expected]);
  });

  test('reads a queue in windows by number and by bytes, with at least one entry', async () => {
    const batch: Mutation[] = [];
    for (let sequence = 1; sequence <= 10; sequence++) {
      batch.push(put(entry(5, sequence * 3, new Message({ topicName: 'abcd', payload: Buffer.alloc(96), qos: 1 }))));
      batch.push(put(entry(6, sequence * 3)));
    }
    await store().commit(batch);
    const window = async (after: number, limit: number, maxBytes: number): Promise<number[]> =>
      (await store().readQueue(5, after, limit, maxBytes)).map(({ sequence }) => sequence);
    expect(await window(0, 3, NO_LIMIT)).toEqual([3, 6, 9]);
    expect(await window(9, 2, NO_LIMIT)).toEqual([12, 15]);
    expect(await window(10, 2, NO_LIMIT)).toEqual([12, 15]);
    expect(await window(0, 100, 300)).toEqual([3, 6, 9]);
    expect(await window(0, 100, 399)).toEqual([3, 6, 9]);
    expect(await window(0, 100, 1)).toEqual([3]);
    expect(await window(27, 100, NO_LIMIT)).toEqual([30]);
    expect(await window(30, 100, NO_LIMIT)).toEqual([]);
    expect(await store().readQueue(7, 0, 100, NO_LIMIT)).toEqual([]);
  });

  test('every mutation applied twice is applied once', async () => {
    const shared = text('shared');
    const batch: Mutation[] = [
      session('a', 1),
      subscription('a', 'x'),
      subscription('a', 'y'),
      { kind: 'group-put', record: { shareKey: 'g/x', queueId: 2 } },
      { kind: 'group-put', record: { shareKey: 'g/y', queueId: 3 } },
      put(entry(1, 1, shared)),
      put(entry(2, 1, shared)),
      put(entry(3, 1, shared)),
      put(entry(1, 2)),
      state(1, 1, 4, 'sent'),
      inbound('a', 1),
      inbound('a', 2),
      { kind: 'will-put', record: fullWill },
      retained('r', 'x'),
      retained('s', 'x'),
      { kind: 'queue-delete', queueId: 2, sequence: 1 },
      { kind: 'subscription-delete', clientId: 'a', topicFilter: 'y' },
      { kind: 'inbound-delete', clientId: 'a', packetId: 2 },
      { kind: 'retained-delete', topicName: 's' },
      { kind: 'will-delete', clientId: 'nobody' },
      { kind: 'group-delete', shareKey: 'g/y', queueId: 3 },
      session('b', 9),
      sessionDelete('b', 9),
    ];
    await expectModel(batch.flatMap((mutation) => [mutation, mutation]));
    await expectModel(...batch.flatMap((mutation) => [[mutation], [mutation]]));
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
      const commit = store().commit([session('a', 1, { epoch: round }), put(entry(1, round + 1)), state(1, round, 3, 'sent')]);
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
    const second = store().commit([put(entry(1, 2)), state(1, 1, 5, 'sent')]);
    const third = store().commit([{ kind: 'queue-delete', queueId: 1, sequence: 1 }]);
    expect(await readAll(1)).toEqual([describeEntry(entry(1, 2))]);
    await Promise.all([first, second, third]);
  });

  test('close waits for commits that nobody waited for', async () => {
    const commits = Array.from({ length: 20 }, (_, at) => store().commit([put(entry(1, at + 1))]));
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

/** One step of a random run: operations of one batch, or reopening. Numbers choose among the few things there are. */
const operationArbitrary = fc.record({
  what: fc.integer({ min: 0, max: 15 }),
  owner: fc.integer({ min: 0, max: 3 }),
  item: fc.integer({ min: 1, max: 6 }),
  choice: fc.integer({ min: 0, max: 3 }),
});
const stepArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.record({ operations: fc.array(operationArbitrary, { minLength: 1, maxLength: 12 }), wait: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant('reopen' as const) },
  { weight: 1, arbitrary: fc.constant('reread' as const) },
);
type Operation = typeof operationArbitrary extends fc.Arbitrary<infer T> ? T : never;
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

const OWNERS = ['a', '', '__proto__', LONG_NAME];

/** Plays steps on a store and on the model. Deleted sessions and groups get a new queue id, as the port demands. */
async function runSteps(place: StorePlace, steps: readonly Step[]): Promise<void> {
  const model = new StoreModel();
  const messages = ['one', 'two', 'three', 'four'].map((payload) => text(payload));
  const queueIds = OWNERS.flatMap((_, at) => [at + 1, at + 101]);
  let lastQueueId = 1_000;
  const renew = (at: number): void => {
    queueIds[at] = ++lastQueueId;
  };
  let store = place.makeStore();
  await store.open();
  for (const step of steps) {
    if (step === 'reopen') {
      await store.close();
      store = place.makeStore();
      expect(describeState(await store.open())).toEqual(model.describe());
    } else if (step === 'reread') {
      const [first] = await store.readQueue(queueIds[0]!, 0, 1, NO_LIMIT);
      if (first !== undefined) messages[0] = first.message;
    } else {
      const batch = step.operations.map((operation) => toMutation(operation, queueIds, messages, renew));
      for (const mutation of batch) model.apply(mutation);
      const done = store.commit(batch);
      if (step.wait) await done;
    }
  }
  for (const queueId of queueIds) {
    const found = await store.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT);
    expect(found.map(describeEntry)).toEqual(model.queue(queueId).map(describeEntry));
  }
  await store.close();
  store = place.makeStore();
  expect(describeState(await store.open())).toEqual(model.describe());
  await store.close();
}

function toMutation(
  { what, owner, item, choice }: Operation,
  queueIds: readonly number[],
  messages: readonly Message[],
  renew: (at: number) => void,
): Mutation {
  const name = OWNERS[owner]!;
  const queueAt = owner * 2 + (item % 2);
  const queueId = queueIds[queueAt]!;
  switch (what) {
    case 0:
      return session(name, queueIds[owner * 2]!, { epoch: item });
    case 1: {
      const deleted = queueIds[owner * 2]!;
      if (item < 4) return { kind: 'queue-delete', queueId: deleted, sequence: item };
      renew(owner * 2);
      return sessionDelete(name, deleted);
    }
    case 2:
      return subscription(name, `${item}`, { subscriptionIdentifier: choice });
    case 3:
      return { kind: 'subscription-delete', clientId: name, topicFilter: `${item}` };
    case 4:
      return { kind: 'group-put', record: { shareKey: name, queueId: queueIds[owner * 2 + 1]! } };
    case 5: {
      const deleted = queueIds[owner * 2 + 1]!;
      if (item < 4) return { kind: 'queue-delete', queueId: deleted, sequence: item };
      renew(owner * 2 + 1);
      return { kind: 'group-delete', shareKey: name, queueId: deleted };
    }
    case 6:
      return inbound(name, item);
    case 7:
      return { kind: 'inbound-delete', clientId: name, packetId: item };
    case 8:
      return choice === 0 ? { kind: 'will-delete', clientId: name } : { kind: 'will-put', record: { ...fullWill, clientId: name, publishAt: item } };
    case 9:
      return choice === 0 ? { kind: 'retained-delete', topicName: `${item}` } : retained(`${item}`, name.slice(0, 5) + choice);
    case 10:
      return { kind: 'queue-delete', queueId, sequence: item };
    case 11:
      return state(queueId, item, choice, choice < 2 ? 'sent' : 'released');
    default:
      return put({ ...entry(queueId, item, messages[choice]!), subscriptionIdentifiers: choice === 0 ? [] : [choice] });
  }
}

const fullWill: WillRecord = {
  clientId: 'w',
  publishAt: 1_893_456_000_000,
  will: {
    topicName: 'will/ü',
    payload: Buffer.from([0, 255, 1]),
    qos: 2,
    retain: true,
    properties: {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      responseTopic: 'r',
      correlationData: new Uint8Array([0, 128, 255]),
      willDelayInterval: 5,
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
    },
  },
};

function text(payload: string): Message {
  return new Message({ topicName: 'topic', payload: Buffer.from(payload), qos: 1, publisherId: 'p' });
}

function entry(queueId: number, sequence: number, message: Message = text(`${queueId}/${sequence}`)): QueueRecord {
  return {
    queueId,
    sequence,
    message,
    qos: 1,
    retain: false,
    subscriptionIdentifiers: [],
    packetId: 0,
    state: 'waiting',
    shareKey: '',
  };
}

function put(record: QueueRecord): Mutation {
  return { kind: 'queue-put', record };
}

function state(queueId: number, sequence: number, packetId: number, to: QueueRecord['state']): Mutation {
  return { kind: 'queue-state', queueId, sequence, packetId, state: to };
}

function session(
  clientId: string,
  queueId: number,
  change: { epoch?: number; expiresAt?: number; username?: string } = {},
): Mutation {
  const base = { clientId, epoch: 1, queueId, sessionExpiryInterval: 0xffff_ffff, expiresAt: Number.POSITIVE_INFINITY, username: '' };
  return { kind: 'session-put', record: { ...base, ...change } };
}

function sessionDelete(clientId: string, queueId: number): Mutation {
  return { kind: 'session-delete', clientId, epoch: 1, queueId };
}

function subscription(clientId: string, topicFilter: string, change: object = {}): Mutation {
  const base = { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionIdentifier: 0 } as const;
  return { kind: 'subscription-put', clientId, record: { ...base, ...change } };
}

function inbound(clientId: string, packetId: number): Mutation {
  return { kind: 'inbound-put', clientId, packetId };
}

function retained(topicName: string, payload: string): Mutation {
  return { kind: 'retained-put', message: new Message({ topicName, payload: Buffer.from(payload), qos: 1, retain: true }) };
}
