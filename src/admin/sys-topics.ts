import type { Clock, Timer } from '../lib/clock.ts';
import type { ClusterTopics } from './cluster-topics.ts';

/** The figures behind $SYS, as they are now. Totals count from the start of the broker. */
export interface SysFigures {
  version: string;
  uptimeSeconds: number;
  clientsConnected: number;
  clientsDisconnected: number;
  clientsMaximum: number;
  clientsExpired: number;
  messagesReceived: number;
  messagesSent: number;
  bytesReceived: number;
  bytesSent: number;
  publishesReceived: number;
  publishesSent: number;
  publishesDropped: number;
  publishBytesReceived: number;
  publishBytesSent: number;
  messagesStored: number;
  messagesStoredBytes: number;
  retainedMessages: number;
  subscriptions: number;
  sharedSubscriptions: number;
  heapBytes: number;
  /** By what was in the way, or was given up: how often. */
  limits: Readonly<Record<string, number>>;
}

/** The totals that Mosquitto also gives as rates per minute. */
const LOADS: readonly [topic: string, figure: keyof SysFigures][] = [
  ['load/messages/received', 'messagesReceived'],
  ['load/messages/sent', 'messagesSent'],
  ['load/bytes/received', 'bytesReceived'],
  ['load/bytes/sent', 'bytesSent'],
  ['load/publish/received', 'publishesReceived'],
  ['load/publish/sent', 'publishesSent'],
  ['load/publish/dropped', 'publishesDropped'],
];
const LOAD_MINUTES = [1, 5, 15] as const;

/** Publishes the figures below `$SYS/broker/`, by Mosquitto's names, so that dashboards made for it work; `limits/` is ours. */
export class SysTopics {
  /** Where nodes share a store: what they have in common is published at the same times. Set before `start`. */
  cluster: ClusterTopics | undefined = undefined;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #read: () => SysFigures;
  readonly #publish: (topicName: string, payload: string) => void;
  readonly #lastSent: Map<string, string> = new Map();
  readonly #averages: Map<string, number> = new Map();
  #last: SysFigures | undefined = undefined;
  #timer: Timer | undefined = undefined;

  constructor(
    clock: Clock,
    intervalSeconds: number,
    read: () => SysFigures,
    publish: (topicName: string, payload: string) => void,
  ) {
    this.#clock = clock;
    this.#intervalMs = intervalSeconds * 1000;
    this.#read = read;
    this.#publish = publish;
  }

  /** Publishes now and then at every interval. */
  start(): void {
    if (this.#intervalMs > 0) this.#run();
  }

  /** Stops publishing. */
  close(): void {
    this.#timer?.cancel();
    this.cluster?.close();
  }

  #run(): void {
    const figures = this.#read();
    for (const [topic, value] of topicsOf(figures)) this.#send(topic, String(value));
    this.#sendLoads(figures);
    this.cluster?.update(figures);
    this.#last = figures;
    this.#timer = this.#clock.setTimeout(() => this.#run(), this.#intervalMs);
  }

  /** Exponentially weighted rates per minute over 1, 5 and 15 minutes. */
  #sendLoads(figures: SysFigures): void {
    const last = this.#last;
    if (last === undefined) return;
    for (const [topic, figure] of LOADS) {
      const perMinute = ((Number(figures[figure]) - Number(last[figure])) * 60_000) / this.#intervalMs;
      for (const minutes of LOAD_MINUTES) {
        const name = `${topic}/${minutes}min`;
        const weight = Math.exp(-this.#intervalMs / (minutes * 60_000));
        const average = perMinute + weight * ((this.#averages.get(name) ?? 0) - perMinute);
        this.#averages.set(name, average);
        this.#send(name, average.toFixed(2));
      }
    }
  }

  /** Only what changed is published: retained messages keep the rest. */
  #send(topic: string, value: string): void {
    if (this.#lastSent.get(topic) === value) return;
    this.#lastSent.set(topic, value);
    this.#publish(`$SYS/broker/${topic}`, value);
  }
}

function topicsOf(figures: SysFigures): [topic: string, value: string | number][] {
  return [
    ['version', figures.version],
    ['uptime', `${figures.uptimeSeconds} seconds`],
    ['clients/total', figures.clientsConnected + figures.clientsDisconnected],
    ['clients/connected', figures.clientsConnected],
    ['clients/active', figures.clientsConnected],
    ['clients/disconnected', figures.clientsDisconnected],
    ['clients/inactive', figures.clientsDisconnected],
    ['clients/maximum', figures.clientsMaximum],
    ['clients/expired', figures.clientsExpired],
    ['messages/received', figures.messagesReceived],
    ['messages/sent', figures.messagesSent],
    ['messages/stored', figures.messagesStored],
    ['store/messages/count', figures.messagesStored],
    ['store/messages/bytes', figures.messagesStoredBytes],
    ['bytes/received', figures.bytesReceived],
    ['bytes/sent', figures.bytesSent],
    ['publish/messages/received', figures.publishesReceived],
    ['publish/messages/sent', figures.publishesSent],
    ['publish/messages/dropped', figures.publishesDropped],
    ['publish/bytes/received', figures.publishBytesReceived],
    ['publish/bytes/sent', figures.publishBytesSent],
    ['retained messages/count', figures.retainedMessages],
    ['subscriptions/count', figures.subscriptions],
    ['shared_subscriptions/count', figures.sharedSubscriptions],
    ['heap/current', figures.heapBytes],
    ...Object.entries(figures.limits).map(([name, count]): [string, number] => [`limits/${name}`, count]),
  ];
}
