import type { ClientHandler, Connected, OutgoingMessage, SubscribeOptions } from './client.ts';
import { Malformed } from './malformed.ts';
import { acknowledgementName, puback, pubrec } from './packet-types.ts';

/** What a session sends through while it has a connection. */
export interface SessionConnection {
  /** Connected, and neither side has ended it. */
  readonly isUp: boolean;
  /** @param packetId 0 for QoS 0. */
  publish(message: OutgoingMessage, packetId: number, isDup: boolean): void;
  /** Sends PUBREL; `isAgain` for one that was sent on an earlier connection. */
  release(packetId: number, isAgain: boolean): void;
  subscribe(subscriptions: readonly SubscribeOptions[], packetId: number): void;
  unsubscribe(topicFilters: readonly string[], packetId: number): void;
}

/** A message of QoS 1 or 2 that was given to the network and is not complete. */
interface Flight {
  readonly message: OutgoingMessage;
  readonly packetId: number;
  /** `released`: PUBREC came, PUBREL went out. */
  state: 'published' | 'released';
  /** Sent on the connection that there is now, and so a part of its window. */
  isOnWire: boolean;
}

/** A SUBSCRIBE or UNSUBSCRIBE that waits for its answer. */
interface Request {
  readonly kind: 'subscribe' | 'unsubscribe';
  readonly topicFilters: readonly string[];
}

/** Room for packet ids of requests beside a window of the largest size. */
const largestWindow = 65_000;

/**
 * The sending half of an MQTT session: what a client keeps of it from one connection to the next.
 *
 *     publish -> waiting -> published -> (QoS 2: released ->) complete
 *                              \------------\---> sent again on the next connection of the session
 */
export class ClientSession {
  readonly #handler: ClientHandler;
  readonly #ownWindow: number;
  #connection: SessionConnection | undefined;
  /** By packet id, in the order of their first sending; made when first used, like the others, to save memory. */
  #flights: Map<number, Flight> | undefined;
  /** Flights of earlier connections that have to be sent again, before anything else. */
  #resends: Iterator<Flight> | undefined;
  /** Waiting for the window or for a connection, from `#waitingAt` on. */
  #waiting: OutgoingMessage[] | undefined;
  #waitingAt = 0;
  #requests: Map<number, Request> | undefined;
  /** Whether some of what waits has QoS 0, and so waits for this connection only. */
  #isWaitingOnce = false;
  #lastPacketId = 0;
  /** 0 until a connection is up and the session goes on with it. */
  #window = 0;
  /** The server's Receive Maximum. */
  #granted = 0;
  /** Flights of this connection. */
  #onWire = 0;

  constructor(handler: ClientHandler, window: number) {
    this.#handler = handler;
    this.#ownWindow = Math.max(1, Math.min(window, largestWindow));
  }

  get inFlight(): number {
    return (this.#flights?.size ?? 0) + this.#waitingCount;
  }

  /** CONNACK: tells it, and settles what the broker has lost; nothing is sent before {@link resume}. */
  connected(connection: SessionConnection, connected: Connected, isResumed: boolean): void {
    this.#connection = connection;
    this.#onWire = 0;
    this.#granted = connected.receiveMaximum;
    const lost = isResumed ? undefined : this.#flights;
    if (!isResumed) this.#flights = undefined;
    this.#handler.onConnected(connected);
    if (lost !== undefined) this.#tellLost(lost.values());
  }

  /** Sends what has to be sent again, and then what waits. */
  resume(): void {
    if (this.#connection === undefined) return;
    this.#resends = this.#flights?.values();
    this.#window = Math.min(this.#ownWindow, this.#granted);
    this.#pump();
  }

  /** The connection is no more. */
  disconnected(): void {
    this.#connection = undefined;
    this.#window = 0;
    this.#resends = undefined;
    this.#requests = undefined;
    if (this.#isWaitingOnce) {
      this.#waiting = this.#waiting?.slice(this.#waitingAt).filter((message) => message.qos > 0);
      this.#waitingAt = 0;
      this.#isWaitingOnce = false;
    }
    if (this.#flights === undefined) return;
    for (const flight of this.#flights.values()) flight.isOnWire = false;
  }

  /** Forgets everything; only without a connection. */
  forget(): void {
    const lost = this.#flights;
    const waiting = this.#waiting?.slice(this.#waitingAt);
    this.#flights = undefined;
    this.#waiting = undefined;
    this.#waitingAt = 0;
    if (lost !== undefined) this.#tellLost(lost.values());
    for (const message of waiting ?? []) this.#handler.onAbandoned(message.token);
  }

  publish(message: OutgoingMessage): boolean {
    const connection = this.#connection;
    if (message.qos === 0) {
      if (connection === undefined || !connection.isUp) return false;
      // Never ahead of an earlier one that waits for its turn.
      if (this.#window > 0 && !this.#isWaitingOnce) {
        this.#sendOnce(connection, message);
        return true;
      }
      this.#isWaitingOnce = true;
    } else if (this.#onWire < this.#window && connection !== undefined && this.#isFree) {
      this.#launch(connection, message);
      return true;
    }
    (this.#waiting ??= []).push(message);
    return true;
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    const topicFilters = subscriptions.map((subscription) => subscription.topicFilter);
    const { connection, packetId } = this.#request({ kind: 'subscribe', topicFilters });
    connection.subscribe(subscriptions, packetId);
  }

  unsubscribe(topicFilters: readonly string[]): void {
    const { connection, packetId } = this.#request({ kind: 'unsubscribe', topicFilters });
    connection.unsubscribe(topicFilters, packetId);
  }

  /**
   * PUBACK, PUBREC or PUBCOMP, by its first byte.
   * @throws Malformed for what does not answer anything that was sent.
   */
  onAcknowledgement(firstByte: number, packetId: number, reasonCode: number): void {
    const flight = this.#flights?.get(packetId);
    if (flight === undefined) throw unexpected(firstByte, packetId, 'there is no such message');
    const { qos, token } = flight.message;
    if (firstByte === puback) {
      if (qos !== 1) throw unexpected(firstByte, packetId, 'its message has QoS 2');
      this.#complete(flight);
      this.#handler.onAcknowledged(token, reasonCode);
      this.#handler.onCompleted(token);
    } else if (firstByte === pubrec) {
      if (qos !== 2) throw unexpected(firstByte, packetId, 'its message has QoS 1');
      if (flight.state === 'released') throw unexpected(firstByte, packetId, 'its message is released already');
      this.#onPubrec(flight, reasonCode);
    } else {
      if (flight.state !== 'released') throw unexpected(firstByte, packetId, 'its message is not released');
      this.#complete(flight);
      this.#handler.onCompleted(token);
    }
    this.#pump();
  }

  /** @throws Malformed where no such request waits, or the number of codes is not the number of filters. */
  onAnswer(kind: Request['kind'], packetId: number, reasonCodes: readonly number[] | undefined): void {
    const name = kind === 'subscribe' ? 'SUBACK' : 'UNSUBACK';
    const request = this.#requests?.get(packetId);
    if (request?.kind !== kind) throw new Malformed(`${name} with packet id ${packetId}, which nothing waits for`);
    const { topicFilters } = request;
    const codes = reasonCodes ?? topicFilters.map(() => 0);
    if (codes.length !== topicFilters.length) {
      throw new Malformed(`${name} with ${codes.length} reason codes for ${topicFilters.length} topic filters`);
    }
    this.#requests?.delete(packetId);
    if (kind === 'subscribe') this.#handler.onSubscribed(topicFilters, codes);
    else this.#handler.onUnsubscribed(topicFilters, codes);
  }

  get #waitingCount(): number {
    return this.#waiting === undefined ? 0 : this.#waiting.length - this.#waitingAt;
  }

  /** Nothing goes before a message that comes now. */
  get #isFree(): boolean {
    return this.#resends === undefined && this.#waiting === undefined && this.#connection?.isUp === true;
  }

  #sendOnce(connection: SessionConnection, message: OutgoingMessage): void {
    connection.publish(message, 0, false);
    this.#handler.onSent(message.token);
    this.#handler.onCompleted(message.token);
  }

  /** Sends a message of QoS 1 or 2 for the first time. */
  #launch(connection: SessionConnection, message: OutgoingMessage): void {
    const packetId = this.#newPacketId();
    const flight: Flight = { message, packetId, state: 'published', isOnWire: true };
    (this.#flights ??= new Map()).set(packetId, flight);
    this.#onWire++;
    connection.publish(message, packetId, false);
    this.#handler.onSent(message.token);
  }

  /** Fills the window: with what has to be sent again, then with what waits. */
  #pump(): void {
    while (this.#onWire < this.#window && this.#connection?.isUp === true) {
      if (this.#resends !== undefined) {
        const next = this.#resends.next();
        if (next.done === true) this.#resends = undefined;
        else if (!next.value.isOnWire) this.#relaunch(this.#connection, next.value);
        continue;
      }
      const message = this.#takeWaiting();
      if (message === undefined) return;
      if (message.qos === 0) this.#sendOnce(this.#connection, message);
      else this.#launch(this.#connection, message);
    }
  }

  #relaunch(connection: SessionConnection, flight: Flight): void {
    flight.isOnWire = true;
    this.#onWire++;
    if (flight.state === 'released') connection.release(flight.packetId, true);
    else connection.publish(flight.message, flight.packetId, true);
  }

  #takeWaiting(): OutgoingMessage | undefined {
    const waiting = this.#waiting;
    if (waiting === undefined) return undefined;
    const message = waiting[this.#waitingAt++];
    if (this.#waitingAt === waiting.length) {
      this.#waiting = undefined;
      this.#waitingAt = 0;
      this.#isWaitingOnce = false;
    } else if (this.#waitingAt >= 64 && this.#waitingAt * 2 >= waiting.length) {
      waiting.splice(0, this.#waitingAt);
      this.#waitingAt = 0;
    }
    return message;
  }

  #onPubrec(flight: Flight, reasonCode: number): void {
    const { token } = flight.message;
    if (reasonCode >= 0x80) {
      this.#complete(flight);
      this.#handler.onAcknowledged(token, reasonCode);
      this.#handler.onCompleted(token);
      return;
    }
    flight.state = 'released';
    if (!flight.isOnWire) {
      flight.isOnWire = true;
      this.#onWire++;
    }
    this.#connection?.release(flight.packetId, false);
    this.#handler.onAcknowledged(token, reasonCode);
  }

  #complete(flight: Flight): void {
    this.#flights?.delete(flight.packetId);
    if (flight.isOnWire) this.#onWire--;
  }

  /** What the broker has acknowledged with PUBREC is its own now, and so complete; the rest it never had, or has lost. */
  #tellLost(flights: Iterable<Flight>): void {
    for (const { state, message } of flights) {
      if (state === 'released') this.#handler.onCompleted(message.token);
      else this.#handler.onAbandoned(message.token);
    }
  }

  #request(request: Request): { connection: SessionConnection; packetId: number } {
    const connection = this.#connection;
    if (connection === undefined || !connection.isUp) throw new Error(`${request.kind} without a connection`);
    const packetId = this.#newPacketId();
    (this.#requests ??= new Map()).set(packetId, request);
    return { connection, packetId };
  }

  #newPacketId(): number {
    for (let tries = 0; tries < 0xffff; tries++) {
      const packetId = this.#lastPacketId === 0xffff ? 1 : this.#lastPacketId + 1;
      this.#lastPacketId = packetId;
      if (this.#flights?.has(packetId) !== true && this.#requests?.has(packetId) !== true) return packetId;
    }
    throw new Error('no packet id is free');
  }
}

function unexpected(firstByte: number, packetId: number, why: string): Malformed {
  return new Malformed(`${acknowledgementName(firstByte)} with packet id ${packetId}: ${why}`);
}
