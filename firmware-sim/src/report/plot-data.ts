import type { Percentiles } from '../lib/histogram.ts';
import type { Figures, Report, SeriesPoint } from './report.ts';
import { cleanText } from './text.ts';

/** What the script of a page draws a plot from. */
export interface Plot {
  /** Of the element it is drawn into. */
  readonly id: string;
  readonly title: string;
  readonly subtitle: string;
  readonly kind: 'time' | 'percentiles';
  /** Of the left axis. */
  readonly unit: 'ms' | 'number';
  readonly log: boolean;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Of the right axis, where there is one. */
  readonly y2Label?: string;
  readonly x: readonly number[];
  readonly series: readonly PlotSeries[];
  /** Stages. */
  readonly bands: readonly { readonly from: number; readonly to: number; readonly name: string }[];
  /** Times without a broker. */
  readonly downs: readonly { readonly from: number; readonly to: number }[];
  /** Of the x axis of percentiles. */
  readonly ticks: readonly { readonly at: number; readonly name: string }[];
}

/** One line of a plot. */
interface PlotSeries {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** A colour variable of the page's style. */
  readonly colour: 'blue' | 'orange' | 'green' | 'violet' | 'red' | 'grey';
  readonly scale: 'y' | 'y2';
  readonly dash?: boolean;
  readonly fill?: boolean;
}

/** Points a plot over time has at most: more than that, and a pixel holds several. */
const pointsMax = 1200;

/** All plots of a report over time that have something to show. */
export function timePlots(report: Report): Plot[] {
  return plotsOf(report).filter(hasValues);
}

/** Whether there is anything to draw. */
export function hasValues({ series }: Plot): boolean {
  return series.some(({ values }) => values.some((value) => value !== null));
}

function plotsOf(report: Report): Plot[] {
  const points = thinned(report.series, pointsMax);
  const base = {
    kind: 'time',
    xLabel: 'Time since the start, min:s',
    x: points.map(({ second }) => second),
    bands: report.stages.map(({ name, startSeconds, durationSeconds }) => ({
      from: startSeconds,
      to: startSeconds + durationSeconds,
      name: cleanText(name),
    })),
    downs: downTimes(report.series),
    ticks: [],
  } as const;
  return timeCharts.map((chart) => {
    // A logarithm has no 0: where nothing came, there is no latency.
    const shown = (value: number): number | null => (chart.log && value === 0 ? null : value);
    const series = chart.series.map(({ of, ...line }) => ({
      ...line,
      values: points.map((point) => shown(point[of])),
    }));
    return { ...base, ...chart, series };
  });
}

/** A plot over time without its values: each line says what it shows `of` a second. */
type TimeChart = Omit<Plot, 'kind' | 'xLabel' | 'x' | 'bands' | 'downs' | 'ticks' | 'series'> & {
  readonly series: readonly (Omit<PlotSeries, 'values'> & { readonly of: Exclude<keyof SeriesPoint, 'events'> })[];
};

const timeCharts: readonly TimeChart[] = [
  {
    id: 'plot-rates',
    title: 'Throughput',
    subtitle: 'messages per second; each receiver of a message counts as a delivery',
    unit: 'number',
    log: false,
    yLabel: 'Messages per second',
    series: [
      { label: 'Delivered', of: 'delivered', colour: 'green', scale: 'y', fill: true },
      { label: 'Sent', of: 'sent', colour: 'blue', scale: 'y' },
      { label: 'Acknowledged', of: 'acknowledged', colour: 'orange', scale: 'y', dash: true },
    ],
  },
  {
    id: 'plot-latency',
    title: 'Delivery latency',
    subtitle: 'from when a message was due to when its receiver had it',
    unit: 'ms',
    log: true,
    yLabel: 'Latency (logarithmic)',
    series: [
      { label: 'Median', of: 'p50', colour: 'green', scale: 'y' },
      { label: '99 %', of: 'p99', colour: 'orange', scale: 'y' },
      { label: 'Longest', of: 'max', colour: 'red', scale: 'y', dash: true },
    ],
  },
  {
    id: 'plot-connections',
    title: 'Connections',
    subtitle: 'devices connected, and how many came and went',
    unit: 'number',
    log: false,
    yLabel: 'Connected devices',
    y2Label: 'Per second',
    series: [
      { label: 'Connected', of: 'connected', colour: 'blue', scale: 'y', fill: true },
      { label: 'Connects /s', of: 'connects', colour: 'green', scale: 'y2' },
      { label: 'Ends /s', of: 'disconnects', colour: 'red', scale: 'y2', dash: true },
    ],
  },
  {
    id: 'plot-owed',
    title: 'Outstanding deliveries and faults',
    subtitle: 'what the broker owed at each moment, and the faults found up to then',
    unit: 'number',
    log: false,
    yLabel: 'Outstanding',
    y2Label: 'Faults so far',
    series: [
      { label: 'Outstanding', of: 'outstanding', colour: 'violet', scale: 'y', fill: true },
      { label: 'Faults so far', of: 'faults', colour: 'red', scale: 'y2' },
    ],
  },
];

const curves = [
  ['deliveryLatency', 'Delivery', 'green'],
  ['acknowledgementLatency', 'Acknowledgement', 'orange'],
  ['connectLatency', 'Connect', 'blue'],
  ['roundTrip', 'Round trip', 'violet'],
] as const;

/** How latencies are distributed: each of the four that was measured. */
export function percentilePlot(figures: Figures): Plot {
  const series = curves
    .filter(([name]) => figures[name].count > 0)
    .map(([name, label, colour]): PlotSeries => ({ label, colour, scale: 'y', values: curve(figures[name]) }));
  return {
    id: 'plot-percentiles',
    title: 'Latency by percentile',
    subtitle: 'the part of all that took at most so long',
    kind: 'percentiles',
    unit: 'ms',
    log: true,
    xLabel: 'Percentile',
    yLabel: 'Latency (logarithmic)',
    x: percentileTicks.map(({ at }) => at),
    series,
    bands: [],
    downs: [],
    ticks: percentileTicks,
  };
}

/** One figure over time of two runs. */
export function comparisonPlot(a: Report, b: Report, figure: 'delivered' | 'p99'): Plot {
  const isLatency = figure === 'p99';
  const [one, other] = [thinned(a.series, pointsMax / 2), thinned(b.series, pointsMax / 2)];
  const x = [...new Set([...one, ...other].map(({ second }) => second))].sort((left, right) => left - right);
  const values = (points: readonly SeriesPoint[]): (number | null)[] => {
    const bySecond = new Map(points.map((point) => [point.second, point[figure]]));
    return x.map((second) => {
      const value = bySecond.get(second);
      return value === undefined || (isLatency && value === 0) ? null : value;
    });
  };
  return {
    id: `plot-${figure}`,
    title: isLatency ? 'Delivery latency, 99 %' : 'Deliveries',
    subtitle: isLatency ? 'of each second' : 'per second',
    kind: 'time',
    unit: isLatency ? 'ms' : 'number',
    log: isLatency,
    xLabel: 'Time since the start, min:s',
    yLabel: isLatency ? 'Latency (logarithmic)' : 'Deliveries per second',
    x,
    series: [
      { label: 'A', values: values(one), colour: 'blue', scale: 'y' },
      { label: 'B', values: values(other), colour: 'orange', scale: 'y' },
    ],
    bands: [],
    downs: [],
    ticks: [],
  };
}

/** Places on the x axis: as many nines as it has, and the longest at the end. */
const percentileTicks: readonly { readonly at: number; readonly name: string }[] = [
  { at: 0, name: 'least' },
  { at: 0.301, name: '50 %' },
  { at: 1, name: '90 %' },
  { at: 1.301, name: '95 %' },
  { at: 2, name: '99 %' },
  { at: 3, name: '99.9 %' },
  { at: 3.6, name: 'longest' },
];

function curve({ min, p50, p90, p95, p99, p999, max }: Percentiles): (number | null)[] {
  return [min, p50, p90, p95, p99, p999, max].map((ms) => (ms > 0 ? ms : null));
}

/**
 * A series of at most `limit` points: each stands for as many seconds. Rates are the mean of them, latencies the
 * highest (the median: the mean), counts what they were at the end.
 */
export function thinned(series: readonly SeriesPoint[], limit: number): readonly SeriesPoint[] {
  if (series.length <= limit) return series;
  const width = Math.ceil(series.length / limit);
  const points: SeriesPoint[] = [];
  for (let from = 0; from < series.length; from += width) points.push(joined(series.slice(from, from + width)));
  return points;
}

function joined(points: readonly SeriesPoint[]): SeriesPoint {
  const mean = (name: 'sent' | 'acknowledged' | 'delivered' | 'connects' | 'disconnects'): number =>
    points.reduce((all, point) => all + point[name], 0) / points.length;
  const highest = (name: 'p99' | 'max' | 'outstanding'): number =>
    points.reduce((most, point) => Math.max(most, point[name]), 0);
  const medians = points.map(({ p50 }) => p50).filter((p50) => p50 > 0);
  const last = points.at(-1) as SeriesPoint;
  return {
    second: last.second,
    sent: mean('sent'),
    acknowledged: mean('acknowledged'),
    delivered: mean('delivered'),
    connected: last.connected,
    connects: mean('connects'),
    disconnects: mean('disconnects'),
    outstanding: highest('outstanding'),
    faults: last.faults,
    p50: medians.reduce((all, p50) => all + p50, 0) / Math.max(1, medians.length),
    p99: highest('p99'),
    max: highest('max'),
    events: points.flatMap(({ events }) => events),
  };
}

function downTimes(series: readonly SeriesPoint[]): { from: number; to: number }[] {
  const downs: { from: number; to: number }[] = [];
  let downSince: number | undefined;
  for (const { second, events } of series) {
    for (const event of events) {
      if (event === 'broker down') downSince ??= second;
      if (event === 'broker up' && downSince !== undefined) {
        downs.push({ from: downSince, to: second });
        downSince = undefined;
      }
    }
  }
  const end = series.at(-1)?.second ?? 0;
  return downSince === undefined ? downs : [...downs, { from: downSince, to: end }];
}
