import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generatedFiles } from '../../src/cli/schema.ts';
import { createConfig } from '../../src/config.ts';
import { optionKeys } from '../../src/config/options.ts';
import { configSchema } from '../../src/config/schema.ts';
import { sizePattern } from '../../src/config/values.ts';

test.each(generatedFiles())(
  '$path is what the table of options says (npx node src/cli/schema.ts makes it)',
  ({ path, text }) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(text);
  },
);

/** The schema of an option, by its path. */
function schemaOf(key: string): Record<string, unknown> {
  let schema: Record<string, unknown> = configSchema();
  for (const name of key.split('.')) {
    expect(schema['additionalProperties']).toBe(false);
    schema = (schema['properties'] as Record<string, Record<string, unknown>>)[name]!;
  }
  return schema;
}

test.each(optionKeys)('the schema describes %s and has its real default', (key) => {
  const schema = schemaOf(key);
  expect(schema['description']).toMatch(/^[A-Z].*\.$/);
  let value: unknown = createConfig();
  for (const name of key.split('.')) value = (value as Record<string, unknown>)[name];
  expect(schema['default']).toEqual(value);
});

test('the schema takes sizes as numbers and as text', () => {
  expect(schemaOf('limits.maximumPacketSize')['anyOf']).toEqual([
    { type: 'integer', minimum: 1_024, maximum: 268_435_460 },
    { type: 'string', pattern: sizePattern },
  ]);
  for (const size of ['16 MiB', '64KiB', '1 gb', '5 B']) expect(size).toMatch(new RegExp(sizePattern));
  for (const size of ['MiB', '1 XiB', '-1 KiB', '1.5 MiB']) expect(size).not.toMatch(new RegExp(sizePattern));
});
