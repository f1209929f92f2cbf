import type { TlsOptions } from '../wire/endpoint.ts';
import { isWebsocket, type ParsedUrl, parseBrokerUrl } from './endpoints.ts';
import { targetOf } from './resolve.ts';
import type { BrokerTarget, DeviceClass, Scenario, Stage } from './scenario.ts';
import { ScenarioError } from './scenario-error.ts';

/** What the command line may say otherwise than the scenario. */
export interface Overrides {
  readonly brokerUrl?: string | undefined;
  readonly websocketUrl?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** What it names replaces what the scenario says of it. */
  readonly tls?: Partial<TlsOptions> | undefined;
  /** Devices in all. */
  readonly devices?: number | undefined;
  /** Length of the run, with a drain that takes no more than its part. */
  readonly durationSeconds?: number | undefined;
  readonly seed?: number | undefined;
}

/** The scenario as the command line wants it. @throws ScenarioError where that cannot be. */
export function applyOverrides(scenario: Scenario, overrides: Overrides): Scenario {
  const { devices, durationSeconds, seed } = overrides;
  const problems: string[] = [];
  const broker = overrideBroker(scenario.broker, overrides, problems);
  const fleet = devices === undefined ? scenario.fleet : scaleFleet(scenario.fleet, devices, problems);
  if (problems.length > 0) throw new ScenarioError(problems);
  const changed = { ...scenario, broker, fleet, seed: seed ?? scenario.seed };
  return durationSeconds === undefined ? changed : scaleTime(changed, durationSeconds);
}

function overrideBroker(broker: BrokerTarget, overrides: Overrides, problems: string[]): BrokerTarget {
  const { brokerUrl, websocketUrl, username, password } = overrides;
  const tls = { ...tlsOf(broker), ...overrides.tls };
  const parse = (text: string | undefined, option: string): ParsedUrl | undefined => {
    const parsed = text === undefined ? undefined : parseBrokerUrl(text, tls);
    if (typeof parsed !== 'string') return parsed;
    problems.push(`${option}: ${parsed}`);
    return undefined;
  };
  const url = parse(brokerUrl, '--broker');
  const web = parse(websocketUrl, '--websocket');
  if (web !== undefined && !isWebsocket(web.endpoint)) problems.push('--websocket: must begin with ws:// or wss://');
  if (websocketUrl !== undefined && brokerUrl === undefined && broker.url === undefined) {
    problems.push('--websocket: needs --broker, which says where the broker is');
  }
  const name = username ?? url?.username ?? broker.username;
  const secret = password ?? url?.password ?? broker.password;
  return {
    // Where the scenario's broker has WebSocket and metrics says nothing of another one.
    ...(url === undefined ? withTls(broker, tls) : targetOf(url, web)),
    ...(url === undefined && web !== undefined ? { websocket: web.endpoint, websocketIsGuess: false } : {}),
    ...(name === undefined ? {} : { username: name }),
    ...(secret === undefined ? {} : { password: secret }),
  };
}

/** The certificates a scenario names, for a broker that the command line names. */
function tlsOf({ tcp, websocket }: BrokerTarget): TlsOptions {
  return tcp?.tls ?? websocket?.tls ?? { verify: true };
}

function withTls(broker: BrokerTarget, tls: TlsOptions): BrokerTarget {
  const { tcp, websocket } = broker;
  return {
    ...broker,
    ...(tcp?.tls === undefined ? {} : { tcp: { ...tcp, tls } }),
    ...(websocket?.tls === undefined ? {} : { websocket: { ...websocket, tls } }),
  };
}

/**
 * Classes scaled so that all devices together are `devices`: those of fixed number stay, where that leaves one for each
 * of the others; otherwise all are scaled.
 */
function scaleFleet(fleet: readonly DeviceClass[], devices: number, problems: string[]): readonly DeviceClass[] {
  if (devices < fleet.length) {
    problems.push(`--devices ${devices}: this scenario needs at least ${fleet.length}, one of each class`);
    return fleet;
  }
  const scaled = fleet.filter(({ fixedCount }) => !fixedCount);
  const rest = devices - (sum(fleet) - sum(scaled));
  const canKeepFixed = scaled.length > 0 && rest >= scaled.length;
  const counts = canKeepFixed ? shares(scaled, rest) : shares(fleet, devices);
  return fleet.map((entry) => ({ ...entry, count: counts.get(entry) ?? entry.count }));
}

/** Splits `devices` by what each class had: one each, the others in proportion to what it had beyond, by largest remainder. */
function shares(fleet: readonly DeviceClass[], devices: number): ReadonlyMap<DeviceClass, number> {
  const spare = devices - fleet.length;
  const weight = sum(fleet) - fleet.length;
  const parts = fleet.map((entry) => {
    const exact = weight === 0 ? spare / fleet.length : (spare * (entry.count - 1)) / weight;
    return { entry, whole: Math.floor(exact), remainder: exact - Math.floor(exact) };
  });
  const left = spare - parts.reduce((total, { whole }) => total + whole, 0);
  // Sorting keeps the order of equals: the same numbers give the same fleet.
  const sorted = parts.toSorted((a, b) => b.remainder - a.remainder);
  return new Map(sorted.map(({ entry, whole }, at) => [entry, 1 + whole + (at < left ? 1 : 0)]));
}

function sum(fleet: readonly DeviceClass[]): number {
  return fleet.reduce((total, { count }) => total + count, 0);
}

/**
 * Stages, and firmware releases with them, scaled so that the run is `seconds` long. A drain keeps its limit: it is over
 * as soon as nothing is owed, and cut short it would have the checker call lost what is on its way.
 */
function scaleTime(scenario: Scenario, seconds: number): Scenario {
  const factor = seconds / scenario.stages.reduce((total, stage) => total + stage.seconds, 0);
  return {
    ...scenario,
    stages: scenario.stages.map((stage): Stage => {
      const scaled = stage.seconds * factor;
      return { ...stage, seconds: stage.kind === 'drain' ? Math.max(scaled, stage.seconds) : scaled };
    }),
    fleet: scenario.fleet.map((entry) => {
      if (entry.kind !== 'operator' || entry.firmware === undefined) return entry;
      const releasesAtSeconds = entry.firmware.releasesAtSeconds.map((at) => at * factor);
      return { ...entry, firmware: { ...entry.firmware, releasesAtSeconds } };
    }),
  };
}
