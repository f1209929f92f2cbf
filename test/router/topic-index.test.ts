import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TopicIndex, type TopicPlace } from '../../src/router/topic-index.ts';

function namesFrom(index: TopicIndex, from: string, inclusive: boolean): string[] {
  const place: TopicPlace = { chunk: 0, offset: 0 };
  const names: string[] = [];
  index.seek(place, from, inclusive);
  for (let name = index.take(place); name !== undefined; name = index.take(place)) names.push(name);
  expect(index.take(place)).toBeUndefined();
  return names;
}

function inOrder(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => (a < b ? -1 : 1));
}

test('an empty index has nothing to walk', () => {
  expect(namesFrom(new TopicIndex(), '', true)).toEqual([]);
  expect(namesFrom(new TopicIndex(), 'a', false)).toEqual([]);
});

test('it walks the names in order from anywhere, over any number of chunks and after any removals', () => {
  const run = fc.record({
    start: fc.nat({ max: 3000 }),
    count: fc.integer({ min: 1, max: 1500 }),
    stride: fc.constantFrom(1, 2, 7),
    remove: fc.boolean(),
  });
  const nameOf = (number: number): string => `t/${number}`;
  fc.assert(
    fc.property(fc.array(run, { maxLength: 8 }), fc.array(fc.nat({ max: 3000 }), { maxLength: 5 }), (runs, starts) => {
      const index = new TopicIndex();
      const model = new Set<string>();
      for (const { start, count, stride, remove } of runs) {
        for (let i = 0; i < count; i++) {
          const name = nameOf(start + i * stride);
          if (remove && model.delete(name)) index.delete(name);
          if (remove || model.has(name)) continue;
          model.add(name);
          index.add(name);
        }
      }
      const sorted = inOrder(model);
      expect(namesFrom(index, '', true)).toEqual(sorted);
      for (const from of [...starts.map(nameOf), 't', 'u']) {
        expect(namesFrom(index, from, true)).toEqual(sorted.filter((name) => name >= from));
        expect(namesFrom(index, from, false)).toEqual(sorted.filter((name) => name > from));
      }
      for (const name of model) index.delete(name);
      expect(namesFrom(index, '', true)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test('a chunk that runs empty between two that are too full to join it goes', () => {
  const index = new TopicIndex();
  const nameOf = (number: number): string => `t/${String(number).padStart(5, '0')}`;
  // In ascending order each chunk is cut after 256 names; the extra ones fill the first.
  const names = Array.from({ length: 1000 }, (_, i) => nameOf(i));
  const extra = Array.from({ length: 200 }, (_, i) => `${nameOf(9)}/${i}`);
  for (const name of [...names, ...extra]) index.add(name);
  for (const name of names.slice(256, 512)) index.delete(name);
  const rest = inOrder([...names.slice(0, 256), ...extra, ...names.slice(512)]);
  expect(namesFrom(index, '', true)).toEqual(rest);
  expect(namesFrom(index, nameOf(300), true)).toEqual(names.slice(512));
  expect(namesFrom(index, nameOf(600), true)).toEqual(names.slice(600));
});
