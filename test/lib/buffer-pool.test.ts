import { describe, expect, test } from 'vitest';
import { BufferPool } from '../../src/lib/buffer-pool.ts';

describe('a buffer pool', () => {
  test('hands out at least what was asked for, in powers of two up to 64 KiB', () => {
    const pool = new BufferPool();
    const sizes = [0, 1, 1024, 1025, 2048, 5000, 65_536, 65_537].map((length) => pool.take(length).length);
    expect(sizes).toEqual([1024, 1024, 1024, 2048, 2048, 8192, 65_536, 65_537]);
  });

  test('uses a buffer again once it was given back, for lengths of its size only', () => {
    const pool = new BufferPool();
    const buffer = pool.take(3000);
    pool.give(buffer);
    expect(pool.take(2048)).not.toBe(buffer);
    expect(pool.take(2049)).toBe(buffer);
    expect(pool.take(4096)).not.toBe(buffer);
  });

  test('keeps a bounded number of bytes', () => {
    const pool = new BufferPool();
    const given = new Set(Array.from({ length: 100 }, () => pool.take(65_536)));
    for (const buffer of given) pool.give(buffer);
    const huge = pool.take(100_000);
    pool.give(huge);
    const again = Array.from({ length: 100 }, () => pool.take(65_536)).filter((buffer) => given.has(buffer));
    expect(again.length).toBe(16);
    expect(pool.take(100_000)).not.toBe(huge);
  });
});
