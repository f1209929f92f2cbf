import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FilterTree } from '../../src/checker/filter-tree.ts';
import { naiveMatch } from './model/naive-match.ts';
import { matchingRows, topicFilters, topicNames } from './topics.ts';

describe('FilterTree', () => {
  it.each(matchingRows)('says of %s and %s: %s', (topicFilter, topicName, matches) => {
    const tree = new FilterTree<number>();
    tree.add(topicFilter, 1);
    expect(tree.match(topicName)).toEqual(matches ? [1] : []);
  });

  it('finds what a list of filters finds, whatever was added and removed', () => {
    const step = fc.record({ topicFilter: topicFilters, value: fc.nat({ max: 2 }), isAdded: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(topicNames, { minLength: 1 }), (steps, names) => {
        const tree = new FilterTree<string>();
        const list: { readonly topicFilter: string; readonly value: string }[] = [];
        for (const { topicFilter, value: number, isAdded } of steps) {
          const value = `${topicFilter} ${number}`;
          if (isAdded) {
            tree.add(topicFilter, value);
            list.push({ topicFilter, value });
          } else {
            tree.remove(topicFilter, value);
            const place = list.findIndex((one) => one.value === value);
            if (place !== -1) list.splice(place, 1);
          }
        }
        for (const name of names) {
          const expected = list.filter(({ topicFilter }) => naiveMatch(topicFilter, name)).map(({ value }) => value);
          expect(tree.match(name).toSorted()).toEqual(expected.toSorted());
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keeps what is above and below a filter that is removed', () => {
    const tree = new FilterTree<number>();
    tree.add('a', 1);
    tree.add('a/b', 2);
    tree.add('a/b/c', 3);
    tree.remove('a/b', 2);
    expect([tree.match('a'), tree.match('a/b'), tree.match('a/b/c')]).toEqual([[1], [], [3]]);
    tree.remove('a/b/c', 3);
    expect([tree.match('a'), tree.match('a/b/c')]).toEqual([[1], []]);
  });

  it('takes no notice when what is not there is removed', () => {
    const tree = new FilterTree<number>();
    tree.add('a/b', 1);
    tree.remove('a/b', 2);
    tree.remove('a', 1);
    tree.remove('a/b/c', 1);
    tree.remove('x', 1);
    expect(tree.match('a/b')).toEqual([1]);
  });

  it('removes a value once for each time', () => {
    const tree = new FilterTree<number>();
    tree.add('+', 1);
    tree.add('+', 1);
    tree.remove('+', 1);
    expect(tree.match('a')).toEqual([1]);
    tree.remove('+', 1);
    expect(tree.match('a')).toEqual([]);
  });
});
