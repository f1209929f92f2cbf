import type { ProtocolVersion } from './load/packets.ts';
import type { Report } from './load/run.ts';

/** One run of a scenario against a broker, and how it went: with a report, only started, left out or failed. */
export interface Outcome {
  readonly scenario: string;
  readonly version: ProtocolVersion;
  readonly broker: string;
  readonly round: number;
  readonly report?: Report;
  /** From the start of its process to its first CONNACK. */
  readonly startMs?: number;
  /** Why the broker cannot do this. */
  readonly leftOut?: string;
  readonly error?: string;
}

/** What a comparison leaves behind. */
export interface Results {
  /** When it ended, ISO 8601. */
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMb: number;
    readonly kernel: string;
  };
  /** What is measured, by the name of the broker. */
  readonly brokers: Readonly<Record<string, string>>;
  readonly durationS: number;
  readonly outcomes: readonly Outcome[];
}

/** What the others are measured by. */
export const REFERENCE = 'mosquitto';

/** What MQTT calls itself at this protocol level. */
export function versionName(version: ProtocolVersion): string {
  return version === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
}

/** The middle of some numbers, undefined when there are none. */
export function median(numbers: readonly number[]): number | undefined {
  const sorted = numbers.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

/** The runs of a broker in a scenario. */
export function runsOf(
  outcomes: readonly Outcome[],
  broker: string,
  scenario: string,
  version: ProtocolVersion,
): readonly Outcome[] {
  return outcomes.filter((run) => run.broker === broker && run.scenario === scenario && run.version === version);
}

/** What was measured of each run that succeeded. */
export function measured(outcomes: readonly Outcome[], measure: (report: Report) => number | undefined): number[] {
  return outcomes.flatMap(({ report }) => (report ? [measure(report)] : [])).filter((value) => value !== undefined);
}

/** A measure of each run over that of the other broker's run in the same round. */
export function sameRoundRatios(
  runs: readonly Outcome[],
  others: readonly Outcome[],
  measure: (report: Report) => number | undefined,
): number[] {
  return runs.flatMap(({ round, report }) => {
    const other = others.find((run) => run.round === round)?.report;
    const [own, its] = [report && measure(report), other && measure(other)];
    return own !== undefined && its !== undefined && its > 0 ? [own / its] : [];
  });
}

/** Deliveries per CPU second as multiples of the reference's in the same round. */
export function multiples(runs: readonly Outcome[], reference: readonly Outcome[]): number[] {
  const ratios = sameRoundRatios(runs, reference, ({ brokerCpuPerMillion }) => brokerCpuPerMillion);
  return ratios.filter((ratio) => ratio > 0).map((ratio) => 1 / ratio);
}

/** The parts of a comparison that was made in several goes, put together; rounds are numbered on where they repeat. */
export function mergeResults(parts: readonly Results[]): Results {
  const [first] = parts;
  if (first === undefined) throw new RangeError('There are no results.');
  const outcomes: Outcome[] = [];
  for (const part of parts) {
    const rounds = new Map<string, number>();
    for (const { scenario, version, round } of outcomes) {
      const key = `${scenario}/${version}`;
      rounds.set(key, Math.max(rounds.get(key) ?? 0, round + 1));
    }
    for (const outcome of part.outcomes) {
      const offset = rounds.get(`${outcome.scenario}/${outcome.version}`) ?? 0;
      outcomes.push({ ...outcome, round: outcome.round + offset });
    }
  }
  const brokers = Object.assign({}, ...parts.map((part) => part.brokers)) as Results['brokers'];
  const date = parts
    .map((part) => part.date)
    .toSorted()
    .at(-1)!;
  return { ...first, date, brokers, outcomes };
}
