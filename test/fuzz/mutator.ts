import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import type { Random } from '../fakes/random.ts';
import { frame } from '../support/raw-bytes.ts';

/** Bytes that stand at borders: of numbers, of UTF-8, of the syntax of topics, of Remaining Length. */
const INTERESTING: readonly Buffer[] = [
  ...[0x00, 0x01, 0x02, 0x03, 0x18, 0x19, 0x23, 0x26, 0x2b, 0x2f, 0x7f, 0x80, 0x81, 0xc0, 0xe0, 0xfe, 0xff],
].map((byte) => Buffer.of(byte));
const INTERESTING_LONG: readonly Buffer[] = [
  '0000',
  '0001',
  'ffff',
  '8000',
  '00000000',
  'ffffffff',
  '7fffffff',
  '80808001',
  'ffffff7f',
  'ffffffff7f',
  '8000',
].map((hex) => Buffer.from(hex, 'hex'));

/** Ill-formed UTF-8, U+0000, and what is well-formed but tempts to be normalised or refused. */
const TEXT_FAULTS: readonly Buffer[] = [
  'c080', // overlong U+0000
  'c1bf', // overlong
  'e080af', // overlong slash
  'eda080', // surrogate
  'edbfbf',
  'f4908080', // above U+10FFFF
  'f8888080', // five bytes
  'e282', // cut off
  '80', // continuation alone
  'ff',
  '00',
  'efbbbf', // byte order mark
  'efbfbf', // U+FFFF
  '7f',
  'c285', // control
  '2b',
  '23',
  '2f2f',
  '24',
].map((hex) => Buffer.from(hex, 'hex'));

/** A property of each kind with a value it may have, and some with one it may not. */
const PROPERTIES: readonly Buffer[] = [
  '0100',
  '0101',
  '0102',
  '0200000001',
  '02ffffffff',
  '03000174',
  '08000172',
  '0800012b',
  '080000',
  '09000163',
  '0b01',
  '0b00',
  '0bffffff7f',
  '1100000000',
  '11ffffffff',
  '120001a0',
  '130001',
  '1500016d',
  '16000164',
  '1700',
  '1701',
  '1800000001',
  '1901',
  '1a000169',
  '1c000173',
  '1f000177',
  '210000',
  '210001',
  '220000',
  '22ffff',
  '230000',
  '230001',
  '23ffff',
  '2400',
  '2500',
  '2600016b000176',
  '2600000000',
  '2700000000',
  '2700000001',
  '2800',
  '2900',
  '2a00',
  '7f',
  '8001',
].map((hex) => Buffer.from(hex, 'hex'));

/** Remaining Lengths, right or wrong ones, as bytes. */
const LENGTHS: readonly Buffer[] = [
  '00',
  '01',
  '02',
  '7f',
  '8001',
  'ff7f',
  '808001',
  'ffffff7f',
  '8000',
  '80808000',
  'ffffffff',
  'ffffffff01',
].map((hex) => Buffer.from(hex, 'hex'));

function one<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)] as T;
}

/** Replaces `removed` bytes at `at`. */
function patched(bytes: Buffer, at: number, removed: number, inserted: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
}

/** Where the body of a packet begins: behind its Remaining Length, as far as that can be told. */
function bodyStartOf(bytes: Buffer): number {
  let at = 1;
  while (at < 4 && (bytes[at] ?? 0) > 127) at++;
  return Math.min(at + 1, bytes.length);
}

/** The packet with a Remaining Length that fits its body. */
function reframed(bytes: Buffer): Buffer {
  return bytes.length < 2 ? bytes : frame(bytes[0] as number, bytes.subarray(bodyStartOf(bytes)));
}

/** Offset of the length of the properties in a valid packet of MQTT 5.0; -1 where there is none. */
function propertiesAt(bytes: Buffer): number {
  const header = bytes[0] ?? 0;
  const body = bodyStartOf(bytes);
  switch (header >> 4) {
    case 1:
      return body + 10;
    case 2:
    case 8:
    case 9:
    case 10:
    case 11:
      return body + 2;
    case 3:
      return body + 2 + (((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0)) + ((header & 6) === 0 ? 0 : 2);
    case 4:
    case 5:
    case 6:
    case 7:
      return body + 3;
    case 14:
    case 15:
      return body + 1;
    default:
      return -1;
  }
}

/** Puts a property into a packet of MQTT 5.0, or one that it has a second time, with all lengths right. */
function withProperty(bytes: Buffer, random: Random): Buffer {
  const at = propertiesAt(bytes);
  const length = bytes[at];
  // Longer lists, whose length has several bytes, are left alone.
  if (at < 0 || length === undefined || length > 100 || at + 1 + length > bytes.length) return bytes;
  const own = bytes.subarray(at + 1, at + 1 + length);
  const added = length > 0 && random.chance(0.4) ? own : one(PROPERTIES, random);
  const place = random.chance(0.5) ? 0 : length;
  const properties = patched(own, place, 0, added);
  if (properties.length > 127) return bytes;
  return reframed(patched(bytes, at, 1 + length, Buffer.concat([Buffer.of(properties.length), properties])));
}

/** One change. `other` is another packet to take bytes of. */
function changed(bytes: Buffer, other: Buffer, random: Random, version: ProtocolVersion): Buffer {
  const at = random.below(bytes.length);
  const length = 1 + random.below(8);
  switch (random.below(version === 5 ? 15 : 12)) {
    case 0:
      return patched(bytes, at, 1, Buffer.of((bytes[at] as number) ^ (1 << random.below(8))));
    case 1:
      return patched(bytes, at, 1, one(INTERESTING, random));
    case 2:
      return patched(bytes, at, random.below(2) * 4, one(INTERESTING_LONG, random));
    case 3:
      return patched(bytes, at, length, Buffer.alloc(0));
    case 4:
      return patched(bytes, at, 0, bytes.subarray(at, at + length * 4));
    case 5:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length))]);
    case 6:
      return bytes.subarray(0, Math.max(1, at));
    case 7:
      return patched(bytes, 1, bodyStartOf(bytes) - 1, one(LENGTHS, random));
    case 8:
    case 9:
      return patched(bytes, at, random.below(3), one(TEXT_FAULTS, random));
    case 10:
      return patched(bytes, at, length, random.bytes(length));
    case 11:
      // The length of a field, where one happens to be.
      return patched(bytes, at, 2, Buffer.of(0, (bytes[at] ?? 0) + random.below(3) - 1));
    default:
      return withProperty(bytes, random);
  }
}

/**
 * A packet with one to four changes: bits, bytes, lengths, text, properties, pieces repeated, cut out or of another packet.
 * In most cases the Remaining Length is put right afterwards, as nothing behind a wrong one is looked at.
 */
export function mutated(packet: Buffer, other: Buffer, random: Random, version: ProtocolVersion): Buffer {
  let bytes = packet;
  // One change gets deepest.
  const count = random.chance(0.6) ? 1 : 2 + random.below(3);
  for (let changes = count; changes > 0; changes--) {
    bytes = changed(bytes, other, random, version);
    if (bytes.length === 0) return packet;
  }
  return random.chance(0.7) ? reframed(bytes) : bytes;
}

/** Cuts bytes at random places; `pieces` of them at most. */
export function cutAtRandom(bytes: Buffer, pieces: number, random: Random): Buffer[] {
  const cuts = Array.from({ length: pieces - 1 }, () => random.below(bytes.length + 1));
  const borders = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  return borders
    .slice(1)
    .map((end, index) => bytes.subarray(borders[index], end))
    .filter(({ length }) => length > 0);
}
