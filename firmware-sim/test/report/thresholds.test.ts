import { describe, expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import type { Report } from '../../src/report/report.ts';
import { judgeThresholds, readMetric } from '../../src/report/thresholds.ts';
import type { Threshold } from '../../src/scenario/scenario.ts';
import { faultySample, sampleReport } from './sample-report.ts';

const good = sampleReport();
const bad = faultySample();

function value(report: Report, path: string): number | string {
  const reading = readMetric(report, path);
  return 'value' in reading ? reading.value : reading.problem;
}

describe('paths', () => {
  test.each([
    ['lost', 3],
    ['lost.qos1', 3],
    ['lost.qos2', 0],
    ['duplicated', 2],
    ['faults', 6],
    ['late', 0],
    ['missedQos0', 0],
    ['missedQos0.excused', 50],
    ['repeated', 42],
    ['repeated.withoutDup', 1],
    ['owed', 71_970],
    ['owed.qos2', 23_990],
    ['abandoned', 12],
    ['outstanding', 0],
    ['foreign', 3],
    ['willsDue', 12],
    ['retainedChecked', 640],
    ['sessionsResumed', 57],
    ['brokerRestarts', 1],
    ['sent', 60_000],
    ['sent.qos0', 24_000],
    ['acknowledged', 36_000],
    ['delivered', 120_000],
    ['sentBytes', 10_800_000],
    ['connects', 260],
    ['throughput', 1000],
    ['durationSeconds', 120],
    ['notes.updated', 50],
    ['notes.left', 0],
    ['self.residentMb', 143],
    ['delivery.count', 2000],
    ['classes.trackers.lost', 3],
    ['classes.wall.lost', 0],
    ['classes.wall.duplicated', 2],
    ['classes.trackers.devices', 50],
    ['classes.trackers.sent', 15_000],
    ['stages.storm.durationSeconds', 25],
  ])('%s is read', (path, expected) => {
    expect(value(bad, path)).toBe(expected);
  });

  test('distributions are read by their short names', () => {
    expect(value(good, 'delivery.p99')).toBe(good.totals.deliveryLatency.p99);
    expect(value(good, 'acknowledgement.p50')).toBe(good.totals.acknowledgementLatency.p50);
    expect(value(good, 'connect.max')).toBe(good.totals.connectLatency.max);
    expect(value(good, 'roundTrip.mean')).toBe(good.totals.roundTrip.mean);
    expect(value(good, 'classes.wall.delivery.p999')).toBe(good.classes['wall']?.deliveryLatency.p999);
    expect(value(good, 'stages.storm.connect.p90')).toBe(good.stages[3]?.connectLatency.p90);
  });

  test('names with dots and names that begin alike are told apart', () => {
    const { trackers, wall } = good.classes as Required<typeof good.classes>;
    const classes = { a: trackers, 'a.b': wall } as Report['classes'];
    expect(value({ ...good, classes }, 'classes.a.devices')).toBe(50);
    expect(value({ ...good, classes }, 'classes.a.b.devices')).toBe(4);
  });

  test.each([
    'loss',
    '',
    'delivery',
    'delivery.p98',
    'delivery.constructor',
    'delivery.p99.qos1',
    'constructor',
    '__proto__',
    'classes.trackers',
    'classes.tracker.lost',
    'classes.trackers.willsDue',
    'classes.trackers.',
    'stages.storm.lost',
    'stages.nap.delivery.p99',
    'lost.qos3',
    'connects.qos1',
    'self',
    'totals.sent',
  ])('%j is no figure, and a threshold on it does not hold', (metric) => {
    expect(value(good, metric)).toMatch(/^The (?:report has|run had) no .*\.$/);
    const [result] = judgeThresholds(good, [{ metric, test: '<=', limit: 1e9 }]);
    expect(result).toMatchObject({ holds: false, value: 0, problem: expect.stringContaining('no ') });
  });

  test('a percentile of nothing is not 0: a threshold on it does not hold', () => {
    const silent = { ...good, totals: { ...good.totals, roundTrip: { ...good.totals.roundTrip, count: 0, p99: 0 } } };
    const [p99, count] = judgeThresholds(silent, [
      { metric: 'roundTrip.p99', test: '<', limit: 500 },
      { metric: 'roundTrip.count', test: '=', limit: 0 },
    ]);
    expect(p99).toMatchObject({ holds: false, problem: 'Nothing was measured for "roundTrip.p99".' });
    expect(count).toMatchObject({ holds: true, value: 0 });
  });
});

describe('judging', () => {
  const tests: readonly (readonly [Threshold['test'], number, boolean])[] = [
    ['<', 143, false],
    ['<', 144, true],
    ['<=', 143, true],
    ['<=', 142, false],
    ['=', 143, true],
    ['=', 142, false],
    ['>=', 143, true],
    ['>=', 144, false],
    ['>', 142, true],
    ['>', 143, false],
  ];
  test.each(tests)('143 %s %d: %s', (comparison, limit, holds) => {
    const [result] = judgeThresholds(good, [{ metric: 'self.residentMb', test: comparison, limit }]);
    expect(result).toEqual({ metric: 'self.residentMb', test: comparison, limit, value: 143, holds });
  });

  test('a report passes when every threshold holds, and fails with one that does not', () => {
    expect(good.result).toBe('pass');
    expect(good.thresholds.every(({ holds }) => holds)).toBe(true);
    expect(bad.result).toBe('fail');
    expect(bad.thresholds.filter(({ holds }) => !holds).map(({ metric }) => metric)).toEqual([
      'lost',
      'duplicated',
      'sessionPresent',
    ]);
    expect(sampleReport({ thresholds: [] }).result).toBe('pass');
    expect(sampleReport({ thresholds: [{ metric: 'lots', test: '=', limit: 0 }] }).result).toBe('fail');
  });

  test('every fault of the checker has a threshold path', () => {
    for (const name of faults) expect(value(good, name)).toBe(0);
  });
});
