import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OutgoingAliases } from '../../src/connection/outgoing-aliases.ts';

describe('outgoing topic aliases', () => {
  test('mean to a client what they mean to the broker, and stay within its maximum', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(12), { maxLength: 200 }), (max, topics) => {
        const aliases = new OutgoingAliases(max);
        /** What a client has been told. */
        const client = new Map<number, string>();
        for (const topic of topics) {
          const topicName = `t/${topic}`;
          let alias = aliases.known(topicName);
          if (alias === 0) {
            alias = aliases.assign(topicName);
            if (alias !== 0) client.set(alias, topicName);
          }
          expect(alias).toBeLessThanOrEqual(max);
          if (alias !== 0) expect(client.get(alias)).toBe(topicName);
        }
        expect(client.size).toBeLessThanOrEqual(max);
      }),
      { numRuns: 300 },
    );
  });

  test('are counted up from 1 and kept by topics as long as there are enough', () => {
    const aliases = new OutgoingAliases(3);
    expect(['a', 'b', 'c'].map((topic) => aliases.assign(topic))).toEqual([1, 2, 3]);
    expect(['a', 'b', 'c', 'd'].map((topic) => aliases.known(topic))).toEqual([1, 2, 3, 0]);
  });

  test('change hands where one was not used since it was given or looked at', () => {
    const aliases = new OutgoingAliases(3);
    for (const topic of ['a', 'b', 'c']) aliases.assign(topic);
    aliases.known('a');
    expect(aliases.assign('d')).toBe(2);
    expect(['a', 'b', 'c', 'd'].map((topic) => aliases.known(topic))).toEqual([1, 0, 3, 2]);
  });

  test('are refused to a newcomer while all looked at are in use', () => {
    const aliases = new OutgoingAliases(6);
    const topics = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const topic of topics) aliases.assign(topic);
    for (const topic of topics) aliases.known(topic);
    expect(aliases.assign('new')).toBe(0);
    expect(aliases.known('new')).toBe(0);
    expect(topics.map((topic) => aliases.known(topic))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('go to a newcomer that asks again where they were not looked at since', () => {
    const aliases = new OutgoingAliases(6);
    const topics = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const topic of topics) aliases.assign(topic);
    for (const topic of topics) aliases.known(topic);
    expect(aliases.assign('new')).toBe(0);
    aliases.known('a');
    expect(aliases.assign('new')).toBe(2);
    expect(['a', 'b', 'new'].map((topic) => aliases.known(topic))).toEqual([1, 0, 2]);
  });
});
