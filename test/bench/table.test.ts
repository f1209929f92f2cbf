import { expect, test } from 'vitest';
import type { Report } from '../../bench/load/run.ts';
import { checkTable } from '../../bench/checks.ts';
import type { Outcome } from '../../bench/results.ts';
import { summary, tables } from '../../bench/table.ts';
import { run } from './results-support.ts';

const cells = (line: string | undefined): string[] =>
  line!
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The cells of the row of a broker in the first table, by heading. */
function rowOf(text: string, broker: string): Map<string, string | undefined> {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  const found = lines.find((line) => cells(line)[0] === broker);
  return new Map(cells(lines[0]).map((name, column) => [name, cells(found)[column]]));
}

const OUTCOMES: readonly Outcome[] = [
  run('trellis', 0, { brokerCpuPerMillion: 2 }),
  run('mosquitto', 0, { brokerCpuPerMillion: 10 }),
  run('trellis', 1, { brokerCpuPerMillion: 4, lost: 3 }),
  run('mosquitto', 1, { brokerCpuPerMillion: 40 }),
  run('trellis', 2, { brokerCpuPerMillion: 3, otherCpuShare: 1 }),
  run('mosquitto', 2, { brokerCpuPerMillion: 21 }),
];

test('a table compares with mosquitto in the same round, shows the spread and sets it against the goal', () => {
  const text = tables(OUTCOMES);
  expect(text.split('\n')[1]).toBe('fanin-q0 (MQTT 3.1.1)');
  const trellis = rowOf(text, 'trellis');
  expect(trellis.get('CPU s per million')).toBe('3.00 [2.00..4.00]');
  expect(trellis.get('x mosquitto per CPU s')).toBe('7.00 [5.00..10.0]');
  expect(trellis.get('goal')).toBe('12 not reached');
  expect(trellis.get('lost')).toBe('3');
  expect(trellis.get('notes')).toBe('1 of 3 disturbed');
  const mosquitto = rowOf(text, 'mosquitto');
  expect([mosquitto.get('x mosquitto per CPU s'), mosquitto.get('goal')]).toEqual(['1.00 [1.00..1.00]', '']);
});

test('the summary has a row for each scenario and version with every broker but mosquitto', () => {
  const fast = [
    run('trellis', 0, { brokerCpuPerMillion: 0.5 }, 5),
    run('mosquitto', 0, { brokerCpuPerMillion: 10 }, 5),
  ];
  const lines = summary([...OUTCOMES, ...fast])
    .split('\n')
    .map(cells);
  expect(lines).toEqual([
    ['scenario', 'goal', 'trellis'],
    [expect.stringContaining('---'), expect.stringContaining('---'), expect.stringContaining('---')],
    ['fan-in from 50, QoS 0, MQTT 3.1.1', '12 not reached', '7.00 [5.00..10.0]'],
    ['fan-in from 50, QoS 0, MQTT 5', '12 reached', '20.0'],
  ]);
});

test('a run that failed or was left out is told in the notes, whatever else was measured', () => {
  const key = { scenario: 'iot1k', version: 4, round: 0 } as const;
  const text = tables([
    { ...key, broker: 'aedes', error: 'It did not start: no.' },
    { ...key, broker: 'nats', leftOut: 'it has no QoS 2' },
  ]);
  expect(rowOf(text, 'aedes').get('notes')).toBe('FAILED: It did not start: no.');
  expect(rowOf(text, 'nats').get('notes')).toBe('left out: it has no QoS 2');
});

test('a run is marked when the generator was busier than it may be and the broker was not', () => {
  const notes = (report: Partial<Report>): string | undefined =>
    rowOf(tables([run('trellis', 0, report)]), 'trellis').get('notes');
  expect(notes({ generatorCpuShare: 0.95, brokerCpuShare: 0.6 })).toBe('GENERATOR-BOUND');
  expect(notes({ generatorCpuShare: 0.95, brokerCpuShare: 1 })).toBe('');
  expect(notes({ generatorCpuShare: 0.5, brokerCpuShare: 0.6 })).toBe('');
  const onRedis = { generatorCpuShare: 0.95, brokerCpuShare: 0.5, redisCpuShare: 0.45, redisCpuPerMillion: 7 };
  expect(notes(onRedis)).toBe('Redis 7.00 CPU s per million; Redis 0.45 cores');
});

test('what is to stay below a bound is taken from the scenarios that measure it, and the worst of all', () => {
  const outcomes: Outcome[] = [
    run('trellis', 0, { eventLoopP99Ms: 3 }),
    run('trellis-open', 0, { brokerCpuPerMillion: 8 }),
    { ...run('trellis', 0, { latencyP99Ms: 3, eventLoopP99Ms: 30 }), scenario: 'iot1k' },
    { ...run('mosquitto', 0, { latencyP99Ms: 2 }), scenario: 'iot1k' },
    { ...run('trellis', 0, { latencyP99Ms: 3, latencyP99BeforeMs: 2 }), scenario: 'stopped' },
    { ...run('trellis', 0, { residentKbPerConnection: 4.5 }), scenario: 'idle10k' },
    { scenario: 'start', version: 4, broker: 'trellis', round: 0, startMs: 400 },
    { ...run('trellis-redis', 0, { brokerCpuPerMillion: 8 }), scenario: 'persist-q1' },
    { ...run('aedes-redis', 0, { brokerCpuPerMillion: 200 }), scenario: 'persist-q1' },
    { ...run('trellis-redis', 0, { seconds: 1.25 }), scenario: 'offline50k' },
  ];
  const rows = checkTable(outcomes, 'trellis').split('\n').slice(2).map(cells);
  expect(rows.map(([, bound, figure, verdict]) => [bound, figure, verdict])).toEqual([
    ['5.00 KB', '4.50 KB', 'reached'],
    ['500 ms', '400 ms', 'reached'],
    ['1.00', '1.50', 'not reached'],
    ['2.00', '1.50', 'reached'],
    ['20.0 ms', '30.0 ms', 'not reached'],
    ['0.10', '0.04', 'reached'],
    ['1,000 ms', '1,250 ms', 'not reached'],
    ['1.11', '1.25', 'not reached'],
  ]);
});

test('a start is a table of its own', () => {
  const text = tables([{ scenario: 'start', version: 4, broker: 'trellis', round: 0, startMs: 123 }]);
  expect(rowOf(text, 'trellis').get('ms')).toBe('123');
});
