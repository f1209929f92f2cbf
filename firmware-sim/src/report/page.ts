import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { html, Markup, scriptJson } from './markup.ts';
import { pageScript } from './page-script.ts';
import { pageStyle } from './page-style.ts';
import type { Plot } from './plot-data.ts';

/** What a page is made of. */
export interface PageParts {
  readonly title: string;
  readonly isGood: boolean;
  readonly body: Markup;
  readonly plots: readonly Plot[];
}

/**
 * A whole page in one file that loads nothing: style, scripts and data are in it, and its content security policy lets
 * no other script run.
 */
export function page({ title, isGood, body, plots }: PageParts): string {
  const require = createRequire(import.meta.url);
  const read = (file: string): string =>
    readFileSync(require.resolve(`uplot/dist/${file}`), 'utf8').replaceAll('\r', '');
  const style = `${read('uPlot.min.css')}\n${pageStyle}`;
  const script = `${read('uPlot.iife.min.js')}\n${pageScript}`;
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${hashOf(script)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const icon = `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${isGood ? '#1a936f' : '#d1242f'}"/></svg>`,
  )}`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<link rel="icon" href="${icon}">
<style>${new Markup(style)}</style>
</head>
<body>
<main>
${body}
</main>
<script type="application/json" id="plots">${scriptJson(plots)}</script>
<script>${new Markup(script)}</script>
</body>
</html>
`.text;
}

/** The places that the script draws the plots into. */
export function plotPlaces(plots: readonly Plot[]): Markup {
  if (plots.length === 0) return html`<p class="soft">Nothing was measured.</p>`;
  const figures = plots.map(
    ({ id, title, subtitle }) =>
      html`<figure><figcaption>${title}<span>${subtitle}</span></figcaption><div class="plot" id="${id}"></div></figure>`,
  );
  return html`<div class="plots">${figures}</div><noscript><p class="soft">The plots need JavaScript.</p></noscript>`;
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
