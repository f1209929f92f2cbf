import { expect, it } from 'vitest';
import { asciiJson } from '../../src/devices/ascii-json.ts';

it('JSON in ASCII means the same', () => {
  for (const value of ['ü', '😀 and \ud800', '\u007f\u0080', { 'é"': ['\u2028', 1, null] }, '\\u00e9', '']) {
    const text = asciiJson(value);
    expect(text).toMatch(/^[\0-~]*$/);
    expect(Buffer.byteLength(text)).toBe(text.length);
    expect(JSON.parse(text)).toEqual(value);
  }
});
