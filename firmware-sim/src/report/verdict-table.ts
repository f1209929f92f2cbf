import { faults } from '../checker/witness.ts';
import type { Percentiles } from '../lib/histogram.ts';
import { total } from './figures.ts';
import { formatClock, formatCount, formatDuration, formatMs, formatNumber, timesText } from './numbers.ts';
import type { Report, ThresholdResult } from './report.ts';
import { type Column, boxTable } from './box-table.ts';
import { formatMetric } from './metric-text.ts';
import { runWarnings } from './run-warnings.ts';
import { type Paint, cleanText, painter, wrapText } from './text.ts';

/** How to write a verdict. */
export interface VerdictOptions {
  readonly hasColour: boolean;
  /** Where reports were written. */
  readonly written: readonly string[];
  /** Width of the terminal, 80 unless given; tables take 72 to 80 columns of it. */
  readonly columns?: number | undefined;
}

/** Examples of faults that are printed. */
const examplesShown = 6;

/** The end of a run as text: tables, where the reports are, and `PASS` or `FAIL: ...` as the last line. */
export function verdictTable(report: Report, options: VerdictOptions): string {
  const paint = painter(options.hasColour);
  const width = Math.max(72, Math.min(80, options.columns ?? 80));
  const blocks = [
    titleOf(report, paint, width),
    deliveryTable(report, paint, width),
    latencyTable(report, width),
    classTable(report, paint, width),
    thresholdTable(report, paint, width),
    exampleLines(report, paint, width),
    warningLines(report, paint, width),
    options.written.map((file) => `Report: ${cleanText(file)}`),
    [lastLine(report, paint)],
  ];
  const parts = blocks.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${parts.join('\n\n')}\n`;
}

/** `PASS`, or `FAIL:` and what did not hold. */
export function lastLine(report: Report, paint: Paint = painter(false)): string {
  const interrupted = report.interrupted ? ` (interrupted after ${formatDuration(report.durationSeconds)})` : '';
  if (report.result === 'pass') return paint('green', `PASS${interrupted}`);
  const failed = report.thresholds.filter(({ holds }) => !holds).map(failureText);
  const shown = failed.slice(0, 6).join(', ');
  const rest = failed.length > 6 ? `, and ${failed.length - 6} more` : '';
  return paint('red', `FAIL${interrupted}: ${shown}${rest}`);
}

function failureText({ metric, value, test, limit, problem }: ThresholdResult): string {
  const name = cleanText(metric);
  if (problem !== undefined) return `${name} not measured`;
  const isFault = test === '=' && limit === 0;
  const wanted = isFault ? '' : ` (wanted ${test} ${formatMetric(metric, limit)})`;
  return `${name} ${formatMetric(metric, value)}${wanted}`;
}

function titleOf(report: Report, paint: Paint, width: number): string[] {
  const { scenario, broker, durationSeconds, totals } = report;
  const devices = Object.values(report.classes).reduce((all, one) => all + one.devices, 0);
  const software = broker.software === '' ? '' : ` (${cleanText(broker.software)})`;
  const run = `${formatCount(devices)} devices for ${formatDuration(durationSeconds)} on ${cleanText(broker.url)}`;
  const parts = [
    `seed ${scenario.seed}`,
    `${formatNumber(totals.throughput)} deliveries/s`,
    ...(broker.kills > 0 ? [`broker killed ${timesText(broker.kills)}`] : []),
  ];
  const name = wrapText(cleanText(scenario.name), width).map((line) => paint('bold', line));
  return [...name, ...wrapText(run + software, width), ...wrapText(parts.join(' · '), width)];
}

function deliveryTable({ delivery }: Report, paint: Paint, width: number): string[] {
  const { counts } = delivery;
  const row = (name: string, byQos: readonly number[], all: number): string[] => [
    name,
    ...byQos.map(formatCount),
    formatCount(all),
  ];
  const messages = (['sent', 'acknowledged', 'owed', 'outstanding'] as const).map((name) =>
    row(name, counts[name], total(counts[name])),
  );
  messages.push(row('delivered *', counts.delivered, total(counts.delivered)));
  const found = faults.map((name) => row(name, delivery.faults[name].byQos, delivery.faults[name].total));
  const columns: Column[] = [
    { title: 'Messages', align: 'left', grows: true },
    { title: 'QoS 0', align: 'right', least: 12 },
    { title: 'QoS 1', align: 'right', least: 12 },
    { title: 'QoS 2', align: 'right', least: 12 },
    { title: 'all', align: 'right', least: 12 },
  ];
  const hueOf = (cells: readonly string[], column: number): 'green' | 'red' | undefined => {
    const isFault = (faults as readonly string[]).includes(cells[0] as string);
    return !isFault || column === 0 ? undefined : cells[column] === '0' ? 'green' : 'red';
  };
  const rows = [...messages, undefined, ...found];
  const notes = sideNotes(counts).flatMap((note) => wrapText(note, width));
  return [...boxTable({ columns, rows, width, paint, hueOf }), ...notes];
}

function sideNotes(counts: Report['delivery']['counts']): string[] {
  const notes = ['* By the QoS it came with; the other rows by the QoS of publishing.'];
  const { missedQos0, repeated, foreign } = counts;
  if (missedQos0.unexcused + missedQos0.excused > 0) {
    const excused = formatCount(missedQos0.excused);
    notes.push(`QoS 0 not delivered: ${formatCount(missedQos0.unexcused)}, and ${excused} while connections ended.`);
  }
  if (repeated.total > 0) {
    const withoutDup = repeated.withoutDup > 0 ? `, ${formatCount(repeated.withoutDup)} of them without DUP` : '';
    notes.push(`QoS 1 delivered again, as it may be: ${formatCount(repeated.total)}${withoutDup}.`);
  }
  if (foreign > 0) notes.push(`Not of this run, and not judged: ${formatCount(foreign)} deliveries.`);
  return notes;
}

function latencyTable({ totals }: Report, width: number): string[] {
  const rows = latencies
    .map(([title, key]) => [title, totals[key]] as const)
    .filter(([, { count }]) => count > 0)
    .map(([title, one]) => [
      title,
      formatMs(one.p50),
      formatMs(one.p90),
      formatMs(one.p99),
      formatMs(one.p999),
      formatMs(one.max),
    ]);
  if (rows.length === 0) return [];
  const right = (title: string): Column => ({ title, align: 'right', least: 9 });
  const columns: Column[] = [
    { title: 'Latency', align: 'left', grows: true },
    ...['p50', 'p90', 'p99', 'p99.9', 'max'].map(right),
  ];
  return boxTable({ columns, rows, width });
}

const latencies: readonly (readonly [
  string,
  'deliveryLatency' | 'acknowledgementLatency' | 'connectLatency' | 'roundTrip',
])[] = [
  ['delivery', 'deliveryLatency'],
  ['acknowledgement', 'acknowledgementLatency'],
  ['connect', 'connectLatency'],
  ['round trip', 'roundTrip'],
];

function classTable(report: Report, paint: Paint, width: number): string[] {
  const p99 = ({ count, p99: value }: Percentiles): string => (count === 0 ? '–' : formatMs(value));
  const rows = Object.entries(report.classes).map(([name, one]) => [
    cleanText(name),
    formatCount(one.devices),
    formatCount(one.connects),
    formatCount(total(one.sent)),
    formatCount(total(one.delivered)),
    p99(one.deliveryLatency),
    formatCount(faults.reduce((all, fault) => all + (report.delivery.faults[fault].byClass[name] ?? 0), 0)),
  ]);
  const right = (title: string, least = 9): Column => ({ title, align: 'right', least });
  const columns: Column[] = [
    { title: 'Class', align: 'left', grows: true },
    right('devices', 7),
    right('connects', 8),
    right('sent'),
    right('delivered'),
    right('p99'),
    right('faults', 6),
  ];
  const hueOf = (cells: readonly string[], column: number): 'green' | 'red' | undefined =>
    column !== 6 ? undefined : cells[6] === '0' ? 'green' : 'red';
  return rows.length === 0 ? [] : boxTable({ columns, rows, width, paint, hueOf });
}

/** Splits off the thresholds that say that a fault must not occur, and hold: a report has them in its table of faults. */
export function foldThresholds(thresholds: readonly ThresholdResult[]): {
  readonly shown: readonly ThresholdResult[];
  readonly folded: readonly string[];
} {
  const isFolded = ({ metric, test, limit, holds }: ThresholdResult): boolean =>
    holds && test === '=' && limit === 0 && (faults as readonly string[]).includes(metric);
  return {
    shown: thresholds.filter((one) => !isFolded(one)),
    folded: thresholds.filter(isFolded).map(({ metric }) => metric),
  };
}

function thresholdTable({ thresholds }: Report, paint: Paint, width: number): string[] {
  const { shown, folded } = foldThresholds(thresholds);
  const rows = shown.map(({ metric, test, limit, value, holds, problem }) => [
    cleanText(metric),
    `${test} ${formatMetric(metric, limit)}`,
    problem === undefined ? formatMetric(metric, value) : 'not measured',
    holds ? 'pass' : 'FAIL',
  ]);
  if (folded.length > 0) rows.push([`no faults of ${folded.length} kinds`, '= 0 each', '0', 'pass']);
  if (rows.length === 0) return [];
  const columns: Column[] = [
    { title: 'Threshold', align: 'left', grows: true },
    { title: 'wanted', align: 'left', least: 14 },
    { title: 'was', align: 'right', least: 12 },
    { title: '', align: 'left', least: 4 },
  ];
  const hueOf = (cells: readonly string[], column: number): 'green' | 'red' | undefined =>
    column !== 3 ? undefined : cells[3] === 'pass' ? 'green' : 'red';
  const problems = shown.flatMap(({ problem }) => (problem === undefined ? [] : wrapText(cleanText(problem), width)));
  return [...boxTable({ columns, rows, width, paint, hueOf }), ...problems];
}

function warningLines(report: Report, paint: Paint, width: number): string[] {
  const lines = runWarnings(report).flatMap((warning) => wrapText(warning, width));
  return lines.map((line) => paint('yellow', line));
}

function exampleLines({ delivery, startedAt }: Report, paint: Paint, width: number): string[] {
  const { examples } = delivery;
  if (examples.length === 0) return [];
  // One of each fault before the second of any.
  const seen = new Map<string, number>();
  const ranked = examples.map((example) => {
    const nth = seen.get(example.fault) ?? 0;
    seen.set(example.fault, nth + 1);
    return { example, nth };
  });
  const shown = ranked.sort((a, b) => a.nth - b.nth).slice(0, examplesShown);
  const lines = shown.flatMap(({ example: { fault, at, text } }) => {
    const clock = formatClock((at - Date.parse(startedAt)) / 1000);
    return wrapText(cleanText(`${clock}  ${fault}: ${text}`), width - 2).map((line, nth) =>
      nth === 0 ? line : `  ${line}`,
    );
  });
  const rest = examples.length - shown.length;
  const more = rest > 0 ? [`and ${rest} more in the report`] : [];
  return [paint('bold', 'What went wrong, for example:'), ...lines, ...more];
}
