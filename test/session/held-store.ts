import { MemoryState } from '../../src/store/memory-state.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import {
  type Durability,
  isForNodes,
  type Mutation,
  type QueueRecord,
  type Store,
  type StoredState,
} from '../../src/store/store.ts';

interface HeldCommit {
  batch: readonly Mutation[];
  settled: PromiseWithResolvers<void>;
}

/** A store over a `MemoryState` that answers at once, or, while it is held, only when a test says how. */
export class HeldStore implements Store {
  readonly durability: Durability = 'durable';
  /** What has reached the disk. */
  readonly disk: MemoryState;
  readonly #store: MemoryStore;
  readonly #held: HeldCommit[] = [];
  /** Every mutation that reached the disk, in order. */
  readonly applied: Mutation[] = [];
  /** Whether commits wait for `release` or `fail`. */
  isHeld = false;
  /** Whether it takes the changes of a store that nodes share; they are noted, and change nothing on the disk. */
  isShared = false;
  free: number = Number.POSITIVE_INFINITY;

  constructor(disk: MemoryState = new MemoryState()) {
    this.disk = disk;
    this.#store = new MemoryStore(disk);
  }

  /** Commits that wait for an answer. */
  get waiting(): number {
    return this.#held.length;
  }

  open(): Promise<StoredState> {
    return this.#store.open();
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    const copied = batch.map((mutation) =>
      mutation.kind === 'queue-put' ? { ...mutation, record: { ...mutation.record } } : mutation,
    );
    if (!this.isHeld) return this.#apply(copied);
    const settled = Promise.withResolvers<void>();
    this.#held.push({ batch: copied, settled });
    return settled.promise;
  }

  /** Stores the oldest commit that waits. @throws Error where none does. */
  release(): void {
    const { batch, settled } = this.#next();
    void this.#apply(batch).then(settled.resolve);
  }

  /** Rejects the oldest commit that waits; nothing of it is stored. @throws Error where none does. */
  fail(error: Error): void {
    this.#next().settled.reject(error);
  }

  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    return this.#store.readQueue(queueId, afterSequence, limit, maxBytes);
  }

  freeBytes(): number {
    return this.free;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #apply(batch: readonly Mutation[]): Promise<void> {
    this.applied.push(...batch);
    return this.#store.commit(this.isShared ? batch.filter((mutation) => !isForNodes(mutation)) : batch);
  }

  #next(): HeldCommit {
    const next = this.#held.shift();
    if (next === undefined) throw new Error('no commit waits for an answer');
    return next;
  }
}
