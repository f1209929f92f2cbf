import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isValidTopicName,
  parseTopicFilter,
  topicLevels,
  topicMatches,
  validateTopicName,
} from '../../src/protocol/topic.ts';
import { KNOWN_PAIRS, naiveMatch, topicFilters, topicNames } from '../router/naive-match.ts';

describe('isValidTopicName', () => {
  test.each(['a', '/', 'a/b', '//', ' ', '$SYS/x', '\u00E9', 'x'.repeat(65_535)])('accepts %j', (name) => {
    expect(isValidTopicName(name)).toBe(true);
    expect(() => validateTopicName(name)).not.toThrow();
  });

  test.each(['', 'a/+', '#', 'a+b', 'a\0b', '\uD800', 'x'.repeat(65_536), '\u20AC'.repeat(21_846)])(
    'refuses %j',
    (name) => {
      expect(isValidTopicName(name)).toBe(false);
    },
  );

  test.each([
    ['', 0x82],
    ['a/#', 0x90],
    ['+', 0x90],
  ])('the codec refuses %j with reason code %i', (name, reasonCode) => {
    expect(() => validateTopicName(name)).toThrow(expect.objectContaining({ reasonCode }));
  });
});

describe('parseTopicFilter', () => {
  test.each([
    'a',
    '/',
    '+',
    '#',
    '+/+',
    'a/+/b',
    'a/#',
    '/#',
    '+/#',
    '/+',
    '$SYS/#',
    '$share',
    '$shared/a/b',
    'a/$share/b',
    ' ',
  ])('[MQTT-4.7.1-1] [MQTT-4.7.1-2] accepts %j', (filter) => {
    expect(parseTopicFilter(filter)).toEqual({ filter, shareName: '' });
  });

  test.each(['', 'a#', '#a', '#/a', 'a/#/b', '##', 'a+', '+a', 'a/b+/c', 'a/+b', '++', '#+', '+#', 'a\0', '\uDC00'])(
    '[MQTT-4.7.1-1] [MQTT-4.7.1-2] refuses %j',
    (filter) => {
      expect(parseTopicFilter(filter)).toBeUndefined();
    },
  );

  test.each([
    ['$share/g/a', 'a', 'g'],
    ['$share/g/a/+/#', 'a/+/#', 'g'],
    ['$share/g//', '/', 'g'],
    ['$share/g/#', '#', 'g'],
    ['$share/ /a', 'a', ' '],
    ['$share/$share/$share/g/a', '$share/g/a', '$share'],
  ])('[MQTT-4.8.2-1] [MQTT-4.8.2-2] takes %j apart', (topicFilter, filter, shareName) => {
    expect(parseTopicFilter(topicFilter)).toEqual({ filter, shareName });
  });

  test.each([
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//a',
    '$share/+/a',
    '$share/g#/a',
    '$share/#',
    '$share/g/a#',
    '$share/g/#/a',
  ])('[MQTT-4.8.2-1] [MQTT-4.8.2-2] refuses %j', (topicFilter) => {
    expect(parseTopicFilter(topicFilter)).toBeUndefined();
  });

  test('agrees with the definition by levels', () => {
    const filters = fc.array(fc.constantFrom('', 'a', '+', '#', 'a+', '#b', '++'), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(filters, (levels) => {
        const topicFilter = levels.join('/');
        const isValid =
          topicFilter !== '' &&
          levels.every((level, index) => {
            if (level === '#') return index === levels.length - 1;
            return level === '+' || !/[+#]/.test(level);
          });
        expect(parseTopicFilter(topicFilter) !== undefined).toBe(isValid);
      }),
    );
  });
});

test('topicLevels counts empty levels', () => {
  expect(['a', '/', 'a/b', '//', 'a/'].map(topicLevels)).toEqual([1, 2, 2, 3, 2]);
  expect(topicLevels('/'.repeat(65_535))).toBe(65_536);
});

describe('topicMatches', () => {
  test('says what the naive matcher says', () => {
    for (const [filter, name, matches] of KNOWN_PAIRS) expect(topicMatches(filter, name)).toBe(matches);
    fc.assert(
      fc.property(topicFilters, topicNames, (filter, name) => {
        expect(topicMatches(filter, name)).toBe(naiveMatch(filter, name));
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['a', 'a'],
    ['#', 'a'],
    ['#', '/'],
    ['#', 'a/b/c'],
    ['a/#', 'a'],
    ['a/#', 'a/'],
    ['a/#', 'a/b/c'],
    ['+/#', 'a'],
    ['a/+/#', 'a/b'],
    ['+', 'a'],
    ['+/+', '/'],
    ['/+', '/a'],
    ['a/+', 'a/'],
    ['a//b', 'a//b'],
    ['a/+/b', 'a//b'],
    ['$SYS/#', '$SYS/x'],
    ['$SYS/+', '$SYS/x'],
    ['a/+', 'a/$x'],
  ])('[MQTT-4.7.1-1] [MQTT-4.7.1-2] %j matches %j', (filter, name) => {
    expect(topicMatches(filter, name)).toBe(true);
  });

  test.each([
    ['a', 'b'],
    ['a', 'A'],
    ['a', 'a/'],
    ['a', '/a'],
    ['+', '/a'],
    ['+', 'a/b'],
    ['a/+', 'a'],
    ['a/+/#', 'a'],
    ['a/b/#', 'a'],
    ['/#', 'a'],
    ['#', '$SYS/x'],
    ['+/x', '$SYS/x'],
    ['+', '$x'],
    ['+/#', '$SYS'],
  ])('[MQTT-4.7.2-1] [MQTT-4.7.3-4] %j does not match %j', (filter, name) => {
    expect(topicMatches(filter, name)).toBe(false);
  });
});
