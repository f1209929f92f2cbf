import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WildcardTrie } from '../../src/router/wildcard-trie.ts';
import { KNOWN_PAIRS, naiveMatch, topicFilters, topicNames } from './naive-match.ts';

function collect<V>(trie: WildcardTrie<V>, topicName: string): V[] {
  const found: V[] = [];
  trie.collect(topicName, found);
  return found;
}

function trieOf(filters: Iterable<string>): WildcardTrie<string> {
  const trie = new WildcardTrie<string>();
  for (const filter of filters) trie.set(filter, filter);
  return trie;
}

describe('the pairs of section 4.7', () => {
  for (const [filter, name, matches] of KNOWN_PAIRS) {
    test(`${filter} ${matches ? 'matches' : 'does not match'} ${name}`, () => {
      const trie = trieOf([filter]);
      expect(collect(trie, name)).toEqual(matches ? [filter] : []);
      expect(naiveMatch(filter, name)).toBe(matches);
    });
  }

  test('all filters at once find the same', () => {
    const trie = trieOf(KNOWN_PAIRS.map(([filter]) => filter));
    for (const [filter, name, matches] of KNOWN_PAIRS) expect(collect(trie, name).includes(filter)).toBe(matches);
  });
});

describe('against a naive model', () => {
  const change = fc.record({ filter: topicFilters, remove: fc.boolean(), value: fc.integer() });

  test('it finds what matches, keeps values by filter, and has the nodes of its filters and no more', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.array(topicNames, { maxLength: 12 }), (changes, names) => {
        const trie = new WildcardTrie<string>();
        const model = new Map<string, string>();
        for (const { filter, remove, value } of changes) {
          const removed = remove && trie.delete(filter);
          expect(removed).toBe(remove && model.delete(filter));
          if (!remove) {
            trie.set(filter, `${value} ${filter}`);
            model.set(filter, `${value} ${filter}`);
          }
          expect(trie.get(filter)).toBe(model.get(filter));
        }
        const fresh = new WildcardTrie<string>();
        for (const [filter, value] of model) fresh.set(filter, value);
        for (const name of names) {
          const found: string[] = [];
          const visited = trie.collect(name, found);
          const expected = [...model].filter(([filter]) => naiveMatch(filter, name)).map(([, value]) => value);
          expect(found.sort()).toEqual(expected.sort());
          expect(visited).toBe(fresh.collect(name, []));
        }
        for (const filter of model.keys()) expect(trie.delete(filter)).toBe(true);
        expect(trie.isEmpty).toBe(true);
      }),
      { numRuns: 1500 },
    );
  });
});

describe('the work of a match', () => {
  test('does not grow with unrelated filters', () => {
    const related = ['s/+/1', 's/1/#', '+/1/1', '#', 's/1/+'];
    const alone = trieOf(related).collect('s/1/1', []);
    const trie = trieOf(related);
    for (let i = 2; i < 20_000; i++) {
      trie.set(`s/+/${i}`, '');
      trie.set(`s/${i}/#`, '');
      trie.set(`${i}/+/1`, '');
    }
    expect(collect(trie, 's/1/1').sort()).toEqual(related.sort());
    expect(trie.collect('s/1/1', [])).toBeLessThanOrEqual(2 * alone);
  });

  test('stays within the nodes that exist where every level branches', () => {
    // The filters of 12 levels `a` or `+` fork at each level; 200 of them are far fewer than the 4,096 there could be.
    const filters = Array.from({ length: 200 }, (_, i) =>
      Array.from({ length: 12 }, (_unused, bit) => (((i * 20) >> bit) & 1 ? '+' : 'a')).join('/'),
    );
    const name = 'a/'.repeat(11) + 'a';
    const trie = trieOf(filters);
    expect(collect(trie, name).sort()).toEqual([...new Set(filters)].sort());
    expect(trie.collect(name, [])).toBeLessThanOrEqual(2 * new Set(filters).size);
  });

  test('of a name with 65,535 levels is that of the nodes it meets', () => {
    const deepest = '/'.repeat(65_534);
    const filters = [
      `${deepest}+`,
      `${deepest.slice(1)}+/#`,
      '+/'.repeat(32_767) + '+',
      `${'+/'.repeat(32_767)}#`,
      '/#',
    ];
    const trie = trieOf(filters);
    expect(trie.collect(deepest, [])).toBeLessThanOrEqual(10);
    // By index, so that a failure does not print the filters.
    const found = collect(trie, deepest).map((filter) => filters.indexOf(filter));
    expect(found.sort((a, b) => a - b)).toEqual([...filters.keys()].filter((i) => naiveMatch(filters[i]!, deepest)));
    expect(found.length).toBeGreaterThan(1);
    expect(collect(trie, `${deepest.slice(2)}a`).length).toBe(2);
    for (const filter of filters) expect(trie.delete(filter)).toBe(true);
    expect(trie.isEmpty).toBe(true);
  });
});

test('a filter that is only a part of another is not there', () => {
  const trie = trieOf(['a/b/+/c/d', 'a/b/+/e']);
  for (const filter of ['a', 'a/b', 'a/b/+', 'a/b/#', 'a/b/+/c', 'a/+', '+', '#']) {
    expect(trie.get(filter)).toBeUndefined();
    expect(trie.delete(filter)).toBe(false);
  }
  expect(collect(trie, 'a/b/x/c/d')).toEqual(['a/b/+/c/d']);
});
