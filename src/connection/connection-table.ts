import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';
import type { DisconnectReason } from './disconnect-reasons.ts';

/** All open connections, and how they ended. */
export class ConnectionTable {
  readonly #all: Set<Connection> = new Set();
  readonly #awaited: Set<Connection> = new Set();
  readonly #byClientId: Map<string, Connection> = new Map();
  readonly #onEmpty: (() => void)[] = [];
  /** Connections ended, by reason. */
  readonly ended: Map<DisconnectReason, number> = new Map();
  /** Connections accepted since the start. */
  accepted = 0;
  /** Most connections with a client id at once. */
  maximum = 0;

  /** Open connections, those still without CONNECT included. */
  get size(): number {
    return this.#all.size;
  }

  /** Connections that own a client id. */
  get clients(): number {
    return this.#byClientId.size;
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.values();
  }

  add(connection: Connection): void {
    this.accepted += 1;
    this.#all.add(connection);
    this.#awaited.add(connection);
  }

  /** Notes whether it is the client of a connection without CONNACK who has to speak next, by CONNECT or AUTH. */
  noteAwaited(connection: Connection, isAwaited: boolean): void {
    if (isAwaited) this.#awaited.add(connection);
    else this.#awaited.delete(connection);
  }

  /** Closes the connection without CONNACK whose client has let the broker wait longest. @returns whether there was one. */
  makeRoom(): boolean {
    for (const connection of this.#awaited) {
      connection.close(ReasonCode.serverBusy, 'it gave way to a newer one, there being too many without CONNECT');
      // Nobody lingers for those who stall.
      connection.stream.destroy();
      return true;
    }
    return false;
  }

  owner(clientId: string): Connection | undefined {
    return this.#byClientId.get(clientId);
  }

  own(clientId: string, connection: Connection): void {
    this.#byClientId.set(clientId, connection);
    if (this.#byClientId.size > this.maximum) this.maximum = this.#byClientId.size;
  }

  disown(clientId: string, connection: Connection): void {
    if (this.#byClientId.get(clientId) === connection) this.#byClientId.delete(clientId);
  }

  remove(connection: Connection): void {
    this.#all.delete(connection);
    if (this.#all.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  /** Resolves once no connection is open. */
  empty(): Promise<void> {
    if (this.#all.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  /** Counts one ended connection. */
  countEnd(reason: DisconnectReason): void {
    this.ended.set(reason, (this.ended.get(reason) ?? 0) + 1);
  }
}
