import { describe, expect, it } from 'vitest';
import { planValues, type ValueSource } from '../../src/devices/values.ts';
import { Random } from '../../src/lib/random.ts';
import type { ValueModel } from '../../src/scenario/scenario.ts';

function source(model: ValueModel, seed = 1, device = 'd-1'): ValueSource {
  return planValues(model).source({ device, index: 1, random: new Random(seed) });
}

function members(values: ValueSource, at = 0): Record<string, unknown> {
  return JSON.parse(`{${values.members(at)}}`) as Record<string, unknown>;
}

describe('constant', () => {
  it('is always the same number or text', () => {
    const number = source({ model: 'constant', value: 21.5 });
    expect([members(number), members(number)]).toEqual([{ value: 21.5 }, { value: 21.5 }]);
    expect(number.number(0)).toBe(21.5);
    const text = source({ model: 'constant', value: 'on "é' });
    expect(members(text)).toEqual({ value: 'on "é' });
    expect(text.number(0)).toBe(0);
  });
});

describe('random-walk', () => {
  const model: ValueModel = { model: 'random-walk', start: 5, step: 2, min: 0, max: 10 };

  it('begins at its start and goes by steps between its bounds', () => {
    const values = source(model);
    let before = 5;
    const seen = new Set<number>();
    expect(values.number(0)).toBe(5);
    for (let step = 0; step < 2000; step++) {
      const value = values.number(0);
      expect(Math.abs(value - before)).toBeLessThanOrEqual(2.001);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(10);
      seen.add(value);
      before = value;
    }
    expect(Math.min(...seen)).toBeLessThan(1);
    expect(Math.max(...seen)).toBeGreaterThan(9);
  });

  it('tells three decimals, and is the same again from the same seed', () => {
    const one = source(model, 7);
    const other = source(model, 7);
    for (let step = 0; step < 100; step++) {
      const text = one.members(0);
      expect(text).toMatch(/^"value":\d+(\.\d{1,3})?$/);
      expect(other.members(0)).toBe(text);
    }
  });
});

describe('sine', () => {
  it('swings around its mean, once in a period, each device at its own phase', () => {
    const model: ValueModel = { model: 'sine', mean: 20, amplitude: 5, periodSeconds: 60, noise: 0 };
    const values = source(model, 1);
    const other = source(model, 2);
    const wave = Array.from({ length: 600 }, (_, at) => values.number(at * 100));
    expect(Math.max(...wave)).toBeCloseTo(25, 2);
    expect(Math.min(...wave)).toBeCloseTo(15, 2);
    expect(values.number(60_000)).toBeCloseTo(values.number(0), 3);
    expect(values.number(30_000) - 20).toBeCloseTo(20 - values.number(0), 3);
    expect(Math.abs(other.number(0) - values.number(0))).toBeGreaterThan(0.01);
  });

  it('is noisy where it says so', () => {
    const values = source({ model: 'sine', mean: 0, amplitude: 0, periodSeconds: 60, noise: 3 });
    const drawn = Array.from({ length: 4000 }, () => values.number(0));
    const variance = drawn.reduce((sum, value) => sum + value ** 2, 0) / drawn.length;
    expect(Math.sqrt(variance)).toBeCloseTo(3, 0);
  });
});

describe('csv', () => {
  const model: ValueModel = {
    model: 'csv',
    header: ['place', 'lat', 'code', 'sim'],
    rows: [
      ['Köln', '50.9', '007', 'a'],
      ['', '-1e3', '0x10', 'b'],
    ],
  };

  it('replays its rows and begins again', () => {
    const values = source(model);
    const first = { place: 'Köln', lat: 50.9, code: '007' };
    const second = { place: '', lat: -1000, code: '0x10' };
    expect([members(values), members(values), members(values)]).toEqual([first, second, first]);
  });

  it('has the first number of a row for binary payloads', () => {
    const values = source(model);
    expect([values.number(0), values.number(0), values.number(0)]).toEqual([50.9, -1000, 50.9]);
  });
});

describe('template', () => {
  const template = (object: Record<string, unknown>, device = 'd-1'): ValueSource =>
    source({ model: 'template', template: object }, 1, device);

  it('fills in counter, time, device and index', () => {
    const values = template({ id: '{device}/{index}', n: 'no {counter}', at: '{time}', deep: [{ n: '{counter}' }] });
    expect(members(values, 1234.4)).toEqual({ id: 'd-1/1', n: 'no 1', at: 1234, deep: [{ n: 1 }] });
    expect(members(values, 2000)).toEqual({ id: 'd-1/1', n: 'no 2', at: 2000, deep: [{ n: 2 }] });
  });

  it('draws integers, both ends included, and numbers with as many decimals as are written', () => {
    const values = template({ whole: '{random:-1:1}', part: '{random:18:24.50}' });
    const drawn = Array.from({ length: 300 }, () => members(values) as { whole: number; part: number });
    expect(new Set(drawn.map(({ whole }) => whole))).toEqual(new Set([-1, 0, 1]));
    for (const { part } of drawn) {
      expect(part).toBeGreaterThanOrEqual(18);
      expect(part).toBeLessThanOrEqual(24.5);
      expect(Math.round(part * 100) / 100).toBe(part);
    }
    expect(new Set(drawn.map(({ part }) => part)).size).toBeGreaterThan(100);
  });

  it('picks, also what has quotes and umlauts in it', () => {
    const values = template({ state: 'it is {pick:on|"off"|größer}' });
    const drawn = new Set(Array.from({ length: 100 }, () => members(values)['state']));
    expect(drawn).toEqual(new Set(['it is on', 'it is "off"', 'it is größer']));
  });

  it('keeps numbers in text as text, and other values as they are', () => {
    const values = template({
      a: ' {counter}',
      b: 1.5,
      c: null,
      d: true,
      '{counter}': '{unknown} {random:x:y} {pick',
      e: '}',
    });
    expect(members(values)).toEqual({ a: ' 1', b: 1.5, c: null, d: true, '1': '{unknown} {random:x:y} {pick', e: '}' });
  });

  it('stays JSON whatever the device is called', () => {
    for (const device of ['a"b', 'a\\', '{counter}', 'ü😀', '\n', '"}{"']) {
      expect(members(template({ device: '{device}' }, device))).toEqual({ device });
    }
  });

  it('leaves the member sim to the stamp', () => {
    expect(members(template({ sim: 1, a: 2 }))).toEqual({ a: 2 });
  });
});
