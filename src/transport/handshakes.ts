import type { Socket } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { type Deadline, DeadlineHeap } from '../lib/deadline-heap.ts';
import { addressKey } from '../lib/ip-address.ts';
import { systemClock } from '../lib/system-clock.ts';
import type { PeerIdentity } from './byte-stream.ts';
import { ignoreError, NO_IDENTITY, peerAddress } from './node-stream.ts';

/** What a listener allows between accepting a connection and having a stream; defaults where it says nothing. */
export interface HandshakeOptions {
  /**
   * How long a connection may take for all of it together (PROXY header, TLS, the request for an upgrade to WebSocket), in
   * milliseconds from when it was accepted, 1 to 600,000; 10,000 unless given.
   */
  readonly deadlineMs?: number;
  /** How many connections may be in it at a time; 1,000 unless given. One more closes the one that has been longest. */
  readonly max?: number;
  /** Told of each connection that did not become a stream. */
  readonly onRefused?: OnRefused;
  readonly clock?: Clock;
}

/**
 * Told of a connection that did not become a stream.
 * @param reason For the log; holds no secrets.
 * @param isFailure Whether its client is to blame, rather than this listener, a balancer, or the page that a browser shows.
 */
export type OnRefused = (remoteAddress: string, reason: string, isFailure: boolean) => void;

/** Where a peer is and who it is. */
export interface Peer extends PeerIdentity {
  /** `192.0.2.1:51234` as a balancer has it; empty where only the socket knows. */
  readonly address: string;
}

const DEADLINE_MS = 10_000;
const HANDSHAKES_MAX = 1_000;

/** A connection that was accepted and is not a stream yet. */
export class Handshake implements Deadline {
  at = 0;
  index = -1;
  readonly socket: Socket;
  readonly #owner: Handshakes;
  /** By what its address counts, as of `addressKey`; that of the balancer where there is one. */
  readonly addressKey: string;
  /** Whether its client is to blame for what becomes of it. */
  isBlamed = true;
  /** Why it is about to be closed, once the peer has got an answer that says so. */
  refusal = 'it closed the connection before its handshake was done';
  /** Listens to `close` of the socket while it is under way. */
  readonly onClose = (): void => this.refuse(this.refusal);
  /** As `Peer.address`. */
  address = '';
  /** What TLS said of it. */
  identity: PeerIdentity = NO_IDENTITY;

  constructor(owner: Handshakes, socket: Socket) {
    this.#owner = owner;
    this.socket = socket;
    this.addressKey = addressKey(socket.remoteAddress ?? '');
  }

  /** Where the client is: `127.0.0.1:51234`, as a balancer has it or the socket knows. */
  get remoteAddress(): string {
    return this.address === '' ? peerAddress(this.socket) : this.address;
  }

  /** It is a stream now. */
  finish(): Peer {
    this.#owner.leave(this);
    return this.identity === NO_IDENTITY ? { address: this.address } : { address: this.address, ...this.identity };
  }

  /** Says why it becomes no stream and closes it; without effect once it has left. */
  refuse(reason: string): void {
    if (!this.#owner.leave(this)) return;
    this.#owner.onRefused(this.remoteAddress, reason, this.isBlamed);
    this.socket.destroy();
  }

  /** As `refuse`, where its client is not to blame. */
  dismiss(reason: string): void {
    this.isBlamed = false;
    this.refuse(reason);
  }

  onDeadline(): void {
    this.refuse('it did not finish its handshake in time');
  }
}

/**
 * The connections of a listener that are in a handshake. All are closed at one deadline each, which no byte of the peer
 * moves, and there are never more than a maximum: beyond it the oldest gives way, that of the same address if there is one.
 * So those who stall lose their place, and who comes with many of them its own, while a client that answers needs it for a
 * few round trips only.
 */
export class Handshakes {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #max: number;
  readonly #deadlines: DeadlineHeap;
  /** The oldest first. */
  readonly #pending = new Set<Handshake>();
  readonly onRefused: OnRefused;

  /** @param onError gets what `onRefused` throws. */
  constructor(options: HandshakeOptions, onError: (error: Error) => void) {
    this.#clock = options.clock ?? systemClock;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#max = options.max ?? HANDSHAKES_MAX;
    this.onRefused = options.onRefused ?? ((): void => {});
    this.#deadlines = new DeadlineHeap(this.#clock, (error) => onError(error as Error));
  }

  /** How many there are. */
  get size(): number {
    return this.#pending.size;
  }

  /** Begins the handshake of a socket just accepted. */
  begin(socket: Socket): Handshake {
    const handshake = new Handshake(this, socket);
    if (this.#pending.size >= this.#max)
      this.#oldestLike(handshake)?.dismiss('it gave way to a newer one, there being too many handshakes under way');
    this.#pending.add(handshake);
    this.#deadlines.schedule(handshake, this.#clock.now() + this.#deadlineMs);
    socket.on('error', ignoreError);
    socket.on('close', handshake.onClose);
    return handshake;
  }

  /** The oldest of the same address, or else the oldest. */
  #oldestLike({ addressKey: key }: Handshake): Handshake | undefined {
    for (const handshake of this.#pending) if (handshake.addressKey === key) return handshake;
    for (const oldest of this.#pending) return oldest;
    return undefined;
  }

  /** Takes one out. @returns false when it had left before. */
  leave(handshake: Handshake): boolean {
    this.#deadlines.cancel(handshake);
    handshake.socket.off('close', handshake.onClose);
    return this.#pending.delete(handshake);
  }

  /** Closes all of them, and tells nobody. */
  close(): void {
    const left = [...this.#pending];
    this.#pending.clear();
    this.#deadlines.close();
    for (const handshake of left) handshake.socket.destroy();
  }
}
