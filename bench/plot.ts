import type { ProtocolVersion } from './load/packets.ts';
import { PLAN } from './plan.ts';
import { median, multiples, REFERENCE, type Results, runsOf, versionName } from './results.ts';

/** A row of bars: one broker with one version of MQTT. */
interface Series {
  readonly broker: string;
  readonly version: ProtocolVersion;
  readonly className: string;
}

/** The bars of a scenario. */
interface Group {
  readonly title: string;
  readonly goal: number | undefined;
  readonly bars: readonly { readonly series: Series; readonly values: readonly number[] }[];
}

/** Sizes in pixels. */
const LABEL = 250;
const PLOT = 560;
const RIGHT = 70;
const TOP = 84;
const BAR = 9;
const GAP = 12;

/** The scale goes from and to at least these multiples. */
const LOWEST = 0.5;
const HIGHEST = 20;
const TICKS: readonly number[] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

/** Colours told apart by people with any colour vision, in light and dark. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 10px; fill: #57606a }
  .page { fill: #ffffff } .grid { stroke: #d8dee4 } .one { stroke: #57606a; stroke-width: 1.5 }
  .spread { stroke: #24292f } .goal { stroke: #cf222e; stroke-width: 2.5 }
  .c0 { fill: #0969da } .c1 { fill: #54aeff } .c2 { fill: #bf8700 } .c3 { fill: #8c959f } .c4 { fill: #8250df } .c5 { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .page { fill: #0d1117 } .grid { stroke: #30363d } .one { stroke: #9198a1 }
    .spread { stroke: #e6edf3 } .goal { stroke: #ff7b72 }
    .c0 { fill: #388bfd } .c1 { fill: #1158c7 } .c2 { fill: #d29922 } .c3 { fill: #6e7681 } .c4 { fill: #a371f7 } .c5 { fill: #3fb950 }
  }`;

function seriesOf({ outcomes }: Results): Series[] {
  const found = new Map<string, { broker: string; version: ProtocolVersion }>();
  for (const { broker, version, report } of outcomes) {
    if (report && broker !== REFERENCE) found.set(`${broker}/${version}`, { broker, version });
  }
  // The versions of a broker stand together, the brokers in the order in which they came.
  const sorted = [...Map.groupBy(found.values(), ({ broker }) => broker).values()].flat();
  return sorted.map((series, index) => ({ ...series, className: `c${index % 6}` }));
}

function groupsOf({ outcomes }: Results, series: readonly Series[]): Group[] {
  return [...PLAN].flatMap(([scenario, { title, goal }]) => {
    const bars = series.map((own) => {
      const { broker, version } = own;
      const reference = runsOf(outcomes, REFERENCE, scenario, version);
      return { series: own, values: multiples(runsOf(outcomes, broker, scenario, version), reference) };
    });
    const measuredBars = bars.filter(({ values }) => values.length > 0);
    return measuredBars.length === 0 ? [] : [{ title, goal, bars: measuredBars }];
  });
}

/** Where a multiple lies, in pixels from the left, on a logarithmic scale. */
class Scale {
  readonly ticks: readonly number[];
  readonly #low: number;
  readonly #high: number;

  constructor(values: readonly number[]) {
    this.#low = Math.log(Math.min(LOWEST, ...values));
    this.#high = Math.log(Math.max(HIGHEST, ...values));
    this.ticks = TICKS.filter((tick) => Math.log(tick) >= this.#low && Math.log(tick) <= this.#high);
  }

  at(multiple: number): number {
    return LABEL + ((Math.log(multiple) - this.#low) / (this.#high - this.#low)) * PLOT;
  }
}

const px = (value: number): string => value.toFixed(1);

function line(className: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${className}" x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}"/>`;
}

function text(className: string, x: number, y: number, content: string, anchor = 'start'): string {
  return `<text class="${className}" x="${px(x)}" y="${px(y)}" text-anchor="${anchor}">${content}</text>`;
}

function bar(scale: Scale, { series, values }: Group['bars'][number], top: number): string {
  const [one, end, low, high] = [1, median(values)!, Math.min(...values), Math.max(...values)].map((value) =>
    scale.at(value),
  ) as [number, number, number, number];
  const shape = `<rect class="${series.className}" x="${px(Math.min(one, end))}" y="${px(top)}" width="${px(Math.abs(end - one))}" height="${BAR - 1}" rx="1"/>`;
  const middle = top + (BAR - 1) / 2;
  const label = text('small', Math.max(one, high) + 5, top + BAR - 1, median(values)!.toPrecision(2));
  return [shape, line('spread', low, middle, high, middle), label].join('');
}

function legend(series: readonly Series[]): string {
  let x = LABEL;
  const y = 46;
  const entries = series.map(({ broker, version, className }) => {
    const label = `${broker}, ${versionName(version)}`;
    const entry = `<rect class="${className}" x="${x}" y="${y - 9}" width="12" height="9"/>${text('', x + 17, y, label)}`;
    x += 36 + label.length * 6.6;
    return entry;
  });
  return [...entries, line('goal', 12, y - 10, 12, y + 1), text('', 20, y, 'goal for trellis')].join('\n');
}

/** A plot of deliveries per CPU second relative to the reference's, as one SVG that needs nothing else. */
export function plot(results: Results): string {
  const series = seriesOf(results);
  const groups = groupsOf(results, series);
  const values = groups.flatMap(({ goal, bars }) => [goal ?? 1, ...bars.flatMap((own) => own.values)]);
  const scale = new Scale(values);
  const parts: string[] = [];
  let y = TOP;
  for (const { title, goal, bars } of groups) {
    const height = bars.length * BAR;
    parts.push(text('', LABEL - 12, y + height / 2 + 4, title, 'end'));
    parts.push(...bars.map((own, index) => bar(scale, own, y + index * BAR)));
    const own = bars.filter((candidate) => candidate.series.broker === 'trellis').length * BAR;
    if (goal !== undefined && own > 0) parts.push(line('goal', scale.at(goal), y - 2, scale.at(goal), y + own + 1));
    y += height + GAP;
  }
  const width = LABEL + PLOT + RIGHT;
  const grid = scale.ticks.flatMap((tick) => [
    line(tick === 1 ? 'one' : 'grid', scale.at(tick), TOP - 8, scale.at(tick), y),
    text('small', scale.at(tick), TOP - 13, tick === 1 ? `1 = ${REFERENCE}` : `${tick}`, 'middle'),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 12}" width="${width}" height="${y + 12}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${width}" height="${y + 12}"/>`,
    text('title', 12, 24, `Deliveries per CPU second of the broker, as multiples of ${REFERENCE}’s (logarithmic)`),
    legend(series),
    ...grid,
    ...parts,
    '</svg>\n',
  ].join('\n');
}
