import { expect, test } from 'vitest';
import { comparisonPlot, percentilePlot, thinned, timePlots } from '../../src/report/plot-data.ts';
import type { Report, SeriesPoint } from '../../src/report/report.ts';
import { sampleReport } from './sample-report.ts';

const report = sampleReport();

/** A second of which nothing is known but these. */
function point(second: number, changes: Partial<SeriesPoint> = {}): SeriesPoint {
  return { ...(report.series[50] as SeriesPoint), second, events: [], ...changes };
}

test('each plot over time has a value per second, and units on its axes', () => {
  const plots = timePlots(report);
  expect(plots.map(({ id }) => id)).toEqual(['plot-rates', 'plot-latency', 'plot-connections', 'plot-owed']);
  for (const plot of plots) {
    expect(plot.x).toHaveLength(120);
    for (const { values } of plot.series) expect(values).toHaveLength(120);
    expect(plot.xLabel).toContain('min:s');
    expect(plot.yLabel).not.toBe('');
    expect(plot.series.some(({ scale }) => scale === 'y2')).toBe(plot.y2Label !== undefined);
  }
  expect(plots[0]?.series[0]?.values).toEqual(report.series.map(({ delivered }) => delivered));
});

test('seconds without deliveries have no latency: a logarithm has no 0', () => {
  const [, latency] = timePlots(report);
  expect(latency?.log).toBe(true);
  for (const { values } of latency?.series ?? []) {
    expect(values[88]).toBeNull();
    expect(values[10]).toBeGreaterThan(0);
  }
});

test('stages are bands, and the times without a broker are marked', () => {
  const [rates] = timePlots(report);
  expect(rates?.bands[1]).toEqual({ from: 25, to: 60, name: 'hold' });
  expect(rates?.downs).toEqual([{ from: 88, to: 91 }]);
});

test('a broker that does not come back is down to the end, and one may die twice', () => {
  const series = [
    point(1, { events: ['broker down', 'broker up'] }),
    point(2, { events: ['broker up'] }),
    point(3, { events: ['broker down'] }),
    point(9),
  ];
  expect(timePlots({ ...report, series })[0]?.downs).toEqual([
    { from: 1, to: 1 },
    { from: 3, to: 9 },
  ]);
});

test('a long run is thinned: means of rates, highest of latencies, and the last of counts', () => {
  const series = [
    point(1, { sent: 10, p50: 1, p99: 5, max: 9, connected: 3, outstanding: 7, faults: 0, events: ['ramp'] }),
    point(2, { sent: 20, p50: 0, p99: 0, max: 0, connected: 4, outstanding: 2, faults: 1 }),
    point(3, { sent: 30, p50: 3, p99: 6, max: 8, connected: 5, outstanding: 1, faults: 2, events: ['hold'] }),
    point(4, { sent: 40 }),
  ];
  const [first, second] = thinned(series, 2);
  expect(first).toMatchObject({ second: 2, sent: 15, p50: 1, p99: 5, max: 9, connected: 4, outstanding: 7, faults: 1 });
  expect(first?.events).toEqual(['ramp']);
  expect(second).toMatchObject({ second: 4, sent: 35 });
  expect(thinned(series, 4)).toBe(series);
  expect(thinned(series, 3)).toHaveLength(2);
  const day = Array.from({ length: 86_400 }, (_none, at) => point(at + 1));
  expect(timePlots({ ...report, series: day })[0]?.x.length).toBeLessThanOrEqual(1200);
});

test('percentiles have a curve for each latency that was measured', () => {
  const plot = percentilePlot(report.totals);
  expect(plot.series.map(({ label }) => label)).toEqual(['Delivery', 'Acknowledgement', 'Connect', 'Round trip']);
  const { min, p50, p90, p95, p99, p999, max } = report.totals.deliveryLatency;
  expect(plot.series[0]?.values).toEqual([min, p50, p90, p95, p99, p999, max]);
  expect(plot.x).toEqual(plot.ticks.map(({ at }) => at));
  const silent = { ...report.totals, roundTrip: { ...report.totals.roundTrip, count: 0 } };
  expect(percentilePlot(silent).series).toHaveLength(3);
});

test('two runs share the time axis; where one is shorter it has no values', () => {
  const short: Report = { ...report, series: report.series.slice(0, 60) };
  const plot = comparisonPlot(report, short, 'delivered');
  expect(plot.x).toHaveLength(120);
  expect(plot.series[0]?.values[119]).toBe(report.series[119]?.delivered);
  expect(plot.series[1]?.values[59]).toBe(report.series[59]?.delivered);
  expect(plot.series[1]?.values[60]).toBeNull();
  expect(comparisonPlot(report, short, 'p99').series[0]?.values[88]).toBeNull();
});
