import { commandLine } from './command-line.ts';
import { html, type Markup } from './markup.ts';
import { formatCount, formatDuration, formatMs, formatNumber, timesText } from './numbers.ts';
import type { Report } from './report.ts';

/** What devices told of themselves. */
export function notesSection({ notes }: Report): Markup {
  const blocks = Object.entries(notes)
    .filter(([, { count }]) => count > 0)
    .map(([kind, { count, first }]) => {
      const items = first.map((text) => html`<div class="mono">${text}</div>`);
      const texts = items.length > 0 && html`<details><summary>the first ${items.length}</summary>${items}</details>`;
      return html`<tr><td class="name">${kind}</td><td class="number">${formatCount(count)}</td><td>${texts}</td></tr>`;
    });
  if (blocks.length === 0) return html``;
  return html`<section><h2>What happened to the devices</h2>
<div class="table"><table><thead><tr><th>Event</th><th class="number">Times</th><th></th></tr></thead><tbody>${blocks}</tbody></table></div></section>`;
}

/** The broker's own figures beside those of the simulator. */
export function brokerSection({ brokerFigures, durationSeconds }: Report): Markup {
  if (brokerFigures.length === 0) return html``;
  const row = ({ name, start, end }: Report['brokerFigures'][number]): Markup => {
    const change = end - start;
    const perSecond = durationSeconds > 0 && change !== 0 ? formatNumber(change / durationSeconds) : '–';
    return html`<tr><td class="mono">${name}</td><td class="number">${formatNumber(start)}</td><td class="number">${formatNumber(end)}</td>
<td class="number">${change === 0 ? '–' : `${change > 0 ? '+' : ''}${formatNumber(change)}`}</td><td class="number">${perSecond}</td></tr>`;
  };
  const table = (rows: Report['brokerFigures']): Markup =>
    html`<div class="table"><table><thead><tr><th>Figure</th><th class="number">At the start</th><th class="number">At the end</th>
<th class="number">Change</th><th class="number">Per second</th></tr></thead><tbody>${rows.map(row)}</tbody></table></div>`;
  const changed = brokerFigures.filter(({ start, end }) => start !== end);
  const unchanged = brokerFigures.filter(({ start, end }) => start === end);
  const rest =
    unchanged.length > 0 &&
    html`<details><summary>Figures that did not change: ${unchanged.length}</summary>${table(unchanged)}</details>`;
  return html`<section><h2>What the broker says of itself</h2>
<p class="soft small">As the broker tells it, from $SYS topics and its page of metrics; not checked.</p>
${changed.length > 0 && table(changed)}${rest}</section>`;
}

/** Where it ran, and how to run it again. */
export function runSection(report: Report): Markup {
  const { environment, self, broker, scenario } = report;
  const threads = environment.threads > 0 ? `${environment.threads} threads for devices` : 'one thread';
  const cpu =
    report.durationSeconds > 0 ? ` (${Math.round((self.cpuSeconds / report.durationSeconds) * 100)} % of a core)` : '';
  const lines: readonly (readonly [string, string])[] = [
    [
      'Broker',
      `${broker.url}${broker.software === '' ? '' : `, ${broker.software}`}${broker.isOwn ? ', started for this run' : ''}`,
    ],
    ...(broker.kills > 0 ? ([['Broker killed', timesText(broker.kills)]] as const) : []),
    ['Seed', String(scenario.seed)],
    ['Simulator', `${environment.simulator}, ${threads}, Node ${environment.node.replace(/^v/, '')}`],
    ['Its CPU time', `${formatDuration(self.cpuSeconds)}${cpu}`],
    ['Its memory', `${formatCount(self.residentMb)} MB`],
    ['Its event loop delay, 99 %', formatMs(self.loopDelayP99)],
    [
      'Machine',
      `${environment.cpu}, ${environment.cores} cores, ${formatCount(environment.memoryMb)} MB, ${environment.os}`,
    ],
  ];
  return html`<section><h2>The run</h2>
<dl>${lines.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
<h3>Run it again</h3>
<p class="soft small">With the same seed, the devices do the same.</p>
<pre>${commandLine(report.command)}</pre></section>`;
}
