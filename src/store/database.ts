import { setTimeout as delay } from 'node:timers/promises';
import { open as openLmdb } from 'lmdb';
import { StoreKey, readStoreKey, writeStoreKey } from './store-key.ts';

/** What is used of lmdb; its own types know neither custom keys nor values that are ranges of a buffer. */
interface Lmdb {
  put(key: StoreKey, value: BufferRange): unknown;
  remove(key: StoreKey): unknown;
  batch(action: () => void): Promise<boolean>;
  getBinaryFast(key: StoreKey): Uint8Array | undefined;
  getRange(options: { start: StoreKey; end: StoreKey; limit?: number }): Iterable<{ key: StoreKey }>;
  getStats(): LmdbStats;
  resetReadTxn(): void;
  sync(callback: (error: Error | null | undefined) => void): void;
  close(): Promise<void>;
}

interface LmdbTree {
  pageSize: number;
  treeDepth: number;
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

interface LmdbStats extends LmdbTree {
  entryCount: number;
  lastPageNumber: number;
  free: LmdbTree;
}

/** Numbers of pages. */
export interface PageCounts {
  /** Bytes. */
  pageSize: number;
  /** Highest number of a page that was ever used. */
  last: number;
  depth: number;
  branch: number;
  leaf: number;
  /** Pages that list the free ones. */
  ofFreeList: number;
  free: number;
}

/** Called with each record of a range; the bytes are valid during the call. Returns false to stop. */
export type Visit = (key: StoreKey, bytes: Uint8Array, length: number) => boolean;

/** A range of one buffer as lmdb takes values: it reads the bytes from another thread until the batch is written. */
class BufferRange {
  readonly buffer: ArrayBufferLike;
  readonly length: number;
  start = 0;
  end = 0;
  /** Kept by lmdb. */
  address = 0;

  constructor(bytes: Uint8Array) {
    this.buffer = bytes.buffer;
    this.length = bytes.length;
  }
}

const META_PAGES = 2;
/** How long the cause of a failed batch is waited for, ms. */
const CAUSE_MS = 1000;
/** Address space reserved for the file; lmdb enlarges it when it is used up. */
const MAP_SIZE = 2 ** 36;

/** The value that a range is at: lmdb hands it to the decoder, right before it hands out the key. */
class CurrentValue {
  /** lmdb: the encoder may return the same object for each value. */
  readonly copyBuffers = true;
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;

  encode(value: BufferRange): BufferRange {
    return value;
  }

  decode(bytes: Uint8Array, length: number): undefined {
    this.bytes = bytes;
    this.length = length;
    return undefined;
  }
}

/** The one file that lmdb keeps; everything this project knows of lmdb's ways is in here. */
export class Database {
  readonly #lmdb: Lmdb;
  readonly #current = new CurrentValue();
  #range = new BufferRange(new Uint8Array(0));

  /**
   * Opens the file, or makes it. With `flush`, a batch is on disk when its promise resolves, else in the hands of the
   * operating system; see docs/decisions/0002-lmdb-flush.md for why these two options say so.
   * @throws Error of lmdb.
   */
  constructor(file: string, flush: boolean) {
    this.#lmdb = openLmdb({
      path: file,
      noSubdir: true,
      maxDbs: 1,
      mapSize: MAP_SIZE,
      encoder: this.#current,
      keyEncoder: { writeKey: writeStoreKey, readKey: readStoreKey },
      eventTurnBatching: false,
      overlappingSync: false,
      noSync: !flush,
    }) as unknown as Lmdb;
  }

  /**
   * Applies what `action` puts and removes atomically; the values are ranges of `bytes`, which stays as it is until the
   * promise settles.
   */
  async batch(bytes: Buffer, action: () => void): Promise<void> {
    this.#range = new BufferRange(bytes);
    try {
      await this.#lmdb.batch(action);
    } catch (error) {
      throw await causeOf(error);
    }
  }

  put(key: StoreKey, start: number, end: number): void {
    this.#range.start = start;
    this.#range.end = end;
    this.#lmdb.put(key, this.#range);
  }

  remove(key: StoreKey): void {
    this.#lmdb.remove(key);
  }

  /** The value of a key, valid until the next read. */
  get(key: StoreKey): Uint8Array | undefined {
    const bytes = this.#lmdb.getBinaryFast(key);
    // lmdb sets `length` of a larger buffer; a view has the length that built-in functions go by.
    return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Visits at most `limit` records from `start` to before `end`, in order. */
  visit(start: StoreKey, end: StoreKey, limit: number, visit: Visit): void {
    const current = this.#current;
    for (const { key } of this.#lmdb.getRange({ start, end, limit })) {
      if (!visit(key, current.bytes, current.length)) return;
    }
  }

  /** Makes the reads that follow see every batch that has resolved. */
  refresh(): void {
    this.#lmdb.resetReadTxn();
  }

  /** Number of records as the head of the tree says. */
  recordCount(): number {
    return this.#lmdb.getStats().entryCount;
  }

  /** How the pages of the file are used. */
  pageCounts(): PageCounts {
    const stats = this.#lmdb.getStats();
    const { free, lastPageNumber: last } = stats;
    const ofFreeList = pageCount(free);
    return {
      pageSize: stats.pageSize,
      last,
      depth: stats.treeDepth,
      branch: stats.treeBranchPageCount,
      leaf: stats.treeLeafPageCount,
      ofFreeList,
      free: last + 1 - META_PAGES - pageCount(stats) - ofFreeList,
    };
  }

  /** Flushes everything to disk. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#lmdb.sync((error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    return this.#lmdb.close();
  }
}

function pageCount(tree: LmdbTree): number {
  return tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
}

/**
 * lmdb rejects a batch with a general error that has a promise of the cause, which settles at once or never: it takes the
 * error numbers 1 (EPERM) and 2 (ENOENT) for reports of progress.
 */
async function causeOf(failure: unknown): Promise<unknown> {
  const cause = (failure as { commitError?: Promise<never> }).commitError;
  if (cause === undefined) return failure;
  try {
    return await Promise.race([cause, delay(CAUSE_MS, failure, { ref: false })]);
  } catch (actual) {
    return actual;
  }
}
