import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Qos } from '../../src/protocol/packets.ts';
import { takerList } from '../../src/router/taker.ts';
import { TopicTrie, type Taker, type Takers, type TrieSubscription } from '../../src/router/topic-trie.ts';
import { KNOWN_PAIRS, naiveMatch, topicFilters, topicNames } from './naive-match.ts';

interface Client {
  id: number;
}

const clients: Client[] = Array.from({ length: 4 }, (_, id) => ({ id }));
const plain: TrieSubscription = { qos: 1, noLocal: false, retainAsPublished: false, subscriptionIdentifier: 0 };

function newTrie(overlap: 'once' | 'per-subscription' = 'once', cacheMax = 100): TopicTrie<Client> {
  return new TopicTrie<Client>({ overlap, cacheMax });
}

const subscriptions: fc.Arbitrary<TrieSubscription> = fc.record({
  qos: fc.constantFrom<Qos>(0, 1, 2),
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  subscriptionIdentifier: fc.constantFrom(0, 1, 2, 268_435_455),
});

interface Row {
  client: number;
  qos: number;
  retainAsPublished: boolean;
  identifiers: readonly number[];
  /** What the client itself gets of its own message. */
  own: Omit<Row, 'client' | 'own'> | undefined;
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

function ascending(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

/** What the takers of a match say, in an order that does not depend on the walk. */
function rowsOf(result: Takers<Client>): Row[] {
  const gist = (taker: Taker<Client>): Omit<Row, 'client' | 'own'> => ({
    qos: taker.qos,
    retainAsPublished: taker.retainAsPublished,
    identifiers: ascending(taker.subscriptionIdentifiers),
  });
  return takerList(result)
    .map((taker) => {
      expect(taker.noLocal).toBe(taker.forPublisher === undefined);
      return {
        client: taker.subscriber.id,
        ...gist(taker),
        own: taker.forPublisher === undefined ? undefined : gist(taker.forPublisher),
      };
    })
    .sort(byText);
}

function merged(list: readonly TrieSubscription[]): Omit<Row, 'client' | 'own'> | undefined {
  if (list.length === 0) return undefined;
  return {
    qos: Math.max(...list.map((subscription) => subscription.qos)),
    retainAsPublished: list.some((subscription) => subscription.retainAsPublished),
    identifiers: ascending(list.map((subscription) => subscription.subscriptionIdentifier).filter((id) => id !== 0)),
  };
}

/** What a match has to say, from a list of all subscriptions. */
function naiveRows(
  model: ReadonlyMap<Client, ReadonlyMap<string, TrieSubscription>>,
  name: string,
  once: boolean,
): Row[] {
  const rows: Row[] = [];
  for (const [client, filters] of model) {
    const matching = [...filters]
      .filter(([filter]) => naiveMatch(filter, name))
      .map(([, subscription]) => subscription);
    const groups = once ? [matching] : matching.map((subscription) => [subscription]);
    for (const group of groups) {
      const row = merged(group);
      const own = merged(group.filter((subscription) => !subscription.noLocal));
      if (row !== undefined) rows.push({ client: client.id, ...row, own });
    }
  }
  return rows.sort(byText);
}

describe('the pairs of section 4.7', () => {
  for (const [filter, name, matches] of KNOWN_PAIRS) {
    test(`${filter} ${matches ? 'takes' : 'does not take'} ${name}`, () => {
      const trie = newTrie();
      trie.add(filter, clients[0]!, plain);
      expect(takerList(trie.match(name)).length).toBe(matches ? 1 : 0);
    });
  }
});

type Model = Map<Client, Map<string, TrieSubscription>>;

/** Does to both what a step says, and compares what they answer. */
function addToBoth(
  trie: TopicTrie<Client>,
  model: Model,
  client: Client,
  step: { filter: string; on: TrieSubscription },
): void {
  const filters = model.get(client)!;
  expect(trie.add(step.filter, client, step.on)).toBe(!filters.has(step.filter));
  filters.set(step.filter, step.on);
}

function removeFromBoth(trie: TopicTrie<Client>, model: Model, client: Client, filter: string): void {
  expect(trie.remove(filter, client)).toBe(model.get(client)!.delete(filter));
}

describe('against a naive model', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), filter: topicFilters, on: subscriptions }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), filter: topicFilters }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('match' as const), name: topicNames }) },
  );
  const steps = fc.array(fc.tuple(step, fc.integer({ min: 0, max: clients.length - 1 })), { maxLength: 60 });

  for (const overlap of ['once', 'per-subscription'] as const) {
    for (const cacheMax of [0, 4, 100]) {
      test(`overlap ${overlap} with a cache of ${cacheMax}`, () => {
        fc.assert(
          fc.property(steps, (list) => {
            const trie = newTrie(overlap, cacheMax);
            const model: Model = new Map(clients.map((client) => [client, new Map()]));
            const held = new Map<Takers<Client>, Row[]>();
            for (const [action, index] of list) {
              const client = clients[index]!;
              if (action.do === 'add') addToBoth(trie, model, client, action);
              else if (action.do === 'remove') removeFromBoth(trie, model, client, action.filter);
              else {
                const result = trie.match(action.name);
                expect(rowsOf(result)).toEqual(naiveRows(model, action.name, overlap === 'once'));
                held.set(result, rowsOf(result));
              }
            }
            // What was found stays as it was, whatever changed since.
            for (const [result, rows] of held) expect(rowsOf(result)).toEqual(rows);
            expect(trie.size).toBe([...model.values()].reduce((sum, filters) => sum + filters.size, 0));
          }),
          { numRuns: 300 },
        );
      });
    }
  }
});

describe('what is kept of a match', () => {
  test('is the list, until a filter that concerns it changes', () => {
    const trie = newTrie();
    for (const client of clients) trie.add('a', client, plain);
    const kept = trie.match('a');
    trie.add('b', clients[0]!, plain);
    expect(trie.match('b')).not.toBe(kept);
    expect(trie.match('a')).toBe(kept);
    trie.remove('a', clients[1]!);
    expect(trie.match('a')).not.toBe(kept);
    expect(takerList(kept).length).toBe(clients.length);
    const other = trie.match('a');
    trie.add('b/+', clients[0]!, plain);
    expect(trie.match('a')).not.toBe(other);
    expect(takerList(trie.match('a')).length).toBe(clients.length - 1);
  });

  test('is nothing where one subscription matches: its taker is the result, without a list', () => {
    const trie = newTrie('once', 0);
    trie.add('a/b', clients[0]!, plain);
    trie.add('s/+/t', clients[1]!, plain);
    const exact = trie.match('a/b');
    const wildcard = trie.match('s/1/t');
    expect(trie.match('a/b')).toBe(exact);
    expect(trie.match('s/2/t')).toBe(wildcard);
    expect(rowsOf(exact).map(({ client }) => client)).toEqual([0]);
    expect(rowsOf(wildcard).map(({ client }) => client)).toEqual([1]);
    expect(trie.match('nobody')).toBe(trie.match('no/one'));
  });
});

test('a match can be walked while its subscriptions change', () => {
  const trie = newTrie();
  for (const client of clients) trie.add('a/#', client, plain);
  const taken: number[] = [];
  for (const taker of takerList(trie.match('a/b'))) {
    taken.push(taker.subscriber.id);
    for (const client of clients) trie.remove('a/#', client);
  }
  expect(taken).toEqual(clients.map((client) => client.id));
  expect(trie.match('a/b')).toEqual([]);
});

test('overlapping subscriptions are merged, or not, as the option says', () => {
  for (const overlap of ['once', 'per-subscription'] as const) {
    const trie = newTrie(overlap);
    trie.add('a/b', clients[0]!, { ...plain, subscriptionIdentifier: 1 });
    trie.add('a/+', clients[0]!, { ...plain, qos: 2, subscriptionIdentifier: 2 });
    trie.add('a/#', clients[1]!, plain);
    const identifiers = takerList(trie.match('a/b')).map((taker) => [
      taker.subscriber.id,
      taker.subscriptionIdentifiers,
    ]);
    const once = [
      [0, [1, 2]],
      [1, []],
    ];
    const each = [
      [0, [1]],
      [0, [2]],
      [1, []],
    ];
    expect(identifiers.sort(byText)).toEqual(overlap === 'once' ? once : each);
  }
});

test('overlapping subscriptions of thousands of clients are merged', () => {
  const trie = newTrie();
  const many = Array.from({ length: 5000 }, (_, id) => ({ id }));
  for (const client of many) {
    trie.add('a/b', client, plain);
    trie.add('a/+', client, { ...plain, qos: 2, subscriptionIdentifier: 5 });
    trie.add('#', client, { ...plain, qos: 0, subscriptionIdentifier: 6 });
  }
  const takers = takerList(trie.match('a/b'));
  expect(new Set(takers.map((taker) => taker.subscriber)).size).toBe(many.length);
  expect(takers.length).toBe(many.length);
  for (const taker of takers) {
    expect(taker.qos).toBe(2);
    expect(ascending(taker.subscriptionIdentifiers)).toEqual([5, 6]);
  }
});

test('filters and names of 65,535 levels are matched', () => {
  const trie = newTrie();
  const deepest = '/'.repeat(65_534);
  trie.add(deepest, clients[0]!, plain);
  trie.add(`${deepest.slice(1)}+`, clients[1]!, plain);
  trie.add('+/'.repeat(32_766) + '#', clients[2]!, plain);
  expect(takerList(trie.match(deepest)).map((taker) => taker.subscriber.id)).toEqual([0, 2]);
  expect(takerList(trie.match(deepest.slice(1))).map((taker) => taker.subscriber.id)).toEqual([1, 2]);
});

test('200,000 subscriptions take less than 100 MB of heap and give it back', async () => {
  const script = fileURLToPath(new URL('topic-trie-memory.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], { timeout: 50_000 });
  const { full, empty, size, topics }: Record<string, number> = JSON.parse(stdout);
  expect(full).toBeGreaterThan(1_000_000);
  expect(full).toBeLessThan(60_000_000);
  expect(empty).toBeLessThan(1_000_000);
  expect(size).toBe(0);
  expect(topics).toBe(0);
});
