import { describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.ts';

const draws = 100_000;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function take(count: number, draw: () => number): number[] {
  return Array.from({ length: count }, draw);
}

describe('Random', () => {
  it('repeats itself from the same seed, and not from another', () => {
    const first = new Random(7);
    const second = new Random(7);
    const other = new Random(8);
    const row = take(100, () => first.next());
    expect(take(100, () => second.next())).toEqual(row);
    expect(take(100, () => other.next())).not.toEqual(row);
  });

  it('draws the same today as ever, so that a seed of an old report still works', () => {
    const random = new Random(42);
    expect(take(4, () => random.below(1_000_000))).toMatchInlineSnapshot(`
      [
        672317,
        533901,
        632483,
        331738,
      ]
    `);
    expect(take(2, () => random.fork('device 1').below(1_000_000))).toMatchInlineSnapshot(`
      [
        759462,
        759462,
      ]
    `);
  });

  it('forks by name alone, whatever was drawn before', () => {
    const early = new Random(3).fork('sensor 17');
    const drawn = new Random(3);
    take(1000, () => drawn.next());
    const late = drawn.fork('sensor 17');
    expect(take(50, () => early.next())).toEqual(take(50, () => late.next()));
  });

  it('gives devices with neighbouring names rows that have nothing in common', () => {
    const parent = new Random(1);
    const firsts = Array.from({ length: 10_000 }, (_, index) => parent.fork(`sensor ${index}`).next());
    expect(new Set(firsts).size).toBeGreaterThan(9990);
    expect(mean(firsts)).toBeCloseTo(0.5, 1);
    const lag = firsts.slice(1).map((value, index) => (value - 0.5) * ((firsts[index] as number) - 0.5));
    expect(Math.abs(mean(lag))).toBeLessThan(0.005);
  });

  it('gives forks of forks their own rows', () => {
    const parent = new Random(1);
    expect(parent.fork('a').fork('b').next()).not.toBe(parent.fork('b').fork('a').next());
    expect(parent.fork('ab').next()).not.toBe(parent.fork('ba').next());
  });

  it('spreads evenly from 0 to below 1', () => {
    const random = new Random(5);
    const buckets = new Uint32Array(20);
    for (let draw = 0; draw < draws; draw++) {
      const bucket = Math.floor(random.next() * 20); // 20 and above are lost, and missed in the end
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(buckets.reduce((sum, count) => sum + count, 0)).toBe(draws);
    for (const count of buckets) expect(Math.abs(count - draws / 20)).toBeLessThan(draws / 20 / 10);
  });

  it('keeps within its bounds', () => {
    const random = new Random(9);
    const integers = new Set(take(1000, () => random.below(5)));
    expect(integers).toEqual(new Set([0, 1, 2, 3, 4]));
    expect(new Set(take(1000, () => random.pick(['a', 'b', 'c']) as never)).size).toBe(3);
    for (const value of take(1000, () => random.between(-3, 4))) expect(value >= -3 && value < 4).toBe(true);
    expect(random.below(1)).toBe(0);
    expect(take(100, () => (random.chance(0) ? 1 : 0)).includes(1)).toBe(false);
    expect(take(100, () => (random.chance(1) ? 1 : 0)).includes(0)).toBe(false);
  });

  it('has the means and deviations it is asked for', () => {
    const random = new Random(11);
    expect(mean(take(draws, () => (random.chance(0.3) ? 1 : 0)))).toBeCloseTo(0.3, 1);
    const waits = take(draws, () => random.exponential(20));
    expect(Math.min(...waits.slice(0, 1000))).toBeGreaterThanOrEqual(0);
    expect(Math.abs(mean(waits) - 20)).toBeLessThan(0.5);
    const heights = take(draws, () => random.normal(100, 15));
    expect(Math.abs(mean(heights) - 100)).toBeLessThan(0.5);
    const deviation = Math.sqrt(mean(heights.map((height) => (height - 100) ** 2)));
    expect(Math.abs(deviation - 15)).toBeLessThan(0.5);
  });
});
