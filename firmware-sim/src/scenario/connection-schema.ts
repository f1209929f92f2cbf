import { z } from 'zod';
import { defaults } from './defaults.ts';
import {
  choice,
  described,
  duration,
  either,
  flag,
  integer,
  list,
  mustBe,
  literal,
  number,
  optional,
  secret,
  section,
  size,
  text,
  topic,
} from './fields.ts';
import { namedNetworks } from './networks.ts';
import type { BrokerSection, ConnectionFile, NetworkFile, SubscriptionFile } from './scenario-file.ts';

const hour = 3600;
const day = 86_400;
const year = 365 * day;
const MiB = 1_048_576;

/** A quality of service. */
export const qos: z.ZodLiteral<0 | 1 | 2> = literal([0, 1, 2], '0, 1 or 2');

/** The name of a network. */
export const networkName: z.ZodEnum<Record<string, string>> = choice([...namedNetworks.keys()]);

const versionName = literal([3.1, '3.1', '3.1.1', 5, '5', '5.0'], '3.1, 3.1.1 or 5');

/** Section `broker`. */
export const brokerSchema: z.ZodType<BrokerSection> = section({
  url: optional(
    text(2000),
    'URL of the broker: mqtt://host:1883, mqtts://host:8883, ws://host:8083/mqtt or wss://host:8084/mqtt. Absent: the run starts a broker of its own.',
  ),
  websocketUrl: optional(
    text(2000),
    'URL for classes on WebSocket. Absent: port 8083 (8084 with TLS) of the same host where `url` has the usual port, otherwise `url`.',
  ),
  username: optional(text(65_535), 'User name of all classes that name none of their own.'),
  password: optional(secret(), 'Password that goes with it.'),
  tls: optional(
    section({
      ca: optional(text(4096), 'PEM file of the authorities to trust in place of those of the system.'),
      cert: optional(text(4096), 'PEM file of the certificate the devices show.'),
      key: optional(text(4096), 'PEM file of its key.'),
      passphrase: optional(secret(), 'Passphrase of the key.'),
      verify: optional(flag(), 'Whether the certificate of the broker is checked.', true),
    }),
    'For mqtts:// and wss://. Files are relative to the scenario.',
  ),
  metricsUrl: optional(
    text(2000),
    'Where the broker shows metrics in the text format of Prometheus; they go into the report.',
  ),
}).meta({ id: 'broker' });

/** How devices connect. */
export const connectionSchema: z.ZodType<ConnectionFile> = section({
  client: optional(
    choice(['packet', 'mqttjs']),
    "`packet`: the simulator's own client. `mqttjs`: the library MQTT.js.",
    defaults.client,
  ),
  transport: optional(choice(['tcp', 'websocket']), 'Dashboards: websocket; all others: tcp.'),
  versions: optional(
    either(
      [versionName, list(versionName, '3.1, 3.1.1 or 5', 16).min(1, { error: 'must name at least one version' })],
      '3.1, 3.1.1 or 5, or a list of them',
    ),
    'MQTT version, or a list from which each device draws one; naming one twice makes it twice as likely. Legacy: 3.1 and 3.1.1; all others: 5.',
  ),
  session: optional(
    choice(['clean', 'persistent']),
    '`clean` starts anew with each connection, `persistent` resumes. Persistent where devices sleep.',
    defaults.session,
  ),
  sessionExpiry: optional(
    duration(0, year),
    'How long a persistent session of MQTT 5 outlives its connection.',
    defaults.sessionExpiry,
  ),
  keepAlive: optional(duration(0, 65_535), 'Keep alive; 0 for none.', defaults.keepAlive),
  username: optional(text(65_535), 'User name; `{device}` and `{index}` are replaced. Absent: that of `broker`.'),
  password: optional(secret(), 'Password; `{device}` and `{index}` are replaced. Absent: that of `broker`.'),
  receiveMaximum: optional(
    integer(1, 65_535),
    'Receive Maximum of MQTT 5: messages the broker may have under way to a device. Absent: none is named.',
  ),
  window: optional(integer(1, 65_535), 'QoS 1 and 2 messages a device has under way at once.', defaults.window),
  offlineMax: optional(
    integer(0, 1_000_000),
    'Messages a device keeps while it has no connection.',
    defaults.offlineMax,
  ),
  reconnect: optional(
    z.tuple([duration(0, hour), duration(0, hour)], {
      error: mustBe('a list of two durations, the shortest wait and the longest'),
    }),
    'Wait before a further attempt to connect: the first, doubled up to the second, with jitter.',
    defaults.reconnect,
  ),
}).meta({ id: 'connection' });

/** What a network does. */
export const networkSchema: z.ZodType<NetworkFile> = section({
  profile: optional(networkName, 'Named network to start from; what else is said here replaces parts of it.', 'good'),
  latency: optional(
    either(
      [
        duration(0, 60),
        z.tuple([duration(0, 60), duration(0, 60)], {
          error: mustBe('a duration, or a list of two: the least and the most'),
        }),
      ],
      'a duration from 0s to 1m, or a list of two: the least and the most',
    ),
    'Added to each direction. Of two values: drawn anew for each piece of data, order kept.',
  ),
  bandwidth: optional(size(1, 10_000 * MiB), 'Bytes per second, each direction.'),
  cutEvery: optional(duration(0.1, day), 'Mean time between cuts, which come at random.'),
  cutAtByte: optional(
    size(1, 10_000 * MiB),
    'Cuts each connection when this many bytes went over it, be it amid a packet.',
  ),
  halfOpen: optional(number(0, 1), 'Part of the cuts that the broker is not told of.'),
  halfOpenFor: optional(duration(0.1, day), 'How long such a connection lingers.'),
  handOverEvery: optional(
    duration(0.1, day),
    'Mean time between mobile hand-overs: the connection stays half open, the next comes from a new address.',
  ),
  readRate: optional(size(1, 10_000 * MiB), 'Bytes per second that a device reads at most.'),
}).meta({ id: 'network' });

/** One subscription. */
export const subscriptionSchema: z.ZodType<SubscriptionFile> = section({
  filter: described(
    topic('filter'),
    'Topic filter; `{prefix}`, `{class}`, `{device}` and `{index}` are replaced. `$share/name/` before it makes it shared.',
  ),
  qos: optional(qos, 'Highest QoS.', defaults.subscriptionQos),
  noLocal: optional(flag(), 'MQTT 5: not what the device published itself.', false),
  retainAsPublished: optional(flag(), 'MQTT 5: the retain flag as it was published.', false),
  retainHandling: optional(
    literal([0, 1, 2], '0, 1 or 2'),
    'MQTT 5: retained messages at subscribe: 0 always, 1 for a new subscription, 2 never.',
    0,
  ),
}).meta({ id: 'subscription' });
