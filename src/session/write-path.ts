import type { Clock, Timer } from '../lib/clock.ts';
import type { Failpoint } from '../lib/failpoints.ts';
import type { Message } from '../protocol/message.ts';
import { type Mutation, type Store, StoreFullError } from '../store/store.ts';
import type { QueueEntry } from './queue-entry.ts';

/** Bytes of messages in the open batch above which publishers are held back; twice as many for those of QoS 0 alone. */
export const HELD_BACK_BYTES: number = 32 * 1024 * 1024;

/** Told when what it waits for is durable. */
export interface FlushWaiter {
  /** Ticket it was registered for last; owned by the write path. */
  waitingFor: number;
  /** Every batch up to `flushed` is as durable as the store promises. */
  onFlushed(flushed: number): void;
  /** The batch `failed` found the store full: its publishes are undone, the rest of it goes with batch `retriedAs`. */
  onStoreFull(failed: number, retriedAs: number): void;
}

/** What the write path tells its owner. */
export interface WritePathOwner {
  /** There is something to submit at the end of this tick. */
  onWork(): void;
  /** The store is broken: nothing may be acknowledged any more. */
  onFatal(error: Error): void;
  /** The entry could not be stored and must be given up. */
  onEntryLost(entry: QueueEntry): void;
  /** A message could not be brought to other nodes: that is given up. */
  onRouteLost(message: Message): void;
  /** The packet id of a QoS 2 PUBLISH could not be stored: the publish is undone. */
  onInboundLost(clientId: string, packetId: number): void;
}

const FULL_PROBE_MS = 1000;
/** Batches that are not held after one that was held in vain. */
const HOLDS_SKIPPED = 15;
/** How many entries that are done with, or changed, are gathered while nobody waits for that. */
const GATHER_CHANGES = 4_000;

/**
 * The one ordered way into the store. Changes of a tick gather in the open batch; one batch is with the store at a
 * time, so that all that arrives meanwhile shares the next flush (group commit), and what is enqueued and acknowledged
 * meanwhile never reaches the disk.
 *
 *     add ... add | submit -> commit --flushed--> waiters told, next batch submitted
 *     ticket n    | n+1 is open now
 *
 * A flush takes longer than an acknowledgement from a subscriber that listens. So where `holdMs` is set, the open batch
 * is held for a moment while messages in it are on their way, and removals that nobody waits for are gathered: less is
 * written, and publishers are often acknowledged without any flush.
 */
export class WritePath {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #owner: WritePathOwner;
  readonly #minFreeBytes: number;
  #open: (Mutation | undefined)[] = [];
  #openCount = 0;
  #openBytes = 0;
  /** When the open batch was held first; 0 for not yet. */
  #heldAt = 0;
  /** Entries in the open batch that their taker has been sent with QoS 1, and those that it has acknowledged. */
  #awaited = 0;
  /** Changes in the open batch that say no more than that entries went out or are done with. */
  #afterthoughts = 0;
  #cancelled = 0;
  #holdsToSkip = 0;
  #holdTimer: Timer | undefined;
  #waiters: FlushWaiter[] = [];
  /** `held`: the last commit found the store full, the next waits for the probe. */
  #state: 'idle' | 'committing' | 'held' | 'broken' = 'idle';
  #full = false;
  #probe: Timer | undefined;
  #drains: { ticket: number; resolve: () => void }[] = [];
  /** What waits for a gap between two batches. */
  #tasks: (() => Promise<void>)[] = [];
  /** Whether there is a gap: no batch is handed on. */
  #isGap = false;
  /** Ticket of the open batch. */
  ticket = 2;
  /** Every ticket up to this one is durable. */
  flushed = 1;
  /** Changes added so far; two readings tell whether something in between needs the store. */
  added = 0;
  /** Batches handed to the store. */
  commits = 0;
  /** A crash that a test asked for; set by who makes this, before the first turn. Never looked at per message. */
  failpoint: Failpoint | undefined = undefined;
  /** How long `endTurn` may hold the open batch, ms; set by who makes this, where commits are dear. */
  holdMs = 0;

  constructor(store: Store, clock: Clock, minFreeBytes: number, owner: WritePathOwner) {
    this.#store = store;
    this.#clock = clock;
    this.#minFreeBytes = minFreeBytes;
    this.#owner = owner;
  }

  /** Starts watching the free space. */
  start(): void {
    this.#probeSpace();
  }

  /** True while the store has no room: durable publishes are refused, what frees space goes on. */
  get full(): boolean {
    return this.#full;
  }

  /** Bytes of messages in the open batch; publishers are held back above a limit. */
  get openBytes(): number {
    return this.#openBytes;
  }

  /** Whether so much is in the open batch that even publishers who wait for nothing are held back. */
  get overfull(): boolean {
    return this.#openBytes > 2 * HELD_BACK_BYTES;
  }

  /** Ticket to wait for so that everything added so far is durable; 0 when it is already. */
  get barrier(): number {
    if (this.#openCount > 0) return this.ticket;
    return this.flushed >= this.ticket - 1 ? 0 : this.ticket - 1;
  }

  /** Adds one change to the open batch. */
  add(mutation: Mutation): void {
    if (this.#openCount === 0) this.#owner.onWork();
    this.#open.push(mutation);
    this.#openCount += 1;
    this.added += 1;
  }

  /** Adds a change that holds a message, which counts as those of entries do. */
  addMessage(mutation: Mutation, message: Message): void {
    this.#openBytes += message.size;
    this.add(mutation);
  }

  /** Adds a new entry, or all of a changed one. */
  putEntry(entry: QueueEntry): void {
    entry.ticket = this.ticket;
    if (entry.acceptedIn === 0) entry.acceptedIn = this.ticket;
    const isAccepted = entry.acceptedIn <= this.flushed;
    entry.putIndex = this.#open.length;
    this.#openBytes += entry.message.size;
    if (entry.state === 'sent' && entry.qos === 1) this.#awaited += 1;
    this.add({ kind: 'queue-put', record: entry, isAccepted });
  }

  /** Records packetId and state of a stored entry; free of charge while its put is still in the open batch. */
  changeEntry(entry: QueueEntry): void {
    if (entry.ticket === this.ticket && entry.putIndex >= 0) {
      if (entry.qos === 1) this.#awaited += 1;
      return;
    }
    entry.ticket = this.ticket;
    entry.putIndex = -1;
    const { queueId, sequence, packetId, state } = entry;
    this.#afterthoughts += 1;
    this.add({ kind: 'queue-state', queueId, sequence, packetId, state });
  }

  /** Notes that an entry went out to a session that is not stored: its record stays as it is, or is made. */
  lendEntry(entry: QueueEntry): void {
    if (entry.ticket === 0) this.putEntry(entry);
    else if (entry.ticket === this.ticket && entry.putIndex >= 0) this.#awaited += 1;
  }

  /** Removes a stored entry; takes its put back while that is still in the open batch. */
  deleteEntry(entry: QueueEntry): void {
    if (entry.ticket === 0) return;
    if (entry.ticket === this.ticket && entry.putIndex >= 0) {
      this.#open[entry.putIndex] = undefined;
      this.#openCount -= 1;
      this.#openBytes -= entry.message.size;
      if (entry.state === 'sent' && entry.qos === 1) this.#noteCancelled();
    } else {
      this.#afterthoughts += 1;
      this.add({ kind: 'queue-delete', queueId: entry.queueId, sequence: entry.sequence });
    }
    entry.ticket = 0;
    entry.putIndex = -1;
  }

  /** Has the waiter told once the ticket (the open one or one before) is durable. */
  wait(waiter: FlushWaiter): void {
    if (waiter.waitingFor === this.ticket) return;
    if (this.#waiters.length === 0) this.#owner.onWork();
    waiter.waitingFor = this.ticket;
    this.#waiters.push(waiter);
  }

  /**
   * Runs a task while no batch is with the store; what comes meanwhile gathers in the open one. All tasks that wait share a
   * gap; those that come during one wait for the next. A task must not wait for something to be stored.
   * @returns what the task does; never if the store breaks before, which ends the broker.
   */
  between<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(() => task().then(resolve, reject));
      if (this.#state !== 'committing' && this.#state !== 'broken') this.#openGap();
    });
  }

  #openGap(): void {
    if (this.#isGap || this.#tasks.length === 0) return;
    this.#isGap = true;
    const tasks = this.#tasks;
    this.#tasks = [];
    void Promise.all(tasks.map((task) => task())).then(() => {
      this.#isGap = false;
      this.endTurn();
      if (this.#state !== 'committing') this.#openGap();
    });
  }

  /** Messages of the open batch that are to be brought to other nodes, in order. */
  unsent(): Message[] {
    return this.#open.flatMap((mutation) => (mutation?.kind === 'route' ? mutation.message : []));
  }

  /** Hands the open batch on at the end of a turn, unless it is held for a moment to become smaller. */
  endTurn(): void {
    if (this.#state !== 'idle' || this.#isGap) return;
    const holdMs = this.#holdLeft();
    if (holdMs <= 0) {
      this.submit();
      return;
    }
    this.#holdTimer ??= this.#clock.setTimeout(() => {
      this.#holdTimer = undefined;
      this.endTurn();
    }, holdMs);
  }

  /** Hands the open batch to the store, unless one is on its way: then it follows by itself. */
  submit(): void {
    if (this.#state !== 'idle' || this.#isGap) return;
    if (this.#openCount === 0 && this.#waiters.length === 0 && this.#drains.length === 0) return;
    const ticket = this.ticket;
    const waiters = this.#waiters;
    const batch: Mutation[] = [];
    for (const mutation of this.#open) {
      if (mutation === undefined) continue;
      if (mutation.kind === 'queue-put') (mutation.record as QueueEntry).putIndex = -1;
      batch.push(mutation);
    }
    this.ticket += 1;
    this.#open = [];
    this.#openCount = 0;
    this.#openBytes = 0;
    this.#endHold();
    this.#waiters = [];
    if (batch.length === 0) {
      this.#settle(ticket, waiters);
      return;
    }
    this.#state = 'committing';
    this.commits += 1;
    this.failpoint?.reach('commit');
    this.#store.commit(batch).then(
      () => {
        this.#state = 'idle';
        this.#openGap();
        this.#probeLater();
        this.failpoint?.reach('flushed');
        this.#settle(ticket, waiters);
        this.failpoint?.reach('acks-appended');
        this.endTurn();
      },
      (error: unknown) => {
        if (error instanceof StoreFullError) this.#onFull(ticket, batch, waiters);
        else this.#break(error);
      },
    );
    this.failpoint?.reach('committing');
  }

  /** Resolves once everything added so far is durable; never if the store breaks, which ends the broker. */
  drained(): Promise<void> {
    this.submit();
    const ticket = this.barrier;
    if (ticket === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push({ ticket, resolve }));
  }

  /** Stops the probe of the free space. */
  close(): void {
    this.#probe?.cancel();
    this.#probe = undefined;
    this.#holdTimer?.cancel();
    this.#holdTimer = undefined;
  }

  /** How long the open batch may still be held. */
  #holdLeft(): number {
    const limit = this.#holdLimit();
    if (limit === 0) return 0;
    const now = this.#clock.now();
    if (this.#heldAt === 0) this.#heldAt = now;
    return this.#heldAt + limit - now;
  }

  #holdLimit(): number {
    if (this.#drains.length > 0 || this.#openCount === 0) return 0;
    if (this.#waiters.length > 0) return this.#awaited > 0 && this.#holdsToSkip === 0 ? this.holdMs : 0;
    const mayGather = this.#openCount === this.#afterthoughts && this.#openCount < GATHER_CHANGES;
    return mayGather ? 2 * this.holdMs : 0;
  }

  #noteCancelled(): void {
    this.#awaited -= 1;
    this.#cancelled += 1;
    // Nothing is left to hold the batch for.
    if (this.#awaited === 0 && this.#heldAt > 0) this.#owner.onWork();
  }

  /** Takers that do not acknowledge in time are not waited for again at once. */
  #endHold(): void {
    if (this.#holdsToSkip > 0) this.#holdsToSkip -= 1;
    else if (this.#heldAt > 0 && this.#cancelled < this.#awaited) this.#holdsToSkip = HOLDS_SKIPPED;
    this.#heldAt = 0;
    this.#awaited = 0;
    this.#cancelled = 0;
    this.#afterthoughts = 0;
  }

  #settle(ticket: number, waiters: readonly FlushWaiter[]): void {
    this.flushed = ticket;
    for (const waiter of waiters) waiter.onFlushed(ticket);
    while (this.#drains.length > 0 && (this.#drains[0] as { ticket: number }).ticket <= ticket)
      this.#drains.shift()?.resolve();
  }

  #break(error: unknown): void {
    this.#state = 'broken';
    this.#owner.onFatal(error instanceof Error ? error : new Error(String(error)));
  }

  /**
   * Nothing of the batch was applied. What publishes wanted to add is given up and its publishers are told, also where
   * it has gone to another queue since, with a put in the open batch; everything else (removals, state, sessions,
   * subscriptions, messages accepted before that changed queues) must not be lost and goes first in the open batch.
   */
  #onFull(ticket: number, batch: readonly Mutation[], waiters: readonly FlushWaiter[]): void {
    this.#full = true;
    this.#state = 'held';
    this.#openGap();
    this.#probeLater();
    const kept: Mutation[] = [];
    const lost: QueueEntry[] = [];
    for (const mutation of batch) {
      if (mutation.kind === 'queue-put' && (mutation.record as QueueEntry).acceptedIn === ticket) {
        const entry = mutation.record as QueueEntry;
        // One without a ticket was done with meanwhile, or went to another queue.
        if (entry.ticket !== 0) lost.push(entry);
      } else if (mutation.kind === 'inbound-put') {
        this.#owner.onInboundLost(mutation.clientId, mutation.packetId);
      } else if (mutation.kind === 'route') {
        this.#owner.onRouteLost(mutation.message);
      } else if (mutation.kind === 'queue-put') {
        // All batches before are done with: what was accepted in one of them is to go on whether there is room or not.
        kept.push({ ...mutation, isAccepted: true });
      } else if (mutation.kind !== 'retained-put') kept.push(mutation);
    }
    const open = this.#open;
    for (const mutation of open) {
      if (mutation?.kind !== 'queue-put') continue;
      const entry = mutation.record as QueueEntry;
      entry.putIndex += kept.length;
      if (entry.acceptedIn === ticket) lost.push(entry);
    }
    this.#open = [...kept, ...open];
    this.#openCount += kept.length;
    this.flushed = ticket;
    for (const drain of this.#drains) if (drain.ticket === ticket) drain.ticket = this.ticket;
    for (const entry of lost) {
      // The put of one in the open batch is taken back.
      if (entry.putIndex === -1) entry.ticket = 0;
      this.#owner.onEntryLost(entry);
    }
    for (const waiter of waiters) waiter.onStoreFull(ticket, this.ticket);
  }

  #probeSpace(): void {
    const free = this.#store.freeBytes();
    this.#full = free < this.#minFreeBytes;
    if (this.#state === 'held') this.#state = 'idle';
    this.submit();
    if (this.#full) this.#probeLater();
  }

  /** Room is looked at after something was written, and as long as there is too little: an idle broker has no timer. */
  #probeLater(): void {
    this.#probe ??= this.#clock.setTimeout(() => {
      this.#probe = undefined;
      this.#probeSpace();
    }, FULL_PROBE_MS);
  }
}
