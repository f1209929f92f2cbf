import type { Clock } from '../lib/clock.ts';
import type { DeadlineHeap } from '../lib/deadline-heap.ts';
import type { Message } from '../protocol/message.ts';
import type { Store } from '../store/store.ts';
import type { Books } from './books.ts';
import type { InFlightBudget } from './in-flight-budget.ts';
import type { Neighbours } from './neighbours.ts';
import type { SessionSettings } from './settings.ts';
import type { WritePath } from './write-path.ts';

/** Who may keep a message beyond the turn it came in. */
export interface Keeper {
  /** The message, if it is kept. */
  kept(): Message | undefined;
}

/** What all sessions of a broker share; made once by the composition root. */
export interface SessionContext {
  /** About what the messages that wait in memory take, all queues together. */
  readonly waitingMemory: { bytes: number };
  readonly inFlight: InFlightBudget;
  readonly settings: SessionSettings;
  readonly clock: Clock;
  readonly deadlines: DeadlineHeap;
  readonly store: Store;
  readonly writePath: WritePath;
  readonly books: Books;
  /** The store failed where nothing can be lost: the broker has to end. */
  readonly onFatal: (error: unknown) => void;
  /** Notes who may keep a message: at the end of this turn, when all takers have it, it is given bytes of its own. */
  readonly keep: (keeper: Keeper) => void;
  /** Notes that a session has messages in flight: those that stay so for long are given bytes of their own. */
  readonly noteInFlight: () => void;
  /** Random number in [0, 1). */
  readonly random: () => number;
  /** Where nodes share the store; undefined for one alone. */
  readonly neighbours?: Neighbours | undefined;
}
