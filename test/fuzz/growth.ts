import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { parseTopicFilter, topicLevels } from '../../src/protocol/topic.ts';
import { singleBytes } from '../protocol/decoding.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import { frame, mqttString } from '../support/raw-bytes.ts';
import { decode } from './codec-oracle.ts';

/** A measurement takes the shortest of so many. */
const REPETITIONS = 7;
/** What does not look linear is measured so often, as the machine has other things to do; the smallest factor counts. */
const ATTEMPTS = 6;
/** How much longer the longer input is. */
export const GROWTH_FACTOR = 8;
/** Bytes of the shorter input; eight times as much fits into one string. */
const SHORTER = 8_000;
const PACKET_SIZE_MAX = 268_435_460;

/** How the time for one kind of input grows with its length. */
export interface Growth {
  name: string;
  /** Time for an input eight times as long, in times of the shorter; 8 is linear, 64 quadratic. */
  factor: number;
}

/** Inputs of any length that a careless decoder takes more than linear time for. */
const KINDS: readonly { name: string; chunks: (length: number) => Buffer[]; version?: ProtocolVersion }[] = [
  { name: 'PUBLISH with many user properties', chunks: (length) => [publish(repeated('26 "k" "v"', length))] },
  {
    name: 'PUBLISH with many subscription identifiers',
    chunks: (length) => [publish(repeated('0b ffffff7f', length))],
  },
  {
    name: 'PUBLISH with many user properties and a fault behind them',
    chunks: (length) => [publish(Buffer.concat([repeated('26 "k" "v"', length), Buffer.of(0x7f)]))],
  },
  {
    name: 'PUBLISH with a topic name of many levels',
    chunks: (length) => [frame(0x30, mqttString('/'.repeat(length)), Buffer.of(0))],
  },
  {
    name: 'PUBLISH with a topic name outside ASCII',
    chunks: (length) => [frame(0x30, mqttString('é'.repeat(length / 2)), Buffer.of(0))],
  },
  {
    name: 'SUBSCRIBE with many topic filters',
    chunks: (length) => [frame(0x82, bytesOf('0001 []'), repeated('"a/+/b" 01', length))],
  },
  {
    name: 'SUBSCRIBE with a topic filter of many levels',
    chunks: (length) => [frame(0x82, bytesOf('0001 []'), mqttString('+/'.repeat(length / 2)), Buffer.of(0))],
  },
  {
    name: 'UNSUBSCRIBE with many topic filters',
    chunks: (length) => [frame(0xa2, bytesOf('0001 []'), repeated('"a/b"', length))],
  },
  {
    name: 'SUBACK with many reason codes',
    chunks: (length) => [frame(0x90, bytesOf('0001 []'), Buffer.alloc(length))],
  },
  { name: 'many packets in one chunk', chunks: (length) => [repeated('c000', length)] },
  {
    name: 'a packet byte by byte',
    chunks: (length) => singleBytes(frame(0x30, mqttString('a'), Buffer.of(0), Buffer.alloc(length))),
  },
  {
    name: 'many packets byte by byte',
    chunks: (length) => singleBytes(repeated('30 * "a" ~hello~', length)),
    version: 4,
  },
];

function repeated(notation: string, length: number): Buffer {
  const unit = bytesOf(notation);
  return Buffer.alloc(unit.length * Math.floor(length / unit.length), unit);
}

/** A PUBLISH of MQTT 5.0 with these bytes as its properties. */
function publish(properties: Buffer): Buffer {
  // A frame of its own has the same form: a byte, the length, the bytes.
  const withLength = frame(0, properties).subarray(1);
  return frame(0x30, mqttString('a'), withLength, Buffer.from('payload'));
}

function shortestTime(run: () => void): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (let again = 0; again < REPETITIONS; again++) {
    const started = performance.now();
    run();
    shortest = Math.min(shortest, performance.now() - started);
  }
  return shortest;
}

function work(chunks: readonly Buffer[], version: ProtocolVersion): void {
  for (const packet of decode(chunks, version, PACKET_SIZE_MAX).packets) {
    if (!('subscriptions' in packet)) continue;
    for (const { topicFilter } of packet.subscriptions) topicLevels(parseTopicFilter(topicFilter)?.filter ?? '');
  }
}

/** Measures how time grows with length, for each kind of input that could tempt it to grow faster. */
export function measureGrowth(): Growth[] {
  return KINDS.map(({ name, chunks, version = 5 }) => {
    const shorter = chunks(SHORTER);
    const longer = chunks(SHORTER * GROWTH_FACTOR);
    let factor = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < ATTEMPTS && factor > 2 * GROWTH_FACTOR; attempt++) {
      const time = shortestTime(() => work(shorter, version));
      factor = Math.min(factor, shortestTime(() => work(longer, version)) / time);
    }
    return { name, factor };
  });
}
