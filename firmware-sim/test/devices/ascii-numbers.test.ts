import { describe, expect, it } from 'vitest';
import { decimalLength, digitsOf, writeDecimal, writeInteger } from '../../src/devices/ascii-numbers.ts';
import { Random } from '../../src/lib/random.ts';

const bytes = Buffer.alloc(64);

function integer(value: number): string {
  bytes.fill('-');
  const end = writeInteger(bytes, 3, value);
  expect(bytes.toString('latin1', end)).toMatch(/^-+$/);
  expect(end).toBe(3 + digitsOf(value));
  return bytes.toString('latin1', 3, end);
}

function decimal(value: number): string {
  const end = writeDecimal(bytes, 3, value);
  expect(end).toBe(3 + decimalLength(value));
  return bytes.toString('latin1', 3, end);
}

describe('integers', () => {
  it('are written as String writes them', () => {
    const random = new Random(1);
    for (let bits = 0; bits <= 53; bits++) {
      for (const value of [2 ** bits - 1, 2 ** bits, Math.floor(random.next() * 2 ** bits)]) {
        expect(integer(value)).toBe(String(value));
      }
    }
    for (let power = 0; power < 16; power++) expect(integer(10 ** power)).toBe(String(10 ** power));
    expect(integer(1_700_000_000_000)).toBe('1700000000000');
    expect(integer(1_000_000_000_000 - 1)).toBe('999999999999');
  });
});

describe('numbers of three decimals', () => {
  it('are written as String writes them', () => {
    for (const value of [
      0, 1, -1, 0.001, -0.001, 0.01, 0.1, 0.12, 0.123, 10.02, -40.5, 999.999, 1e6, 123_456_789.5, 1e12,
    ]) {
      expect(decimal(value)).toBe(String(value));
    }
    const random = new Random(2);
    for (let round = 0; round < 20_000; round++) {
      const value = Math.round(random.between(-1, 1) * 10 ** random.below(12)) / 1000;
      expect(decimal(value)).toBe(String(value));
    }
  });

  it('have no minus before a zero', () => {
    expect(decimal(-0)).toBe('0');
  });
});
