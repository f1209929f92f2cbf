/** Run by topic-trie.test.ts with --expose-gc: prints the bytes of heap that 200,000 subscriptions take. */
import process from 'node:process';
import { takerList } from '../../src/router/taker.ts';
import { TopicTrie } from '../../src/router/topic-trie.ts';

const SUBSCRIPTIONS = 200_000;

function filterOf(i: number): string {
  if (i % 10 < 7) return `s/e/${i}/t`;
  if (i % 10 === 7) return `s/p/+/${i}`;
  return i % 10 === 8 ? `s/q/${i}/+/t` : `s/h/${i}/#`;
}

function heapUsed(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

const subscribers = Array.from({ length: 10_000 }, () => ({}));
const before = heapUsed();
const trie = new TopicTrie<object>({ overlap: 'once', cacheMax: 1000 });
for (let i = 0; i < SUBSCRIPTIONS; i++) {
  // Decoded from bytes, as a filter from the wire is.
  const filter = Buffer.from(filterOf(i)).toString('latin1');
  trie.add(filter, subscribers[i % subscribers.length]!, {
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    subscriptionIdentifier: 0,
  });
}
const full = heapUsed() - before;
for (let i = 0; i < SUBSCRIPTIONS; i++) trie.remove(filterOf(i), subscribers[i % subscribers.length]!);
const empty = heapUsed() - before;
process.stdout.write(JSON.stringify({ full, empty, size: trie.size, topics: takerList(trie.match('s/e/0/t')).length }));
