import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import type { Mutation } from '../../src/store/store.ts';
import { describeStore } from '../contract/store-contract.ts';
import { KEPT } from './store-child-settings.ts';
import {
  NO_LIMIT,
  countRecords,
  cutSlack,
  fill,
  kill,
  makeDirectory,
  payload,
  put,
  putMessage,
  removeEntry,
  startChild,
  withStore,
} from './store-fixtures.ts';

for (const durability of ['durable', 'os'] as const) {
  describeStore(`EmbeddedStore, ${durability}`, () => {
    const directory = makeDirectory();
    return {
      makeStore: () => new EmbeddedStore({ directory, durability }),
      remove: () => rmSync(directory, { recursive: true, force: true }),
    };
  });
}

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
    expect(await cutSlack(directory)).toBeLessThan(500_000);
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
    await withStore(directory, (store) =>
      store.commit([{ kind: 'session-delete', clientId: 'c', epoch: 1, queueId: 1 }]),
    );
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

  test('is on disk when a durable commit resolves, as its system calls show', (context) => {
    const calls = traceCommits(directory, 'durable');
    if (calls === undefined) return context.skip('strace cannot be used here');
    expect(calls).toHaveLength(5);
    // Pages, flush, then the page that makes them valid, through a descriptor that flushes what it writes.
    for (const commit of calls) expect(commit.slice(-2)).toEqual(['fdatasync', 'flushed write']);
  });

  test('is written, but not flushed, when an os commit resolves', (context) => {
    const calls = traceCommits(directory, 'os');
    if (calls === undefined) return context.skip('strace cannot be used here');
    expect(calls).toHaveLength(5);
    for (const commit of calls) {
      expect(commit).toContain('write');
      expect(commit).not.toContain('fdatasync');
      expect(commit).not.toContain('flushed write');
    }
  });
});

/** What was done to the data file in each of five commits; undefined where system calls cannot be watched. */
function traceCommits(directory: string, durability: string): string[][] | undefined {
  const trace = join(directory, 'trace');
  const watched = 'trace=openat,write,writev,pwrite64,pwritev,fdatasync,fsync';
  const child = join(import.meta.dirname, 'store-flush-child.ts');
  const command = [process.execPath, '--no-warnings', child, join(directory, 'data'), durability];
  try {
    execFileSync('strace', ['-f', '-y', '-e', watched, '-o', trace, ...command], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const lines = readFileSync(trace, 'utf8').split('\n');
  const flushing = lines.flatMap((line) => /data\.mdb", .*O_DSYNC.* = (\d+)/.exec(line)?.[1] ?? []);
  const commits: string[][] = [];
  let commit: string[] | undefined;
  for (const line of lines) {
    if (line.includes('"resolved ')) commit = undefined;
    if (line.includes('"commit ')) commits.push((commit = []));
    const call = / (\w+)\((\d+)<[^>]*\/data\.mdb>/.exec(line);
    if (call === null || commit === undefined) continue;
    if (call[1] === 'fdatasync') commit.push('fdatasync');
    else commit.push(flushing.includes(call[2] ?? '') ? 'flushed write' : 'write');
  }
  return commits;
}
