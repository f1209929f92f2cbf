import { expect, test } from 'vitest';
import { Random } from './random.ts';

test('the same seed gives the same numbers, another seed others', () => {
  const numbers = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 100 }, () => random.next());
  };
  expect(numbers(1)).toEqual(numbers(1));
  expect(numbers(1)).not.toEqual(numbers(2));
  expect(new Set(numbers(3)).size).toBeGreaterThan(95);
});

test('numbers below a limit are spread over all of it', () => {
  const random = new Random(42);
  const counts = [0, 0, 0, 0, 0];
  for (let count = 0; count < 10_000; count++) {
    const value = random.below(5);
    counts[value] = (counts[value] ?? 0) + 1;
  }
  expect(counts).toHaveLength(5);
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(300);
});

test('chances come true about as often as they say', () => {
  const random = new Random(7);
  const hits = Array.from({ length: 10_000 }, () => random.chance(0.3)).filter(Boolean).length;
  expect(Math.abs(hits - 3000)).toBeLessThan(300);
  expect([random.chance(0), random.chance(1)]).toEqual([false, true]);
});

test('random bytes take all values', () => {
  expect(new Set(new Random(1).bytes(10_000)).size).toBe(256);
});
