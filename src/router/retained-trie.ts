import type { Message } from '../protocol/message.ts';
import { TopicIndex, type TopicPlace } from './topic-index.ts';

const HASH = 0x23;
const PLUS = 0x2b;
/** The character after `/`: the names below `a/` are those from `a/` to `a0`. */
const AFTER_SLASH = '0';
/** The character after `$`: what begins with `$` stands before it. */
const AFTER_DOLLAR = '%';

/**
 * The retained messages by topic name, section 3.3.1.3.
 *
 * A map holds the messages, and the names stand in order in a `TopicIndex`, in which a filter is walked by skipping what
 * it cannot match. A new value for a topic that has one is a single write to the map. Limits are the caller's, who reads
 * `count` and `bytes`.
 */
export class RetainedTrie {
  readonly #messages = new Map<string, Message>();
  readonly #index = new TopicIndex();
  #bytes = 0;
  /** The message looked up last: whoever keeps one asks first what it replaces. */
  #last: Message | undefined = undefined;
  #lastName = '';

  /** Messages held. */
  get count(): number {
    return this.#messages.size;
  }

  /** The sizes of all messages held, in bytes, as `Message.size` counts them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the message of a topic name. */
  get(topicName: string): Message | undefined {
    if (this.#lastName !== topicName) {
      this.#last = this.#messages.get(topicName);
      this.#lastName = topicName;
    }
    return this.#last;
  }

  /** Keeps a message in place of the one of the same topic name [MQTT-3.3.1-5]. @returns the one it replaces. */
  set(message: Message): Message | undefined {
    const replaced = this.get(message.topicName);
    this.#last = message;
    if (replaced === undefined) this.#index.add(message.topicName);
    else this.#bytes -= replaced.size;
    this.#messages.set(message.topicName, message);
    this.#bytes += message.size;
    return replaced;
  }

  /** Removes the message of a topic name. @returns the one removed. */
  delete(topicName: string): Message | undefined {
    const removed = this.get(topicName);
    if (removed === undefined) return undefined;
    this.#last = undefined;
    this.#messages.delete(topicName);
    this.#index.delete(topicName);
    this.#bytes -= removed.size;
    return removed;
  }

  /** Starts a walk over the messages whose topics a valid filter matches, in the order of their names. */
  cursor(topicFilter: string): RetainedCursor {
    return new RetainedCursor(this.#messages, this.#index, topicFilter);
  }
}

/**
 * A walk over the retained messages of a topic filter, in pages.
 *
 * All it keeps between pages is the name to go on from, so messages may come and go meanwhile: names only go up, which is
 * why none comes twice and none that stays is missed. Where a name does not match, the walk seeks the next that may:
 *
 *     filter  a/+/x     a/1/k  -> a/1/x  (a match) -> a/1/z -> a/10 (first beyond a/1/...) -> a/2/x (a match) -> ...
 */
export class RetainedCursor {
  readonly #messages: ReadonlyMap<string, Message>;
  readonly #index: TopicIndex;
  readonly #topicFilter: string;
  readonly #place: TopicPlace = { chunk: 0, offset: 0 };
  /** Where to go on. */
  #from: string;
  /** Whether `#from` itself is still to be looked at. */
  #inclusive = true;
  #done = false;
  #visited = 0;

  constructor(messages: ReadonlyMap<string, Message>, index: TopicIndex, topicFilter: string) {
    this.#messages = messages;
    this.#index = index;
    this.#topicFilter = topicFilter;
    this.#from = literalPrefix(topicFilter);
  }

  /** True once the walk is over. */
  get done(): boolean {
    return this.#done;
  }

  /** Names looked at so far; a name of several KiB counts for several. */
  get visited(): number {
    return this.#visited;
  }

  /**
   * Takes the next page.
   * @param limit messages at most, 1 or more.
   * @param maxVisits names to look at, at most, 1 or more, as `visited` counts them. A page may be empty though the walk
   *   is not over.
   */
  next(limit: number, maxVisits: number): Message[] {
    const page: Message[] = [];
    if (this.#done) return page;
    if (this.#from === this.#topicFilter) {
      this.#done = true;
      const message = this.#messages.get(this.#topicFilter);
      if (message !== undefined) page.push(message);
      return page;
    }
    const end = this.#visited + maxVisits;
    this.#index.seek(this.#place, this.#from, this.#inclusive);
    while (page.length < limit && this.#visited < end) {
      const topicName = this.#index.take(this.#place);
      if (topicName === undefined) {
        this.#done = true;
        break;
      }
      this.#visited += 1 + (topicName.length >> 10);
      if (this.#judge(topicName)) page.push(this.#messages.get(topicName)!);
      if (this.#done) break;
      if (this.#inclusive) this.#index.skip(this.#place, this.#from);
    }
    return page;
  }

  /** Tells whether a topic name matches, and sets from where to go on, or that nothing can follow. */
  #judge(topicName: string): boolean {
    const filter = this.#topicFilter;
    let inName = 0;
    let inFilter = 0;
    /** End of the last level of the name that a `+` took; -1 for none. */
    let plusEnd = -1;
    // [MQTT-4.7.2-1]
    if (topicName.startsWith('$') && !filter.startsWith('$')) return this.#goOnFrom(AFTER_DOLLAR);
    // Each turn is one level; a position beyond the length means that the levels are used up.
    while (inFilter <= filter.length) {
      const code = filter.charCodeAt(inFilter);
      if (code === HASH) return this.#goOnAfter(topicName, true);
      if (inName > topicName.length) return this.#goOnAfter(topicName, false);
      const nameEnd = endOfLevel(topicName, inName);
      const filterEnd = endOfLevel(filter, inFilter);
      if (code === PLUS) {
        plusEnd = nameEnd;
      } else if (topicName.slice(inName, nameEnd) !== filter.slice(inFilter, filterEnd)) {
        const target = topicName.slice(0, inName) + filter.slice(inFilter, filterEnd);
        return this.#skipTo(target, filterEnd < filter.length, topicName, plusEnd);
      }
      inName = nameEnd + 1;
      inFilter = filterEnd + 1;
    }
    if (inName > topicName.length) return this.#goOnAfter(topicName, true);
    return this.#goOnFrom(topicName.slice(0, inName - 1) + AFTER_SLASH);
  }

  /**
   * Goes on where names that have the literal level of the filter begin: `target`, and if the filter has more levels the
   * names below it. When both are behind, so is everything below the last level that a `+` took.
   */
  #skipTo(target: string, hasMoreLevels: boolean, topicName: string, plusEnd: number): boolean {
    if (topicName < target) return this.#goOnFrom(target);
    const below = `${target}/`;
    if (hasMoreLevels && topicName < below) return this.#goOnFrom(below);
    if (plusEnd >= 0) return this.#goOnFrom(topicName.slice(0, plusEnd) + AFTER_SLASH);
    this.#done = true;
    return false;
  }

  #goOnFrom(name: string): boolean {
    this.#from = name;
    this.#inclusive = true;
    return false;
  }

  #goOnAfter(name: string, matches: boolean): boolean {
    this.#from = name;
    this.#inclusive = false;
    return matches;
  }
}

/** The name all matches are equal to or later than: the filter up to its first wildcard, `a` for `a/#`. */
function literalPrefix(topicFilter: string): string {
  const plus = topicFilter.indexOf('+');
  if (plus >= 0) return topicFilter.slice(0, plus);
  return topicFilter.endsWith('#') ? topicFilter.slice(0, -2) : topicFilter;
}

function endOfLevel(levels: string, start: number): number {
  const end = levels.indexOf('/', start);
  return end < 0 ? levels.length : end;
}
