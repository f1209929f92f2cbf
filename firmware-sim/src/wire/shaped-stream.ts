import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TimerHandle, Timers } from '../lib/timers.ts';
import { Lane } from './lane.ts';
import type { DevicePath } from './paths.ts';

/** Bytes that may wait in the incoming lane before the socket is not read any more. */
const incomingBytesMax = 1 << 20;

/** At a limited rate, bytes are taken from the socket so often, ms. */
const readEveryMs = 50;

const endMark = Buffer.alloc(0);

/**
 * A bad network in the client's own path: what is written to it and what it reads goes through one lane for each
 * direction to and from the socket, below TLS and WebSocket, so that their handshakes suffer as well.
 *
 *     client --> [out: bandwidth, latency] --> cut at byte --> socket
 *     client <-- cut at byte <-- [in: latency] <-- read rate, bandwidth <-- socket
 */
export class ShapedStream extends Duplex {
  readonly #socket: Socket;
  readonly #timers: Timers;
  readonly #out: Lane;
  readonly #in: Lane;
  /** Bytes that may still pass before the cut. */
  #bytesLeft: number;
  readonly #onCut: () => void;
  /** Bytes per ms taken from the socket; Infinity for all there are. */
  readonly #readRate: number;
  #credit = 0;
  #creditAt = 0;
  #readTimer: TimerHandle | undefined;
  #wantsMore = true;
  #state: 'open' | 'silent' | 'cut' = 'open';
  #afterEnd: (() => void) | undefined;

  /**
   * @param socket connected; nobody else reads or writes it.
   * @param onCut is called, once and later, when the profile's `cutAtByte` bytes went over the connection: the last of them
   * were given to the socket, or to whoever reads this stream, and no further ones will be.
   */
  constructor(socket: Socket, path: DevicePath, timers: Timers, onCut: () => void) {
    super({ allowHalfOpen: false });
    const { latencyMs, bandwidth, cutAtByte, readRate } = path.profile;
    this.#socket = socket;
    this.#timers = timers;
    this.#onCut = onCut;
    this.#bytesLeft = cutAtByte ?? Number.POSITIVE_INFINITY;
    this.#readRate = Math.min(bandwidth ?? Number.POSITIVE_INFINITY, readRate ?? Number.POSITIVE_INFINITY) / 1000;
    this.#out = new Lane({ latencyMs, bandwidth }, timers, path.random, (bytes) => this.#send(bytes));
    this.#in = new Lane({ latencyMs }, timers, path.random, (bytes) => this.#receive(bytes));
    socket.on('end', () => this.#in.push(endMark));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.#onSocketClose());
    if (this.#isRateLimited) {
      this.#creditAt = timers.now();
      socket.on('readable', () => this.#pull());
    } else {
      socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    }
  }

  /** Bytes on their way out that the operating system has not got yet. */
  get queuedBytes(): number {
    return this.#out.queuedBytes + this.#socket.writableLength;
  }

  /** Lets nothing through any more, without closing. */
  silence(): void {
    if (this.#state !== 'open') return;
    this.#state = 'silent';
    this.#stop();
  }

  override _read(): void {
    this.#wantsMore = true;
    if (this.#isRateLimited) this.#pull();
    else this.#resume();
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    if (this.#state === 'open') this.#out.push(chunk);
    callback();
  }

  override _final(callback: () => void): void {
    if (this.#state !== 'open') return callback();
    this.#afterEnd = callback;
    this.#out.push(endMark);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stop();
    this.#socket.destroy();
    callback(error);
  }

  get #isRateLimited(): boolean {
    return this.#readRate !== Number.POSITIVE_INFINITY;
  }

  #stop(): void {
    this.#out.clear();
    this.#in.clear();
    if (this.#readTimer !== undefined) this.#timers.cancel(this.#readTimer);
    this.#readTimer = undefined;
    this.#socket.pause();
  }

  #send(bytes: Buffer): void {
    if (this.#state !== 'open') return;
    if (bytes.length === 0) {
      this.#socket.end();
      this.#afterEnd?.();
      return;
    }
    if (!this.#socket.writable) return; // the broker has closed
    const part = this.#count(bytes);
    if (part.length > 0) this.#socket.write(part);
  }

  #receive(bytes: Buffer): void {
    if (this.#state !== 'open' || this.destroyed) return;
    if (bytes.length === 0) {
      this.push(null);
      return;
    }
    const part = this.#count(bytes);
    if (part.length > 0) this.#wantsMore = this.push(part);
    if (!this.#isRateLimited) this.#resume();
  }

  /** What of `bytes` still goes over the connection. */
  #count(bytes: Buffer): Buffer {
    if (bytes.length < this.#bytesLeft) {
      this.#bytesLeft -= bytes.length;
      return bytes;
    }
    const part = bytes.subarray(0, this.#bytesLeft);
    this.#state = 'cut';
    setImmediate(() => {
      if (this.destroyed) return;
      this.#stop();
      this.#onCut();
    });
    return part;
  }

  #onData(chunk: Buffer): void {
    this.#in.push(chunk);
    if (!this.#wantsMore || this.#in.queuedBytes > incomingBytesMax) this.#socket.pause();
  }

  #resume(): void {
    const isWanted = this.#wantsMore && this.#in.queuedBytes <= incomingBytesMax;
    if (isWanted && this.#state === 'open' && this.#socket.isPaused()) this.#socket.resume();
  }

  /** Takes as much from the socket as the rate allows by now, and comes back for the rest. */
  #pull(): void {
    if (this.#state !== 'open' || !this.#wantsMore || this.#readTimer !== undefined) return;
    const now = this.#timers.now();
    const creditMax = Math.max(1, this.#readRate * 2 * readEveryMs);
    this.#credit = Math.min(creditMax, this.#credit + (now - this.#creditAt) * this.#readRate);
    this.#creditAt = now;
    const available = this.#socket.readableLength;
    const length = Math.min(available, Math.floor(this.#credit));
    const isEnded = available === 0;
    // Even with nothing to take, read() makes the socket look for more, and for the end of its stream.
    const chunk = length > 0 || isEnded ? (this.#socket.read(length > 0 ? length : undefined) as Buffer | null) : null;
    if (chunk !== null) {
      this.#credit -= chunk.length;
      this.#in.push(chunk);
    }
    if (available > length) {
      this.#readTimer = this.#timers.after(Math.max(readEveryMs, (1 - this.#credit) / this.#readRate), () => {
        this.#readTimer = undefined;
        this.#pull();
      });
    }
  }

  /** Told to the reader behind what is still under way; what the socket itself could not end in order is an error. */
  #onSocketClose(): void {
    if (this.#state === 'open' && !this.#socket.readableEnded) this.#in.push(endMark);
  }
}
