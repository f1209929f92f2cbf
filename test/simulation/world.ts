import type { Clock } from '../../src/lib/clock.ts';
import type { Fault } from '../checker/records.ts';
import type { Random } from '../fakes/random.ts';
import { naiveMatch } from '../router/naive-match.ts';
import type { History } from './history.ts';
import type { WillWatch } from './will-watch.ts';

/** A message as any publisher of a run sent it. */
interface KnownMessage {
  publisher: string;
  sequence: number;
  topicName: string;
  qos: 0 | 1 | 2;
}

/** A shared subscription of a run; its topics are taken by it alone. */
export interface Group {
  topicFilter: string;
  qos: 1 | 2;
}

/** The groups; messages of the second stay with who got them, so its members last as long as the run. */
export const GROUPS: readonly Group[] = [
  { topicFilter: '$share/one/g1/#', qos: 1 },
  { topicFilter: '$share/two/g2/#', qos: 2 },
];

/** What clients of a run share: time, chance, the history, and what is known of QoS 0, which the checker leaves out. */
export class World {
  readonly clock: Clock;
  readonly random: Random;
  readonly history: History;
  readonly wills: WillWatch;
  /** Whether the broker may end connections: it is going down, or its store is broken. */
  isGoingDown = false;
  /** Where there are several nodes, those that are stopped, stand still, or are taken over by others. */
  readonly unsteady: Set<string> = new Set();
  /** QoS 1 messages that were published more than once: `sequence of publisher`, or `nothing on topic name`. */
  readonly sentAgain: Set<string> = new Set();
  /** Whether messages may be dropped by their queues in this run. */
  readonly isLossy: boolean;
  /** Whether the disk may be full when a will is due, which has nobody who could be told. */
  readonly hasFullDisks: boolean;
  readonly #messages: Map<string, KnownMessage> = new Map();
  /** By taker: QoS 0 payloads it got, and the last sequence by publisher and topic. */
  readonly #got: Map<string, Set<string>> = new Map();
  readonly #last: Map<string, number> = new Map();
  readonly #faults: { fault: Fault; text: string }[] = [];
  /** QoS 0 deliveries and retained replays seen. */
  looseDeliveries = 0;

  constructor(parts: Pick<World, 'clock' | 'random' | 'history' | 'wills' | 'isLossy' | 'hasFullDisks'>) {
    this.clock = parts.clock;
    this.random = parts.random;
    this.history = parts.history;
    this.wills = parts.wills;
    this.isLossy = parts.isLossy;
    this.hasFullDisks = parts.hasFullDisks;
  }

  /** What was found here and not by the checker. */
  get faults(): readonly { fault: Fault; text: string }[] {
    return this.#faults;
  }

  note(line: string): void {
    this.history.note(`${this.clock.now() % 1_000_000_000} ${line}`);
  }

  violated(fault: Fault, text: string): void {
    this.note(`FAULT ${fault} ${text}`);
    this.#faults.push({ fault, text });
  }

  sent(payload: string, message: KnownMessage): void {
    if (payload !== '') this.#messages.set(payload, message);
  }

  /** The broker is gone, and with it what it knew of queued QoS 0 messages it had sent. */
  crashed(): void {
    this.#got.clear();
    this.#last.clear();
  }

  /** A message came with QoS 0: at most once, in order, to someone who asked for it. */
  deliveredOnce(taker: string, topicFilters: Iterable<string>, topicName: string, payload: string): void {
    this.looseDeliveries += 1;
    const message = this.#known(taker, topicName, payload);
    if (message === undefined) return;
    if (![...topicFilters].some((filter) => naiveMatch(filter.replace(/^\$share\/[^/]+\//, ''), topicName)))
      this.violated('leak', `${taker} got ${payload} on ${topicName}`);
    // Others may be sent again by their publisher, or by a broker that crashed.
    if (message.qos !== 0 || message.sequence < 0) return;
    let got = this.#got.get(taker);
    if (got === undefined) this.#got.set(taker, (got = new Set()));
    if (got.has(payload)) this.violated('duplicate', `${taker} got ${payload} twice with QoS 0`);
    got.add(payload);
    const key = `${taker} ${message.publisher} ${topicName}`;
    if ((this.#last.get(key) ?? -1) > message.sequence) this.violated('reordered', `${taker} got ${payload} late`);
    this.#last.set(key, message.sequence);
  }

  /** A retained message was replayed: it has to be one that was sent to this topic. */
  replayed(taker: string, topicName: string, payload: string): void {
    this.looseDeliveries += 1;
    this.#known(taker, topicName, payload);
  }

  #known(taker: string, topicName: string, payload: string): KnownMessage | undefined {
    const message = this.#messages.get(payload);
    if (message !== undefined && message.topicName === topicName) return message;
    this.violated('phantom', `${taker} got ${JSON.stringify(payload)} on ${topicName}`);
    return undefined;
  }
}
