import { environmentName } from './load.ts';
import type { Option, TextRule } from './option.ts';
import { optionKeys, options } from './options.ts';
import { sizePattern, thousands } from './values.ts';

type Schema = Record<string, unknown>;

/** The JSON Schema (draft 2020-12) of a configuration file, made of the table of options. */
export function configSchema(): Schema {
  const root: Schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Trellis configuration',
    ...emptySection(),
  };
  for (const key of optionKeys) {
    const path = key.split('.');
    let section = root;
    for (const name of path.slice(0, -1)) {
      const properties = section['properties'] as Schema;
      section = (properties[name] ??= emptySection()) as Schema;
    }
    (section['properties'] as Schema)[path.at(-1)!] = optionSchema(options[key]);
  }
  return root;
}

function emptySection(): Schema {
  return { type: ['object', 'null'], additionalProperties: false, properties: {} };
}

function optionSchema(option: Option): Schema {
  return { description: option.description, default: option.default, ...typeSchema(option) };
}

function typeSchema(option: Option): Schema {
  const { type } = option;
  switch (type.kind) {
    case 'boolean':
      return { type: 'boolean' };
    case 'choice':
      return { enum: type.values };
    case 'port':
      return { anyOf: [{ type: 'integer', minimum: 0, maximum: 65_535 }, { const: 'off' }] };
    case 'budget': {
      const bytes = { type: 'integer', minimum: 0, maximum: type.max };
      return { anyOf: [bytes, { type: 'string', pattern: sizePattern }, { const: 'auto' }] };
    }
    case 'integer': {
      const integer = { type: 'integer', minimum: type.min, maximum: type.max };
      return type.unit === 'bytes' ? { anyOf: [integer, { type: 'string', pattern: sizePattern }] } : integer;
    }
    case 'text':
      return { type: 'string', minLength: type.min, maxLength: type.max, ...rulePattern(type.rule) };
    case 'list':
      return { type: 'array', items: { type: 'string', ...rulePattern(type.rule) } };
  }
}

function rulePattern(rule: TextRule): Schema {
  switch (rule) {
    case 'host':
      return { pattern: '^[\\w.:%-]+$' };
    case 'path':
      return { pattern: '^/[^\\s?#]*$' };
    case 'origin':
      return { pattern: '^(\\*|[a-z][a-z0-9+.-]*://[^/?#\\s]+)$' };
    case 'redis-url':
      return { pattern: '^rediss?(\\+(sentinel|cluster))?://' };
    case 'key-prefix':
      return { pattern: '^[\\w.-]+$' };
    case 'https-url':
      return { pattern: '^(https?://.+)?$' };
    case 'network':
      return { pattern: '^[0-9a-fA-F.:]+(/\\d{1,3})?$' };
    case 'file':
    case 'utf8':
      return {};
  }
}

/** The page about configuration, docs/configuration.md, made of the table of options. */
export function configurationPage(): string {
  const lines = [
    '# Configuration',
    '',
    '<!-- Made by `node src/cli/schema.ts` from src/config/options.ts; do not edit. -->',
    '',
    'Trellis runs without a configuration. An option can be set in a YAML or JSON file (`trellis start --config FILE`), in the',
    'environment, or with a flag; a flag wins over the environment, the environment over the file, the file over the default.',
    '',
    '- In a file options are nested: `limits:` on one line, `  receiveMaximum: 100` on the next.',
    '- In the environment the name is `TRELLIS_`, the section, two underscores, the option: `TRELLIS_LIMITS__RECEIVEMAXIMUM=100`.',
    '  Case does not count, and words may be parted: `TRELLIS_LIMITS__RECEIVE_MAXIMUM`. Lists are separated by commas.',
    '- Any option can be a flag: `--set limits.receiveMaximum=100`. The most frequent ones have a short form, see `trellis start --help`.',
    '- Sizes are bytes, or text such as `64 KiB`, `16 MiB`, `1 GB`. Units of time are in the name of the option.',
    '- An unknown option, a wrong type or a value out of range is an error, named with its place: Trellis does not start.',
    '',
    '`trellis check` says whether a configuration is right and prints it whole, with where each value came from. Editors that know',
    'JSON Schema can use [config.schema.json](../config.schema.json).',
  ];
  let section = '';
  for (const key of optionKeys) {
    if (!key.startsWith(`${section}.`)) {
      section = key.slice(0, key.indexOf('.'));
      lines.push('', `## ${section}`, '', '| option | values | default | what it is |', '|---|---|---|---|');
    }
    const option: Option = options[key];
    lines.push(`| \`${key}\` | ${valuesText(option)} | ${defaultText(option)} | ${option.description} |`);
  }
  lines.push('', `In the environment, for instance: \`${environmentName('listeners.tcp.port')}\`.`, '');
  return lines.join('\n');
}

function valuesText(option: Option): string {
  const { type } = option;
  switch (type.kind) {
    case 'boolean':
      return '`true`, `false`';
    case 'choice':
      return type.values.map((value) => `\`${value}\``).join(', ');
    case 'port':
      return '0 to 65,535, `off`';
    case 'budget':
      return `0 to ${thousands(type.max)} bytes, \`auto\``;
    case 'integer':
      return `${thousands(type.min)} to ${thousands(type.max)}${type.unit === 'none' ? '' : ` ${type.unit}`}`;
    case 'text':
      return 'text';
    case 'list':
      return 'list of texts';
  }
}

function defaultText(option: Option): string {
  const { type } = option;
  if (option.default === '') return 'empty';
  if (Array.isArray(option.default)) {
    const items = (option.default as readonly string[]).map((item) => `\`${item}\``);
    return items.length === 0 ? 'empty list' : items.join(', ');
  }
  if (type.kind === 'integer' && type.unit === 'bytes') return formatSize(Number(option.default));
  return `\`${String(option.default)}\``;
}

/** A number of bytes in the largest binary unit that divides it: 16777216 is `16 MiB`. */
function formatSize(bytes: number): string {
  const units = ['GiB', 'MiB', 'KiB'];
  for (const [index, unit] of units.entries()) {
    const factor = 1024 ** (units.length - index);
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor} ${unit}`;
  }
  return String(bytes);
}
