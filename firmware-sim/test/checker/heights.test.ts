import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heights } from '../../src/checker/heights.ts';

describe('Heights', () => {
  it('knows of no row at first', () => {
    const heights = new Heights();
    expect([heights.get(0), heights.get(1000)]).toEqual([0, 0]);
  });

  it('knows what a map knows, for few rows and for many, near and far', () => {
    const row = fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 3000 }), fc.nat({ max: 20_000 }));
    const steps = fc.array(fc.tuple(row, fc.nat({ max: 0xffffffff })), { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(steps, (all) => {
        const heights = new Heights();
        const map = new Map<number, number>();
        for (const [at, sequence] of all) {
          heights.set(at, sequence);
          map.set(at, sequence);
          if (heights.get(at) !== sequence)
            expect({ row: at, sequence: heights.get(at) }).toEqual({ row: at, sequence });
        }
        const rows = [...map.keys(), ...[...map.keys()].map((at) => at + 1), 20_001, 1_000_000];
        expect(rows.map((at) => heights.get(at))).toEqual(rows.map((at) => map.get(at) ?? 0));
      }),
    );
  });

  it('keeps every row while it turns into an array, and while that grows', () => {
    const heights = new Heights();
    const rows = Array.from({ length: 5000 }, (_, place) => place);
    heights.set(4500, 9);
    for (const row of rows.slice(0, 70)) heights.set(row, row + 1);
    expect([heights.get(4500), heights.get(0), heights.get(69), heights.get(70)]).toEqual([9, 1, 70, 0]);
    heights.set(20_000, 7);
    expect([heights.get(4500), heights.get(20_000), heights.get(19_999)]).toEqual([9, 7, 0]);
    for (const row of rows) heights.set(row, row + 2);
    expect(rows.map((row) => heights.get(row))).toEqual(rows.map((row) => row + 2));
    expect([heights.get(5000), heights.get(20_000)]).toEqual([0, 7]);
  });
});
