import { format, formatSpread, layOut } from './layout.ts';
import type { ProtocolVersion } from './load/packets.ts';
import type { Report } from './load/run.ts';
import { PLAN } from './plan.ts';
import { measured, median, multiples, type Outcome, REFERENCE, runsOf, versionName } from './results.ts';

/** The broker that the goals are set for. */
export const SUBJECT = 'trellis';
/** A generator that uses more of its core than this, while the broker does not, may be what holds the rate down. */
const GENERATOR_LIMIT = 0.9;
/** Cores used by others above which a run counts as disturbed. */
const DISTURBANCE_LIMIT = 0.25;

const COUNTS = ['reordered', 'invalid', 'skipped', 'stalls'] as const;

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** What some scenarios measure besides. */
function extras(runs: readonly Outcome[]): string[] {
  const found: string[] = [];
  const add = (measure: (report: Report) => number | undefined, text: (value: string) => string): void => {
    const value = median(measured(runs, measure));
    if (value !== undefined) found.push(text(format(value)));
  };
  add(
    ({ redisCpuPerMillion }) => redisCpuPerMillion,
    (value) => `Redis ${value} CPU s per million`,
  );
  add(
    ({ redisCpuShare }) => redisCpuShare,
    (value) => `Redis ${value} cores`,
  );
  add(
    ({ residentKbPerConnection }) => residentKbPerConnection,
    (value) => `${value} KB per connection`,
  );
  add(
    ({ idleCpuShare }) => idleCpuShare && idleCpuShare * 100,
    (value) => `${value} % CPU when idle`,
  );
  add(
    ({ residentBytesPerSubscription }) => residentBytesPerSubscription,
    (value) => `${value} bytes per subscription`,
  );
  add(
    ({ latencyP99BeforeMs }) => latencyP99BeforeMs,
    (value) => `p99 ${value} ms before some stopped`,
  );
  return found;
}

function notes(runs: readonly Outcome[]): string {
  const found = extras(runs);
  for (const count of COUNTS) {
    const total = sum(measured(runs, (report) => report[count]));
    if (total > 0) found.push(`${count} ${total}`);
  }
  const isGeneratorBound = ({ generatorCpuShare, brokerCpuShare, redisCpuShare = 0 }: Report): boolean =>
    generatorCpuShare > GENERATOR_LIMIT && brokerCpuShare + redisCpuShare < GENERATOR_LIMIT;
  if (runs.some(({ report }) => report && isGeneratorBound(report))) found.push('GENERATOR-BOUND');
  const others = measured(runs, ({ otherCpuShare }) => otherCpuShare);
  const disturbed = others.filter((share) => share > DISTURBANCE_LIMIT).length;
  if (disturbed > 0) found.push(`${disturbed} of ${others.length} disturbed`);
  found.push(...new Set(runs.flatMap(({ leftOut }) => (leftOut === undefined ? [] : [`left out: ${leftOut}`]))));
  found.push(...new Set(runs.flatMap(({ error }) => (error === undefined ? [] : [`FAILED: ${error}`]))));
  return found.join('; ');
}

/** The goal and whether the median reaches it; empty where there is none. */
function goalOf(broker: string, scenario: string, found: readonly number[]): string {
  const goal = PLAN.get(scenario)?.goal;
  if (broker !== SUBJECT || goal === undefined) return '';
  const middle = median(found);
  if (middle === undefined) return String(goal);
  return `${goal} ${middle >= goal ? 'reached' : 'not reached'}`;
}

const HEADINGS: readonly string[] = [
  'broker',
  'per second',
  'CPU s per million',
  `x ${REFERENCE} per CPU s`,
  'goal',
  'broker cores',
  'generator cores',
  'peak MB',
  'loop p99 ms',
  'p50 ms',
  'p99 ms',
  'lost',
  'dup',
  'notes',
];

function row(broker: string, runs: readonly Outcome[], reference: readonly Outcome[]): string[] {
  const middle = (measure: (report: Report) => number | undefined): string => format(median(measured(runs, measure)));
  const found = multiples(runs, reference);
  return [
    broker,
    formatSpread(measured(runs, ({ perSecond }) => perSecond)),
    formatSpread(measured(runs, ({ brokerCpuPerMillion }) => brokerCpuPerMillion)),
    formatSpread(found),
    goalOf(broker, runs[0]!.scenario, found),
    middle(({ brokerCpuShare }) => brokerCpuShare),
    middle(({ generatorCpuShare }) => generatorCpuShare),
    middle(({ peakResidentMb }) => peakResidentMb),
    middle(({ eventLoopP99Ms }) => eventLoopP99Ms),
    middle(({ latencyP50Ms }) => latencyP50Ms),
    middle(({ latencyP99Ms }) => latencyP99Ms),
    String(sum(measured(runs, ({ lost }) => lost))),
    String(sum(measured(runs, ({ duplicates }) => duplicates))),
    notes(runs),
  ];
}

function startRow(broker: string, runs: readonly Outcome[]): string[] {
  const times = runs.flatMap(({ startMs }) => (startMs === undefined ? [] : [startMs]));
  return [broker, formatSpread(times), notes(runs)];
}

/** All outcomes as a table for each scenario and version, in the order in which they came. */
export function tables(outcomes: readonly Outcome[]): string {
  const byScenario = Map.groupBy(outcomes, ({ scenario, version }) => `${scenario} (${versionName(version)})`);
  const parts = [...byScenario].map(([title, runs]) => {
    const byBroker = Map.groupBy(runs, ({ broker }) => broker);
    const reference = byBroker.get(REFERENCE) ?? [];
    const isStart = PLAN.get(runs[0]!.scenario)?.loadFlags === '';
    const table = isStart
      ? layOut(
          ['broker', 'ms', 'notes'],
          [...byBroker].map(([broker, own]) => startRow(broker, own)),
        )
      : layOut(
          HEADINGS,
          [...byBroker].map(([broker, own]) => row(broker, own, reference)),
        );
    return `\n${title}\n\n${table}`;
  });
  return parts.join('\n');
}

/** Every broker's deliveries per CPU second as multiples of the reference's, with the goals: a row for each scenario. */
export function summary(outcomes: readonly Outcome[]): string {
  const others = [...new Set(outcomes.map(({ broker }) => broker))].filter((broker) => broker !== REFERENCE);
  const versions = [...new Set(outcomes.map(({ version }) => version))];
  const rows = [...PLAN].flatMap(([scenario, { title }]) =>
    versions.flatMap((version) => {
      const cells = summaryCells(outcomes, scenario, version, others);
      return cells === undefined ? [] : [[`${title}, ${versionName(version)}`, ...cells]];
    }),
  );
  return layOut(['scenario', 'goal', ...others], rows);
}

function summaryCells(
  outcomes: readonly Outcome[],
  scenario: string,
  version: ProtocolVersion,
  brokers: readonly string[],
): string[] | undefined {
  const reference = runsOf(outcomes, REFERENCE, scenario, version);
  if (reference.every(({ report }) => report === undefined)) return undefined;
  const found = brokers.map((broker) => multiples(runsOf(outcomes, broker, scenario, version), reference));
  const own = found[brokers.indexOf(SUBJECT)] ?? [];
  return [goalOf(SUBJECT, scenario, own), ...found.map(formatSpread)];
}
