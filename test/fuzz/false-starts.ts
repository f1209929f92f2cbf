import type { Random } from '../fakes/random.ts';

/** Something else than the beginning of a handshake of TLS. */
export interface FalseStart {
  readonly kind: string;
  /** What comes first. */
  readonly bytes: (random: Random) => Buffer;
  /** Whether the bytes that were meant to be encrypted follow as they are; nothing does if not. */
  readonly goesOn: boolean;
}

/** Types of records, RFC 8446, section 5.1. */
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
/** Records that a handshake may hold too many of. */
const FLOOD_RECORDS = 200;

/** A record that is not encrypted. @param length that its header says; the true one unless given. */
export function plainRecord(type: number, body: Buffer, length: number = body.length): Buffer {
  return Buffer.concat([Buffer.of(type, 3, 3, length >> 8, length & 0xff), body]);
}

/** A ClientHello by its first bytes: what follows is anything. @param length that it announces, 24 bits. */
function helloLike(length: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(1, length >> 16, (length >> 8) & 0xff, length & 0xff, 3, 3), body]);
}

/** All there are. */
export const FALSE_STARTS: readonly FalseStart[] = [
  { kind: 'MQTT instead of TLS', goesOn: true, bytes: () => Buffer.alloc(0) },
  { kind: 'silence instead of TLS', goesOn: false, bytes: () => Buffer.alloc(0) },
  { kind: 'random bytes instead of TLS', goesOn: true, bytes: (random) => random.bytes(1 + random.below(2_000)) },
  {
    kind: 'HTTP instead of TLS',
    goesOn: false,
    bytes: () => Buffer.from('GET /mqtt HTTP/1.1\r\nHost: broker.example\r\n\r\n'),
  },
  {
    // As SSL 2 begins: a length of two bytes, a ClientHello, a version.
    kind: 'SSL 2 instead of TLS',
    goesOn: true,
    bytes: (random) => Buffer.concat([Buffer.of(0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16), random.bytes(37)]),
  },
  {
    kind: 'a record with random contents instead of a ClientHello',
    goesOn: true,
    bytes: (random) => plainRecord(HANDSHAKE, random.bytes(1 + random.below(600))),
  },
  {
    kind: 'a ClientHello with random contents',
    goesOn: true,
    bytes: (random) => {
      const body = random.bytes(40 + random.below(600));
      return plainRecord(HANDSHAKE, helloLike(body.length + 2, body));
    },
  },
  {
    kind: 'a ClientHello announced with 16 MB',
    goesOn: true,
    bytes: (random) => plainRecord(HANDSHAKE, helloLike(0xff_ff_ff, random.bytes(16_000))),
  },
  {
    kind: 'a ClientHello that never ends, in records of one byte',
    goesOn: false,
    bytes: (random) => {
      const body = helloLike(FLOOD_RECORDS * 2, random.bytes(FLOOD_RECORDS));
      return Buffer.concat(Array.from(body, (byte) => plainRecord(HANDSHAKE, Buffer.of(byte))));
    },
  },
  {
    kind: 'a record that announces more than it may',
    goesOn: true,
    bytes: (random) => plainRecord(HANDSHAKE, random.bytes(100), 0x5000 + random.below(0xb000)),
  },
  {
    kind: 'empty records instead of a ClientHello',
    goesOn: true,
    bytes: () => Buffer.concat(Array<Buffer>(FLOOD_RECORDS).fill(plainRecord(HANDSHAKE, Buffer.alloc(0)))),
  },
  {
    kind: 'ChangeCipherSpec again and again',
    goesOn: true,
    bytes: () => Buffer.concat(Array<Buffer>(FLOOD_RECORDS).fill(plainRecord(CHANGE_CIPHER_SPEC, Buffer.of(1)))),
  },
  {
    kind: 'alerts instead of a ClientHello',
    goesOn: true,
    bytes: (random) =>
      Buffer.concat(
        Array.from({ length: 1 + random.below(FLOOD_RECORDS) }, () =>
          plainRecord(ALERT, Buffer.of(1, random.below(120))),
        ),
      ),
  },
  {
    kind: 'a record of an unknown type',
    goesOn: true,
    bytes: (random) => plainRecord(24 + random.below(200), random.bytes(1 + random.below(100))),
  },
];
