import { connect, type Socket } from 'node:net';
import {
  DISCONNECT,
  encodeConnect,
  packetLength,
  PacketType,
  type ProtocolVersion,
  receiveMaximumOf,
} from './packets.ts';
import type { Turns } from './turns.ts';

/** What the clients of a run have in common. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly version: ProtocolVersion;
  readonly turns: Turns;
  /** All sockets read into it, one after another; what is left of a chunk is copied out. */
  readonly readBuffer: Buffer;
  /** Told of whatever must not happen; ends the run. */
  readonly fail: (reason: string) => void;
}

/** How much one read takes at most. */
export const READ_BUFFER_BYTES: number = 256 * 1024;

const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * One MQTT connection of the generator. What it sends in a turn of the event loop is gathered and leaves in one write; what
 * it reads is taken apart where it lies.
 */
export abstract class Client {
  readonly target: Target;
  /** How many messages the broker takes unacknowledged. */
  receiveMaximum = 65_535;
  /** Whether the broker said that it had kept the session. */
  sessionPresent = false;
  readonly #connectPacket: Buffer;
  #socket: Socket | undefined;
  #state: 'open' | 'stopped' | 'closed' = 'closed';
  #isDirty = false;
  #onUp: () => void = () => {};
  #out: Buffer = Buffer.alloc(0);
  #outBytes = 0;
  /** The packet that was cut off by the end of the last chunk. */
  #partial: Buffer = Buffer.alloc(0);
  #partialBytes = 0;

  constructor(target: Target, clientId: string, isClean: boolean) {
    this.target = target;
    this.#connectPacket = encodeConnect(target.version, clientId, isClean);
  }

  /** A packet lies from its body at `from` to `to`; the bytes are gone when this returns. */
  abstract onPacket(firstByte: number, bytes: Buffer, from: number, to: number): void;

  /** What was behind in the socket has left; more may be sent. */
  onDrain(): void {}

  /** Whether the kernel has not taken everything yet. */
  get isBehind(): boolean {
    return this.#socket !== undefined && this.#socket.writableLength > 0;
  }

  /** Opens the connection; resolves once the broker has accepted it. Can be called again after `close`. */
  open(): Promise<void> {
    this.#state = 'open';
    const { host, port, readBuffer } = this.target;
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (count) => this.#onRead(count) },
    });
    socket.once('connect', () => this.send(this.#connectPacket));
    socket.on('error', (error) => this.#onLost(socket, error.message));
    socket.on('close', () => this.#onLost(socket, 'The broker closed a connection.'));
    this.#socket = socket;
    this.#partialBytes = 0;
    return new Promise((resolve) => {
      this.#onUp = resolve;
    });
  }

  /** Reads no more, as a client that hangs: what the broker sends stays in the kernel. It may close the connection then. */
  stopReading(): void {
    this.#state = 'stopped';
    this.#socket?.pause();
  }

  /** Sends what was gathered and DISCONNECT, then closes. */
  close(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || this.#state === 'closed') return Promise.resolve();
    this.send(DISCONNECT);
    this.flush();
    this.#state = 'closed';
    return new Promise((resolve) => {
      socket.once('close', () => resolve());
      socket.end(() => socket.destroy());
    });
  }

  /** Gathers bytes for the end of the turn. */
  send(bytes: Buffer, from: number = 0, to: number = bytes.length): void {
    this.#reserve(to - from);
    this.#outBytes += bytes.copy(this.#out, this.#outBytes, from, to);
    this.#markDirty();
  }

  /** Gathers an acknowledgement, whose packet id stands at `idAt`. */
  sendAck(type: number, bytes: Buffer, idAt: number): void {
    this.#reserve(4);
    const out = this.#out;
    out[this.#outBytes] = type;
    out[this.#outBytes + 1] = 2;
    out[this.#outBytes + 2] = bytes[idAt]!;
    out[this.#outBytes + 3] = bytes[idAt + 1]!;
    this.#outBytes += 4;
    this.#markDirty();
  }

  /** Writes what was gathered. */
  flush(): void {
    this.#isDirty = false;
    const socket = this.#socket;
    if (socket === undefined || this.#outBytes === 0 || this.#state === 'closed') return;
    socket.write(this.#out.subarray(0, this.#outBytes));
    this.#outBytes = 0;
    if (socket.writableLength === 0) return;
    // The socket holds on to the buffer; an empty write behind it tells when it has left.
    this.#out = Buffer.alloc(0);
    socket.write(NOTHING, () => this.onDrain());
  }

  #reserve(count: number): void {
    const needed = this.#outBytes + count;
    if (needed <= this.#out.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#out.length));
    this.#out.copy(grown, 0, 0, this.#outBytes);
    this.#out = grown;
  }

  #markDirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.target.turns.addDirty(this);
  }

  #onLost(socket: Socket, reason: string): void {
    if (socket === this.#socket && this.#state === 'open') this.target.fail(reason);
  }

  #onRead(count: number): boolean {
    const bytes = this.target.readBuffer;
    let at = this.#completePartial(count);
    while (count - at >= 2) {
      // Nearly all packets are short: their header is two bytes.
      const length = bytes[at + 1]! < 0x80 ? 2 + bytes[at + 1]! : packetLength(bytes, at, count);
      if (length === 0 || at + length > count) break;
      this.#dispatch(bytes, at, length);
      at += length;
    }
    if (at < count) this.#keepPartial(at, count);
    return true;
  }

  /** Puts the packet that the last chunk began together and hands it on; returns how much of the new chunk it took. */
  #completePartial(count: number): number {
    let at = 0;
    while (this.#partialBytes > 0 && at < count) {
      const length = packetLength(this.#partial, 0, this.#partialBytes);
      const wanted = length === 0 ? 1 : length - this.#partialBytes;
      const end = Math.min(at + wanted, count);
      this.#keepPartial(at, end);
      at = end;
      if (length === 0 || this.#partialBytes < length) continue;
      this.#partialBytes = 0;
      this.#dispatch(this.#partial, 0, length);
    }
    return at;
  }

  #keepPartial(from: number, to: number): void {
    const needed = this.#partialBytes + to - from;
    if (needed > this.#partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, 2 * needed));
      this.#partial.copy(grown, 0, 0, this.#partialBytes);
      this.#partial = grown;
    }
    this.target.readBuffer.copy(this.#partial, this.#partialBytes, from, to);
    this.#partialBytes = needed;
  }

  #dispatch(bytes: Buffer, at: number, length: number): void {
    const to = at + length;
    const from = length < 0x82 ? at + 2 : to - this.#bodyLength(bytes, at, length);
    const firstByte = bytes[at]!;
    if (firstByte === PacketType.connack) this.#onConnack(bytes, from, to);
    else this.onPacket(firstByte, bytes, from, to);
  }

  #bodyLength(bytes: Buffer, at: number, length: number): number {
    let header = 2;
    while (bytes[at + header - 1]! >= 0x80) header++;
    return length - header;
  }

  #onConnack(bytes: Buffer, from: number, to: number): void {
    if (bytes[from + 1] !== 0) {
      this.target.fail(`The broker refused a connection with code ${bytes[from + 1]}.`);
      return;
    }
    this.sessionPresent = bytes[from] === 1;
    if (this.target.version === 5) this.receiveMaximum = receiveMaximumOf(bytes, from + 2, to);
    this.#onUp();
  }
}
