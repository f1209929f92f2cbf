import type { DataDirectory } from './data-directory.ts';
import type { Database } from './database.ts';
import { GroupWriter } from './group-writer.ts';
import type { RecordReader } from './record-reader.ts';
import type { StoreIndex } from './store-index.ts';
import type { Mutation } from './store.ts';
import { StoreError, StoreFullError } from './store.ts';
import type { PendingCommit } from './write-group.ts';
import { WriteGroup } from './write-group.ts';

const ENOSPC = 28;
const EFBIG = 27;
const EDQUOT = 122;
const MDB_MAP_FULL = -30792;
const FULL_CODES: ReadonlySet<unknown> = new Set([ENOSPC, EFBIG, EDQUOT, MDB_MAP_FULL]);

const FREEING_KINDS: ReadonlySet<Mutation['kind']> = new Set([
  'session-delete',
  'subscription-delete',
  'group-delete',
  'queue-state',
  'queue-delete',
  'inbound-delete',
  'will-delete',
  'retained-delete',
]);

/** What a committer works on. */
export interface CommitterParts {
  directory: DataDirectory;
  database: Database;
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
  readonly #directory: DataDirectory;
  readonly #database: Database;
  readonly #index: StoreIndex;
  readonly #writer: GroupWriter;
  #pending: WriteGroup;
  #spare: WriteGroup | undefined;
  #running: Promise<void> | undefined;
  #lastCommit: Promise<void> = Promise.resolve();
  #broken: StoreError | undefined;
  #closing = false;
  /** Set while erasing waits for room. */
  #eraseBlocked = false;
  #reserveReleased = false;
  /** What there was no room for, and how much there was. */
  #full: { needed: number; free: number } | undefined;

  constructor(parts: CommitterParts) {
    this.#directory = parts.directory;
    this.#database = parts.database;
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

  /** Bytes that commits can still take: free on the disk, and free within the file. */
  freeBytes(): number {
    const withinFile = this.#directory.dataFileBytes() - this.#database.usedBytes();
    return this.#directory.freeDiskBytes() + Math.max(0, withinFile);
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
    return this.#index.erasing.size > 0 && !this.#eraseBlocked && !this.#closing;
  }

  /** Writes a group and settles its commits. */
  async #write(group: WriteGroup): Promise<void> {
    const outcome = await this.#attempt(group);
    if (outcome === 'broken') return;
    if (outcome === 'written') {
      for (const commit of group.commits) commit.resolve();
      return;
    }
    this.#pending.adoptSharedMessages(group);
    if (group.commits.length === 0) {
      this.#eraseBlocked = true;
      return;
    }
    for (const commit of group.commits) {
      await this.#writeAlone(commit, group.commits.length === 1);
      if (this.#broken !== undefined) return this.#rejectAll(group, this.#broken);
    }
  }

  /** Writes one commit of a group that found no room; what frees room may use the reserve. */
  async #writeAlone(commit: PendingCommit, knownFull: boolean): Promise<void> {
    const grows = needsRoom(commit.batch);
    if (!(knownFull && grows)) {
      let outcome = knownFull ? 'full' : await this.#attempt(this.#groupOf(commit));
      if (outcome === 'full' && !grows && this.#directory.releaseReserve()) {
        this.#reserveReleased = true;
        outcome = await this.#attempt(this.#groupOf(commit));
      }
      if (outcome === 'broken') return;
      if (outcome === 'written') {
        commit.resolve();
        return;
      }
    }
    commit.reject(new StoreFullError(`There is no room left for data in ${this.#directory.path}.`));
  }

  #groupOf(commit: PendingCommit): WriteGroup {
    const group = new WriteGroup(this.#index);
    group.absorb(commit.batch);
    group.commits.push(commit);
    return group;
  }

  async #attempt(group: WriteGroup): Promise<'written' | 'full' | 'broken'> {
    const needed = group.writer.position;
    if (this.#isKnownFull(group, needed)) return 'full';
    let prepared = false;
    try {
      const hasChanges = this.#writer.prepare(group);
      prepared = true;
      if (hasChanges) await this.#database.batch(group.writer.bytes, () => this.#writer.emit(group));
      this.#writer.finish();
    } catch (error) {
      if (prepared && isFull(error)) {
        this.#writer.undo();
        this.#full = { needed, free: this.freeBytes() };
        return 'full';
      }
      this.#break(error, group);
      return 'broken';
    }
    this.#eraseBlocked = false;
    if (this.#full !== undefined && needed >= this.#full.needed) this.#full = undefined;
    if (this.#reserveReleased) this.#reserveReleased = !this.#directory.keepReserve();
    return 'written';
  }

  /** Saves a vain attempt where at least as much found no room and none was gained since. */
  #isKnownFull(group: WriteGroup, needed: number): boolean {
    if (this.#full === undefined || needed < this.#full.needed || this.freeBytes() > this.#full.free) return false;
    return group.commits.some(({ batch }) => needsRoom(batch));
  }

  #break(error: unknown, group?: WriteGroup): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#broken ??= new StoreError(
      `Writing to ${this.#directory.path} failed, so nothing more is accepted: ${text}. Check the disk and start again.`,
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
  return batch.some(({ kind }) => !FREEING_KINDS.has(kind));
}

function isFull(error: unknown): boolean {
  return FULL_CODES.has((error as { code?: unknown }).code);
}

/** Whoever called `commit` has the rejection; this chain only waits. */
function ignoreRejection(): void {}
