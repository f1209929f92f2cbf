import type { ClientFactory, ConnectOptions } from '../client/client.ts';
import type { Endpoint } from '../wire/endpoint.ts';

/** Connections open at once. */
const atOnceMax = 50;

/** A session that the broker keeps, and how its client connects. */
export interface StoredSession {
  readonly endpoint: Endpoint;
  readonly options: Pick<ConnectOptions, 'clientId' | 'version' | 'username' | 'password'>;
}

/**
 * Ends sessions that would wait for ever: before MQTT 5 a client cannot say so when it leaves, and has to come once more
 * with Clean Session.
 */
export class SessionEraser {
  readonly #clients: ClientFactory;
  readonly #waiting: StoredSession[] = [];
  #open = 0;
  #isFilling = false;

  constructor(clients: ClientFactory) {
    this.#clients = clients;
  }

  /** Sessions not ended yet. */
  get pending(): number {
    return this.#waiting.length + this.#open;
  }

  /** Begins to end these; one that cannot be ended is left behind. */
  erase(sessions: readonly StoredSession[]): void {
    for (const session of sessions) this.#waiting.push(session);
    this.#fill();
  }

  /** A connection that ends at once frees its place while this is still at work. */
  #fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    for (let next = this.#waiting.at(-1); next !== undefined && this.#open < atOnceMax; next = this.#waiting.at(-1)) {
      this.#waiting.pop();
      this.#begin(next);
    }
    this.#isFilling = false;
  }

  #begin(session: StoredSession): void {
    this.#open += 1;
    const ignore = (): void => {};
    const client = this.#clients.create(
      {
        onConnected: () => client.disconnect(),
        onEnd: () => {
          this.#open -= 1;
          this.#fill();
        },
        onMessage: ignore,
        onSent: ignore,
        onAcknowledged: ignore,
        onCompleted: ignore,
        onAbandoned: ignore,
        onSubscribed: ignore,
        onUnsubscribed: ignore,
      },
      { window: 1 },
    );
    const { endpoint, options } = session;
    const clean = { cleanStart: true, sessionExpirySeconds: 0, keepAliveSeconds: 30 };
    client.connect(endpoint, { profile: {}, localAddress: undefined }, { ...options, ...clean });
  }
}
