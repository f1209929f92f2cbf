import { expect, test } from 'vitest';
import type { Report } from '../../bench/load/run.ts';
import { median, tables } from '../../bench/table.ts';

const REPORT: Report = {
  seconds: 4,
  perSecond: 1000,
  brokerCpuPerMillion: 10,
  brokerCpuShare: 0.5,
  generatorCpuShare: 0.1,
  otherCpuShare: 0,
  peakResidentMb: 8,
  lost: 0,
  duplicates: 0,
  reordered: 0,
  invalid: 0,
  skipped: 0,
  stalls: 0,
};

test('a median is the middle number or between the two middle ones', () => {
  expect([median([]), median([3]), median([3, 1]), median([9, 1, 2])]).toEqual([undefined, 3, 2, 2]);
});

test('a table compares with mosquitto in the same round and shows the spread', () => {
  const run = (broker: string, round: number, report: Partial<Report>): object => ({
    scenario: 'fanin-q0',
    broker,
    round,
    report: { ...REPORT, ...report },
  });
  const text = tables([
    run('trellis', 0, { brokerCpuPerMillion: 2 }),
    run('mosquitto', 0, { brokerCpuPerMillion: 10 }),
    run('trellis', 1, { brokerCpuPerMillion: 4, lost: 3 }),
    run('mosquitto', 1, { brokerCpuPerMillion: 40 }),
    run('trellis', 2, { brokerCpuPerMillion: 3, otherCpuShare: 1 }),
    run('mosquitto', 2, { brokerCpuPerMillion: 21 }),
  ] as Parameters<typeof tables>[0]);
  const [, heading, , head, , trellis, mosquitto] = text.split('\n');
  expect(heading).toBe('fanin-q0');
  const cells = (line: string | undefined): string[] =>
    line!
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const trellisCells = new Map(cells(head).map((name, column) => [name, cells(trellis)[column]]));
  expect(trellisCells.get('broker')).toBe('trellis');
  expect(trellisCells.get('CPU s per million')).toBe('3.00 [2.00..4.00]');
  expect(trellisCells.get('x mosquitto per CPU s')).toBe('7.00');
  expect(trellisCells.get('lost')).toBe('3');
  expect(trellisCells.get('notes')).toBe('1 of 3 disturbed');
  expect(cells(mosquitto)).toContain('1.00');
});

test('a run that failed is told in the notes, whatever else was measured', () => {
  const text = tables([{ scenario: 'iot1k', broker: 'aedes', round: 0, error: 'It did not start: no.' }]);
  expect(text).toContain('FAILED: It did not start: no.');
});
