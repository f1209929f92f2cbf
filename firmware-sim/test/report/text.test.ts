import { describe, expect, test } from 'vitest';
import { cleanText, cutTo, fitLeft, fitRight, painter, wantsColour, widthOf, wrapText } from '../../src/report/text.ts';

describe('clean text', () => {
  test.each([
    ['plain – text ✓ 温度', 'plain – text ✓ 温度'],
    ['\u001b[2J', '\\x1b[2J'],
    ['a\r\nb\tc\u0000', 'a\\x0d\\x0ab\\x09c\\x00'],
    ['\u009b31m', '\\x9b31m'],
    ['\u007f', '\\x7f'],
    ['gnp.\u202egpj', 'gnp.\\u202egpj'],
    ['\u2066x\u2069\u200f\u061c', '\\u2066x\\u2069\\u200f\\u061c'],
    ['a\u2028b\u2029', 'a\\u2028b\\u2029'],
    ['\ud800', '\\ud800'],
    ['😀', '😀'],
  ])('%j becomes %j', (text, clean) => {
    expect(cleanText(text)).toBe(clean);
  });
});

describe('width', () => {
  test.each([
    ['abc', 3],
    ['温度', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['😀', 2],
    ['│█▁', 3],
    ['ｱ', 1],
    ['Ａ', 2],
  ])('%j takes %d columns', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  test('cutting keeps to the columns, wide characters included', () => {
    expect(cutTo('temperature', 6)).toBe('tempe…');
    expect(cutTo('abc', 3)).toBe('abc');
    expect(cutTo('温度計', 4)).toBe('温…');
    expect(cutTo('abc', 0)).toBe('');
    for (let columns = 0; columns < 12; columns++)
      expect(widthOf(cutTo('a温b度c計def', columns))).toBeLessThanOrEqual(columns);
  });

  test('fitting fills exactly', () => {
    expect(fitLeft('温', 5)).toBe('温   ');
    expect(fitRight('温', 5)).toBe('   温');
    expect(fitRight('abcdef', 3)).toBe('ab…');
  });

  test('wrapped lines keep to the columns and lose no word', () => {
    const text = `lost: tracker-7 was owed ${'x'.repeat(30)} on 温度温度温度温度温度`;
    const lines = wrapText(text, 12);
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(12);
    expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
    expect(wrapText('', 10)).toEqual([]);
  });
});

describe('colour', () => {
  test('is put around a text and ended behind it', () => {
    expect(painter(true)('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(painter(false)('red', 'x')).toBe('x');
  });

  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [false, { FORCE_COLOR: '' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [true, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  ])('on a terminal (%s) with %j: %s', (isTerminal, env, wanted) => {
    expect(wantsColour(isTerminal, env)).toBe(wanted);
  });
});
