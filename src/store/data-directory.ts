import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { StoreError } from './store.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** Room kept back so that what frees space still works when the disk is full. */
const RESERVE_BYTES = 1024 * 1024;
const RESERVE_SHARE = 16;
const SMALLEST_RESERVE = 64 * 1024;

/** Head of a page of lmdb, then of its meta record; the first two pages have one each. All numbers little-endian. */
const META_MAGIC_AT = 24;
const META_VERSION_AT = 28;
const META_PAGE_SIZE_AT = 48;
const META_LAST_PAGE_AT = 144;
const META_TRANSACTION_AT = 152;
const META_LENGTH = 160;
const META_MAGIC = 0xbeefc0de;
const META_VERSION = 2;

/** A directory with the files of the embedded store. */
export class DataDirectory {
  readonly path: string;
  readonly dataFile: string;
  readonly lockFile: string;
  readonly #reserveFile: string;

  /**
   * Makes the directory where there is none.
   * @throws StoreError when it is not a directory or must not be written.
   */
  constructor(path: string) {
    this.path = makeDirectory(path);
    this.dataFile = join(this.path, 'data.mdb');
    this.lockFile = join(this.path, 'lock.mdb');
    this.#reserveFile = join(this.path, 'reserve');
  }

  /**
   * Checks the data file as far as its head tells, so that reading it neither fails nor ends the process, and makes an
   * empty one where there is none.
   * @throws StoreError when it is damaged or not of this kind.
   */
  checkDataFile(): void {
    if (!existsSync(this.dataFile)) {
      closeSync(openSync(this.dataFile, 'wx', FILE_MODE));
      return;
    }
    const file = openSync(this.dataFile, 'r+');
    try {
      const needed = this.#readNeededLength(file);
      // Free pages at the end may never have been written. Where more is missing, zeros are found to be no records,
      // while reading beyond the end would end the process.
      if (statSync(this.dataFile).size < needed) ftruncateSync(file, needed);
    } finally {
      closeSync(file);
    }
  }

  /** Gives the files lmdb made their mode, and the directory's entries to the disk. */
  settle(): void {
    for (const name of ['data.mdb-lock', 'lock.mdb', 'lock.mdb-lock']) {
      const file = join(this.path, name);
      if (existsSync(file)) chmodSync(file, FILE_MODE);
    }
    syncDirectory(this.path);
    syncDirectory(dirname(this.path));
  }

  /** Bytes that the file system has free for this user. */
  freeDiskBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  dataFileBytes(): number {
    return statSync(this.dataFile).size;
  }

  /** Sets room aside, as much of it as there is; returns whether some is set aside then. */
  keepReserve(): boolean {
    if (existsSync(this.#reserveFile)) return true;
    const { blocks, bavail, bsize } = statfsSync(this.path);
    const size = Math.min(RESERVE_BYTES, Math.floor((blocks * bsize) / RESERVE_SHARE), bavail * bsize);
    if (size < SMALLEST_RESERVE) return false;
    const file = openSync(this.#reserveFile, 'w', FILE_MODE);
    try {
      writeSync(file, Buffer.alloc(size));
    } catch {
      // Somebody else was faster to fill the disk: what could be written is the reserve.
    } finally {
      closeSync(file);
    }
    return true;
  }

  /** Gives the reserved room back to the file system; returns whether there was any. */
  releaseReserve(): boolean {
    if (!existsSync(this.#reserveFile)) return false;
    rmSync(this.#reserveFile);
    return true;
  }

  #readNeededLength(file: number): number {
    const first = readMeta(file, 0);
    const second = first && readMeta(file, first.pageSize);
    if (!first || !second) {
      throw new StoreError(
        `The file ${this.dataFile} is damaged or no data of Trellis. Restore the directory from a backup, or move it away to start empty.`,
      );
    }
    const newest = first.transaction > second.transaction ? first : second;
    return (newest.lastPage + 1) * first.pageSize;
  }
}

interface Meta {
  pageSize: number;
  lastPage: number;
  transaction: number;
}

function readMeta(file: number, position: number): Meta | undefined {
  const bytes = Buffer.alloc(META_LENGTH);
  if (readSync(file, bytes, 0, META_LENGTH, position) < META_LENGTH) return undefined;
  const pageSize = bytes.readUInt32LE(META_PAGE_SIZE_AT);
  const lastPage = Number(bytes.readBigUInt64LE(META_LAST_PAGE_AT));
  if (bytes.readUInt32LE(META_MAGIC_AT) !== META_MAGIC) return undefined;
  if ((bytes.readUInt32LE(META_VERSION_AT) & 0xffff) !== META_VERSION) return undefined;
  if (pageSize < 512 || pageSize > 65_536 || !Number.isSafeInteger(lastPage * pageSize)) return undefined;
  return { pageSize, lastPage, transaction: Number(bytes.readBigUInt64LE(META_TRANSACTION_AT)) };
}

function makeDirectory(path: string): string {
  const wanted = resolve(path);
  try {
    makeMissing(wanted);
  } catch (error) {
    if (existsSync(wanted)) throw new StoreError(`The data directory ${wanted} is not a directory.`, { cause: error });
    throw new StoreError(`The data directory ${wanted} cannot be made: ${reason(error)}.`, { cause: error });
  }
  try {
    accessSync(wanted, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StoreError(`The data directory ${wanted} is not writable for this user: ${reason(error)}.`, {
      cause: error,
    });
  }
  return realpathSync(wanted);
}

/** Not the recursive way of `mkdirSync`, which never returns where the file system itself refuses, as in /proc. */
function makeMissing(path: string): void {
  const missing: string[] = [];
  for (let at = path; !existsSync(at); at = dirname(at)) missing.push(at);
  for (const directory of missing.toReversed()) mkdirSync(directory, DIRECTORY_MODE);
  if (!statSync(path).isDirectory()) throw new Error('not a directory');
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function reason(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
