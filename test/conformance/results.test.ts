import { expect, test } from 'vitest';
import { readResults } from './results.ts';

const report = (files: unknown[]): string => JSON.stringify({ testResults: files });

test('takes the conformance tests of a report and leaves the others', () => {
  const passed = { title: '[MQTT-1.0.0-1] does it', status: 'passed', meta: { assertions: 3 } };
  const files = ['conformance/v5-connect', 'conformance/check', 'protocol/v5-connect'].map((name) => ({
    name: `/home/somebody/trellis/test/${name}.test.ts`,
    status: 'passed',
    assertionResults: [passed],
  }));
  expect(readResults(report(files))).toEqual([
    { file: 'v5-connect.test.ts', title: '[MQTT-1.0.0-1] does it', status: 'passed', assertions: 3 },
  ]);
});

test('knows no assertions where a test does not say how many it made', () => {
  const tests = [
    { title: 'a', status: 'passed', meta: {} },
    { title: 'b', status: 'passed' },
  ];
  const file = { name: '/x/conformance/v3-a.test.ts', status: 'passed', assertionResults: tests };
  expect(readResults(report([file])).map((run) => run.assertions)).toEqual([undefined, undefined]);
});

test('counts a test of a file that ran twice once, and as passed where it passed both times', () => {
  const file = (...status: string[]): unknown => ({
    name: '/x/conformance/v3-a.test.ts',
    status: 'passed',
    assertionResults: status.map((one, index) => ({ title: `${index % 3}`, status: one, meta: { assertions: 1 } })),
  });
  const runs = readResults(
    report([file('passed', 'failed', 'passed', 'passed'), file('passed', 'passed', 'passed', 'failed')]),
  );
  expect(runs.map(({ title, status }) => `${title} ${status}`)).toEqual([
    '0 passed',
    '1 failed',
    '2 passed',
    '0 failed',
  ]);
  const less = readResults(report([file('passed', 'passed'), file('passed')]));
  expect(less.map(({ status }) => status)).toEqual(['passed', 'missing']);
});

test('counts a file that could not be run as a failed test', () => {
  const file = { name: '/x/conformance/v3-a.test.ts', status: 'failed', assertionResults: [] };
  expect(readResults(report([file]))).toEqual([
    { file: 'v3-a.test.ts', title: '(the file itself)', status: 'failed', assertions: undefined },
  ]);
});

test('refuses what is no report', () => {
  expect(() => readResults('{}')).toThrow('testResults is no list');
  expect(() => readResults('{"testResults": [null]}')).toThrow('a file is no object');
});
