import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  statSync,
  statfsSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { findFileDamage } from './data-file-check.ts';
import { StoreError } from './store.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** A directory with the files of the embedded store. */
export class DataDirectory {
  readonly path: string;
  readonly dataFile: string;
  readonly lockFile: string;

  /**
   * Makes the directory where there is none.
   * @throws StoreError when it is not a directory or must not be written.
   */
  constructor(path: string) {
    this.path = makeDirectory(path);
    this.dataFile = join(this.path, 'data.mdb');
    this.lockFile = join(this.path, 'lock.mdb');
  }

  /**
   * Checks the data file before LMDB sees it, and makes an empty one where there is none.
   * @throws StoreError when it is damaged or something else.
   */
  checkDataFile(): void {
    if (!existsSync(this.dataFile)) {
      closeSync(openSync(this.dataFile, 'wx', FILE_MODE));
      // The umask of the process may have taken rights away.
      chmodSync(this.dataFile, FILE_MODE);
      return;
    }
    const file = openSync(this.dataFile, 'r');
    try {
      const damage = findFileDamage(file, this.dataFileBytes());
      if (damage !== undefined) throw damagedFile(this.dataFile, damage);
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

  /** Size of the file system. */
  diskBytes(): number {
    const { blocks, bsize } = statfsSync(this.path);
    return blocks * bsize;
  }

  /** Length of the data file. */
  dataFileBytes(): number {
    return statSync(this.dataFile).size;
  }
}

/** The error of a data file that cannot be used, for the reason given. */
export function damagedFile(file: string, damage: string, cause?: unknown): StoreError {
  return new StoreError(
    `The file ${file} is damaged: ${damage}. Restore the data directory from a backup, or move it away to start empty.`,
    { cause },
  );
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
  for (const directory of missing.toReversed()) {
    mkdirSync(directory, DIRECTORY_MODE);
    chmodSync(directory, DIRECTORY_MODE);
  }
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
