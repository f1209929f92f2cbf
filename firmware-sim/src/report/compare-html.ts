import { changeText, type Comparison, type ComparisonRow, countLine, valueText } from './compare.ts';
import { dateText, devicesOf, pill } from './html.ts';
import { html, type Markup } from './markup.ts';
import { formatCount, formatDuration } from './numbers.ts';
import { page, plotPlaces } from './page.ts';
import { comparisonPlot, hasValues } from './plot-data.ts';
import type { Report } from './report.ts';

/** A comparison as one HTML page in the look of reports. */
export function comparisonHtml(comparison: Comparison): string {
  const { a, b, caveats, groups } = comparison;
  const plots = [comparisonPlot(a, b, 'delivered'), comparisonPlot(a, b, 'p99')].filter(hasValues);
  const sections = groups.map(
    ({ title, rows }) => html`<section><h2>${title}</h2>
<div class="table"><table class="even"><thead><tr><th>Figure</th><th class="number">A</th><th class="number">B</th><th class="number">Change</th><th></th></tr></thead>
<tbody>${rows.map(rowOf)}</tbody></table></div></section>`,
  );
  const body = html`<header><div class="brand">firmware-sim comparison</div>
<h1>${a.scenario.name === b.scenario.name ? a.scenario.name : `${a.scenario.name} and ${b.scenario.name}`}</h1>
<p class="lead">${countLine(comparison)} Changes below 5 % are taken for chance, save for faults.</p></header>
${runTable(a, b)}
${caveats.map((text) => html`<p class="caution">${text}</p>`)}
<section><h2>Over time</h2>${plotPlaces(plots)}</section>
${sections}`;
  const isGood = groups.every(({ rows }) => rows.every(({ judgement }) => judgement !== 'worse'));
  return page({ title: `${a.scenario.name} – comparison – firmware-sim`, isGood, body, plots });
}

function runTable(a: Report, b: Report): Markup {
  const row = (letter: string, report: Report): Markup => {
    const { broker } = report;
    return html`<tr><td class="name">${letter}</td><td>${pill(report.result === 'pass')}</td><td>${broker.url}${
      broker.software !== '' && html`<span class="why">${broker.software}</span>`
    }</td><td>${dateText(report.startedAt)}</td><td class="number">${formatDuration(report.durationSeconds)}</td>
<td class="number">${formatCount(devicesOf(report))}</td><td class="number">${String(report.scenario.seed)}</td></tr>`;
  };
  return html`<section><h2>The two runs</h2>
<div class="table"><table><thead><tr><th></th><th>Result</th><th>Broker</th><th>Begun</th><th class="number">Length</th><th class="number">Devices</th>
<th class="number">Seed</th></tr></thead><tbody>${row('A', a)}${row('B', b)}</tbody></table></div></section>`;
}

function rowOf(row: ComparisonRow): Markup {
  const { metric, title, a, b, judgement } = row;
  const isJudged = judgement === 'better' || judgement === 'worse';
  return html`<tr><td>${title}</td><td class="number">${valueText(metric, a)}</td><td class="number">${valueText(metric, b)}</td>
<td class="number">${changeText(row)}</td><td>${isJudged && html`<span class="${judgement}">${judgement}</span>`}</td></tr>`;
}
