import { randomBytes } from 'node:crypto';
import type { IClientOptions } from 'mqtt';
import { isValidTopicName } from '../protocol/topic.ts';
import { UsageError } from './errors.ts';
import { flagInteger, type Flag, type GivenFlag } from './flags.ts';
import { addProperty, isPair, type PropertyBag, type PropertyPacket } from './properties.ts';
import { type TlsClientOptions, TlsDraft, tlsFlags } from './tls-flags.ts';

/** Where a client connects to. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'websocket'; readonly url: string };

/** What pub and sub have in common, read from their flags. */
export interface ClientSettings {
  readonly address: Address;
  /** Undefined for no TLS. */
  readonly tls: TlsClientOptions | undefined;
  readonly options: IClientOptions & { readonly protocolVersion: 3 | 4 | 5 };
  readonly qos: 0 | 1 | 2;
  /** As given with -t and in the URL, in this order. */
  readonly topics: readonly string[];
  readonly properties: ReadonlyMap<PropertyPacket, PropertyBag>;
  readonly debug: boolean;
  /** No messages on stderr. */
  readonly quiet: boolean;
}

function flag(group: string, names: string[], values: string[], help: string): Flag {
  return { group, names, values, help };
}

/** Flags that pub and sub share, with mosquitto's names; `--ws` is ours. */
export const clientFlags: readonly Flag[] = [
  flag('Connection', ['-h', '--host'], ['HOST'], 'Host of the broker (127.0.0.1).'),
  flag('Connection', ['-p', '--port'], ['PORT'], 'Port of the broker (1883; with --ws 8083; with TLS 8883, 8084).'),
  flag('Connection', ['--ws'], [], 'Connects over WebSocket, to ws://HOST:PORT/mqtt, or wss with TLS.'),
  flag('Connection', ['--unix'], ['PATH'], 'Connects to a Unix socket.'),
  flag(
    'Connection',
    ['-L', '--url'],
    ['URL'],
    'mqtt://[user[:password]@]host[:port]/topic in place of -h, -p, -u, -P and -t, or ws://host:port/path; mqtts and wss turn TLS on.',
  ),
  flag(
    'Connection',
    ['-V', '--protocol-version'],
    ['VERSION'],
    '5, 311 or 31; mqttv5, mqttv311 and mqttv31 are the same (5).',
  ),
  flag('Connection', ['-i', '--id'], ['ID'], 'Client id (a random one).'),
  flag('Connection', ['-I', '--id-prefix'], ['PREFIX'], 'Client id made of this and the process id.'),
  flag('Connection', ['-u', '--username'], ['NAME'], 'User name.'),
  flag('Connection', ['-P', '--pw'], ['PASSWORD'], 'Password.'),
  flag('Connection', ['-k', '--keepalive'], ['SECONDS'], 'Keep alive (60; 0 for none).'),
  flag(
    'Connection',
    ['-c', '--disable-clean-session'],
    [],
    'Goes on with the session the broker has for this client id, and leaves it there; needs -i.',
  ),
  flag(
    'Connection',
    ['-x', '--session-expiry-interval'],
    ['SECONDS'],
    'How long the broker keeps the session (MQTT 5); -1 for ever, which is what -c does by itself.',
  ),
  ...tlsFlags,
  flag(
    'Will',
    ['--will-topic'],
    ['TOPIC'],
    'Topic name of the will, which the broker publishes when this client is lost.',
  ),
  flag('Will', ['--will-payload'], ['TEXT'], 'Payload of the will (empty).'),
  flag('Will', ['--will-qos'], ['QOS'], 'QoS of the will (0).'),
  flag('Will', ['--will-retain'], [], 'Retains the will.'),
  {
    ...flag(
      'MQTT 5',
      ['-D', '--property'],
      ['PACKET', 'PROPERTY', 'VALUE'],
      'Adds a property, for instance -D connect receive-maximum 10; user-property takes a name and a value. May be repeated.',
    ),
    oneMore: isPair,
  },
  flag('Output', ['-d', '--debug'], [], 'Says on stderr which packets are sent and received.'),
  flag('Output', ['--quiet'], [], 'No messages on stderr.'),
  flag('Output', ['--help'], [], 'Prints this.'),
];

/** Port of MQTT over TCP, and over WebSocket. */
const defaultPorts = { tcp: 1883, websocket: 8083 };
/** The same in TLS. */
const securePorts: typeof defaultPorts = { tcp: 8883, websocket: 8084 };
const neverExpires = 0xffff_ffff;

/** What the flags said so far. */
class Draft {
  host: string | undefined;
  port: number | undefined;
  websocket = false;
  unix: string | undefined;
  url: URL | undefined;
  version: 3 | 4 | 5 = 5;
  clientId: string | undefined;
  username: string | undefined;
  password: string | undefined;
  keepalive = 60;
  clean = true;
  sessionExpiryInterval: number | undefined;
  willTopic: string | undefined;
  willPayload: string | undefined;
  willQos: 0 | 1 | 2 | undefined;
  willRetain = false;
  qos: 0 | 1 | 2 = 0;
  debug = false;
  quiet = false;
  readonly tls = new TlsDraft();
  readonly topics: string[] = [];
  readonly properties = new Map<PropertyPacket, PropertyBag>();

  /** mosquitto's clients take port 8883 as a wish for TLS as well. */
  get isSecure(): boolean {
    const { protocol } = this.url ?? {};
    return (
      this.tls.firstFlag !== undefined || protocol === 'mqtts:' || protocol === 'wss:' || this.port === securePorts.tcp
    );
  }
}

/**
 * Reads what pub and sub have in common. `packets` are those -D may name.
 * @throws UsageError when flags are wrong or do not go together.
 */
export function clientSettings(given: readonly GivenFlag[], packets: readonly PropertyPacket[]): ClientSettings {
  const draft = new Draft();
  for (const one of given) {
    if (one.name === '-D') addProperty(draft.properties, one, packets);
    else if (!readAddress(draft, one) && !readSession(draft, one) && !draft.tls.read(one)) readWill(draft, one);
  }
  const address = addressOf(draft);
  return {
    address,
    tls: draft.isSecure ? draft.tls.finish() : undefined,
    options: clientOptions(draft),
    qos: draft.qos,
    topics: draft.topics,
    properties: draft.properties,
    debug: draft.debug,
    quiet: draft.quiet,
  };
}

function readAddress(draft: Draft, one: GivenFlag): boolean {
  const text = one.values[0] ?? '';
  switch (one.name) {
    case '-h':
      if (text === '') throw new UsageError(`${one.typed} needs a host.`);
      draft.host = text;
      return true;
    case '-p':
      draft.port = flagInteger(one, 1, 65_535);
      return true;
    case '--ws':
      draft.websocket = true;
      return true;
    case '--unix':
      if (text === '') throw new UsageError('--unix needs the path of a socket.');
      draft.unix = text;
      return true;
    case '-L':
      readUrl(draft, one);
      return true;
    default:
      return false;
  }
}

function readUrl(draft: Draft, one: GivenFlag): void {
  const text = one.values[0]!;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '' || !['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(url.protocol)) {
    throw new UsageError(`${one.typed} needs a URL such as mqtt://host:1883/topic or ws://host:8083/mqtt.`);
  }
  draft.url = url;
  try {
    if (url.username !== '') draft.username = decodeURIComponent(url.username);
    if (url.password !== '') draft.password = decodeURIComponent(url.password);
    // Taken from the text, for # and ? are characters of a topic filter here, not parts of a URL.
    const topic = decodeURIComponent(/^mqtts?:\/\/[^/]*\/(.*)$/i.exec(text)?.[1] ?? '');
    if (topic !== '') draft.topics.push(topic);
  } catch {
    throw new UsageError(`${one.typed}: a % in the URL is not followed by two hexadecimal digits of UTF-8.`);
  }
}

function readSession(draft: Draft, one: GivenFlag): boolean {
  const text = one.values[0] ?? '';
  switch (one.name) {
    case '-V':
      draft.version = protocolVersion(one);
      return true;
    case '-i':
      draft.clientId = text;
      return true;
    case '-I':
      draft.clientId = `${text}${process.pid}`;
      return true;
    case '-u':
      draft.username = text;
      return true;
    case '-P':
      draft.password = text;
      return true;
    case '-k':
      draft.keepalive = flagInteger(one, 0, 65_535);
      return true;
    case '-c':
      draft.clean = false;
      return true;
    case '-x':
      draft.sessionExpiryInterval = text === '-1' || text === '∞' ? neverExpires : flagInteger(one, 0, neverExpires);
      return true;
    case '-q':
      draft.qos = flagQos(one);
      return true;
    case '-t':
      if (text === '') throw new UsageError(`${one.typed} must not be empty.`);
      draft.topics.push(text);
      return true;
    case '-d':
      draft.debug = true;
      return true;
    case '--quiet':
      draft.quiet = true;
      return true;
    default:
      return false;
  }
}

function readWill(draft: Draft, one: GivenFlag): void {
  const text = one.values[0] ?? '';
  switch (one.name) {
    case '--will-topic':
      if (!isValidTopicName(text))
        throw new UsageError(`--will-topic must be a topic name without wildcards, not ${JSON.stringify(text)}.`);
      draft.willTopic = text;
      break;
    case '--will-payload':
      draft.willPayload = text;
      break;
    case '--will-qos':
      draft.willQos = flagQos(one);
      break;
    case '--will-retain':
      draft.willRetain = true;
      break;
    default: // A flag of the command itself.
  }
}

function flagQos(one: GivenFlag): 0 | 1 | 2 {
  return flagInteger(one, 0, 2) as 0 | 1 | 2;
}

function protocolVersion(one: GivenFlag): 3 | 4 | 5 {
  switch (one.values[0] ?? '') {
    case '5':
    case 'mqttv5':
      return 5;
    case '311':
    case 'mqttv311':
      return 4;
    case '31':
    case 'mqttv31':
      return 3;
    default:
      throw new UsageError(`${one.typed} must be 5, 311 or 31, not ${JSON.stringify(one.values[0])}.`);
  }
}

function addressOf(draft: Draft): Address {
  const { host, port, unix, url, websocket } = draft;
  if (unix !== undefined) {
    if (host !== undefined || port !== undefined || url !== undefined || websocket) {
      throw new UsageError('--unix does not go together with -h, -p, -L or --ws.');
    }
    if (draft.isSecure) throw new UsageError(`--unix does not go together with ${draft.tls.firstFlag}.`);
    return { kind: 'unix', path: unix };
  }
  const secure = draft.isSecure;
  const ports = secure ? securePorts : defaultPorts;
  if (url !== undefined) {
    if (host !== undefined || port !== undefined) throw new UsageError('-L does not go together with -h or -p.');
    if (url.protocol === 'ws:' || url.protocol === 'wss:') {
      return { kind: 'websocket', url: `${secure ? 'wss' : 'ws'}://${url.host}${url.pathname}${url.search}` };
    }
  }
  const chosenPort = url === undefined ? port : Number(url.port) || undefined;
  // An IPv6 address stands in brackets in a URL only.
  const chosenHost = (url === undefined ? (host ?? '127.0.0.1') : url.hostname).replace(/^\[(.*)\]$/, '$1');
  if (websocket) {
    const bracketed = chosenHost.includes(':') ? `[${chosenHost}]` : chosenHost;
    return { kind: 'websocket', url: `${secure ? 'wss' : 'ws'}://${bracketed}:${chosenPort ?? ports.websocket}/mqtt` };
  }
  return { kind: 'tcp', host: chosenHost, port: chosenPort ?? ports.tcp };
}

function clientOptions(draft: Draft): ClientSettings['options'] {
  checkTogether(draft);
  const connect: PropertyBag = { ...draft.properties.get('connect') };
  if (draft.version === 5) {
    const expiry = draft.sessionExpiryInterval ?? (draft.clean ? undefined : neverExpires);
    if (expiry !== undefined) connect['sessionExpiryInterval'] ??= expiry;
  }
  const options: IClientOptions & { protocolVersion: 3 | 4 | 5 } = {
    protocolVersion: draft.version,
    protocolId: draft.version === 3 ? 'MQIsdp' : 'MQTT',
    // At most 23 characters, which every broker takes.
    clientId: draft.clientId ?? `trellis-${randomBytes(6).toString('hex')}`,
    clean: draft.clean,
    keepalive: draft.keepalive,
    reconnectPeriod: 0,
    connectTimeout: 30_000,
    resubscribe: false,
  };
  if (Object.keys(connect).length > 0) options.properties = connect;
  if (draft.username !== undefined) options.username = draft.username;
  if (draft.password !== undefined) options.password = draft.password;
  if (draft.willTopic !== undefined) {
    options.will = {
      topic: draft.willTopic,
      payload: Buffer.from(draft.willPayload ?? ''),
      qos: draft.willQos ?? 0,
      retain: draft.willRetain,
    };
    const properties = draft.properties.get('will');
    if (properties !== undefined) options.will.properties = properties;
  }
  return options;
}

function checkTogether(draft: Draft): void {
  if (draft.version !== 5) {
    if (draft.properties.size > 0) throw new UsageError('-D needs MQTT 5: leave -V out or use -V 5.');
    if (draft.sessionExpiryInterval !== undefined) throw new UsageError('-x needs MQTT 5: leave -V out or use -V 5.');
    if (draft.password !== undefined && draft.username === undefined)
      throw new UsageError('-P needs -u before MQTT 5.');
  }
  const keeps = !draft.clean || draft.sessionExpiryInterval === neverExpires;
  if (keeps && (draft.clientId ?? '') === '') {
    throw new UsageError(
      `${draft.clean ? '-x -1' : '-c'} needs -i: without a client id nobody could come back to the session.`,
    );
  }
  const will =
    draft.willPayload !== undefined || draft.willQos !== undefined || draft.willRetain || draft.properties.has('will');
  if (will && draft.willTopic === undefined) throw new UsageError('A will needs --will-topic.');
}
