import type { Mailbox, MailboxMessage } from '../store/shared-store.ts';

/** Queues of which it is remembered that something was posted for them while they were not here. */
const MISSED_MAX = 10_000;

/** What mailboxes are read with. */
export interface MailboxesOwner {
  /** Whether the queue is here. */
  isHere(queueId: number): boolean;
  /** Takes messages, in order, none twice. */
  take(messages: readonly MailboxMessage[]): void;
  /** What is posted for a queue now; undefined where nothing ever was. */
  read(queueId: number): Promise<Mailbox | undefined>;
  onError(error: unknown): void;
}

/**
 * How far the mailboxes of the queues here have been taken. Posted messages are told one by one; what was told twice is
 * passed over, and where one is missing, or was told before the queue was here, the mailbox is read.
 */
export class Mailboxes {
  readonly #owner: MailboxesOwner;
  /** By queue id, number of the last message that was taken; none for 0. */
  readonly #taken: Map<number, number> = new Map();
  /** By queue id, the highest number that was told while the queue was not here, oldest first. */
  readonly #missed: Map<number, number> = new Map();
  /** Queues whose mailbox is being read, and whether it has to be read again. */
  readonly #reading: Map<number, boolean> = new Map();
  /** Told when no mailbox is being read. */
  #waiting: (() => void)[] = [];

  constructor(owner: MailboxesOwner) {
    this.#owner = owner;
  }

  /** A queue is about to come here, with all of what is in its mailbox taken. Call `came` when it is here. */
  coming({ queueId, lastNumber }: Mailbox): void {
    this.#taken.set(queueId, lastNumber);
  }

  /** A queue is here now. */
  came(queueId: number): void {
    const missed = this.#missed.get(queueId);
    this.#missed.delete(queueId);
    if (missed !== undefined && missed > this.#takenOf(queueId)) this.#read(queueId);
  }

  /** A queue is not here any more. */
  went(queueId: number): void {
    this.#taken.delete(queueId);
  }

  /** Resolves when all that was told so far has been taken. */
  settled(): Promise<void> {
    if (this.#reading.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Messages were posted. */
  onPosted(messages: readonly MailboxMessage[]): void {
    const fresh = messages.filter((message) => this.#isNext(message));
    if (fresh.length > 0) this.#owner.take(fresh);
  }

  #isNext({ queueId, number }: MailboxMessage): boolean {
    if (!this.#owner.isHere(queueId)) {
      this.#miss(queueId, number);
      return false;
    }
    const taken = this.#takenOf(queueId);
    if (number <= taken) return false;
    if (number > taken + 1 || this.#reading.has(queueId)) {
      this.#read(queueId);
      return false;
    }
    this.#taken.set(queueId, number);
    return true;
  }

  #takenOf(queueId: number): number {
    return this.#taken.get(queueId) ?? 0;
  }

  #miss(queueId: number, number: number): void {
    this.#missed.set(queueId, number);
    if (this.#missed.size <= MISSED_MAX) return;
    for (const oldest of this.#missed.keys()) {
      this.#missed.delete(oldest);
      return;
    }
  }

  #takeFresh(queueId: number, messages: readonly MailboxMessage[]): void {
    const fresh = messages.filter(({ number }) => number > this.#takenOf(queueId));
    const last = fresh.at(-1);
    if (last === undefined) return;
    this.#taken.set(queueId, last.number);
    this.#owner.take(fresh);
  }

  #read(queueId: number): void {
    if (this.#reading.has(queueId)) {
      this.#reading.set(queueId, true);
      return;
    }
    this.#reading.set(queueId, false);
    this.#owner.read(queueId).then(
      (mailbox) => {
        const again = this.#reading.get(queueId) === true;
        this.#reading.delete(queueId);
        if (this.#owner.isHere(queueId)) {
          this.#takeFresh(queueId, mailbox?.messages ?? []);
          if (again) this.#read(queueId);
        }
        if (this.#reading.size === 0) for (const tell of this.#waiting.splice(0)) tell();
      },
      (error: unknown) => this.#owner.onError(error),
    );
  }
}
