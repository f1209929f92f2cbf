import { MatchCache } from './match-cache.ts';
import {
  findTaker,
  listTakers,
  mergeSlots,
  slotWith,
  slotWithout,
  takerOf,
  type Taker,
  type TakerSlot,
  type TrieSubscription,
} from './taker.ts';
import { WildcardTrie } from './wildcard-trie.ts';

export type { Taker, TrieSubscription } from './taker.ts';

/** How a `TopicTrie` works. */
export interface TopicTrieOptions {
  /** What a subscriber with several matching subscriptions gets: the message once, or once for each, section 3.3.4. */
  overlap: 'once' | 'per-subscription';
  /** Matches kept by topic name, at most; 0 for none. */
  cacheMax: number;
}

/** Who gets a message on one topic name. It is never changed, so that it may be walked while subscriptions change. */
export class MatchResult<S> {
  readonly takers: readonly Taker<S>[];
  /** Stale, when not that of the trie: ask it again. The trie moves it on while the result still holds. */
  generation: number;

  constructor(takers: readonly Taker<S>[], generation: number) {
    this.takers = takers;
    this.generation = generation;
  }
}

/**
 * The subscriptions of all subscribers, and who takes a message on a topic name, section 4.7.
 *
 * Filters without wildcards, most of them as a rule, stand in one map by topic name; the others in a trie. A match is a
 * look-up in the map and a walk through the trie, both independent of subscriptions that have nothing to do with it.
 * Takers are made with the subscription, so that a match only lists them, unless subscriptions overlap.
 *
 * Matches are cached. A filter without wildcards, when it changes, drops the one match it concerns; a filter with them
 * drops all, which costs no more than it cost to fill the cache.
 */
export class TopicTrie<S extends object> {
  readonly #mergesOverlaps: boolean;
  readonly #exact = new Map<string, TakerSlot<S>>();
  readonly #wildcards = new WildcardTrie<TakerSlot<S>>();
  readonly #cache: MatchCache<MatchResult<S>>;
  /** Slots found by the match under way; empty between calls. */
  readonly #found: TakerSlot<S>[] = [];
  #generation = 0;
  #size = 0;

  constructor(options: TopicTrieOptions) {
    this.#mergesOverlaps = options.overlap === 'once';
    this.#cache = new MatchCache(options.cacheMax);
  }

  /** Moves on whenever a subscription changes; a `MatchResult` of another generation is stale. */
  get generation(): number {
    return this.#generation;
  }

  /** Subscriptions held. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a subscription, or replaces the one of the same subscriber and filter [MQTT-3.8.4-3].
   * @param topicFilter a valid one, without `$share/...` in front.
   * @returns true when it is new.
   */
  add(topicFilter: string, subscriber: S, subscription: TrieSubscription): boolean {
    const filters = hasWildcard(topicFilter) ? this.#wildcards : this.#exact;
    const slot = filters.get(topicFilter);
    const existing = findTaker(slot, subscriber);
    if (existing?.equals(subscription) === true) return false;
    const changed = slotWith(slot, takerOf(subscriber, subscription));
    if (changed !== slot) filters.set(topicFilter, changed);
    if (existing === undefined) this.#size++;
    this.#changed(topicFilter);
    return existing === undefined;
  }

  /** Removes a subscription. @returns false when there was none. */
  remove(topicFilter: string, subscriber: S): boolean {
    const filters = hasWildcard(topicFilter) ? this.#wildcards : this.#exact;
    const slot = filters.get(topicFilter);
    if (slot === undefined || findTaker(slot, subscriber) === undefined) return false;
    const changed = slotWithout(slot, subscriber);
    if (changed === undefined) filters.delete(topicFilter);
    else if (changed !== slot) filters.set(topicFilter, changed);
    this.#size--;
    this.#changed(topicFilter);
    return true;
  }

  /** Lists who gets a message on a topic name. */
  match(topicName: string): MatchResult<S> {
    const cached = this.#cache.get(topicName);
    if (cached !== undefined) {
      cached.generation = this.#generation;
      return cached;
    }
    const result = new MatchResult<S>(this.#takersOf(topicName), this.#generation);
    this.#cache.set(topicName, result);
    return result;
  }

  #takersOf(topicName: string): Taker<S>[] {
    const found = this.#found;
    const exact = this.#exact.get(topicName);
    if (exact !== undefined) found.push(exact);
    this.#wildcards.collect(topicName, found);
    const takers = found.length > 1 && this.#mergesOverlaps ? mergeSlots(found) : listTakers(found);
    found.length = 0;
    return takers;
  }

  #changed(topicFilter: string): void {
    this.#generation++;
    if (hasWildcard(topicFilter)) this.#cache.clear();
    else this.#cache.delete(topicFilter);
  }
}

function hasWildcard(topicFilter: string): boolean {
  return topicFilter.endsWith('#') || topicFilter.includes('+');
}
