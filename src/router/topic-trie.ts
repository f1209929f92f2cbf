import { MatchCache } from './match-cache.ts';
import {
  findTaker,
  listTakers,
  mergeSlots,
  slotWith,
  slotWithout,
  takerOf,
  type SubscriptionTaker,
  type TakerSlot,
  type Takers,
  type TrieSubscription,
} from './taker.ts';
import { WildcardTrie } from './wildcard-trie.ts';

export type { Taker, Takers, TrieSubscription } from './taker.ts';

/** How a `TopicTrie` works. */
export interface TopicTrieOptions {
  /** What a subscriber with several matching subscriptions gets: the message once, or once for each, section 3.3.4. */
  overlap: 'once' | 'per-subscription';
  /** Matches kept by topic name, at most; 0 for none. */
  cacheMax: number;
}

const NO_TAKERS: readonly never[] = [];

/** A walk through the trie that looks at more nodes than this is worth keeping its result. */
const CHEAP_VISITS = 16;

/**
 * The subscriptions of all subscribers, and who takes a message on a topic name, section 4.7.
 *
 * Filters without wildcards, most of them as a rule, stand in one map by topic name; the others in a trie. A match is a
 * look-up in the map and a walk through the trie, both independent of subscriptions that have nothing to do with it.
 * Takers are made with the subscription, so that a match only lists them, unless subscriptions overlap.
 *
 * Lists of takers are cached, and so is what took long to find. Where one subscription alone matches, its taker is the
 * result and only the last is remembered: looking it up again costs less than a cache that any number of topics run
 * through. A filter without wildcards, when it changes, drops the one match it concerns; a filter with them drops all,
 * which costs no more than it cost to fill the cache.
 */
export class TopicTrie<S extends object> {
  readonly #mergesOverlaps: boolean;
  readonly #exact = new Map<string, TakerSlot<S>>();
  readonly #wildcards = new WildcardTrie<TakerSlot<S>>();
  readonly #cache: MatchCache<readonly SubscriptionTaker<S>[]>;
  /** Slots found by the match under way; empty between calls. */
  readonly #found: TakerSlot<S>[] = [];
  #size = 0;
  /** The last match and its topic name; undefined after a change. */
  #last: Takers<S> | undefined = undefined;
  #lastName = '';

  constructor(options: TopicTrieOptions) {
    this.#mergesOverlaps = options.overlap === 'once';
    this.#cache = new MatchCache(options.cacheMax);
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

  /** Finds who gets a message on a topic name. */
  match(topicName: string): Takers<S> {
    if (this.#last !== undefined && this.#lastName === topicName) return this.#last;
    const takers = (this.#cache.size > 0 ? this.#cache.get(topicName) : undefined) ?? this.#find(topicName);
    this.#last = takers;
    this.#lastName = topicName;
    return takers;
  }

  #find(topicName: string): Takers<S> {
    const found = this.#found;
    const exact = this.#exact.get(topicName);
    if (exact !== undefined) found.push(exact);
    const visited = this.#wildcards.collect(topicName, found);
    const [only] = found;
    if (found.length === 1 && !(only instanceof Map) && visited <= CHEAP_VISITS) {
      found.length = 0;
      return only as SubscriptionTaker<S>;
    }
    if (found.length === 0 && visited <= CHEAP_VISITS) return NO_TAKERS;
    const takers = found.length > 1 && this.#mergesOverlaps ? mergeSlots(found) : listTakers(found);
    found.length = 0;
    this.#cache.set(topicName, takers);
    return takers;
  }

  #changed(topicFilter: string): void {
    this.#last = undefined;
    if (hasWildcard(topicFilter)) this.#cache.clear();
    else if (this.#cache.size > 0) this.#cache.delete(topicFilter);
  }
}

/** Whether a valid topic filter has wildcards, so that it may match more than one topic name. */
export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.endsWith('#') || topicFilter.includes('+');
}
