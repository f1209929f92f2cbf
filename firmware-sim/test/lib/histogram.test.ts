import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/lib/histogram.ts';
import { Random } from '../../src/lib/random.ts';

describe('Histogram', () => {
  it('says 0 of everything while it is empty', () => {
    const { count, ...rest } = new Histogram().percentiles();
    expect(count).toBe(0);
    expect(new Set(Object.values(rest))).toEqual(new Set([0]));
    expect(new Histogram().at(99)).toBe(0);
  });

  it('finds percentiles within a thousandth of those of the sorted values', () => {
    const random = new Random(2);
    const histogram = new Histogram();
    const values = Array.from({ length: 50_000 }, () => 1 + random.exponential(30));
    for (const value of values) histogram.record(value);
    values.sort((a, b) => a - b);
    for (const percentile of [1, 50, 90, 95, 99, 99.9, 100]) {
      const exact = values[Math.ceil((values.length * percentile) / 100) - 1] as number;
      expect(Math.abs(histogram.at(percentile) - exact) / exact).toBeLessThan(0.002);
    }
    const { count, p50, p999, mean, min, max } = histogram.percentiles();
    expect(count).toBe(50_000);
    expect([p50, p999]).toEqual([histogram.at(50), histogram.at(99.9)]);
    expect(mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 1);
    expect(Math.abs(min / (values[0] as number) - 1)).toBeLessThan(0.002);
    expect(Math.abs(max / (values.at(-1) as number) - 1)).toBeLessThan(0.002);
  });

  it('counts what is below a microsecond as one, and what is above an hour as an hour', () => {
    const histogram = new Histogram();
    for (const value of [0, 0.0001, -4]) histogram.record(value);
    expect(histogram.percentiles()).toMatchObject({ count: 3, min: 0.001, max: 0.001 });
    histogram.reset();
    histogram.record(7_200_000);
    histogram.record(Number.POSITIVE_INFINITY);
    expect(histogram.count).toBe(2);
    expect(Math.abs(histogram.at(100) / 3_600_000 - 1)).toBeLessThan(0.001);
  });

  it('adds up to what one histogram of all values is, empty ones included', () => {
    const parts = [new Histogram(), new Histogram(), new Histogram()];
    const whole = new Histogram();
    for (let value = 1; value <= 1000; value++) {
      parts[value % 2]?.record(value);
      whole.record(value);
    }
    const sum = new Histogram();
    for (const part of parts) sum.add(part);
    expect(sum.percentiles()).toEqual(whole.percentiles());
  });

  it('is shared with whoever gets its native part', () => {
    const histogram = new Histogram();
    const twin = new Histogram(histogram.native);
    twin.record(5);
    expect(histogram.count).toBe(1);
  });
});
