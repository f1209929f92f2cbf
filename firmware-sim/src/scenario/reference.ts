import { thousands } from './fields.ts';
import { durationText, sizeText } from './units.ts';

/** A JSON Schema, or a piece of one. */
export type JsonSchema = Record<string, unknown>;

type Definitions = Readonly<Record<string, JsonSchema>>;

/** A table of the fields of a section, those of sections without a name of their own included, as `tls.ca`. */
export function sectionTable(
  section: JsonSchema,
  definitions: Definitions,
  skipped: ReadonlySet<string> = new Set(),
): string[] {
  const lines = ['| field | values | default | what it is |', '|---|---|---|---|'];
  // As deep as the schema, which is ours.
  const open = fieldsOf(section, '');
  for (let field = open.shift(); field !== undefined; field = open.shift()) {
    const { path, schema, isRequired } = field;
    if (skipped.has(path)) continue;
    const byDefault = isRequired ? 'required' : defaultText(schema['default']);
    lines.push(
      `| \`${path}\` | ${valuesText(schema, definitions)} | ${byDefault} | ${escaped(schema['description'] as string)} |`,
    );
    const inner = [schema, ...alternatives(schema)].find(({ properties }) => properties !== undefined);
    if (inner !== undefined) open.unshift(...fieldsOf(inner, `${path}.`));
  }
  return lines;
}

interface Field {
  readonly path: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

function fieldsOf(section: JsonSchema, prefix: string): Field[] {
  const required = (section['required'] ?? []) as readonly string[];
  return Object.entries((section['properties'] ?? {}) as Definitions).map(([name, schema]) => ({
    path: prefix + name,
    schema,
    isRequired: required.includes(name),
  }));
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return (schema['anyOf'] ?? schema['oneOf'] ?? []) as readonly JsonSchema[];
}

/** What a field may be, in words. */
function valuesText(schema: JsonSchema, definitions: Definitions): string {
  const reference = schema['$ref'];
  if (typeof reference === 'string') return `[${nameOf(reference)}](#${nameOf(reference)})`;
  const unit = unitText(schema);
  if (unit !== undefined) return unit;
  const options = alternatives(schema);
  if (options.length > 0) return options.map((option) => valuesText(option, definitions)).join(', or ');
  const values = schema['enum'] ?? ('const' in schema ? [schema['const']] : undefined);
  if (Array.isArray(values)) return [...new Set(values.map((value) => `\`${value}\``))].join(', ');
  return typeText(schema, definitions);
}

function nameOf(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1);
}

/** Durations and sizes are numbers or text. */
function unitText(schema: JsonSchema): string | undefined {
  for (const { pattern } of alternatives(schema)) {
    if (pattern === durationText) return 'duration';
    if (pattern === sizeText) return 'size';
  }
  return undefined;
}

function typeText(schema: JsonSchema, definitions: Definitions): string {
  const { type } = schema;
  if (Array.isArray(type)) return type.map((one: unknown) => typeText({ type: one }, definitions)).join(', or ');
  switch (type) {
    case 'boolean':
      return '`true`, `false`';
    case 'integer':
      return `${thousands(Number(schema['minimum']))} to ${thousands(Number(schema['maximum']))}`;
    case 'number':
      return schema['minimum'] === undefined
        ? 'number'
        : `number from ${thousands(Number(schema['minimum']))} to ${thousands(Number(schema['maximum']))}`;
    case 'array': {
      const items = schema['prefixItems'] as readonly JsonSchema[] | undefined;
      if (items !== undefined) return `list of ${items.length}: ${valuesText(items[0] as JsonSchema, definitions)}`;
      return `list of ${valuesText(schema['items'] as JsonSchema, definitions)}`;
    }
    case 'object': {
      const values = schema['additionalProperties'];
      const isRecord = typeof values === 'object' && values !== null && Object.keys(values).length > 0;
      return isRecord ? `mapping of names to ${valuesText(values as JsonSchema, definitions)}` : 'mapping';
    }
    case 'string':
      return 'text';
    default:
      return 'anything';
  }
}

function defaultText(value: unknown): string {
  if (value === undefined) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value).replaceAll('"', '').replaceAll(',', ', ')}\``;
}

/** A pipe would end the cell. */
function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
