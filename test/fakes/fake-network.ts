import type { ByteStream, ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Random } from './random.ts';

/** How a fake network treats what it carries. */
export interface NetworkFaults {
  /** How likely the bytes that wait are delivered in part, cut anywhere, 0 to 1; otherwise all at once. */
  readonly splitChance: number;
  /** The longest time until bytes move on, in milliseconds; 0: at the end of the turn. */
  readonly maxDelayMs: number;
  /** How many bytes are taken in each direction before `write` returns false. */
  readonly windowBytes: number;
}

/** A connection that did not end by an orderly close. */
class ResetError extends Error {
  readonly code: string = 'ECONNRESET';
}

/**
 * One end of an in-memory connection. What is written to it waits in it until the network carries it over.
 *
 *     open --end()--> half-closed --the peer's end arrives--> closed
 *       any --destroy(), or a reset of the connection--> closed
 */
export class FakeStream implements ByteStream {
  readonly remoteAddress: string;
  readonly transport: string = 'fake';
  readonly #network: FakeNetwork;
  #peer: FakeStream = this;
  #handler: ByteStreamHandler | undefined;
  #state: 'open' | 'closed' = 'open';
  #outbound: Uint8Array[] = [];
  #outboundBytes = 0;
  #ending: 'no' | 'asked' | 'arrived' = 'no';
  #paused = false;
  #stalled = false;
  #moving = false;
  #awaitsDrain = false;
  #cutAfterBytes = Infinity;
  #arrivedBytes = 0;

  constructor(network: FakeNetwork, remoteAddress: string) {
    this.#network = network;
    this.remoteAddress = remoteAddress;
  }

  /** Joins two ends; each is the other's peer. */
  static join(left: FakeStream, right: FakeStream): void {
    left.#peer = right;
    right.#peer = left;
  }

  attach(handler: ByteStreamHandler): void {
    this.#handler = handler;
    if (this.#state === 'closed') this.#network.later(() => handler.onClose(undefined));
    else this.#peer.#move();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state === 'closed' || this.#ending !== 'no') return true;
    this.#outbound.push(Uint8Array.from(bytes)); // The memory is the writer's again.
    this.#outboundBytes += bytes.length;
    this.#move();
    if (this.#outboundBytes <= this.#network.faults.windowBytes) return true;
    this.#awaitsDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#peer.#move();
  }

  end(): void {
    if (this.#ending !== 'no') return;
    this.#ending = 'asked';
    this.#move();
  }

  /** Closes this end; what the network has taken over still arrives at the peer, then an end. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#keepOutbound(this.#network.faults.windowBytes);
    this.end();
    this.#network.later(() => this.#handler?.onClose(undefined));
    this.#state = 'closed';
  }

  /** Breaks the connection: both ends close with an error, and whatever was under way is lost. */
  reset(): void {
    for (const end of [this, this.#peer]) end.#close(new ResetError('The connection was reset.'));
  }

  /** Resets the connection once exactly so many bytes (from its start) have arrived at this end. */
  cutAfter(bytes: number): void {
    this.#cutAfterBytes = bytes;
  }

  /** From now on nothing arrives at this end, as if its process stood still, until `stall(false)`. */
  stall(stalled: boolean = true): void {
    this.#stalled = stalled;
    this.#peer.#move();
  }

  #close(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#keepOutbound(0);
    this.#handler?.onClose(error);
  }

  /** Has the network carry on what waits in this end, unless it is at it. */
  #move(): void {
    if (this.#moving) return;
    this.#moving = true;
    this.#network.later(() => {
      this.#moving = false;
      this.#carry();
    });
  }

  /** Carries some of what waits over to the peer. */
  #carry(): void {
    const peer = this.#peer;
    if (peer.#state === 'closed' && this.#outboundBytes > 0) {
      // As TCP does: bytes for a socket that is gone are answered with a reset.
      this.#close(new ResetError('The peer has gone.'));
      return;
    }
    if (peer.#state === 'open' && (peer.#handler === undefined || peer.#paused || peer.#stalled)) return;
    if (this.#outboundBytes === 0) {
      this.#carryEnd();
      return;
    }
    const untilCut = peer.#cutAfterBytes - peer.#arrivedBytes;
    const chunk = this.#take(Math.min(this.#network.carriedBytes(this.#outboundBytes), untilCut));
    peer.#arrivedBytes += chunk.length;
    if (chunk.length > 0) peer.#handler?.onBytes(chunk);
    if (chunk.length === untilCut) {
      this.reset();
      return;
    }
    if (this.#awaitsDrain && this.#state === 'open' && this.#outboundBytes <= this.#network.faults.windowBytes) {
      this.#awaitsDrain = false;
      this.#handler?.onDrain();
    }
    if (this.#outboundBytes > 0 || this.#ending === 'asked') this.#move();
  }

  #carryEnd(): void {
    if (this.#ending !== 'asked') return;
    this.#ending = 'arrived';
    if (this.#peer.#state === 'open') this.#peer.#handler?.onEnd();
    for (const end of [this, this.#peer]) {
      if (end.#ending === 'arrived' && end.#peer.#ending === 'arrived') end.#close(undefined);
    }
  }

  /** Takes so many bytes off the front of what waits, as a copy: a receiver owns its chunks. */
  #take(count: number): Buffer {
    const waiting = Buffer.concat(this.#outbound);
    this.#outbound = [waiting.subarray(count)];
    this.#outboundBytes -= count;
    return Buffer.from(waiting.subarray(0, count));
  }

  #keepOutbound(count: number): void {
    const kept = Buffer.concat(this.#outbound).subarray(0, count);
    this.#outbound = [kept];
    this.#outboundBytes = kept.length;
  }
}

/** Makes in-memory connections that split, merge, delay and cut what they carry, as a seed decides. */
export class FakeNetwork {
  readonly faults: NetworkFaults;
  readonly #clock: Clock;
  readonly #random: Random;
  #connections = 0;

  /** @param faults those not given: half the chunks are split, no delay, a window of 64 KiB. */
  constructor(clock: Clock, random: Random, faults: Partial<NetworkFaults> = {}) {
    this.#clock = clock;
    this.#random = random;
    this.faults = { splitChance: 0.5, maxDelayMs: 0, windowBytes: 65_536, ...faults };
  }

  /** A new connection; the broker gets one end, a client of the test the other. */
  connect(): { readonly brokerEnd: FakeStream; readonly clientEnd: FakeStream } {
    this.#connections++;
    const brokerEnd = new FakeStream(this, `client-${this.#connections}`);
    const clientEnd = new FakeStream(this, 'broker');
    FakeStream.join(brokerEnd, clientEnd);
    return { brokerEnd, clientEnd };
  }

  /** Calls back when the network gets round to it. */
  later(callback: () => void): void {
    const delayMs = this.#random.below(this.faults.maxDelayMs + 1);
    if (delayMs === 0) this.#clock.setImmediate(callback);
    else this.#clock.setTimeout(callback, delayMs);
  }

  /** How many of the waiting bytes move on together: writes are merged and split without regard to their limits. */
  carriedBytes(waitingBytes: number): number {
    return this.#random.chance(this.faults.splitChance) ? 1 + this.#random.below(waitingBytes) : waitingBytes;
  }
}
