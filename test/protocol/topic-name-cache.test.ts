import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeTopicName } from '../../src/protocol/publish.ts';
import { TopicNameCache } from '../../src/protocol/topic-name-cache.ts';

test('a topic name that comes again is decoded from any buffer to the same value', () => {
  const cache = new TopicNameCache(16);
  const first = Buffer.from('xxa/bxx');
  const second = Buffer.from('a/b');
  expect(cache.decode(first, 2, 5)).toBe('a/b');
  expect(cache.decode(second, 0, 3)).toBe('a/b');
});

test('gives what decodeTopicName gives, refusals included, for any sequence of bytes', () => {
  // Few slots and a small alphabet, so that names collide and come again; characters whose code is a byte of others.
  const byte = fc.constantFrom(0x61, 0x62, 0x2f, 0xc3, 0xa9, 0xe9, 0x2b, 0x00);
  const names = fc.array(
    fc.array(byte, { maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    { minLength: 1, maxLength: 60 },
  );
  const outcome = (decode: () => string): string => {
    try {
      return decode();
    } catch (error) {
      return String(error);
    }
  };
  fc.assert(
    fc.property(names, (buffers) => {
      const cache = new TopicNameCache(4);
      for (const buffer of buffers) {
        const cached = outcome(() => cache.decode(buffer, 0, buffer.length));
        expect(cached).toBe(outcome(() => decodeTopicName(buffer, 0, buffer.length)));
      }
    }),
    { numRuns: 500 },
  );
});

test('long names pass through', () => {
  const cache = new TopicNameCache(4);
  const long = Buffer.alloc(65_535, 'a');
  expect(cache.decode(long, 0, long.length)).toBe('a'.repeat(65_535));
});
