import { z } from 'zod';
import { classSchema } from './class-schema.ts';
import { brokerSchema } from './connection-schema.ts';
import { defaults } from './defaults.ts';
import {
  described,
  duration,
  either,
  integer,
  list,
  mustBe,
  name,
  namePattern,
  number,
  optional,
  section,
  text,
} from './fields.ts';
import type { ScenarioFile, StageFile } from './scenario-file.ts';

const day = 86_400;

const stageLength = duration(0.1, 30 * day);
const stageFields = {
  seconds: described(stageLength, 'Length of the stage.'),
  name: optional(
    name(),
    'Name in reports and metrics. Absent: the kind, numbered from the second of a kind: `hold`, `hold-2`.',
  ),
};

function stage<Extra extends z.core.$ZodLooseShape>(extra: Extra, description: string) {
  const fields = section({ ...stageFields, ...extra });
  const expected = `a duration such as 30s, or a mapping with ${Object.keys({ ...stageFields, ...extra }).join(', ')}`;
  return optional(either([stageLength, fields], expected), description);
}

/** One stage of a run. */
const stageSchema: z.ZodType<StageFile> = section({
  ramp: stage(
    { to: optional(number(0, 1), 'Part of each class that is on at the end.', defaults.rampTo) },
    'Devices are switched on evenly, until the part `to` of each class is on.',
  ),
  hold: stage({}, 'All goes on as it is.'),
  burst: stage(
    { factor: optional(number(0.01, 10_000), 'How many times as often.', defaults.burstFactor) },
    'Open-loop telemetry comes `factor` times as often.',
  ),
  storm: stage(
    { part: optional(number(0, 1), 'Part of the devices.', defaults.stormPart) },
    'The part `part` of all devices loses its connection at once and comes back.',
  ),
  drain: stage({}, 'The last stage: nothing new is sent; it ends when nothing is owed any more, or after its length.'),
}).meta({ id: 'stage', minProperties: 1, maxProperties: 1 });

/** A scenario file. */
export const scenarioSchema: z.ZodType<ScenarioFile> = section({
  name: optional(text(200), "Name of the scenario. Absent: the file's."),
  description: optional(text(2000), 'What it is about. Absent: empty.'),
  seed: optional(
    integer(0, 4_294_967_295),
    'Seed of everything that is drawn at random: the same seed, the same run.',
    defaults.seed,
  ),
  topicPrefix: optional(
    text(200).regex(/^[^+#{}\0]+$/, { error: 'must not contain +, #, { or }' }),
    'Replaces `{prefix}` in topics.',
    defaults.topicPrefix,
  ),
  broker: optional(brokerSchema, 'Where the broker is.'),
  fleet: described(
    z
      .record(z.string().meta({ pattern: namePattern.source }), classSchema, {
        error: mustBe('a mapping from names of classes to what they are'),
      })
      .refine((fleet) => Object.keys(fleet).length > 0, { error: 'has no class of devices' })
      .meta({ minProperties: 1 }),
    'Classes of devices by name.',
  ),
  stages: optional(
    list(stageSchema, 'stages such as "- hold: 30s"', 1000).min(1, { error: 'must have at least one stage' }),
    'Stages of the run in their order. Absent: ramp 10s, hold 30s. A list without a drain at its end gets one.',
  ),
  chaos: optional(
    section({
      killBrokerEvery: optional(
        duration(0, day),
        "Kills the broker (SIGKILL) so often, and starts it again; 0 for never. Needs a broker of the run's own, or --kill-broker.",
        0,
      ),
    }),
    'Misfortunes of the broker.',
  ),
  checker: optional(
    section({
      lateAfter: optional(
        duration(0.001, day),
        'A delivery later than this is late. Time without taker or broker does not count.',
        defaults.lateAfter,
      ),
    }),
    'The delivery checker.',
  ),
  thresholds: optional(
    z.record(z.string(), either([z.number(), z.string()], 'a condition such as "<= 250 ms", or a number'), {
      error: mustBe('a mapping from metrics to conditions, such as lost: 0'),
    }),
    'Conditions of success. Each fault has to be 0 unless it is named here.',
  ),
});
