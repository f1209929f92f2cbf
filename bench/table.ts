import type { Report } from './load/run.ts';

/** One run of a scenario against a broker, and how it went. */
export interface Outcome {
  readonly scenario: string;
  readonly broker: string;
  readonly round: number;
  readonly report?: Report;
  readonly error?: string;
}

/** What the others are measured by. */
const REFERENCE = 'mosquitto';
/** A generator that uses more of its core than this, while the broker does not, may be what holds the rate down. */
const GENERATOR_LIMIT = 0.9;
/** Cores used by others above which a run counts as disturbed. */
const DISTURBANCE_LIMIT = 0.25;

/** The middle of some numbers, undefined when there are none. */
export function median(numbers: readonly number[]): number | undefined {
  const sorted = numbers.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

function format(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-';
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

type Measure = (report: Report) => number | undefined;

function values(reports: readonly Report[], measure: Measure): number[] {
  return reports.map(measure).filter((value) => value !== undefined);
}

function withSpread(reports: readonly Report[], measure: Measure): string {
  const all = values(reports, measure);
  const middle = format(median(all));
  return all.length > 1 ? `${middle} [${format(Math.min(...all))}..${format(Math.max(...all))}]` : middle;
}

/** Deliveries per CPU second as a multiple of the reference's in the same round; the median over the rounds. */
function multiple(own: readonly Outcome[], reference: readonly Outcome[]): string {
  const ratios = own.flatMap(({ round, report }) => {
    const other = reference.find((outcome) => outcome.round === round)?.report;
    return report && other ? [other.brokerCpuPerMillion / report.brokerCpuPerMillion] : [];
  });
  return format(median(ratios));
}

function notes(outcomes: readonly Outcome[], reports: readonly Report[]): string {
  const found: string[] = [];
  const residentKb = median(values(reports, (report) => report.residentKbPerConnection));
  const idleShare = median(values(reports, (report) => report.idleCpuShare));
  if (residentKb !== undefined) found.push(`${format(residentKb)} KB per connection`);
  if (idleShare !== undefined) found.push(`${format(idleShare * 100)} % CPU when idle`);
  for (const count of ['reordered', 'invalid', 'skipped', 'stalls'] as const) {
    const total = reports.reduce((sum, report) => sum + report[count], 0);
    if (total > 0) found.push(`${count} ${total}`);
  }
  if (reports.some((report) => report.generatorCpuShare > GENERATOR_LIMIT && report.brokerCpuShare < GENERATOR_LIMIT)) {
    found.push('GENERATOR-BOUND');
  }
  const disturbed = reports.filter((report) => report.otherCpuShare > DISTURBANCE_LIMIT).length;
  if (disturbed > 0) found.push(`${disturbed} of ${reports.length} disturbed`);
  const errors = new Set(outcomes.flatMap(({ error }) => (error === undefined ? [] : [error])));
  return [...found, ...[...errors].map((error) => `FAILED: ${error}`)].join('; ');
}

const HEADINGS: readonly string[] = [
  'broker',
  'per second',
  'CPU s per million',
  `x ${REFERENCE} per CPU s`,
  'broker cores',
  'generator cores',
  'peak MB',
  'p50 ms',
  'p99 ms',
  'lost',
  'dup',
  'notes',
];

function row(broker: string, outcomes: readonly Outcome[], reference: readonly Outcome[]): string[] {
  const reports = outcomes.flatMap(({ report }) => (report ? [report] : []));
  const middle = (measure: Measure): string => format(median(values(reports, measure)));
  const total = (measure: (report: Report) => number): string =>
    String(reports.reduce((sum, report) => sum + measure(report), 0));
  return [
    broker,
    withSpread(reports, (report) => report.perSecond),
    withSpread(reports, (report) => report.brokerCpuPerMillion),
    multiple(outcomes, reference),
    middle((report) => report.brokerCpuShare),
    middle((report) => report.generatorCpuShare),
    middle((report) => report.peakResidentMb),
    middle((report) => report.latencyP50Ms),
    middle((report) => report.latencyP99Ms),
    total((report) => report.lost),
    total((report) => report.duplicates),
    notes(outcomes, reports),
  ];
}

function layOut(rows: readonly (readonly string[])[]): string {
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  return [head, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...body].join('\n');
}

/** All outcomes as a table for each scenario, in the order in which they came. */
export function tables(outcomes: readonly Outcome[]): string {
  const byScenario = Map.groupBy(outcomes, ({ scenario }) => scenario);
  const parts = [...byScenario].map(([scenario, runs]) => {
    const byBroker = Map.groupBy(runs, ({ broker }) => broker);
    const reference = byBroker.get(REFERENCE) ?? [];
    const rows = [...byBroker].map(([broker, own]) => row(broker, own, reference));
    return `\n${scenario}\n\n${layOut([HEADINGS, ...rows])}`;
  });
  return parts.join('\n');
}
