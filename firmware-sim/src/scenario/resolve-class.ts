import type { ProtocolVersion, QoS } from '../client/client.ts';
import type { NetworkProfile } from '../wire/network-path.ts';
import type { CsvTable } from './csv.ts';
import { defaults } from './defaults.ts';
import { namedNetworks } from './networks.ts';
import type {
  ConnectionOptions,
  DeviceBase,
  DeviceClass,
  FirmwareCampaign,
  GatewayClass,
  Life,
  OperatorClass,
  Subscription,
  Telemetry,
  ValueModel,
} from './scenario.ts';
import type {
  ClassFile,
  ConnectionFile,
  FirmwareFile,
  GatewayFile,
  LifeFile,
  ModelFile,
  NetworkFile,
  OperatorFile,
  SubscriptionFile,
  TelemetryFile,
  VersionName,
} from './scenario-file.ts';
import { bytesOf, secondsOf } from './units.ts';

/** Files that classes refer to, by the name the scenario gives them. */
export interface ResolvedFiles {
  readonly tables: ReadonlyMap<string, CsvTable>;
}

const protocolVersions: ReadonlyMap<VersionName, ProtocolVersion> = new Map<VersionName, ProtocolVersion>([
  [3.1, 3],
  ['3.1', 3],
  ['3.1.1', 4],
  [5, 5],
  ['5', 5],
  ['5.0', 5],
]);

/** A class with everything filled in; `file` has been checked. */
export function deviceClass(name: string, file: ClassFile, files: ResolvedFiles): DeviceClass {
  const base = baseOf(name, file);
  switch (file.kind) {
    case 'sensor':
    case 'legacy':
      return {
        ...base,
        kind: 'sensor',
        telemetry: rowsOf(file.telemetry, defaults.telemetryTopic, file.kind, files),
        life: lifeOf(file.life),
      };
    case 'gateway':
      return gatewayClass(base, file, files);
    case 'actuator':
      return {
        ...base,
        kind: 'actuator',
        commandTopic: file.commandTopic ?? defaults.commandTopic,
        workSeconds: secondsOf(file.work ?? defaults.work),
        life: lifeOf(file.life),
      };
    case 'dashboard':
      return { ...base, kind: 'dashboard', reopenEverySeconds: secondsOf(file.reopenEvery ?? defaults.reopenEvery) };
    case 'operator':
      return operatorClass(base, file);
  }
}

function gatewayClass(base: DeviceBase, file: GatewayFile, files: ResolvedFiles): GatewayClass {
  const { sparkplug } = file;
  const rows = file.telemetry ?? (sparkplug === undefined ? undefined : []);
  return {
    ...base,
    kind: 'gateway',
    children: file.children ?? defaults.children,
    telemetry: rowsOf(rows, defaults.childTopic, file.kind, files),
    life: lifeOf(file.life),
    ...(sparkplug === undefined
      ? {}
      : {
          sparkplug: {
            groupId: sparkplug.group ?? defaults.sparkplug.group,
            everySeconds: secondsOf(sparkplug.every ?? defaults.sparkplug.every),
            metrics: sparkplug.metrics ?? defaults.sparkplug.metrics,
          },
        }),
  };
}

function operatorClass(base: DeviceBase, { commands, configures, firmware }: OperatorFile): OperatorClass {
  return {
    ...base,
    kind: 'operator',
    ...(commands === undefined
      ? {}
      : {
          commands: {
            to: commands.to,
            everySeconds: secondsOf(commands.every ?? defaults.commandsEvery),
            qos: commands.qos ?? defaults.qos,
          },
        }),
    ...(configures === undefined
      ? {}
      : {
          configures: { to: configures.to, everySeconds: secondsOf(configures.every ?? defaults.configuresEvery) },
        }),
    ...(firmware === undefined ? {} : { firmware: campaignOf(firmware) }),
  };
}

function campaignOf(file: FirmwareFile): FirmwareCampaign {
  const byDefault = defaults.firmware;
  return {
    channel: file.channel ?? byDefault.channel,
    sizeBytes: bytesOf(file.size ?? byDefault.size),
    chunkBytes: bytesOf(file.chunk ?? byDefault.chunk),
    releasesAtSeconds: (file.releasesAt ?? byDefault.releasesAt).map(secondsOf),
    badReleases: file.badReleases ?? [],
    qos: file.qos ?? byDefault.qos,
  };
}

function baseOf(name: string, file: ClassFile): DeviceBase {
  return {
    name,
    count: file.count ?? defaults.count,
    fixedCount: file.fixed ?? (file.kind === 'dashboard' || file.kind === 'operator'),
    connection: connectionOf(file.connection ?? {}, file),
    network: networkOf(file.network ?? 'good'),
    clock: { offsetSeconds: secondsOf(file.clock?.offset ?? 0), driftPpm: file.clock?.driftPpm ?? 0 },
    subscribes: (file.subscribes ?? []).map(subscriptionOf),
  };
}

function connectionOf(file: ConnectionFile, device: ClassFile): ConnectionOptions {
  const session = file.session ?? (sleeps(device) ? 'persistent' : defaults.session);
  const versions = file.versions ?? (device.kind === 'legacy' ? (['3.1', '3.1.1'] as const) : [5 as const]);
  const [low, high] = file.reconnect ?? defaults.reconnect;
  const { username, password, receiveMaximum } = file;
  return {
    client: file.client ?? defaults.client,
    transport: file.transport ?? (device.kind === 'dashboard' ? 'websocket' : 'tcp'),
    versions: asList(versions).map((version) => protocolVersions.get(version) as ProtocolVersion),
    session,
    sessionExpirySeconds: session === 'clean' ? 0 : Math.ceil(secondsOf(file.sessionExpiry ?? defaults.sessionExpiry)),
    keepAliveSeconds: Math.ceil(secondsOf(file.keepAlive ?? defaults.keepAlive)),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
    window: file.window ?? defaults.window,
    offlineMax: file.offlineMax ?? defaults.offlineMax,
    reconnectSeconds: [secondsOf(low), secondsOf(high)],
  };
}

function sleeps(device: ClassFile): boolean {
  return 'life' in device && device.life?.sleep !== undefined;
}

function networkOf(file: string | NetworkFile): NetworkProfile {
  if (typeof file === 'string') return namedNetworks.get(file) as NetworkProfile;
  const { profile, latency, bandwidth, cutEvery, cutAtByte, halfOpen, halfOpenFor, handOverEvery, readRate } = file;
  const [low, high] = latency === undefined || typeof latency !== 'object' ? [latency, latency] : latency;
  const latencyMs =
    low === undefined || high === undefined ? undefined : ([secondsOf(low) * 1000, secondsOf(high) * 1000] as const);
  return {
    ...namedNetworks.get(profile ?? 'good'),
    ...(latencyMs === undefined ? {} : { latencyMs: latencyMs[0] === latencyMs[1] ? latencyMs[0] : latencyMs }),
    ...(bandwidth === undefined ? {} : { bandwidth: bytesOf(bandwidth) }),
    ...(cutEvery === undefined ? {} : { cutEverySeconds: secondsOf(cutEvery) }),
    ...(cutAtByte === undefined ? {} : { cutAtByte: bytesOf(cutAtByte) }),
    ...(halfOpen === undefined ? {} : { halfOpen }),
    ...(halfOpenFor === undefined ? {} : { halfOpenSeconds: secondsOf(halfOpenFor) }),
    ...(handOverEvery === undefined ? {} : { handOverEverySeconds: secondsOf(handOverEvery) }),
    ...(readRate === undefined ? {} : { readRate: bytesOf(readRate) }),
  };
}

function subscriptionOf(file: string | SubscriptionFile): Subscription {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } =
    typeof file === 'string' ? { filter: file } : file;
  return {
    topicFilter: filter,
    qos: qos ?? defaults.subscriptionQos,
    noLocal: noLocal ?? false,
    retainAsPublished: retainAsPublished ?? false,
    retainHandling: retainHandling ?? 0,
  };
}

function rowsOf(
  rows: readonly TelemetryFile[] | undefined,
  topic: string,
  kind: ClassFile['kind'],
  files: ResolvedFiles,
): Telemetry[] {
  const qosByDefault: readonly QoS[] = kind === 'legacy' ? [0, 1, 2] : [defaults.qos];
  return (rows ?? [{}]).map((row) => ({
    topic: row.topic ?? topic,
    pace:
      row.loop === 'closed'
        ? { loop: 'closed' }
        : { loop: 'open', everySeconds: secondsOf(row.every ?? defaults.telemetryEvery) },
    qos: row.qos === undefined ? qosByDefault : asList(row.qos),
    retain: row.retain ?? false,
    model: modelOf(row.model ?? defaults.model, files),
    sizeBytes: bytesOf(row.size ?? defaults.size),
    format: row.format ?? defaults.format,
    ...(row.expiry === undefined ? {} : { expirySeconds: Math.ceil(secondsOf(row.expiry)) }),
  }));
}

function modelOf(file: string | ModelFile, { tables }: ResolvedFiles): ValueModel {
  const model: ModelFile = typeof file === 'string' ? { [file]: {} } : file;
  if (model.constant !== undefined) return { model: 'constant', value: model.constant };
  if (model.template !== undefined) return { model: 'template', template: model.template };
  if (model.csv !== undefined) return { model: 'csv', ...(tables.get(model.csv) as CsvTable) };
  if (model.sine !== undefined) {
    const { period, ...rest } = { ...defaults.sine, ...model.sine };
    return { model: 'sine', ...rest, periodSeconds: secondsOf(period) };
  }
  return { model: 'random-walk', ...defaults.randomWalk, ...model['random-walk'] };
}

function lifeOf(file: LifeFile = {}): Life {
  const { birthTopic, configTopic, sleep, crash, leaveAfter, firmware } = file;
  const willTopic = file.willTopic ?? birthTopic;
  return {
    ...(birthTopic === undefined ? {} : { birthTopic }),
    ...(willTopic === undefined ? {} : { willTopic }),
    willQos: file.willQos ?? defaults.willQos,
    willDelaySeconds: Math.ceil(secondsOf(file.willDelay ?? defaults.willDelay)),
    ...(configTopic === undefined ? {} : { configTopic }),
    ...(sleep === undefined
      ? {}
      : { sleep: { awakeSeconds: secondsOf(sleep.awake), asleepSeconds: secondsOf(sleep.asleep) } }),
    ...(crash === undefined
      ? {}
      : { crash: { everySeconds: secondsOf(crash.every), downSeconds: secondsOf(crash.down ?? defaults.crashDown) } }),
    ...(leaveAfter === undefined ? {} : { leaveAfterSeconds: secondsOf(leaveAfter) }),
    ...(firmware === undefined
      ? {}
      : {
          firmware: {
            channel: firmware.channel ?? defaults.firmware.channel,
            rebootSeconds: secondsOf(firmware.reboot ?? defaults.reboot),
          },
        }),
  };
}

function asList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
