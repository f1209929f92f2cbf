import { closeSync, openSync, write } from 'node:fs';
import { promisify } from 'node:util';
import type { DataDirectory } from './data-directory.ts';
import type { Database, PageCounts } from './database.ts';

/** What a transaction writes, as far as it matters for the room it needs. */
export interface WriteSize {
  puts: number;
  removals: number;
  /** Bytes of keys and values that stand within pages of the tree. */
  inlineBytes: number;
  /** Pages of values too large for that; those of one value must lie side by side. */
  largePages: number;
}

/** Room for what frees space, kept back from what needs space. */
const RESERVE_BYTES = 8 * 1024 * 1024;
/** On a small disk the reserve is this part of it. */
const RESERVE_SHARE = 16;
const GROWTH_BYTES = 1024 * 1024;
const writeAt = promisify(write);
const ZEROS: Buffer = Buffer.alloc(256 * 1024);
const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
/** Pages that a transaction may touch whatever it does: roots, and lists of free pages. */
const FIXED_PAGES = 16;

/**
 * Makes the data file longer ahead of need, so that a transaction finds room on the disk for every page it may write.
 * LMDB itself must never meet a full disk: it overruns a buffer of its own when it reports that (lmdb 3.5.6).
 *
 *     | pages of the tree and free ones ... last page | slack: zeros that were written to the disk |
 *
 * A full disk is met here instead, while writing zeros. What frees space may use all of the slack, what needs space
 * leaves the reserve.
 */
export class FileSpace {
  readonly #directory: DataDirectory;
  readonly #database: Database;
  readonly #file: number;
  readonly #reserveBytes: number;
  /** Pages that the last two transactions may have freed; LMDB does not use them again at once. */
  #freedBefore = 0;
  #freedLast = 0;

  constructor(directory: DataDirectory, database: Database) {
    this.#directory = directory;
    this.#database = database;
    this.#reserveBytes = Math.min(RESERVE_BYTES, Math.floor(directory.diskBytes() / RESERVE_SHARE));
    this.#file = openSync(directory.dataFile, 'r+');
  }

  /**
   * Makes sure that a transaction of this size finds room, also with the reserve left when it `grows`; returns false
   * where the disk has none.
   * @throws Error when the disk fails otherwise.
   */
  async ensure(size: WriteSize, grows: boolean): Promise<boolean> {
    const pages = this.#database.pageCounts();
    const single = countSinglePages(size, pages);
    const reusable = Math.floor(Math.max(0, pages.free - this.#freedBefore - this.#freedLast) / 2);
    const reserve = grows ? Math.ceil(this.#reserveBytes / pages.pageSize) : 0;
    const slackNeeded = size.largePages + Math.max(0, single - reusable) + reserve;
    const lengthNeeded = (pages.last + 1 + slackNeeded) * pages.pageSize;
    const length = this.#directory.dataFileBytes();
    if (length < lengthNeeded && !(await this.#extend(length, lengthNeeded))) return false;
    this.#freedBefore = this.#freedLast;
    this.#freedLast = single;
    return true;
  }

  /** Bytes that commits can still take: of the disk, and within the file. */
  freeBytes(): number {
    const { pageSize, last, free } = this.#database.pageCounts();
    const slack = this.#directory.dataFileBytes() - (last + 1) * pageSize;
    return Math.max(0, this.#directory.freeDiskBytes() + slack + free * pageSize - this.#reserveBytes);
  }

  close(): void {
    closeSync(this.#file);
  }

  async #extend(length: number, needed: number): Promise<boolean> {
    try {
      await this.#writeZeros(length, needed + GROWTH_BYTES);
      return true;
    } catch (error) {
      if (!NO_ROOM.has((error as NodeJS.ErrnoException).code)) throw error;
      // What could be written stays, and may be enough.
      return this.#directory.dataFileBytes() >= needed;
    }
  }

  async #writeZeros(start: number, end: number): Promise<void> {
    for (let at = start; at < end; ) {
      const { bytesWritten } = await writeAt(this.#file, ZEROS, 0, Math.min(ZEROS.length, end - at), at);
      at += bytesWritten;
    }
  }
}

/**
 * The most pages, other than those of large values, that a transaction can write. Pages are never changed in place: one
 * that is touched is written anew, once. A put touches a leaf and may split it, a removal may merge two leaves.
 */
function countSinglePages(size: WriteSize, pages: PageCounts): number {
  const operations = size.puts + size.removals;
  const touched =
    Math.min(size.puts + 2 * size.removals, pages.leaf) + Math.min(2 * operations * pages.depth, pages.branch);
  const split = Math.min(
    size.puts,
    Math.min(size.puts, pages.leaf) + Math.ceil((2 * size.inlineBytes) / pages.pageSize),
  );
  const ofTree = touched + split + Math.ceil(split / 16) + pages.depth;
  return ofTree + Math.ceil((ofTree + size.largePages) / 128) + pages.ofFreeList + FIXED_PAGES;
}
