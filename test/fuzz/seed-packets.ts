import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import type { Random } from '../fakes/random.ts';
import { MALFORMED_CONNECT } from '../protocol/vectors/malformed-connect.ts';
import { MALFORMED_OTHERS } from '../protocol/vectors/malformed-others.ts';
import { MALFORMED_FROM_CLIENT, MALFORMED_PUBLISH } from '../protocol/vectors/malformed-publish.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import { VALID_CONNECT } from '../protocol/vectors/valid-connect.ts';
import { VALID_OTHERS } from '../protocol/vectors/valid-others.ts';
import { VALID_PUBLISH } from '../protocol/vectors/valid-publish.ts';

/** Longer packets are taken rarely: they would use the bytes of a run up. */
const LONG_BYTES = 400;
/** One of so many picks is a long packet. */
const LONG_EVERY = 10_000;

/** Types of the packets that clients send and that do not end their connection. */
const FROM_CLIENTS: ReadonlySet<number> = new Set([3, 4, 5, 6, 7, 8, 10, 12]);

/** What a fuzzer begins with: packets of one version. */
export class SeedPackets {
  readonly #short: readonly Buffer[];
  readonly #long: readonly Buffer[];

  constructor(packets: readonly Buffer[]) {
    this.#short = packets.filter(({ length }) => length <= LONG_BYTES);
    this.#long = packets.filter(({ length }) => length > LONG_BYTES);
  }

  /** Some packet; mostly a short one. */
  pick(random: Random): Buffer {
    const isLong = this.#long.length > 0 && random.below(LONG_EVERY) === 0;
    const packets = isLong ? this.#long : this.#short;
    return packets[random.below(packets.length)] as Buffer;
  }
}

/** The valid packets of one version, of either direction. */
export function validPackets(version: ProtocolVersion): SeedPackets {
  return packetsOf([...VALID_CONNECT, ...VALID_PUBLISH, ...VALID_OTHERS], version);
}

/** The packets of one version that are known to be malformed. */
export function malformedPackets(version: ProtocolVersion): SeedPackets {
  const vectors = [...MALFORMED_CONNECT, ...MALFORMED_PUBLISH, ...MALFORMED_FROM_CLIENT, ...MALFORMED_OTHERS];
  return packetsOf(vectors, version);
}

function packetsOf(
  vectors: readonly { version: ProtocolVersion; bytes: string }[],
  version: ProtocolVersion,
): SeedPackets {
  return new SeedPackets(vectors.filter((vector) => vector.version === version).map(({ bytes }) => bytesOf(bytes)));
}

/** The valid packets of one version that a client may send behind its CONNECT, and some that mean something together. */
export function clientPackets(version: ProtocolVersion): SeedPackets {
  const vectors = [...VALID_PUBLISH, ...VALID_OTHERS].filter(({ name, ...vector }) => {
    // Only servers send Subscription Identifiers with a PUBLISH.
    return vector.version === version && !(vector.bytes.startsWith('3') && name.includes('subscription identifier'));
  });
  const packets = vectors.map(({ bytes }) => bytesOf(bytes)).filter((bytes) => FROM_CLIENTS.has((bytes[0] ?? 0) >> 4));
  return new SeedPackets([...packets, ...TALK[version].map(bytesOf)]);
}

/** Packets that refer to each other: subscriptions, publishes that match them, and acknowledgements. */
const TALK: Readonly<Record<ProtocolVersion, readonly string[]>> = {
  5: [
    '82 * 0001 [0b 05] "fuzz/#" 02 "$share/g/fuzz/+" 01 "+/+/$x" 1d',
    '82 * 0002 [26 "k" "v"] "fuzz/+" 2a "a" 01 "$share/g/a" 02',
    '3d * "fuzz/a" 0002 [01 01 02 0000003c 03 "text" 08 "fuzz/r" 09 "c" 23 0001 26 "k" "v"] ~payload~',
    '32 * "" 0003 [23 0001] ~alias~',
    '30 * "" [23 0001]',
    '30 * "fuzz/b" [23 0002] ~other~',
    '34 * "a" 0004 [] ~twice~',
    '62 * 0002',
    '62 * 0004',
    '31 * "fuzz/retained" [02 00000001] ~kept~',
    '33 * "fuzz/retained/2" 0009 [] ~kept~',
    '50 * 0001 10 [1f "why" 26 "k" "v"]',
    '40 * 0001',
    '50 * 0001',
    '70 * 0001',
    '40 * 0002 80',
    'a2 * 0004 [26 "k" "v"] "fuzz/#" "nothing" "$share/g/a"',
    'c0 00',
    'e0 * 04 [11 00000005 1f "bye"]',
    'f0 * 18 [15 "method" 16 "more"]',
  ],
  4: [
    '82 * 0001 "fuzz/+" 01 "#" 02',
    '82 * 0002 "a" 00',
    '34 * "fuzz/b" 0002 ~payload~',
    '3c * "fuzz/b" 0002 ~payload~',
    '62 * 0002',
    '33 * "fuzz/retained" 0003 ~kept~',
    '31 * "fuzz/retained"',
    '40 * 0001',
    '50 * 0002',
    '70 * 0002',
    'a2 * 0004 "#"',
    'c0 00',
    'e0 00',
  ],
  3: [
    '82 * 0001 "a" 01',
    '8a * 0001 "a" 01',
    '32 * "a" 0002 ~x~',
    '3a * "a" 0002 ~x~',
    '40 * 0001',
    '6a * 0002',
    'a2 * 0004 "a"',
    'c0 00',
    'e0 00',
  ],
};
