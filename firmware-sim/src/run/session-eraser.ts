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

  constructor(clients: ClientFactory) {
    this.#clients = clients;
  }

  /** Sessions not ended yet. */
  get pending(): number {
    return this.#waiting.length + this.#open;
  }

  /** Begins to end these; one that cannot be ended is left behind. */
  erase(sessions: readonly StoredSession[]): void {
    this.#waiting.push(...sessions);
    while (this.#open < atOnceMax && this.#waiting.length > 0) this.#next();
  }

  #next(): void {
    const session = this.#waiting.pop();
    if (session === undefined) return;
    this.#open += 1;
    const ignore = (): void => {};
    const client = this.#clients.create(
      {
        onConnected: () => client.disconnect(),
        onEnd: () => {
          this.#open -= 1;
          this.#next();
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
