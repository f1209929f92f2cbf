import { setTimeout as delay } from 'node:timers/promises';
import { open as openLmdb } from 'lmdb';
import { StoreError } from './store.ts';

const LOCK_MAP_SIZE = 1024 * 1024;
const OWNER = Buffer.from('owner');
const YIELD_ATTEMPTS = 20;
const YIELD_DELAY_MS = 25;
const PID_COLUMN = /^\s*(\d+)\s/;

/** What is used of lmdb here. */
interface LockTable {
  useReadTransaction(): { done(): void };
  readerCheck(): number;
  readerList(): string;
  tryLock(key: Buffer): boolean;
  unlock(key: Buffer): boolean;
  close(): Promise<void>;
}

/** Sole use of a data directory, held until it is released or the process ends, however it ends. */
export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Takes the directory for this process. Node has no file locks, lmdb has: a reader of a database stands in a shared table
 * with its process id and holds a record lock of the kernel on it, which is gone with the process, so that neither a kill
 * nor a process id used again leaves a stale owner. The owner is a reader of an empty database kept for this alone.
 *
 * Everybody enters the table first and looks at it then: of two that start together both see each other, and the one
 * with the higher process id gives way.
 *
 * @throws StoreError when the directory is in use.
 */
export async function lockDirectory(file: string, directory: string): Promise<DirectoryLock> {
  const table = openLmdb({
    path: file,
    noSubdir: true,
    maxDbs: 1,
    mapSize: LOCK_MAP_SIZE,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
  }) as unknown as LockTable;
  // Stores of one process share the table, and it counts processes only.
  if (!table.tryLock(OWNER)) {
    await table.close();
    throw inUse(directory, 'this process');
  }
  let reader: { done(): void };
  try {
    reader = table.useReadTransaction();
    await waitForOthers(table, directory);
  } catch (error) {
    table.unlock(OWNER);
    await table.close();
    if (error instanceof StoreError) throw error;
    // A process of another container with the same process id holds the record lock.
    throw inUse(directory, 'another process', error);
  }
  return {
    release: async () => {
      reader.done();
      table.unlock(OWNER);
      await table.close();
    },
  };
}

async function waitForOthers(table: LockTable, directory: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    table.readerCheck();
    const others = readPids(table.readerList()).filter((pid) => pid !== process.pid);
    if (others.length === 0) return;
    if (attempt === YIELD_ATTEMPTS || Math.min(...others) < process.pid) {
      throw inUse(directory, `process ${others.join(', ')}`);
    }
    await delay(YIELD_DELAY_MS);
  }
}

function readPids(list: string): number[] {
  return list
    .split('\n')
    .flatMap((line) => PID_COLUMN.exec(line)?.[1] ?? [])
    .map(Number);
}

function inUse(directory: string, owner: string, cause?: unknown): StoreError {
  return new StoreError(
    `The data directory ${directory} is in use by ${owner}. Stop it, or choose another directory.`,
    cause === undefined ? undefined : { cause },
  );
}
