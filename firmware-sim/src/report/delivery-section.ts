import { faults } from '../checker/witness.ts';
import { faultTexts } from './fault-texts.ts';
import { total } from './figures.ts';
import { html, type Markup } from './markup.ts';
import { formatClock, formatCount } from './numbers.ts';
import type { Report } from './report.ts';

/** What the delivery checker found: faults by QoS and class, examples, and what it counted. */
export function deliverySection(report: Report): Markup {
  return html`<section><h2>Delivery</h2>
<p class="soft">Every message carries its sender, a number, the time it was due and a checksum. From these and from what
each device knew, the checker says what the broker owed to whom, and what it did.</p>
${faultTable(report)}
${exampleList(report)}
${messageTable(report)}
${checkList(report)}
</section>`;
}

function faultTable({ delivery }: Report): Markup {
  const rows = faults.map((name) => {
    const { total: all, byQos, byClass } = delivery.faults[name];
    const { title, text } = faultTexts[name];
    const where = Object.entries(byClass)
      .filter(([, count]) => count > 0)
      .map(([className, count]) => html`<div>${className} <span class="some">${formatCount(count)}</span></div>`);
    const place = where.length > 0 ? html`${where}` : html`<span class="none">–</span>`;
    return html`<tr${all > 0 && html` class="found"`}><td class="name">${title}<span class="why">${text}</span></td>
${byQos.map((count) => html`<td class="number">${faultCount(count)}</td>`)}<td class="number">${faultCount(all)}</td>
<td>${place}</td></tr>`;
  });
  return html`<div class="table"><table class="even"><thead><tr><th>Fault</th><th class="number">QoS 0</th><th class="number">QoS 1</th>
<th class="number">QoS 2</th><th class="number">All</th><th>In class</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** A number of faults: green 0, otherwise red. */
export function faultCount(count: number): Markup {
  return count === 0 ? html`<span class="zero">0</span>` : html`<span class="some">${formatCount(count)}</span>`;
}

function exampleList({ delivery, startedAt }: Report): Markup {
  if (delivery.examples.length === 0) return html``;
  const begun = Date.parse(startedAt);
  const items = delivery.examples.map(
    ({ fault, at, text }) =>
      html`<li><span class="soft">${formatClock((at - begun) / 1000)}</span><span class="some">${faultTexts[fault].title}</span><span class="mono">${text}</span></li>`,
  );
  return html`<h3>The first of each fault</h3>
<ul class="examples">${items}</ul>`;
}

function messageTable({ delivery: { counts } }: Report): Markup {
  const lines: readonly (readonly [title: string, why: string, byQos: readonly [number, number, number]])[] = [
    ['Sent', 'Messages given to the network, and wills that fell due.', counts.sent],
    ['Acknowledged', 'PUBACK or PUBREC: from here on the broker owes them.', counts.acknowledged],
    ['Refused', 'PUBACK or PUBREC with a reason code of failure; nothing is owed.', counts.refused],
    ['Abandoned', 'Never acknowledged, and not sent again; may arrive or not.', counts.abandoned],
    ['Owed', 'Deliveries that had to come: each receiver of a message counts.', counts.owed],
    ['Outstanding', 'Owed, and not there at the end.', counts.outstanding],
    [
      'Delivered',
      'Deliveries that came, by the QoS they came with; a subscription may lower it. All else here goes by the QoS of publishing.',
      counts.delivered,
    ],
  ];
  const rows = lines.map(
    ([title, why, byQos]) => html`<tr><td class="name">${title}<span class="why">${why}</span></td>
${byQos.map((count) => html`<td class="number">${formatCount(count)}</td>`)}<td class="number">${formatCount(total([...byQos]))}</td></tr>`,
  );
  return html`<h3>Messages</h3>
<div class="table"><table><thead><tr><th>Messages</th><th class="number">QoS 0</th><th class="number">QoS 1</th><th class="number">QoS 2</th>
<th class="number">All</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function checkList({ delivery: { counts } }: Report): Markup {
  const { missedQos0, repeated } = counts;
  const lines: readonly (readonly [string, string])[] = [
    [
      'QoS 0 not delivered',
      `${formatCount(missedQos0.unexcused)} with everybody connected, ${formatCount(missedQos0.excused)} while a connection or the broker ended`,
    ],
    [
      'QoS 1 delivered again',
      repeated.total === 0
        ? '0'
        : `${formatCount(repeated.total)}, as QoS 1 allows; ${formatCount(repeated.withoutDup)} of them not flagged DUP`,
    ],
    ['Wills that fell due', formatCount(counts.willsDue)],
    ['Retained messages checked', formatCount(counts.retainedChecked)],
    ['Sessions resumed', formatCount(counts.sessionsResumed)],
    ['Broker restarts', formatCount(counts.brokerRestarts)],
    ['Deliveries not of this run', `${formatCount(counts.foreign)}, not judged`],
  ];
  return html`<h3>Also checked</h3>
<dl>${lines.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}
