import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { Database } from '../../src/store/database.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import type { Mutation, QueueRecord } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store.ts';

/** More than any queue of a test has. */
export const NO_LIMIT = 1_000_000_000;

/** Bytes of a page of the data file. */
export const PAGE_SIZE = 4_096;

/** Size of the disk that `mountSmallDisk` mounts. */
export const DISK_BYTES: number = 16 * 1024 * 1024;

export function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'trellis-store-'));
}

export async function withStore(directory: string, use: (store: EmbeddedStore) => Promise<void> | void): Promise<void> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  await store.open();
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

/** Fills queue 1 of a session. */
export function fill(directory: string, count: number, text = 'message'): Promise<void> {
  return withStore(directory, async (store) => {
    const batch: Mutation[] = [];
    for (let sequence = 1; sequence <= count; sequence++) batch.push(put(1, sequence, text));
    await store.commit(batch);
  });
}

/** What a store says that must not open this directory. */
export async function refusal(directory: string): Promise<string> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  try {
    await store.open();
  } catch (error) {
    if (error instanceof StoreError) return error.message;
    throw error;
  }
  await store.close();
  throw new Error('the store opened');
}

export async function countRecords(directory: string): Promise<number> {
  const database = new Database(join(directory, 'data.mdb'), true);
  const count = database.recordCount();
  await database.close();
  return count;
}

/** Cuts the room that is held ready at the end of the data file, and returns the length that is left. */
export async function cutSlack(directory: string): Promise<number> {
  const file = join(directory, 'data.mdb');
  const database = new Database(file, true);
  const length = (database.pageCounts().last + 1) * PAGE_SIZE;
  await database.close();
  truncateSync(file, length);
  return length;
}

function childArguments(directory: string, durability: string): string[] {
  return ['--no-warnings', join(import.meta.dirname, 'store-child.ts'), directory, durability];
}

export async function startChild(
  children: ChildProcess[],
  directory: string,
  durability: string,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, childArguments(directory, durability), { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const [first] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as unknown[];
  if (!String(first).startsWith('ready')) throw new Error('the child did not start');
  return child;
}

/** Starts a child that must fail, and returns what it says. */
export async function childFails(directory: string): Promise<string> {
  const child = spawn(process.execPath, childArguments(directory, 'idle'), { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(code).not.toBe(0);
  return text;
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

export function mountSmallDisk(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'trellis-test', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export function fillDisk(file: string): void {
  for (const size of [65_536, 4_096]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  expect(existsSync(file)).toBe(true);
}

export function put(queueId: number, sequence: number, text: string): Mutation {
  return putMessage(queueId, sequence, new Message({ topicName: 't', payload: Buffer.from(text), qos: 1 }));
}

export function putMessage(queueId: number, sequence: number, message: Message): Mutation {
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

export function removeEntry(queueId: number, sequence: number): Mutation {
  return { kind: 'queue-delete', queueId, sequence };
}

export function payload(record: QueueRecord): string {
  return Buffer.from(record.message.payload).toString();
}
