import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  binaryPayload,
  emptyReading,
  jsonPayload,
  readStamp,
  type StampedPayload,
  stampLength,
  stampPlaceholder,
  type StampReading,
  writeStamp,
} from '../../src/checker/stamp.ts';

const run = 0xabcdef;
const stamp = { client: 0x12, sequence: 0x34, dueAt: 1.5, qos: 1 };

/** The payload that has a body before the stamp and one behind it. */
function between(before: string | Uint8Array, behind: string | Uint8Array): StampedPayload {
  const head = Buffer.from(before);
  const bytes = Buffer.concat([head, Buffer.from(stampPlaceholder), Buffer.from(behind)]);
  return { bytes, stampAt: head.length };
}

function stamped(payload: StampedPayload, what: Omit<StampReading, 'kind'> = stamp): StampedPayload {
  writeStamp(payload, run, what);
  return payload;
}

function read(payload: Buffer, ofRun: number = run): StampReading {
  const reading = emptyReading();
  readStamp(payload, ofRun, reading);
  return reading;
}

const long = 'x'.repeat(700);
const shapes: readonly (readonly [string, () => StampedPayload])[] = [
  ['JSON', () => jsonPayload({ value: 21.5, unit: '°C' })],
  ['long JSON', () => jsonPayload({ text: long })],
  ['an empty object', () => jsonPayload({})],
  ['bytes', () => binaryPayload(Uint8Array.from({ length: 40 }, (_, place) => 255 - place))],
  ['long bytes', () => binaryPayload(new Uint8Array(700))],
  ['nothing but the stamp', () => binaryPayload(new Uint8Array(0))],
  ['the stamp in the middle', () => between('before', 'and behind')],
  ['the stamp in the middle of much', () => between(long, long)],
  ['the stamp in front', () => between('', 'behind')],
];

const readings = fc.record({
  client: fc.nat({ max: 0xffffff }),
  sequence: fc.nat({ max: 0xffffffff }),
  dueAt: fc.nat({ max: 2 ** 40 }).map((us) => us / 1000),
  qos: fc.constantFrom(0, 1, 2),
});

describe('writeStamp', () => {
  it('writes run, client, sequence, due time, QoS and checksum in this order', () => {
    const { bytes, stampAt } = stamped(binaryPayload(Buffer.from('hi')));
    expect(stampAt).toBe(2);
    const crc = crc32('hi~S1abcdef00001200000034000000000005dc1~');
    expect(String(bytes)).toBe(`hi~S1abcdef00001200000034000000000005dc1${crc.toString(16).padStart(8, '0')}~`);
    expect(bytes).toHaveLength(2 + stampLength);
  });

  it('fills each field to its last digit', () => {
    const { bytes } = binaryPayload(new Uint8Array(0));
    writeStamp({ bytes, stampAt: 0 }, 0xffffff, { client: 0xffffff, sequence: 0xffffffff, dueAt: 2 ** 42, qos: 2 });
    const dueUs = (2 ** 42 * 1000).toString(16).padStart(14, '0');
    expect(String(bytes.subarray(0, 38))).toBe(`~S1ffffffffffffffffffff${dueUs}2`);
  });

  it('writes into its place alone', () => {
    const { bytes, stampAt } = stamped(between('before', 'behind'));
    expect(String(bytes.subarray(0, stampAt))).toBe('before');
    expect(String(bytes.subarray(stampAt + stampLength))).toBe('behind');
  });

  it('replaces an earlier stamp', () => {
    const payload = stamped(jsonPayload({ value: 1 }));
    const first = Buffer.from(payload.bytes);
    stamped(payload, { ...stamp, sequence: 0xfffffff0 });
    expect(read(payload.bytes)).toStrictEqual({ ...stamp, kind: 'intact', sequence: 0xfffffff0 });
    stamped(payload);
    expect(payload.bytes).toEqual(first);
  });

  it.each([0, 1, 2, 3, 464, 465, 466, 1000])('takes CRC-32 of all but its own digits, behind %i bytes', (length) => {
    const { bytes } = stamped(binaryPayload(Buffer.alloc(length, 'ab')));
    const rest = Buffer.concat([bytes.subarray(0, -9), bytes.subarray(-1)]);
    expect(String(bytes.subarray(-9, -1))).toBe(crc32(rest).toString(16).padStart(8, '0'));
  });
});

describe('jsonPayload', () => {
  it('is JSON with the stamp as its last member', () => {
    const { bytes, stampAt } = stamped(jsonPayload({ name: 'Zürich', nested: { list: [1, '}"'] } }));
    const sim = String(bytes.subarray(stampAt, stampAt + stampLength));
    expect(sim.startsWith('~S1abcdef')).toBe(true);
    expect(JSON.parse(String(bytes))).toEqual({ name: 'Zürich', nested: { list: [1, '}"'] }, sim });
  });

  it('is JSON before it is stamped', () => {
    expect(JSON.parse(String(jsonPayload({}).bytes))).toEqual({ sim: stampPlaceholder });
  });
});

describe('readStamp', () => {
  it.each(shapes)('reads what was written into %s', (_, shape) => {
    fc.assert(
      fc.property(readings, (what) => {
        expect(read(stamped(shape(), what).bytes)).toStrictEqual({ kind: 'intact', ...what });
      }),
    );
  });

  it('tells the due time to a microsecond', () => {
    expect(read(stamped(jsonPayload({}), { ...stamp, dueAt: 1234.56789 }).bytes).dueAt).toBe(1234.568);
  });

  it.each(shapes)('finds every changed byte of %s', (_, shape) => {
    const { bytes, stampAt } = stamped(shape());
    for (let at = 0; at < bytes.length; at++) {
      const right = bytes[at] as number;
      // Without its mark the stamp is only found where devices put it; elsewhere the message is missed.
      const isMark = at >= stampAt && at < stampAt + 3;
      const kind = isMark && bytes.length - stampLength - stampAt > 2 ? 'foreign' : 'damaged';
      for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 0x0f, 0xff, right]) {
        if (flip === 0) continue;
        bytes[at] = right ^ flip;
        if (read(bytes).kind !== kind) expect({ at, flip, kind: read(bytes).kind }).toEqual({ at, flip, kind });
      }
      bytes[at] = right;
    }
    expect(read(bytes).kind).toBe('intact');
  });

  it.each(shapes)('finds what is cut off or added to %s', (_, shape) => {
    const { bytes, stampAt } = stamped(shape());
    for (let length = 1; length < bytes.length; length++) {
      const kind = length < stampAt + stampLength ? 'foreign' : 'damaged';
      if (read(bytes.subarray(0, length)).kind !== kind) expect([length, kind]).toEqual('what was cut');
      if (read(bytes.subarray(length)).kind === 'intact') expect(length).toBe('found');
    }
    expect(read(Buffer.concat([bytes, Buffer.from(' ')])).kind).toBe('damaged');
    expect(read(Buffer.concat([Buffer.from(' '), bytes])).kind).toBe('damaged');
  });

  it('finds what was put into the place of something else', () => {
    const { bytes } = stamped(jsonPayload({ a: 1, b: 2 }));
    const swapped = String(bytes).replace('"a":1,"b":2', '"a":2,"b":1');
    expect(read(Buffer.from(swapped)).kind).toBe('damaged');
  });

  it('calls a stamp of another run foreign', () => {
    const { bytes } = stamped(jsonPayload({ value: 1 }));
    expect(read(bytes, run - 1)).toStrictEqual({ ...stamp, kind: 'foreign' });
  });

  it('calls a payload without a stamp foreign, and forgets what was read before', () => {
    const reading = emptyReading();
    readStamp(stamped(jsonPayload({})).bytes, run, reading);
    readStamp(Buffer.from('{"value":1}'), run, reading);
    expect(reading).toStrictEqual({ kind: 'foreign', client: 0, sequence: 0, dueAt: 0, qos: 0 });
  });

  it('calls no payload empty, and forgets what was read before', () => {
    const reading = emptyReading();
    readStamp(stamped(jsonPayload({})).bytes, run, reading);
    readStamp(Buffer.alloc(0), run, reading);
    expect(reading).toStrictEqual({ kind: 'empty', client: 0, sequence: 0, dueAt: 0, qos: 0 });
  });

  it('does not take a placeholder for a stamp', () => {
    expect(read(jsonPayload({ value: 1 }).bytes, 0).kind).toBe('damaged');
  });

  it.each(['~', '~S', '~S1', '~S1~S1', `~S1${'0'.repeat(40)}`, stampPlaceholder, `${stampPlaceholder}~S1`])(
    'is not led astray by %s in front of the stamp',
    (body) => {
      expect(read(stamped(binaryPayload(Buffer.from(body))).bytes).kind).toBe('intact');
      expect(read(stamped(jsonPayload({ body })).bytes).kind).toBe('intact');
      expect(read(stamped(between(body, 'behind')).bytes).kind).toBe('intact');
    },
  );

  it.each(['~', '~S', '~S1', 'some~S1more'])('is not led astray by %s behind the stamp', (body) => {
    expect(read(stamped(between('before', body)).bytes).kind).toBe('intact');
  });

  it('never throws, and takes nothing for a stamp that is none', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .constantFrom('~S1', '~S', '~', stampPlaceholder, '0'.repeat(43), 'f'.repeat(43))
        .map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.nat({ max: 0xffffff }), (pieces, ofRun) => {
        const payload = Buffer.concat(pieces);
        const { kind } = read(payload, ofRun);
        expect(payload.length === 0 ? ['empty'] : ['foreign', 'damaged']).toContain(kind);
      }),
      { numRuns: 2000 },
    );
  });
});
