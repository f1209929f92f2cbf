import { describe, expect, test } from 'vitest';
import { compareReports, type ComparisonRow, comparisonText, countLine } from '../../src/report/compare.ts';
import type { Report } from '../../src/report/report.ts';
import { widthOf } from '../../src/report/text.ts';
import { faultySample, sampleReport } from './sample-report.ts';

const good = sampleReport();
const bad = faultySample();

function row(a: Report, b: Report, metric: string): ComparisonRow {
  const rows = compareReports(a, b).groups.flatMap((group) => group.rows);
  return rows.find((one) => one.metric === metric) as ComparisonRow;
}

function withTotals(changes: Partial<Report['totals']>): Report {
  return { ...good, totals: { ...good.totals, ...changes } };
}

function withP99(p99: number): Report {
  return withTotals({ deliveryLatency: { ...good.totals.deliveryLatency, p99 } });
}

test('a run compared with itself is the same everywhere', () => {
  const { groups, caveats } = compareReports(good, good);
  const rows = groups.flatMap((group) => group.rows);
  expect(rows.length).toBeGreaterThan(40);
  expect(rows.every(({ judgement, change }) => judgement === 'same' && change === 0)).toBe(true);
  expect(caveats).toEqual([]);
});

test('a fault more is worse, however small, and a fault less is better', () => {
  expect(row(good, bad, 'lost')).toMatchObject({ a: 0, b: 3, change: Number.POSITIVE_INFINITY, judgement: 'worse' });
  expect(row(bad, good, 'lost')).toMatchObject({ a: 3, b: 0, change: -1, judgement: 'better' });
  expect(row(good, bad, 'late').judgement).toBe('same');
});

test('latency wants less, throughput wants more, and counts want nothing', () => {
  expect(row(withP99(100), withP99(110), 'delivery.p99')).toMatchObject({ judgement: 'worse' });
  expect(row(withP99(100), withP99(110), 'delivery.p99').change).toBeCloseTo(0.1);
  expect(row(withP99(100), withP99(90), 'delivery.p99').judgement).toBe('better');
  expect(row(good, withTotals({ throughput: 1200 }), 'throughput').judgement).toBe('better');
  expect(row(good, withTotals({ throughput: 800 }), 'throughput').judgement).toBe('worse');
  expect(row(good, withTotals({ connects: 500 }), 'connects').judgement).toBe('different');
});

test('less than 5 % is chance, save for faults', () => {
  expect(row(withP99(100), withP99(104.9), 'delivery.p99').judgement).toBe('same');
  expect(row(withP99(100), withP99(95.1), 'delivery.p99').judgement).toBe('same');
  expect(row(withP99(100), withP99(105.1), 'delivery.p99').judgement).toBe('worse');
  expect(row(withP99(100), withP99(94.9), 'delivery.p99').judgement).toBe('better');
  const many = structuredClone(bad) as { delivery: { faults: { lost: { total: number } } } };
  many.delivery.faults.lost.total = 1000;
  const more = structuredClone(many);
  more.delivery.faults.lost.total = 1001;
  expect(row(many as never, more as never, 'lost').judgement).toBe('worse');
});

test('figures that only one run has are missing, those of none are left out', () => {
  const { office, ...fewer } = good.classes;
  const other: Report = { ...good, classes: { ...fewer, extra: office as Report['classes'][string] } };
  expect(row(good, other, 'classes.office.throughput')).toMatchObject({ b: undefined, judgement: 'missing' });
  expect(row(good, other, 'classes.extra.throughput')).toMatchObject({ a: undefined, judgement: 'missing' });
  const silent = withTotals({ roundTrip: { ...good.totals.roundTrip, count: 0 } });
  expect(row(silent, silent, 'roundTrip.p99')).toBeUndefined();
  expect(row(good, silent, 'roundTrip.p99').judgement).toBe('missing');
});

test('what makes runs hard to compare is said', () => {
  const other: Report = {
    ...good,
    scenario: { ...good.scenario, name: 'factory', seed: 7 },
    durationSeconds: 60,
    interrupted: true,
    environment: { ...good.environment, cores: 2 },
    classes: { sensors: good.classes['sensors'] as Report['classes'][string] },
  };
  expect(compareReports(good, other).caveats).toEqual([
    'The runs differ in scenario: tour and factory.',
    'The runs differ in seed: 42 and 7.',
    'The runs differ in number of devices: 200 and 120.',
    'The runs differ in length, s: 120 and 60.',
    'The runs differ in hardware: Example CPU at 3.0 GHz, 8 cores and Example CPU at 3.0 GHz, 2 cores.',
    'Run B was interrupted.',
  ]);
  expect(compareReports(good, { ...good, durationSeconds: 124 }).caveats).toEqual([]);
});

describe('as text', () => {
  test('it shows both values, the change and what it means', () => {
    const text = comparisonText(compareReports(good, bad), false);
    expect(text).toMatch(/│ Lost +│ +0 │ +3 │ +from 0 │ worse +│/);
    expect(text).toMatch(/│ Late +│ +0 │ +0 │ += │ +│/);
    expect(text).toMatch(/│ Delivery, 99 % +│ +11\.\d ms │ +66\.\d ms │ +×5\.\d\d │ worse +│/);
    expect(text).toMatch(/^A {2}tour on mqtt:\/\/127\.0\.0\.1:1883 \(trellis 0\.1\.0\), .*: PASS$/m);
    expect(text.endsWith(`${countLine(compareReports(good, bad))}\n`)).toBe(true);
    expect(comparisonText(compareReports(withP99(100), withP99(110)), false)).toMatch(/\+10 % │ worse/);
    expect(comparisonText(compareReports(withP99(100), withP99(87.66)), false)).toMatch(/−12\.3 % │ better/);
  });

  test.each([72, 80, 100, 300])('it is aligned on %d columns', (columns) => {
    const lines = comparisonText(compareReports(good, bad), false, columns).split('\n');
    for (const line of lines.filter((one) => /^[┌│├└]/.test(one))) expect(widthOf(line)).toBe(Math.min(100, columns));
  });

  test('it counts what is better and worse', () => {
    expect(countLine(compareReports(good, good))).toBe('B is better in no figures, and worse in no figures.');
    expect(countLine(compareReports(withP99(100), withP99(50)))).toBe(
      'B is better in 1 figure, and worse in no figures.',
    );
  });

  test('names cannot write anything else to the terminal', () => {
    const evil: Report = {
      ...good,
      scenario: { ...good.scenario, name: '\u001b[2J' },
      broker: { ...good.broker, url: '\u0007' },
    };
    const text = comparisonText(
      compareReports(evil, { ...evil, classes: { '\u001bx': good.classes['wall'] as never } }),
      false,
    );
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });
});
