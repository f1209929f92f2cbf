import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TopicMemory } from '../../src/connection/topic-memory.ts';

/** Names of which many come twice in a row, or differ in little. */
const topicName = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('t', 't/a', 't/b', 't/a/', 't/\u00e4') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }) },
);

describe('the memory of a topic name', () => {
  test('recalls the last one by its bytes, and no other', () => {
    fc.assert(
      fc.property(fc.array(topicName, { maxLength: 30 }), (names) => {
        const memory = new TopicMemory();
        let last: Buffer | undefined;
        for (const name of names) {
          const bytes = Buffer.from(name);
          const packet = Buffer.concat([Buffer.from('--'), bytes, Buffer.from('--')]);
          const recalled = memory.recall(packet, 2, 2 + bytes.length);
          expect(recalled).toBe(last !== undefined && last.equals(bytes) ? name : undefined);
          memory.remember(packet, 2, 2 + bytes.length, name);
          // The packet's chunk is not kept: other bytes may come to lie in it.
          packet.fill(0);
          last = bytes;
        }
      }),
    );
  });

  test('does not hold on to long names', () => {
    const memory = new TopicMemory();
    const short = Buffer.from('s'.repeat(256));
    memory.remember(short, 0, short.length, short.toString());
    const long = Buffer.from('l'.repeat(257));
    memory.remember(long, 0, long.length, long.toString());
    expect(memory.recall(long, 0, long.length)).toBeUndefined();
    expect(memory.recall(short, 0, short.length)).toBe(short.toString());
  });
});
