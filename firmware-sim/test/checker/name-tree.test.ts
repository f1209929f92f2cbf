import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameTree } from '../../src/checker/name-tree.ts';
import { naiveMatch } from './model/naive-match.ts';
import { matchingRows, topicFilters, topicNames } from './topics.ts';

describe('NameTree', () => {
  it.each(matchingRows)('says of %s and %s: %s', (topicFilter, topicName, matches) => {
    const tree = new NameTree<number>();
    tree.set(topicName, 1);
    expect(tree.match(topicFilter)).toEqual(matches ? [1] : []);
  });

  it('finds what a list of names finds', () => {
    fc.assert(
      fc.property(
        fc.array(topicNames, { maxLength: 40 }),
        fc.array(topicFilters, { minLength: 1 }),
        (names, filters) => {
          const tree = new NameTree<string>();
          for (const name of names) tree.set(name, name);
          for (const topicFilter of filters) {
            const expected = [...new Set(names)].filter((name) => naiveMatch(topicFilter, name));
            expect(tree.match(topicFilter).toSorted()).toEqual(expected.toSorted());
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('finds only the last value of a name', () => {
    const tree = new NameTree<number>();
    tree.set('a/b', 1);
    tree.set('a/b', 2);
    expect([tree.match('a/b'), tree.match('#')]).toEqual([[2], [2]]);
  });

  it('finds nothing at a name that only has names below it', () => {
    const tree = new NameTree<number>();
    tree.set('a/b/c', 1);
    expect([tree.match('a/b'), tree.match('a/+'), tree.match('a/b/#')]).toEqual([[], [], [1]]);
  });

  it('finds nothing where there are no names', () => {
    expect(new NameTree<number>().match('#')).toEqual([]);
  });
});
