import { faults } from '../checker/witness.ts';
import type { Percentiles } from '../lib/histogram.ts';
import { faultCount } from './delivery-section.ts';
import { total } from './figures.ts';
import { html, type Markup } from './markup.ts';
import { formatBytes, formatClock, formatCount, formatDuration, formatMs, formatNumber } from './numbers.ts';
import { plotPlaces } from './page.ts';
import type { Plot } from './plot-data.ts';
import type { Figures, Report } from './report.ts';

/** Latencies of the whole run, as a table and as a plot. */
export function latencySection({ totals }: Report, plot: Plot): Markup {
  const lines: readonly (readonly [title: string, why: string, percentiles: Percentiles])[] = [
    ['Delivery', 'From when a message was due to when its receiver had it.', totals.deliveryLatency],
    ['Acknowledgement', 'From when a message was due to PUBACK or PUBREC.', totals.acknowledgementLatency],
    ['Connect', 'From the first byte out, TLS and WebSocket included, to CONNACK.', totals.connectLatency],
    ['Round trip', 'From a command to the answer of its device.', totals.roundTrip],
  ];
  const rows = lines
    .filter(([, , { count }]) => count > 0)
    .map(([title, why, percentiles]) => {
      const { count, min, mean, p50, p90, p95, p99, p999, max } = percentiles;
      const times = [min, mean, p50, p90, p95, p99, p999, max];
      return html`<tr><td class="name">${title}<span class="why">${why}</span></td><td class="number">${formatCount(count)}</td>
${times.map((ms) => html`<td class="number">${formatMs(ms)}</td>`)}</tr>`;
    });
  if (rows.length === 0) return html``;
  const heads = ['Number', 'Least', 'Mean', 'Median', '90 %', '95 %', '99 %', '99.9 %', 'Longest'];
  return html`<section><h2>Latency</h2>
<p class="soft small">In an open loop a message is due when its schedule says so, sent or not: a slow broker is not flattered.</p>
<div class="table"><table><thead><tr><th></th>${heads.map((head) => html`<th class="number">${head}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table></div>
${plotPlaces([plot])}</section>`;
}

/** What each class of devices did. */
export function classSection(report: Report): Markup {
  const rows = Object.entries(report.classes).map(([name, one]) => {
    const found = faults.reduce((all, fault) => all + (report.delivery.faults[fault].byClass[name] ?? 0), 0);
    return html`<tr><td class="name">${name}<span class="why">${one.kind}</span></td>
<td class="number">${formatCount(one.devices)}</td>${figureCells(one)}<td class="number">${faultCount(found)}</td></tr>`;
  });
  if (rows.length === 0) return html``;
  return html`<section><h2>Device classes</h2>
<div class="table"><table><thead><tr><th>Class</th><th class="number">Devices</th>${figureHeads()}<th class="number">Faults</th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

/** What happened in each stage. */
export function stageSection(report: Report): Markup {
  const rows = report.stages.map(
    (stage) => html`<tr><td class="name">${stage.name}<span class="why">${stage.kind}</span></td>
<td class="number">${formatClock(stage.startSeconds)}<span class="why">${formatDuration(stage.durationSeconds)}</span></td>
${figureCells(stage)}</tr>`,
  );
  if (rows.length === 0) return html``;
  return html`<section><h2>Stages</h2>
<div class="table"><table><thead><tr><th>Stage</th><th class="number">Begin, length</th>${figureHeads()}</tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

function figureHeads(): Markup {
  const heads = ['Sent', 'Delivered', 'Delivered /s', 'Connects', 'Ends', 'Delivery, median', '99 %', 'Longest'];
  return html`${heads.map((head) => html`<th class="number">${head}</th>`)}`;
}

function figureCells(figures: Figures): Markup {
  const { deliveryLatency: delivery, connectFailures, unsent, refused } = figures;
  const time = (ms: number): string => (delivery.count === 0 ? '–' : formatMs(ms));
  const side = [unsent > 0 ? `${formatCount(unsent)} unsent` : '', refused > 0 ? `${formatCount(refused)} refused` : '']
    .filter((text) => text !== '')
    .join(', ');
  const failed = connectFailures > 0 && html`<span class="why">${formatCount(connectFailures)} failed</span>`;
  return html`<td class="number">${formatCount(total(figures.sent))}<span class="why">${side === '' ? formatBytes(figures.sentBytes) : side}</span></td>
<td class="number">${formatCount(total(figures.delivered))}<span class="why">${formatBytes(figures.deliveredBytes)}</span></td>
<td class="number">${formatNumber(figures.throughput)}</td>
<td class="number">${formatCount(figures.connects)}${failed}</td><td class="number">${formatCount(figures.disconnects)}</td>
<td class="number">${time(delivery.p50)}</td><td class="number">${time(delivery.p99)}</td><td class="number">${time(delivery.max)}</td>`;
}
