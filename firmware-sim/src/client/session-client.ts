import type { Endpoint } from '../wire/endpoint.ts';
import type { NetworkPath } from '../wire/network-path.ts';
import type { Client, ClientEnd, ClientHandler, ConnectOptions, OutgoingMessage, SubscribeOptions } from './client.ts';
import { ClientSession } from './client-session.ts';

/** One connection of a client as the client sees it, from its opening to its end. */
export interface ClientConnection {
  readonly state: 'connecting' | 'connected' | 'closing';
  readonly bufferedBytes: number;
  open(endpoint: Endpoint, path: NetworkPath): void;
  disconnect(sessionExpirySeconds: number | undefined, withWill: boolean): void;
  /** Closes without DISCONNECT. */
  drop(): void;
  freeze(forMs: number): void;
}

/** What a client keeps from one connection to the next. */
export interface ClientState<Memory> {
  readonly handler: ClientHandler;
  readonly session: ClientSession;
  /** Of the receiving half of the session, and what else the kind of client needs. */
  readonly memory: Memory;
}

/** Makes the connections of one kind of client. */
export interface ConnectionMaker<Memory> {
  /** @param onOver is told once that the connection is over, unless it was frozen. */
  make(client: ClientState<Memory>, options: ConnectOptions, onOver: (end: ClientEnd) => void): ClientConnection;
}

/** A client of any kind: the session, and one connection after the other. */
export class SessionClient<Memory extends { clear(): void }> implements Client, ClientState<Memory> {
  readonly handler: ClientHandler;
  readonly session: ClientSession;
  readonly memory: Memory;
  readonly #maker: ConnectionMaker<Memory>;
  #connection: ClientConnection | undefined;

  constructor(handler: ClientHandler, window: number, memory: Memory, maker: ConnectionMaker<Memory>) {
    this.handler = handler;
    this.session = new ClientSession(handler, window);
    this.memory = memory;
    this.#maker = maker;
  }

  get state(): Client['state'] {
    return this.#connection === undefined ? 'idle' : this.#connection.state;
  }

  get inFlight(): number {
    return this.session.inFlight;
  }

  get bufferedBytes(): number {
    return this.#connection === undefined ? 0 : this.#connection.bufferedBytes;
  }

  connect(endpoint: Endpoint, path: NetworkPath, options: ConnectOptions): void {
    if (this.#connection !== undefined) throw new Error(`connect while ${this.#connection.state}`);
    this.#connection = this.#maker.make(this, options, (end) => {
      this.#connection = undefined;
      this.handler.onEnd(end);
    });
    this.#connection.open(endpoint, path);
  }

  publish(message: OutgoingMessage): boolean {
    return this.session.publish(message);
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    this.session.subscribe(subscriptions);
  }

  unsubscribe(topicFilters: readonly string[]): void {
    this.session.unsubscribe(topicFilters);
  }

  disconnect(options?: { readonly sessionExpirySeconds?: number; readonly withWill?: boolean }): void {
    this.#connection?.disconnect(options?.sessionExpirySeconds, options?.withWill === true);
  }

  crash(): void {
    this.#connection?.drop();
  }

  freeze(forMs: number): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.freeze(forMs);
  }

  forget(): void {
    if (this.#connection !== undefined) throw new Error(`forget while ${this.#connection.state}`);
    this.memory.clear();
    this.session.forget();
  }
}
