import { DataDirectory, damagedFile } from './data-directory.ts';
import { Database } from './database.ts';
import type { DirectoryLock } from './directory-lock.ts';
import { lockDirectory } from './directory-lock.ts';
import { EntryReader } from './entry-reader.ts';
import { FileSpace } from './file-space.ts';
import { GroupCommitter } from './group-committer.ts';
import { RecordReader } from './record-reader.ts';
import { ensureSchema } from './schema.ts';
import { StoreIndex } from './store-index.ts';
import type { Mutation, QueueRecord, Store, StoredState } from './store.ts';
import { StoreError } from './store.ts';
import { readStoredState } from './stored-state.ts';

/** Where the embedded store keeps its data, and what its commits mean. */
export interface EmbeddedStoreOptions {
  /** The data directory; made where there is none, for its owner alone. */
  directory: string;
  /** `durable`: a resolved commit is on disk. `os`: it is written, and survives the process but not a loss of power. */
  durability: 'durable' | 'os';
}

/** Everything that exists between `open` and `close`. */
interface Opened {
  lock: DirectoryLock;
  database: Database;
  space: FileSpace;
  committer: GroupCommitter;
  entries: EntryReader;
}

/**
 * A store in one file of the local disk, on LMDB. Commits that arrive while one is being flushed become one transaction;
 * see docs/decisions/0003-embedded-store.md for the layout.
 */
export class EmbeddedStore implements Store {
  readonly durability: 'durable' | 'os';
  readonly #directory: string;
  readonly #reader = new RecordReader();
  #opened: Opened | undefined;
  #opening = false;

  constructor(options: EmbeddedStoreOptions) {
    this.durability = options.durability;
    this.#directory = options.directory;
  }

  async open(): Promise<StoredState> {
    if (this.#opened !== undefined || this.#opening) throw new StoreError('The store is already open.');
    this.#opening = true;
    try {
      const directory = new DataDirectory(this.#directory);
      const lock = await lockDirectory(directory.lockFile, directory.path);
      try {
        return await this.#openDatabase(directory, lock);
      } catch (error) {
        await lock.release();
        throw error;
      }
    } finally {
      this.#opening = false;
    }
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    if (this.#opened === undefined) return Promise.reject(new StoreError('The store is not open.'));
    return this.#opened.committer.commit(batch);
  }

  async readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    const opened = this.#opened;
    if (opened === undefined) throw new StoreError('The store is not open.');
    await opened.committer.settled();
    if (this.#opened !== opened) throw new StoreError('The store was closed.');
    opened.database.refresh();
    return opened.entries.read(queueId, afterSequence, limit, maxBytes);
  }

  freeBytes(): number {
    if (this.#opened === undefined) return Number.POSITIVE_INFINITY;
    return this.#opened.space.freeBytes();
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) return;
    this.#opened = undefined;
    try {
      await opened.committer.close();
      if (this.durability === 'os') await opened.database.sync();
    } finally {
      await opened.database.close();
      opened.space.close();
      await opened.lock.release();
    }
  }

  async #openDatabase(directory: DataDirectory, lock: DirectoryLock): Promise<StoredState> {
    directory.checkDataFile();
    const file = directory.dataFile;
    let database: Database;
    try {
      database = new Database(file, this.durability === 'durable');
    } catch (error) {
      throw damaged(file, error);
    }
    try {
      await ensureSchema(database, this.#reader, file);
      directory.settle();
      const index = new StoreIndex();
      const state = readStoredState(database, index, this.#reader);
      const space = new FileSpace(directory, database);
      const committer = new GroupCommitter({ database, space, index, reader: this.#reader });
      const entries = new EntryReader(database, index, this.#reader);
      this.#opened = { lock, database, space, committer, entries };
      return state;
    } catch (error) {
      await database.close();
      throw error instanceof StoreError ? error : damaged(file, error);
    }
  }
}

function damaged(file: string, cause: unknown): StoreError {
  return damagedFile(file, cause instanceof Error ? cause.message : String(cause), cause);
}
