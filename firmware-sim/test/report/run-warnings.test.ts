import { expect, test } from 'vitest';
import { renderHtml } from '../../src/report/html.ts';
import type { Report } from '../../src/report/report.ts';
import { runWarnings } from '../../src/report/run-warnings.ts';
import { verdictTable } from '../../src/report/verdict-table.ts';
import { sampleReport } from './sample-report.ts';

/** The sample with nobody connected in these seconds. */
function withoutConnections(from: number, to: number): Report {
  const report = sampleReport();
  const series = report.series.map((point) =>
    point.second >= from && point.second <= to ? { ...point, connected: 0 } : point,
  );
  return { ...report, series };
}

const gone = 'No device was connected from 1:40 to the end: the verdict covers what came before.';

test('a run that ends without connections says so, in the terminal and on the page', () => {
  const report = withoutConnections(101, 120);
  expect(runWarnings(report)).toEqual([gone]);
  expect(verdictTable(report, { hasColour: false, written: [], columns: 80 }).replaceAll('\n', ' ')).toContain(gone);
  expect(renderHtml(report)).toContain(`<p class="caution">${gone}</p>`);
});

test('a run whose devices come back, leave in the last seconds, or never came needs no such word', () => {
  expect(runWarnings(withoutConnections(90, 110))).toEqual([]);
  expect(runWarnings(withoutConnections(119, 120))).toEqual([]);
  expect(runWarnings(withoutConnections(0, 120))).toEqual([]);
});

test('a simulator that was held up is told besides', () => {
  const { self, ...report } = withoutConnections(101, 120);
  const warnings = runWarnings({ ...report, self: { ...self, loopDelayP99: 300 } });
  expect(warnings).toEqual([gone, expect.stringContaining('The simulator itself was held up')]);
});
