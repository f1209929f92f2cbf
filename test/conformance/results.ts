import { basename, dirname } from 'node:path';
import type { TestRun } from './check.ts';

const CONFORMANCE_FILE = /^v[0-9]+-.*\.test\.ts$/;

/**
 * The conformance tests (test/conformance/v3-*.test.ts and v5-*.test.ts) out of vitest's JSON report, which may hold
 * others as well. A file that could not be run at all is one failed test of its own.
 * @throws Error when it is no such report.
 */
export function readResults(json: string): TestRun[] {
  const report = object(JSON.parse(json), 'the report');
  const runs: TestRun[] = [];
  for (const entry of list(report.get('testResults'), 'testResults')) {
    const file = object(entry, 'a file');
    const path = text(file.get('name'), 'name');
    if (basename(dirname(path)) !== 'conformance' || !CONFORMANCE_FILE.test(basename(path))) continue;
    const tests = list(file.get('assertionResults'), 'assertionResults').map((test) => runOf(basename(path), test));
    runs.push(...tests);
    if (file.get('status') === 'failed' && tests.every((run) => run.status !== 'failed')) {
      runs.push({ file: basename(path), title: '(the file itself)', status: 'failed', assertions: undefined });
    }
  }
  return runs;
}

function runOf(file: string, value: unknown): TestRun {
  const test = object(value, 'a test');
  const assertions = object(test.get('meta') ?? {}, 'meta').get('assertions');
  return {
    file,
    title: text(test.get('title'), 'title'),
    status: text(test.get('status'), 'status'),
    assertions: typeof assertions === 'number' ? assertions : undefined,
  };
}

function object(value: unknown, what: string): Map<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error(`${what} is no object`);
  return new Map(Object.entries(value));
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${what} is no list`);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Error(`${what} is no text`);
  return value;
}
