import type { Message } from '../protocol/message.ts';
import { topicMatches } from '../protocol/topic.ts';
import type { RetainedCursor, RetainedTrie } from '../router/retained-trie.ts';
import { takerList, takerOf } from '../router/taker.ts';
import type { Taker, TopicTrie } from '../router/topic-trie.ts';
import type { SubscriptionRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import type { Neighbours } from './neighbours.ts';
import type { Session } from './session.ts';

/** Retained messages looked up at a time. */
const PAGE_MESSAGES = 96;
/** Trie nodes visited at a time. */
const PAGE_VISITS = 512;
/** Work done before other connections get their turn, in names visited: some two milliseconds. */
const TURN_WORK = 2048;
/** What starting a page and sending a message are worth in names visited. */
const PAGE_WORK = 16;
const MESSAGE_WORK = 4;

/** Where replays find retained messages and overlapping subscriptions. */
export interface ReplaySource {
  readonly retained: RetainedTrie;
  readonly subscriptions: TopicTrie<Session>;
}

/**
 * Begins to send a session the retained messages of new subscriptions. Where nodes share the store, what was acknowledged
 * anywhere must be known here first; if the session has another connection by then, or none, nothing is sent. The session
 * must have its connection.
 */
export function replayRetained(
  context: SessionContext,
  source: ReplaySource,
  session: Session,
  filters: readonly SubscriptionRecord[],
): void {
  const { neighbours } = context;
  if (filters.length === 0 || (neighbours === undefined && source.retained.count === 0)) return;
  const replay = new RetainedReplay(context, source, filters);
  session.replays ??= [];
  session.replays.push(replay);
  if (neighbours === undefined) session.pump();
  else replay.runOnceCaughtUp(session, neighbours);
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
  /** Index of the filter that the page is of. */
  #current = 0;
  /** The taker of `#record` alone, the subscription it was made for last. */
  #taker: Taker<Session> | undefined = undefined;
  #record: SubscriptionRecord | undefined = undefined;
  #yielded = false;
  /** Whether the page had to wait, so that its messages may have been replaced since. */
  #held = false;
  #state: 'running' | 'catching-up' | 'over' = 'running';

  constructor(context: SessionContext, source: ReplaySource, filters: readonly SubscriptionRecord[]) {
    this.#context = context;
    this.#source = source;
    this.#filters = filters;
  }

  /** Has it begin once what was acknowledged before, on any node, is among the retained messages here. */
  runOnceCaughtUp(session: Session, neighbours: Neighbours): void {
    const { writePath, onFatal } = this.#context;
    const { link } = session;
    this.#state = 'catching-up';
    // What was published here just before is among them only when it is stored. The open batch is submitted when whoever
    // called is done with it.
    const caughtUp = Promise.resolve()
      .then(() => writePath.drained())
      .then(() => neighbours.caughtUp());
    caughtUp.then(() => {
      this.#state = session.link === link ? 'running' : 'over';
      session.pump();
    }, onFatal);
  }

  /**
   * Sends what the session takes now.
   * @returns true once all is sent; where it is not, the session's next `pump` goes on.
   */
  run(session: Session): boolean {
    if (this.#state !== 'running') return this.#state === 'over';
    if (this.#yielded) return false;
    let work = 0;
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
      if (work >= TURN_WORK) {
        this.#yield(session);
        return false;
      }
      work += this.#nextPage();
    }
  }

  /** @returns the work it is, sending included. */
  #nextPage(): number {
    const filter = (this.#filters[this.#filterIndex] as SubscriptionRecord).topicFilter;
    this.#cursor ??= this.#source.retained.cursor(filter);
    const { visited } = this.#cursor;
    this.#page = this.#cursor.next(PAGE_MESSAGES, PAGE_VISITS);
    const work = PAGE_WORK + this.#cursor.visited - visited + MESSAGE_WORK * this.#page.length;
    this.#pageAt = 0;
    this.#current = this.#filterIndex;
    this.#held = false;
    if (this.#cursor.done) {
      this.#cursor = undefined;
      this.#filterIndex += 1;
    }
    return work;
  }

  #yield(session: Session): void {
    this.#yielded = true;
    this.#context.clock.setImmediate(() => {
      this.#yielded = false;
      session.pump();
    });
  }

  #send(session: Session, message: Message): void {
    if (message.expiresAt !== Number.POSITIVE_INFINITY && message.expiresAt <= this.#context.clock.now()) return;
    // A newer value went out as a live message meanwhile.
    if (this.#held && this.#source.retained.get(message.topicName) !== message) return;
    const { topicFilter } = this.#filters[this.#current] as SubscriptionRecord;
    const isMerged = this.#context.settings.overlap === 'once';
    // One copy for overlapping filters; the same filter twice is a subscription replaced, and sends again [MQTT-3.8.4-5].
    const covering = isMerged ? this.#current : 0;
    for (let i = 0; i < covering; i++) {
      const earlier = (this.#filters[i] as SubscriptionRecord).topicFilter;
      if (earlier !== topicFilter && topicMatches(earlier, message.topicName)) return;
    }
    const isAlone = !isMerged || (session.subscriptions.size === 1 && session.subscriptions.has(topicFilter));
    const taker = isAlone ? this.#takerAlone(session, topicFilter) : this.#takerOf(session, message.topicName);
    if (taker !== undefined) session.deliver(message, taker, true); // [MQTT-3.3.1-8] RETAIN is 1
  }

  /** The merge of the session's matching subscriptions [MQTT-3.3.4-2..-4]; undefined once it has unsubscribed. */
  #takerOf(session: Session, topicName: string): Taker<Session> | undefined {
    return takerList(this.#source.subscriptions.match(topicName)).find((taker) => taker.subscriber === session);
  }

  /** The taker of one subscription alone [MQTT-3.3.4-5]; undefined once it is gone. */
  #takerAlone(session: Session, topicFilter: string): Taker<Session> | undefined {
    const record = session.subscriptions.get(topicFilter);
    if (record !== this.#record) {
      this.#record = record;
      this.#taker = record === undefined ? undefined : takerOf(session, record);
    }
    return this.#taker;
  }
}
