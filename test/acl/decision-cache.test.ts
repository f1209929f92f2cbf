import { expect, test } from 'vitest';
import { DecisionCache } from '../../src/acl/decision-cache.ts';

test('answers are kept for each topic name and question on their own', () => {
  const cache = new DecisionCache();
  cache.set('a', 0, true);
  cache.set('a', 6, false);
  cache.set('__proto__', 1, true);
  expect([cache.get('a', 0), cache.get('a', 6), cache.get('a', 1)]).toEqual([true, false, undefined]);
  expect([cache.get('__proto__', 1), cache.get('__proto__', 0), cache.get('b', 0)]).toEqual([
    true,
    undefined,
    undefined,
  ]);
});

test('the thousand-and-first name makes it forget the others, and so do long ones; very long ones are not kept', () => {
  const cache = new DecisionCache();
  for (let i = 0; i < 1_000; i++) cache.set(`t${i}`, 0, true);
  expect(cache.get('t0', 0)).toBe(true);
  cache.set('one more', 0, true);
  expect([cache.get('t0', 0), cache.get('one more', 0)]).toEqual([undefined, true]);
  const long = (index: number): string => String(index).padStart(1_024, 'x');
  for (let i = 0; i < 65; i++) cache.set(long(i), 0, true);
  expect([cache.get('one more', 0), cache.get(long(0), 0), cache.get(long(64), 0)]).toEqual([
    undefined,
    undefined,
    true,
  ]);
  cache.set('z'.repeat(1_025), 0, true);
  expect([cache.get('z'.repeat(1_025), 0), cache.get(long(64), 0)]).toEqual([undefined, true]);
});
