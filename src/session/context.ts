import type { Clock } from '../lib/clock.ts';
import type { DeadlineHeap } from '../lib/deadline-heap.ts';
import type { Store } from '../store/store.ts';
import type { Books } from './books.ts';
import type { SessionSettings } from './settings.ts';
import type { WritePath } from './write-path.ts';

/** Something that can be given bytes of its own in place of a read chunk's. */
export interface Detachable {
  detach(): void;
}

/** What all sessions of a broker share; made once by the composition root. */
export interface SessionContext {
  readonly settings: SessionSettings;
  readonly clock: Clock;
  readonly deadlines: DeadlineHeap;
  readonly store: Store;
  readonly writePath: WritePath;
  readonly books: Books;
  /** The store failed where nothing can be lost: the broker has to end. */
  readonly onFatal: (error: unknown) => void;
  /** Notes what may outlive this tick: at its end, when all takers have the message, it lets go of the bytes it came in. */
  readonly keep: (one: Detachable) => void;
  /** Notes that a session has messages in flight: those that stay so for long are given bytes of their own. */
  readonly noteInFlight: () => void;
  /** Random number in [0, 1). */
  readonly random: () => number;
}
