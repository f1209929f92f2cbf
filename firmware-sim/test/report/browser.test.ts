import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareReports } from '../../src/report/compare.ts';
import { comparisonHtml } from '../../src/report/compare-html.ts';
import { renderHtml } from '../../src/report/html.ts';
import type { SeriesPoint } from '../../src/report/report.ts';
import { ChromiumPage } from './chromium-page.ts';
import { hostileReport, hostileText } from './hostile-report.ts';
import { faultySample, sampleReport } from './sample-report.ts';

const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin'];
const chromium = folders.map((folder) => join(folder, 'chromium')).find((path) => existsSync(path));

// A browser is the only one who can say that a page draws and runs nothing else.
describe.skipIf(chromium === undefined)('in a browser (needs chromium)', () => {
  let folder: string;
  let page: ChromiumPage;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sim-browser-'));
    page = await ChromiumPage.open(chromium as string, join(folder, 'profile'));
  });

  afterAll(async () => {
    await page?.close();
    rmSync(folder, { recursive: true, maxRetries: 10, retryDelay: 100 });
  });

  async function show(html: string): Promise<void> {
    const path = join(folder, 'page.html');
    writeFileSync(path, html);
    await page.load(pathToFileURL(path).href);
  }

  /** Number of colours on each canvas; an empty one has 1. */
  const coloursOnCanvases = `[...document.querySelectorAll('.plot canvas')].map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  })`;

  const onePoint = sampleReport().series[30] as SeriesPoint;
  const silentPoint = { ...onePoint, delivered: 0, p50: 0, p99: 0, max: 0 };

  test.each([
    ['a report', renderHtml(sampleReport()), 5],
    ['a report with faults', renderHtml(faultySample()), 5],
    ['a report of a run of one second', renderHtml(sampleReport({ draft: { series: [onePoint] } })), 5],
    ['a report of a run that ended at once', renderHtml(sampleReport({ draft: { series: [], stages: [] } })), 1],
    [
      'a report of a run without deliveries',
      renderHtml(sampleReport({ draft: { series: [silentPoint, silentPoint] } })),
      4,
    ],
    ['a comparison', comparisonHtml(compareReports(sampleReport(), faultySample())), 2],
  ])('%s draws its plots, loads nothing and complains of nothing', async (_name, html, plots) => {
    await show(html);
    const colours = await page.evaluate<number[]>(coloursOnCanvases);
    expect(colours).toHaveLength(plots);
    for (const count of colours) expect(count).toBeGreaterThan(10);
    expect(page.complaints).toEqual([]);
    expect(page.requests.filter((url) => !url.startsWith('data:'))).toEqual([expect.stringMatching(/\/page\.html$/)]);
  });

  test('hostile names are text, and nothing of them runs', async () => {
    await show(renderHtml(hostileReport()));
    expect(await page.evaluate('window.owned === undefined')).toBe(true);
    expect(
      await page.evaluate('document.querySelectorAll("img, iframe, object, main script, main style").length'),
    ).toBe(0);
    expect(await page.evaluate('document.scripts.length')).toBe(2);
    const heading = await page.evaluate<string>('document.querySelector("h1").textContent');
    expect(heading.slice(0, 60)).toBe(hostileText.slice(0, 60));
    expect((await page.evaluate<number[]>(coloursOnCanvases)).length).toBe(5);
    expect(page.complaints).toEqual([]);
  });

  test('a script that got in all the same would not run', async () => {
    const html = renderHtml(sampleReport()).replace(
      '</main>',
      '<img src=x onerror="window.owned=1"><script>window.owned=2</script></main>',
    );
    await show(html);
    expect(await page.evaluate('window.owned === undefined')).toBe(true);
    expect(page.complaints.join('\n')).toContain('Content Security Policy');
  });

  test('plots follow the colours of the page, the width of the window, and paper', async () => {
    await page.send('Emulation.setDeviceMetricsOverride', {
      width: 1200,
      height: 800,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await show(renderHtml(sampleReport()));
    const state = `(async () => {
      // Changes of media and size are told with the next frame.
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      const canvas = document.querySelector('.plot canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return { width: canvas.clientWidth, page: getComputedStyle(document.body).backgroundColor,
        ink: data.reduce((all, one) => all + one, 0),
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth };
    })()`;
    type State = { width: number; page: string; ink: number; overflow: number };
    const light = await page.evaluate<State>(state);
    await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
    const dark = await page.evaluate<State>(state);
    expect(dark.page).not.toBe(light.page);
    expect(dark.ink).not.toBe(light.ink);

    await page.evaluate('dispatchEvent(new Event("beforeprint"))');
    const printed = await page.evaluate<State>(state);
    expect(printed.page).toBe(light.page);
    expect(printed.width).toBe(640);
    await page.evaluate('dispatchEvent(new Event("afterprint"))');
    expect((await page.evaluate<State>(state)).width).toBe(dark.width);

    await page.send('Emulation.setDeviceMetricsOverride', {
      width: 390,
      height: 800,
      deviceScaleFactor: 1,
      mobile: false,
    });
    const narrow = await page.evaluate<State>(state);
    expect(narrow.width).toBeLessThan(390);
    expect(narrow.overflow).toBe(0);
    expect(page.complaints).toEqual([]);
  });
});
