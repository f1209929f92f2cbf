import type { Message } from '../protocol/message.ts';
import { topicMatches } from '../protocol/topic.ts';
import type { RetainedCursor, RetainedTrie } from '../router/retained-trie.ts';
import { takerList } from '../router/taker.ts';
import type { Taker, TopicTrie } from '../router/topic-trie.ts';
import type { SubscriptionRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import { NO_IDENTIFIERS } from './queue-entry.ts';
import type { Session } from './session.ts';

/** Retained messages looked up at a time. */
const PAGE_MESSAGES = 64;
/** Trie nodes visited at a time. */
const PAGE_VISITS = 512;
/** Pages sent before other connections get their turn. */
const PAGES_PER_TURN = 4;

/** Where replays find retained messages and overlapping subscriptions. */
export interface ReplaySource {
  readonly retained: RetainedTrie;
  readonly subscriptions: TopicTrie<Session>;
}

/**
 * Sends the retained messages that the filters of one SUBSCRIBE match [MQTT-3.3.1-9], in pages: it goes on only while
 * the client takes them, so that `#` over any number of topics neither blocks others nor grows memory.
 */
export class RetainedReplay {
  readonly #context: SessionContext;
  readonly #source: ReplaySource;
  readonly #filters: readonly SubscriptionRecord[];
  #filterIndex = 0;
  #cursor: RetainedCursor | undefined = undefined;
  #page: Message[] = [];
  #pageAt = 0;
  #yielded = false;
  /** Whether the page had to wait, so that its messages may have been replaced since. */
  #held = false;

  constructor(context: SessionContext, source: ReplaySource, filters: readonly SubscriptionRecord[]) {
    this.#context = context;
    this.#source = source;
    this.#filters = filters;
  }

  /**
   * Sends what the session takes now.
   * @returns true once all is sent; where it is not, the session's next `pump` goes on.
   */
  run(session: Session): boolean {
    let pages = 0;
    for (;;) {
      while (this.#pageAt < this.#page.length) {
        if (!session.canSend || session.link?.congested !== false) {
          this.#held = true;
          return false;
        }
        const message = this.#page[this.#pageAt] as Message;
        this.#pageAt += 1;
        this.#send(session, message);
      }
      if (this.#filterIndex === this.#filters.length) return true;
      if (pages === PAGES_PER_TURN) {
        this.#yield(session);
        return false;
      }
      pages += 1;
      this.#nextPage();
    }
  }

  #nextPage(): void {
    const filter = (this.#filters[this.#filterIndex] as SubscriptionRecord).topicFilter;
    this.#cursor ??= this.#source.retained.cursor(filter);
    this.#page = this.#cursor.next(PAGE_MESSAGES, PAGE_VISITS);
    this.#pageAt = 0;
    this.#held = false;
    if (this.#cursor.done) {
      this.#cursor = undefined;
      this.#filterIndex += 1;
    }
  }

  #yield(session: Session): void {
    if (this.#yielded) return;
    this.#yielded = true;
    this.#context.clock.setImmediate(() => {
      this.#yielded = false;
      session.pump();
    });
  }

  #send(session: Session, message: Message): void {
    if (message.expiresAt <= this.#context.clock.now()) return;
    // A newer value went out as a live message meanwhile.
    if (this.#held && this.#source.retained.get(message.topicName) !== message) return;
    // The page's filter is the one before filterIndex when the cursor is done, else the one at it.
    const current = this.#cursor === undefined ? this.#filterIndex - 1 : this.#filterIndex;
    const { topicFilter } = this.#filters[current] as SubscriptionRecord;
    const isMerged = this.#context.settings.overlap === 'once';
    // One copy for overlapping filters; the same filter twice is a subscription replaced, and sends again [MQTT-3.8.4-5].
    const covering = isMerged ? current : 0;
    for (let i = 0; i < covering; i++) {
      const earlier = (this.#filters[i] as SubscriptionRecord).topicFilter;
      if (earlier !== topicFilter && topicMatches(earlier, message.topicName)) return;
    }
    const taker = isMerged ? this.#takerOf(session, message.topicName) : takerOf(session, topicFilter);
    if (taker !== undefined) session.deliver(message, taker, true); // [MQTT-3.3.1-8] RETAIN is 1
  }

  /** The merge of the session's matching subscriptions [MQTT-3.3.4-2..-4]; undefined once it has unsubscribed. */
  #takerOf(session: Session, topicName: string): Taker<Session> | undefined {
    const { subscriptions } = session;
    if (subscriptions.size > 1) {
      return takerList(this.#source.subscriptions.match(topicName)).find((taker) => taker.subscriber === session);
    }
    for (const { topicFilter } of subscriptions.values()) {
      return topicMatches(topicFilter, topicName) ? takerOf(session, topicFilter) : undefined;
    }
    return undefined;
  }
}

/** The taker of one subscription alone [MQTT-3.3.4-5]; undefined once it is gone. */
function takerOf(session: Session, topicFilter: string): Taker<Session> | undefined {
  const record = session.subscriptions.get(topicFilter);
  if (record === undefined) return undefined;
  const { qos, retainAsPublished, subscriptionIdentifier } = record;
  const identifiers = subscriptionIdentifier === 0 ? NO_IDENTIFIERS : [subscriptionIdentifier];
  return {
    subscriber: session,
    qos,
    retainAsPublished,
    subscriptionIdentifiers: identifiers,
    noLocal: false,
    forPublisher: undefined,
  };
}
