import type { QoS } from '../client/client.ts';
import { FilterTree } from './filter-tree.ts';
import type { ClientRecord, Subscription, Taker } from './takers.ts';
import { hasWildcard } from './topic-filter.ts';

/** Takers that are looked for one by one in a list; longer lists get a map. */
const scanMax = 8;
/** Lists longer than this are not shared between topics. */
const sharedMax = 64;
/** Lists shared between topics at once. */
const listsMax = 5000;

/** One who takes a topic's messages, as it stood when the list was made. */
export interface Slot {
  readonly taker: Taker;
  /** Those of its subscriptions that match, unconfirmed ones included. */
  readonly subscriptions: readonly Subscription[];
  /** The highest QoS it was surely granted; -1 where nothing is sure. Of a group, members may have less. */
  readonly qos: number;
  /** The same for messages of the taker itself. */
  readonly ownQos: number;
}

/** All takers of a topic, unchanged as long as no subscription to it changes. */
export class TakerList {
  readonly slots: readonly Slot[];
  readonly #places: Map<Taker, number> | undefined;

  constructor(slots: readonly Slot[]) {
    this.slots = slots;
    if (slots.length > scanMax) this.#places = new Map(slots.map(({ taker }, place) => [taker, place]));
  }

  /** Where the taker is in `slots`; -1 for nowhere. */
  placeOf(taker: Taker): number {
    if (this.#places !== undefined) return this.#places.get(taker) ?? -1;
    const { slots } = this;
    for (let place = 0; place < slots.length; place++) if ((slots[place] as Slot).taker === taker) return place;
    return -1;
  }
}

/** A topic that the run publishes to. */
export interface Topic {
  readonly name: string;
  /** Of all publishers. */
  readonly rows: Row[];
  list: TakerList | undefined;
  /** Of {@link Topics} when the list was made. */
  generation: number;
}

/** The messages of one publisher with one QoS on one topic: what [MQTT-4.6.0-6] keeps in order. */
export interface Row {
  /** From 0, in all. */
  readonly number: number;
  readonly client: ClientRecord;
  readonly topic: Topic;
  readonly qos: QoS;
  /** Highest sequence number that was sent, and the highest of a will. */
  lastSent: number;
  lastWill: number;
}

/** The rows of one publisher on one topic, by QoS. */
export interface RowSet {
  readonly topic: Topic;
  readonly rows: [Row | undefined, Row | undefined, Row | undefined];
}

/** Knows who subscribes to which topic. */
export class Topics {
  readonly #tree: FilterTree<Subscription> = new FilterTree();
  readonly #topics: Map<string, Topic> = new Map();
  readonly #lists: Map<string, TakerList> = new Map();
  /** Goes up whenever a subscription with a wildcard changes. */
  #generation = 1;
  #rowCount = 0;

  /** The topic, where the run has sent to it. */
  find(topicName: string): Topic | undefined {
    return this.#topics.get(topicName);
  }

  topic(topicName: string): Topic {
    let topic = this.#topics.get(topicName);
    if (topic === undefined) {
      topic = { name: topicName, rows: [], list: undefined, generation: 0 };
      this.#topics.set(topicName, topic);
    }
    return topic;
  }

  rowOf(client: ClientRecord, topicName: string, qos: QoS): Row {
    let set = client.rows.get(topicName);
    if (set === undefined) {
      set = { topic: this.topic(topicName), rows: [undefined, undefined, undefined] };
      client.rows.set(topicName, set);
    }
    const known = set.rows[qos];
    if (known !== undefined) return known;
    const row = { number: this.#rowCount++, client, topic: set.topic, qos, lastSent: 0, lastWill: 0 };
    set.rows[qos] = row;
    set.topic.rows.push(row);
    return row;
  }

  /** Who takes the topic's messages at this moment. */
  takers(topic: Topic): TakerList {
    if (topic.list === undefined || topic.generation !== this.#generation) {
      topic.list = this.#listOf(this.#tree.match(topic.name));
      topic.generation = this.#generation;
    }
    return topic.list;
  }

  add(subscription: Subscription): void {
    this.#tree.add(subscription.topicFilter, subscription);
    this.changed(subscription);
  }

  remove(subscription: Subscription): void {
    this.#tree.remove(subscription.topicFilter, subscription);
    this.changed(subscription);
  }

  /** Anything about the subscription changed. */
  changed({ topicFilter }: Subscription): void {
    if (hasWildcard(topicFilter)) {
      this.#generation++;
      return;
    }
    const topic = this.#topics.get(topicFilter);
    if (topic !== undefined) topic.list = undefined;
  }

  /** Topics taken by the same subscriptions share a list, while none of them changes. */
  #listOf(subscriptions: Subscription[]): TakerList {
    if (subscriptions.length > sharedMax) return new TakerList(slotsOf(subscriptions));
    let key = '';
    for (const { id, version } of subscriptions) key += `${id}.${version} `;
    let list = this.#lists.get(key);
    if (list === undefined) {
      if (this.#lists.size >= listsMax) this.#lists.clear();
      this.#lists.set(key, (list = new TakerList(slotsOf(subscriptions))));
    }
    return list;
  }
}

function slotsOf(subscriptions: readonly Subscription[]): Slot[] {
  const byTaker: Map<Taker, Subscription[]> = new Map();
  for (const subscription of subscriptions) {
    const of = byTaker.get(subscription.taker);
    if (of === undefined) byTaker.set(subscription.taker, [subscription]);
    else of.push(subscription);
  }
  return Array.from(byTaker, ([taker, of]) => {
    const sure = of.filter(({ isSure }) => isSure);
    const own = sure.filter(({ noLocal }) => noLocal === 'no');
    return { taker, subscriptions: of, qos: highestQos(sure), ownQos: highestQos(own) };
  });
}

/** The QoS that applies where all of these are in force [MQTT-3.3.4-2]; -1 for none of them. */
function highestQos(subscriptions: readonly Subscription[]): number {
  return subscriptions.reduce((highest, { qos }) => Math.max(highest, qos), -1);
}
