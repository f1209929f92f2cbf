import { Metrics } from '../../src/agent/metrics.ts';
import { type ByQos, type Fault, type Verdict, faults } from '../../src/checker/witness.ts';
import { Random } from '../../src/lib/random.ts';
import { figuresOf } from '../../src/report/figures.ts';
import type { ClassReport, Report, SeriesPoint, StageReport } from '../../src/report/report.ts';
import { judged, type ReportDraft } from '../../src/report/thresholds.ts';
import type { Threshold } from '../../src/scenario/scenario.ts';

const startedAt = '2026-03-02T14:05:09.250Z';

const stages = [
  { name: 'ramp', kind: 'ramp', startSeconds: 0, durationSeconds: 25 },
  { name: 'hold', kind: 'hold', startSeconds: 25, durationSeconds: 35 },
  { name: 'burst', kind: 'burst', startSeconds: 60, durationSeconds: 20 },
  { name: 'storm', kind: 'storm', startSeconds: 80, durationSeconds: 25 },
  { name: 'drain', kind: 'drain', startSeconds: 105, durationSeconds: 15 },
] as const;

const classes = [
  { name: 'sensors', kind: 'sensor', devices: 120 },
  { name: 'trackers', kind: 'sensor', devices: 50 },
  { name: 'gateways', kind: 'gateway', devices: 10 },
  { name: 'valves', kind: 'actuator', devices: 15 },
  { name: 'wall', kind: 'dashboard', devices: 4 },
  { name: 'office', kind: 'operator', devices: 1 },
] as const;

/** What to leave out or put into a sample. */
export interface SampleOptions {
  readonly seed?: number;
  /** How much slower than otherwise; 1 unless given. */
  readonly slowness?: number;
  /** Faults of QoS 1 and 2, and their classes. */
  readonly faults?: readonly { readonly fault: Fault; readonly byQos: ByQos; readonly className: string }[];
  readonly thresholds?: readonly Threshold[];
  readonly draft?: Partial<ReportDraft>;
}

/** Thresholds as scenarios have them. */
const sampleThresholds: readonly Threshold[] = [
  ...faults.map((metric): Threshold => ({ metric, test: '=', limit: 0 })),
  { metric: 'delivery.p99', test: '<=', limit: 250 },
  { metric: 'classes.trackers.connect.max', test: '<', limit: 5_000 },
  { metric: 'throughput', test: '>=', limit: 100 },
];

/** The report of a run that never was: two minutes, 200 devices of all kinds, a broker that died once. */
export function sampleReport(options: SampleOptions = {}): Report {
  const random = new Random(options.seed ?? 42);
  const slowness = options.slowness ?? 1;
  const verdict = sampleVerdict(options.faults ?? []);
  const draft: ReportDraft = {
    format: 'firmware-sim/1',
    interrupted: false,
    scenario: { name: 'tour', description: 'A bit of everything: 200 devices of all kinds for two minutes.', seed: 42 },
    command: ['trellis', 'sim', 'tour', '--broker', 'mqtt://127.0.0.1:1883', '--seed', '42'],
    startedAt,
    durationSeconds: 120,
    environment: {
      node: 'v26.10.0',
      os: 'Linux 6.8.0',
      cpu: 'Example CPU at 3.0 GHz',
      cores: 8,
      memoryMb: 16_000,
      simulator: '0.1.0',
      threads: 0,
    },
    broker: { url: 'mqtt://127.0.0.1:1883', software: 'trellis 0.1.0', isOwn: false, kills: 1 },
    totals: figuresOf([sampleMetrics(random, 60_000, slowness)], 120),
    classes: Object.fromEntries(
      classes.map(({ name, kind, devices }): [string, ClassReport] => [
        name,
        { ...figuresOf([sampleMetrics(random, devices * 300, slowness)], 120), kind, devices },
      ]),
    ),
    stages: stages.map(
      (stage): StageReport => ({
        ...figuresOf(
          [sampleMetrics(random, stage.durationSeconds * 500, stage.name === 'storm' ? 3 * slowness : slowness)],
          stage.durationSeconds,
        ),
        ...stage,
      }),
    ),
    delivery: verdict,
    notes: {
      updated: { count: 50, first: ['tracker-0 runs version 2', 'tracker-1 runs version 2'] },
      crashed: { count: 7, first: ['tracker-3 crashed'] },
    },
    series: sampleSeries(random, slowness, faultsOf(verdict)),
    brokerFigures: [
      { name: '$SYS/broker/messages/received', start: 10, end: 61_234 },
      { name: '$SYS/broker/clients/connected', start: 1, end: 201 },
      { name: 'trellis_messages_total{direction="in",qos="1"}', start: 0, end: 31_020 },
      { name: 'trellis_retained_messages', start: 12, end: 12 },
    ],
    self: { cpuSeconds: 31.5, residentMb: 143, loopDelayP99: 12.1 },
    ...options.draft,
  };
  return judged(draft, options.thresholds ?? sampleThresholds);
}

/** The sample with faults of several kinds. */
export function faultySample(): Report {
  return sampleReport({
    seed: 7,
    slowness: 6,
    faults: [
      { fault: 'lost', byQos: [0, 3, 0], className: 'trackers' },
      { fault: 'duplicated', byQos: [0, 0, 2], className: 'wall' },
      { fault: 'sessionPresent', byQos: [0, 1, 0], className: 'trackers' },
    ],
  });
}

/** Counters and latencies as of so many messages. */
export function sampleMetrics(random: Random, messages: number, slowness: number): Metrics {
  const metrics = new Metrics();
  metrics.sent.splice(0, 3, Math.round(messages * 0.4), Math.round(messages * 0.4), Math.round(messages * 0.2));
  metrics.acknowledged.splice(0, 3, 0, metrics.sent[1], metrics.sent[2]);
  metrics.delivered.splice(0, 3, metrics.sent[0] * 2, metrics.sent[1] * 2, metrics.sent[2] * 2);
  metrics.sentBytes = messages * 180;
  metrics.deliveredBytes = messages * 360;
  metrics.unsent = Math.round(messages / 1000);
  metrics.connects = 260;
  metrics.connectFailures = 9;
  metrics.disconnects = 60;
  const skewed = (median: number): number => slowness * median * Math.exp(random.normal(0, 0.9));
  for (let count = 0; count < 2000; count++) {
    metrics.delivery.record(skewed(1.4));
    metrics.acknowledgement.record(skewed(0.9));
    if (count < 260) metrics.connect.record(skewed(4));
    if (count < 90) metrics.roundTrip.record(40 + skewed(3));
  }
  return metrics;
}

/** A verdict with these faults, and an example for each kind. */
export function sampleVerdict(planted: NonNullable<SampleOptions['faults']>): Verdict {
  const byFault = Object.fromEntries(
    faults.map((fault) => [fault, { total: 0, byQos: [0, 0, 0] as ByQos, byClass: {} }]),
  ) as Verdict['faults'];
  for (const { fault, byQos, className } of planted) {
    const found = byFault[fault];
    const sum = byQos[0] + byQos[1] + byQos[2];
    found.total += sum;
    byQos.forEach((count, qos) => (found.byQos[qos as 0 | 1 | 2] += count));
    found.byClass[className] = (found.byClass[className] ?? 0) + sum;
  }
  return {
    faults: byFault,
    counts: {
      sent: [24_000, 24_000, 12_000],
      acknowledged: [0, 23_990, 11_998],
      refused: [0, 0, 0],
      abandoned: [0, 10, 2],
      delivered: [47_950, 48_020, 23_990],
      owed: [0, 47_980, 23_990],
      outstanding: [0, 0, 0],
      missedQos0: { unexcused: 0, excused: 50 },
      repeated: { total: 42, withoutDup: 1 },
      foreign: 3,
      willsDue: 12,
      retainedChecked: 640,
      sessionsResumed: 57,
      brokerRestarts: 1,
    },
    examples: planted.map(({ fault, className }, at) => ({
      fault,
      at: Date.parse(startedAt) + 62_000 + at * 1000,
      text: `${className}-7 was owed message 118 of sensors-3 on sim/sensors/3/telemetry (QoS 1), acknowledged at 61.9 s`,
    })),
  };
}

function sampleSeries(random: Random, slowness: number, faultsAtEnd: number): SeriesPoint[] {
  return Array.from({ length: 120 }, (_none, at): SeriesPoint => {
    const second = at + 1;
    const stage = stages.findLast(({ startSeconds }) => startSeconds <= at) as (typeof stages)[number];
    const up = stage.name === 'ramp' ? second / 25 : 1;
    const isDown = second >= 88 && second < 91;
    const wanted = stage.name === 'drain' ? 0 : stage.name === 'burst' ? 1500 : 520;
    const sent = isDown ? 0 : Math.round(wanted * up * random.between(0.94, 1.06));
    const isStorm = stage.name === 'storm' && second < 95;
    const slow = slowness * (stage.name === 'burst' ? 2.2 : isStorm ? 9 : 1);
    const events = stage.startSeconds === at ? [stage.name] : [];
    if (second === 88) events.push('broker down' as never);
    if (second === 91) events.push('broker up' as never);
    return {
      second,
      sent,
      acknowledged: Math.round(sent * 0.6),
      delivered: Math.round(sent * 2 * random.between(0.97, 1.03)),
      connected: isDown ? 0 : Math.round(200 * up),
      connects: stage.name === 'ramp' ? 8 : second === 91 ? 180 : second === 81 ? 100 : random.below(3),
      disconnects: second === 88 ? 200 : second === 81 ? 100 : random.below(2),
      outstanding: isDown ? 400 + 10 * second : random.below(40) + (isStorm ? 200 : 0),
      faults: second < 90 ? 0 : faultsAtEnd,
      p50: sent === 0 ? 0 : slow * random.between(1.1, 1.6),
      p99: sent === 0 ? 0 : slow * random.between(6, 14),
      max: sent === 0 ? 0 : slow * random.between(20, 80),
      events,
    };
  });
}

function faultsOf(verdict: Verdict): number {
  return faults.reduce((all, fault) => all + verdict.faults[fault].total, 0);
}
