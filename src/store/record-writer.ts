import type { Message } from '../protocol/message.ts';
import type { Properties } from '../protocol/packets.ts';
import type { GroupRecord, QueueRecord, QueueState, SessionRecord, SubscriptionRecord, WillRecord } from './store.ts';
import { LOCAL_TIMES, type TimeOffset } from './time-offset.ts';

/** Bits of the first byte of a stored queue entry. */
export const EntryFlag = {
  qosMask: 0x03,
  retain: 0x04,
  stateShift: 3,
  stateMask: 0x18,
  identifiers: 0x20,
  shareKey: 0x40,
  /** The entry holds the id of a shared message instead of the message. */
  shared: 0x80,
} as const;

/** Bits of the first byte of a stored message. */
export const MessageFlag = { qosMask: 0x03, retain: 0x04, expires: 0x08 } as const;

/** Bits of the options byte of a stored will. */
export const WillFlag = { qosMask: 0x03, retain: 0x04, identity: 0x08 } as const;

/** Bits of the options byte of a stored subscription. */
export const SubscriptionFlag = {
  qosMask: 0x03,
  noLocal: 0x04,
  retainAsPublished: 0x08,
  retainHandlingShift: 4,
} as const;

const STATE_CODES = { waiting: 0, sent: 1, released: 2 } as const;
const DEFAULT_CAPACITY = 64 * 1024;
const SHORT_STRING = 64;

/**
 * Appends records to one growing buffer that all values of a transaction live in. Numbers are little-endian; a string is
 * its length in bytes (u32) and its UTF-8.
 *
 *     entry    flags u8 | packetId u16 | size u32 | [count u32, identifiers u32...] | [shareKey] | message or id f64
 *     message  flags u8 | [expiresAt f64] | topicName | publisherId | properties u32 + bytes | payload to the end
 *
 * Times are written as the clock of the store has them.
 */
export class RecordWriter {
  bytes: Buffer;
  position = 0;
  readonly #times: TimeOffset;

  /** @param capacity bytes that it can take before it grows. */
  constructor(times: TimeOffset = LOCAL_TIMES, capacity: number = DEFAULT_CAPACITY) {
    this.#times = times;
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** A copy of what was written. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.position));
  }

  /** Writes all of an entry that stands before its message. Of a shared message the id follows, see `f64`. */
  entryHead(record: QueueRecord, shared: boolean): void {
    const identifiers = record.subscriptionIdentifiers;
    const hasShareKey = record.shareKey !== '';
    this.u8(
      record.qos |
        (record.retain ? EntryFlag.retain : 0) |
        (STATE_CODES[record.state] << EntryFlag.stateShift) |
        (identifiers.length > 0 ? EntryFlag.identifiers : 0) |
        (hasShareKey ? EntryFlag.shareKey : 0) |
        (shared ? EntryFlag.shared : 0),
    );
    this.u16(record.packetId);
    this.u32(record.message.size);
    if (identifiers.length > 0) {
      this.u32(identifiers.length);
      for (const identifier of identifiers) this.u32(identifier);
    }
    if (hasShareKey) this.string(record.shareKey);
  }

  /** Changes packet id and state of the entry that starts at `start`, in place. */
  setEntryState(start: number, packetId: number, state: QueueState): void {
    const bytes = this.bytes;
    bytes[start] = (bytes[start]! & ~EntryFlag.stateMask) | (STATE_CODES[state] << EntryFlag.stateShift);
    bytes[start + 1] = packetId & 0xff;
    bytes[start + 2] = packetId >>> 8;
  }

  /**
   * Turns the entry with its message inside into one that refers to a shared copy: `messageStart` is where its message
   * stands. Returns where the copy of the message was put, from the returned position to `position`.
   */
  shareEntry(start: number, messageStart: number, end: number, sharedId: number): number {
    this.#reserve(end - messageStart + 8);
    const copyStart = this.position;
    this.bytes.copyWithin(copyStart, messageStart, end);
    this.position = copyStart + end - messageStart;
    this.bytes[start] = this.bytes[start]! | EntryFlag.shared;
    this.bytes.writeDoubleLE(sharedId, messageStart);
    return copyStart;
  }

  message(message: Message): void {
    const expires = message.expiresAt !== Number.POSITIVE_INFINITY;
    this.u8(message.qos | (message.retain ? MessageFlag.retain : 0) | (expires ? MessageFlag.expires : 0));
    if (expires) this.#time(message.expiresAt);
    this.string(message.topicName);
    this.string(message.publisherId);
    this.u32(message.properties.length);
    if (message.properties.length > 0) this.raw(message.properties, 0, message.properties.length);
    this.raw(message.bytes, message.payloadStart, message.payloadEnd);
  }

  session(record: SessionRecord): void {
    this.string(record.clientId);
    this.f64(record.epoch);
    this.f64(record.queueId);
    this.u32(record.sessionExpiryInterval);
    this.#time(record.expiresAt);
    this.string(record.username);
  }

  subscription(clientId: string, record: SubscriptionRecord): void {
    this.string(clientId);
    this.subscriptionOf(record);
  }

  /** A subscription without its client id. */
  subscriptionOf(record: SubscriptionRecord): void {
    this.string(record.topicFilter);
    this.u8(
      record.qos |
        (record.noLocal ? SubscriptionFlag.noLocal : 0) |
        (record.retainAsPublished ? SubscriptionFlag.retainAsPublished : 0) |
        (record.retainHandling << SubscriptionFlag.retainHandlingShift),
    );
    this.u32(record.subscriptionIdentifier);
  }

  group(record: GroupRecord): void {
    this.string(record.shareKey);
    this.f64(record.queueId);
  }

  inbound(clientId: string, packetId: number): void {
    this.u16(packetId);
    this.string(clientId);
  }

  will(record: WillRecord): void {
    const will = record.will;
    this.string(record.clientId);
    this.string(record.username);
    this.#time(record.publishAt);
    this.string(will.topicName);
    const { identity } = record;
    this.u8(will.qos | (will.retain ? WillFlag.retain : 0) | (identity === undefined ? 0 : WillFlag.identity));
    this.string(propertiesToJson(will.properties));
    if (identity !== undefined) this.string(identity);
    this.raw(will.payload, 0, will.payload.length);
  }

  string(text: string): void {
    const length = text.length;
    this.#reserve(4 + 3 * length);
    const bytes = this.bytes;
    const start = this.position + 4;
    let end = start;
    if (length < SHORT_STRING) {
      // A call into native code costs more than this loop for the short ASCII strings that topic names mostly are.
      let at = 0;
      for (; at < length; at++) {
        const code = text.charCodeAt(at);
        if (code > 0x7f) break;
        bytes[end++] = code;
      }
      if (at < length) end = start + bytes.write(text, start, 'utf8');
    } else {
      end = start + bytes.write(text, start, 'utf8');
    }
    this.u32(end - start);
    this.position = end;
  }

  /** All of the bytes, of a string its UTF-8, without their length. */
  bytesOf(source: Uint8Array | string): void {
    const bytes = typeof source === 'string' ? Buffer.from(source) : source;
    this.raw(bytes, 0, bytes.length);
  }

  /** Their length, and all of the bytes. */
  block(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes, 0, bytes.length);
  }

  raw(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    const bytes = this.bytes;
    let at = this.position;
    if (end - start < SHORT_STRING) for (let from = start; from < end; from++) bytes[at++] = source[from]!;
    else bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    this.position += end - start;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.bytes[this.position++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.bytes[this.position++] = value & 0xff;
    this.bytes[this.position++] = value >>> 8;
  }

  u32(value: number): void {
    this.#reserve(4);
    const bytes = this.bytes;
    const at = this.position;
    bytes[at] = value & 0xff;
    bytes[at + 1] = (value >>> 8) & 0xff;
    bytes[at + 2] = (value >>> 16) & 0xff;
    bytes[at + 3] = value >>> 24;
    this.position = at + 4;
  }

  f64(value: number): void {
    this.#reserve(8);
    this.bytes.writeDoubleLE(value, this.position);
    this.position += 8;
  }

  /** Infinity stays what it is. */
  #time(localMs: number): void {
    this.f64(localMs + this.#times.offsetMs);
  }

  #reserve(length: number): void {
    const needed = this.position + length;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
  }
}

/** Wills are few: their properties are stored as JSON, binary values as base64. */
function propertiesToJson(properties: Properties): string {
  const { correlationData, ...others } = properties;
  return JSON.stringify(
    correlationData === undefined
      ? others
      : { ...others, correlationData: Buffer.from(correlationData).toString('base64') },
  );
}
