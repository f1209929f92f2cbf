import { describe, expect, it } from 'vitest';
import { Tally } from '../../src/checker/tally.ts';
import { faults } from '../../src/checker/witness.ts';

const example = { at: 5, text: () => 'd-1: what happened' };

describe('Tally', () => {
  it('knows every fault from the start, none of them counted', () => {
    const { faults: counted, examples } = new Tally().verdict();
    expect(Object.keys(counted)).toEqual(faults);
    for (const fault of faults) expect(counted[fault]).toEqual({ total: 0, byQos: [0, 0, 0], byClass: {} });
    expect(examples).toEqual([]);
  });

  it('counts a fault in all, by QoS and by class', () => {
    const tally = new Tally();
    tally.fault('lost', 1, 'sensor', example);
    tally.fault('lost', 2, 'sensor', example);
    tally.fault('lost', 2, 'pump', example);
    tally.fault('late', 0, '__proto__', example);
    const { lost, late, phantom } = tally.verdict().faults;
    expect(lost).toEqual({ total: 3, byQos: [0, 1, 2], byClass: { sensor: 2, pump: 1 } });
    expect([late.total, late.byQos, Object.entries(late.byClass)]).toEqual([1, [1, 0, 0], [['__proto__', 1]]]);
    expect(phantom.total).toBe(0);
  });

  it.each([3, -48, 207, Number.NaN])('counts a QoS that there is not, as a damaged stamp may say %d, as 0', (qos) => {
    const tally = new Tally();
    tally.fault('corrupted', qos, 'sensor', example);
    expect(tally.verdict().faults.corrupted.byQos).toEqual([1, 0, 0]);
  });

  it('keeps the first 20 examples of each fault, and asks for no more', () => {
    const tally = new Tally();
    let asked = 0;
    for (let number = 1; number <= 30; number++) {
      for (const fault of faults) {
        const text = (): string => `${++asked} ${fault} ${number}`;
        tally.fault(fault, 1, 'sensor', { at: number, text });
      }
    }
    const { examples, faults: counted } = tally.verdict();
    expect(asked).toBe(20 * faults.length);
    for (const fault of faults) {
      expect(counted[fault].total).toBe(30);
      const kept = examples.filter((one) => one.fault === fault);
      expect(kept.map(({ at }) => at)).toEqual(Array.from({ length: 20 }, (_, place) => place + 1));
      expect(kept.every(({ at, text }) => text.endsWith(`${fault} ${at}`))).toBe(true);
    }
  });

  it('tells each count under its own name', () => {
    const tally = new Tally();
    const rows = ['sent', 'acknowledged', 'refused', 'abandoned', 'delivered', 'owed', 'outstanding'] as const;
    for (const [place, row] of rows.entries()) tally[row][place % 3] = place + 1;
    Object.assign(tally, { missedUnexcused: 11, missedExcused: 12, repeated: 13, repeatedWithoutDup: 14, foreign: 15 });
    Object.assign(tally, { willsDue: 16, retainedChecked: 17, sessionsResumed: 18, brokerRestarts: 19 });
    expect(tally.verdict().counts).toStrictEqual({
      sent: [1, 0, 0],
      acknowledged: [0, 2, 0],
      refused: [0, 0, 3],
      abandoned: [4, 0, 0],
      delivered: [0, 5, 0],
      owed: [0, 0, 6],
      outstanding: [7, 0, 0],
      missedQos0: { unexcused: 11, excused: 12 },
      repeated: { total: 13, withoutDup: 14 },
      foreign: 15,
      willsDue: 16,
      retainedChecked: 17,
      sessionsResumed: 18,
      brokerRestarts: 19,
    });
  });

  it('gives verdicts that do not change when it counts on', () => {
    const tally = new Tally();
    tally.fault('lost', 1, 'sensor', example);
    const before = tally.verdict();
    const copy = structuredClone(before);
    tally.fault('lost', 1, 'sensor', example);
    tally.sent[1]++;
    tally.outstanding[2]++;
    expect(before).toEqual(copy);
    expect(tally.verdict().faults.lost.total).toBe(2);
  });
});
