import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { open as openLmdb } from 'lmdb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { Database } from '../../src/store/database.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import { RecordWriter } from '../../src/store/record-writer.ts';
import { SCHEMA_VERSION } from '../../src/store/schema.ts';
import { KeyKind, StoreKey } from '../../src/store/store-key.ts';
import type { Mutation, QueueRecord } from '../../src/store/store.ts';
import { StoreError, StoreFullError } from '../../src/store/store.ts';
import { describeStore } from '../contract/store-contract.ts';
import { KEPT } from './store-child-settings.ts';

const NO_LIMIT = 1_000_000_000;
const PAGE_SIZE = 4_096;

for (const durability of ['durable', 'os'] as const) {
  describeStore(`EmbeddedStore, ${durability}`, () => {
    const directory = makeDirectory();
    return {
      makeStore: () => new EmbeddedStore({ directory, durability }),
      remove: () => rmSync(directory, { recursive: true, force: true }),
    };
  });
}

describe('the data directory of an EmbeddedStore', () => {
  let directory: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    directory = makeDirectory();
  });

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
    rmSync(directory, { recursive: true, force: true });
  });

  test('is made, it and its files for the owner alone', async () => {
    const path = join(directory, 'a', 'b');
    await withStore(path, async (store) => {
      await store.commit([put(1, 1, 'x')]);
    });
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(readdirSync(path)).toContain('data.mdb');
    for (const name of readdirSync(path)) expect([name, statSync(join(path, name)).mode & 0o777]).toEqual([name, 0o600]);
  });

  test('that is a file is refused', async () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    await expectRefusal(path, `The data directory ${path} is not a directory.`);
    await expectRefusal(join(path, 'below'), 'cannot be made: ENOTDIR');
  });

  test.skipIf(process.getuid?.() === 0)('that must not be written is refused (skipped for root, who may do all)', async () => {
    chmodSync(directory, 0o500);
    await expectRefusal(directory, 'is not writable for this user: EACCES');
  });

  test('that cannot be made is refused', async () => {
    await expectRefusal('/proc/trellis-data', 'cannot be made: ENOENT');
  });

  test('is refused to a second store of the process, and is free again after close', async () => {
    await withStore(directory, async (store) => {
      await store.commit([put(1, 1, 'x')]);
      await expectRefusal(directory, 'is in use by this process');
      // The refusal has not let go of the lock.
      await expectRefusal(directory, 'is in use by this process');
      expect(await childFails(directory)).toContain(`is in use by process ${process.pid}. Stop it`);
      await store.commit([put(1, 2, 'x')]);
    });
    await withStore(directory, async (store) => {
      expect(await store.readQueue(1, 0, 9, NO_LIMIT)).toHaveLength(2);
    });
  });

  test('is refused to a second process, and is free again after kill -9', async () => {
    const child = await startChild(children, directory, 'idle');
    await expectRefusal(directory, `is in use by process ${child.pid}. Stop it`);
    await kill(child);
    await withStore(directory, () => {});
  });

  test('goes to at most one of those who start together, and to one of them in the end', async () => {
    const starts = await Promise.allSettled(Array.from({ length: 4 }, () => startChild(children, directory, 'idle')));
    const owners = starts.flatMap((start) => (start.status === 'fulfilled' ? start.value : []));
    expect(owners).toHaveLength(1);
    await expectRefusal(directory, `is in use by process ${owners[0]?.pid}`);
  });

  test('of one store does not concern the store of another', async () => {
    await withStore(join(directory, 'a'), (first) =>
      withStore(join(directory, 'b'), async (second) => {
        await Promise.all([first.commit([put(1, 1, 'first')]), second.commit([put(1, 1, 'second')])]);
        expect((await first.readQueue(1, 0, 9, NO_LIMIT)).map(payload)).toEqual(['first']);
        expect((await second.readQueue(1, 0, 9, NO_LIMIT)).map(payload)).toEqual(['second']);
      }),
    );
  });

  test('with a message that carries the id of another store keeps the message itself', async () => {
    const message = new Message({ topicName: 't', payload: Buffer.from('both'), qos: 1 });
    const both = (n: number): Mutation[] => [putMessage(1, n, message), putMessage(2, n, message)];
    await withStore(join(directory, 'a'), (first) =>
      withStore(join(directory, 'b'), async (second) => {
        await first.commit(both(1));
        await second.commit(both(1));
        await first.commit(both(2));
        for (const store of [first, second]) {
          for (const record of await store.readQueue(2, 0, 9, NO_LIMIT)) expect(payload(record)).toBe('both');
        }
      }),
    );
  });

  test('with a damaged file is refused', async () => {
    const file = join(directory, 'data.mdb');
    writeFileSync(file, Buffer.alloc(65_536, 'garbage'));
    await expectRefusal(directory, `The file ${file} is damaged: it does not begin as data of Trellis does. Restore`);
    writeFileSync(file, '');
    await expectRefusal(directory, 'is damaged: it does not begin');
    writeFileSync(file, 'short');
    await expectRefusal(directory, 'is damaged: it does not begin');
  });

  test('with a file that was cut anywhere is refused', async () => {
    await fill(directory, 2_000, 'x'.repeat(100));
    const file = join(directory, 'data.mdb');
    const full = statSync(file).size;
    for (const share of [0.999, 0.9, 0.5, 0.1, 0.02]) {
      truncateSync(file, Math.floor(full * share));
      await expectRefusal(directory, 'is damaged: ');
    }
    truncateSync(file, full);
    await expectRefusal(directory, 'is damaged: ');
  });

  test('with a large message that was cut is refused', async () => {
    await withStore(directory, async (store) => {
      for (let sequence = 1; sequence < 50; sequence++) await store.commit([put(1, sequence, 'x'.repeat(200))]);
      await store.commit([put(1, 50, 'x'.repeat(1_000_000))]);
      // The root of the tree moves to free pages before the message.
      for (let sequence = 51; sequence < 60; sequence++) await store.commit([put(1, sequence, 'x')]);
    });
    const file = join(directory, 'data.mdb');
    truncateSync(file, statSync(file).size - 300_000);
    await expectRefusal(directory, 'refers to what is not there');
  });

  test('with a page overwritten by zeros or by another page is refused', async () => {
    await fill(directory, 2_000, 'x'.repeat(100));
    const file = join(directory, 'data.mdb');
    const whole = readFileSync(file);
    let refused = 0;
    for (let page = 2; page < whole.length / PAGE_SIZE; page += 3) {
      for (const other of [Buffer.alloc(PAGE_SIZE), whole.subarray(0, PAGE_SIZE)]) {
        const damaged = Buffer.from(whole);
        damaged.set(other, page * PAGE_SIZE);
        writeFileSync(file, damaged);
        const store = new EmbeddedStore({ directory, durability: 'durable' });
        const error: unknown = await store.open().catch((reason: unknown) => reason);
        if (error instanceof StoreError) refused++;
        // Pages that hold nothing may be damaged without harm.
        else expect(error).toMatchObject({ queues: [{ queueId: 1, count: 2_000 }] });
        await store.close();
      }
    }
    expect(refused).toBeGreaterThan(20);
  });

  test('with data of a newer version is refused', async () => {
    await fill(directory, 1);
    const database = new Database(join(directory, 'data.mdb'), true);
    const writer = new RecordWriter();
    const text = Buffer.from(JSON.stringify({ version: SCHEMA_VERSION + 1 }));
    writer.raw(text, 0, text.length);
    const key = new StoreKey().texts(KeyKind.schema, new Uint8Array(0));
    await database.batch(writer.bytes, () => database.put(key, 0, writer.position));
    await database.close();
    await expectRefusal(directory, `was written by a newer version of Trellis (schema ${SCHEMA_VERSION + 1}`);
  });

  test('with a database of somebody else is refused', async () => {
    const other = openLmdb({ path: join(directory, 'data.mdb'), noSubdir: true });
    await other.put('key', 'value');
    await other.close();
    await expectRefusal(directory, 'is a database, but not of Trellis');
  });
});

describe('what an EmbeddedStore writes', () => {
  let directory: string;

  beforeEach(() => {
    directory = makeDirectory();
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  test('is one copy of a message for all its queues, gone with the last of them', async () => {
    const message = new Message({ topicName: 't', payload: Buffer.alloc(100_000), qos: 1 });
    const other = new Message({ topicName: 't', payload: Buffer.alloc(100_000), qos: 1 });
    await withStore(directory, async (store) => {
      const batch: Mutation[] = [];
      for (let queueId = 1; queueId <= 50; queueId++) {
        batch.push(putMessage(queueId, 1, message), putMessage(queueId, 2, other));
      }
      await store.commit(batch);
    });
    expect(statSync(join(directory, 'data.mdb')).size).toBeLessThan(500_000);
    expect(await countRecords(directory)).toBe(1 + 100 + 2);
    await withStore(directory, async (store) => {
      for (let queueId = 1; queueId <= 49; queueId++) await store.commit([removeEntry(queueId, 1)]);
      await store.commit([{ kind: 'group-delete', shareKey: '', queueId: 50 }]);
    });
    expect(await countRecords(directory)).toBe(1 + 49 + 1);
  });

  test('is nothing for an entry that is put and deleted before it was flushed', async () => {
    await withStore(directory, async (store) => {
      await store.commit([put(1, 1, 'stays')]);
      const size = statSync(join(directory, 'data.mdb')).size;
      const commits: Promise<void>[] = [];
      for (let sequence = 2; sequence < 5_000; sequence++) {
        commits.push(store.commit([put(1, sequence, 'x'.repeat(1_000))]), store.commit([removeEntry(1, sequence)]));
      }
      await Promise.all(commits);
      expect(statSync(join(directory, 'data.mdb')).size).toBe(size);
    });
  });

  test('of a large deleted queue is erased in slices, also after a restart', async () => {
    await fill(directory, 10_000);
    await withStore(directory, (store) => store.commit([{ kind: 'session-delete', clientId: 'c', epoch: 1, queueId: 1 }]));
    const left = await countRecords(directory);
    expect(left).toBeGreaterThan(5_000);
    await withStore(directory, async (store) => {
      for (let round = 0; round < 20; round++) await store.commit([put(2, round, 'x')]);
    });
    expect(await countRecords(directory)).toBe(1 + 20);
  });

  test('survives kill -9: all that was acknowledged is there, and no batch in part', async () => {
    const children: ChildProcess[] = [];
    let acknowledged = 0;
    for (let round = 0; round < 10; round++) {
      const child = await startChild(children, directory, round % 2 === 0 ? 'durable' : 'os');
      const lines = createInterface({ input: child.stdout! });
      let enough = 1 + Math.floor(Math.random() * 400);
      for await (const line of lines) {
        acknowledged = Math.max(acknowledged, Number(line));
        if (--enough === 0) child.kill('SIGKILL');
      }
      await kill(child);
      const store = new EmbeddedStore({ directory, durability: 'durable' });
      const state = await store.open();
      const epoch = state.sessions[0]?.epoch ?? 0;
      expect(epoch).toBeGreaterThanOrEqual(acknowledged);
      for (const queueId of [1, 2]) {
        const entries = await store.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT);
        const expected = Array.from({ length: Math.min(epoch, KEPT) }, (_, at) => Math.max(0, epoch - KEPT) + at + 1);
        expect(entries.map(({ sequence }) => sequence)).toEqual(expected);
        expect(entries.map(payload)).toEqual(expected.map((n) => `message ${n}`));
      }
      await store.close();
    }
    expect(acknowledged).toBeGreaterThan(10);
  });
});

describe('an EmbeddedStore on a full disk', () => {
  const mountPoint = makeDirectory();
  const mounted = mountSmallDisk(mountPoint);

  afterEach(() => {
    if (mounted) execFileSync('umount', ['-l', mountPoint]);
    rmSync(mountPoint, { recursive: true, force: true });
  });

  test.skipIf(!mounted)('refuses what needs room, takes what frees it, and recovers (skipped where no tmpfs can be mounted)', async () => {
    const store = new EmbeddedStore({ directory: join(mountPoint, 'data'), durability: 'durable' });
    await store.open();
    const filler = join(mountPoint, 'filler');
    await store.commit([put(1, 1, 'kept')]);
    // Fill all but the store's own reserve, so that nothing can grow.
    writeFileSync(filler, Buffer.alloc(store.freeBytes() - 1_200_000));
    let sequence = 1;
    let refused: unknown;
    while (refused === undefined) {
      refused = await store.commit([put(1, ++sequence, 'x'.repeat(50_000))]).catch((error: unknown) => error);
      expect(sequence).toBeLessThan(1_000);
    }
    expect(refused).toBeInstanceOf(StoreFullError);
    const count = sequence - 1;
    writeFileSync(join(mountPoint, 'rest'), '');
    fillDisk(join(mountPoint, 'rest'));
    // Of commits that go together, each fares as it would alone.
    const together = await Promise.allSettled([
      store.commit([removeEntry(1, 2)]),
      store.commit([put(1, 500, 'x'.repeat(2_000_000))]),
      store.commit([{ kind: 'queue-state', queueId: 1, sequence: 1, packetId: 7, state: 'sent' }]),
    ]);
    expect(together.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    for (let at = 3; at <= count; at++) await store.commit([removeEntry(1, at)]);
    const left = await store.readQueue(1, 0, 9, NO_LIMIT);
    expect(left.map((record) => [record.sequence, record.packetId, payload(record)])).toEqual([[1, 7, 'kept']]);
    // The disk is as full as before, but the file has room again.
    await store.commit([put(1, 501, 'x'.repeat(50_000))]);
    rmSync(filler);
    await store.commit([put(1, 502, 'x'.repeat(500_000))]);
    await store.close();
    const state = await store.open();
    expect(state.queues).toMatchObject([{ queueId: 1, count: 3, lastSequence: 502 }]);
    await store.close();
  });
});

function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'trellis-store-'));
}

async function withStore(directory: string, use: (store: EmbeddedStore) => Promise<void> | void): Promise<void> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  await store.open();
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

/** Fills queue 1 of a session. */
function fill(directory: string, count: number, text = 'message'): Promise<void> {
  return withStore(directory, async (store) => {
    const batch: Mutation[] = [];
    for (let sequence = 1; sequence <= count; sequence++) batch.push(put(1, sequence, text));
    await store.commit(batch);
  });
}

async function expectRefusal(directory: string, text: string): Promise<void> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  const error: unknown = await store.open().then(
    () => store.close(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect((error as StoreError).message).toContain(text);
}

async function countRecords(directory: string): Promise<number> {
  const database = new Database(join(directory, 'data.mdb'), true);
  const count = database.recordCount();
  await database.close();
  return count;
}

function childArguments(directory: string, durability: string): string[] {
  return ['--no-warnings', join(import.meta.dirname, 'store-child.ts'), directory, durability];
}

async function startChild(children: ChildProcess[], directory: string, durability: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, childArguments(directory, durability), { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const [first] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as unknown[];
  if (!String(first).startsWith('ready')) throw new Error('the child did not start');
  return child;
}

/** Starts a child that must fail, and returns what it says. */
async function childFails(directory: string): Promise<string> {
  const child = spawn(process.execPath, childArguments(directory, 'idle'), { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(code).not.toBe(0);
  return text;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

function mountSmallDisk(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'trellis-test', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function fillDisk(file: string): void {
  for (const size of [65_536, 4_096]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }
  expect(existsSync(file)).toBe(true);
}

function put(queueId: number, sequence: number, text: string): Mutation {
  return putMessage(queueId, sequence, new Message({ topicName: 't', payload: Buffer.from(text), qos: 1 }));
}

function putMessage(queueId: number, sequence: number, message: Message): Mutation {
  return {
    kind: 'queue-put',
    record: {
      queueId,
      sequence,
      message,
      qos: 1,
      retain: false,
      subscriptionIdentifiers: [],
      packetId: 0,
      state: 'waiting',
      shareKey: '',
    },
  };
}

function removeEntry(queueId: number, sequence: number): Mutation {
  return { kind: 'queue-delete', queueId, sequence };
}

function payload(record: QueueRecord): string {
  return Buffer.from(record.message.payload).toString();
}
