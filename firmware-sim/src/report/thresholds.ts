import { type Fault, faults } from '../checker/witness.ts';
import type { Percentiles } from '../lib/histogram.ts';
import type { Threshold } from '../scenario/scenario.ts';
import { total } from './figures.ts';
import type { Figures, Report, ThresholdResult } from './report.ts';

/** A report before it is judged. */
export type ReportDraft = Omit<Report, 'result' | 'thresholds'>;

/** A figure by its path, or one sentence that says why there is none. */
export type MetricReading = { readonly value: number } | { readonly problem: string };

/** Judges a draft: it passes when all thresholds hold. */
export function judged(draft: ReportDraft, thresholds: readonly Threshold[]): Report {
  const results = judgeThresholds(draft, thresholds);
  return { ...draft, thresholds: results, result: results.every(({ holds }) => holds) ? 'pass' : 'fail' };
}

/** Evaluates thresholds; one whose figure does not exist does not hold, and says so in `problem`. */
export function judgeThresholds(draft: ReportDraft, thresholds: readonly Threshold[]): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const reading = readMetric(draft, threshold.metric);
    if ('problem' in reading) return { ...threshold, value: 0, holds: false, problem: reading.problem };
    return { ...threshold, value: reading.value, holds: compares(reading.value, threshold) };
  });
}

/**
 * Reads one figure of a report by its path: a fault (`lost`), a count (`missedQos0`, `sent`), `<name>.qos0` to `.qos2`
 * of these, a distribution (`delivery.p99`), `notes.<kind>`, `self.<name>`, or any of these of one part:
 * `classes.<name>.<path>`, `stages.<name>.<path>`.
 */
export function readMetric(draft: ReportDraft, path: string): MetricReading {
  if (path.startsWith('classes.')) return readClass(draft, path.slice('classes.'.length));
  if (path.startsWith('stages.')) return readStage(draft, path.slice('stages.'.length));
  if (path.startsWith('notes.')) return { value: draft.notes[path.slice('notes.'.length)]?.count ?? 0 };
  return readFault(draft, path) ?? readCount(draft, path) ?? readFigure(draft.totals, path) ?? unknown(path);
}

function compares(value: number, { test, limit }: Threshold): boolean {
  switch (test) {
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '=':
      return value === limit;
    case '>=':
      return value >= limit;
    case '>':
      return value > limit;
  }
}

function unknown(path: string): MetricReading {
  return { problem: `The report has no figure "${path}".` };
}

function readClass(draft: ReportDraft, path: string): MetricReading {
  const name = longestName(Object.keys(draft.classes), path);
  if (name === undefined) return { problem: `The run had no device class of "classes.${path}".` };
  const rest = path.slice(name.length + 1);
  const part = draft.classes[name] as Report['classes'][string];
  if (rest === 'devices') return { value: part.devices };
  if (isFault(rest)) return { value: draft.delivery.faults[rest].byClass[name] ?? 0 };
  return readFigure(part, rest) ?? unknown(`classes.${path}`);
}

function readStage(draft: ReportDraft, path: string): MetricReading {
  const names = draft.stages.map((stage) => stage.name);
  const name = longestName(names, path);
  // An interrupted run has no later stages.
  if (name === undefined) return { problem: `The run had no stage of "stages.${path}".` };
  const part = draft.stages[names.indexOf(name)] as Report['stages'][number];
  const rest = path.slice(name.length + 1);
  if (rest === 'durationSeconds') return { value: part.durationSeconds };
  return readFigure(part, rest) ?? unknown(`stages.${path}`);
}

/** Names may have dots of their own: the longest that the path begins with. */
function longestName(names: readonly string[], path: string): string | undefined {
  const fitting = names.filter((name) => path.startsWith(`${name}.`));
  return fitting.sort((a, b) => b.length - a.length)[0];
}

function isFault(name: string): name is Fault {
  return (faults as readonly string[]).includes(name);
}

function readFault({ delivery }: ReportDraft, path: string): MetricReading | undefined {
  if (path === 'faults') return { value: faults.reduce((all, name) => all + delivery.faults[name].total, 0) };
  const [name, qos] = splitQos(path);
  if (!isFault(name)) return undefined;
  const fault = delivery.faults[name];
  return { value: qos === undefined ? fault.total : (fault.byQos[qos] as number) };
}

function readCount(draft: ReportDraft, path: string): MetricReading | undefined {
  const { counts } = draft.delivery;
  const [name, qos] = splitQos(path);
  const byQos = new Map([
    ['owed', counts.owed],
    ['outstanding', counts.outstanding],
    ['abandoned', counts.abandoned],
  ]).get(name);
  if (byQos !== undefined) return { value: qos === undefined ? total(byQos) : (byQos[qos] as number) };
  const value = new Map([
    ['missedQos0', counts.missedQos0.unexcused],
    ['missedQos0.excused', counts.missedQos0.excused],
    ['repeated', counts.repeated.total],
    ['repeated.withoutDup', counts.repeated.withoutDup],
    ['foreign', counts.foreign],
    ['willsDue', counts.willsDue],
    ['retainedChecked', counts.retainedChecked],
    ['sessionsResumed', counts.sessionsResumed],
    ['brokerRestarts', counts.brokerRestarts],
    ['durationSeconds', draft.durationSeconds],
    ['self.cpuSeconds', draft.self.cpuSeconds],
    ['self.residentMb', draft.self.residentMb],
    ['self.loopDelayP99', draft.self.loopDelayP99],
  ]).get(path);
  return value === undefined ? undefined : { value };
}

function readFigure(figures: Figures, path: string): MetricReading | undefined {
  const [name, qos] = splitQos(path);
  if (name === 'sent' || name === 'acknowledged' || name === 'delivered') {
    return { value: qos === undefined ? total(figures[name]) : (figures[name][qos] as number) };
  }
  switch (path) {
    case 'sentBytes':
    case 'deliveredBytes':
    case 'refused':
    case 'unsent':
    case 'connects':
    case 'connectFailures':
    case 'disconnects':
    case 'throughput':
      return { value: figures[path] };
    default:
      return readDistribution(figures, path);
  }
}

function readDistribution(figures: Figures, path: string): MetricReading | undefined {
  const dot = path.indexOf('.');
  const distribution = distributionOf(figures, path.slice(0, dot));
  const statistic = path.slice(dot + 1);
  if (dot === -1 || distribution === undefined || !Object.hasOwn(distribution, statistic)) return undefined;
  // A percentile of nothing is not 0: a threshold on it must not hold because nothing came.
  if (distribution.count === 0 && statistic !== 'count') {
    return { problem: `Nothing was measured for "${path}".` };
  }
  return { value: distribution[statistic as keyof Percentiles] };
}

function distributionOf(figures: Figures, name: string): Percentiles | undefined {
  switch (name) {
    case 'delivery':
      return figures.deliveryLatency;
    case 'acknowledgement':
      return figures.acknowledgementLatency;
    case 'connect':
      return figures.connectLatency;
    case 'roundTrip':
      return figures.roundTrip;
    default:
      return undefined;
  }
}

function splitQos(path: string): [name: string, qos: number | undefined] {
  const match = /^(.*)\.qos([0-2])$/.exec(path);
  return match === null ? [path, undefined] : [match[1] as string, Number(match[2])];
}
