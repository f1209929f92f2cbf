import { MemoryState } from './memory-state.ts';
import type { Durability, Mutation, QueueRecord, Store, StoredState } from './store.ts';
import { StoreError } from './store.ts';

/**
 * A store that forgets with the process. It may be opened again after `close` and then still holds what it held; two
 * of them over one `MemoryState` see the same data, which is how a test restarts a broker on the same disk.
 */
export class MemoryStore implements Store {
  readonly durability: Durability = 'memory';
  readonly #state: MemoryState;
  #open = false;

  constructor(state: MemoryState = new MemoryState()) {
    this.#state = state;
  }

  open(): Promise<StoredState> {
    if (this.#open) return Promise.reject(new StoreError('The store is already open.'));
    this.#open = true;
    return Promise.resolve(this.#state.read());
  }

  /** Applies the batch before it returns; the promise resolves in a microtask. */
  commit(batch: readonly Mutation[]): Promise<void> {
    if (!this.#open) return Promise.reject(new StoreError('The store is not open.'));
    this.#state.apply(batch);
    return Promise.resolve();
  }

  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    if (!this.#open) return Promise.reject(new StoreError('The store is not open.'));
    return Promise.resolve(this.#state.readQueue(queueId, afterSequence, limit, maxBytes));
  }

  freeBytes(): number {
    return Number.POSITIVE_INFINITY;
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }
}
