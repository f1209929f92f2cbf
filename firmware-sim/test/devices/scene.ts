import { Metrics } from '../../src/agent/metrics.ts';
import type { Device, DeviceContext, DeviceNote, Peers } from '../../src/devices/device.ts';
import { createDevice } from '../../src/devices/create-device.ts';
import { Random } from '../../src/lib/random.ts';
import type {
  ActuatorClass,
  ConnectionOptions,
  DeviceBase,
  DeviceClass,
  Life,
  OperatorClass,
  SensorClass,
  Telemetry,
} from '../../src/scenario/scenario.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { FakeAgent } from './fake-agent.ts';

export const connection: ConnectionOptions = {
  client: 'packet',
  transport: 'tcp',
  versions: [5],
  session: 'clean',
  sessionExpirySeconds: 0,
  keepAliveSeconds: 60,
  window: 4,
  offlineMax: 100,
  reconnectSeconds: [1, 10],
};

const base: DeviceBase = {
  name: 'things',
  count: 1,
  fixedCount: false,
  connection,
  network: {},
  clock: { offsetSeconds: 0, driftPpm: 0 },
  subscribes: [],
};

export const quietLife: Life = { willQos: 1, willDelaySeconds: 0 };

export const row: Telemetry = {
  topic: '{prefix}/{class}/{device}/t',
  pace: { loop: 'open', everySeconds: 1 },
  qos: [1],
  retain: false,
  model: { model: 'constant', value: 7 },
  sizeBytes: 0,
  format: 'json',
};

export function sensorClass(more: Partial<SensorClass> = {}): SensorClass {
  return { ...base, kind: 'sensor', telemetry: [row], life: quietLife, ...more };
}

export function actuatorClass(more: Partial<ActuatorClass> = {}): ActuatorClass {
  return {
    ...base,
    name: 'valves',
    kind: 'actuator',
    commandTopic: '{prefix}/{class}/{device}/set',
    workSeconds: 0.5,
    life: quietLife,
    ...more,
  };
}

export function operatorClass(more: Partial<OperatorClass> = {}): OperatorClass {
  return { ...base, name: 'office', kind: 'operator', ...more };
}

export interface Scene {
  readonly timers: FakeTimers;
  readonly device: Device;
  readonly agent: FakeAgent;
  readonly metrics: Metrics;
  readonly notes: { kind: DeviceNote; text: string }[];
  /** Notes so far by kind. */
  noted(kind: DeviceNote): number;
}

/** Stands beside all things of a scenario. */
export function peersOf(classes: readonly DeviceClass[]): ReadonlyMap<string, Peers> {
  return new Map(
    classes.map((deviceClass) => [
      deviceClass.name,
      { deviceClass, count: deviceClass.count, nameOf: (index: number) => `${deviceClass.name}-${index}` },
    ]),
  );
}

/** One device with an agent and a clock that tests move. */
export function scene(
  deviceClass: DeviceClass,
  options: { peers?: readonly DeviceClass[]; seed?: number; name?: string; index?: number } = {},
): Scene {
  const timers = new FakeTimers();
  const metrics = new Metrics();
  const notes: Scene['notes'] = [];
  const agents: FakeAgent[] = [];
  const index = options.index ?? 0;
  const context: DeviceContext = {
    timers,
    random: new Random(options.seed ?? 1),
    name: options.name ?? `${deviceClass.name}-${index}`,
    index,
    topicPrefix: 'p',
    peers: peersOf([deviceClass, ...(options.peers ?? [])]),
    metrics: () => metrics,
    agent: (handler, more) => {
      const agent = new FakeAgent(handler, more);
      agents.push(agent);
      return agent;
    },
    note: (kind, text) => notes.push({ kind, text }),
  };
  const device = createDevice(deviceClass, context);
  const noted = (kind: DeviceNote): number => notes.filter((note) => note.kind === kind).length;
  return { timers, device, agent: agents[0] as FakeAgent, metrics, notes, noted };
}

/** Advances in small steps and acknowledges at each. */
export function run({ timers, agent }: Scene, ms: number, stepMs = 10): void {
  for (let past = 0; past < ms; past += stepMs) {
    timers.advance(Math.min(stepMs, ms - past));
    agent.acknowledge();
  }
}
