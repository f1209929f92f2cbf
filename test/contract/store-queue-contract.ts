import { expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import type { Mutation, Store } from '../../src/store/store.ts';
import type { Differences } from './store-contract.ts';
import { describeEntry } from './store-model.ts';
import {
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

/** The tests of the contract that are about queues and their messages. */
export function describeQueues(differences: Differences, store: () => Store): void {
  test('keeps every field of an entry and of its message', async () => {
    const bytes = Buffer.from('....payload....');
    const message = new Message({
      topicName: 'töpic/😀',
      payload: bytes,
      payloadStart: 4,
      payloadEnd: 11,
      qos: 2,
      retain: true,
      properties: Buffer.from([1, 1, 38, 0, 1, 97, 0, 1, 98]),
      expiresAt: 1_893_456_000_123,
      publisherId: 'publisher-ü',
    });
    const identifiers = [1, 128, 268_435_455];
    expect(
      await differences([
        put({
          ...entry(1, 1, message),
          qos: 2,
          retain: true,
          subscriptionIdentifiers: identifiers,
          packetId: 65_535,
          state: 'released',
          shareKey: 'group/tö',
        }),
        put(entry(1, 2, new Message({ topicName: '', payload: new Uint8Array(0), qos: 0 }))),
        put(entry(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
        put(entry(2 ** 32, 2 ** 32 + 1)),
        put(entry(0, 1)),
      ]),
    ).toEqual([]);
  });

  test('replaces an entry whole, changes its state and deletes it', async () => {
    expect(
      await differences(
        [put(entry(1, 1)), put(entry(1, 2)), put(entry(1, 3))],
        [
          put({ ...entry(1, 1, text('other')), qos: 2 }),
          setState(1, 2, 77, 'sent'),
          { kind: 'queue-delete', queueId: 1, sequence: 3 },
        ],
        [
          setState(1, 2, 78, 'released'),
          setState(1, 9, 1, 'sent'),
          setState(8, 1, 1, 'sent'),
          { kind: 'queue-delete', queueId: 8, sequence: 1 },
        ],
      ),
    ).toEqual([]);
  });

  test('folds what happens to an entry within one batch', async () => {
    const owner = session('a', 1);
    const remove: Mutation = { kind: 'queue-delete', queueId: 1, sequence: 1 };
    expect(await differences([owner, put(entry(1, 1)), setState(1, 1, 5, 'sent')])).toEqual([]);
    await store().commit([remove]);
    expect(await differences([owner, put(entry(1, 1)), remove])).toEqual([]);
    expect(await differences([owner, put(entry(1, 1)), remove, setState(1, 1, 5, 'sent')])).toEqual([]);
    expect(
      await differences([owner, put(entry(1, 1)), remove, put(entry(1, 1, text('second'))), setState(1, 1, 6, 'sent')]),
    ).toEqual([]);
    expect(await differences([owner, setState(1, 1, 7, 'released'), remove])).toEqual([]);
  });

  test('keeps entries in the order of sequence, however they came', async () => {
    expect(
      await differences(
        [put(entry(1, 300)), put(entry(1, 2)), put(entry(1, 65_536))],
        [put(entry(1, 256)), put(entry(1, 1))],
      ),
    ).toEqual([]);
  });

  test('keeps a message that several queues share until the last of them is done with it', async () => {
    const shared = text('shared');
    const other = text('other');
    const remove = (queueId: number, sequence: number): Mutation => ({ kind: 'queue-delete', queueId, sequence });
    expect(
      await differences(
        [
          put(entry(1, 1, shared)),
          put(entry(1, 2, other)),
          put(entry(2, 1, shared)),
          put(entry(3, 1, shared)),
          put(entry(3, 2, other)),
        ],
        [remove(1, 1)],
        [put(entry(4, 1, shared))],
        [remove(2, 1), setState(3, 1, 9, 'sent')],
        [put(entry(3, 2, text('replaced')))],
        [remove(3, 1), remove(4, 1), remove(1, 2)],
        [put(entry(5, 1, shared)), put(entry(5, 2, other))],
      ),
    ).toEqual([]);
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
      { kind: 'group-put', record: { shareKey: 'g/x', queueId: 2 }, online: 0 },
      { kind: 'group-put', record: { shareKey: 'g/y', queueId: 3 }, online: 0 },
      put(entry(1, 1, shared)),
      put(entry(2, 1, shared)),
      put(entry(3, 1, shared)),
      put(entry(1, 2)),
      setState(1, 1, 4, 'sent'),
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
    expect(await differences(batch.flatMap((mutation) => [mutation, mutation]))).toEqual([]);
    expect(await differences(...batch.flatMap((mutation) => [[mutation], [mutation]]))).toEqual([]);
  });
}
