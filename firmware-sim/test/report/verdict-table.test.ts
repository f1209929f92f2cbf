import { describe, expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import { boxTable } from '../../src/report/box-table.ts';
import type { Report } from '../../src/report/report.ts';
import { widthOf } from '../../src/report/text.ts';
import { foldThresholds, lastLine, verdictTable } from '../../src/report/verdict-table.ts';
import { faultySample, sampleReport } from './sample-report.ts';

const plain = { hasColour: false, written: ['/tmp/sim-report.json'] };
const hostile = '\u001b[31m\u202e\r\n"tracker"';

describe('the last line', () => {
  test('is PASS when all thresholds hold', () => {
    expect(lastLine(sampleReport())).toBe('PASS');
    expect(verdictTable(sampleReport(), plain).endsWith('\n\nPASS\n')).toBe(true);
  });

  test('is FAIL and what did not hold', () => {
    expect(lastLine(faultySample())).toBe('FAIL: lost 3, duplicated 2, sessionPresent 1');
    expect(verdictTable(faultySample(), plain).endsWith('\n\nFAIL: lost 3, duplicated 2, sessionPresent 1\n')).toBe(
      true,
    );
  });

  test('says what was wanted where it was not 0', () => {
    const report = sampleReport({
      thresholds: [
        { metric: 'self.residentMb', test: '<', limit: 100 },
        { metric: 'stages.nap.sent', test: '>', limit: 0 },
        { metric: 'classes.wall.connects', test: '=', limit: 4 },
      ],
    });
    expect(lastLine(report)).toBe(
      'FAIL: self.residentMb 143 MB (wanted < 100 MB), stages.nap.sent not measured, classes.wall.connects 260 (wanted = 4)',
    );
  });

  test('is kept short', () => {
    const report = sampleReport({
      thresholds: Array.from({ length: 9 }, (_none, at) => ({ metric: `x${at}`, test: '=' as const, limit: 0 })),
    });
    expect(lastLine(report)).toMatch(/^FAIL: x0 not measured, .*x5 not measured, and 3 more$/);
  });

  test('says that a run was interrupted', () => {
    const draft = { interrupted: true, durationSeconds: 41 };
    expect(lastLine(sampleReport({ draft }))).toBe('PASS (interrupted after 41 s)');
    expect(lastLine(sampleReport({ draft, thresholds: [{ metric: 'sent', test: '=', limit: 0 }] }))).toBe(
      'FAIL (interrupted after 41 s): sent 60,000',
    );
  });
});

describe('the tables', () => {
  test('have every fault by QoS, every class, latencies and files', () => {
    const text = verdictTable(faultySample(), plain);
    for (const fault of faults) expect(text).toMatch(new RegExp(`│ ${fault} +│ +\\d+ │ +\\d+ │ +\\d+ │ +\\d+ │`));
    expect(text).toMatch(/│ lost +│ +0 │ +3 │ +0 │ +3 │/);
    expect(text).toMatch(/│ delivered \* +│[^\n]*\n├/);
    expect(text).toContain('\n* By the QoS it came with; the other rows by the QoS of publishing.\n');
    expect(text).toMatch(/│ trackers +│ +50 │ +260 │ +15,000 │ +30,000 │ +[\d.]+ ms │ +4 │/);
    expect(text).toMatch(/│ delivery +│ +[\d.]+ ms │/);
    expect(text).toMatch(/│ round trip +│/);
    expect(text).toMatch(/│ delivery\.p99 +│ <= 250 ms +│ +66\.\d ms │ pass │/);
    expect(text).toMatch(/│ lost +│ = 0 +│ +3 │ FAIL │/);
    expect(text).toMatch(/│ no faults of 7 kinds +│ = 0 each +│ +0 │ pass │/);
    expect(text).toContain('Report: /tmp/sim-report.json\n');
    expect(text).toContain('broker killed once');
  });

  test.each([80, 72, 200, 20, undefined])('are aligned on a terminal of %s columns', (columns) => {
    const width = Math.max(72, Math.min(80, columns ?? 80));
    const lines = verdictTable(faultySample(), { ...plain, columns }).split('\n');
    const drawn = lines.filter((line) => /^[┌│├└]/.test(line));
    expect(drawn.length).toBeGreaterThan(40);
    for (const line of drawn) expect(widthOf(line), line).toBe(width);
    for (const line of lines.slice(0, -2)) expect(widthOf(line), line).toBeLessThanOrEqual(width);
  });

  test('show one example of each fault before the second of any, and how many there are more', () => {
    const report = faultySample();
    const examples = Array.from({ length: 8 }, (_none, at) => ({ fault: 'lost' as const, at: 0, text: `loss ${at}` }));
    examples.push({ fault: 'late' as never, at: 0, text: 'one late' });
    const text = verdictTable({ ...report, delivery: { ...report.delivery, examples } }, plain);
    expect(text).toMatch(/lost: loss 0\n.*late: one late\n.*lost: loss 1\n/);
    expect(text).toContain('and 3 more in the report');
  });

  test('leave out what was not measured', () => {
    const report = sampleReport();
    const none = { ...report.totals.roundTrip, count: 0 };
    const text = verdictTable({ ...report, totals: { ...report.totals, roundTrip: none } }, plain);
    expect(text).not.toContain('round trip');
    expect(text).toContain('acknowledgement');
  });

  test('say why a figure is missing, and that the simulator was the bottleneck', () => {
    const draft = { self: { cpuSeconds: 119, residentMb: 100, loopDelayP99: 12 } };
    const text = verdictTable(sampleReport({ draft, thresholds: [{ metric: 'pace', test: '=', limit: 0 }] }), plain);
    expect(text).toContain('The report has no figure "pace".');
    expect(text).toContain('The simulator itself was busy (99 % of a core)');
    expect(verdictTable(sampleReport(), plain)).not.toContain('The simulator itself');
  });

  test('are in colour only where they may be', () => {
    const coloured = verdictTable(faultySample(), { ...plain, hasColour: true });
    expect(coloured).toContain('\u001b[31mFAIL: lost 3');
    expect(coloured).toMatch(/\p{Cc}\[31m +3\p{Cc}\[0m/u);
    expect(verdictTable(faultySample(), plain)).not.toMatch(/\p{Cc}\[/u);
  });

  test('let no name write anything else to the terminal', () => {
    const report = faultySample();
    const { lost } = report.delivery.faults;
    const evil: Report = {
      ...report,
      scenario: { ...report.scenario, name: hostile },
      broker: { ...report.broker, url: hostile, software: hostile },
      classes: { [hostile]: report.classes['wall'] as Report['classes'][string] },
      thresholds: [{ metric: hostile, test: '=', limit: 0, value: 0, holds: false, problem: hostile }],
      delivery: {
        ...report.delivery,
        faults: { ...report.delivery.faults, lost: { ...lost, byClass: { [hostile]: 3 } } },
        examples: [{ fault: 'lost', at: Number.NaN, text: hostile }],
      },
    };
    const text = verdictTable(evil, { hasColour: false, written: [hostile] });
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u);
    expect(text).toContain('\\x1b[31m');
  });
});

test('only thresholds of faults that hold are folded', () => {
  const { shown, folded } = foldThresholds([
    { metric: 'lost', test: '=', limit: 0, value: 0, holds: true },
    { metric: 'late', test: '=', limit: 0, value: 1, holds: false },
    { metric: 'will', test: '<=', limit: 0, value: 0, holds: true },
    { metric: 'unsent', test: '=', limit: 0, value: 0, holds: true },
  ]);
  expect(folded).toEqual(['lost']);
  expect(shown.map(({ metric }) => metric)).toEqual(['late', 'will', 'unsent']);
});

test('a table draws lines around its cells and cuts what is too long', () => {
  const columns = [
    { title: 'Name', align: 'left', grows: true },
    { title: 'n', align: 'right', least: 3 },
  ] as const;
  expect(boxTable({ columns, rows: [['温度計温度計', '7'], undefined, ['b', '1,000']], width: 22 })).toEqual([
    '┌────────────┬───────┐',
    '│ Name       │     n │',
    '├────────────┼───────┤',
    '│ 温度計温…  │     7 │',
    '├────────────┼───────┤',
    '│ b          │ 1,000 │',
    '└────────────┴───────┘',
  ]);
});
