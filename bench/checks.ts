import { format, layOut } from './layout.ts';
import type { ProtocolVersion } from './load/packets.ts';
import type { Report } from './load/run.ts';
import { measured, median, type Outcome, REFERENCE, runsOf, sameRoundRatios, versionName } from './results.ts';

/** A figure with a bound it is to stay below. */
interface Check {
  readonly name: string;
  readonly bound: number;
  readonly unit: string;
  /** Undefined where it was not measured. */
  readonly figure: number | undefined;
}

const CONNECTION_KB = 5;
const START_MS = 500;
const EVENT_LOOP_MS = 20;
const STOPPED_RATIO = 2;
/** What a QoS 1 delivery to a persistent session may cost on Redis: a tenth of what it costs Aedes there. */
const ON_REDIS_RATIO = 0.1;
/** What 50,000 queued messages may take on Redis: 50,000 a second. */
const DRAIN_ON_REDIS_MS = 1_000;
/** What hook, $SYS and counters may cost: at most 10 % fewer deliveries per CPU second. */
const PARTS_RATIO = 1 / 0.9;

const cpu = ({ brokerCpuPerMillion }: Report): number => brokerCpuPerMillion;

function stoppedRatio({ latencyP99Ms, latencyP99BeforeMs }: Report): number | undefined {
  return latencyP99Ms && latencyP99BeforeMs && latencyP99Ms / latencyP99BeforeMs;
}

/** A figure of each scenario, as far as it was measured. */
function byScenario(outcomes: readonly Outcome[], figure: (runs: readonly Outcome[]) => number | undefined): number[] {
  const figures = [...Map.groupBy(outcomes, ({ scenario }) => scenario).values()].map(figure);
  return figures.filter((value) => value !== undefined);
}

/** The highest number, undefined when there are none. */
function highest(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}

function checksOf(outcomes: readonly Outcome[], broker: string, version: ProtocolVersion): Check[] {
  const runs = (scenario: string): readonly Outcome[] => runsOf(outcomes, broker, scenario, version);
  const all = outcomes.filter((run) => run.broker === broker && run.version === version);
  const starts = runs('start').flatMap(({ startMs }) => (startMs === undefined ? [] : [startMs]));
  const p99 = ({ latencyP99Ms }: Report): number | undefined => latencyP99Ms;
  const onRedis = (scenario: string): readonly Outcome[] => runsOf(outcomes, `${broker}-redis`, scenario, version);
  const withoutParts = (scenario: string): readonly Outcome[] => runsOf(outcomes, `${broker}-open`, scenario, version);
  return [
    {
      name: 'resident memory of an idle connection, 10,000 open',
      bound: CONNECTION_KB,
      unit: 'KB',
      figure: median(measured(runs('idle10k'), ({ residentKbPerConnection }) => residentKbPerConnection)),
    },
    { name: 'start to first CONNACK', bound: START_MS, unit: 'ms', figure: median(starts) },
    {
      name: `p99 latency at half load (1,000 devices), times ${REFERENCE}'s`,
      bound: 1,
      unit: '',
      figure: median(sameRoundRatios(runs('iot1k'), runsOf(outcomes, REFERENCE, 'iot1k', version), p99)),
    },
    {
      name: 'p99 of 900 healthy readers after 100 stopped, times before',
      bound: STOPPED_RATIO,
      unit: '',
      figure: median(measured(runs('stopped'), stoppedRatio)),
    },
    {
      name: 'event loop p99, worst scenario',
      bound: EVENT_LOOP_MS,
      unit: 'ms',
      figure: highest(byScenario(all, (own) => median(measured(own, ({ eventLoopP99Ms }) => eventLoopP99Ms)))),
    },
    {
      name: `CPU on Redis, fan-in to a persistent session, times aedes-redis'`,
      bound: ON_REDIS_RATIO,
      unit: '',
      figure: median(
        sameRoundRatios(onRedis('persist-q1'), runsOf(outcomes, 'aedes-redis', 'persist-q1', version), cpu),
      ),
    },
    {
      name: 'time to drain 50,000 queued messages from Redis',
      bound: DRAIN_ON_REDIS_MS,
      unit: 'ms',
      figure: median(measured(onRedis('offline50k'), ({ seconds }) => seconds * 1000)),
    },
    {
      name: `CPU with authorize hook and $SYS, times ${broker}-open's, median of scenarios`,
      bound: PARTS_RATIO,
      unit: '',
      figure: median(byScenario(all, (own) => median(sameRoundRatios(own, withoutParts(own[0]!.scenario), cpu)))),
    },
  ];
}

/** The figures that are to stay below a bound, as far as they were measured. */
export function checkTable(outcomes: readonly Outcome[], broker: string): string {
  const versions = [...new Set(outcomes.map(({ version }) => version))];
  const rows = versions.flatMap((version) =>
    checksOf(outcomes, broker, version).flatMap(({ name, bound, unit, figure }) => {
      if (figure === undefined) return [];
      const verdict = figure <= bound ? 'reached' : 'not reached';
      return [[`${name}, ${versionName(version)}`, `${format(bound)} ${unit}`, `${format(figure)} ${unit}`, verdict]];
    }),
  );
  return rows.length === 0 ? '' : layOut(['figure', 'at most', 'measured', ''], rows);
}
