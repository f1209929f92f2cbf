import { type ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { open as openLmdb } from 'lmdb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { Database } from '../../src/store/database.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import { RecordWriter } from '../../src/store/record-writer.ts';
import { SCHEMA_VERSION } from '../../src/store/schema.ts';
import { KeyKind, StoreKey } from '../../src/store/store-key.ts';
import type { Mutation } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store.ts';
import {
  NO_LIMIT,
  PAGE_SIZE,
  childFails,
  cutSlack,
  fill,
  kill,
  makeDirectory,
  payload,
  put,
  putMessage,
  refusal,
  startChild,
  withStore,
} from './store-fixtures.ts';

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
    for (const name of readdirSync(path))
      expect([name, statSync(join(path, name)).mode & 0o777]).toEqual([name, 0o600]);
  });

  test('is for the owner alone whatever the umask', async () => {
    const code = `
      import { EmbeddedStore } from ${JSON.stringify(new URL('../../src/store/embedded-store.ts', import.meta.url))};
      process.umask(Number(process.argv[1]));
      const store = new EmbeddedStore({ directory: process.argv[2], durability: 'os' });
      await store.open();
      await store.close();`;
    for (const umask of [0, 0o027, 0o077]) {
      const path = join(directory, `umask-${umask}`, 'data');
      execFileSync(process.execPath, ['--input-type=module', '-e', code, String(umask), path], { timeout: 60_000 });
      const names = readdirSync(path).map((name) => join(path, name));
      expect(names.length).toBeGreaterThan(1);
      for (const name of [path, dirname(path)]) expect(statSync(name).mode & 0o777).toBe(0o700);
      for (const name of names) expect([name, statSync(name).mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  test('that is a file is refused', async () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    expect(await refusal(path)).toContain(`The data directory ${path} is not a directory.`);
    expect(await refusal(join(path, 'below'))).toContain('cannot be made: ENOTDIR');
  });

  test.skipIf(process.getuid?.() === 0)(
    'that must not be written is refused (skipped for root, who may do all)',
    async () => {
      chmodSync(directory, 0o500);
      expect(await refusal(directory)).toContain('is not writable for this user: EACCES');
    },
  );

  test('that cannot be made is refused', async () => {
    expect(await refusal('/proc/trellis-data')).toContain('cannot be made: ENOENT');
  });

  test('is refused to a second store of the process, and is free again after close', async () => {
    await withStore(directory, async (store) => {
      await store.commit([put(1, 1, 'x')]);
      expect(await refusal(directory)).toContain('is in use by this process');
      // The refusal has not let go of the lock.
      expect(await refusal(directory)).toContain('is in use by this process');
      expect(await childFails(directory)).toContain(`is in use by process ${process.pid}. Stop it`);
      await store.commit([put(1, 2, 'x')]);
    });
    await withStore(directory, async (store) => {
      expect(await store.readQueue(1, 0, 9, NO_LIMIT)).toHaveLength(2);
    });
  });

  test('is refused to a second process, and is free again after kill -9', async () => {
    const child = await startChild(children, directory, 'idle');
    expect(await refusal(directory)).toContain(`is in use by process ${child.pid}. Stop it`);
    await kill(child);
    await withStore(directory, async (store) => {
      await expect(store.readQueue(1, 0, 1, 1)).resolves.toEqual([]);
    });
  });

  test('goes to at most one of those who start together, and to one of them in the end', async () => {
    const starts = await Promise.allSettled(Array.from({ length: 4 }, () => startChild(children, directory, 'idle')));
    const owners = starts.flatMap((start) => (start.status === 'fulfilled' ? start.value : []));
    expect(owners).toHaveLength(1);
    expect(await refusal(directory)).toContain(`is in use by process ${owners[0]?.pid}`);
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
    expect(await refusal(directory)).toContain(
      `The file ${file} is damaged: it does not begin as data of Trellis does. Restore`,
    );
    writeFileSync(file, '');
    expect(await refusal(directory)).toContain('is damaged: it does not begin');
    writeFileSync(file, 'short');
    expect(await refusal(directory)).toContain('is damaged: it does not begin');
  });

  test('with a file that was cut anywhere is refused', async () => {
    await fill(directory, 2_000, 'x'.repeat(100));
    const file = join(directory, 'data.mdb');
    const full = await cutSlack(directory);
    for (const share of [0.999, 0.9, 0.5, 0.1, 0.02]) {
      truncateSync(file, Math.floor(full * share));
      expect(await refusal(directory)).toContain('is damaged: ');
    }
    truncateSync(file, full);
    expect(await refusal(directory)).toContain('is damaged: ');
  });

  test('with a large message that was cut is refused', async () => {
    await withStore(directory, async (store) => {
      for (let sequence = 1; sequence < 50; sequence++) await store.commit([put(1, sequence, 'x'.repeat(200))]);
      await store.commit([put(1, 50, 'x'.repeat(1_000_000))]);
      // The root of the tree moves to free pages before the message.
      for (let sequence = 51; sequence < 60; sequence++) await store.commit([put(1, sequence, 'x')]);
    });
    const file = join(directory, 'data.mdb');
    truncateSync(file, (await cutSlack(directory)) - 300_000);
    expect(await refusal(directory)).toContain('refers to what is not there');
  });

  test('with a page overwritten by zeros or by another page is refused', async () => {
    await fill(directory, 2_000, 'x'.repeat(100));
    const file = join(directory, 'data.mdb');
    await cutSlack(directory);
    const whole = readFileSync(file);
    let refused = 0;
    const outcomes: unknown[] = [];
    for (let page = 2; page < whole.length / PAGE_SIZE; page += 4) {
      for (const other of [Buffer.alloc(PAGE_SIZE), whole.subarray(0, PAGE_SIZE)]) {
        const damaged = Buffer.from(whole);
        damaged.set(other, page * PAGE_SIZE);
        writeFileSync(file, damaged);
        const store = new EmbeddedStore({ directory, durability: 'durable' });
        const outcome: unknown = await store.open().catch((reason: unknown) => reason);
        await store.close();
        if (outcome instanceof StoreError) refused++;
        else outcomes.push(outcome);
      }
    }
    expect(refused).toBeGreaterThan(20);
    // Pages that hold nothing may be damaged without harm.
    for (const outcome of outcomes) expect(outcome).toMatchObject({ queues: [{ queueId: 1, count: 2_000 }] });
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
    expect(await refusal(directory)).toContain(
      `was written by a newer version of Trellis (schema ${SCHEMA_VERSION + 1}`,
    );
  });

  test('with a database of somebody else is refused', async () => {
    const other = openLmdb({ path: join(directory, 'data.mdb'), noSubdir: true });
    await other.put('key', 'value');
    await other.close();
    expect(await refusal(directory)).toContain('is a database, but not of Trellis');
  });
});
