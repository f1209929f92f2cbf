import { isWebsocket, type ParsedUrl, usualWebsocket } from './endpoints.ts';
import { defaults } from './defaults.ts';
import { faultMetrics } from './metric-names.ts';
import { deviceClass, type ResolvedFiles } from './resolve-class.ts';
import type { BrokerTarget, Scenario, Stage, Threshold } from './scenario.ts';
import type { RampFile, ScenarioFile, StageFile } from './scenario-file.ts';
import { stagesByDefault } from './references.ts';
import { secondsOf } from './units.ts';

/** What checking a scenario brought to light besides: files that were read, URLs taken apart, conditions understood. */
export interface Findings extends ResolvedFiles {
  readonly url: ParsedUrl | undefined;
  readonly websocketUrl: ParsedUrl | undefined;
  /** Those named, and the metrics that were switched off. */
  readonly thresholds: readonly Threshold[];
  readonly metricsOff: readonly string[];
}

/** The scenario with everything filled in; `file` has been checked. */
export function resolveScenario(file: ScenarioFile, fileName: string, findings: Findings): Scenario {
  return {
    name: file.name ?? fileName,
    description: file.description ?? '',
    seed: file.seed ?? defaults.seed,
    topicPrefix: file.topicPrefix ?? defaults.topicPrefix,
    broker: brokerTarget(file, findings),
    fleet: Object.entries(file.fleet).map(([name, entry]) => deviceClass(name, entry, findings)),
    stages: resolveStages(file.stages ?? stagesByDefault),
    chaos: { killBrokerEverySeconds: secondsOf(file.chaos?.killBrokerEvery ?? 0) },
    checker: { lateAfterSeconds: secondsOf(file.checker?.lateAfter ?? defaults.lateAfter) },
    thresholds: withFaults(findings),
  };
}

function brokerTarget({ broker = {} }: ScenarioFile, { url, websocketUrl }: Findings): BrokerTarget {
  const username = broker.username ?? url?.username;
  const password = broker.password ?? url?.password;
  return {
    ...targetOf(url, websocketUrl),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(broker.metricsUrl === undefined ? {} : { metricsUrl: broker.metricsUrl }),
  };
}

/** The endpoints that one or two URLs stand for. */
export function targetOf(url: ParsedUrl | undefined, websocketUrl: ParsedUrl | undefined): BrokerTarget {
  if (url === undefined) return {};
  const { endpoint } = url;
  const isWeb = isWebsocket(endpoint);
  const guess = isWeb ? endpoint : usualWebsocket(endpoint);
  const websocket = websocketUrl?.endpoint ?? guess;
  return {
    url: url.url,
    tcp: endpoint,
    ...(websocket === undefined ? {} : { websocket }),
    ...(websocketUrl === undefined && !isWeb && guess !== undefined ? { websocketIsGuess: true } : {}),
  };
}

/** Every fault has to be 0, unless a condition of the scenario is about it or switches it off. */
function withFaults({ thresholds, metricsOff }: Findings): Threshold[] {
  const named = new Set([...metricsOff, ...thresholds.map(({ metric }) => metric)]);
  const missing = faultMetrics.filter((metric) => !named.has(metric));
  return [...missing.map((metric): Threshold => ({ metric, test: '=', limit: 0 })), ...thresholds];
}

/** Names of the stages in their order, those filled in included; `stages` need not be right. */
export function stageNames(stages: readonly StageFile[]): string[] {
  const counts = new Map<string, number>();
  return withDrain(stages).map((stage) => {
    const [kind, body] = Object.entries(stage ?? {})[0] ?? ['stage', undefined];
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const name: unknown = typeof body === 'object' && body !== null ? (body as { name?: unknown }).name : undefined;
    return typeof name === 'string' ? name : count === 1 ? kind : `${kind}-${count}`;
  });
}

/** Ends with a drain in any case. */
function withDrain(stages: readonly StageFile[]): readonly StageFile[] {
  const hasDrain = Object.keys(stages.at(-1) ?? {})[0] === 'drain';
  return hasDrain ? stages : [...stages, { drain: defaults.drain }];
}

function resolveStages(stages: readonly StageFile[]): Stage[] {
  const names = stageNames(stages);
  return withDrain(stages).map((stage, at) => resolveStage(stage, names[at] as string));
}

function resolveStage(stage: StageFile, name: string): Stage {
  const { ramp, hold, burst, storm, drain } = stage;
  if (ramp !== undefined)
    return { kind: 'ramp', name, seconds: length(ramp), to: detail(ramp, 'to') ?? defaults.rampTo };
  if (hold !== undefined) return { kind: 'hold', name, seconds: length(hold) };
  if (burst !== undefined) {
    return { kind: 'burst', name, seconds: length(burst), factor: detail(burst, 'factor') ?? defaults.burstFactor };
  }
  if (storm !== undefined) {
    return { kind: 'storm', name, seconds: length(storm), part: detail(storm, 'part') ?? defaults.stormPart };
  }
  return { kind: 'drain', name, seconds: length(drain ?? defaults.drain) };
}

function length(stage: number | string | RampFile): number {
  return secondsOf(typeof stage === 'object' ? stage.seconds : stage);
}

function detail<Name extends string>(
  stage: number | string | { readonly [name in Name]?: number },
  name: Name,
): number | undefined {
  return typeof stage === 'object' ? stage[name] : undefined;
}
