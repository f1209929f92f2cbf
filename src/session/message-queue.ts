import { RingQueue } from '../lib/ring-queue.ts';
import type { QueueSummary } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import { QueueEntry } from './queue-entry.ts';

/** First sequence of a queue: high enough that entries can also be put in front. */
const FIRST_SEQUENCE = 2 ** 40;

/** Memory that an entry and its message take beside the bytes they count with, as measured with messages of 64 bytes. */
const ENTRY_MEMORY_BYTES = 950;

/** Whose queue it is. */
export interface QueueOwner {
  /** For drop events: the client id, or the share key of a group. */
  readonly name: string;
  /** Whether its entries are kept in the store. */
  readonly durable: boolean;
  /** Entries that were on disk only are in memory now: `shift` will find them. */
  onQueueReady(): void;
  /** An entry was read that was in flight before the restart: it is the owner's, unless its state is `waiting` then. */
  onInFlightRead(entry: QueueEntry): void;
}

/**
 * The bounded queue of a session or a group: counts and limits all its entries, in flight included, and holds the
 * waiting ones in order. Of a stored queue only a window at its head is in memory:
 *
 *     [ in flight (owner) ] [ window in memory ] [ on disk only ]
 *       oldest                                          newest
 */
export class MessageQueue {
  readonly queueId: number;
  readonly #context: SessionContext;
  readonly #owner: QueueOwner;
  readonly #window: RingQueue<QueueEntry> = new RingQueue();
  #windowBytes = 0;
  #onDisk = 0;
  #loading: Promise<void> | undefined = undefined;
  #closed = false;
  /** The store has failed: what is on disk only stays there. */
  #isUnreadable = false;
  #nextSequence = FIRST_SEQUENCE;
  #frontSequence = FIRST_SEQUENCE;
  /** Everything on disk only has a higher sequence. */
  #diskAfter = 0;
  /** Ticket of the last entry that came to be on disk only. */
  #diskTicket = 0;
  /** Entries, in flight included. */
  count = 0;
  /** Bytes of all entries. */
  bytes = 0;

  constructor(context: SessionContext, owner: QueueOwner, queueId: number) {
    this.#context = context;
    this.#owner = owner;
    this.queueId = queueId;
  }

  /** Entries not handed out yet. */
  get waiting(): number {
    return this.#window.length + this.#onDisk;
  }

  /** Whether it was given up. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Takes over what the store has of this queue; its entries are read when their turn comes. */
  restore(summary: QueueSummary): void {
    this.count = summary.count;
    this.bytes = summary.bytes;
    this.#onDisk = summary.count;
    this.#nextSequence = Math.max(FIRST_SEQUENCE, summary.lastSequence + 1);
    this.#frontSequence = Math.min(FIRST_SEQUENCE, summary.firstSequence);
    this.#diskAfter = summary.firstSequence - 1;
    this.#context.books.queued += summary.count;
    this.#context.books.restored += summary.count;
  }

  /** Whether a message of this size would be over a limit. */
  isFullFor(size: number): boolean {
    return this.#isOver(1, size);
  }

  /** Counts an entry that goes straight into flight, and gives it its place in the order. */
  admit(entry: QueueEntry): void {
    entry.queueId = this.queueId;
    entry.sequence = this.#nextSequence++;
    entry.place = 'flight';
    this.#account(entry, 1);
  }

  /** Adds an entry behind all others. Where the queue is full its policy gives up this one or older ones (booked). */
  push(entry: QueueEntry): void {
    if (this.isFullFor(entry.message.size) && !this.#makeRoom(entry)) return;
    this.#context.keep(entry);
    this.admit(entry);
    // What comes behind entries on disk has to be there too, also where the owner ceased to be durable.
    if (this.#owner.durable || this.#onDisk > 0) {
      this.#context.writePath.putEntry(entry);
      if (this.#onDisk > 0 || !this.#windowTakesMore()) {
        if (this.#onDisk === 0) this.#diskAfter = entry.sequence - 1;
        entry.place = 'disk';
        this.#onDisk += 1;
        this.#diskTicket = entry.ticket;
        return;
      }
    }
    this.#toWindow(entry);
  }

  /** Puts an entry in front of all others; it is counted anew. The last one put in front is the first to leave. */
  pushFront(entry: QueueEntry): void {
    this.#context.keep(entry);
    this.#frontSequence -= 1;
    entry.queueId = this.queueId;
    entry.sequence = this.#frontSequence;
    entry.place = 'window';
    this.#account(entry, 1);
    if (this.#owner.durable) this.#context.writePath.putEntry(entry);
    this.#window.unshift(entry);
    this.#countWindow(entry, 1);
  }

  /** The next waiting entry that has not expired. Undefined for none, or none in memory yet: `onQueueReady` follows then. */
  shift(now: number): QueueEntry | undefined {
    for (let entry = this.#takeHead(); entry !== undefined; entry = this.#takeHead()) {
      if (entry.message.expiresAt > now) return entry;
      this.remove(entry);
      this.#context.books.expired += 1;
    }
    return undefined;
  }

  /** Puts the entry that `shift` returned last back: it is the first again. */
  putBack(entry: QueueEntry): void {
    entry.place = 'window';
    this.#window.unshift(entry);
    this.#countWindow(entry, 1);
  }

  /** Takes an entry that was handed out, or never was in the window, out of the books and the store. */
  remove(entry: QueueEntry): void {
    this.#account(entry, -1);
    this.#context.writePath.deleteEntry(entry);
  }

  /** Gives up an entry that could not be stored, wherever it waits. Costs a walk of the window. */
  forget(entry: QueueEntry): void {
    if (entry.place === 'disk') this.#onDisk -= 1;
    if (entry.place === 'window') {
      for (let left = this.#window.length; left > 0; left--) {
        const other = this.#window.shift() as QueueEntry;
        if (other === entry) this.#countWindow(entry, -1);
        else this.#window.push(other);
      }
    }
    this.remove(entry);
  }

  /** Reads the head of a restored queue up to the first waiting entry; those in flight go to the owner. */
  async readHead(): Promise<void> {
    while (this.#onDisk > 0 && this.#window.length === 0 && !this.#isUnreadable) await this.#load();
  }

  /** Forgets all entries and books them, as dropped unless they moved; the store is told by whoever ends the owner. */
  close(moved = false): void {
    this.#closed = true;
    const { books } = this.#context;
    books.queued -= this.count;
    if (moved) books.moved += this.count;
    else books.dropped['session-ended'] += this.count;
    this.count = 0;
    this.bytes = 0;
    this.#onDisk = 0;
    this.#context.waitingMemory.bytes -= this.#windowBytes + this.#window.length * ENTRY_MEMORY_BYTES;
    this.#windowBytes = 0;
    this.#window.clear();
  }

  #account(entry: QueueEntry, by: 1 | -1): void {
    this.count += by;
    this.bytes += by * entry.message.size;
    this.#context.books.queued += by;
  }

  /** Whether another entry may wait in memory: its window is always the queue's own, more only while there is memory. */
  #windowTakesMore(): boolean {
    const { waitingMemory, settings } = this.#context;
    if (waitingMemory.bytes < settings.queueMemoryBytes) return true;
    return this.#window.length < settings.queueWindowMessages && this.#windowBytes < settings.queueWindowBytes;
  }

  #countWindow(entry: QueueEntry, by: 1 | -1): void {
    const size = by * entry.message.size;
    this.#windowBytes += size;
    this.#context.waitingMemory.bytes += size + by * ENTRY_MEMORY_BYTES;
  }

  #toWindow(entry: QueueEntry): void {
    entry.place = 'window';
    this.#window.push(entry);
    this.#countWindow(entry, 1);
  }

  #takeHead(): QueueEntry | undefined {
    const entry = this.#window.shift();
    if (this.#onDisk > 0 && this.#window.length <= this.#context.settings.queueWindowMessages >> 2) void this.#load();
    if (entry === undefined) return undefined;
    this.#countWindow(entry, -1);
    entry.place = 'flight';
    return entry;
  }

  /** @returns whether there is room for the entry now; where there is not, it was booked as dropped. */
  #makeRoom(entry: QueueEntry): boolean {
    const { books, settings } = this.#context;
    // One that is too large for an empty queue displaces nothing.
    if (settings.queuePolicy === 'drop-oldest' && entry.message.size <= settings.queueBytesMax) {
      this.#trim(1, entry.message.size);
      // With the oldest on disk only, the queue is over its limit for the moment it takes to read them.
      if (!this.isFullFor(entry.message.size) || this.#onDisk > 0) return true;
    }
    books.drop(this.#owner.name, entry.message.topicName, 'queue-full');
    return false;
  }

  #isOver(count: number, bytes: number): boolean {
    const { queueMessagesMax, queueBytesMax } = this.#context.settings;
    return this.count + count > queueMessagesMax || this.bytes + bytes > queueBytesMax;
  }

  /** Drops the oldest until there is room for that much more. */
  #trim(count: number, bytes: number): void {
    const now = this.#context.clock.now();
    while (this.#isOver(count, bytes)) {
      const oldest = this.shift(now);
      if (oldest === undefined) return;
      if (!this.#isOver(count, bytes)) {
        // Only expired entries had to go: the one that was taken out stays the oldest.
        this.putBack(oldest);
        return;
      }
      this.remove(oldest);
      this.#context.books.drop(this.#owner.name, oldest.message.topicName, 'queue-full');
    }
  }

  /** Reads the next page, once at a time. Never rejects: a store that cannot be read ends the broker. */
  #load(): Promise<void> {
    this.#loading ??= this.#readPage().then(
      () => {
        this.#loading = undefined;
        if (this.#closed) return;
        this.#trim(0, 0);
        this.#owner.onQueueReady();
      },
      (error: unknown) => {
        this.#isUnreadable = true;
        this.#context.onFatal(error);
      },
    );
    return this.#loading;
  }

  async #readPage(): Promise<void> {
    const { writePath, store, settings } = this.#context;
    // What is on disk only may still be in the open batch. That is submitted when whoever asked is done with it: a
    // message, its other takers and its packet id go in one batch.
    await Promise.resolve();
    if (this.#diskTicket > writePath.flushed || writePath.full) await writePath.drained();
    if (this.#closed || this.#onDisk === 0) return;
    writePath.failpoint?.reach('queue-read');
    const records = await store.readQueue(
      this.queueId,
      this.#diskAfter,
      settings.queueWindowMessages,
      settings.queueWindowBytes,
    );
    if (this.#closed) return;
    const last = records.at(-1);
    if (last === undefined) throw new Error(`queue ${this.queueId} lacks ${this.#onDisk} entries that were stored`);
    this.#diskAfter = last.sequence;
    this.#onDisk -= records.length;
    for (const record of records) {
      const entry = QueueEntry.restored(record);
      if (entry.state !== 'waiting') this.#owner.onInFlightRead(entry);
      if (entry.state === 'waiting') this.#toWindow(entry);
    }
  }
}
