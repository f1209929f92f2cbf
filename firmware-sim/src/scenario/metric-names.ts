import { faults } from '../checker/witness.ts';
import { didYouMean, orList } from './wording.ts';

/** Each fault of the delivery checker is a metric by its own name. */
export const faultMetrics: readonly string[] = faults;

const byQosNames: readonly string[] = ['qos0', 'qos1', 'qos2'];
/** Numbers of messages, and of each QoS: `sent.qos2`. */
const messageMetrics = withQos(['sent', 'acknowledged', 'delivered']);
const owedMetrics = withQos(['owed', 'outstanding', 'abandoned']);

const checkerMetrics: readonly string[] = [
  'missedQos0',
  'missedQos0.excused',
  'repeated',
  'repeated.withoutDup',
  'foreign',
  'willsDue',
  'retainedChecked',
  'sessionsResumed',
  'brokerRestarts',
];

const figureMetrics: readonly string[] = [
  'sentBytes',
  'deliveredBytes',
  'refused',
  'unsent',
  'connects',
  'connectFailures',
  'disconnects',
  'throughput',
];

const latencyNames: readonly string[] = ['delivery', 'acknowledgement', 'connect', 'roundTrip'];
const statisticNames: readonly string[] = ['count', 'min', 'mean', 'p50', 'p90', 'p95', 'p99', 'p999', 'max'];
const latencyMetrics = latencyNames.flatMap((name) => statisticNames.map((statistic) => `${name}.${statistic}`));

const noteMetrics: readonly string[] = [
  'notes.configured',
  'notes.crashed',
  'notes.slept',
  'notes.left',
  'notes.updated',
  'notes.rolled-back',
  'notes.update-resumed',
  'notes.answered',
  'notes.unanswered',
];

const selfMetrics: readonly string[] = ['self.cpuSeconds', 'self.residentMb', 'self.loopDelayP99'];

const partMetrics: readonly string[] = [...messageMetrics, ...figureMetrics, ...latencyMetrics];
const classMetrics: readonly string[] = [...faultMetrics, 'devices', ...partMetrics];
const stageMetrics: readonly string[] = ['durationSeconds', ...partMetrics];
const runMetrics: readonly string[] = [
  ...withQos(faultMetrics),
  'faults',
  'durationSeconds',
  ...owedMetrics,
  ...checkerMetrics,
  ...partMetrics,
  ...noteMetrics,
  ...selfMetrics,
];

/** Names of a scenario that occur in metrics. */
export interface MetricNames {
  readonly classes: readonly string[];
  readonly stages: readonly string[];
}

/** All metrics there are, in a scenario with these classes and stages. */
export function allMetrics(names: MetricNames): string[] {
  return [
    ...runMetrics,
    ...names.classes.flatMap((name) => classMetrics.map((metric) => `classes.${name}.${metric}`)),
    ...names.stages.flatMap((name) => stageMetrics.map((metric) => `stages.${name}.${metric}`)),
  ];
}

/** What is wrong with the name of a metric, with the nearest right one; undefined when it is right. */
export function metricProblem(metric: string, names: MetricNames): string | undefined {
  if (runMetrics.includes(metric)) return undefined;
  const [root, name, ...rest] = metric.split('.') as [string, string?, ...string[]];
  const isPart = (root === 'classes' || root === 'stages') && name !== undefined;
  if (!isPart) return unknownMetric(metric, runMetrics, '');
  const known = names[root];
  if (!known.includes(name)) {
    const what = root === 'classes' ? 'class' : 'stage';
    return `there is no ${what} ${name}${didYouMean(name, known) || `, only ${orList(known)}`}`;
  }
  const metrics = root === 'classes' ? classMetrics : stageMetrics;
  const word = rest.join('.');
  return metrics.includes(word) ? undefined : unknownMetric(word, metrics, `${root}.${name}.`);
}

function unknownMetric(word: string, metrics: readonly string[], prefix: string): string {
  if (latencyNames.includes(word)) return `is a distribution; say which number of it, such as ${prefix}${word}.p99`;
  const near = didYouMean(word, metrics).replace('mean ', `mean ${prefix}`);
  return `there is no such metric${near || '; docs/simulator.md lists them'}`;
}

/** The unit of a metric's limit: `ms` for times, `none` for numbers. */
export function metricUnit(metric: string): 'ms' | 'none' {
  const [name, statistic] = metric.split('.').slice(-2) as [string, string?];
  if (metric === 'self.loopDelayP99') return 'ms';
  return latencyNames.includes(name) && statistic !== 'count' ? 'ms' : 'none';
}

/** What docs say of the metrics. */
export const metricGroups: readonly { readonly names: string; readonly text: string }[] = [
  {
    names: shown(faultMetrics),
    text: 'Faults that the delivery checker found; each has to be 0 unless you say otherwise. Of one QoS: `lost.qos2`; of the receivers of a class: `classes.<class>.lost`. `faults` is the sum of all.',
  },
  {
    names: shown(['owed', 'outstanding', 'abandoned']),
    text: 'Deliveries that had to come, those of them still to come at the end, and messages given up before they were acknowledged. Of one QoS: `owed.qos1`.',
  },
  {
    names: shown(checkerMetrics),
    text: 'Other numbers of the checker: QoS 0 messages that did not arrive though nothing was cut (`excused`: because something was), QoS 1 messages that came again, messages of others, wills that fell due, retained values and resumed sessions that were checked, restarts of the broker.',
  },
  {
    names: shown([...['sent', 'acknowledged', 'delivered'], ...figureMetrics]),
    text: 'Numbers of messages, bytes and connections; `throughput` is deliveries per second. The first three also of one QoS: `sent.qos0`. All also of a class or a stage: `classes.<class>.sent`, `stages.<stage>.throughput`.',
  },
  {
    names: latencyNames.map((name) => `\`${name}.*\``).join(', '),
    text: `Times in ms, each with ${shown(statisticNames)}: from when a message was due to its delivery, to its acknowledgement, from the first byte to CONNACK, from a command to its answer. Also of a class or a stage: \`classes.<class>.connect.max\`.`,
  },
  { names: shown(noteMetrics), text: 'How often it befell a device.' },
  {
    names: shown(['devices', 'durationSeconds', ...selfMetrics]),
    text: 'Devices of a class (`classes.<class>.devices`), length of the run or of a stage, and what the simulator itself used.',
  },
];

function withQos(names: readonly string[]): readonly string[] {
  return names.flatMap((name) => [name, ...byQosNames.map((qos) => `${name}.${qos}`)]);
}

function shown(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}
