import { describe, expect, test } from 'vitest';
import { Metrics } from '../../src/agent/metrics.ts';
import type { DeviceNote } from '../../src/devices/device.ts';
import { parseReport } from '../../src/report/json.ts';
import type { FleetTurn } from '../../src/run/fleet.ts';
import { Totals } from '../../src/run/totals.ts';
import type { DeviceClass } from '../../src/scenario/scenario.ts';
import { sampleReport } from '../report/sample-report.ts';
import { fleetClass } from './scene.ts';

const quiet = { outstanding: 0, faults: 0 };

/** A turn in which each class sent and got so many messages of QoS 1, after as many ms each. */
function turn(byClass: Readonly<Record<string, number>>, notes: FleetTurn['notes'] = []): FleetTurn {
  const metrics = Object.entries(byClass).map(([name, count]) => {
    const one = new Metrics();
    one.sent[1] = count;
    one.acknowledged[1] = count;
    one.delivered[1] = 2 * count;
    one.connects = count;
    one.disconnects = 1;
    for (let done = 0; done < count; done++) one.delivery.record(count);
    return [name, one] as const;
  });
  return { metrics: new Map(metrics), switchedOn: 0, pending: 0, notes };
}

const fleet: readonly DeviceClass[] = [fleetClass('a', 10), fleetClass('b', 5)];

describe('the sums of a run', () => {
  test('are over all turns, in all and by class', () => {
    const totals = new Totals(fleet);
    totals.add(turn({ a: 3, b: 4 }));
    totals.add(turn({ a: 10 }));
    const { totals: all, classes } = totals.report(fleet, 10);
    expect([all.sent, all.delivered, all.connects, all.disconnects]).toEqual([[0, 17, 0], [0, 34, 0], 17, 3]);
    expect(all.throughput).toBe(3.4);
    expect(all.deliveryLatency).toMatchObject({ count: 17, min: 3 });
    expect(Object.keys(classes)).toEqual(['a', 'b']);
    expect(classes['a']).toMatchObject({ kind: 'sensor', devices: 10, sent: [0, 13, 0], throughput: 2.6 });
    expect(classes['b']).toMatchObject({ kind: 'sensor', devices: 5, sent: [0, 4, 0], throughput: 0.8 });
  });

  test('tell connections, and connects of each class, while the run goes on', () => {
    const totals = new Totals(fleet);
    totals.add(turn({ a: 3 }));
    totals.add(turn({ a: 4 }));
    expect([totals.connected, totals.connectsOf('a'), totals.connectsOf('b'), totals.connectsOf('c')]).toEqual([
      5, 7, 0, 0,
    ]);
  });

  test('do not change when the turns they came from are used again', () => {
    const totals = new Totals(fleet);
    const one = turn({ a: 3 });
    totals.add(one);
    for (const metrics of one.metrics.values()) metrics.reset();
    expect(totals.report(fleet, 1).totals).toMatchObject({ sent: [0, 3, 0], deliveryLatency: { count: 3 } });
  });

  test('take a class of any name', () => {
    const odd = [fleetClass('__proto__', 2), fleetClass('constructor', 3)];
    const totals = new Totals(odd);
    totals.add({
      ...turn({}),
      metrics: new Map([...turn({ x: 5 }).metrics.values()].map((one) => ['__proto__', one])),
    });
    expect(totals.connectsOf('__proto__')).toBe(5);
    const { classes } = totals.report(odd, 1);
    expect(Object.keys(classes)).toEqual(['__proto__', 'constructor']);
    expect(Object.getOwnPropertyDescriptor(classes, '__proto__')?.value).toMatchObject({ devices: 2, connects: 5 });
    expect(classes['constructor']).toMatchObject({ devices: 3, connects: 0 });
  });
});

describe('stages', () => {
  const stage = (name: string): { name: string; kind: 'hold' } => ({ name, kind: 'hold' });

  test('have what was added while they lasted, and their times', () => {
    const totals = new Totals(fleet);
    totals.beginStage(stage('one'), 0);
    totals.add(turn({ a: 3, b: 1 }));
    totals.beginStage(stage('two'), 2.5);
    totals.add(turn({ b: 7 }));
    totals.add(turn({ b: 1 }));
    totals.endStage(6.5);
    expect(totals.report(fleet, 6.5).stages).toMatchObject([
      { name: 'one', kind: 'hold', startSeconds: 0, durationSeconds: 2.5, sent: [0, 4, 0], throughput: 8 / 2.5 },
      { name: 'two', kind: 'hold', startSeconds: 2.5, durationSeconds: 4, sent: [0, 8, 0], throughput: 4 },
    ]);
  });

  test('of no length have rates of 0', () => {
    const totals = new Totals(fleet);
    totals.beginStage(stage('one'), 1);
    totals.add(turn({ a: 3 }));
    totals.endStage(1);
    expect(totals.report(fleet, 1).stages).toMatchObject([{ durationSeconds: 0, throughput: 0, sent: [0, 3, 0] }]);
  });

  test('may be none at all', () => {
    const totals = new Totals(fleet);
    totals.add(turn({ a: 3 }));
    totals.endStage(1);
    expect(totals.report(fleet, 1).stages).toEqual([]);
  });
});

describe('the series', () => {
  test('has each second by itself, and what happened in it', () => {
    const totals = new Totals(fleet);
    totals.event('begun');
    totals.add(turn({ a: 3 }));
    totals.add(turn({ b: 4 }));
    const first = totals.endSecond(1, 1, { outstanding: 9, faults: 2 });
    expect(first).toMatchObject({
      ...{ second: 1, sent: 7, acknowledged: 7, delivered: 14, connects: 7, disconnects: 2, connected: 5 },
      ...{ outstanding: 9, faults: 2, events: ['begun'] },
    });
    expect(first.p50).toBeCloseTo(4);
    expect(first.max).toBeCloseTo(4);
    totals.beginStage({ name: 'hold', kind: 'hold' }, 1);
    const second = totals.endSecond(2, 1, quiet);
    expect(second).toEqual({
      ...{ second: 2, sent: 0, acknowledged: 0, delivered: 0, connects: 0, disconnects: 0, connected: 5 },
      ...{ outstanding: 0, faults: 0, p50: 0, p99: 0, max: 0, events: ['hold'] },
    });
    expect(totals.report(fleet, 2).series).toEqual([first, second]);
  });
});

test('a point that stands for more than a second has rates per second', () => {
  const totals = new Totals(fleet);
  totals.add(turn({ a: 3, b: 4 }));
  expect(totals.endSecond(4, 3.5, quiet)).toMatchObject({
    second: 4,
    sent: 2,
    delivered: 4,
    connects: 2,
    connected: 5,
  });
});

test('a point of next to no time is no spike', () => {
  const totals = new Totals(fleet);
  totals.add(turn({ a: 3 }));
  expect(totals.endSecond(1, 0.001, quiet)).toMatchObject({ sent: 6, delivered: 12 });
});

describe('notes', () => {
  const notes = (kind: string, texts: readonly string[]): FleetTurn['notes'] =>
    texts.map((text) => ({ kind: kind as DeviceNote, text }));

  test('are counted by kind, and the first twenty texts of each kept', () => {
    const totals = new Totals(fleet);
    totals.add(turn({}, [...notes('crashed', ['a-1', 'a-2']), ...notes('updated', ['b-1'])]));
    totals.add(
      turn(
        {},
        notes(
          'crashed',
          Array.from({ length: 100 }, (_none, at) => `later ${at}`),
        ),
      ),
    );
    const { notes: told } = totals.report(fleet, 1);
    expect(Object.keys(told)).toEqual(['crashed', 'updated']);
    expect(told['crashed']?.count).toBe(102);
    expect(told['crashed']?.first).toHaveLength(20);
    expect(told['crashed']?.first.slice(0, 3)).toEqual(['a-1', 'a-2', 'later 0']);
    expect(told['updated']).toEqual({ count: 1, first: ['b-1'] });
  });

  test('that were too many to be told are counted without their texts', () => {
    const totals = new Totals(fleet);
    totals.add(turn({}, notes('crashed', ['', 'a-1', ''])));
    expect(totals.report(fleet, 1).notes).toEqual({ crashed: { count: 3, first: ['a-1'] } });
  });
});

test('the sums fit into a report that can be written and read again', () => {
  const totals = new Totals(fleet);
  totals.beginStage({ name: 'hold', kind: 'hold' }, 0);
  totals.add(turn({ a: 3, b: 4 }, [{ kind: 'crashed', text: 'a-1' }]));
  totals.endSecond(1, 1, quiet);
  totals.endStage(1);
  const report = sampleReport({ draft: totals.report(fleet, 1) });
  expect(parseReport(JSON.stringify(report), 'x.json')).toEqual(report);
});
