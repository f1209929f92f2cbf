import { malformed, ProtocolError } from './errors.ts';
import { ReasonCode } from './reason-codes.ts';

const NO_BYTES: Buffer = Buffer.alloc(0);

/** Smallest store for a partial frame, bytes; most packets fit. */
const PARTIAL_MIN = 64;

/** A fixed header has one byte of type and flags and up to four of Remaining Length. */
const HEADER_MAX = 5;

/**
 * Cuts control packets out of a stream of chunks, section 2.1.
 *
 *     | type, flags | Remaining Length, 1 to 4 bytes | body                  |
 *     ^ frameStart                                   ^ bodyStart     bodyEnd ^
 *
 * There is no object per frame: `next` moves the fields. A frame that lies whole in a chunk is used in place; at most one
 * partial frame is kept, in a store that doubles with the bytes that really came, so that the announced length costs
 * nothing and a packet of n bytes is copied in O(n) however it is cut. Neither chunks nor stores are ever written to
 * again once a frame was handed out of them, so frames may be held on to (they keep their whole chunk alive).
 */
export class Framer {
  /** Bytes of a whole packet, fixed header included, at most; may be changed between packets. */
  maximumPacketSize: number;
  /** Where the current frame is; empty when there is none, so that an idle connection keeps no chunk alive. */
  buffer: Buffer = NO_BYTES;
  /** First byte of the current frame: packet type and flags. */
  header = 0;
  frameStart = 0;
  bodyStart = 0;
  /** End of the current frame, exclusive. */
  bodyEnd = 0;
  #chunk: Buffer = NO_BYTES;
  #at = 0;
  #partial: Buffer = NO_BYTES;
  #partialLength = 0;
  /** Whole length of the partial frame, 0 as long as its header is not complete. */
  #partialNeeded = 0;

  constructor(maximumPacketSize: number) {
    this.maximumPacketSize = maximumPacketSize;
  }

  /** Bytes of the partial frame kept. */
  get pendingBytes(): number {
    return this.#partialLength;
  }

  /** Hands over a chunk, which must not be changed afterwards; call `next` until it is false before the next push. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * Goes to the next whole frame; false when it needs more bytes.
   *
   * @throws ProtocolError 0x95 as soon as the header tells that the packet is larger than maximumPacketSize, 0x81 where
   *   the Remaining Length has a fifth byte or more bytes than needed; the framer is of no use afterwards.
   */
  next(): boolean {
    if (this.#partialLength !== 0) return this.#nextOfPartial();
    const chunk = this.#chunk;
    const start = this.#at;
    const available = chunk.length - start;
    if (available < 2) return this.#keepRest(0);
    const first = chunk[start + 1]!;
    if (first < 128) {
      this.bodyStart = start + 2;
      this.bodyEnd = start + 2 + first;
    } else if (!this.#readLongHeader(chunk, start, chunk.length)) {
      return this.#keepRest(0);
    }
    const frameLength = this.bodyEnd - start;
    if (frameLength > this.maximumPacketSize) throw packetTooLarge();
    if (frameLength > available) return this.#keepRest(frameLength);
    this.buffer = chunk;
    this.header = chunk[start]!;
    this.frameStart = start;
    this.#at = this.bodyEnd;
    return true;
  }

  /** Sets bodyStart and bodyEnd from a header whose Remaining Length has several bytes; false when it is not complete. */
  #readLongHeader(bytes: Buffer, start: number, end: number): boolean {
    let at = start + 1;
    let length = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at === end) return false;
      const byte = bytes[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte < 128) {
        // [MQTT-1.5.5-1]
        if (byte === 0 && shift > 0) throw malformed('Remaining Length is longer than needed', 'MQTT-1.5.5-1');
        this.bodyStart = at;
        this.bodyEnd = at + length;
        return true;
      }
    }
    throw malformed('Remaining Length has more than four bytes');
  }

  /** Copies what is left of the chunk, the start of a frame of `needed` bytes (0: not known yet), and lets go of it. */
  #keepRest(needed: number): false {
    const rest = this.#chunk.length - this.#at;
    if (rest > 0) {
      this.#partialNeeded = needed;
      this.#append(rest);
    }
    this.#chunk = NO_BYTES;
    this.#at = 0;
    this.buffer = NO_BYTES;
    return false;
  }

  /** Moves `count` bytes from the chunk to the partial frame. */
  #append(count: number): void {
    const length = this.#partialLength + count;
    if (length > this.#partial.length) {
      const wanted = Math.max(length * 2, PARTIAL_MIN);
      const needed = this.#partialNeeded;
      const grown = Buffer.allocUnsafeSlow(needed === 0 ? wanted : Math.min(wanted, needed));
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    this.#chunk.copy(this.#partial, this.#partialLength, this.#at, this.#at + count);
    this.#partialLength = length;
    this.#at += count;
  }

  #nextOfPartial(): boolean {
    if (this.#partialNeeded === 0 && !this.#completePartialHeader()) return this.#keepRest(0);
    const missing = this.#partialNeeded - this.#partialLength;
    const available = this.#chunk.length - this.#at;
    if (available < missing) return this.#keepRest(this.#partialNeeded);
    if (missing > 0) this.#append(missing);
    const frame = this.#partial;
    if (frame[1]! < 128) this.bodyStart = 2;
    else this.#readLongHeader(frame, 0, this.#partialLength);
    this.buffer = frame;
    this.header = frame[0]!;
    this.frameStart = 0;
    this.bodyEnd = this.#partialNeeded;
    this.#partial = NO_BYTES;
    this.#partialLength = 0;
    this.#partialNeeded = 0;
    return true;
  }

  /** Takes single bytes of the chunk until the partial header is complete; false when the chunk ends before. */
  #completePartialHeader(): boolean {
    while (this.#partialLength < HEADER_MAX) {
      if (this.#at === this.#chunk.length) return false;
      this.#append(1);
      if (this.#readLongHeader(this.#partial, 0, this.#partialLength)) break;
    }
    if (this.bodyEnd > this.maximumPacketSize) throw packetTooLarge();
    this.#partialNeeded = this.bodyEnd;
    return true;
  }
}

function packetTooLarge(): ProtocolError {
  return new ProtocolError(
    ReasonCode.packetTooLarge,
    'The packet is larger than the Maximum Packet Size',
    'MQTT-3.2.2-15',
  );
}
