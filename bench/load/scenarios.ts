import { runOffline, runRetained } from './backlog.ts';
import { runConnections } from './connections.ts';
import type { LoadOptions, Report, Run } from './run.ts';
import { runStopped } from './stopped.ts';
import { runSubscriptions } from './subscriptions.ts';
import { type Layout, runTraffic } from './traffic.ts';

/** Filters of different shapes, each of which matches what every device publishes. */
const DEVICE_FILTERS: readonly string[] = ['devices/+/telemetry', 'devices/#', '+/+/telemetry', '#', 'devices/+/+'];

function numbered(count: number, name: (index: number) => string): string[] {
  return Array.from({ length: count }, (_, index) => name(index));
}

const fanIn = ({ pubs }: LoadOptions): Layout => ({
  topicNames: numbered(pubs, (index) => `fanin/${index}`),
  topicFilters: ['fanin/+'],
  delivery: 'to-all',
  pace: 'window',
});

const fanOut = ({ subs }: LoadOptions): Layout => ({
  topicNames: ['fanout/0'],
  topicFilters: numbered(subs, () => 'fanout/0'),
  delivery: 'to-all',
  pace: 'window',
});

const pairs = ({ pubs }: LoadOptions): Layout => ({
  topicNames: numbered(pubs, (index) => `pairs/${index}/data`),
  topicFilters: numbered(pubs, (index) => `pairs/${index}/data`),
  delivery: 'in-pairs',
  pace: 'window',
});

const devices = ({ pubs, subs }: LoadOptions): Layout => ({
  topicNames: numbered(pubs, (index) => `devices/${index}/telemetry`),
  topicFilters: numbered(subs, (index) => DEVICE_FILTERS[index % DEVICE_FILTERS.length]!),
  delivery: 'to-all',
  pace: 'rate',
});

/** What the generator can do, by name; README.md says what each is. */
export const SCENARIOS: ReadonlyMap<string, (run: Run) => Promise<Report>> = new Map([
  ['fanin', (run: Run): Promise<Report> => runTraffic(run, fanIn(run.options))],
  ['fanout', (run: Run): Promise<Report> => runTraffic(run, fanOut(run.options))],
  ['pairs', (run: Run): Promise<Report> => runTraffic(run, pairs(run.options))],
  ['iot', (run: Run): Promise<Report> => runTraffic(run, devices(run.options))],
  ['connections', runConnections],
  ['offline', runOffline],
  ['retained', runRetained],
  ['subscriptions', runSubscriptions],
  ['stopped', runStopped],
]);
