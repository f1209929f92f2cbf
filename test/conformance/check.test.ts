import { describe, expect, test } from 'vitest';
import {
  checkConformance,
  citationsOf,
  type Evidence,
  parseStatements,
  renderConformance,
  type TestRun,
} from './check.ts';

const run = (title: string, more: Partial<TestRun> = {}): TestRun => ({
  file: 'v5-a.test.ts',
  title,
  status: 'passed',
  assertions: 1,
  ...more,
});

const whole: Evidence = {
  statements: ['MQTT-1.0.0-1', 'MQTT-1.0.0-2', 'v3 MQTT-1.0.0-1'],
  tests: [run('[MQTT-1.0.0-1] does it'), run('[v3 MQTT-1.0.0-1] did it', { file: 'v3-a.test.ts' })],
  notObservable: new Map([['MQTT-1.0.0-2', 'Binds the client.']]),
};

const problemsOf = (change: Partial<Evidence>): string[] => checkConformance({ ...whole, ...change }).problems;

describe('checkConformance', () => {
  test('finds nothing wrong where each statement has a test or a reason', () => {
    expect(problemsOf({})).toEqual([]);
  });

  test('finds a statement without test and reason', () => {
    expect(problemsOf({ notObservable: new Map() })).toEqual(['MQTT-1.0.0-2 has no test and no reason']);
  });

  test('does not take a statement of one version for that of the other', () => {
    expect(problemsOf({ tests: [run('[MQTT-1.0.0-1] does it')] })).toEqual([
      'v3 MQTT-1.0.0-1 has no test and no reason',
    ]);
  });

  test('finds a test that cites an unknown statement', () => {
    const tests = [...whole.tests, run('[MQTT-9.0.0-1] does more')];
    expect(problemsOf({ tests })).toEqual([
      'v5-a.test.ts: "[MQTT-9.0.0-1] does more" cites MQTT-9.0.0-1, and there is no such statement',
    ]);
  });

  test('finds a reason for an unknown statement', () => {
    const notObservable = new Map([...whole.notObservable, ['MQTT-9.0.0-1', 'Binds nobody.']] as const);
    expect(problemsOf({ notObservable })).toEqual(['MQTT-9.0.0-1 has a reason, but there is no such statement']);
  });

  test('finds a statement that is both tested and excused', () => {
    const tests = [...whole.tests, run('[MQTT-1.0.0-2] does it all the same')];
    expect(problemsOf({ tests })).toEqual(['MQTT-1.0.0-2 has both a test and a reason why there is none']);
  });

  test.each([0, undefined])('finds a test that made %s assertions', (assertions) => {
    const tests = [run('[MQTT-1.0.0-1][v3 MQTT-1.0.0-1] does it', { assertions })];
    expect(problemsOf({ tests })).toEqual(['v5-a.test.ts: "[MQTT-1.0.0-1][v3 MQTT-1.0.0-1] does it" asserts nothing']);
  });

  test.each(['failed', 'skipped', 'todo', 'pending'])('finds a test that is %s', (status) => {
    const tests = [...whole.tests, run('[MQTT-1.0.0-1] does it again', { status })];
    expect(problemsOf({ tests })).toEqual([`v5-a.test.ts: "[MQTT-1.0.0-1] does it again" ${status}`]);
  });

  test('finds a test that names no statement', () => {
    const tests = [...whole.tests, run('does it [MQTT-1.0.0-1]')];
    expect(problemsOf({ tests })).toEqual([
      'v5-a.test.ts: "does it [MQTT-1.0.0-1]" does not begin with the id of a statement',
    ]);
  });

  test('finds a statement that stands twice in the lists', () => {
    const statements = [...whole.statements, 'MQTT-1.0.0-1'];
    expect(problemsOf({ statements })).toContain('MQTT-1.0.0-1 stands twice in the lists');
  });
});

describe('citationsOf', () => {
  test('takes the ids a name begins with, and only those', () => {
    expect(citationsOf('[MQTT-4.2-1][v3 MQTT-3.10.4-6] as in [MQTT-1.0.0-1]')).toEqual([
      'MQTT-4.2-1',
      'v3 MQTT-3.10.4-6',
    ]);
  });

  test('takes no id without a blank behind it', () => {
    expect(citationsOf('[MQTT-4.2-1]x')).toEqual([]);
  });
});

describe('parseStatements', () => {
  test('leaves out comments and empty lines', () => {
    expect(parseStatements('# list\n\nMQTT-1.0.0-1\n  MQTT-1.0.0-2\n', 'v3 ')).toEqual([
      'v3 MQTT-1.0.0-1',
      'v3 MQTT-1.0.0-2',
    ]);
  });
});

describe('renderConformance', () => {
  test('gives the same bytes whatever the order of the tests', () => {
    const two = { ...whole, tests: [...whole.tests, run('[MQTT-1.0.0-1] a second | way')] };
    const turned = { ...two, tests: two.tests.toReversed() };
    const markdown = renderConformance(checkConformance(two).rows);
    expect(renderConformance(checkConformance(turned).rows)).toBe(markdown);
    expect(markdown).toContain('3 statements: 2 shown by 3 tests, 1 bind only the client or cannot be observed.');
    expect(markdown).toContain('| MQTT-1.0.0-1 | a second \\| way (v5-a.test.ts)<br>does it (v5-a.test.ts) |');
    expect(markdown).toContain('| MQTT-1.0.0-2 | *Binds the client.* |');
    expect(markdown).toContain('## MQTT 3.1.1');
  });
});
