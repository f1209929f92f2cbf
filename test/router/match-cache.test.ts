import { expect, test } from 'vitest';
import { MatchCache } from '../../src/router/match-cache.ts';

type Result = number[];

const one: Result = [1];

test('a result is found again until its name is deleted', () => {
  const cache = new MatchCache<Result>(10);
  cache.set('a', one);
  cache.set('__proto__', [2]);
  expect(cache.get('a')).toBe(one);
  expect(cache.get('__proto__')).toEqual([2]);
  cache.delete('a');
  expect(cache.get('a')).toBeUndefined();
  cache.clear();
  expect(cache.get('__proto__')).toBeUndefined();
  expect(cache.size).toBe(0);
});

test('it never holds more than its maximum', () => {
  const cache = new MatchCache<Result>(100);
  for (let i = 0; i < 1000; i++) {
    cache.set(`t/${i}`, one);
    expect(cache.size).toBeLessThanOrEqual(100);
    expect(cache.get(`t/${i}`)).toBe(one);
  }
  expect(cache.size).toBeGreaterThanOrEqual(50);
});

test('an entry that is used outlives any number of others', () => {
  const cache = new MatchCache<Result>(10);
  cache.set('used', one);
  cache.set('unused', one);
  for (let i = 0; i < 100; i++) {
    cache.set(`t/${i}`, one);
    expect(cache.get('used')).toBe(one);
    expect(cache.size).toBeLessThanOrEqual(10);
  }
  expect(cache.get('unused')).toBeUndefined();
});

test('an entry of either age can be deleted', () => {
  const cache = new MatchCache<Result>(4);
  for (const name of ['a', 'b', 'c']) cache.set(name, one);
  for (const name of ['a', 'b', 'c']) {
    cache.delete(name);
    expect(cache.get(name)).toBeUndefined();
  }
  expect(cache.size).toBe(0);
});

test('results with many takers do not fill memory', () => {
  const cache = new MatchCache<Result>(1000);
  const large: Result = Array.from({ length: 2000 }, () => 0);
  for (let i = 0; i < 100; i++) cache.set(`t/${i}`, large);
  expect(cache.size).toBeLessThanOrEqual(6);
  expect(cache.get('t/99')).toBe(large);
});

test('very long names are not kept, nor anything with a maximum of 0', () => {
  const cache = new MatchCache<Result>(10);
  cache.set('x'.repeat(65_535), one);
  expect(cache.size).toBe(0);
  const none = new MatchCache<Result>(0);
  none.set('a', one);
  expect(none.get('a')).toBeUndefined();
});
