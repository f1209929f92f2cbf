import type { ProtocolVersion, QoS } from '../client/client.ts';
import type {
  BrokerTarget,
  DashboardClass,
  DeviceBase,
  Scenario,
  SensorClass,
  Stage,
  Subscription,
  Telemetry,
} from '../scenario/scenario.ts';
import type { BenchMode } from './modes.ts';

/** A measurement as the flags ask for it; defaults of its mode filled in. */
export interface BenchPlan {
  readonly mode: BenchMode;
  readonly broker: BrokerTarget;
  readonly transport: 'tcp' | 'websocket';
  readonly version: ProtocolVersion;
  readonly clients: number;
  readonly intervalMs: number;
  readonly messageIntervalMs: number | undefined;
  readonly subscribers: number;
  readonly topic: string;
  readonly sizeBytes: number;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly durationSeconds: number;
  readonly window: number;
  readonly keepAliveSeconds: number;
  readonly seed: number;
}

/** How long the readers of mode offline sleep, and how long they stay awake, s. */
const sleep = { asleepSeconds: 9, awakeSeconds: 1 };
/** How often the subscribers of mode retained come anew, s. */
const reopenEverySeconds = 5;
/** Limit of what comes after the measurement, s. */
const drainSeconds = 60;

/** The measurement as a scenario; there are no thresholds but that nothing goes wrong. */
export function scenarioOf(plan: BenchPlan): Scenario {
  const ramp: Stage = { kind: 'ramp', name: 'connect', seconds: (plan.clients * plan.intervalMs) / 1000, to: 1 };
  const hold: Stage = { kind: 'hold', name: 'measure', seconds: plan.durationSeconds };
  return {
    name: `bench ${plan.mode}`,
    description: '',
    seed: plan.seed,
    topicPrefix: 'bench',
    broker: plan.broker,
    fleet: fleetOf(plan),
    stages: [ramp, hold, { kind: 'drain', name: 'drain', seconds: drainSeconds }],
    chaos: { killBrokerEverySeconds: 0 },
    // A queue that is as long as the broker lets it be is what a saturated broker has; late is no fault here.
    checker: { lateAfterSeconds: Number.POSITIVE_INFINITY },
    thresholds: [],
  };
}

/** How many clients of a measurement subscribe. */
export function subscribersOf(plan: BenchPlan): number {
  switch (plan.mode) {
    case 'fanin':
    case 'iot':
    case 'retained':
      return plan.subscribers;
    case 'fanout':
    case 'p2p':
    case 'offline':
      return plan.clients;
    case 'conn':
      return 0;
  }
}

function fleetOf(plan: BenchPlan): (SensorClass | DashboardClass)[] {
  const everything = [subscription(plan, wildcardOf(plan.topic))];
  switch (plan.mode) {
    case 'fanin':
    case 'iot':
      return [dashboard(plan, 'subscriber', plan.subscribers, everything), sensor(plan, 'publisher', plan.clients)];
    case 'fanout':
      return [
        dashboard(plan, 'subscriber', plan.clients, [subscription(plan, indexed(plan.topic))]),
        sensor(plan, 'publisher', 1),
      ];
    case 'p2p':
      return [{ ...sensor(plan, 'pair', plan.clients), subscribes: [subscription(plan, indexed(plan.topic))] }];
    case 'conn':
      return [{ ...sensor(plan, 'client', plan.clients), telemetry: [] }];
    case 'retained':
      return [
        { ...dashboard(plan, 'subscriber', plan.subscribers, everything), reopenEverySeconds },
        retainedWriter(plan),
      ];
    case 'offline':
      return [sleeper(plan), sensor(plan, 'publisher', plan.clients)];
  }
}

function base(plan: BenchPlan, name: string, count: number): DeviceBase {
  return {
    name,
    count,
    fixedCount: false,
    connection: {
      client: 'packet',
      transport: plan.transport,
      versions: [plan.version],
      session: 'clean',
      sessionExpirySeconds: 3600,
      keepAliveSeconds: plan.keepAliveSeconds,
      window: plan.window,
      offlineMax: 1000,
      reconnectSeconds: [0.2, 5],
    },
    network: {},
    clock: { offsetSeconds: 0, driftPpm: 0 },
    subscribes: [],
  };
}

/** A publisher; as a scenario names it, a sensor. */
function sensor(plan: BenchPlan, name: string, count: number): SensorClass {
  const { messageIntervalMs } = plan;
  const telemetry: Telemetry = {
    topic: indexed(plan.topic),
    pace:
      messageIntervalMs === undefined ? { loop: 'closed' } : { loop: 'open', everySeconds: messageIntervalMs / 1000 },
    qos: [plan.qos],
    retain: plan.retain,
    model: { model: 'constant', value: 0 },
    sizeBytes: plan.sizeBytes,
    format: 'binary',
  };
  return {
    ...base(plan, name, count),
    kind: 'sensor',
    telemetry: [telemetry],
    life: { willQos: 0, willDelaySeconds: 0 },
  };
}

/** Subscribers are there before the first publisher: they are switched on at once, whatever the interval. */
function dashboard(plan: BenchPlan, name: string, count: number, subscribes: readonly Subscription[]): DashboardClass {
  return { ...base(plan, name, count), kind: 'dashboard', fixedCount: true, subscribes, reopenEverySeconds: 0 };
}

function retainedWriter(plan: BenchPlan): SensorClass {
  const writer = sensor(plan, 'writer', plan.clients);
  return { ...writer, telemetry: [], life: { ...writer.life, birthTopic: indexed(plan.topic) } };
}

function sleeper(plan: BenchPlan): SensorClass {
  const reader = sensor(plan, 'reader', plan.clients);
  return {
    ...reader,
    fixedCount: true,
    connection: { ...reader.connection, session: 'persistent' },
    telemetry: [],
    subscribes: [subscription(plan, indexed(plan.topic))],
    life: { ...reader.life, sleep },
  };
}

function subscription(plan: BenchPlan, topicFilter: string): Subscription {
  return { topicFilter, qos: plan.qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
}

/** `%i`, as emqtt-bench and mqttx bench have it, in the words of scenarios. */
function indexed(topic: string): string {
  return topic.replaceAll('%i', '{index}');
}

/** The filter of everybody's topics: each level with `%i` is a wildcard. */
function wildcardOf(topic: string): string {
  return topic
    .split('/')
    .map((level) => (level.includes('%i') ? '+' : level))
    .join('/');
}
