/** When a session was on this node, by the count of moves: from the first on, and before the second. */
interface Stay {
  readonly from: number;
  to: number;
}

/** A session that came or went while messages dispatched before are not with the store yet. */
interface Moved {
  readonly clientId: string;
  readonly stays: Stay[];
  /** Ticket of the batch with the last message that may have been dispatched before. */
  ticket: number;
}

/**
 * Sessions that came here or went elsewhere lately. Takers elsewhere are found when a batch is applied, takers here when
 * a message is dispatched: for a session that moved in between, this tells whether it got the message here.
 */
export class Moves {
  readonly #onSettled: (clientId: string) => void;
  /** By queue id. */
  readonly #moved: Map<number, Moved> = new Map();
  /** Counts up with each move. */
  view = 0;

  /** @param onSettled told of each session that came here, once no message dispatched before is under way. */
  constructor(onSettled: (clientId: string) => void) {
    this.#onSettled = onSettled;
  }

  /** Whether nothing moved lately. */
  get isEmpty(): boolean {
    return this.#moved.size === 0;
  }

  /** Whether a session moved lately. */
  has(queueId: number): boolean {
    return this.#moved.has(queueId);
  }

  /** Notes that a session came. @param ticket of the batch that is open. */
  came(clientId: string, queueId: number, ticket: number): void {
    this.view += 1;
    this.#note(clientId, queueId, ticket).stays.push({ from: this.view, to: Number.POSITIVE_INFINITY });
  }

  /** Notes that a session went. @param ticket of the batch that is open. */
  went(clientId: string, queueId: number, ticket: number): void {
    this.view += 1;
    const { stays } = this.#note(clientId, queueId, ticket);
    const last = stays.at(-1);
    if (last === undefined || last.to !== Number.POSITIVE_INFINITY)
      stays.push({ from: Number.NEGATIVE_INFINITY, to: this.view });
    else last.to = this.view;
  }

  /** Whether the session with this queue was here when a message was dispatched; false where it did not move lately. */
  wasHere(queueId: number, view: number): boolean {
    const moved = this.#moved.get(queueId);
    return moved !== undefined && moved.stays.some(({ from, to }) => from <= view && view < to);
  }

  /** All messages up to this ticket are with the store. */
  settle(flushed: number): void {
    for (const [queueId, { clientId, stays, ticket }] of this.#moved) {
      if (ticket > flushed) continue;
      this.#moved.delete(queueId);
      if (stays.at(-1)?.to === Number.POSITIVE_INFINITY) this.#onSettled(clientId);
    }
  }

  /** A batch goes with another instead. */
  retry(failed: number, retriedAs: number): void {
    for (const moved of this.#moved.values()) if (moved.ticket === failed) moved.ticket = retriedAs;
  }

  #note(clientId: string, queueId: number, ticket: number): Moved {
    const known = this.#moved.get(queueId);
    if (known !== undefined) {
      known.ticket = ticket;
      return known;
    }
    const moved = { clientId, stays: [], ticket };
    this.#moved.set(queueId, moved);
    return moved;
  }
}
