import type { ProtocolVersion, QoS } from '../client/client.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import type { NetworkProfile } from '../wire/network-path.ts';

/**
 * A scenario as it runs: everything filled in, files read. Scenario files (YAML) and `defineFleet` (TypeScript) are the
 * same with defaults left out; see scenario-file.ts and docs/simulator.md. In topics, `{prefix}`, `{class}`, `{device}`
 * (the device's name), `{index}` (its number in its class, from 0) and, for gateways, `{child}` are replaced.
 */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  readonly seed: number;
  readonly topicPrefix: string;
  readonly broker: BrokerTarget;
  readonly fleet: readonly DeviceClass[];
  readonly stages: readonly Stage[];
  readonly chaos: Chaos;
  readonly checker: CheckerOptions;
  readonly thresholds: readonly Threshold[];
}

/** Which broker to use. */
export interface BrokerTarget {
  /** Absent: a Trellis broker of the run's own, on a free port. */
  readonly url?: string;
  readonly tcp?: Endpoint;
  /** For classes with transport websocket; absent beside `tcp`: they use `tcp`. */
  readonly websocket?: Endpoint;
  /** Nobody named `websocket`, it is the usual port beside `tcp`: where it does not answer, `tcp` takes its place. */
  readonly websocketIsGuess?: boolean;
  /** Of classes that name none of their own. */
  readonly username?: string;
  readonly password?: string;
  /** Broker metrics in Prometheus' text format, shown in the report. */
  readonly metricsUrl?: string;
}

/** What all kinds of devices have in common. */
export interface DeviceBase {
  /** Name of the class; in reports, client ids and `{class}`. */
  readonly name: string;
  readonly count: number;
  /** Not scaled by --devices: dashboards, operators. */
  readonly fixedCount: boolean;
  readonly connection: ConnectionOptions;
  readonly network: NetworkProfile;
  readonly clock: DeviceClock;
  readonly subscribes: readonly Subscription[];
}

export interface ConnectionOptions {
  /** `packet`: mqtt-packet and the simulator's own client. `mqttjs`: MQTT.js. */
  readonly client: 'packet' | 'mqttjs';
  readonly transport: 'tcp' | 'websocket';
  /** One is drawn per device. */
  readonly versions: readonly ProtocolVersion[];
  readonly session: 'clean' | 'persistent';
  readonly sessionExpirySeconds: number;
  readonly keepAliveSeconds: number;
  /** `{device}` and `{index}` are replaced. */
  readonly username?: string;
  readonly password?: string;
  readonly receiveMaximum?: number;
  readonly window: number;
  readonly offlineMax: number;
  readonly reconnectSeconds: readonly [low: number, high: number];
}

/** How wrong the device's own clock is; it dates telemetry with it. The checker uses the right one. */
export interface DeviceClock {
  readonly offsetSeconds: number;
  /** Parts per million; 1,000,000 runs twice as fast. */
  readonly driftPpm: number;
}

export interface Subscription {
  readonly topicFilter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export type DeviceClass = SensorClass | GatewayClass | ActuatorClass | DashboardClass | OperatorClass;

/** Publishes telemetry. `legacy` in scenario files is a sensor with MQTT 3.1 and 3.1.1 and all QoS mixed. */
export interface SensorClass extends DeviceBase {
  readonly kind: 'sensor';
  readonly telemetry: readonly Telemetry[];
  readonly life: Life;
}

/** One connection that speaks for many children. */
export interface GatewayClass extends DeviceBase {
  readonly kind: 'gateway';
  readonly children: number;
  /** Per child; unused with Sparkplug. */
  readonly telemetry: readonly Telemetry[];
  readonly life: Life;
  readonly sparkplug?: SparkplugOptions;
}

/** Sparkplug B: NBIRTH, NDEATH as will, DBIRTH, DDATA per child, rebirth on NCMD. */
export interface SparkplugOptions {
  readonly groupId: string;
  /** Of DDATA, per child. */
  readonly everySeconds: number;
  readonly metrics: number;
}

/** Subscribes to commands and answers each to its response topic, with its correlation data (3.x: topic + `/answer`). */
export interface ActuatorClass extends DeviceBase {
  readonly kind: 'actuator';
  readonly commandTopic: string;
  /** What the answer takes to come, s. */
  readonly workSeconds: number;
  readonly life: Life;
}

/** Subscribes and looks; `subscribes` says to what. WebSocket unless the scenario says otherwise. */
export interface DashboardClass extends DeviceBase {
  readonly kind: 'dashboard';
  /** Leaves and comes back with a new subscription, on average every so many seconds; 0 never. Replays what is retained. */
  readonly reopenEverySeconds: number;
}

/** The back office: sends commands, retained configuration and firmware. */
export interface OperatorClass extends DeviceBase {
  readonly kind: 'operator';
  readonly commands?: {
    /** Class of actuators. */
    readonly to: string;
    /** Between two commands of this operator; the actuators take turns. */
    readonly everySeconds: number;
    readonly qos: QoS;
  };
  readonly configures?: {
    /** Class whose life.configTopic is written, one retained message per device, and again every so often (0: once). */
    readonly to: string;
    readonly everySeconds: number;
  };
  readonly firmware?: FirmwareCampaign;
}

/** A firmware roll-out over MQTT; see devices/firmware. */
export interface FirmwareCampaign {
  /** Devices follow a channel; manifest at `{prefix}/firmware/<channel>/manifest`, retained. */
  readonly channel: string;
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  /** When each version is announced, s after the operator is up; the first is version 2. */
  readonly releasesAtSeconds: readonly number[];
  /** Index of releases whose image does not match its checksum: every device must roll back. */
  readonly badReleases: readonly number[];
  readonly qos: QoS;
}

/** A row of messages that a device publishes. */
export interface Telemetry {
  readonly topic: string;
  /** Between two messages, in an open loop; closed: as fast as acknowledged, `connection.window` at once. */
  readonly pace: { readonly loop: 'open'; readonly everySeconds: number } | { readonly loop: 'closed' };
  /** One is drawn per message. */
  readonly qos: readonly QoS[];
  readonly retain: boolean;
  readonly model: ValueModel;
  /** Payload bytes at least: JSON gets a `pad`, binary is filled. */
  readonly sizeBytes: number;
  readonly format: 'json' | 'binary';
  /** MQTT 5. */
  readonly expirySeconds?: number;
}

/** Where a value comes from. */
export type ValueModel =
  | { readonly model: 'constant'; readonly value: number | string }
  | {
      readonly model: 'random-walk';
      readonly start: number;
      readonly step: number;
      readonly min: number;
      readonly max: number;
    }
  | {
      readonly model: 'sine';
      readonly mean: number;
      readonly amplitude: number;
      readonly periodSeconds: number;
      readonly noise: number;
    }
  /** Rows of a CSV file with a header, one per message, from the top again at the end. */
  | { readonly model: 'csv'; readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] }
  /** Any JSON with `{counter}`, `{time}`, `{device}`, `{index}`, `{random:low:high}`, `{pick:a|b|c}` in its strings. */
  | { readonly model: 'template'; readonly template: Readonly<Record<string, unknown>> };

/** A device's life besides its telemetry. */
export interface Life {
  /** Retained, published at boot, with what it is and its firmware version. */
  readonly birthTopic?: string;
  /** Retained, the same topic as the birth unless named: says offline. */
  readonly willTopic?: string;
  readonly willQos: QoS;
  readonly willDelaySeconds: number;
  /** Read at boot; telemetry waits for it. */
  readonly configTopic?: string;
  /** Awake and asleep in turns, with a persistent session. */
  readonly sleep?: { readonly awakeSeconds: number; readonly asleepSeconds: number };
  /** Dies without DISCONNECT, on average every so often, and boots again. */
  readonly crash?: { readonly everySeconds: number; readonly downSeconds: number };
  /** Leaves for good after so many seconds up. */
  readonly leaveAfterSeconds?: number;
  /** Channel of firmware updates it follows. */
  readonly firmware?: { readonly channel: string; readonly rebootSeconds: number };
}

/** A part of the run. `seconds` is its length; a drain ends earlier when nothing is owed any more. */
export type Stage =
  /** The part `to` (0 to 1) of each class is switched on evenly by its end; the rest stays as it was. */
  | { readonly kind: 'ramp'; readonly name: string; readonly seconds: number; readonly to: number }
  | { readonly kind: 'hold'; readonly name: string; readonly seconds: number }
  /** Open-loop telemetry `factor` times as often. */
  | { readonly kind: 'burst'; readonly name: string; readonly seconds: number; readonly factor: number }
  /** The part `part` of all devices loses its connection at once and comes back; then as hold. */
  | { readonly kind: 'storm'; readonly name: string; readonly seconds: number; readonly part: number }
  /** No new telemetry; everybody is awake and connected, and networks cut nothing by themselves, until all that is owed has come, at most `seconds` unless it still comes. */
  | { readonly kind: 'drain'; readonly name: string; readonly seconds: number };

interface Chaos {
  /** Kills the broker (SIGKILL) every so often and starts it again; 0 never. */
  readonly killBrokerEverySeconds: number;
}

interface CheckerOptions {
  /** A delivery later than this, from when it was due, is late; time without taker or broker does not count. */
  readonly lateAfterSeconds: number;
}

/** A condition on the report; the run passes when all hold. */
export interface Threshold {
  /** Path into the figures: `lost`, `duplicated`, `delivery.p99`, `classes.tracker.connect.max`, `throughput`. */
  readonly metric: string;
  readonly test: '<' | '<=' | '=' | '>=' | '>';
  /** Times in ms. */
  readonly limit: number;
}
