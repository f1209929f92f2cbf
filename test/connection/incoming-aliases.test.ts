import { expect, test } from 'vitest';
import { IncomingAliases } from '../../src/connection/incoming-aliases.ts';

test('an alias stands for the topic name it was set for last', () => {
  const aliases = new IncomingAliases();
  expect(aliases.get(1)).toBeUndefined();
  expect(aliases.set(1, 'a', 100)).toBe(true);
  expect(aliases.set(1, 'b', 100)).toBe(true);
  expect(aliases.set(65_535, 'c', 100)).toBe(true);
  expect([1, 65_535, 2].map((alias) => aliases.get(alias))).toEqual(['b', 'c', undefined]);
});

test('all topic names together have a limit, in bytes of UTF-8', () => {
  const aliases = new IncomingAliases();
  expect(aliases.set(1, 'ä'.repeat(4), 10)).toBe(true);
  expect(aliases.set(2, 'abc', 10)).toBe(false);
  expect(aliases.get(2)).toBeUndefined();
  expect(aliases.set(2, 'ab', 10)).toBe(true);
  expect(aliases.set(3, 'a', 10)).toBe(false);
});

test('what is set anew counts once, and one that does not fit leaves the old', () => {
  const aliases = new IncomingAliases();
  for (let i = 0; i < 1000; i++) {
    expect(aliases.set(1, 'same', 10)).toBe(true);
    expect(aliases.set(2, i % 2 === 0 ? 'even' : 'uneven', 10)).toBe(true);
  }
  expect(aliases.set(1, 'longer', 10)).toBe(false);
  expect(aliases.get(1)).toBe('same');
  expect(aliases.set(2, '', 10)).toBe(true);
  expect(aliases.set(1, 'ten bytes.', 10)).toBe(true);
});
