import { setTimeout as sleep } from 'node:timers/promises';
import { DeliveryCheck } from './delivery-check.ts';
import { Publisher } from './publisher.ts';
import type { Report, Run } from './run.ts';
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

/** How long the broker is left alone between subscribing and publishing, in milliseconds. */
const SETTLE_MS = 200;
/** When nothing has moved for so long, the window is written off, in milliseconds. */
const STALL_MS = 1_000;

interface Clients {
  readonly publishers: readonly Publisher[];
  readonly subscribers: readonly Subscriber[];
  readonly deliveriesEach: number;
}

function makeClients(run: Run, layout: Layout): Clients {
  const { target, ledger, shape, options } = run;
  const deliveriesEach = layout.delivery === 'to-all' ? layout.topicFilters.length : 1;
  const publishers = layout.topicNames.map((topicName, index) => {
    const waitsFor = layout.pace === 'window' ? deliveriesEach : 0;
    const own = { index, topicName, shape, window: options.window, deliveriesEach: waitsFor, limit: Infinity };
    return new Publisher(target, ledger, own, `publisher-${index}`);
  });
  const subscribers = layout.topicFilters.map((topicFilter, index) => {
    const check = new DeliveryCheck(publishers.length);
    const common = { topicFilter, shape, check, publishers, isPersistent: options.isPersistent };
    const own = layout.delivery === 'in-pairs' ? { ...common, onlyPublisher: index } : common;
    return new Subscriber(target, ledger, own, `subscriber-${index}`);
  });
  return { publishers, subscribers, deliveriesEach };
}

/** Writes the windows off whenever nothing moves, so that a broker that loses messages is measured all the same. */
function watchStalls(run: Run, publishers: readonly Publisher[]): NodeJS.Timeout {
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

/** Starts publishing; what it returns stops it. */
function startPublishing(run: Run, layout: Layout, publishers: readonly Publisher[]): () => Promise<void> {
  if (layout.pace === 'rate') {
    const schedule = new Schedule(publishers, run.ledger, run.options.rate * publishers.length);
    return () => schedule.stop();
  }
  const stalls = watchStalls(run, publishers);
  for (const publisher of publishers) publisher.start();
  return async () => {
    clearInterval(stalls);
    for (const publisher of publishers) publisher.stop();
  };
}

/** Publishes through a warm-up and the measured time, then waits for what is still due. */
export async function runTraffic(run: Run, layout: Layout): Promise<Report> {
  const { ledger, options } = run;
  const { publishers, subscribers, deliveriesEach } = makeClients(run, layout);
  await run.openAll(subscribers);
  await Promise.all(subscribers.map((subscriber) => subscriber.subscribe()));
  await run.openAll(publishers);
  await sleep(SETTLE_MS);

  const stopPublishing = startPublishing(run, layout, publishers);
  await sleep(options.warmupMs);
  ledger.isTimed = true;
  const from = run.sample();
  await sleep(options.durationMs);
  const to = run.sample();
  ledger.isTimed = false;
  await stopPublishing();

  const acknowledgementsDue = (): number => (options.qos === 0 ? 0 : ledger.sent - ledger.acknowledged);
  const lost = (): number => ledger.sent * deliveriesEach - ledger.delivered;
  await run.drain(() => lost() === 0 && acknowledgementsDue() === 0);
  const report: Report = {
    ...run.report(from, to, to.delivered - from.delivered),
    lost: lost(),
    duplicates: subscribers.reduce((sum, { check }) => sum + check.duplicates, 0),
    reordered: subscribers.reduce((sum, { check }) => sum + check.reordered, 0),
  };
  const [p50, p99] = [ledger.latency.quantile(0.5), ledger.latency.quantile(0.99)];
  if (p50 === undefined || p99 === undefined) return report;
  return { ...report, latencyP50Ms: p50 / 1000, latencyP99Ms: p99 / 1000 };
}
