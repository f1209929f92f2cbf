import type { ByQos } from '../checker/witness.ts';
import { total as sumOf } from '../report/figures.ts';
import type { Report, SeriesPoint } from '../report/report.ts';
import { isLoopback, parseEndpoint } from '../wire/endpoint.ts';
import { type BenchPlan, subscribersOf } from './plan.ts';

/** Share of a core from which on the simulator may have been the limit, and not the broker. */
const busyShare = 0.9;
/** Delay of the simulator's own event loop from which on latencies are its own too, ms. */
const loopDelayMax = 20;

/** What a measurement came to; also what --json writes. */
export interface BenchResult {
  readonly mode: string;
  readonly clients: number;
  /** Clients that subscribe; in mode p2p the same ones. */
  readonly subscribers: number;
  readonly qos: number;
  /** Of a payload as it was sent; 0 where nothing was. */
  readonly sizeBytes: number;
  readonly loop: 'open' | 'closed';
  /** Per second: over the measurement, and in its steady part, the seconds between the first and the last. */
  readonly sentPerSecond: Rate;
  readonly deliveredPerSecond: Rate;
  readonly connects: number;
  readonly connectsPerSecond: number;
  readonly latencyMs: Report['totals']['deliveryLatency'];
  readonly acknowledgementMs: Report['totals']['acknowledgementLatency'];
  readonly connectMs: Report['totals']['connectLatency'];
  /** By name, those above 0. */
  readonly faults: Readonly<Record<string, number>>;
  readonly missedQos0: number;
  readonly connectFailures: number;
  /** Publishes the broker refused. */
  readonly refused: number;
  /** Messages that were due and could not be sent: no connection, or too many on their way. */
  readonly unsent: number;
  /** CPU seconds of the simulator per second of the run. */
  readonly simulatorShare: number;
  readonly simulatorCpuSeconds: number;
  readonly simulatorMb: number;
  readonly simulatorLoopDelayMs: number;
  /** Why the figures may say less of the broker than they seem to; empty where nothing is known. */
  readonly doubts: readonly string[];
}

interface Rate {
  readonly mean: number;
  readonly steady: number;
}

/** Whether all came that had to, and the broker refused nothing. */
export function isClean({ faults, connectFailures, refused }: BenchResult): boolean {
  return Object.keys(faults).length === 0 && connectFailures === 0 && refused === 0;
}

/** Reads the figures of a measurement out of its report. */
export function resultOf(plan: BenchPlan, report: Report): BenchResult {
  const measured = report.stages.find(({ name }) => name === 'measure');
  const connecting = report.stages.find(({ name }) => name === 'connect');
  const from = measured?.startSeconds ?? 0;
  const seconds = measured?.durationSeconds ?? 0;
  const steady = report.series.filter(({ second }) => second > from + 1 && second <= from + seconds - 1);
  const rateOf = (counts: ByQos | undefined, of: (point: SeriesPoint) => number): Rate => ({
    mean: seconds > 0 && counts !== undefined ? sumOf(counts) / seconds : 0,
    steady: steady.length === 0 ? 0 : steady.reduce((all, point) => all + of(point), 0) / steady.length,
  });
  const share = report.durationSeconds > 0 ? report.self.cpuSeconds / report.durationSeconds : 0;
  const faults = Object.entries(report.delivery.faults).map(([name, { total }]) => [name, total] as const);
  return {
    mode: plan.mode,
    clients: plan.clients,
    subscribers: subscribersOf(plan),
    qos: plan.qos,
    sizeBytes: Math.round(report.totals.sentBytes / Math.max(1, sumOf(report.totals.sent))),
    loop: plan.messageIntervalMs === undefined ? 'closed' : 'open',
    sentPerSecond: rateOf(measured?.sent, ({ sent }) => sent),
    deliveredPerSecond: rateOf(measured?.delivered, ({ delivered }) => delivered),
    connects: report.totals.connects,
    connectsPerSecond: (connecting?.connects ?? 0) / Math.max(0.001, connecting?.durationSeconds ?? 0),
    latencyMs: (measured ?? report.totals).deliveryLatency,
    acknowledgementMs: (measured ?? report.totals).acknowledgementLatency,
    connectMs: report.totals.connectLatency,
    faults: Object.fromEntries(faults.filter(([, total]) => total > 0)),
    missedQos0: report.delivery.counts.missedQos0.unexcused,
    connectFailures: report.totals.connectFailures,
    refused: report.totals.refused,
    unsent: report.totals.unsent,
    simulatorShare: share,
    simulatorCpuSeconds: report.self.cpuSeconds,
    simulatorMb: report.self.residentMb,
    simulatorLoopDelayMs: report.self.loopDelayP99,
    doubts: doubtsOf(report, share),
  };
}

function doubtsOf(report: Report, share: number): string[] {
  const doubts: string[] = [];
  if (share >= busyShare * Math.max(1, report.environment.threads)) {
    doubts.push(
      `The simulator used ${Math.round(share * 100)} % of a core: the broker may be able to do more. Try --threads, or several simulators.`,
    );
  }
  if (report.self.loopDelayP99 > loopDelayMax) {
    doubts.push(
      `The simulator itself was late by up to ${report.self.loopDelayP99.toFixed(0)} ms (p99): that is in the latencies.`,
    );
  }
  if (report.broker.isOwn || isHere(report.broker.url)) {
    doubts.push('Broker and simulator shared this machine, and took CPU from each other.');
  }
  if (report.interrupted) doubts.push('It was ended before its time.');
  return doubts;
}

/** Whether the broker's URL names this machine. */
function isHere(url: string): boolean {
  const endpoint = parseEndpoint(url);
  return endpoint.host === '::1' || isLoopback(endpoint);
}

/** The summary for people. */
export function summaryText(result: BenchResult): string {
  const messages = `, QoS ${result.qos}, ${count(result.sizeBytes)} bytes, ${result.loop} loop`;
  const lines = [`bench ${result.mode}: ${count(result.clients)} clients${result.mode === 'conn' ? '' : messages}`];
  const row = (name: string, text: string): number => lines.push(`  ${name.padEnd(22)}${text}`);
  if (result.mode === 'conn') {
    row(
      'connects',
      `${count(result.connects)}, ${rate(result.connectsPerSecond)}, ${count(result.connectFailures)} failed`,
    );
  } else {
    row('sent', rateText(result.sentPerSecond));
    row('delivered', rateText(result.deliveredPerSecond));
    row('latency', `${times(result.latencyMs)}${latencyMeaning(result)}`);
    if (result.qos > 0) row('acknowledged within', times(result.acknowledgementMs));
  }
  row('connected within', times(result.connectMs));
  if (result.mode !== 'conn' && result.connectFailures > 0) row('connects failed', count(result.connectFailures));
  if (result.refused > 0) row('refused', count(result.refused));
  if (result.unsent > 0) row('due and not sent', count(result.unsent));
  const faults = Object.entries(result.faults).map(([name, total]) => `${name} ${count(total)}`);
  row('faults', faults.length === 0 ? 'none' : faults.join(', '));
  if (result.qos === 0 && result.missedQos0 > 0) row('QoS 0 not delivered', count(result.missedQos0));
  row('simulator', `${Math.round(result.simulatorShare * 100)} % of a core, ${Math.round(result.simulatorMb)} MB`);
  for (const doubt of result.doubts) lines.push(`  note: ${doubt}`);
  return `${lines.join('\n')}\n`;
}

function latencyMeaning({ loop, mode }: BenchResult): string {
  if (mode === 'offline') return ' (the time in the queue is in it)';
  return loop === 'open' ? ' (from when it was due)' : ' (under saturation: mostly the window waiting its turn)';
}

function rateText({ mean, steady }: Rate): string {
  return `${rate(mean)}${steady > 0 ? `, steady ${rate(steady)}` : ''}`;
}

function rate(perSecond: number): string {
  return `${count(Math.round(perSecond))}/s`;
}

function times({ p50, p99, max, count: samples }: Report['totals']['deliveryLatency']): string {
  if (samples === 0) return '-';
  const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
  return `p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)}`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
