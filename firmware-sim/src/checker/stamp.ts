import { crc32 } from 'node:zlib';

/**
 * The stamp that every message of the simulator carries, anywhere in its payload, as text so that JSON stays JSON:
 *
 *     ~S1 rrrrrr pppppp ssssssss tttttttttttttt q cccccccc ~      (without the spaces; digits are hexadecimal)
 *         run    client sequence due, µs        QoS CRC-32 of the payload without these eight digits
 *
 * A payload without a stamp was not written by a simulator; one with another run is of an earlier or a neighbouring run.
 */
export const stampLength = 47;

/** Where a payload's stamp goes until it is known. */
export const stampPlaceholder: string = '~S1'.padEnd(stampLength - 1, '0') + '~';

const crcAt = 38;

/** Payloads up to this long are summed up here, longer ones by zlib, bytes. */
const shortMax = 512;

/** What a byte that is no hexadecimal digit is in the table of digits: a bit that no digit has. */
const noDigit = 0x80;

const crcTables = crcTablesOf();
const hexText = Buffer.from('0123456789abcdef');
const hexDigits = hexDigitsOf();

/** A payload with room for a stamp. */
export interface StampedPayload {
  readonly bytes: Buffer;
  /** Offset of the stamp in it. */
  readonly stampAt: number;
}

/** What a stamp says; filled by {@link readStamp}. */
export interface StampReading {
  /**
   * `intact`: this run's, and the checksum holds. `damaged`: some of it is of this run, and the checksum does not hold.
   * `foreign`: no stamp, or another run's. `empty`: no payload at all, as in a message that clears what is retained.
   */
  kind: 'intact' | 'damaged' | 'foreign' | 'empty';
  /** Number of the client that sent it; of another run's where `foreign`. */
  client: number;
  /** 1 for a client's first message; wills have numbers of the same row. 0 where there is no stamp. */
  sequence: number;
  /** When it was due, ms on the clock of Timers: in an open loop the time of the schedule. */
  dueAt: number;
  /** QoS it was published with; any number where `damaged`. */
  qos: number;
}

/** The payload `value` as JSON, with a stamp as the last member `sim`; `value` must be an object that has no such member. */
export function jsonPayload(value: Readonly<Record<string, unknown>>): StampedPayload {
  const text = JSON.stringify({ ...value, sim: stampPlaceholder });
  const bytes = Buffer.from(text);
  return { bytes, stampAt: bytes.length - 2 - stampLength };
}

/** The payload `body` with a stamp behind it. */
export function binaryPayload(body: Uint8Array): StampedPayload {
  const bytes = Buffer.allocUnsafe(body.length + stampLength);
  bytes.set(body);
  bytes.write(stampPlaceholder, body.length, 'latin1');
  return { bytes, stampAt: body.length };
}

/** Writes a stamp into its place. @param run 0 to 2^24 - 1. */
export function writeStamp(payload: StampedPayload, run: number, stamp: Omit<StampReading, 'kind'>): void {
  const { bytes, stampAt } = payload;
  writeHex(bytes, stampAt + 3, 6, run);
  writeHex(bytes, stampAt + 9, 6, stamp.client);
  writeHex(bytes, stampAt + 15, 8, stamp.sequence);
  const dueUs = Math.round(stamp.dueAt * 1000);
  writeHex(bytes, stampAt + 23, 7, Math.floor(dueUs / 0x10000000));
  writeHex(bytes, stampAt + 30, 7, dueUs % 0x10000000);
  bytes[stampAt + 37] = 48 + stamp.qos;
  writeHex(bytes, stampAt + crcAt, 8, checksum(bytes, stampAt));
}

/** A reading to be filled again and again. */
export function emptyReading(): StampReading {
  return { kind: 'foreign', client: 0, sequence: 0, dueAt: 0, qos: 0 };
}

/** Reads the stamp of a received payload into `reading`, and checks that nothing of the payload has changed. */
export function readStamp(payload: Buffer, run: number, reading: StampReading): void {
  reading.client = reading.sequence = reading.dueAt = reading.qos = 0;
  if (payload.length === 0) {
    reading.kind = 'empty';
    return;
  }
  const at = findStamp(payload);
  if (at === -1) {
    reading.kind = 'foreign';
    return;
  }
  const hasCrc = readHex(payload, at + crcAt, 8) === checksum(payload, at);
  reading.client = readHex(payload, at + 9, 6);
  reading.sequence = readHex(payload, at + 15, 8);
  reading.dueAt = (readHex(payload, at + 23, 7) * 0x10000000 + readHex(payload, at + 30, 7)) / 1000;
  reading.qos = (payload[at + 37] as number) - 48;
  reading.kind = !hasCrc ? 'damaged' : readHex(payload, at + 3, 6) === run ? 'intact' : 'foreign';
}

/** Offset of the stamp; where devices put it, and otherwise wherever it is. -1 for none. */
function findStamp(payload: Buffer): number {
  const last = payload.length - stampLength;
  if (last < 0) return -1;
  if (startsAt(payload, last)) return last;
  if (last >= 2 && startsAt(payload, last - 2)) return last - 2;
  const at = payload.lastIndexOf('~S1', last, 'latin1');
  if (at !== -1) return at;
  if (isHeadless(payload, last)) return last;
  return last >= 2 && isHeadless(payload, last - 2) ? last - 2 : -1;
}

function startsAt(payload: Buffer, at: number): boolean {
  return payload[at] === 0x7e && payload[at + 1] === 0x53 && payload[at + 2] === 0x31;
}

/** Whether this would be a stamp if its first three bytes were not damaged. */
function isHeadless(payload: Buffer, at: number): boolean {
  for (let place = at + 3; place < at + stampLength - 1; place++) {
    if (hexDigits[payload[place] as number] === noDigit) return false;
  }
  return payload[at + stampLength - 1] === 0x7e;
}

/** CRC-32 of everything but the checksum's own digits. */
function checksum(payload: Buffer, stampAt: number): number {
  const end = stampAt + crcAt;
  if (payload.length <= shortMax) {
    return ~crcOf(payload, end + 8, payload.length, crcOf(payload, 0, end, -1)) >>> 0;
  }
  return crc32(payload.subarray(end + 8), crc32(payload.subarray(0, end)));
}

/** The CRC-32 register after these bytes, four at a time; below some length this beats two calls out of JavaScript. */
function crcOf(bytes: Buffer, from: number, to: number, before: number): number {
  const tables = crcTables;
  let crc = before;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    crc =
      (tables[768 | ((crc ^ (bytes[at] as number)) & 0xff)] as number) ^
      (tables[512 | (((crc >>> 8) ^ (bytes[at + 1] as number)) & 0xff)] as number) ^
      (tables[256 | (((crc >>> 16) ^ (bytes[at + 2] as number)) & 0xff)] as number) ^
      (tables[(crc >>> 24) ^ (bytes[at + 3] as number)] as number);
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ (tables[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return crc;
}

/** Four tables of 256, one behind the other: what a byte adds to the register when 0, 1, 2 or 3 more bytes follow it. */
function crcTablesOf(): Int32Array {
  const tables = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    tables[byte] = crc;
  }
  for (let place = 256; place < tables.length; place++) {
    const before = tables[place - 256] as number;
    tables[place] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}

/** Of `value`, an integer from 0 to below 2^32. */
function writeHex(bytes: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let place = at + digits - 1; place >= at; place--) {
    bytes[place] = hexText[rest & 15] as number;
    rest >>>= 4;
  }
}

/** The number, or NaN where a byte is no hexadecimal digit. */
function readHex(bytes: Buffer, at: number, digits: number): number {
  let value = 0;
  let seen = 0;
  for (let place = at; place < at + digits; place++) {
    const digit = hexDigits[bytes[place] as number] as number;
    seen |= digit;
    value = (value << 4) | digit;
  }
  return seen < noDigit ? value >>> 0 : Number.NaN;
}

function hexDigitsOf(): Uint8Array {
  const digits = new Uint8Array(256).fill(noDigit);
  const text = '0123456789abcdef';
  for (let value = 0; value < 16; value++) digits[text.charCodeAt(value)] = value;
  return digits;
}
