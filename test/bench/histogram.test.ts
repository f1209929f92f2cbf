import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from '../../bench/load/histogram.ts';

test('without values there are no quantiles', () => {
  expect(new Histogram().quantile(0.5)).toBeUndefined();
});

test('small values are exact', () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 100; value++) histogram.add(value);
  expect([0.01, 0.5, 0.99, 1].map((share) => histogram.quantile(share))).toEqual([1, 50, 99, 100]);
});

test('every quantile is off by less than 1.6 %', () => {
  const values = fc.array(fc.nat(2 ** 32 - 1), { minLength: 1 });
  const shares = fc.double({ min: 0.001, max: 1, noNaN: true });
  fc.assert(
    fc.property(values, shares, (numbers, share) => {
      const histogram = new Histogram();
      for (const number of numbers) histogram.add(number);
      const exact = numbers.toSorted((left, right) => left - right)[Math.ceil(share * numbers.length) - 1]!;
      expect(Math.abs(histogram.quantile(share)! - exact)).toBeLessThanOrEqual(exact * 0.016);
    }),
  );
});
