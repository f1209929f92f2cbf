import { expect, test } from 'vitest';
import { isFitName, isModest, readGrants, readRoles } from '../../src/auth/claims.ts';

test('names are strings of 1 to 256 characters', () => {
  for (const name of ['a', 'sensor-1.example', 'Zoë', '__proto__', '#', 'a b', 'x'.repeat(256)]) {
    expect(isFitName(name), name).toBe(true);
  }
  for (const name of ['', 'x'.repeat(257), undefined, null, 7, {}, ['a']]) expect(isFitName(name)).toBe(false);
});

test('names with characters that deceive are refused', () => {
  for (const bad of ['\0', '\n', '\u001b', '\u007f', '\u0085', '\ud800', '\u2028', '\u202e', '\u2066']) {
    expect(isFitName(`a${bad}b`), JSON.stringify(bad)).toBe(false);
  }
});

test('roles are one name or a list of names', () => {
  expect(readRoles('sensor')).toEqual(['sensor']);
  expect(readRoles(['a', 'b'])).toEqual(['a', 'b']);
  expect(readRoles([])).toEqual([]);
});

test.each([
  [7],
  [null],
  [undefined],
  [{}],
  [''],
  [['a', 7]],
  [[['a']]],
  [['a\n']],
  [Array.from({ length: 65 }, () => 'a')],
])('roles such as %j are refused', (value) => {
  expect(readRoles(value)).toBeUndefined();
});

test('grants are read from lists of topic filters', () => {
  expect(readGrants({ pub: ['a/b'], sub: ['a/+', '$SYS/#'], all: ['#'] })).toEqual([
    { action: 'publish', topicFilter: 'a/b' },
    { action: 'subscribe', topicFilter: 'a/+' },
    { action: 'subscribe', topicFilter: '$SYS/#' },
    { action: 'publish', topicFilter: '#' },
    { action: 'subscribe', topicFilter: '#' },
  ]);
  expect(readGrants({})).toEqual([]);
});

test.each([
  ['no object', ['a']],
  ['null', null],
  ['text', 'a/#'],
  ['an unknown key', { pub: ['a'], deny: ['b'] }],
  ['a key of every object', JSON.parse('{"__proto__": ["a"]}')],
  ['a text for a list', { pub: 'a/#' }],
  ['a number in a list', { pub: [1] }],
  ['an empty filter', { pub: [''] }],
  ['a wildcard that is not alone', { sub: ['a/b#'] }],
  ['U+0000', { sub: ['a\0'] }],
  ['half a surrogate', { sub: ['a\ud800'] }],
  ['a shared subscription', { sub: ['$share/g/a'] }],
  ['too many', { sub: Array.from({ length: 257 }, () => 'a') }],
  ['too many in all', { all: Array.from({ length: 129 }, () => 'a') }],
])('grants with %s are refused', (_name, value) => {
  expect(readGrants(value)).toBeUndefined();
});

test('depth and number of values are bounded', () => {
  expect(isModest({ a: [1, { b: 2 }] }, 3, 10)).toBe(true);
  expect(isModest({ a: [1, { b: 2 }] }, 2, 10)).toBe(false);
  expect(isModest([1, 2, 3], 1, 4)).toBe(true);
  expect(isModest([1, 2, 3], 1, 3)).toBe(false);
  expect(isModest(JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)), 8, 100_000)).toBe(false);
});
