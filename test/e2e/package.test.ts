import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtCheckout, root, toolPath } from './checkout.ts';

const execute = promisify(execFile);

let checkout: string;

beforeAll(async () => {
  checkout = await builtCheckout();
});

afterAll(() => rmSync(checkout, { recursive: true }));

/** Runs a program in the copy of the repository, with PATH as npm sets it. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, {
    cwd: checkout,
    env: { ...process.env, PATH: toolPath, NODE_OPTIONS: '' },
    maxBuffer: 1e8,
  });
  return stdout;
}

test('the package has the compiled sources with their types and the schema, and neither tests nor sources', async () => {
  const output = await run('npm', 'pack', '--dry-run', '--json', '--ignore-scripts');
  const parsed = JSON.parse(output) as Record<string, { files: { path: string }[] }>;
  const paths = Object.values(parsed)[0]!.files.map(({ path }) => path);
  for (const path of [
    'dist/src/main.js',
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/firmware-sim/src/index.d.ts',
    'firmware-sim/scenarios/tour.yaml',
    'scenario.schema.json',
    'config.schema.json',
    'README.md',
    'LICENSE',
  ]) {
    expect(paths).toContain(path);
  }
  const expected =
    /^(dist\/.*\.(js|d\.ts|js\.map)|firmware-sim\/scenarios\/.*\.(yaml|csv)|(config|scenario)\.schema\.json|package\.json|README\.md|LICENSE)$/;
  expect(paths.filter((path) => !expected.test(path))).toEqual([]);
});

test('npx finds the command of the package', async () => {
  expect(await run('npx', 'trellis', '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('the examples agree with the types of the package', async () => {
  const flags = [
    '--noEmit',
    '--strict',
    '--target',
    'es2024',
    '--module',
    'nodenext',
    '--types',
    'node',
    '--skipLibCheck',
  ];
  const examples = ['examples/mqttjs.ts', 'examples/embedding.ts', 'examples/browser/serve.ts'];
  for (const example of examples) expect(existsSync(join(root, example))).toBe(true);
  expect(await run('tsc', '--ignoreConfig', ...flags, ...examples)).toBe('');
});
