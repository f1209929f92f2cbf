import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { Random } from '../fakes/random.ts';
import { singleBytes } from '../protocol/decoding.ts';
import { AllocationWatch } from './allocation-watch.ts';
import {
  checkHotPaths,
  checkRefusal,
  checkRoundTrip,
  checkSame,
  checkTopicFilters,
  decode,
  type Outcome,
} from './codec-oracle.ts';
import type { Finding } from './finding.ts';
import { cutAtRandom, mutated } from './mutator.ts';
import { malformedPackets, type SeedPackets, validPackets } from './seed-packets.ts';

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5, 5];
/** How many packets are begun with that are malformed already. */
const MALFORMED_RATE = 0.05;
/** The largest packet there can be, so that announced lengths of all sizes are taken for true. */
const PACKET_SIZE_MAX = 268_435_460;
/** Longer inputs are not also read byte by byte. */
const SINGLE_BYTES_MAX = 4_096;
/** What a codec may take beside the bytes it was given, bytes. */
const ALLOCATION_EXTRA = 1_024;
/** Shorter inputs take a time that cannot be measured. */
const TIMED_BYTES = 64;
/** A time that would be a new record is measured so often again, and the shortest counts. */
const TIMED_AGAIN = 10;
/** A run that found so much is over. */
const FINDINGS_MAX = 20;

/** What a run of the fuzzer did. */
export interface CodecReport {
  seed: number;
  /** Bytes of the inputs, each counted once. */
  bytes: number;
  inputs: number;
  /** Packets that were accepted. */
  packets: number;
  /** Inputs that were refused, by reason code. */
  refusals: Map<number, number>;
  /** The input that took longest for its length. */
  slowest: { nanosecondsPerByte: number; version: ProtocolVersion; hex: string };
  findings: Finding[];
}

/** Throws mutated packets at framer, decoders and encoders in this process; the same seed does the same again. */
export class CodecFuzzer {
  readonly report: CodecReport;
  readonly #random: Random;
  readonly #valid: ReadonlyMap<ProtocolVersion, SeedPackets>;
  readonly #malformed: ReadonlyMap<ProtocolVersion, SeedPackets>;

  /** @param seed any 32-bit integer. */
  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#valid = new Map(VERSIONS.map((version) => [version, validPackets(version)]));
    this.#malformed = new Map(VERSIONS.map((version) => [version, malformedPackets(version)]));
    this.report = {
      seed,
      bytes: 0,
      inputs: 0,
      packets: 0,
      refusals: new Map(),
      slowest: { nanosecondsPerByte: 0, version: 5, hex: '' },
      findings: [],
    };
  }

  /** Goes on until inputs of so many bytes in all were tried. `onProgress` is told now and then. */
  run(bytes: number, onProgress?: (report: CodecReport) => void): CodecReport {
    const { report } = this;
    const watch = new AllocationWatch();
    try {
      while (report.bytes < bytes && report.findings.length < FINDINGS_MAX) {
        const version = VERSIONS[this.#random.below(VERSIONS.length)] as ProtocolVersion;
        const input = this.#input(version);
        report.bytes += input.length;
        report.inputs += 1;
        this.#try(input, version, watch);
        if (report.inputs % 100_000 === 0) onProgress?.(report);
      }
    } finally {
      watch.close();
    }
    return report;
  }

  /** One to four packets in a row, the last one mutated and others sometimes; rarely bytes that mean nothing. */
  #input(version: ProtocolVersion): Buffer {
    const random = this.#random;
    if (random.chance(0.01)) return random.bytes(1 + random.below(60));
    const count = 1 + random.below(4);
    const packets = Array.from({ length: count }, (_, index) => {
      const packet = this.#pick(version);
      const isChanged = random.chance(index === count - 1 ? 0.9 : 0.3);
      return isChanged ? mutated(packet, this.#pick(version), random, version) : packet;
    });
    return Buffer.concat(packets);
  }

  #pick(version: ProtocolVersion): Buffer {
    const seeds = this.#random.chance(MALFORMED_RATE) ? this.#malformed : this.#valid;
    return (seeds.get(version) as SeedPackets).pick(this.#random);
  }

  #try(input: Buffer, version: ProtocolVersion, watch: AllocationWatch): void {
    const { report } = this;
    const random = this.#random;
    let chunks = [input];
    try {
      watch.reset();
      const outcome = decode(chunks, version, PACKET_SIZE_MAX);
      checkWhole(outcome, input, version, watch);
      report.packets += outcome.packets.length;
      if (outcome.error !== undefined) {
        const { reasonCode } = outcome.error;
        report.refusals.set(reasonCode, (report.refusals.get(reasonCode) ?? 0) + 1);
      }
      chunks = cutAtRandom(input, 2 + random.below(5), random);
      tryCut(chunks, version, outcome, watch);
      if (input.length <= SINGLE_BYTES_MAX) {
        chunks = singleBytes(input);
        tryCut(chunks, version, outcome, watch);
      }
      this.#time(input, version);
    } catch (error) {
      report.findings.push(findingOf(error, chunks, version, report.seed));
    }
  }

  /** Notes the input where it is slower than all before. */
  #time(input: Buffer, version: ProtocolVersion): void {
    if (input.length < TIMED_BYTES) return;
    const { slowest } = this.report;
    let shortest = Number.POSITIVE_INFINITY;
    for (let again = TIMED_AGAIN; again > 0 && shortest > slowest.nanosecondsPerByte; again--) {
      const started = performance.now();
      decode([input], version, PACKET_SIZE_MAX);
      shortest = Math.min(shortest, ((performance.now() - started) * 1e6) / input.length);
    }
    if (shortest <= slowest.nanosecondsPerByte) return;
    this.report.slowest = { nanosecondsPerByte: shortest, version, hex: input.toString('hex') };
  }
}

/** Tries the chunks of a finding again. @returns what is wrong, undefined where nothing is any more. */
export function replayCodec({ chunks, version, seed }: Finding): Finding | undefined {
  const buffers = chunks.map((chunk) => Buffer.from(chunk, 'hex'));
  const watch = new AllocationWatch();
  try {
    const input = Buffer.concat(buffers);
    const outcome = decode([input], version, PACKET_SIZE_MAX);
    checkWhole(outcome, input, version, watch);
    tryCut(buffers, version, outcome, watch);
    return undefined;
  } catch (error) {
    return findingOf(error, buffers, version, seed);
  } finally {
    watch.close();
  }
}

/** All that has to hold of an input that comes in one piece. */
function checkWhole(outcome: Outcome, input: Buffer, version: ProtocolVersion, watch: AllocationWatch): void {
  checkAllocation(input, watch);
  if (outcome.error !== undefined) checkRefusal(outcome.error);
  for (const packet of outcome.packets) {
    checkRoundTrip(packet, version);
    checkTopicFilters(packet);
  }
  decode([input], version, PACKET_SIZE_MAX, (framer) => checkHotPaths(framer, version));
}

function tryCut(chunks: readonly Buffer[], version: ProtocolVersion, whole: Outcome, watch: AllocationWatch): void {
  watch.reset();
  const outcome = decode(chunks, version, PACKET_SIZE_MAX);
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  checkAllocation({ length: bytes }, watch);
  checkSame(whole, outcome);
}

/** No announced length may cost anything: what is made is in proportion to what came. */
function checkAllocation({ length }: { length: number }, watch: AllocationWatch): void {
  if (watch.largest > 2 * length + ALLOCATION_EXTRA)
    throw new Error(`${watch.largest} bytes were made for an input of ${length}`);
}

function findingOf(error: unknown, chunks: readonly Buffer[], version: ProtocolVersion, seed: number): Finding {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { target: 'codec', text, seed, version, transport: '', chunks: chunks.map((chunk) => chunk.toString('hex')) };
}
