import * as fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { encodeVariableByteInteger } from '../../src/protocol/variable-byte-integer.ts';
import { versionedPacket } from './arbitraries.ts';
import { errorOf } from './decoding.ts';
import { bytesOf } from './vectors/notation.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Counts the bytes allocated for partial frames from now on. */
function countAllocated(): () => number {
  const spy = vi.spyOn(Buffer, 'allocUnsafeSlow');
  return () => spy.mock.calls.reduce((sum, [size]) => sum + size, 0);
}

function frameOf(framer: Framer): Buffer {
  return framer.buffer.subarray(framer.frameStart, framer.bodyEnd);
}

/** A Remaining Length. */
function lengthOf(length: number): Buffer {
  const out = Buffer.alloc(4);
  return out.subarray(0, encodeVariableByteInteger(out, 0, length));
}

/** A PUBLISH of 3.1.1 of `length` bytes of body in all. */
function packetOf(length: number): Buffer {
  return Buffer.concat([bytesOf('30'), lengthOf(length), Buffer.from('\0\x01a'), Buffer.alloc(length - 3, 'x')]);
}

describe('Framer', () => {
  test('cuts whole frames out of a chunk in place', () => {
    const chunk = bytesOf('30 05 0001 61 6869 c0 00 40 02 0001');
    const framer = new Framer(65_536);
    framer.push(chunk);
    expect(framer.next()).toBe(true);
    expect(framer.buffer).toBe(chunk);
    expect(framer).toMatchObject({ header: 0x30, frameStart: 0, bodyStart: 2, bodyEnd: 7 });
    expect(framer.next()).toBe(true);
    expect(framer.buffer).toBe(chunk);
    expect(framer).toMatchObject({ header: 0xc0, frameStart: 7, bodyStart: 9, bodyEnd: 9 });
    expect(framer.next()).toBe(true);
    expect(framer).toMatchObject({ header: 0x40, frameStart: 9, bodyStart: 11, bodyEnd: 13 });
    expect(framer.next()).toBe(false);
    expect(framer.pendingBytes).toBe(0);
  });

  test('lets go of the chunk when it is used up', () => {
    const framer = new Framer(65_536);
    framer.push(bytesOf('c0 00'));
    expect(framer.next()).toBe(true);
    expect(framer.next()).toBe(false);
    expect(framer.buffer.length).toBe(0);
  });

  test('does not write to a frame that it handed out', () => {
    const framer = new Framer(65_536);
    const first = packetOf(100);
    const second = packetOf(90);
    framer.push(first.subarray(0, 50));
    expect(framer.next()).toBe(false);
    framer.push(Buffer.concat([first.subarray(50), second.subarray(0, 60)]));
    expect(framer.next()).toBe(true);
    const frame = frameOf(framer);
    expect(framer.next()).toBe(false);
    framer.push(second.subarray(60));
    expect(framer.next()).toBe(true);
    expect(frameOf(framer).equals(second)).toBe(true);
    expect(frame.equals(first)).toBe(true);
  });

  test('gives the same frames however the stream is cut', () => {
    const packet = versionedPacket.map(([version, any]) => encodePacket(any, version));
    const streams = fc.array(packet, { minLength: 1, maxLength: 8 });
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(streams, cuts, (packets, sizes) => {
        const stream = Buffer.concat(packets);
        const framer = new Framer(65_536);
        const frames: string[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length]!;
          framer.push(stream.subarray(at, at + size));
          while (framer.next()) {
            expect(framer.header).toBe(framer.buffer[framer.frameStart]);
            frames.push(frameOf(framer).toString('hex'));
          }
          at += size;
        }
        expect(framer.pendingBytes).toBe(0);
        expect(frames).toEqual(packets.map((bytes) => bytes.toString('hex')));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['one byte', 127, 2],
    ['two bytes, lowest', 128, 3],
    ['two bytes, highest', 16_383, 3],
    ['three bytes, lowest', 16_384, 4],
    ['three bytes, highest', 2_097_151, 4],
    ['four bytes, lowest', 2_097_152, 5],
  ])('understands a Remaining Length of %s', (_name, length, bodyStart) => {
    const framer = new Framer(268_435_460);
    const packet = packetOf(length);
    framer.push(packet);
    expect(framer.next()).toBe(true);
    expect(framer).toMatchObject({ bodyStart, bodyEnd: bodyStart + length });
    framer.push(packet.subarray(0, 1));
    expect(framer.next()).toBe(false);
    framer.push(packet.subarray(1));
    expect(framer.next()).toBe(true);
    expect(framer).toMatchObject({ frameStart: 0, bodyStart, bodyEnd: bodyStart + length });
  });

  test('a packet of exactly the Maximum Packet Size passes, one byte more is refused from its header', () => {
    const framer = new Framer(200);
    framer.push(packetOf(197));
    expect(framer.next()).toBe(true);
    framer.push(packetOf(198).subarray(0, 3));
    expect(errorOf(() => framer.next())?.reasonCode).toBe(ReasonCode.packetTooLarge);
  });

  test('a too large packet is refused from its header also when that comes byte by byte', () => {
    const framer = new Framer(65_536);
    const header = bytesOf('10 ffffff7f');
    const results = Array.from(header, (byte) => {
      framer.push(Buffer.of(byte));
      return errorOf(() => framer.next())?.reasonCode;
    });
    expect(results).toEqual([undefined, undefined, undefined, undefined, ReasonCode.packetTooLarge]);
  });

  test('the Maximum Packet Size may be raised between packets', () => {
    const framer = new Framer(64);
    framer.push(Buffer.concat([packetOf(50), packetOf(100)]));
    expect(framer.next()).toBe(true);
    framer.maximumPacketSize = 1000;
    expect(framer.next()).toBe(true);
    expect(framer.bodyEnd - framer.bodyStart).toBe(100);
  });

  test.each([
    ['a fifth length byte', '30 8080808001', ''],
    ['a length of five bytes, cut before the last', '30 ffffffff', ''],
    ['[MQTT-1.5.5-1] a length longer than needed', '30 8000', 'MQTT-1.5.5-1'],
    ['[MQTT-1.5.5-1] a length of four bytes for one', '30 81808000', 'MQTT-1.5.5-1'],
  ])('refuses %s', (_name, notation, statementId) => {
    const bytes = bytesOf(notation);
    for (let cut = 0; cut < bytes.length; cut++) {
      const framer = new Framer(268_435_460);
      const error = errorOf(() => {
        framer.push(bytes.subarray(0, cut));
        expect(framer.next()).toBe(false);
        framer.push(bytes.subarray(cut));
        framer.next();
      });
      expect(error).toMatchObject({ reasonCode: ReasonCode.malformedPacket, statementId });
    }
  });

  test('an announced length costs no memory before its bytes come', () => {
    const allocated = countAllocated();
    const framer = new Framer(268_435_460);
    framer.push(bytesOf('10 ffffff7f 0004'));
    expect(framer.next()).toBe(false);
    expect(framer.pendingBytes).toBe(7);
    expect(allocated()).toBeLessThanOrEqual(64);
    framer.push(Buffer.alloc(1000));
    expect(framer.next()).toBe(false);
    expect(allocated()).toBeLessThanOrEqual(64 + 2 * 1007);
  });

  test.each([
    ['in chunks of 64 KiB', 16 * 1024 * 1024, 65_536],
    ['byte by byte', 1024 * 1024, 1],
  ])('a large packet that comes %s is copied a bounded number of times', (_name, length, chunkSize) => {
    const packet = packetOf(length);
    const allocated = countAllocated();
    const framer = new Framer(268_435_460);
    const frames: Buffer[] = [];
    for (let start = 0; start < packet.length; start += chunkSize) {
      framer.push(packet.subarray(start, start + chunkSize));
      while (framer.next()) frames.push(frameOf(framer));
    }
    expect(frames).toHaveLength(1);
    expect(frames[0]?.equals(packet)).toBe(true);
    expect(allocated()).toBeLessThanOrEqual(4 * length);
  });
});
