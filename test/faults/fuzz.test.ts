import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect } from 'vitest';
import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { Random } from '../fakes/random.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import { type Scene, test } from './scene.ts';

const ROUNDS = 400;
/** Connections open at the same time. */
const AT_ONCE = 8;

/** Streams that mean something, packet by packet; CONNECT comes first. */
const STREAMS: readonly { version: ProtocolVersion; packets: readonly string[] }[] = [
  {
    version: 5,
    packets: [
      '10 * "MQTT" 05 ee 003c [11 0000000a 21 0010 22 000a 26 "k" "v"] "fuzz" [18 00000001 01 01] "fuzz/will" "gone" "ann" "pw"',
      '82 * 0001 [0b 05] "fuzz/#" 02 "$share/g/fuzz/+" 01 "+/+/$x" 1d',
      '3d * "fuzz/a" 0002 [01 01 02 0000003c 03 "text" 08 "fuzz/r" 09 "c" 23 0001 26 "k" "v"] ~payload~',
      '32 * "" 0003 [23 0001] ~alias~',
      '62 * 0002',
      '31 * "fuzz/retained" [] ~kept~',
      '50 * 0001 10 [1f "why" 26 "k" "v"]',
      '40 * 0001',
      '70 * 0001',
      'a2 * 0004 [26 "k" "v"] "fuzz/#" "nothing"',
      'c0 00',
      'e0 * 04 [11 00000005 1f "bye"]',
    ],
  },
  {
    version: 4,
    packets: [
      '10 * "MQTT" 04 c6 000a "fuzz4" "fuzz/will" "gone" "ann" "pw"',
      '82 * 0001 "fuzz/+" 01 "#" 02',
      '34 * "fuzz/b" 0002 ~payload~',
      '62 * 0002',
      '33 * "fuzz/retained" 0003 ~kept~',
      '40 * 0001',
      'a2 * 0004 "#"',
      'c0 00',
      'e0 00',
    ],
  },
  {
    version: 3,
    packets: ['10 * "MQIsdp" 03 02 000a "fuzz3"', '8a * 0001 "a" 01', '3a * "a" 0002 ~x~', 'c0 00', 'e0 00'],
  },
  {
    version: 5,
    packets: [
      '10 * "MQTT" 05 02 0000 [15 "method" 16 "data"] "fuzz"',
      'f0 * 18 [15 "method" 16 "more"]',
      'f0 * 19 [15 "method"]',
    ],
  },
];

/** Bytes with one to four changes; those of `from` on, the others stay. */
function mutated(original: Buffer, from: number, random: Random): Buffer {
  let bytes = original;
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = from + random.below(bytes.length - from);
    const before = bytes.subarray(0, at);
    const length = 1 + random.below(8);
    switch (random.below(6)) {
      case 0:
        bytes = Buffer.concat([before, Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8))), bytes.subarray(at + 1)]);
        break;
      case 1:
        bytes = Buffer.concat([before, random.bytes(length), bytes.subarray(at + length)]);
        break;
      case 2:
        bytes = Buffer.concat([before, random.bytes(length), bytes.subarray(at)]);
        break;
      case 3:
        bytes = Buffer.concat([before, bytes.subarray(at + length)]);
        break;
      case 4:
        bytes = Buffer.concat([before, bytes.subarray(at, at + 40), bytes.subarray(at)]);
        break;
      default:
        bytes = Buffer.concat([
          before,
          Buffer.alloc(length, [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
          bytes.subarray(at + 1),
        ]);
    }
    if (bytes.length <= from) return original;
  }
  return bytes;
}

/** Sends the bytes in up to three pieces, ends the stream or breaks it off, and waits until the connection is closed. */
async function sendMutant(scene: Scene, bytes: Buffer, random: Random): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: scene.broker.port, noDelay: true });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'connect');
  let at = 0;
  for (let pieces = random.below(3); pieces > 0; pieces--) {
    const end = at + random.below(bytes.length - at + 1);
    socket.write(bytes.subarray(at, end));
    at = end;
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (random.chance(0.1)) socket.resetAndDestroy();
  else socket.end(bytes.subarray(at));
  await closed;
}

function packetsOf(index: number): Buffer[] {
  return (STREAMS[index % STREAMS.length]?.packets ?? []).map(bytesOf);
}

/** Asserts that as many connections have ended as were made, none of them for a bug of ours. */
async function expectAllEnded(scene: Scene): Promise<void> {
  await scene.untilOpen(0);
  const { 'internal-error': ofOurs = 0, ...ended } = scene.ended();
  expect(ofOurs).toBe(0);
  expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(ROUNDS);
  // The streams get far enough to be dealt with, and are broken often enough to be refused.
  expect(ended['malformed-packet']).toBeGreaterThan(ROUNDS / 20);
  expect(ended['protocol-error']).toBeGreaterThan(0);
}

describe('mutated streams', () => {
  test.for([1, 2])('harm nobody, whatever the mutants do, seed %s', async (seed, { start }) => {
    const scene = await start();
    const random = new Random(seed);
    for (let round = 0; round < ROUNDS; round += AT_ONCE) {
      const mutants = Array.from({ length: AT_ONCE }, (_, index) =>
        mutated(Buffer.concat(packetsOf(index)), 0, random),
      );
      await Promise.all(mutants.map((mutant) => sendMutant(scene, mutant, random)));
      if (round % 100 === 0) await scene.expectUnharmed();
    }
    await expectAllEnded(scene);
  });

  test('behind a CONNECT that was accepted are answered by nothing that is against the rules', async ({ start }) => {
    const scene = await start();
    const random = new Random(3);
    for (let round = 0; round < ROUNDS; round++) {
      const version = STREAMS[round % 3]?.version ?? 5;
      const packets = packetsOf(round % 3);
      const stream = mutated(Buffer.concat(packets), packets[0]?.length ?? 0, random);
      const { client, socket } = await scene.openSocket(version);
      socket.end(stream);
      await client.expectConnack(0);
      if (!socket.closed) await once(socket, 'close');
      expect(client.violation, stream.toString('hex')).toBeUndefined();
      if (round % 100 === 0) await scene.expectUnharmed();
    }
    await expectAllEnded(scene);
  });
});
