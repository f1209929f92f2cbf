import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import type { Mutation } from '../../src/store/store.ts';
import { StoreFullError } from '../../src/store/store.ts';
import {
  DISK_BYTES,
  NO_LIMIT,
  fillDisk,
  makeDirectory,
  mountSmallDisk,
  payload,
  put,
  putMessage,
  removeEntry,
} from './store-fixtures.ts';

describe('an EmbeddedStore on a full disk', () => {
  let mountPoint = '';

  afterEach(() => {
    if (mountPoint === '') return;
    execFileSync('umount', ['-l', mountPoint]);
    rmSync(mountPoint, { recursive: true, force: true });
    mountPoint = '';
  });

  test('refuses what needs room, takes what frees it, and recovers', async (context) => {
    const directory = makeDirectory();
    if (!mountSmallDisk(directory)) {
      rmSync(directory, { recursive: true });
      context.skip('no tmpfs can be mounted here');
    }
    mountPoint = directory;
    const store = new EmbeddedStore({ directory: join(mountPoint, 'data'), durability: 'durable' });
    await store.open();
    const filler = join(mountPoint, 'filler');
    const shared = new Message({ topicName: 't', payload: Buffer.from('shared'), qos: 1 });
    await store.commit([put(1, 1, 'kept'), putMessage(2, 1, shared), putMessage(3, 1, shared)]);
    writeFileSync(filler, Buffer.alloc(DISK_BYTES / 2));
    const count = await putUntilFull(store);
    fillDisk(filler);
    // Of commits that go together, each fares as it would alone, also one that refers to what a refused one brought.
    const large = new Message({ topicName: 't', payload: Buffer.alloc(2_000_000), qos: 1 });
    const together = [
      store.commit([removeEntry(1, 2)]),
      store.commit([putMessage(1, 500, large), putMessage(4, 500, large)]),
      store.commit([{ kind: 'queue-state', queueId: 1, sequence: 1, packetId: 7, state: 'sent' }]),
      store.commit([removeEntry(2, 1)]),
    ];
    expect((await Promise.allSettled(together)).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    await expect(store.commit([putMessage(4, 1, large)])).rejects.toThrow('There is no room left');
    const before = store.freeBytes();
    for (let at = 3; at <= count; at++) await store.commit([removeEntry(1, at)]);
    expect(store.freeBytes()).toBeGreaterThan(before + 1_000_000);
    const left = await store.readQueue(1, 0, 9, NO_LIMIT);
    expect(left.map((record) => [record.sequence, record.packetId, payload(record)])).toEqual([[1, 7, 'kept']]);
    expect((await store.readQueue(3, 0, 9, NO_LIMIT)).map(payload)).toEqual(['shared']);
    // The disk is as full as before, but the file has room again.
    await store.commit([put(1, 501, 'x'.repeat(1_000))]);
    rmSync(filler);
    await store.commit([putMessage(1, 502, large), putMessage(4, 502, large)]);
    await store.close();
    const state = await store.open();
    expect(state.queues).toMatchObject([
      { queueId: 1, count: 3, lastSequence: 502 },
      { queueId: 3, count: 1 },
      { queueId: 4, count: 1 },
    ]);
    await store.close();
  });

  test('keeps a message whose first commit was refused while a later one already referred to it', async (context) => {
    const directory = makeDirectory();
    if (!mountSmallDisk(directory)) {
      rmSync(directory, { recursive: true });
      context.skip('no tmpfs can be mounted here');
    }
    mountPoint = directory;
    const store = new EmbeddedStore({ directory: join(mountPoint, 'data'), durability: 'durable' });
    await store.open();
    const message = new Message({ topicName: 't', payload: Buffer.from('small'), qos: 1 });
    const tooLarge = put(1, 2, 'x'.repeat(2 * DISK_BYTES));
    const refused = store.commit([putMessage(1, 1, message), putMessage(2, 1, message), tooLarge]);
    // The transaction of the first commit begins before the second one comes.
    await Promise.resolve();
    await Promise.resolve();
    const written = store.commit([putMessage(3, 1, message), putMessage(4, 1, message)]);
    await expect(refused).rejects.toBeInstanceOf(StoreFullError);
    await written;
    await store.close();
    expect((await store.open()).queues.map(({ queueId }) => queueId)).toEqual([3, 4]);
    expect((await store.readQueue(4, 0, 9, NO_LIMIT)).map(payload)).toEqual(['small']);
    await store.close();
  });

  test('erases a large deleted queue in spite of it', async (context) => {
    const directory = makeDirectory();
    if (!mountSmallDisk(directory)) {
      rmSync(directory, { recursive: true });
      context.skip('no tmpfs can be mounted here');
    }
    mountPoint = directory;
    const store = new EmbeddedStore({ directory: join(mountPoint, 'data'), durability: 'durable' });
    await store.open();
    const batch: Mutation[] = [];
    for (let sequence = 1; sequence <= 10_000; sequence++) batch.push(put(1, sequence, 'x'.repeat(100)));
    await store.commit(batch);
    fillDisk(join(mountPoint, 'filler'));
    await putUntilFull(store);
    await store.commit([{ kind: 'session-delete', clientId: 'c', epoch: 1, queueId: 1 }]);
    const free = store.freeBytes();
    for (let round = 0; store.freeBytes() < free + 500_000; round++) {
      await store.commit([removeEntry(9, round), { kind: 'will-delete', clientId: `${round}` }]);
      expect(round).toBeLessThan(1_000);
    }
    await store.commit([put(2, 1, 'x'.repeat(10_000))]);
    await store.close();
  });
});

/** Puts entries in queue 1 from sequence 2 on and returns the last that found room. */
async function putUntilFull(store: EmbeddedStore): Promise<number> {
  for (let sequence = 2; sequence < 2_000; sequence++) {
    const error: unknown = await store
      .commit([put(1, sequence, 'x'.repeat(50_000))])
      .catch((reason: unknown) => reason);
    if (error === undefined) continue;
    expect(error).toBeInstanceOf(StoreFullError);
    return sequence - 1;
  }
  throw new Error('the disk does not get full');
}
