import { z } from 'zod';
import { connectionSchema, networkName, networkSchema, qos, subscriptionSchema } from './connection-schema.ts';
import { defaults } from './defaults.ts';
import { campaignSchema, lifeSchema, telemetrySchema } from './device-schema.ts';
import {
  described,
  duration,
  either,
  flag,
  integer,
  list,
  name,
  number,
  optional,
  section,
  show,
  topic,
} from './fields.ts';
import { didYouMean, orList } from './wording.ts';
import { namedNetworks } from './networks.ts';
import type {
  ActuatorFile,
  ClassFile,
  DashboardFile,
  GatewayFile,
  LegacyFile,
  OperatorFile,
  SensorFile,
} from './scenario-file.ts';

const hour = 3600;
const day = 86_400;
const year = 365 * day;

/** Kinds of classes, in the order the docs name them. */
const classKinds = ['sensor', 'gateway', 'actuator', 'dashboard', 'operator', 'legacy'] as const;

const networkNames = [...namedNetworks.keys()];

const base = {
  count: optional(integer(1, 1_000_000), 'Number of devices.', defaults.count),
  fixed: optional(
    flag(),
    'Whether --devices leaves the number alone, unless it is too small for that. Dashboards and operators: true; all others: false.',
  ),
  connection: optional(connectionSchema, 'How they connect.'),
  network: optional(
    either(
      [networkName, networkSchema],
      `${orList(networkNames)}, or a mapping with what the network does`,
      networkNames,
    ),
    `How bad their network is: ${networkNames.map((word) => `\`${word}\``).join(', ')}, or a mapping.`,
    'good',
  ),
  clock: optional(
    section({
      offset: optional(duration(-year, year), 'How far ahead their clocks are; a number below 0 for behind.', 0),
      driftPpm: optional(number(-999_999, 1e9), 'How much too fast they run, in parts per million.', 0),
    }),
    'How wrong their clocks are, by which they date telemetry. The checker uses the right one.',
  ),
  subscribes: optional(
    list(
      either([topic('filter'), subscriptionSchema], 'a topic filter, or a mapping with filter and qos'),
      'topic filters',
      1000,
    ),
    'Topic filters, or mappings. Dashboards: at least one. Absent: none.',
  ),
};

const kindOf = <const Kind extends string>(kind: Kind, description: string): z.ZodLiteral<Kind> =>
  z.literal(kind).meta({ description });
const telemetryField = optional(
  list(telemetrySchema, 'mappings with topic and every', 100),
  'Rows of messages. Absent: one row with its defaults.',
);
const lifeField = optional(lifeSchema, 'What befalls them besides.');

const sensorSchema: z.ZodType<SensorFile> = section({
  kind: kindOf('sensor', 'Publishes telemetry.'),
  ...base,
  telemetry: telemetryField,
  life: lifeField,
}).meta({ id: 'sensor' });
const legacySchema: z.ZodType<LegacyFile> = section({
  kind: kindOf('legacy', 'A sensor whose defaults are MQTT 3.1 and 3.1.1, and all QoS mixed.'),
  ...base,
  telemetry: telemetryField,
  life: lifeField,
}).meta({ id: 'legacy' });
const gatewaySchema: z.ZodType<GatewayFile> = section({
  kind: kindOf('gateway', 'One connection that speaks for many children.'),
  ...base,
  children: optional(integer(1, 10_000), 'Children of each gateway.', defaults.children),
  telemetry: optional(
    list(telemetrySchema, 'mappings with topic and every', 100),
    'Rows of messages of each child, with `{child}` in their topics. Absent: one row with its defaults, or Sparkplug alone.',
  ),
  life: lifeField,
  sparkplug: optional(
    section({
      group: optional(name(), 'Sparkplug group id.', defaults.sparkplug.group),
      every: optional(duration(0.001, day), 'Time between two DDATA of a child.', defaults.sparkplug.every),
      metrics: optional(integer(1, 1000), 'Metrics of a child.', defaults.sparkplug.metrics),
    }),
    'Speaks Sparkplug B: births, deaths and data. Absent: does not.',
  ),
}).meta({ id: 'gateway' });
const actuatorSchema: z.ZodType<ActuatorFile> = section({
  kind: kindOf(
    'actuator',
    'Subscribes to commands and answers each, to its response topic and with its correlation data; with MQTT 3.x to the command topic followed by `/answer`.',
  ),
  ...base,
  commandTopic: optional(topic('topic'), 'Topic of its commands, with `{device}` or `{index}`.', defaults.commandTopic),
  work: optional(duration(0, hour), 'Time from a command to its answer.', defaults.work),
  life: lifeField,
}).meta({ id: 'actuator' });
const dashboardSchema: z.ZodType<DashboardFile> = section({
  kind: kindOf('dashboard', 'Subscribes and looks, over WebSocket unless `connection.transport` says otherwise.'),
  ...base,
  reopenEvery: optional(
    duration(0, day),
    'Mean time until it is opened again with a new subscription, which replays what is retained; 0 for never.',
    defaults.reopenEvery,
  ),
}).meta({ id: 'dashboard' });
const operatorSchema: z.ZodType<OperatorFile> = section({
  kind: kindOf('operator', 'The back office: sends commands, retained configuration and firmware.'),
  ...base,
  commands: optional(
    section({
      to: described(name(), 'Class of actuators, which take turns.'),
      every: optional(duration(0.001, day), 'Time between two commands of one operator.', defaults.commandsEvery),
      qos: optional(qos, 'QoS of commands.', defaults.qos),
    }),
    'Sends commands and waits for the answers.',
  ),
  configures: optional(
    section({
      to: described(name(), 'Class whose `life.configTopic` is written.'),
      every: optional(duration(0, day), 'Time until all is written again; 0 for once.', defaults.configuresEvery),
    }),
    'Writes a retained configuration for each device of a class.',
  ),
  firmware: optional(campaignSchema, 'Rolls out firmware.'),
}).meta({ id: 'operator' });

/** A class of devices; `kind` says which. */
export const classSchema: z.ZodType<ClassFile> = z.discriminatedUnion(
  'kind',
  [sensorSchema, gatewaySchema, actuatorSchema, dashboardSchema, operatorSchema, legacySchema] as never,
  {
    error: (issue) => {
      const { input } = issue;
      if (typeof input !== 'object' || input === null)
        return `must be a mapping with kind (${orList(classKinds)}) and what belongs to it, not ${show(input)}`;
      const kind: unknown = (input as { kind?: unknown }).kind;
      if (kind === undefined) return `missing; it must be ${orList(classKinds)}`;
      return `must be ${orList(classKinds)}, not ${show(kind)}${didYouMean(kind, classKinds)}`;
    },
  },
);
