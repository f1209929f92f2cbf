import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { openLiveView, viewPlanOf } from '../../src/report/live-view.ts';
import { PlainView } from '../../src/report/plain-view.ts';
import { FakeTerminal } from './fake-terminal.ts';
import { progressAt, samplePlan } from './live-progress.ts';

function lines(seconds: number): string[] {
  const written: string[] = [];
  const view = new PlainView({ write: (text) => written.push(text) }, samplePlan);
  for (let second = 1; second <= seconds; second++) {
    view.show(progressAt(second, second > 20 ? { faults: { lost: 3, late: 1 } } : {}));
  }
  return written;
}

test('a line every five seconds, one for each event, and the run first', () => {
  const written = lines(31);
  expect(written[0]).toBe('tour: 200 devices, 2:00, mqtt://127.0.0.1:1883\n');
  expect(written[1]).toBe('0:01  ramp\n');
  const clocks = written.map((line) => line.slice(0, 6));
  expect(clocks).toEqual([
    'tour: ',
    '0:01  ',
    '0:01  ',
    '0:05  ',
    '0:10  ',
    '0:15  ',
    '0:20  ',
    '0:25  ',
    '0:26  ',
    '0:30  ',
  ]);
  expect(written[3]).toMatch(
    /^0:05 {2}ramp {2}connected \d+ {2}sent \d+\/s {2}acked \d+\/s {2}delivered \d+\/s {2}p50 [\d.]+ ms {2}p99 [\d.]+ ms {2}in flight 17 {2}outstanding \d+ {2}no faults\n$/,
  );
  expect(written.at(-1)).toContain('FAULTS lost 3, late 1');
});

test('seconds that are missed delay no line', () => {
  const written: string[] = [];
  const view = new PlainView({ write: (text) => written.push(text) }, samplePlan);
  for (const second of [4, 11, 12, 15, 16]) view.show(progressAt(second));
  expect(written.slice(1).map((line) => line.slice(0, 4))).toEqual(['0:04', '0:11', '0:15']);
});

test('control characters are shown, not written', () => {
  const written: string[] = [];
  const view = new PlainView({ write: (text) => written.push(text) }, samplePlan);
  view.show(progressAt(1, { stage: 'a\u001b[2J\nb', brokerUrl: 'x\u0007' }));
  view.say('y\u0000z');
  expect(written.join('').replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  for (const line of written) expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(written.at(-1)).toBe('y\\x00z\n');
});

test('after the end nothing is written', () => {
  const written: string[] = [];
  const view = new PlainView({ write: (text) => written.push(text) }, samplePlan);
  view.close();
  view.show(progressAt(1));
  view.say('x');
  expect(written).toEqual([]);
});

/** A stream as standard output is one. */
function streamOf(terminal: FakeTerminal, isTTY: boolean): NodeJS.WriteStream {
  const stream = Object.assign(new EventEmitter(), {
    isTTY,
    columns: 80,
    rows: 24,
    write: (text: string) => terminal.write(text),
  });
  return stream as unknown as NodeJS.WriteStream;
}

test('a terminal gets the frame and its cursor back even if the process exits, anything else gets lines', () => {
  const exits = process.listenerCount('exit');
  const terminal = new FakeTerminal(80, 24);
  const view = openLiveView(streamOf(terminal, true), samplePlan, true);
  view.show(progressAt(1));
  expect(terminal.isCursorShown).toBe(false);
  expect(process.listenerCount('exit')).toBe(exits + 1);
  const atExit = process.listeners('exit').at(-1) as () => void;
  atExit();
  expect(terminal.isCursorShown).toBe(true);
  view.close();
  expect(process.listenerCount('exit')).toBe(exits);

  const file = new FakeTerminal(400, 24);
  const lineView = openLiveView(streamOf(file, false), samplePlan, true);
  lineView.show(progressAt(1));
  lineView.close();
  expect(file.lines[0]).toBe('tour: 200 devices, 2:00, mqtt://127.0.0.1:1883');
  expect(process.listenerCount('exit')).toBe(exits);
});

test('the plan of a view comes from the scenario', () => {
  const stages = [{ kind: 'hold', name: 'hold', seconds: 5 }] as const;
  const fleet = [{ count: 3 }, { count: 4 }] as never;
  expect(viewPlanOf({ name: 'n', stages, fleet })).toEqual({ scenarioName: 'n', stages, devices: 7 });
});
