import { total } from './figures.ts';
import { deliverySection } from './delivery-section.ts';
import { classSection, latencySection, stageSection } from './figure-sections.ts';
import { brokerSection, notesSection, runSection } from './run-sections.ts';
import { html, type Markup } from './markup.ts';
import { formatBytes, formatCount, formatDuration, formatMs, formatNumber } from './numbers.ts';
import { formatMetric } from './metric-text.ts';
import { page, plotPlaces } from './page.ts';
import { percentilePlot, timePlots } from './plot-data.ts';
import type { Report } from './report.ts';
import { runWarnings } from './run-warnings.ts';
import { foldThresholds, lastLine } from './verdict-table.ts';

/** A report as one HTML page that needs nothing else: plots, tables, light and dark, fit for paper. */
export function renderHtml(report: Report): string {
  const overTime = timePlots(report);
  const percentiles = percentilePlot(report.totals);
  const delivery = deliverySection(report);
  const isFaultless = faultsIn(report) === 0;
  const body = html`${pageHead(report)}
${banner(report)}
${runWarnings(report).map((warning) => html`<p class="caution">${warning}</p>`)}
${tiles(report)}
${thresholdSection(report)}
${!isFaultless && delivery}
<section>
<h2>Over time</h2>
<p class="soft small">Drag over a plot to look closer, double-click to look at all. Shaded bands are stages${
    report.broker.kills > 0 && html`, red bands times without a broker`
  }.</p>
${plotPlaces(overTime)}
</section>
${isFaultless && delivery}
${latencySection(report, percentiles)}
${classSection(report)}
${stageSection(report)}
${notesSection(report)}
${brokerSection(report)}
${runSection(report)}
<footer>Made by firmware-sim ${report.environment.simulator}. Times are of the simulator's clock; the checker judges from the devices' point of view.</footer>`;
  const title = `${report.result === 'pass' ? 'PASS' : 'FAIL'} – ${report.scenario.name} – firmware-sim`;
  return page({ title, isGood: report.result === 'pass', body, plots: [...overTime, percentiles] });
}

/** Devices of a run in all. */
export function devicesOf({ classes }: Report): number {
  return Object.values(classes).reduce((all, { devices }) => all + devices, 0);
}

/** `2026-03-02 14:05:09 UTC`; as it is where it is no date. */
export function dateText(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** A tick or a cross. */
function sign(isGood: boolean): Markup {
  return isGood
    ? html`<svg viewBox="0 0 44 44" aria-hidden="true"><circle cx="22" cy="22" r="20" fill="none" stroke="currentColor" stroke-width="3"/><path d="M13 23l6.5 6.5L31.5 16" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>`
    : html`<svg viewBox="0 0 44 44" aria-hidden="true"><circle cx="22" cy="22" r="20" fill="none" stroke="currentColor" stroke-width="3"/><path d="M15 15l14 14M29 15L15 29" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round"/></svg>`;
}

/** `pass` or `FAIL` in its colour. */
export function pill(isGood: boolean): Markup {
  return isGood ? html`<span class="pill pass">pass</span>` : html`<span class="pill fail">FAIL</span>`;
}

function pageHead(report: Report): Markup {
  const { scenario, broker } = report;
  const description = scenario.description.trim().replaceAll(/\s+/g, ' ');
  return html`<header>
<div class="brand">firmware-sim report</div>
<h1>${scenario.name}</h1>
${description !== '' && html`<p class="lead">${description}</p>`}
<ul class="facts">
<li>Broker <b>${broker.url}</b>${broker.software !== '' && html` <b>(${broker.software})</b>`}</li>
<li>Devices <b>${formatCount(devicesOf(report))}</b></li>
<li>Length <b>${formatDuration(report.durationSeconds)}</b></li>
<li>Seed <b>${String(scenario.seed)}</b></li>
<li>Begun <b>${dateText(report.startedAt)}</b></li>
</ul>
</header>`;
}

function banner(report: Report): Markup {
  const isPass = report.result === 'pass';
  const interrupted =
    report.interrupted &&
    html`<p>The run was interrupted after ${formatDuration(report.durationSeconds)}; it is judged by what was seen until then.</p>`;
  const count = report.thresholds.length;
  const sentence = isPass
    ? count === 0
      ? 'There are no thresholds to hold.'
      : `All ${count} thresholds hold.`
    : lastLine(report)
        .replace(/^FAIL[^:]*: /, '')
        .concat('.');
  const found = faultsIn(report);
  const owed = total(report.delivery.counts.owed);
  const delivery =
    found === 0
      ? `The delivery checker followed ${formatCount(owed)} owed deliveries and found no fault.`
      : `The delivery checker followed ${formatCount(owed)} owed deliveries and found ${formatCount(found)} faults.`;
  return html`<div class="banner ${isPass ? 'pass' : 'fail'}" role="status">${sign(isPass)}
<div><strong>${isPass ? 'PASS' : 'FAIL'}</strong><p>${sentence} ${delivery}</p>${interrupted}</div></div>`;
}

function tiles(report: Report): Markup {
  const { totals } = report;
  const { deliveryLatency: delivery, acknowledgementLatency: acknowledgement } = totals;
  const seconds = Math.max(report.durationSeconds, Number.MIN_VALUE);
  const tile = (name: string, value: string, more: string): Markup =>
    html`<div class="tile"><div class="name">${name}</div><div class="value">${value}</div><div class="more">${more}</div></div>`;
  const found = faultsIn(report);
  const peak = report.series.reduce((most, { delivered }) => Math.max(most, delivered), 0);
  return html`<div class="tiles">
${tile('Sent', formatCount(total(totals.sent)), `${formatNumber(total(totals.sent) / seconds)}/s, ${formatBytes(totals.sentBytes)}`)}
${tile('Delivered', formatCount(total(totals.delivered)), `${formatNumber(totals.throughput)}/s, ${formatBytes(totals.deliveredBytes)}`)}
${tile('Highest rate', `${formatCount(peak)}/s`, 'deliveries in one second')}
${tile('Faults', formatCount(found), found === 0 ? 'of ten kinds looked for' : 'see Delivery')}
${tile('Delivery, median', timeOf(delivery.count, delivery.p50), 'from due to delivered')}
${tile('Delivery, 99 %', timeOf(delivery.count, delivery.p99), `longest ${timeOf(delivery.count, delivery.max)}`)}
${tile('Acknowledgement, 99 %', timeOf(acknowledgement.count, acknowledgement.p99), `median ${timeOf(acknowledgement.count, acknowledgement.p50)}`)}
${tile('Connects', formatCount(totals.connects), `${formatCount(totals.connectFailures)} failed, ${formatCount(totals.disconnects)} ended`)}
</div>`;
}

function timeOf(count: number, ms: number): string {
  return count === 0 ? '–' : formatMs(ms);
}

function faultsIn({ delivery }: Report): number {
  return Object.values(delivery.faults).reduce((all, fault) => all + fault.total, 0);
}

function thresholdSection(report: Report): Markup {
  const { shown, folded } = foldThresholds(report.thresholds);
  const rows = shown.map(
    ({ metric, test, limit, value, holds, problem }) =>
      html`<tr${!holds && html` class="found"`}><td class="name mono">${metric}${problem !== undefined && html`<span class="why">${problem}</span>`}</td>
<td class="number">${test} ${formatMetric(metric, limit)}</td>
<td class="number">${problem === undefined ? formatMetric(metric, value) : '–'}</td><td>${pill(holds)}</td></tr>`,
  );
  if (folded.length > 0) {
    rows.push(html`<tr><td class="name">No faults<span class="why mono">${folded.join(', ')}</span></td>
<td class="number">= 0 each</td><td class="number">0</td><td>${pill(true)}</td></tr>`);
  }
  if (rows.length === 0) return html``;
  return html`<section><h2>Thresholds</h2>
<div class="table"><table><thead><tr><th>Figure</th><th class="number">Wanted</th><th class="number">Was</th><th>Result</th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}
