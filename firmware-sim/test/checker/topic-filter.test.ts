import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasWildcard, sharedFilter, topicMatches } from '../../src/checker/topic-filter.ts';
import { naiveMatch } from './model/naive-match.ts';
import { matchingRows, topicFilters, topicNames } from './topics.ts';

describe('topicMatches', () => {
  it.each(matchingRows)('says of %s and %s: %s', (topicFilter, topicName, matches) => {
    expect(topicMatches(topicFilter, topicName)).toBe(matches);
  });

  it('says what a slow and obvious matcher says', () => {
    fc.assert(
      fc.property(topicFilters, topicNames, (topicFilter, topicName) => {
        expect(topicMatches(topicFilter, topicName)).toBe(naiveMatch(topicFilter, topicName));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('sharedFilter', () => {
  it.each([
    ['$share/group/a/+/#', { shareName: 'group', topicFilter: 'a/+/#' }],
    ['$share/g/#', { shareName: 'g', topicFilter: '#' }],
    ['$share/g//a', { shareName: 'g', topicFilter: '/a' }],
    ['$share/g/$share/h/a', { shareName: 'g', topicFilter: '$share/h/a' }],
    ['$share/group', undefined],
    ['$share//a', undefined],
    ['$shared/g/a', undefined],
    ['$SYS/g/a', undefined],
    ['a/$share/g/b', undefined],
    ['#', undefined],
  ])('takes %s apart', (topicFilter, parts) => {
    expect(sharedFilter(topicFilter)).toStrictEqual(parts);
  });
});

describe('hasWildcard', () => {
  it.each([
    ['a/b', false],
    ['', false],
    ['#', true],
    ['+', true],
    ['a/+/b', true],
    ['a/#', true],
    ['$SYS/broker', false],
  ])('says of %s: %s', (topicFilter, has) => {
    expect(hasWildcard(topicFilter)).toBe(has);
  });
});
