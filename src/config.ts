import { checkTogether } from './config/check.ts';
import { optionKeys, options } from './config/options.ts';
import { checkValue } from './config/values.ts';
import type { ConnectionSettings } from './connection/settings.ts';
import type { LogLevel } from './lib/logger.ts';
import type { RateSettings } from './limits/client-rates.ts';
import type { ConnectionLimitSettings } from './limits/connection-limits.ts';
import type { QueuePolicy, SessionSettings, SharePolicy } from './session/settings.ts';
import type { Durability } from './store/store.ts';

/** A port to listen on: 1 to 65,535, 0 for any free one, or `off`. */
type PortSetting = number | 'off';

/** Everything that can be set, frozen; each option is described in the table of config/options.ts and in docs/configuration.md. */
export interface Config {
  readonly listeners: {
    readonly tcp: { readonly host: string; readonly port: PortSetting };
    readonly websocket: {
      readonly host: string;
      readonly port: PortSetting;
      readonly path: string;
      readonly origins: readonly string[];
    };
    /** MQTT over TLS; needs `tls.certFiles`. */
    readonly tls: { readonly host: string; readonly port: PortSetting };
    /** Secure WebSocket; path and origins are those of `websocket`. */
    readonly secureWebsocket: { readonly host: string; readonly port: PortSetting };
    /** An empty path is off. */
    readonly unix: { readonly path: string };
    /** Addresses and networks of balancers that send the PROXY protocol in front of each connection; empty for none. */
    readonly proxyProtocolFrom: readonly string[];
  };
  readonly tls: {
    /** PEM files with a certificate and those between it and its authority; which one a client gets goes by the names in them. */
    readonly certFiles: readonly string[];
    /** PEM files with their keys, in the same order. */
    readonly keyFiles: readonly string[];
    /** PEM file with the authorities of client certificates; empty for none. */
    readonly caFile: string;
    /** PEM file with their revocation lists; empty for none. */
    readonly crlFile: string;
    readonly clientCertificates: 'none' | 'optional' | 'required';
    readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
    /** From accepting a connection to the end of its handshake, ms. */
    readonly handshakeTimeoutMs: number;
    /** File with pre-shared keys; empty for none. */
    readonly pskFile: string;
  };
  readonly limits: Readonly<ConnectionSettings> &
    ConnectionLimitSettings &
    RateSettings & {
      /** Addresses and networks that limits of one address do not hold for. */
      readonly addressesExempt: readonly string[];
      /** File of bans; empty for none. */
      readonly banFile: string;
      readonly flappingConnectsMax: number;
      readonly flappingFailuresMax: number;
      readonly flappingWindowMs: number;
      readonly flappingBanMs: number;
      /** Memory of the process, bytes; 0 for no limit, `auto` for 80 % of what there is. */
      readonly memoryBytesMax: number | 'auto';
      readonly inFlightBytesMax: number;
      readonly sessionExpiryIntervalMax: number;
      readonly topicLevelsMax: number;
      readonly subscriptionsPerSessionMax: number;
      readonly sessionsMax: number;
    };
  readonly session: {
    readonly queueMessagesMax: number;
    readonly queueBytesMax: number;
    readonly queuePolicy: QueuePolicy;
    readonly queueQos0: boolean;
    readonly queueWindowMessages: number;
    readonly queueWindowBytes: number;
    readonly queueMemoryBytes: number;
    readonly inFlightMessagesMax: number;
    readonly overlap: SessionSettings['overlap'];
    readonly sharePolicy: SharePolicy;
  };
  readonly retained: { readonly messagesMax: number; readonly bytesMax: number };
  readonly store: {
    readonly type: 'embedded' | 'memory' | 'redis';
    /** Directory of the embedded store, relative to the working directory. */
    readonly data: string;
    readonly durability: Durability;
    /** Below it durable publishes are refused. */
    readonly minFreeBytes: number;
    /** How long a batch may be held to become smaller, ms; 0 is not at all. */
    readonly holdMs: number;
  };
  /** Without effect unless the store is `redis`. */
  readonly redis: {
    /** May hold a password: print it masked (maskRedisUrl). */
    readonly url: string;
    /** Begins the names of all keys. */
    readonly prefix: string;
    /** Replicas that must have what is acknowledged. */
    readonly waitReplicas: number;
    /** Silence after which the connection is opened anew, ms. */
    readonly timeoutMs: number;
    /** How long a node that is not heard of keeps its place, ms. */
    readonly leaseMs: number;
    /** File that holds the password; empty for none. */
    readonly passwordFile: string;
  };
  readonly cluster: {
    /** Name among those that share a Redis; empty for host name and port. */
    readonly nodeId: string;
    /** What MQTT 5.0 clients are told as Server Reference when the node stops; empty for none. */
    readonly serverReference: string;
    /** How long telling all clients that the node stops takes, ms; 0 tells all at once. */
    readonly drainMs: number;
  };
  readonly auth: {
    /**
     * Where clients without user name, password and certificate are let in: from this machine (127.0.0.1, ::1, Unix sockets),
     * from everywhere, or nowhere. `auto` is `loopback` while nothing says who clients are, and `nowhere` otherwise.
     */
    readonly allowAnonymous: 'auto' | 'nowhere' | 'loopback' | 'everywhere';
    /** File with user names and hashes of passwords; empty for none. */
    readonly passwordFile: string;
    readonly jwt: {
      /** One of these four, or none. */
      readonly secretFile: string;
      readonly publicKeyFile: string;
      readonly keySetFile: string;
      readonly keySetUrl: string;
      readonly keySetKeptSeconds: number;
      /** Empty for any. */
      readonly issuer: string;
      readonly audience: string;
      readonly from: 'password' | 'username';
      readonly usernameClaim: string;
      /** Claim that must be the client id; empty for none. */
      readonly clientIdClaim: string;
      readonly rolesClaim: string;
      readonly aclClaim: string;
      /** Whether a token without an end is refused. */
      readonly requireExpiry: boolean;
      readonly leewaySeconds: number;
    };
    /** What of a client certificate is the user name. */
    readonly certificateIdentity: 'none' | 'common-name' | 'dns' | 'uri' | 'email';
    readonly webhook: {
      /** Empty for none. */
      readonly url: string;
      readonly timeoutMs: number;
      readonly tokenFile: string;
      readonly cacheSeconds: number;
      readonly requestsMax: number;
    };
  };
  readonly acl: {
    /** Access rules: YAML where its name ends in .yaml, .yml or .json, else the format of Mosquitto's acl_file; empty for none. */
    readonly file: string;
    /** What holds where no rule matches; `auto` is `deny` once there are rules or anything says who clients are. */
    readonly default: 'auto' | 'deny' | 'allow';
    /** Whether MQTT 5.0 clients are told which rule refuses them. */
    readonly explainToClients: boolean;
  };
  readonly log: { readonly level: LogLevel; readonly format: 'auto' | 'json' | 'pretty' };
  readonly admin: {
    /** How often $SYS topics are published, seconds; 0 is off. */
    readonly sysIntervalSeconds: number;
    /** How long a close waits for clients to take what is due to them, ms. */
    readonly drainTimeoutMs: number;
  };
}

/** Some of T, at any depth; lists are replaced whole. */
export type DeepPartial<T> = T extends readonly unknown[] | string | number | boolean
  ? T
  : { readonly [K in keyof T]?: DeepPartial<T[K]> | undefined };

/** The configuration is wrong; `problems` are sentences for people, each with its place, and `message` is all of them, one a line. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Fills the gaps of a configuration given as an object with defaults and checks it whole, as for a configuration file.
 * Whether anonymous clients are reachable from outside is not checked here: see `exposedListeners`.
 * @throws ConfigError naming every wrong or unknown option.
 */
export function createConfig(partial: DeepPartial<Config> = {}): Config {
  const problems: string[] = [];
  const values = new Map<string, unknown>();
  collect(partial, values, problems);
  if (problems.length === 0) problems.push(...checkTogether(values).map((problem) => problem.text));
  if (problems.length > 0) throw new ConfigError(problems);
  return buildConfig(values);
}

/** Makes a frozen configuration of checked values by option key, defaults elsewhere; `memory` is the only durability of the memory store. */
export function buildConfig(values: ReadonlyMap<string, unknown>): Config {
  const root: Record<string, unknown> = {};
  for (const key of optionKeys) {
    let value = values.has(key) ? values.get(key) : options[key].default;
    if (key === 'store.durability' && values.get('store.type') === 'memory') value = 'memory';
    const path = key.split('.');
    let section = root;
    for (const name of path.slice(0, -1)) section = (section[name] ??= {}) as Record<string, unknown>;
    section[path[path.length - 1]!] = Array.isArray(value) ? Object.freeze([...value]) : value;
  }
  for (const section of Object.values(root) as Record<string, unknown>[]) {
    for (const value of Object.values(section)) Object.freeze(value);
    Object.freeze(section);
  }
  // The table has exactly the keys of Config (checked by its type), so the result has its shape.
  return Object.freeze(root) as unknown as Config;
}

/** Sets `values` from nested objects; `undefined` counts as absent. Depth is that of the table, at most three. */
function collect(partial: object, values: Map<string, unknown>, problems: string[], prefix = ''): void {
  for (const [name, value] of Object.entries(partial)) {
    if (value === undefined) continue;
    const key = `${prefix}${name}`;
    const option = optionKeys.find((known) => known === key);
    if (option !== undefined) {
      const checked = checkValue(options[option], value);
      if (checked.ok) values.set(key, checked.value);
      else problems.push(`${key} must be ${checked.expected}, not ${checked.found}.`);
    } else if (optionKeys.some((known) => known.startsWith(`${key}.`))) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        collect(value, values, problems, `${key}.`);
      } else problems.push(`${key} is a section and must be an object.`);
    } else problems.push(`There is no option ${key}.`);
  }
}

/** What sessions, queues and retained messages need of a configuration. */
export function sessionSettings(config: Config): SessionSettings {
  const { limits, session, retained } = config;
  return {
    sessionExpiryIntervalMax: limits.sessionExpiryIntervalMax,
    sessionsMax: limits.sessionsMax,
    queueMessagesMax: session.queueMessagesMax,
    queueBytesMax: session.queueBytesMax,
    queuePolicy: session.queuePolicy,
    queueQos0: session.queueQos0,
    queueWindowMessages: session.queueWindowMessages,
    queueWindowBytes: session.queueWindowBytes,
    queueMemoryBytes: session.queueMemoryBytes,
    inFlightMessagesMax: session.inFlightMessagesMax,
    inFlightBytesMax: limits.inFlightBytesMax,
    subscriptionsPerSessionMax: limits.subscriptionsPerSessionMax,
    topicLevelsMax: limits.topicLevelsMax,
    overlap: session.overlap,
    sharePolicy: session.sharePolicy,
    retainedMessagesMax: retained.messagesMax,
    retainedBytesMax: retained.bytesMax,
  };
}

/** What network connections need of a configuration. */
export function connectionSettings(config: Config): ConnectionSettings {
  const { limits } = config;
  return {
    receiveMaximum: limits.receiveMaximum,
    topicAliasMaximum: limits.topicAliasMaximum,
    topicAliasMaximumOutgoing: limits.topicAliasMaximumOutgoing,
    aliasBytesMax: limits.aliasBytesMax,
    willBytesMax: limits.willBytesMax,
    maximumPacketSize: limits.maximumPacketSize,
    serverKeepAlive: limits.serverKeepAlive,
    maximumQos: limits.maximumQos,
    retainAvailable: limits.retainAvailable,
    wildcardSubscriptionAvailable: limits.wildcardSubscriptionAvailable,
    subscriptionIdentifiersAvailable: limits.subscriptionIdentifiersAvailable,
    sharedSubscriptionAvailable: limits.sharedSubscriptionAvailable,
    checkPayloadFormat: limits.checkPayloadFormat,
    responseInformation: limits.responseInformation,
    connectTimeoutMs: limits.connectTimeoutMs,
    connectBytesMax: limits.connectBytesMax,
    connectionsMax: limits.connectionsMax,
    outboxBytesMax: limits.outboxBytesMax,
    writeDelayMs: limits.writeDelayMs,
    lingerMs: limits.lingerMs,
  };
}
