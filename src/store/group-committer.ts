import type { Database } from './database.ts';
import type { FileSpace } from './file-space.ts';
import { GroupWriter } from './group-writer.ts';
import type { RecordReader } from './record-reader.ts';
import type { StoreIndex } from './store-index.ts';
import type { Mutation } from './store.ts';
import { StoreError, StoreFullError } from './store.ts';
import type { PendingCommit } from './write-group.ts';
import { WriteGroup } from './write-group.ts';
import { errorText } from '../lib/error-text.ts';

/** Entries of deleted queues that one transaction erases at most: about a millisecond. */
const ERASED_PER_GROUP = 1_000;
/** With every slice that finds no room the next one is so many times smaller, down to none until something is written. */
const ERASE_DIVISOR = 8;
/** The first slice after that. */
const ERASE_RESTART = 16;

/** What publishes add: it must leave the reserve to everything else, removals above all. */
const GROWING_KINDS: ReadonlySet<Mutation['kind']> = new Set(['queue-put', 'inbound-put', 'retained-put']);

/** What a committer works on. */
export interface CommitterParts {
  database: Database;
  space: FileSpace;
  index: StoreIndex;
  reader: RecordReader;
}

/**
 * Turns commits into transactions, one running at a time:
 *
 *     commit -> pending group -+-> running group -> flushed: all its commits resolve
 *                              |       ^  |
 *     commit -> pending group -'       |  '-> no room: each of its commits is tried alone
 *                                      '- the next group starts when the running one has ended
 *
 * Between them, or when there is nothing else to do, deleted queues are erased in slices.
 */
export class GroupCommitter {
  readonly #database: Database;
  readonly #space: FileSpace;
  readonly #index: StoreIndex;
  readonly #writer: GroupWriter;
  #pending: WriteGroup;
  #spare: WriteGroup | undefined;
  #running: Promise<void> | undefined;
  #lastCommit: Promise<void> = Promise.resolve();
  #broken: StoreError | undefined;
  #closing = false;
  #eraseBudget = ERASED_PER_GROUP;

  constructor(parts: CommitterParts) {
    this.#database = parts.database;
    this.#space = parts.space;
    this.#index = parts.index;
    this.#writer = new GroupWriter(parts.database, parts.index, parts.reader);
    this.#pending = new WriteGroup(parts.index);
    if (parts.index.erasing.size > 0) this.#start();
  }

  /** See `Store.commit`. */
  commit(batch: readonly Mutation[]): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const group = this.#pending;
    try {
      group.absorb(batch);
    } catch (error) {
      // Half of the batch may be in the group by now.
      this.#break(error);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const promise = new Promise<void>((resolve, reject) => {
      group.commits.push({ batch: batch.slice(), resolve, reject });
    });
    this.#lastCommit = promise.catch(ignoreRejection);
    this.#start();
    return promise;
  }

  /**
   * Waits until what was committed before has been written or refused.
   * @throws StoreError when the store is broken.
   */
  async settled(): Promise<void> {
    await this.#lastCommit;
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Waits for all commits; no other may follow. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#lastCommit;
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Commits of the same turn go together.
    await Promise.resolve();
    while (this.#hasWork()) {
      const group = this.#pending;
      this.#pending = this.#spare ?? new WriteGroup(this.#index);
      this.#spare = undefined;
      await this.#write(group);
      group.clear();
      this.#spare = group;
    }
    this.#running = undefined;
  }

  #hasWork(): boolean {
    if (this.#broken !== undefined) return false;
    if (this.#pending.commits.length > 0) return true;
    return this.#index.erasing.size > 0 && this.#eraseBudget > 0 && !this.#closing;
  }

  /** Writes a group and settles its commits. */
  async #write(group: WriteGroup): Promise<void> {
    const outcome = await this.#attempt(group, this.#eraseBudget);
    if (outcome === 'broken') return;
    if (outcome === 'written') {
      for (const commit of group.commits) commit.resolve();
      return;
    }
    this.#eraseBudget = Math.floor(this.#eraseBudget / ERASE_DIVISOR);
    for (const commit of group.commits) {
      if (this.#broken === undefined) await this.#writeAlone(commit);
      else commit.reject(this.#broken);
    }
  }

  /** Writes one commit of a group that found no room: alone, and without erasing, it may find some. */
  async #writeAlone(commit: PendingCommit): Promise<void> {
    const group = new WriteGroup(this.#index);
    group.absorb(commit.batch);
    group.commits.push(commit);
    const outcome = await this.#attempt(group, 0);
    if (outcome === 'written') commit.resolve();
    if (outcome === 'full') refuse(commit);
  }

  async #attempt(group: WriteGroup, eraseBudget: number): Promise<'written' | 'full' | 'broken'> {
    try {
      const size = this.#writer.prepare(group, eraseBudget);
      if (size.puts + size.removals > 0) {
        const grows = group.commits.some(({ batch }) => needsRoom(batch));
        if (!(await this.#space.ensure(size, grows))) {
          this.#writer.undo();
          this.#pending.adoptSharedMessages(group);
          return 'full';
        }
        await this.#database.batch(group.writer.bytes, () => this.#writer.emit(group));
      }
      this.#writer.finish();
    } catch (error) {
      this.#break(error, group);
      return 'broken';
    }
    this.#eraseBudget = Math.min(ERASED_PER_GROUP, Math.max(ERASE_RESTART, this.#eraseBudget * 2));
    return 'written';
  }

  #break(error: unknown, group?: WriteGroup): void {
    const text = errorText(error);
    this.#broken ??= new StoreError(
      `Writing to the data directory failed, so nothing more is accepted: ${text}. Check the disk and start again.`,
      { cause: error },
    );
    if (group !== undefined) this.#rejectAll(group, this.#broken);
    this.#rejectAll(this.#pending, this.#broken);
  }

  #rejectAll(group: WriteGroup, error: StoreError): void {
    for (const commit of group.commits) commit.reject(error);
  }
}

function needsRoom(batch: readonly Mutation[]): boolean {
  return batch.some(({ kind }) => GROWING_KINDS.has(kind));
}

function refuse(commit: PendingCommit): void {
  commit.reject(new StoreFullError('There is no room left in the data directory.'));
}

/** Whoever called `commit` has the rejection; this chain only waits. */
function ignoreRejection(): void {}
