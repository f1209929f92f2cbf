import { MemoryState } from '../../src/store/memory-state.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import {
  type Durability,
  type Mutation,
  type QueueRecord,
  type Store,
  type StoredState,
  StoreError,
  StoreFullError,
} from '../../src/store/store.ts';

/** What publishes add; the embedded store keeps a reserve for everything else. */
const GROWING_KINDS: readonly Mutation['kind'][] = ['queue-put', 'inbound-put', 'retained-put'];

/** A store in memory with the faults of a disk: full, slow, broken. */
export class FaultyStore implements Store {
  readonly durability: Durability = 'durable';
  readonly #store: MemoryStore;
  /** Whether there is room: without, commits with something of publishes are refused. */
  hasRoom = true;
  /** Whether there is room for what is not of publishes; without, only commits that add nothing succeed. */
  hasReserve = true;
  /** What it says is free, bytes. */
  free: number = Number.POSITIVE_INFINITY;
  /** Commits refused for lack of room. */
  refusals = 0;
  /** Commits that came when it was broken already. */
  commitsAfterBreak = 0;
  /** Every mutation that was applied. */
  readonly applied: Mutation[] = [];
  #error: Error | undefined = undefined;
  #gate: Promise<void> | undefined = undefined;
  #open: (() => void) | undefined = undefined;

  constructor(state: MemoryState = new MemoryState()) {
    this.#store = new MemoryStore(state);
  }

  open(): Promise<StoredState> {
    return this.#store.open();
  }

  /** Fails the next flush, and everything after it. */
  break(error: Error): void {
    this.#error = error;
  }

  /** Lets commits wait until `resume`. */
  pause(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  resume(): void {
    this.#open?.();
    this.#gate = undefined;
  }

  async commit(batch: readonly Mutation[]): Promise<void> {
    // As the interface has it: what is handed over is what is stored, whatever becomes of the records meanwhile.
    const copy = batch.map((one) => (one.kind === 'queue-put' ? { ...one, record: { ...one.record } } : one));
    if (this.#gate !== undefined) await this.#gate;
    if (this.#error !== undefined) {
      this.commitsAfterBreak += 1;
      throw this.#error;
    }
    const needsRoom = copy.some(({ kind }) => GROWING_KINDS.includes(kind));
    const needsReserve = copy.some(({ kind }) => kind.endsWith('-put'));
    if ((needsRoom && !this.hasRoom) || (needsReserve && !this.hasReserve)) {
      this.refusals += 1;
      throw new StoreFullError('There is no room.');
    }
    this.applied.push(...copy);
    await this.#store.commit(copy);
  }

  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    if (this.#error !== undefined) return Promise.reject(new StoreError('The store is broken.'));
    return this.#store.readQueue(queueId, afterSequence, limit, maxBytes);
  }

  freeBytes(): number {
    return this.free;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
