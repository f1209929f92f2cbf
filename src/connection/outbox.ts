import type { BufferPool } from '../lib/buffer-pool.ts';
import type { ByteStream } from '../transport/byte-stream.ts';

/** Ranges from this size on are handed to the stream as they are; smaller ones are copied together. */
const WHOLE_RANGE = 4096;

/** Who fills the outbox. */
export interface OutboxOwner {
  /** There is room again, after `hasRoomFor` said there was none. */
  onRoom(): void;
}

/** From this many bytes on nothing is won by waiting for more. */
const WAIT_BYTES = 4096;

/** Tells outboxes when the tick ends. */
export interface OutboxScheduler {
  /** Where outboxes have their buffers from. */
  readonly buffers: BufferPool;
  /** Has `flush` called once at the end of this tick. */
  schedule(outbox: Outbox): void;
  /** Counts bytes handed to a stream. */
  bytesSent(count: number): void;
}

/**
 * Gathers what a tick sends to one peer and hands it over with one write. Ranges of other buffers that follow each other
 * (frames of one read chunk passed on unchanged) become one copy, or none where the range is long:
 *
 *     tick: [own bytes][range of a chunk, growing]  -> write
 *
 * An idle connection owns no buffer.
 */
export class Outbox {
  readonly #stream: ByteStream;
  readonly #scheduler: OutboxScheduler;
  readonly #owner: OutboxOwner;
  /** Whether the owner was told that there is no room. */
  #owesRoom = false;
  #buffer: Buffer | undefined = undefined;
  #length = 0;
  /** A range of someone else's buffer that comes after the own bytes. */
  #range: Buffer | undefined = undefined;
  #rangeStart = 0;
  #rangeEnd = 0;
  /** What differs in this peer's copy of the range: offset and packet id by turns. */
  #patches: number[] | undefined = undefined;
  /** Full pieces waiting in front of the own bytes while the stream is blocked. */
  #backlog: Uint8Array[] | undefined = undefined;
  #backlogBytes = 0;
  #scheduled = false;
  #blocked = false;
  #closed = false;
  /** Whether the peer has sent something since the last write: it may wait for what this sends. */
  #isHeard = false;
  #writtenAt = 0;

  constructor(stream: ByteStream, owner: OutboxOwner, scheduler: OutboxScheduler) {
    this.#stream = stream;
    this.#owner = owner;
    this.#scheduler = scheduler;
  }

  /** Bytes waiting here (not those the stream has taken over). */
  get pendingBytes(): number {
    return this.#backlogBytes + this.#length + this.#rangeEnd - this.#rangeStart;
  }

  /** Whether less than that many bytes are waiting; where it says no, `onRoom` follows. */
  hasRoomFor(limit: number): boolean {
    if (this.pendingBytes < limit) return true;
    this.#owesRoom = true;
    return false;
  }

  /** Appends a range of a buffer that will not change any more. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.#range === bytes && this.#rangeEnd === start) {
      this.#rangeEnd = end;
      return;
    }
    this.#spill();
    this.#range = bytes;
    this.#rangeStart = start;
    this.#rangeEnd = end;
    this.#schedule();
  }

  /** As `append`, with another packet id at the offset `packetIdAt` of the buffer, which itself stays as it is. */
  appendPatched(bytes: Buffer, start: number, end: number, packetIdAt: number, packetId: number): void {
    this.append(bytes, start, end);
    this.#patches ??= [];
    this.#patches.push(packetIdAt, packetId);
  }

  /** Makes room for `length` own bytes; write them into `buffer` from the returned offset on, at once. */
  reserve(length: number): number {
    this.#spill();
    const at = this.#length;
    this.#grow(at + length);
    this.#length = at + length;
    this.#schedule();
    return at;
  }

  /** Where reserved bytes go; valid until the next call. */
  get buffer(): Buffer {
    return this.#buffer as Buffer;
  }

  /** The peer has sent something. */
  hear(): void {
    this.#isHeard = true;
  }

  /** Whether a peer that only listens got its last bytes less than `delayMs` ago, so that the few new ones can wait for more. */
  mayWait(now: number, delayMs: number): boolean {
    return !this.#isHeard && now - this.#writtenAt < delayMs && this.pendingBytes < WAIT_BYTES;
  }

  /** As `flush`, at the end of a turn; `now` is in milliseconds. */
  flushAt(now: number): void {
    this.#writtenAt = now;
    this.#isHeard = false;
    this.flush();
  }

  /** Hands everything to the stream, if it takes any. */
  flush(): void {
    this.#scheduled = false;
    if (this.#blocked || this.#closed) return;
    this.#spill(true);
    if (this.#backlog === undefined) {
      this.#writeOwn();
      return;
    }
    this.#pushOwn();
    const pieces = this.#backlog;
    this.#backlog = undefined;
    this.#backlogBytes = 0;
    this.#write(pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces));
  }

  /** Writes what was gathered in the own buffer, and has that used again where the stream is done with it. */
  #writeOwn(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    const bytes = buffer.subarray(0, this.#length);
    this.#buffer = undefined;
    this.#length = 0;
    if (this.#write(bytes)) this.#scheduler.buffers.give(buffer);
  }

  /** @returns whether the stream has no more use for the bytes. */
  #write(bytes: Uint8Array): boolean {
    this.#scheduler.bytesSent(bytes.length);
    if (!this.#stream.write(bytes)) {
      this.#blocked = true;
      return false;
    }
    if (this.#owesRoom) {
      this.#owesRoom = false;
      this.#owner.onRoom();
    }
    return true;
  }

  /** The stream took everything; flushes what came meanwhile. */
  onDrain(): void {
    this.#blocked = false;
    this.flush();
    if (this.#blocked || !this.#owesRoom) return;
    this.#owesRoom = false;
    this.#owner.onRoom();
  }

  /** Nothing is sent any more; what waits is let go. */
  close(): void {
    this.#closed = true;
    this.#buffer = undefined;
    this.#range = undefined;
    this.#patches = undefined;
    this.#backlog = undefined;
    this.#backlogBytes = 0;
    this.#length = 0;
    this.#rangeStart = 0;
    this.#rangeEnd = 0;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#scheduler.schedule(this);
  }

  #grow(needed: number): void {
    const buffer = this.#buffer;
    if (buffer === undefined) {
      this.#buffer = this.#scheduler.buffers.take(needed);
    } else if (needed > buffer.length) {
      const larger = this.#scheduler.buffers.take(Math.max(2 * buffer.length, needed));
      buffer.copy(larger, 0, 0, this.#length);
      this.#scheduler.buffers.give(buffer);
      this.#buffer = larger;
    }
  }

  /** Moves the open range behind the own bytes. Before a write it need not be copied when it is all there is. */
  #spill(isForWrite = false): void {
    const range = this.#range;
    if (range === undefined) return;
    const start = this.#rangeStart;
    const length = this.#rangeEnd - start;
    this.#range = undefined;
    this.#rangeStart = 0;
    this.#rangeEnd = 0;
    const isWhole = length >= WHOLE_RANGE || (isForWrite && this.#length === 0 && 4 * length >= range.length);
    if (isWhole && this.#patches === undefined) {
      this.#pushOwn();
      this.#pushPiece(range.subarray(start, start + length));
      return;
    }
    this.#grow(this.#length + length);
    const at = this.#length;
    range.copy(this.#buffer as Buffer, at, start, start + length);
    this.#length = at + length;
    this.#patch(at - start);
  }

  /** Puts this peer's packet ids into the range just copied, which moved by `shift`. */
  #patch(shift: number): void {
    const patches = this.#patches;
    if (patches === undefined) return;
    const buffer = this.#buffer as Buffer;
    for (let i = 0; i < patches.length; i += 2) {
      const at = (patches[i] as number) + shift;
      const packetId = patches[i + 1] as number;
      buffer[at] = packetId >> 8;
      buffer[at + 1] = packetId & 0xff;
    }
    this.#patches = undefined;
  }

  #pushOwn(): void {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#length === 0) return;
    this.#pushPiece(buffer.subarray(0, this.#length));
    this.#buffer = undefined;
    this.#length = 0;
  }

  #pushPiece(piece: Uint8Array): void {
    this.#backlog ??= [];
    this.#backlog.push(piece);
    this.#backlogBytes += piece.length;
  }
}
