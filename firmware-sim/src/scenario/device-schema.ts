import { z } from 'zod';
import { qos } from './connection-schema.ts';
import { defaults } from './defaults.ts';
import {
  anyNumber,
  choice,
  described,
  duration,
  either,
  flag,
  integer,
  list,
  mustBe,
  name,
  number,
  optional,
  section,
  size,
  text,
  topic,
} from './fields.ts';
import type { FirmwareFile, LifeFile, ModelFile, TelemetryFile } from './scenario-file.ts';

const day = 86_400;
const year = 365 * day;
const MiB = 1_048_576;

const modelSchema: z.ZodType<ModelFile> = section({
  constant: optional(either([anyNumber(), z.string()], 'a number or text'), 'Always the same value.'),
  'random-walk': optional(
    section({
      start: optional(anyNumber(), 'First value.', defaults.randomWalk.start),
      step: optional(number(0, 1e9), 'Largest change from one value to the next.', defaults.randomWalk.step),
      min: optional(anyNumber(), 'Lowest value.', defaults.randomWalk.min),
      max: optional(anyNumber(), 'Highest value.', defaults.randomWalk.max),
    }),
    'Each value is near the one before.',
  ),
  sine: optional(
    section({
      mean: optional(anyNumber(), 'Middle of the wave.', defaults.sine.mean),
      amplitude: optional(anyNumber(), 'From the middle to the top.', defaults.sine.amplitude),
      period: optional(duration(0.01, year), 'From one top to the next.', defaults.sine.period),
      noise: optional(number(0, 1e9), 'Standard deviation of what is added at random.', defaults.sine.noise),
    }),
    'A wave, such as temperature over the day.',
  ),
  csv: optional(
    text(4096),
    'Rows of a CSV file with a header, one per message, from the top again at the end. Relative to the scenario.',
  ),
  template: optional(
    z.record(z.string(), z.unknown(), { error: mustBe('a mapping, which is sent as JSON') }),
    'Any JSON; in its strings `{counter}`, `{time}`, `{device}`, `{index}`, `{random:low:high}` and `{pick:a|b|c}` are replaced.',
  ),
}).meta({ id: 'model', minProperties: 1, maxProperties: 1 });

/** One row of messages. */
export const telemetrySchema: z.ZodType<TelemetryFile> = section({
  topic: optional(
    topic('topic'),
    `Topic name. Absent: \`${defaults.telemetryTopic}\`, of gateways \`${defaults.childTopic}\`.`,
  ),
  every: optional(
    duration(0.001, day),
    'Time between two messages, in an open loop: sent when due, however slow the broker is, and latency counts from then.',
    defaults.telemetryEvery,
  ),
  loop: optional(
    choice(['open', 'closed']),
    '`closed`: as fast as the broker acknowledges, `connection.window` messages at once; needs QoS 1 or 2, and no `every`.',
    'open',
  ),
  qos: optional(
    either(
      [qos, list(qos, '0, 1 or 2', 16).min(1, { error: 'must name at least one QoS' })],
      '0, 1 or 2, or a list of them',
    ),
    'QoS, or a list from which each message draws one. Legacy: 0, 1 and 2.',
    defaults.qos,
  ),
  retain: optional(flag(), 'Whether the broker keeps the last value.', false),
  model: optional(
    either(
      [choice(['random-walk', 'sine']), modelSchema],
      'random-walk, sine, or a mapping with constant, random-walk, sine, csv or template',
      ['random-walk', 'sine'],
    ),
    'Where values come from: `random-walk` or `sine`, or a mapping.',
    defaults.model,
  ),
  size: optional(size(0, 16 * MiB), 'Bytes of payload at least; what is missing is filled up.', defaults.size),
  format: optional(choice(['json', 'binary']), 'Form of the payload.', defaults.format),
  expiry: optional(duration(1, year), 'Message expiry of MQTT 5, whole seconds. Absent: never.'),
}).meta({ id: 'telemetry' });

/** What befalls a device. */
export const lifeSchema: z.ZodType<LifeFile> = section({
  birthTopic: optional(
    topic('topic'),
    'Topic of a retained message published at boot: what the device is, and its firmware version. Absent: none.',
  ),
  willTopic: optional(
    topic('topic'),
    'Topic of the retained will, which says offline. Absent: `birthTopic`; without that, no will.',
  ),
  willQos: optional(qos, 'QoS of birth and will.', defaults.willQos),
  willDelay: optional(duration(0, day), 'Will delay of MQTT 5, whole seconds.', defaults.willDelay),
  configTopic: optional(
    topic('topic'),
    'Topic of retained configuration, which is read at boot before the first telemetry. Absent: none.',
  ),
  sleep: optional(
    section({
      awake: described(duration(0.1, day), 'How long it is awake.'),
      asleep: described(duration(0.1, day), 'How long it sleeps, without connection; its session queues.'),
    }),
    'Awake and asleep in turns. Absent: always awake.',
  ),
  crash: optional(
    section({
      every: described(duration(0.1, year), 'Mean time between crashes.'),
      down: optional(duration(0, day), 'Time until it boots again.', defaults.crashDown),
    }),
    'Dies without DISCONNECT, so that the will has to come. Absent: never.',
  ),
  leaveAfter: optional(duration(0.1, year), 'Leaves for good after so much time up. Absent: never.'),
  firmware: optional(
    section({
      channel: optional(name(), 'Channel it follows.', defaults.firmware.channel),
      reboot: optional(duration(0, day), 'Time without connection between two versions.', defaults.reboot),
    }),
    'Takes firmware updates that an operator announces. Absent: none.',
  ),
}).meta({ id: 'life' });

/** A firmware roll-out. */
export const campaignSchema: z.ZodType<FirmwareFile> = section({
  channel: optional(name(), 'Channel to announce in.', defaults.firmware.channel),
  size: optional(size(1, 64 * MiB), 'Size of an image.', defaults.firmware.size),
  chunk: optional(size(64, MiB), 'Size of the pieces it is sent in.', defaults.firmware.chunk),
  releasesAt: optional(
    list(duration(0, year), 'durations', 100).min(1, { error: 'must name at least one release' }),
    'When each version is announced, from when the operator is up, ascending. The first is version 2; --duration scales them.',
    defaults.firmware.releasesAt,
  ),
  badReleases: optional(
    list(integer(0, 99), 'indices of releasesAt', 100),
    'Releases, counted from 0, whose image does not match its checksum: every device has to roll back. Absent: none.',
  ),
  qos: optional(qos, 'QoS of manifests and pieces.', defaults.firmware.qos),
}).meta({ id: 'campaign' });
