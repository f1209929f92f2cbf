import type { SubscriptionRecord } from '../store/store.ts';

/** What is known of a node that takes part. */
export interface KnownNode {
  readonly nodeId: string;
  /** Stored sessions it takes care of and that have subscriptions. */
  sessions: number;
  /** Topic filters of its takers that are no stored sessions. */
  readonly routes: Set<string>;
  /** Keys of the shared subscriptions it has a part of. */
  readonly shareKeys: Set<string>;
}

/** A stored session with its subscriptions, shared ones left out, and the node that takes care of it. */
export class StoredSession {
  readonly clientId: string;
  readonly queueId: number;
  node: KnownNode;
  /** The only subscription; most sessions have no more, and a map for each would be most of the memory. */
  #only: SubscriptionRecord | undefined = undefined;
  /** All of them, once there were two. */
  #all: Map<string, SubscriptionRecord> | undefined = undefined;

  constructor(clientId: string, queueId: number, node: KnownNode) {
    this.clientId = clientId;
    this.queueId = queueId;
    this.node = node;
  }

  /** Subscriptions it has. */
  get size(): number {
    return this.#all?.size ?? (this.#only === undefined ? 0 : 1);
  }

  subscription(topicFilter: string): SubscriptionRecord | undefined {
    if (this.#all !== undefined) return this.#all.get(topicFilter);
    return this.#only?.topicFilter === topicFilter ? this.#only : undefined;
  }

  /** Its subscriptions; they must not be changed during a walk. */
  subscriptions(): Iterable<SubscriptionRecord> {
    if (this.#all !== undefined) return this.#all.values();
    return this.#only === undefined ? [] : [this.#only];
  }

  /** Adds a subscription or replaces the one with its topic filter. */
  put(record: SubscriptionRecord): void {
    const only = this.#only;
    if (this.#all !== undefined) {
      this.#all.set(record.topicFilter, record);
    } else if (only === undefined || only.topicFilter === record.topicFilter) {
      this.#only = record;
    } else {
      this.#all = new Map([
        [only.topicFilter, only],
        [record.topicFilter, record],
      ]);
      this.#only = undefined;
    }
  }

  /** Removes a subscription. @returns whether it was there. */
  delete(topicFilter: string): boolean {
    if (this.#all !== undefined) return this.#all.delete(topicFilter);
    if (this.#only?.topicFilter !== topicFilter) return false;
    this.#only = undefined;
    return true;
  }
}
