import { describe, expect, it } from 'vitest';
import { TopicNames } from '../../src/client/topic-names.ts';

describe('TopicNames', () => {
  const read = (names: TopicNames, text: string): string => {
    const bytes = Buffer.from(`<${text}>`);
    return names.read(bytes, 1, bytes.length - 1);
  };

  it('reads every name right although all share one slot', () => {
    const names = new TopicNames(1);
    for (const text of ['a', 'b', 'a', 'aa', 'é', 'x'.repeat(1000), 'a']) expect(read(names, text)).toBe(text);
  });

  it('keeps its own bytes of a name', () => {
    const names = new TopicNames(1);
    const bytes = Buffer.from('abc');
    names.read(bytes, 0, 3);
    bytes.write('xyz');
    expect(names.read(bytes, 0, 3)).toBe('xyz');
    expect(names.read(Buffer.from('xyz'), 0, 3)).toBe('xyz');
  });
});
