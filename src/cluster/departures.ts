/** A session that went elsewhere while messages dispatched before may not be with the store yet. */
interface Departure {
  /** Messages with a lower view were dispatched before. */
  readonly view: number;
  /** Ticket of the batch with the last of them. */
  ticket: number;
}

/**
 * Sessions that went elsewhere lately. Takers elsewhere are found when a batch is applied, takers here when a message is
 * dispatched: for a session that went in between, this tells that it got the message here. One that comes gets all that
 * is not with the store yet, see `NodeCluster`.
 */
export class Departures {
  /** By queue id. */
  readonly #departures: Map<number, Departure> = new Map();
  /** Counts up with each departure. */
  view = 0;

  /** Whether nothing went lately. */
  get isEmpty(): boolean {
    return this.#departures.size === 0;
  }

  /** Notes that a session came. */
  came(queueId: number): void {
    this.#departures.delete(queueId);
  }

  /** Notes that a session went. @param ticket of the batch that is open. */
  went(queueId: number, ticket: number): void {
    this.view += 1;
    this.#departures.set(queueId, { view: this.view, ticket });
  }

  /** Whether the session with this queue was here when a message was dispatched; false where it did not go lately. */
  wasHere(queueId: number, view: number): boolean {
    const departure = this.#departures.get(queueId);
    return departure !== undefined && view < departure.view;
  }

  /** All messages up to this ticket are with the store. */
  settle(flushed: number): void {
    for (const [queueId, { ticket }] of this.#departures) if (ticket <= flushed) this.#departures.delete(queueId);
  }

  /** A batch goes with another instead. */
  retry(failed: number, retriedAs: number): void {
    for (const departure of this.#departures.values()) if (departure.ticket === failed) departure.ticket = retriedAs;
  }
}
