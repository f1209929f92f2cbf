import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkConformance, parseStatements, renderConformance, summaryOf } from './check.ts';
import { notObservable } from './not-observable.ts';
import { readResults } from './results.ts';

const HELP = `node test/conformance/report.ts [--results FILE] [--check]

Runs the conformance tests, holds them against the statements of MQTT 5.0 and 3.1.1, and writes docs/conformance.md.
  --results FILE  takes the tests from a JSON report vitest has already written, instead of running them
  --check         fails where docs/conformance.md is not current, instead of writing it
Exit code 1 when a statement is missing, unknown, or both tested and excused, or a test fails or asserts nothing.`;

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '..', '..');
const document = join(root, 'docs', 'conformance.md');

/** Runs the conformance tests in a process of their own. @returns vitest's JSON report. */
function runTests(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trellis-conformance-'));
  try {
    const file = join(directory, 'results.json');
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    spawnSync(process.execPath, [vitest, 'run', 'test/conformance/v', ...reporters], { cwd: root, stdio: 'inherit' });
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function main(): number {
  const { values } = parseArgs({
    options: { results: { type: 'string' }, check: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help === true) {
    console.log(HELP);
    return 0;
  }
  const statements = [
    ...parseStatements(readFileSync(join(here, 'statements-5.0.txt'), 'utf8'), ''),
    ...parseStatements(readFileSync(join(here, 'statements-3.1.1.txt'), 'utf8'), 'v3 '),
  ];
  const json = values.results === undefined ? runTests() : readFileSync(values.results, 'utf8');
  const { rows, problems } = checkConformance({ statements, tests: readResults(json), notObservable });
  const markdown = renderConformance(rows);
  if (values.check !== true) writeFileSync(document, markdown);
  else if (readFileSync(document, 'utf8') !== markdown) {
    problems.push('docs/conformance.md is not current: npm run conformance writes it');
  }
  for (const problem of problems) console.error(problem);
  console.log(`Conformance: ${summaryOf(rows)} ${problems.length} problems.`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main();
