import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { packageRoot } from '../../src/lib/package-root.ts';
import { scenarioFrom } from '../../src/scenario/load.ts';
import type { ScenarioFile } from '../../src/scenario/scenario-file.ts';
import { generatedFiles, scenarioJsonSchema } from '../../src/scenario/schema.ts';

test.each(generatedFiles())(
  '$path is current (node firmware-sim/src/scenario/schema.ts writes it)',
  ({ path, text }) => {
    expect(readFileSync(new URL(path, packageRoot()), 'utf8')).toBe(text);
  },
);

/** Every field of the schema with its path. */
function fields(): { readonly path: string; readonly schema: Record<string, unknown> }[] {
  const found: { path: string; schema: Record<string, unknown> }[] = [];
  const open: { path: string; node: unknown }[] = [{ path: '', node: scenarioJsonSchema() }];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const { path, node } = next;
    if (typeof node !== 'object' || node === null) continue;
    const properties = (node as { properties?: Record<string, Record<string, unknown>> }).properties;
    for (const [name, schema] of Object.entries(properties ?? {})) found.push({ path: `${path}.${name}`, schema });
    for (const [name, child] of Object.entries(node)) open.push({ path: `${path}.${name}`, node: child });
  }
  return found;
}

test('every field is described', () => {
  expect(fields().length).toBeGreaterThan(100);
  const bare = fields().filter(({ schema }) => typeof schema['description'] !== 'string');
  expect(bare.map(({ path }) => path)).toEqual([]);
});

describe('the guide', () => {
  const guide = readFileSync(new URL('docs/simulator.md', packageRoot()), 'utf8');
  const blocks = [...guide.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text as string);

  test('has examples', () => {
    expect(blocks.length).toBeGreaterThan(4);
  });

  test.each(blocks.filter((text) => /^fleet:/m.test(text)))('shows scenarios that load: %s', (text) => {
    expect(() => scenarioFrom(parse(text) as ScenarioFile)).not.toThrow();
  });
});
