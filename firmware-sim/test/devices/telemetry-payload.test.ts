import { describe, expect, it } from 'vitest';
import { emptyReading, readStamp, stampLength, writeStamp } from '../../src/checker/stamp.ts';
import { planPayloads } from '../../src/devices/telemetry-payload.ts';
import { Random } from '../../src/lib/random.ts';
import type { Telemetry } from '../../src/scenario/scenario.ts';
import { row } from './scene.ts';

const owner = { device: 'd-1', index: 0, random: new Random(1) };
const stamp = { client: 5, sequence: 77, dueAt: 1_700_000_000_123.5, qos: 1 };

function payloads(more: Partial<Telemetry>, device = 'd-1') {
  return planPayloads({ ...row, ...more }).source({ ...owner, device });
}

/** Stamps a payload as the agent does, checks the stamp, and parses the rest. */
function parse(payload: { bytes: Buffer; stampAt: number }): Record<string, unknown> {
  writeStamp(payload, 9, stamp);
  const reading = emptyReading();
  readStamp(payload.bytes, 9, reading);
  expect(reading).toEqual({ kind: 'intact', ...stamp });
  expect(payload.stampAt).toBe(payload.bytes.length - 2 - stampLength);
  const { sim, ...value } = JSON.parse(payload.bytes.toString()) as Record<string, unknown>;
  expect(String(sim)).toHaveLength(stampLength);
  return value;
}

describe('JSON payloads', () => {
  it('say device, sequence, time and value, and end with the stamp', () => {
    const source = payloads({});
    expect(parse(source.next(1_700_000_000_000.4))).toEqual({
      device: 'd-1',
      seq: 1,
      time: 1_700_000_000_000,
      value: 7,
    });
    expect(parse(source.next(1_700_000_001_000))).toEqual({ device: 'd-1', seq: 2, time: 1_700_000_001_000, value: 7 });
  });

  it('are valid whatever the device is called', () => {
    for (const device of ['a"b', 'back\\slash', 'ümlaut', '😀', '\u2028', '\0', '~S1', 'x'.repeat(300)]) {
      expect(parse(payloads({}, device).next(0))['device']).toBe(device);
    }
  });

  it('are as long as they have to be at least, to the byte where there is room for padding', () => {
    const bare = payloads({}).next(0).bytes.length;
    expect(payloads({ sizeBytes: bare }).next(0).bytes).toHaveLength(bare);
    for (const sizeBytes of [bare + 10, bare + 11, 1000, 65_536]) {
      const payload = payloads({ sizeBytes }, 'd-1').next(0);
      expect(payload.bytes).toHaveLength(sizeBytes);
      expect(parse(payload)['pad']).toMatch(/^x+$/);
    }
  });

  it('are not shorter than asked for by less than a member', () => {
    const bare = payloads({}).next(0).bytes.length;
    for (let missing = 1; missing < 12; missing++) {
      const payload = payloads({ sizeBytes: bare + missing }).next(0);
      expect(payload.bytes.length).toBeGreaterThanOrEqual(bare + missing);
      parse(payload);
    }
  });

  it('are new each time: the network keeps them', () => {
    const source = payloads({});
    const first = source.next(0);
    const before = Buffer.from(first.bytes);
    source.next(5);
    expect(first.bytes).toEqual(before);
  });

  it('have columns of a table in place of their own members', () => {
    const csv = payloads({
      model: { model: 'csv', header: ['time', 'device', 'pad', 'seq'], rows: [['a', 'b', 'c', 'd']] },
      sizeBytes: 500,
    });
    expect(parse(csv.next(0))).toEqual({ time: 'a', device: 'b', pad: 'c', seq: 'd' });
  });

  it('are the template alone, where there is one', () => {
    const model = { model: 'template', template: { a: { b: '{counter}' } } } as const;
    expect(parse(payloads({ model }).next(0))).toEqual({ a: { b: 1 } });
    expect(parse(payloads({ model: { model: 'template', template: {} } }).next(0))).toEqual({});
  });
});

describe('binary payloads', () => {
  it('have sequence, time and value at the beginning, the stamp at the end, and the size that was asked for', () => {
    const source = payloads({ format: 'binary', sizeBytes: 500 });
    source.next(0);
    const payload = source.next(1234.5);
    expect(payload.bytes).toHaveLength(500);
    expect(payload.stampAt).toBe(500 - stampLength);
    expect(payload.bytes.readUInt32BE(0)).toBe(2);
    expect(payload.bytes.readDoubleBE(4)).toBe(1234.5);
    expect(payload.bytes.readDoubleBE(12)).toBe(7);
    writeStamp(payload, 9, stamp);
    const reading = emptyReading();
    readStamp(payload.bytes, 9, reading);
    expect(reading).toEqual({ kind: 'intact', ...stamp });
  });

  it('are no shorter than head and stamp', () => {
    expect(payloads({ format: 'binary', sizeBytes: 0 }).next(0).bytes).toHaveLength(20 + stampLength);
  });

  it('are new each time', () => {
    const source = payloads({ format: 'binary' });
    const first = source.next(0);
    const second = source.next(0);
    expect(first.bytes.readUInt32BE(0)).toBe(1);
    expect(second.bytes.readUInt32BE(0)).toBe(2);
  });
});
