import { basename, dirname } from 'node:path';
import type { TestRun } from './check.ts';

const CONFORMANCE_FILE = /^v[0-9]+-.*\.test\.ts$/;

/**
 * The conformance tests (test/conformance/v3-*.test.ts and v5-*.test.ts) out of vitest's JSON report, which may hold
 * others as well. A file that could not be run at all is one failed test of its own. A file that ran several times, with
 * the state of its brokers in several places, counts once, and its tests as passed where they passed each time.
 * @throws Error when it is no such report.
 */
export function readResults(json: string): TestRun[] {
  const report = object(JSON.parse(json), 'the report');
  const files = new Map<string, TestRun[]>();
  for (const entry of list(report.get('testResults'), 'testResults')) {
    const file = object(entry, 'a file');
    const path = text(file.get('name'), 'name');
    if (basename(dirname(path)) !== 'conformance' || !CONFORMANCE_FILE.test(basename(path))) continue;
    const runs = list(file.get('assertionResults'), 'assertionResults').map((test) => runOf(basename(path), test));
    if (file.get('status') === 'failed' && runs.every((run) => run.status !== 'failed')) {
      runs.push({ file: basename(path), title: '(the file itself)', status: 'failed', assertions: undefined });
    }
    files.set(path, files.has(path) ? bothOf(files.get(path) as TestRun[], runs) : runs);
  }
  return [...files.values()].flat();
}

/** The tests of a file that ran twice, in the order of the first time: a test that did not pass both times did not pass. */
function bothOf(first: readonly TestRun[], second: readonly TestRun[]): TestRun[] {
  const left = [...second];
  const runs = first.map((run) => {
    const at = left.findIndex(({ title }) => title === run.title);
    if (at === -1) return { ...run, status: 'missing' };
    const [other] = left.splice(at, 1) as [TestRun];
    return run.status === 'passed' ? other : run;
  });
  return [...runs, ...left];
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
