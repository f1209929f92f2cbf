import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ANY_LEVEL, covers, levelsOf, overlaps } from '../../src/acl/filter-algebra.ts';
import { allTopics, filterPattern } from './naive-rules.ts';

/** Levels that filters name, and two that none names: `z` and `$z`. */
const topics = allTopics(['', 'a', '$', 'z', '$z'], 5);

/** All filters of up to three levels over these. */
const filters = allTopics(['', 'a', '$', '+'], 3)
  .flatMap((filter) => [filter, `${filter}/#`])
  .concat('#', '/#');

function bitsOf(filter: string): bigint {
  const pattern = filterPattern(filter);
  return BigInt(`0b${topics.map((topic) => (pattern.test(topic) ? '1' : '0')).join('')}`);
}

test('covers and overlaps agree with topics written out, also where levels are left out, for every pair of filters of up to three levels', () => {
  const all = filters.map((filter) => ({ filter, levels: levelsOf(filter), bits: bitsOf(filter) }));
  const wrong: string[] = [];
  for (const one of all) {
    for (const other of all) {
      const isCovered = (one.bits & other.bits) === other.bits;
      const hasCommon = (one.bits & other.bits) !== 0n;
      if (covers(one.levels, other.levels) !== isCovered) wrong.push(`${one.filter} covers ${other.filter}`);
      if (overlaps(one.levels, other.levels) !== hasCommon) wrong.push(`${one.filter} overlaps ${other.filter}`);
      const cut = levelsOf(other.filter, one.levels.length + 1);
      if (covers(one.levels, cut) !== isCovered) wrong.push(`${one.filter} covers ${other.filter}, cut`);
      if (overlaps(one.levels, cut) !== hasCommon) wrong.push(`${one.filter} overlaps ${other.filter}, cut`);
    }
  }
  expect(all.length ** 2).toBeGreaterThan(25_000);
  expect(wrong).toEqual([]);
});

test('a level that stands for any text overlaps as written-out topics do, even those that begin with $', () => {
  const level = fc.constantFrom('', 'a', '$', '+', '§');
  const wild = fc.tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean());
  fc.assert(
    fc.property(wild, fc.constantFrom(...filters), ([levels, isOpen], other) => {
      const filter = [...levels, ...(isOpen ? ['#'] : [])].join('/');
      fc.pre(filter !== '' && !['#', '/#'].includes(filter));
      const own = levelsOf(filter).map((one) => (one === '§' ? ANY_LEVEL : one));
      expect(overlaps(own, levelsOf(other))).toBe((bitsOf(filter) & bitsOf(other)) !== 0n);
      expect(overlaps(levelsOf(other), own)).toBe((bitsOf(filter) & bitsOf(other)) !== 0n);
    }),
    { numRuns: 400 },
  );
});

test.each<[string, string, boolean]>([
  ['#', 'a/b', true],
  ['#', '$SYS/a', false],
  ['#', '#', true],
  ['+/#', '#', true],
  ['/+/#', '/#', true],
  ['a/#', 'a', true],
  ['a/#', 'a/#', true],
  ['a/+/#', 'a/#', false],
  ['a/+', 'a/b', true],
  ['a/b', 'a/+', false],
  ['+', '+/+', false],
  ['+/+', '/', true],
  ['$SYS/#', '$SYS', true],
  ['__proto__/+', '__proto__/constructor', true],
])('%s covers %s: %s', (outer, inner, expected) => {
  expect(covers(levelsOf(outer), levelsOf(inner))).toBe(expected);
});

test('the cost is linear: filters of 30,000 levels of + are compared 200 times within a test', () => {
  const long = levelsOf(`${'+/'.repeat(30_000)}a`);
  const other = levelsOf(`${'+/'.repeat(30_000)}b`);
  for (let i = 0; i < 200; i++) {
    expect(covers(long, other)).toBe(false);
    expect(overlaps(long, other)).toBe(false);
  }
});
