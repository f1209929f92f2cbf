import type { Deadline } from '../lib/deadline-heap.ts';
import type { ClientRates } from '../limits/client-rates.ts';
import type { Connection } from './connection.ts';

/** Keeps one client at the rates it may send at: a client that has sent too much is not read from until that is made up for. */
export class Brake implements Deadline {
  at = 0;
  index = -1;
  /** Whether it is not to be read from. */
  holds = false;
  readonly #connection: Connection;
  readonly #rates: ClientRates;
  #bytes = 0;
  #hasTold = false;

  private constructor(connection: Connection, rates: ClientRates) {
    this.#connection = connection;
    this.#rates = rates;
  }

  /** For a new connection; undefined where it may send as fast as it can, so that it pays for nothing. */
  static of(connection: Connection): Brake | undefined {
    const rates = connection.context.guard.rates();
    return rates === undefined ? undefined : new Brake(connection, rates);
  }

  /** So many bytes have come. */
  hear(bytes: number): void {
    this.#bytes += bytes;
  }

  /** All that has come is handled, and there were so many PUBLISH packets in it. */
  take(publishes: number): void {
    const { context, client } = this.#connection;
    const now = context.clock.now();
    const waitMs = this.#rates.take(this.#bytes, publishes, now);
    this.#bytes = 0;
    if (waitMs === 0) return;
    this.holds = true;
    context.deadlines.schedule(this, now + waitMs);
    if (this.#hasTold) return;
    this.#hasTold = true;
    context.logger.info('a client sends more than it may and is read from more slowly', { client: client?.clientId });
  }

  onDeadline(): void {
    this.holds = false;
    this.#connection.readOn();
  }

  /** The connection is over. */
  release(): void {
    this.#connection.context.deadlines.cancel(this);
  }
}

/** Whether a client is read from although there is no memory, for its acknowledgements: what it publishes is refused. */
export function isDrained({ context, session }: Connection): boolean {
  return context.guard.publishers === 'drained' && session !== undefined && session.inFlightCount > 0;
}
