import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { Publisher } from './publisher.ts';
import type { Report, Run, Sample } from './run.ts';
import { Schedule } from './schedule.ts';
import { Subscriber } from './subscriber.ts';

/** A layout of clients: a topic name for each publisher, a filter for each subscriber. */
export interface Layout {
  readonly topicNames: readonly string[];
  readonly topicFilters: readonly string[];
  /** Each message goes to every subscriber, or to the one of the same index (pairs). */
  readonly delivery: 'to-all' | 'in-pairs';
  /** Publish when there is room in the window, or at a fixed rate. */
  readonly pace: 'window' | 'rate';
}

/** A client that publishes as much as its window allows. */
export interface WindowedPublisher extends Client {
  start(): void;
  stop(): void;
  /** Gives up what was not delivered so far, so that it can go on. */
  writeOff(): void;
}

/** How long the broker is left alone between subscribing and publishing, in milliseconds. */
const SETTLE_MS = 200;
/** When nothing has moved for so long, the window is written off, in milliseconds. */
const STALL_MS = 1_000;

/** Writes the windows off whenever nothing moves, so that a broker that loses messages is measured all the same. */
function watchStalls(run: Run, publishers: readonly WindowedPublisher[]): NodeJS.Timeout {
  const { ledger } = run;
  let seen = -1;
  return setInterval(() => {
    const now = ledger.sent + ledger.delivered + ledger.acknowledged;
    if (now === seen) {
      ledger.stalls++;
      for (const publisher of publishers) publisher.writeOff();
    }
    seen = now;
  }, STALL_MS);
}

/** Publishes as fast as the windows allow; what it returns stops it. */
export function publishInWindow(run: Run, publishers: readonly WindowedPublisher[]): () => Promise<void> {
  const stalls = watchStalls(run, publishers);
  for (const publisher of publishers) publisher.start();
  return async () => {
    clearInterval(stalls);
    for (const publisher of publishers) publisher.stop();
  };
}

/** Publishes at the rate of the run; what it returns stops it. */
export function publishAtRate(run: Run, publishers: readonly Publisher[]): () => Promise<void> {
  const schedule = new Schedule(publishers, run.ledger, run.options.rate * publishers.length);
  return () => schedule.stop();
}

/**
 * Publishers in the order in which they connect: those with an even index first. A broker that hands connections to its
 * processes in turn then has about half of the pairs in one process each, and half across two.
 */
function openingOrder(publishers: readonly Client[]): Client[] {
  const even = publishers.filter((_, index) => index % 2 === 0);
  return [...even, ...publishers.filter((_, index) => index % 2 === 1)];
}

/** Opens and subscribes, then opens the publishers, and leaves the broker alone for a moment. */
export async function connectAll(
  run: Run,
  subscribers: readonly Subscriber[],
  publishers: readonly Client[],
): Promise<void> {
  await run.openAll(subscribers);
  await Promise.all(subscribers.map((subscriber) => subscriber.subscribe()));
  await run.openAll(openingOrder(publishers));
  await sleep(SETTLE_MS);
}

/** Lets the traffic that flows warm up, then measures it: the samples before and after. */
export async function measureTraffic(run: Run): Promise<{ from: Sample; to: Sample }> {
  const { ledger, options } = run;
  await sleep(options.warmupMs);
  ledger.isTimed = true;
  const from = run.sample();
  await sleep(options.durationMs);
  const to = run.sample();
  ledger.isTimed = false;
  return { from, to };
}

/** The quantiles of the latencies so far, none when there were none. */
export function latencies({ ledger }: Run): { latencyP50Ms?: number; latencyP99Ms?: number } {
  const [p50, p99] = [ledger.latency.quantile(0.5), ledger.latency.quantile(0.99)];
  return p50 === undefined || p99 === undefined ? {} : { latencyP50Ms: p50 / 1000, latencyP99Ms: p99 / 1000 };
}

/** Waits for what is still due to these subscribers and reports what was measured; `due` is how many deliveries that is. */
export async function reportTraffic(
  run: Run,
  { from, to }: { from: Sample; to: Sample },
  subscribers: readonly Subscriber[],
  due: () => number,
): Promise<Report> {
  const { ledger, options } = run;
  const total = (count: 'delivered' | 'duplicates' | 'reordered'): number =>
    subscribers.reduce((sum, { check }) => sum + check[count], 0);
  const acknowledgementsDue = (): number => (options.qos === 0 ? 0 : ledger.sent - ledger.acknowledged);
  await run.drain(() => total('delivered') === due() && acknowledgementsDue() === 0);
  return {
    ...run.report(from, to, to.delivered - from.delivered),
    ...latencies(run),
    lost: due() - total('delivered'),
    duplicates: total('duplicates'),
    reordered: total('reordered'),
  };
}

function makeClients(run: Run, layout: Layout, deliveriesEach: number): [Publisher[], Subscriber[]] {
  const { target, publishTarget, ledger, shape, options } = run;
  const publishers = layout.topicNames.map((topicName, index) => {
    const waitsFor = layout.pace === 'window' ? deliveriesEach : 0;
    const own = { index, topicName, shape, window: options.window, deliveriesEach: waitsFor, limit: Infinity };
    return new Publisher(publishTarget, ledger, own, `publisher-${index}`);
  });
  const subscribers = layout.topicFilters.map((topicFilter, index) => {
    const check = new DeliveryCheck(publishers.length);
    const common = { topicFilters: [topicFilter], shape, check, publishers, isPersistent: options.isPersistent };
    const own =
      layout.delivery === 'in-pairs' ? { ...common, isOwn: (publisher: number) => publisher === index } : common;
    return new Subscriber(target, ledger, own, `subscriber-${index}`);
  });
  return [publishers, subscribers];
}

/** Publishes through a warm-up and the measured time, then waits for what is still due. */
export async function runTraffic(run: Run, layout: Layout): Promise<Report> {
  const deliveriesEach = layout.delivery === 'to-all' ? layout.topicFilters.length : 1;
  const [publishers, subscribers] = makeClients(run, layout, deliveriesEach);
  await connectAll(run, subscribers, publishers);
  const stop = layout.pace === 'rate' ? publishAtRate(run, publishers) : publishInWindow(run, publishers);
  const measured = await measureTraffic(run);
  await stop();
  return reportTraffic(run, measured, subscribers, () => run.ledger.sent * deliveriesEach);
}
