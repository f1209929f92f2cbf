import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { Random } from '../fakes/random.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import { cutAtRandom, mutated } from './mutator.ts';
import { clientPackets, type SeedPackets } from './seed-packets.ts';

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 4, 5, 5, 5];
/** Clients there are: few enough to take each other's sessions over. */
const CLIENT_IDS = 24;
const PACKETS_MAX = 30;
const MUTATION_RATE = 0.1;
const PIECES_MAX = 4;

/** What one connection sends. */
export interface FuzzStream {
  /** Version it means to speak. */
  readonly version: ProtocolVersion;
  readonly chunks: readonly Buffer[];
  /** Whether it breaks off instead of ending, where it is the one to end. */
  readonly breaksOff: boolean;
}

/** What a CONNECT with an Authentication Method is followed by. */
const AUTHENTICATION_METHOD = 'method';
const AUTH = `f0 * 18 [15 "${AUTHENTICATION_METHOD}" 16 "more"]`;

/** CONNECT in the notation of `bytesOf`, for a client id. */
const CONNECTS: Readonly<Record<ProtocolVersion, readonly ((id: string) => string)[]>> = {
  5: [
    (id) => `10 * "MQTT" 05 02 0000 [] "${id}"`,
    (id) => `10 * "MQTT" 05 00 003c [11 00000001 21 0002 22 0003] "${id}"`,
    (id) => `10 * "MQTT" 05 00 000a [11 ffffffff 27 00000040 17 00] "${id}"`,
    (id) =>
      `10 * "MQTT" 05 ee 003c [11 0000000a 26 "k" "v"] "ann-${id}" [18 00000001 01 01] "fuzz/will" "gone" "ann" "pw"`,
    (id) => `10 * "MQTT" 05 02 0000 [15 "method" 16 "data"] "${id}"`,
    () => '10 * "MQTT" 05 02 0000 [] ""',
  ],
  4: [
    (id) => `10 * "MQTT" 04 02 0000 "${id}"`,
    (id) => `10 * "MQTT" 04 00 000a "${id}"`,
    (id) => `10 * "MQTT" 04 e6 000a "ann-${id}" "fuzz/will" "gone" "ann" "pw"`,
    () => '10 * "MQTT" 04 02 0000 ""',
  ],
  3: [(id) => `10 * "MQIsdp" 03 02 000a "${id}"`, (id) => `10 * "MQIsdp" 03 00 0000 "${id}"`],
};

/** Makes the streams of a run; each depends on the seed and its number alone. */
export class StreamMaker {
  readonly #seed: number;
  readonly #packets: ReadonlyMap<ProtocolVersion, SeedPackets> = new Map(
    VERSIONS.map((version) => [version, clientPackets(version)]),
  );

  /** @param seed any 32-bit integer. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Randomness that belongs to the stream with this number. */
  randomOf(number: number): Random {
    const random = new Random(Math.imul(this.#seed, 0x9e3779b1) ^ number);
    random.next();
    return random;
  }

  /** The stream with this number: mostly a CONNECT that is accepted, then packets, some of which are mutated. */
  make(random: Random): FuzzStream {
    const version = VERSIONS[random.below(VERSIONS.length)] as ProtocolVersion;
    const parts: Buffer[] = [];
    if (!random.chance(0.01)) parts.push(this.#connect(version, random));
    const packets = this.#packets.get(version) as SeedPackets;
    for (let count = random.below(PACKETS_MAX); count > 0; count--) {
      const packet = packets.pick(random);
      parts.push(random.chance(MUTATION_RATE) ? mutated(packet, packets.pick(random), random, version) : packet);
    }
    const bytes = Buffer.concat(parts);
    const chunks = cutAtRandom(bytes, 1 + random.below(PIECES_MAX), random);
    return { version, chunks, breaksOff: random.chance(0.1) };
  }

  #connect(version: ProtocolVersion, random: Random): Buffer {
    const makers = CONNECTS[version];
    const maker = makers[random.below(makers.length)] as (id: string) => string;
    const packet = bytesOf(maker(`fuzz-${random.below(CLIENT_IDS)}`));
    if (random.chance(0.1)) return mutated(packet, packet, random, version);
    return packet.includes(AUTHENTICATION_METHOD) ? Buffer.concat([packet, bytesOf(AUTH)]) : packet;
  }
}
