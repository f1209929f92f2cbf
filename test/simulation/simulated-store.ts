import type { Clock } from '../../src/lib/clock.ts';
import type { MemoryState } from '../../src/store/memory-state.ts';
import {
  type Durability,
  type Mutation,
  type QueueRecord,
  type Store,
  type StoredState,
  StoreFullError,
} from '../../src/store/store.ts';
import type { Random } from '../fakes/random.ts';

/** What adds to what a disk holds. */
const ADDING: ReadonlySet<Mutation['kind']> = new Set([
  'session-put',
  'subscription-put',
  'group-put',
  'queue-put',
  'inbound-put',
  'will-put',
  'retained-put',
]);

/**
 * A store over a disk that outlives it. Commits take their time, may find no room, or break the store; a crash leaves
 * of those under way an initial part: what came back as stored is there, and what did not may be.
 */
export class SimulatedStore implements Store {
  readonly durability: Durability = 'durable';
  readonly #disk: MemoryState;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #maxDelayMs: number;
  #waiting: (readonly Mutation[])[] = [];
  #isDead = false;
  condition: 'sound' | 'full' | 'broken' = 'sound';
  /** Whether `freeBytes` tells when it is full, or commits alone do. */
  tellsFreeBytes = false;

  constructor(disk: MemoryState, clock: Clock, random: Random, maxDelayMs: number) {
    this.#disk = disk;
    this.#clock = clock;
    this.#random = random;
    this.#maxDelayMs = maxDelayMs;
  }

  open(): Promise<StoredState> {
    return this.#later(() => this.#disk.read());
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    const copied = batch.map(copyOf);
    this.#waiting.push(copied);
    return this.#later(() => {
      this.#waiting.shift();
      if (this.condition === 'broken') throw new Error('the simulated disk is broken');
      if (this.condition === 'full' && copied.some(({ kind }) => ADDING.has(kind)))
        throw new StoreFullError('the simulated disk is full');
      this.#disk.apply(copied);
    });
  }

  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    const records = this.#disk.readQueue(queueId, afterSequence, limit, maxBytes);
    return this.#later(() => records);
  }

  freeBytes(): number {
    return this.tellsFreeBytes && this.condition === 'full' ? 0 : Number.POSITIVE_INFINITY;
  }

  close(): Promise<void> {
    this.#isDead = true;
    return Promise.resolve();
  }

  /** The process ends: nothing is answered any more; what was under way is on the disk or not. */
  crash(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    const reached = this.condition === 'sound' ? this.#random.below(this.#waiting.length + 1) : 0;
    for (const batch of this.#waiting.slice(0, reached)) this.#disk.apply(batch);
    this.#waiting = [];
  }

  #later<T>(work: () => T): Promise<T> {
    const done = Promise.withResolvers<T>();
    const run = (): void => {
      if (this.#isDead) return;
      try {
        done.resolve(work());
      } catch (error) {
        done.reject(error);
      }
    };
    const delayMs = this.#random.below(this.#maxDelayMs + 1);
    if (delayMs === 0) this.#clock.setImmediate(run);
    else this.#clock.setTimeout(run, delayMs);
    return done.promise;
  }
}

/** What is handed to `commit` may change as soon as it returns. */
function copyOf(mutation: Mutation): Mutation {
  return mutation.kind === 'queue-put' ? { kind: 'queue-put', record: { ...mutation.record } } : mutation;
}
