import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { packageRoot } from '../lib/package-root.ts';
import { faultMetrics, metricGroups } from './metric-names.ts';
import { namedNetworks } from './networks.ts';
import { type JsonSchema, sectionTable } from './reference.ts';
import { scenarioSchema } from './scenario-schema.ts';

/** A file of the repository that is made from the schema of scenarios. */
export interface GeneratedFile {
  /** Where it is, relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
}

const guide = 'docs/simulator.md';
const referenceStart =
  '<!-- The rest is made by `node firmware-sim/src/scenario/schema.ts` from the schema; do not edit. -->';

/** The files made from the schema; run this module to write them. */
export function generatedFiles(): GeneratedFile[] {
  const schema = scenarioJsonSchema();
  const [written = ''] = readFileSync(new URL(guide, packageRoot()), 'utf8').split(referenceStart, 1);
  return [
    { path: 'scenario.schema.json', text: formatJson(schema) },
    { path: guide, text: `${written.trimEnd()}\n\n${referenceStart}\n\n${reference(schema)}` },
  ];
}

/** JSON Schema (draft 2020-12) of a scenario file. */
export function scenarioJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(scenarioSchema, { io: 'input' }) as JsonSchema;
  return { $schema, title: 'Scenario of firmware-sim', ...withoutIds(schema) };
}

/** Zod names definitions twice, the second time by `id`, which is no keyword of this draft. */
function withoutIds(schema: JsonSchema): JsonSchema {
  const definitions = Object.entries((schema['$defs'] ?? {}) as Record<string, JsonSchema>);
  const named = definitions.map(([name, definition]) => [name, { ...definition, id: undefined }] as const);
  return { ...schema, $defs: Object.fromEntries(named) };
}

/** Sections in the order of the page; the name of a definition, and what is said of it. */
const sections: readonly (readonly [definition: string, text: string])[] = [
  [
    'broker',
    'The section `broker`. The command line wins over it: `--broker`, `--websocket`, `--username`, `--password`, `--ca`, `--cert`, `--key`.',
  ],
  ['sensor', 'A class of kind `sensor`. What it has besides `kind`, `telemetry` and `life`, all kinds have.'],
  ['legacy', 'A class of kind `legacy`.'],
  ['gateway', 'A class of kind `gateway`.'],
  ['actuator', 'A class of kind `actuator`.'],
  ['dashboard', 'A class of kind `dashboard`.'],
  ['operator', 'A class of kind `operator`, which needs one of `commands`, `configures` and `firmware`.'],
  ['connection', 'How the devices of a class connect.'],
  ['network', 'What a network does. Whatever is left out is as good as the real network.'],
  ['subscription', 'A subscription that is more than a topic filter.'],
  ['telemetry', 'A row of messages.'],
  [
    'model',
    'Where values come from: exactly one of these. `random-walk` and `sine` may stand as a word, without the mapping.',
  ],
  ['life', 'What befalls a device besides its telemetry.'],
  ['campaign', 'A firmware roll-out of an operator.'],
  [
    'stage',
    'A stage: exactly one of these, with its length (`- hold: 30s`) or a mapping (`- burst: { seconds: 10s, factor: 3 }`).',
  ],
];

/** Fields that all kinds of classes have, and the kinds that leave them to the table of `sensor`. */
const commonFields: ReadonlySet<string> = new Set(['count', 'fixed', 'connection', 'network', 'clock', 'subscribes']);
const briefKinds: ReadonlySet<string> = new Set(['legacy', 'gateway', 'actuator', 'dashboard', 'operator']);

function reference(schema: JsonSchema): string {
  const definitions = schema['$defs'] as Record<string, JsonSchema>;
  const lines = [
    '## Reference',
    '',
    'Fields without a default that are not said to be required may be left out.',
    '',
    '### scenario',
    '',
    'The file itself.',
    '',
  ];
  lines.push(...sectionTable(schema, definitions));
  for (const [name, text] of sections) {
    const skipped = briefKinds.has(name) ? commonFields : new Set<string>();
    lines.push('', `### ${name}`, '', text, '', ...sectionTable(definitions[name] as JsonSchema, definitions, skipped));
  }
  lines.push(
    '',
    '### networks',
    '',
    'Networks that have a name, in the fields of [network](#network); times in ms (latency) and s.',
    '',
  );
  lines.push('| name | what it does |', '|---|---|');
  for (const [name, profile] of namedNetworks) lines.push(`| \`${name}\` | ${profileText(profile)} |`);
  lines.push('', '### thresholds', '', ...thresholdText());
  lines.push('', '| metrics | what they are |', '|---|---|');
  for (const { names, text } of metricGroups) lines.push(`| ${names} | ${text} |`);
  return `${lines.join('\n')}\n`;
}

function profileText(profile: object): string {
  const parts = Object.entries(profile).map(([name, value]) => `${name} ${[value].flat().join(' to ')}`);
  return parts.length === 0 ? 'nothing: as good as the real network' : parts.join(', ');
}

function thresholdText(): string[] {
  return [
    'A mapping from metrics to conditions: a number, which the metric has to be; `<`, `<=`, `=`, `>=` or `>` and a number, for times',
    'with a unit (ms where there is none); or `off`, which takes the condition on a fault away. A metric that the run does not have,',
    'such as the p99 of nothing, fails. A delivery is one message to one receiver.',
    '',
    '```yaml',
    'thresholds:',
    '  delivery.p99: "<= 250ms"',
    '  classes.trackers.connect.max: "<= 5s"',
    '  stages.burst.throughput: ">= 1000"',
    '  missedQos0: 0',
    '  late: "off"',
    '```',
    '',
    `Unless a condition names them, all faults have to be 0: ${faultMetrics.map((name) => `\`${name}\``).join(', ')}.`,
  ];
}

/** JSON with lists of plain values on one line, as the repository's formatter has it. */
function formatJson(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2);
  return `${text.replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, items: string) => `[${items.replace(/\s*\n\s*/g, ' ')}]`)}\n`;
}

if (import.meta.main) {
  for (const { path, text } of generatedFiles()) writeFileSync(new URL(path, packageRoot()), text);
}
