import { describe, expect, test } from 'vitest';
import { CodecFuzzer, replayCodec } from './codec-fuzzer.ts';
import { GROWTH_FACTOR, measureGrowth } from './growth.ts';

/** Runs in `npm test`; `npm run fuzz -- --codec --bytes N` does any number. */
const BYTES = 150_000;
/** Far above linear and far below quadratic, which is 64. */
const FACTOR_MAX = GROWTH_FACTOR * 4;

describe('mutated packets in this process', () => {
  test.each([1, 2])('do nothing that no packet may do, seed %i', (seed) => {
    const { findings, refusals, packets } = new CodecFuzzer(seed).run(BYTES);
    expect(findings).toEqual([]);
    // They are taken in often enough, and refused for many reasons.
    expect(packets).toBeGreaterThan(BYTES / 100);
    expect([...refusals.keys()]).toEqual(expect.arrayContaining([0x81, 0x82, 0x84, 0x90, 0x94]));
  });

  test('are the same again with the same seed', () => {
    const hexOf = (seed: number): unknown => {
      const { inputs, packets, refusals } = new CodecFuzzer(seed).run(20_000);
      return { inputs, packets, refusals };
    };
    expect(hexOf(3)).toEqual(hexOf(3));
    expect(hexOf(3)).not.toEqual(hexOf(4));
  });

  test('can be tried again from a finding', () => {
    const finding = { target: 'codec' as const, text: '', seed: 1, version: 5 as const, transport: '' };
    expect(replayCodec({ ...finding, chunks: ['c0', '00', '30'] })).toBeUndefined();
  });

  test('take a time that grows with their length and no faster', () => {
    expect(measureGrowth().filter(({ factor }) => factor > FACTOR_MAX)).toEqual([]);
  });
});
