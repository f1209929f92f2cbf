import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeVariableByteInteger,
  encodeVariableByteInteger,
  VARIABLE_BYTE_INTEGER_MAX,
  variableByteIntegerLength,
} from '../../src/protocol/variable-byte-integer.ts';

describe('variable byte integers', () => {
  // The limits of table 1-1.
  test.each([
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [16_383, 'ff7f'],
    [16_384, '808001'],
    [2_097_151, 'ffff7f'],
    [2_097_152, '80808001'],
    [268_435_455, 'ffffff7f'],
  ])('%i is %s', (value, hex) => {
    const out = Buffer.alloc(6, 0xee);
    const end = encodeVariableByteInteger(out, 1, value);
    expect(out.subarray(1, end).toString('hex')).toBe(hex);
    expect(variableByteIntegerLength(value)).toBe(end - 1);
    expect(decodeVariableByteInteger(out, 1, end)).toBe(value);
  });

  test('every value comes back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: VARIABLE_BYTE_INTEGER_MAX }), (value) => {
        const out = Buffer.alloc(4);
        const end = encodeVariableByteInteger(out, 0, value);
        expect(end).toBe(variableByteIntegerLength(value));
        expect(decodeVariableByteInteger(out, 0, end)).toBe(value);
      }),
    );
  });

  test.each(['', '80', 'ffffff', '8000', '808000', '80808000', '8080808001', 'ffffffff7f'])('refuses %j', (hex) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(() => decodeVariableByteInteger(bytes, 0, bytes.length)).toThrow(
      expect.objectContaining({ reasonCode: 0x81 }),
    );
  });
});
