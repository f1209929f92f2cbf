import { createHash } from 'node:crypto';

/** First byte of a key: what kind of record it is. */
export const KeyKind = {
  schema: 1,
  session: 2,
  subscription: 3,
  group: 4,
  inbound: 5,
  will: 6,
  retained: 7,
  /** A queue that is being deleted in slices. */
  tombstone: 8,
  sharedMessage: 9,
  entry: 10,
} as const;

const INLINE_LENGTH = 200;
const HASHED = 254;
const NO_TEXT: Uint8Array = new Uint8Array(0);

/**
 * Key of a record. Keys of entries, shared messages and tombstones are two numbers, so that a queue is one range in the
 * order of delivery; the others are text:
 *
 *     kind u8 | queueId (or shared id) 7 bytes big-endian | sequence 7 bytes big-endian
 *     kind u8 | text...
 *
 * The object may be reused from key to key: it is written out before `put` and `remove` return.
 */
export class StoreKey {
  kind = 0;
  first = 0;
  second = 0;
  text: Uint8Array = NO_TEXT;

  numbers(kind: number, first: number, second: number): this {
    this.kind = kind;
    this.first = first;
    this.second = second;
    return this;
  }

  texts(kind: number, text: Uint8Array): this {
    this.kind = kind;
    this.text = text;
    return this;
  }
}

/** Tells whether keys of this kind are two numbers. */
function isNumeric(kind: number): boolean {
  return kind >= KeyKind.tombstone;
}

/** Writes a key to `target` and returns where it ends; a function for lmdb. */
export function writeStoreKey(key: StoreKey, target: Uint8Array, start: number): number {
  target[start] = key.kind;
  if (isNumeric(key.kind)) {
    writeNumber(target, start + 1, key.first);
    writeNumber(target, start + 8, key.second);
    return start + 15;
  }
  target.set(key.text, start + 1);
  return start + 1 + key.text.length;
}

/** Reads what `writeStoreKey` wrote into a new key; a function for lmdb. */
export function readStoreKey(source: Uint8Array, start: number, end: number): StoreKey {
  const key = new StoreKey();
  const kind = source[start] ?? 0;
  if (isNumeric(kind)) return key.numbers(kind, readNumber(source, start + 1), readNumber(source, start + 8));
  return key.texts(kind, Uint8Array.prototype.slice.call(source, start + 1, end));
}

/**
 * A string as a part of a key: its length and its UTF-8, or a SHA-256 of it where it is too long for a key (client ids
 * and topics may have 65,535 bytes). No part is the beginning of another, so parts can be joined.
 */
export function keyPart(text: string): Buffer {
  const length = Buffer.byteLength(text);
  if (length <= INLINE_LENGTH) {
    const part = Buffer.allocUnsafe(1 + length);
    part[0] = length;
    part.write(text, 1);
    return part;
  }
  return Buffer.concat([Buffer.of(HASHED), createHash('sha256').update(text).digest()]);
}

/** A packet id as a part of a key. */
export function packetIdPart(packetId: number): Buffer {
  return Buffer.of(packetId >>> 8, packetId & 0xff);
}

/** Above every key that begins with the given parts, as parts never begin with 255. */
export function keyEnd(part: Uint8Array): Buffer {
  return Buffer.concat([part, Buffer.of(0xff, 0xff, 0xff)]);
}

function writeNumber(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  target[at] = high >>> 16;
  target[at + 1] = high >>> 8;
  target[at + 2] = high;
  target[at + 3] = value >>> 24;
  target[at + 4] = value >>> 16;
  target[at + 5] = value >>> 8;
  target[at + 6] = value;
}

function readNumber(source: Uint8Array, at: number): number {
  const high = (source[at]! << 16) | (source[at + 1]! << 8) | source[at + 2]!;
  const low = ((source[at + 3]! << 24) | (source[at + 4]! << 16) | (source[at + 5]! << 8) | source[at + 6]!) >>> 0;
  return high * 0x1_0000_0000 + low;
}
