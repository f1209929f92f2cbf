import type { QoS } from '../client/client.ts';

/**
 * A scenario as people write it, in YAML, JSON or with `defineFleet`: what has a default may be left out. What is
 * filled in, and with what, is said in docs/simulator.md and scenario.schema.json, both made from scenario-schema.ts.
 */
export interface ScenarioFile {
  /** The file's name where absent. */
  readonly name?: string;
  readonly description?: string;
  readonly seed?: number;
  readonly topicPrefix?: string;
  readonly broker?: BrokerSection;
  readonly fleet: Readonly<Record<string, ClassFile>>;
  readonly stages?: readonly StageFile[];
  readonly chaos?: { readonly killBrokerEvery?: Duration };
  readonly checker?: { readonly lateAfter?: Duration };
  /** Metric to condition: `lost: 0`, `delivery.p99: "<= 250 ms"`, `late: "off"`. */
  readonly thresholds?: Readonly<Record<string, number | string>>;
}

/** Seconds as a number, or text with a unit: `250ms`, `30s`, `2m`, `1h`, `1d`. */
type Duration = number | string;

/** Bytes as a number, or text with a unit: `512 B`, `64 KiB`, `1 MB`. */
type Size = number | string;

/** Where the broker is and who the devices say they are. */
export interface BrokerSection {
  /** mqtt://, mqtts://, ws:// or wss://; absent for a broker of the run's own. */
  readonly url?: string;
  /** For classes with transport websocket. */
  readonly websocketUrl?: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: TlsSection;
  readonly metricsUrl?: string;
}

/** PEM files, relative to the scenario. */
export interface TlsSection {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  readonly verify?: boolean;
}

/** What all kinds of classes have. */
interface BaseFile {
  readonly count?: number;
  /** True: --devices does not change the number. */
  readonly fixed?: boolean;
  readonly connection?: ConnectionFile;
  /** By name (good, 3g, edge, satellite, lossy, mobile) or what it does. */
  readonly network?: string | NetworkFile;
  readonly clock?: { readonly offset?: Duration; readonly driftPpm?: number };
  readonly subscribes?: readonly (string | SubscriptionFile)[];
}

export interface ConnectionFile {
  readonly client?: 'packet' | 'mqttjs';
  readonly transport?: 'tcp' | 'websocket';
  /** One, or a list from which each device draws one. */
  readonly versions?: VersionName | readonly VersionName[];
  readonly session?: 'clean' | 'persistent';
  readonly sessionExpiry?: Duration;
  readonly keepAlive?: Duration;
  readonly username?: string;
  readonly password?: string;
  readonly receiveMaximum?: number;
  readonly window?: number;
  readonly offlineMax?: number;
  readonly reconnect?: readonly [low: Duration, high: Duration];
}

/** MQTT versions as people call them. */
export type VersionName = 3.1 | '3.1' | '3.1.1' | 5 | '5' | '5.0';

/** See NetworkProfile; `profile` names one to start from. */
export interface NetworkFile {
  readonly profile?: string;
  readonly latency?: Duration | readonly [low: Duration, high: Duration];
  readonly bandwidth?: Size;
  readonly cutEvery?: Duration;
  readonly cutAtByte?: Size;
  readonly halfOpen?: number;
  readonly halfOpenFor?: Duration;
  readonly handOverEvery?: Duration;
  readonly readRate?: Size;
}

export interface SubscriptionFile {
  readonly filter: string;
  readonly qos?: QoS;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly retainHandling?: 0 | 1 | 2;
}

export type ClassFile = SensorFile | LegacyFile | GatewayFile | ActuatorFile | DashboardFile | OperatorFile;

export interface SensorFile extends BaseFile {
  readonly kind: 'sensor';
  readonly telemetry?: readonly TelemetryFile[];
  readonly life?: LifeFile;
}

/** A sensor whose defaults are MQTT 3.1 and 3.1.1 and all QoS mixed. */
export interface LegacyFile extends BaseFile {
  readonly kind: 'legacy';
  readonly telemetry?: readonly TelemetryFile[];
  readonly life?: LifeFile;
}

export interface GatewayFile extends BaseFile {
  readonly kind: 'gateway';
  readonly children?: number;
  readonly telemetry?: readonly TelemetryFile[];
  readonly life?: LifeFile;
  readonly sparkplug?: { readonly group?: string; readonly every?: Duration; readonly metrics?: number };
}

export interface ActuatorFile extends BaseFile {
  readonly kind: 'actuator';
  readonly commandTopic?: string;
  readonly work?: Duration;
  readonly life?: LifeFile;
}

export interface DashboardFile extends BaseFile {
  readonly kind: 'dashboard';
  readonly reopenEvery?: Duration;
}

export interface OperatorFile extends BaseFile {
  readonly kind: 'operator';
  readonly commands?: { readonly to: string; readonly every?: Duration; readonly qos?: QoS };
  readonly configures?: { readonly to: string; readonly every?: Duration };
  readonly firmware?: FirmwareFile;
}

export interface FirmwareFile {
  readonly channel?: string;
  readonly size?: Size;
  readonly chunk?: Size;
  readonly releasesAt?: readonly Duration[];
  readonly badReleases?: readonly number[];
  readonly qos?: QoS;
}

export interface TelemetryFile {
  readonly topic?: string;
  /** Open loop; not together with `loop: closed`. */
  readonly every?: Duration;
  readonly loop?: 'open' | 'closed';
  readonly qos?: QoS | readonly QoS[];
  readonly retain?: boolean;
  readonly model?: ModelName | ModelFile;
  readonly size?: Size;
  readonly format?: 'json' | 'binary';
  readonly expiry?: Duration;
}

/** Models that need no numbers. */
type ModelName = 'random-walk' | 'sine';

/** Exactly one of these. */
export interface ModelFile {
  readonly constant?: number | string;
  readonly 'random-walk'?: RandomWalkFile;
  readonly sine?: SineFile;
  /** CSV file with a header, relative to the scenario. */
  readonly csv?: string;
  readonly template?: Readonly<Record<string, unknown>>;
}

interface RandomWalkFile {
  readonly start?: number;
  readonly step?: number;
  readonly min?: number;
  readonly max?: number;
}

interface SineFile {
  readonly mean?: number;
  readonly amplitude?: number;
  readonly period?: Duration;
  readonly noise?: number;
}

export interface LifeFile {
  readonly birthTopic?: string;
  readonly willTopic?: string;
  readonly willQos?: QoS;
  readonly willDelay?: Duration;
  readonly configTopic?: string;
  readonly sleep?: { readonly awake: Duration; readonly asleep: Duration };
  readonly crash?: { readonly every: Duration; readonly down?: Duration };
  readonly leaveAfter?: Duration;
  readonly firmware?: { readonly channel?: string; readonly reboot?: Duration };
}

/** Exactly one of these; the value is the length of the stage, or a mapping with its details. */
export interface StageFile {
  readonly ramp?: Duration | RampFile;
  readonly hold?: Duration | HoldFile;
  readonly burst?: Duration | BurstFile;
  readonly storm?: Duration | StormFile;
  readonly drain?: Duration | HoldFile;
}

interface HoldFile {
  readonly seconds: Duration;
  readonly name?: string;
}

export interface RampFile extends HoldFile {
  readonly to?: number;
}

interface BurstFile extends HoldFile {
  readonly factor?: number;
}

interface StormFile extends HoldFile {
  readonly part?: number;
}
