import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { RetainedTrie, type RetainedCursor } from '../../src/router/retained-trie.ts';
import { KNOWN_PAIRS, naiveMatch, topicFilters, topicNames } from './naive-match.ts';

function retained(topicName: string, payload = ''): Message {
  return new Message({ topicName, payload: Buffer.from(payload), qos: 1, retain: true });
}

function trieOf(topicNamesToSet: Iterable<string>): RetainedTrie {
  const trie = new RetainedTrie();
  for (const topicName of topicNamesToSet) trie.set(retained(topicName));
  return trie;
}

/** Walks to the end; fails when that takes more pages than there can be. */
function walk(cursor: RetainedCursor, limit = 10, maxVisits = 100): Message[] {
  const messages: Message[] = [];
  for (let pages = 0; !cursor.done; pages++) {
    expect(pages).toBeLessThan(100_000);
    const page = cursor.next(limit, maxVisits);
    expect(page.length).toBeLessThanOrEqual(limit);
    for (const message of page) messages.push(message);
  }
  expect(cursor.next(limit, maxVisits)).toEqual([]);
  return messages;
}

function names(messages: readonly Message[]): string[] {
  return messages.map((message) => message.topicName);
}

describe('the messages', () => {
  test('are replaced and removed, and counted', () => {
    const trie = new RetainedTrie();
    const first = retained('a/b', '12345');
    const second = retained('a/b', '1');
    expect(trie.set(first)).toBeUndefined();
    expect([trie.count, trie.bytes]).toEqual([1, 8]);
    expect(trie.set(second)).toBe(first);
    expect([trie.count, trie.bytes]).toEqual([1, 4]);
    expect(trie.get('a/b')).toBe(second);
    trie.set(retained('__proto__', '1'));
    expect([trie.count, trie.bytes]).toEqual([2, 14]);
    expect(trie.delete('a')).toBeUndefined();
    expect(trie.delete('a/b')).toBe(second);
    expect(trie.delete('a/b')).toBeUndefined();
    expect(trie.get('a/b')).toBeUndefined();
    expect([trie.count, trie.bytes]).toEqual([1, 10]);
  });
});

describe('the pairs of section 4.7', () => {
  for (const [filter, name, matches] of KNOWN_PAIRS) {
    test(`${filter} ${matches ? 'finds' : 'does not find'} ${name}`, () => {
      expect(names(walk(trieOf([name]).cursor(filter)))).toEqual(matches ? [name] : []);
    });
  }
});

describe('a cursor against a naive model', () => {
  const sizes = fc.record({ limit: fc.integer({ min: 1, max: 5 }), maxVisits: fc.integer({ min: 1, max: 6 }) });

  test('finds what matches, in pages of any size', () => {
    fc.assert(
      fc.property(fc.uniqueArray(topicNames, { maxLength: 60 }), topicFilters, sizes, (topics, filter, size) => {
        const found = names(walk(trieOf(topics).cursor(filter), size.limit, size.maxVisits));
        const expected = topics.filter((name) => naiveMatch(filter, name));
        expect([...found].sort()).toEqual(expected.sort());
      }),
      { numRuns: 1500 },
    );
  });

  test('gives what stays once and with its newest value, and nothing twice, whatever changes between pages', () => {
    const change = fc.record({ name: topicNames, remove: fc.boolean() });
    const changesPerPage = fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 30 });
    fc.assert(
      fc.property(
        fc.uniqueArray(topicNames, { maxLength: 60 }),
        topicFilters,
        sizes,
        changesPerPage,
        (topics, filter, size, changes) => {
          const trie = trieOf(topics);
          const everRemoved = new Set<string>();
          const cursor = trie.cursor(filter);
          const found = new Set<string>();
          for (let page = 0; !cursor.done; page++) {
            for (const message of cursor.next(size.limit, size.maxVisits)) {
              expect(found.has(message.topicName)).toBe(false);
              expect(naiveMatch(filter, message.topicName)).toBe(true);
              expect(trie.get(message.topicName)).toBe(message);
              found.add(message.topicName);
            }
            for (const { name, remove } of changes[page] ?? []) {
              if (remove && trie.delete(name) !== undefined) everRemoved.add(name);
              else if (!remove) trie.set(retained(name, `page ${page}`));
            }
          }
          const missing = topics.filter(
            (name) => naiveMatch(filter, name) && !everRemoved.has(name) && !found.has(name),
          );
          expect(missing).toEqual([]);
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe('the work of a cursor', () => {
  /** Names looked at to the end of the walk, as pages of one visit count them. */
  function visits(trie: RetainedTrie, filter: string): number {
    const cursor = trie.cursor(filter);
    let pages = 0;
    for (; !cursor.done; pages++) cursor.next(1, 1);
    return pages;
  }

  test('does not grow with topics that the filter cannot match', () => {
    const related = ['s/1/x', 's/2/x', 's/3/x', 's/3/y'];
    const trie = trieOf(related);
    const few = visits(trie, 's/+/x');
    for (let i = 0; i < 2000; i++) {
      trie.set(retained(`r/${i}/x`));
      trie.set(retained(`t/${i}/x`));
      trie.set(retained(`s/2/x/${i}`));
      trie.set(retained(`s/3/a${i}`));
    }
    expect(names(walk(trie.cursor('s/+/x')))).toEqual(['s/1/x', 's/2/x', 's/3/x']);
    expect(visits(trie, 's/+/x')).toBeLessThanOrEqual(2 * few + 4);
    expect(visits(trie, 's/1/x')).toBe(1);
    // Within a page names are skipped as well, not only from one to the next.
    expect(names(trie.cursor('s/+/x').next(10, 2 * few + 4))).toEqual(['s/1/x', 's/2/x', 's/3/x']);
  });

  test('of one page is bounded by maxVisits even when nothing matches', () => {
    const trie = new RetainedTrie();
    for (let i = 0; i < 5000; i++) trie.set(retained(`s/${i}/x`));
    const cursor = trie.cursor('+/+/y');
    let pages = 0;
    for (; !cursor.done; pages++) expect(cursor.next(10, 100)).toEqual([]);
    expect(pages).toBeGreaterThanOrEqual(50);
    expect(pages).toBeLessThanOrEqual(110);
  });

  test('counts a name of 65,535 levels for several, and skips what lies below a level at once', () => {
    const deepest = '/'.repeat(65_534);
    const topics = [deepest, `${deepest.slice(1)}a`, `a${deepest.slice(1)}`, 'a/b'];
    const trie = trieOf(topics);
    // By index, so that a failure does not print the names.
    const found = (filter: string): number[] => names(walk(trie.cursor(filter))).map((name) => topics.indexOf(name));
    expect(trie.cursor('#').next(10, 10).length).toBe(1);
    expect(found('#')).toEqual([0, 1, 2, 3]);
    expect(found('a/+')).toEqual([3]);
    expect(found('+/'.repeat(65_534) + '+')).toEqual([0]);
    expect(found('+/'.repeat(32_767) + '#')).toEqual([0, 1, 2]);
    expect(found(`${deepest.slice(1)}#`)).toEqual([0, 1]);
    expect(found(deepest)).toEqual([0]);
  });
});
