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

/** So many subscriptions are searched one by one; a map for each session would be most of the memory. */
const FEW = 8;

const NONE: readonly SubscriptionRecord[] = [];

/** A stored session with its subscriptions, shared ones left out, and the node that takes care of it. */
export class StoredSession {
  readonly clientId: string;
  readonly queueId: number;
  node: KnownNode;
  /** Whether this node has it: then it is no remote taker. */
  isHere = false;
  /** All subscriptions, while there are few. */
  #few: readonly SubscriptionRecord[] = NONE;
  /** All subscriptions, once there were more. */
  #many: Map<string, SubscriptionRecord> | undefined = undefined;

  constructor(clientId: string, queueId: number, node: KnownNode) {
    this.clientId = clientId;
    this.queueId = queueId;
    this.node = node;
  }

  /** Subscriptions it has. */
  get size(): number {
    return this.#many?.size ?? this.#few.length;
  }

  /** Its subscriptions; they must not be changed during a walk. */
  subscriptions(): Iterable<SubscriptionRecord> {
    return this.#many?.values() ?? this.#few;
  }

  /** Adds a subscription or replaces the one with its topic filter. @returns the one that it replaced. */
  put(record: SubscriptionRecord): SubscriptionRecord | undefined {
    const former = this.find(record.topicFilter);
    if (this.#many !== undefined) {
      this.#many.set(record.topicFilter, record);
    } else if (former !== undefined) {
      this.#few = this.#few.map((one) => (one === former ? record : one));
    } else if (this.#few.length < FEW) {
      this.#few = this.#few.concat(record); // no longer than needed, unlike what a push makes
    } else {
      this.#many = new Map([...this.#few, record].map((one) => [one.topicFilter, one]));
      this.#few = NONE;
    }
    return former;
  }

  /** Removes a subscription. @returns whether it was there. */
  delete(topicFilter: string): boolean {
    if (this.#many !== undefined) return this.#many.delete(topicFilter);
    const { length } = this.#few;
    this.#few = this.#few.filter((record) => record.topicFilter !== topicFilter);
    return this.#few.length < length;
  }

  /** Its subscription with that topic filter. */
  find(topicFilter: string): SubscriptionRecord | undefined {
    if (this.#many !== undefined) return this.#many.get(topicFilter);
    for (const record of this.#few) if (record.topicFilter === topicFilter) return record;
    return undefined;
  }
}
