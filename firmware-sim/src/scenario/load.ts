import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, extname, resolve } from 'node:path';
import { checkTogether } from './check.ts';
import { namePattern } from './fields.ts';
import { applyOverrides, type Overrides } from './overrides.ts';
import { problemsOf } from './problems.ts';
import type { CheckedFile } from './references.ts';
import { resolveScenario } from './resolve.ts';
import type { Scenario } from './scenario.ts';
import { ScenarioError, type Problem } from './scenario-error.ts';
import type { ClassFile, ScenarioFile, StageFile } from './scenario-file.ts';
import { scenarioSchema } from './scenario-schema.ts';
import { listScenarios, shippedScenario } from './shipped.ts';
import { dataSource, readText, type Source, yamlSource } from './source.ts';
import { didYouMean, orList } from './wording.ts';

// The command line knows the loader alone.
export { listScenarios, ScenarioError, shippedScenario };

const moduleExtensions: ReadonlySet<string> = new Set(['.ts', '.mts', '.js', '.mjs']);
const textExtensions: ReadonlySet<string> = new Set(['.yaml', '.yml', '.json']);

/**
 * Reads a scenario by its path, or by the name of one that comes along: YAML or JSON, or a module whose default export is a {@link ScenarioFile} (see defineFleet), which
 * is run. Then fills in what is left out and what the command line says otherwise.
 * @throws ScenarioError with every problem found.
 */
export function loadScenario(path: string, overrides: Overrides = {}): Scenario {
  // The name of one that comes along, unless there is a file of that name.
  if (/^[a-z0-9-]+$/.test(path) && !existsSync(path)) return loadScenario(shippedPath(path), overrides);
  const extension = extname(path).toLowerCase();
  if (moduleExtensions.has(extension)) return applyOverrides(scenarioOf(moduleSource(path), path), overrides);
  if (!textExtensions.has(extension)) {
    throw new ScenarioError([`${path}: a scenario ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs`]);
  }
  return applyOverrides(scenarioOf(yamlSource(path, readText(path, path)), path), overrides);
}

/** @throws ScenarioError where none of that name comes along. */
function shippedPath(name: string): string {
  const names = listScenarios();
  if (names.includes(name)) return shippedScenario(name);
  const near = didYouMean(name, names) || `; ${orList(names, 'and')} come along`;
  throw new ScenarioError([`${name}: there is no such file, and no scenario of that name${near}`]);
}

/** A scenario that a program made, with everything filled in; files are relative to the working directory. @throws ScenarioError */
export function scenarioFrom(file: ScenarioFile, overrides: Overrides = {}): Scenario {
  return applyOverrides(scenarioOf(dataSource('scenario', file), 'scenario'), overrides);
}

function scenarioOf(source: Source, path: string): Scenario {
  const { data } = source;
  const result = scenarioSchema.safeParse(data);
  const found = result.success ? [] : problemsOf(result.error.issues, data);
  const checked = isMapping(data) ? checkTogether(soundParts(data, found, dirname(resolve(path)))) : undefined;
  const problems = [...found, ...(checked?.problems ?? [])];
  if (problems.length > 0 || checked === undefined) throw new ScenarioError(source.describe(problems));
  return resolveScenario(data as ScenarioFile, basename(path, extname(path)), checked.findings);
}

/**
 * What is right in itself of a file with problems, so that one look finds what is wrong between its parts as well:
 * classes, stages, thresholds and the broker section are each taken or left as a whole.
 */
function soundParts(
  data: Readonly<Record<string, unknown>>,
  problems: readonly Problem[],
  directory: string,
): CheckedFile {
  const wrong = new Set(problems.flatMap(({ path }) => [path.slice(0, 1).join('\0'), path.slice(0, 2).join('\0')]));
  const isSound = (...path: (string | number)[]): boolean => !wrong.has(path.join('\0'));
  const entries = isMapping(data['fleet']) ? Object.entries(data['fleet']) : [];
  const sound = entries.filter(([name]) => isSound('fleet', name) && namePattern.test(name)) as [string, ClassFile][];
  const thresholds = isMapping(data['thresholds'])
    ? Object.entries(data['thresholds']).filter(([metric]) => isSound('thresholds', metric))
    : [];
  const stages = Array.isArray(data['stages'])
    ? (data['stages'] as StageFile[]).map((stage, at) => (isSound('stages', at) ? stage : undefined))
    : undefined;
  return {
    file: {
      fleet: Object.fromEntries(sound),
      thresholds: Object.fromEntries(thresholds) as Record<string, number | string>,
      ...(isSound('broker') && isMapping(data['broker']) ? { broker: data['broker'] } : {}),
    },
    kinds: new Map(
      entries.map(([name, entry]) => [name, isSound('fleet', name) ? (entry as ClassFile).kind : undefined]),
    ),
    stages,
    directory,
  };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Runs a module and takes its default export. */
function moduleSource(path: string): Source {
  // Says better than the loader that a file is not there.
  readText(path, path);
  let loaded: { readonly default?: unknown };
  try {
    loaded = createRequire(import.meta.url)(resolve(path)) as { readonly default?: unknown };
  } catch (error) {
    throw new ScenarioError([`${path}: cannot be loaded: ${firstLine(error)}`]);
  }
  if (!isMapping(loaded.default)) {
    throw new ScenarioError([`${path}: must have a default export: export default defineFleet({ fleet: { ... } })`]);
  }
  return dataSource(path, loaded.default);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0] as string;
}
