import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installTools } from './tools.ts';

const HELP = `node test/run.ts [VITEST ARGUMENTS]

Installs what the tests need where it is missing and may (Debian, root), runs them all, checks docs/conformance.md
against them, and ends with the line "N passed, N failed".`;

const root = fileURLToPath(new URL('..', import.meta.url));

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: { name: string; status: string; assertionResults: unknown[] }[];
}

/** Runs a program of the project with this Node. @returns its exit code. */
function node(...args: string[]): number {
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function main(args: readonly string[]): number {
  if (args.includes('--help')) {
    console.log(HELP);
    return 0;
  }
  installTools();
  const directory = mkdtempSync(join(tmpdir(), 'trellis-tests-'));
  try {
    const results = join(directory, 'results.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`];
    const exit = node(join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...reporters, ...args);
    const report = JSON.parse(readFileSync(results, 'utf8')) as Report;
    let failed = report.numFailedTests;
    // A file that cannot even be loaded has no tests to fail.
    failed += report.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
    if (exit !== 0 && failed === 0) failed = 1;
    const complete = args.length === 0;
    if (complete && node(join('test', 'conformance', 'report.ts'), '--results', results, '--check') !== 0) failed += 1;
    if (report.numPassedTests === 0) failed += 1;
    const skipped = report.numPendingTests === 0 ? '' : `, ${report.numPendingTests} skipped`;
    console.log(`${report.numPassedTests} passed, ${failed} failed${skipped}`);
    return failed === 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

process.exitCode = main(process.argv.slice(2));
