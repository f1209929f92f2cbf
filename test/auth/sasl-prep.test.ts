import { expect, test } from 'vitest';
import { saslPrep } from '../../src/auth/sasl-prep.ts';

test.each([
  // The examples of RFC 4013, section 3.
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aa', 'a'],
  ['\u2168', 'IX'],
  // Spaces are one, and what means nothing goes.
  ['a\u00a0b\u3000c', 'a b c'],
  ['a\u200bb', 'a b'],
  ['\ufeffa\u200d', 'a'],
  ['\ufb01sh', 'fish'],
  ['e\u0301', '\u00e9'],
  ['pass word!~', 'pass word!~'],
  ['\u{1f511}', '\u{1f511}'],
  ['пароль', 'пароль'],
])('%j is prepared to %j', (text, prepared) => {
  expect(saslPrep(text)).toBe(prepared);
  expect(saslPrep(prepared)).toBe(prepared);
});

test.each([
  '',
  '\u00ad',
  'a\u0007',
  'a\0',
  'a\u007f',
  'é\u0085',
  'é\u2028',
  'é\u202e',
  'é\u200e',
  'é\ue000',
  'é\ufffd',
  'é\ufffe',
  'é\ud800',
  'é\u{e0001}',
  'é\u{10ffff}',
  'é\u2ff0',
  'é\u0378',
])('%j is not allowed', (text) => {
  expect(saslPrep(text)).toBeUndefined();
});
