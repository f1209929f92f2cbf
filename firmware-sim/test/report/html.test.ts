import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import { commandLine } from '../../src/report/command-line.ts';
import { comparisonHtml } from '../../src/report/compare-html.ts';
import { compareReports } from '../../src/report/compare.ts';
import { faultTexts } from '../../src/report/fault-texts.ts';
import { renderHtml } from '../../src/report/html.ts';
import { escapeHtml } from '../../src/report/markup.ts';
import { selfWarning } from '../../src/report/self-check.ts';
import { hostileReport, hostileText } from './hostile-report.ts';
import { faultySample, sampleReport } from './sample-report.ts';

const good = renderHtml(sampleReport());
const bad = renderHtml(faultySample());
const comparison = comparisonHtml(compareReports(sampleReport(), faultySample()));

/** What people see, without tags. */
function textOf(page: string): string {
  return page
    .replace(/<(script|style)[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)))
    .replace(/\s+/g, ' ');
}

describe('a report', () => {
  test('says pass or fail first, and why', () => {
    expect(textOf(good)).toContain(
      'PASS All 13 thresholds hold. The delivery checker followed 71,970 owed deliveries and found no fault.',
    );
    expect(textOf(bad)).toContain(
      'FAIL lost 3, duplicated 2, sessionPresent 1. The delivery checker followed 71,970 owed deliveries and found 6 faults.',
    );
    expect(good).toContain('<title>PASS – tour – firmware-sim</title>');
    expect(bad).toContain('<title>FAIL – tour – firmware-sim</title>');
  });

  test('has the plots before what the checker counted, unless it found faults', () => {
    expect(good.indexOf('<h2>Over time')).toBeLessThan(good.indexOf('<h2>Delivery'));
    expect(bad.indexOf('<h2>Delivery')).toBeLessThan(bad.indexOf('<h2>Over time'));
    for (const page of [good, bad]) expect(page.match(/<h2>Delivery</g)).toHaveLength(1);
  });

  test('has every fault with its meaning, by QoS and by class', () => {
    for (const fault of faults) {
      expect(textOf(bad)).toContain(faultTexts[fault].title);
      expect(textOf(bad)).toContain(faultTexts[fault].text);
    }
    const row = /<td class="name">Lost<[\s\S]*?<\/tr>/.exec(bad)?.[0] ?? '';
    expect(textOf(row)).toMatch(/ 0 3 0 3 trackers 3 /);
  });

  test('has thresholds, examples, classes, stages, notes, broker figures, the machine and the command', () => {
    const text = textOf(bad);
    expect(text).toMatch(/delivery\.p99 <= 250 ms 66\.\d ms pass/);
    expect(text).toMatch(/lost = 0 3 FAIL/);
    expect(text).toContain('1:02 Lost trackers-7 was owed message 118');
    expect(text).toMatch(/gateways gateway 10 3,000/);
    expect(text).toMatch(/storm storm 1:20 25 s/);
    expect(text).toMatch(/updated 50 the first 2 tracker-0 runs version 2/);
    expect(text).toMatch(/\$SYS\/broker\/messages\/received 10 61,234 \+61,224 510/);
    expect(text).toContain('Figures that did not change: 1');
    expect(text).toContain('Example CPU at 3.0 GHz, 8 cores, 16,000 MB, Linux 6.8.0');
    expect(text).toContain('trellis sim tour --broker mqtt://127.0.0.1:1883 --seed 42');
    expect(text).toContain('Broker killed once');
  });

  test('has nothing to show of what there was not, and no NaN', () => {
    const draft = { classes: {}, stages: [], notes: {}, series: [], brokerFigures: [], durationSeconds: 0 };
    const page = renderHtml(sampleReport({ draft: { ...draft, startedAt: 'never' }, thresholds: [] }));
    const text = textOf(page);
    for (const title of ['Device classes', 'Stages', 'What happened', 'What the broker says', 'Thresholds']) {
      expect(text).not.toContain(title);
    }
    expect(text).toContain('There are no thresholds to hold.');
    expect(text).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(textOf(bad)).not.toMatch(/NaN|undefined|Infinity|\[object/);
  });

  test('says that it was interrupted, and that the simulator was the bottleneck', () => {
    const draft = {
      interrupted: true,
      durationSeconds: 41,
      self: { cpuSeconds: 2, residentMb: 100, loopDelayP99: 31 },
    };
    const text = textOf(renderHtml(sampleReport({ draft })));
    expect(text).toContain('The run was interrupted after 41 s');
    expect(text).toContain('The simulator itself was held up (event loop delay 31 ms at 99 %)');
    expect(textOf(good)).not.toContain('The simulator itself');
  });
});

describe('pages', () => {
  test.each([
    ['a report', good],
    ['a comparison', comparison],
  ])('%s loads nothing and lets only its own script and style run', (_name, page) => {
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
    expect(page).not.toMatch(/url\(|@import|\sstyle="|\son[a-z]+="/);
    const policy =
      /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
    expect(policy.split('; ').map((part) => part.split(' ')[0])).toEqual([
      'default-src',
      'style-src',
      'script-src',
      'img-src',
      'base-uri',
      'form-action',
    ]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map((match) => hash(match[1] as string));
    const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/g)].map((match) => hash(match[1] as string));
    expect(policy).toContain(`script-src ${scripts.join(' ')};`);
    expect(policy).toContain(`style-src ${styles.join(' ')};`);
    expect([scripts.length, styles.length]).toEqual([1, 1]);
  });

  test('a comparison shows both runs and what changed', () => {
    const text = textOf(comparison);
    expect(text).toMatch(/Lost 0 3 from 0 worse/);
    expect(text).toMatch(/A pass mqtt:\/\/127\.0\.0\.1:1883 trellis 0\.1\.0 2026-03-02 14:05:09 UTC 2 min 0 s 200 42/);
    expect(text).toMatch(/B FAIL mqtt:/);
    expect(comparison.match(/class="plot"/g)).toHaveLength(2);
  });

  test('nothing that others wrote becomes markup', () => {
    const evil = hostileReport();
    for (const page of [
      renderHtml(evil),
      comparisonHtml(compareReports(evil, { ...evil, scenario: { ...evil.scenario, name: `b${hostileText}` } })),
    ]) {
      expect(page).not.toContain('<img');
      expect(page).not.toContain('<script>alert');
      for (const character of '\u202e\u2028\u0007') expect(page.includes(character)).toBe(false);
      expect(page).toContain(escapeHtml(hostileText));
      expect(page.match(/<script/g)).toHaveLength(2);
      expect(page.match(/<\/script/g)).toHaveLength(2);
      const data = /<script type="application\/json" id="plots">([\s\S]*?)<\/script>/.exec(page)?.[1] as string;
      expect(JSON.parse(data)).toBeInstanceOf(Array);
    }
    expect(renderHtml(evil).split(escapeHtml(hostileText)).length).toBeGreaterThan(20);
  });
});

test.each([
  [['trellis', 'sim', 'run', 'my fleet.yaml'], "trellis sim run 'my fleet.yaml'"],
  [["it's", '$(rm -rf)', ''], `'it'\\''s' '$(rm -rf)' ''`],
  [['--kill-broker', 'pkill x; y'], "--kill-broker 'pkill x; y'"],
])('the command line of %j is %s', (words, line) => {
  expect(commandLine(words)).toBe(line);
});

test('the simulator is held for the bottleneck when its cores are used up or its loop is late', () => {
  const { environment } = sampleReport();
  const warning = (cpuSeconds: number, threads: number, loopDelayP99: number): string | undefined =>
    selfWarning({
      self: { cpuSeconds, residentMb: 1, loopDelayP99 },
      environment: { ...environment, threads },
      durationSeconds: 100,
    });
  expect(warning(89, 0, 12)).toBeUndefined();
  expect(warning(90, 0, 12)).toContain('busy (90 % of a core)');
  expect(warning(150, 2, 12)).toBeUndefined();
  expect(warning(180, 2, 12)).toContain('busy (180 % of a core)');
  expect(warning(10, 0, 21)).toContain('held up');
});
