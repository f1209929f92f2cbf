import { expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import { readMetric } from '../../src/report/thresholds.ts';
import { allMetrics, faultMetrics, metricProblem, metricUnit } from '../../src/scenario/metric-names.ts';
import { sampleReport } from '../report/sample-report.ts';

const names = { classes: ['meters'], stages: ['hold'] };

test('the faults are those of the checker', () => {
  expect(faultMetrics).toEqual(faults);
});

test('all metrics there are are right, and each is there once', () => {
  const metrics = allMetrics(names);
  expect(metrics.length).toBeGreaterThan(150);
  expect(new Set(metrics).size).toBe(metrics.length);
  expect(metrics.filter((metric) => metricProblem(metric, names) !== undefined)).toEqual([]);
});

test.each([
  ['', 'there is no such metric; docs/simulator.md lists them'],
  ['lots', 'there is no such metric; did you mean lost?'],
  ['lost.qos3', 'there is no such metric; did you mean lost.qos0?'],
  ['delivery.p98', 'there is no such metric; did you mean delivery.p90?'],
  ['notes.rolledback', 'there is no such metric; did you mean notes.rolled-back?'],
  ['classes', 'there is no such metric; docs/simulator.md lists them'],
  ['classes.meter.lost', 'there is no class meter; did you mean meters?'],
  ['classes.meters', 'there is no such metric; docs/simulator.md lists them'],
  ['classes.meters.delivry.max', 'there is no such metric; did you mean classes.meters.delivery.max?'],
  ['stages.hold.lost', 'there is no such metric; docs/simulator.md lists them'],
  ['stages.__proto__.sent', 'there is no stage __proto__, only hold'],
  ['constructor', 'there is no such metric; docs/simulator.md lists them'],
])('%s is none: %s', (metric, problem) => {
  expect(metricProblem(metric, names)).toBe(problem);
});

test('times are in ms, their number is not', () => {
  expect(['delivery.p99', 'classes.meters.connect.max', 'self.loopDelayP99'].map(metricUnit)).toEqual([
    'ms',
    'ms',
    'ms',
  ]);
  expect(['delivery.count', 'lost', 'stages.hold.sent', 'self.cpuSeconds'].map(metricUnit)).toEqual([
    'none',
    'none',
    'none',
    'none',
  ]);
});

test('the report has every one of them', () => {
  const report = sampleReport();
  const metrics = allMetrics({
    classes: Object.keys(report.classes),
    stages: report.stages.map(({ name }) => name),
  });
  const missing = metrics.filter((metric) => {
    const reading = readMetric(report, metric);
    return 'problem' in reading && !reading.problem.startsWith('Nothing was measured');
  });
  expect(missing).toEqual([]);
});
