import { describe, expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import type { LiveProgress } from '../../src/report/live-view.ts';
import { TerminalView } from '../../src/report/terminal-view.ts';
import { widthOf } from '../../src/report/text.ts';
import { FakeTerminal } from './fake-terminal.ts';
import { progressAt, samplePlan } from './live-progress.ts';

function played(terminal: FakeTerminal, seconds: number, changes: Partial<LiveProgress> = {}): TerminalView {
  const view = new TerminalView(terminal, samplePlan, true);
  for (let second = 1; second <= seconds; second++) view.show(progressAt(second, changes));
  return view;
}

test('everything about the run is on a terminal of 80 by 24', () => {
  const terminal = new FakeTerminal(80, 24);
  played(terminal, 93);
  const { text, lines } = terminal;
  expect(lines[0]).toBe(' firmware-sim  tour                                       mqtt://127.0.0.1:1883');
  expect(text).toContain('stage storm');
  expect(text).toMatch(/█+░+ {2}77 % {3}0:27 left/);
  expect(text).toMatch(/ramp +hold +burst +storm +drain/);
  expect(text).toMatch(/ sent +\d+ \/s {2}[▁▂▃▄▅▆▇█]+ +[\d,]+ in all/);
  expect(text).toMatch(/ acknowledged +\d+ \/s/);
  expect(text).toMatch(/ delivered +[\d,]+ \/s/);
  expect(text).toMatch(/p50 +[\d.]+ ms +p99 +[\d.]+ ms +max +[\d.]+ m?s/);
  expect(text).toMatch(/connected +200 of 200/);
  expect(text).toMatch(/in flight +17 +outstanding \d+/);
  expect(text).toMatch(/lost 0 +phantom 0 +duplicated 0/);
  expect(text).toContain('1:28  broker down');
  expect(text).toContain('1:31  broker up');
  expect(terminal.isCursorShown).toBe(false);
});

test('a drain is over as soon as everything has arrived, so its end is a limit', () => {
  const terminal = new FakeTerminal(80, 24);
  const view = played(terminal, 105);
  expect(terminal.text).toMatch(/ % {3}0:15 left/);
  view.show(progressAt(106));
  expect(terminal.text).toMatch(/ % ≤ 0:14 left/);
});

test('a second without deliveries has no latency, and one without connections stands out', () => {
  const terminal = new FakeTerminal(100, 30);
  const view = new TerminalView(terminal, samplePlan, true);
  const { point } = progressAt(1);
  view.show({ ...progressAt(1), point: { ...point, p50: 0, p99: 0, max: 0, connected: 0 } });
  expect(terminal.text).toMatch(/p50 +– +p99 +– +max +–/);
  expect(terminal.writes.join('')).toContain(` connected    \u001b[31m${'0'.padStart(10)}\u001b[0m of`);
});

test('one late message leaves the latencies before it visible', () => {
  const terminal = new FakeTerminal(100, 30);
  const view = new TerminalView(terminal, samplePlan, false);
  const { point } = progressAt(1);
  for (const p99 of [1, 100, 20_000]) view.show({ ...progressAt(1), point: { ...point, p99 } });
  expect(terminal.text).toMatch(/latency.* ▁▄█$/m);
});

test('the frame is redrawn in place, one write a second, whatever the size', () => {
  for (const [columns, rows] of [
    [80, 24],
    [200, 60],
    [60, 14],
    [40, 10],
    [20, 5],
    [10, 1],
  ] as const) {
    const terminal = new FakeTerminal(columns, rows);
    played(terminal, 120);
    expect(terminal.scrolled, `${columns}x${rows}`).toBe(0);
    expect(terminal.lines.length).toBeLessThanOrEqual(rows);
    expect(terminal.lines.filter((line) => line.includes('firmware-sim'))).toHaveLength(rows > 1 ? 1 : 0);
    expect(terminal.writes).toHaveLength(120);
    for (const line of terminal.lines) expect(widthOf(line)).toBeLessThan(columns);
  }
});

test('a frame that gets shorter leaves nothing below it', () => {
  const terminal = new FakeTerminal(60, 30);
  const view = new TerminalView(terminal, samplePlan, false);
  view.show(progressAt(26, { faults: Object.fromEntries(faults.map((name) => [name, 123_456_789])) }));
  const long = terminal.lines.length;
  view.show(progressAt(27));
  expect(terminal.lines.length).toBeLessThan(long);
  expect(terminal.lines.filter((line) => line.includes('hold') && line.includes('0:26'))).toHaveLength(1);
});

test('a low window keeps rates and progress, and above all faults', () => {
  const terminal = new FakeTerminal(80, 8);
  const view = played(terminal, 60);
  expect(terminal.text).toMatch(/sent[\s\S]*acknowledged[\s\S]*delivered/);
  expect(terminal.text).not.toContain('lost');
  view.show(progressAt(61, { faults: { lost: 3 } }));
  expect(terminal.text).toContain('lost 3');
});

test.each([
  [70, 20],
  [70, 60],
  [200, 60],
])('a window that becomes %d by %d is drawn anew without remains', (columns, rows) => {
  const terminal = new FakeTerminal(120, 40);
  const view = played(terminal, 50);
  terminal.resize(columns, rows);
  view.show(progressAt(51));
  expect(terminal.lines.length).toBeLessThanOrEqual(rows);
  expect(terminal.lines.filter((line) => line.includes('firmware-sim'))).toHaveLength(1);
  view.show(progressAt(52));
  expect(terminal.lines.filter((line) => line.includes('firmware-sim'))).toHaveLength(1);
});

test('faults are green at 0 and red otherwise', () => {
  const terminal = new FakeTerminal(80, 24);
  const view = new TerminalView(terminal, samplePlan, true);
  view.show(progressAt(1, { faults: { lost: 1234 } }));
  const frame = terminal.writes.join('');
  expect(frame).toContain('\u001b[31mlost 1,234\u001b[0m');
  expect(frame).toContain('\u001b[32mphantom 0\u001b[0m');
});

test('without colours there are none', () => {
  const terminal = new FakeTerminal(80, 24);
  new TerminalView(terminal, samplePlan, false).show(progressAt(30, { faults: { lost: 1 } }));
  expect(terminal.writes.join('')).not.toMatch(/\p{Cc}\[\d*m/u);
});

describe('at the end', () => {
  test('the cursor comes back below the last frame, once, and nothing is drawn any more', () => {
    const terminal = new FakeTerminal(80, 24);
    const view = played(terminal, 10);
    view.close();
    view.close();
    view.show(progressAt(11));
    view.say('too late');
    expect(terminal.isCursorShown).toBe(true);
    expect(terminal.writes).toHaveLength(11);
    expect(terminal.text).toContain('firmware-sim');
    terminal.write('next');
    expect(terminal.lines.at(-1)).toBe('next');
  });

  test('a view that showed nothing writes nothing', () => {
    const terminal = new FakeTerminal(80, 24);
    new TerminalView(terminal, samplePlan, true).close();
    expect(terminal.writes).toEqual([]);
  });
});

test('what is said appears at once among the events', () => {
  const terminal = new FakeTerminal(80, 24);
  const view = new TerminalView(terminal, samplePlan, true);
  view.say('before the first frame');
  view.show(progressAt(10));
  view.say('ending early');
  expect(terminal.lines[0]).toBe('before the first frame');
  expect(terminal.text).toMatch(/0:10 {2}ending early/);
  view.show(progressAt(11));
  expect(terminal.text).toContain('ending early');
});

test('names and events cannot write anywhere else on the terminal', () => {
  const terminal = new FakeTerminal(80, 24);
  const evil = '\u001b[2J\u001b]0;owned\u0007\r\n\u202eevil';
  const plan = { ...samplePlan, scenarioName: evil, stages: [{ kind: 'hold', name: evil, seconds: 60 }] };
  const view = new TerminalView(terminal, plan, true);
  const progress = progressAt(30);
  // The terminal fails on escapes that are not the view's.
  view.show({ ...progress, stage: evil, brokerUrl: evil, point: { ...progress.point, events: [evil] } });
  view.say(evil);
  expect(terminal.text).toContain('\\x1b[2J\\x1b]0;owned\\x07');
  expect(terminal.text).not.toContain('\u202e');
});

test('wide characters in names do not push lines over the edge', () => {
  const terminal = new FakeTerminal(60, 24);
  const plan = {
    ...samplePlan,
    scenarioName: '温度計'.repeat(12),
    stages: [{ kind: 'hold', name: '立ち上げ'.repeat(9), seconds: 60 }],
  };
  const view = new TerminalView(terminal, plan, true);
  view.show(progressAt(1, { stage: '立ち上げ'.repeat(12) }));
  view.show(progressAt(2, { stage: '立ち上げ'.repeat(12) }));
  expect(terminal.scrolled).toBe(0);
  expect(terminal.lines.filter((line) => line.includes('firmware-sim'))).toHaveLength(1);
});

test('a run without length or stages is shown all the same', () => {
  const terminal = new FakeTerminal(80, 24);
  new TerminalView(terminal, { scenarioName: 'x', stages: [], devices: 1 }, true).show(
    progressAt(1, { totalSeconds: 0 }),
  );
  expect(terminal.text).toContain('0 %');
  expect(terminal.text).not.toMatch(/NaN|undefined|Infinity/);
});
