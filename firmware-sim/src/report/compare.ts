import { faults } from '../checker/witness.ts';
import { type Column, boxTable } from './box-table.ts';
import { faultTexts } from './fault-texts.ts';
import { formatMetric } from './metric-text.ts';
import { formatNumber } from './numbers.ts';
import type { Report } from './report.ts';
import { cleanText, fitLeft, painter, wrapText } from './text.ts';
import { readMetric } from './thresholds.ts';

/** Two runs side by side; A is the one to compare with. */
export interface Comparison {
  readonly a: Report;
  readonly b: Report;
  /** What makes the two hard to compare, a sentence each. */
  readonly caveats: readonly string[];
  readonly groups: readonly { readonly title: string; readonly rows: readonly ComparisonRow[] }[];
}

/** One figure of both runs. */
export interface ComparisonRow {
  /** Path as in thresholds. */
  readonly metric: string;
  readonly title: string;
  /** Undefined where a run has no such figure. */
  readonly a: number | undefined;
  readonly b: number | undefined;
  /** (b - a) / a; Infinity from 0 to more, undefined where there is nothing to compare. */
  readonly change: number | undefined;
  /** `same` within 5 % (faults: only when equal); `different` where neither is better. */
  readonly judgement: 'better' | 'worse' | 'same' | 'different' | 'missing';
}

/** Part that a figure may change without being called better or worse: two runs of the same are never equal. */
const noise = 0.05;

type Wish = 'more' | 'less' | 'neither';

/** A figure to compare. */
interface Subject {
  readonly metric: string;
  readonly title: string;
  readonly wish: Wish;
  /** Every change counts. */
  readonly isExact?: boolean;
}

/** Compares run `b` with run `a`. */
export function compareReports(a: Report, b: Report): Comparison {
  const rows = (subjects: readonly Subject[]): ComparisonRow[] =>
    subjects
      .map((subject) => compareOne(a, b, subject))
      .filter(({ a: one, b: other }) => one !== undefined || other !== undefined);
  const groups = [
    { title: 'Faults', rows: rows(faultSubjects()) },
    { title: 'Messages', rows: rows(messageSubjects) },
    { title: 'Latency', rows: rows(latencySubjects()) },
    { title: 'Connections', rows: rows(connectionSubjects) },
    { title: 'Device classes', rows: rows(classSubjects(a, b)) },
    { title: 'Simulator', rows: rows(selfSubjects) },
  ];
  return { a, b, caveats: caveatsOf(a, b), groups: groups.filter((group) => group.rows.length > 0) };
}

/** A comparison for a terminal of so many columns; tables take 72 to 100 of them. */
export function comparisonText(comparison: Comparison, hasColour: boolean, columns: number = 80): string {
  const paint = painter(hasColour);
  const width = Math.max(72, Math.min(100, columns));
  const runs = [runLine('A', comparison.a), runLine('B', comparison.b)].flatMap((line) => wrapText(line, width));
  const caveats = comparison.caveats
    .flatMap((line) => wrapText(`Note: ${line}`, width))
    .map((line) => paint('yellow', line));
  const tables = comparison.groups.map(({ title, rows }) => {
    const layout: Column[] = [
      { title, align: 'left', grows: true },
      { title: 'A', align: 'right', least: 11 },
      { title: 'B', align: 'right', least: 11 },
      { title: 'change', align: 'right', least: 9 },
      { title: '', align: 'left', least: 9 },
    ];
    const cells = rows.map((row) => [
      cleanText(row.title),
      valueText(row.metric, row.a),
      valueText(row.metric, row.b),
      changeText(row),
      row.judgement === 'same' || row.judgement === 'different' ? '' : row.judgement,
    ]);
    const hueOf = (line: readonly string[], column: number): 'green' | 'red' | undefined =>
      column < 3 ? undefined : line[4] === 'better' ? 'green' : line[4] === 'worse' ? 'red' : undefined;
    return boxTable({ columns: layout, rows: cells, width, paint, hueOf }).join('\n');
  });
  const heads = [runs.join('\n'), caveats.join('\n')].filter((text) => text !== '');
  return `${[...heads, ...tables, countLine(comparison)].join('\n\n')}\n`;
}

/** `B is better in 4 figures, and worse in 1 figure.` */
export function countLine({ groups }: Comparison): string {
  const count = (judgement: ComparisonRow['judgement']): number =>
    groups.reduce((all, { rows }) => all + rows.filter((row) => row.judgement === judgement).length, 0);
  const figures = (number: number): string => `${number === 0 ? 'no' : number} ${number === 1 ? 'figure' : 'figures'}`;
  return `B is better in ${figures(count('better'))}, and worse in ${figures(count('worse'))}.`;
}

/** A value with its unit, or a dash. */
export function valueText(metric: string, value: number | undefined): string {
  return value === undefined ? '–' : formatMetric(metric, value);
}

/** `+12.4 %`, `×3.20`, `new`, or nothing. */
export function changeText({ change, judgement }: ComparisonRow): string {
  if (change === undefined) return judgement === 'missing' ? 'missing' : '';
  if (change === Number.POSITIVE_INFINITY) return 'from 0';
  if (change === 0) return '=';
  if (change >= 2) return `×${formatNumber(change + 1)}`;
  const percent = change * 100;
  return `${percent < 0 ? '−' : '+'}${formatNumber(Number(Math.abs(percent).toPrecision(3)))} %`;
}

function runLine(letter: string, report: Report): string {
  const { scenario, broker, startedAt, result } = report;
  const software = broker.software === '' ? '' : ` (${broker.software})`;
  const text = `${scenario.name} on ${broker.url}${software}, ${startedAt}: ${result.toUpperCase()}`;
  return cleanText(`${fitLeft(letter, 2)} ${text}`);
}

function compareOne(a: Report, b: Report, { metric, title, wish, isExact }: Subject): ComparisonRow {
  const read = (report: Report): number | undefined => {
    const reading = readMetric(report, metric);
    return 'value' in reading ? reading.value : undefined;
  };
  const [one, other] = [read(a), read(b)];
  if (one === undefined || other === undefined) {
    return { metric, title, a: one, b: other, change: undefined, judgement: 'missing' };
  }
  const difference = other - one;
  const change = difference === 0 ? 0 : one === 0 ? Number.POSITIVE_INFINITY : difference / one;
  const isSame = difference === 0 || (isExact !== true && Math.abs(change) < noise);
  const isBetter = wish === 'more' ? difference > 0 : difference < 0;
  const judgement = isSame ? 'same' : wish === 'neither' ? 'different' : isBetter ? 'better' : 'worse';
  return { metric, title, a: one, b: other, change, judgement };
}

function caveatsOf(a: Report, b: Report): string[] {
  const caveats: string[] = [];
  const differ = (what: string, one: string | number, other: string | number): void => {
    if (one !== other) caveats.push(`The runs differ in ${what}: ${one} and ${other}.`);
  };
  const devices = ({ classes }: Report): number => Object.values(classes).reduce((all, one) => all + one.devices, 0);
  const hardware = ({ environment: { cpu, cores } }: Report): string => `${cpu}, ${cores} cores`;
  const isLike =
    Math.abs(a.durationSeconds - b.durationSeconds) <= 0.05 * Math.max(a.durationSeconds, b.durationSeconds);
  differ('scenario', a.scenario.name, b.scenario.name);
  differ('seed', a.scenario.seed, b.scenario.seed);
  differ('number of devices', devices(a), devices(b));
  if (!isLike) differ('length, s', Math.round(a.durationSeconds), Math.round(b.durationSeconds));
  differ('hardware', hardware(a), hardware(b));
  if (a.interrupted !== b.interrupted) caveats.push(`Run ${a.interrupted ? 'A' : 'B'} was interrupted.`);
  return caveats;
}

function faultSubjects(): Subject[] {
  return faults.map((name) => ({ metric: name, title: faultTexts[name].title, wish: 'less', isExact: true }));
}

const messageSubjects: readonly Subject[] = [
  { metric: 'sent', title: 'Sent', wish: 'neither' },
  { metric: 'acknowledged', title: 'Acknowledged', wish: 'neither' },
  { metric: 'delivered', title: 'Delivered', wish: 'neither' },
  { metric: 'throughput', title: 'Deliveries per second', wish: 'more' },
  { metric: 'missedQos0', title: 'QoS 0 missed', wish: 'less' },
  { metric: 'repeated', title: 'QoS 1 repeated', wish: 'less' },
  { metric: 'refused', title: 'Refused by the broker', wish: 'less' },
  { metric: 'unsent', title: 'Not sent', wish: 'less' },
  { metric: 'outstanding', title: 'Outstanding at the end', wish: 'less' },
];

function latencySubjects(): Subject[] {
  const subject = (name: string, title: string, part: string, partTitle: string): Subject => ({
    metric: `${name}.${part}`,
    title: `${title}, ${partTitle}`,
    wish: 'less',
  });
  const names = [
    ['delivery', 'Delivery'],
    ['acknowledgement', 'Acknowledgement'],
    ['roundTrip', 'Round trip'],
  ] as const;
  const parts = [
    ['p50', 'median'],
    ['p99', '99 %'],
    ['p999', '99.9 %'],
    ['max', 'longest'],
  ] as const;
  return names.flatMap(([name, title]) => parts.map(([part, partTitle]) => subject(name, title, part, partTitle)));
}

const connectionSubjects: readonly Subject[] = [
  { metric: 'connects', title: 'Connects', wish: 'neither' },
  { metric: 'connectFailures', title: 'Failed connects', wish: 'less' },
  { metric: 'disconnects', title: 'Ends', wish: 'neither' },
  { metric: 'connect.p50', title: 'Connect, median', wish: 'less' },
  { metric: 'connect.p99', title: 'Connect, 99 %', wish: 'less' },
];

function classSubjects(a: Report, b: Report): Subject[] {
  const names = [...new Set([...Object.keys(a.classes), ...Object.keys(b.classes)])];
  return names.flatMap((name): Subject[] => [
    { metric: `classes.${name}.throughput`, title: `${name}: deliveries/s`, wish: 'more' },
    { metric: `classes.${name}.delivery.p99`, title: `${name}: delivery, 99 %`, wish: 'less' },
  ]);
}

const selfSubjects: readonly Subject[] = [
  { metric: 'self.cpuSeconds', title: 'CPU time', wish: 'neither' },
  { metric: 'self.residentMb', title: 'Memory', wish: 'neither' },
  { metric: 'self.loopDelayP99', title: 'Event loop delay, 99 %', wish: 'neither' },
];
