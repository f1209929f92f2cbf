import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientRates } from '../../src/limits/client-rates.ts';
import { LIMIT_REASONS, LimitCounters } from '../../src/limits/limit-counters.ts';
import { TokenBucket } from '../../src/limits/token-bucket.ts';

const START = 1_700_000_000_000;

describe('a token bucket', () => {
  test('gives its burst at once, then says how long the debt takes', () => {
    const bucket = new TokenBucket(100, 100, START);
    expect(bucket.take(100, START)).toBe(0);
    expect(bucket.take(50, START)).toBe(500);
    expect(bucket.take(1, START + 500)).toBe(10);
    expect(bucket.take(0, START + 510)).toBe(0);
  });

  test('saves up no more than its burst', () => {
    const bucket = new TokenBucket(10, 20, START);
    expect(bucket.take(20, START + 3_600_000)).toBe(0);
    expect(bucket.take(1, START + 3_600_000)).toBe(100);
  });

  test('takes all or nothing where it is asked to', () => {
    const bucket = new TokenBucket(1, 2, START);
    expect([1, 2, 3].map(() => bucket.takeIfThere(1, START))).toEqual([true, true, false]);
    expect(bucket.takeIfThere(1, START + 999)).toBe(false);
    expect(bucket.takeIfThere(1, START + 1000)).toBe(true);
  });

  test('whoever waits as long as it is told never gets more than burst and rate allow, and no less than the rate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 50 }),
        (rate, burst, amounts) => {
          const bucket = new TokenBucket(rate, burst, 0);
          let now = 0;
          let taken = 0;
          for (const amount of amounts) {
            // What came before this one fits; this one itself may run into debt.
            expect(taken).toBeLessThanOrEqual(burst + (rate * now) / 1000 + 1e-3);
            taken += amount;
            const wait = bucket.take(amount, now);
            expect(wait).toBeLessThanOrEqual(Math.ceil((taken * 1000) / rate));
            now += wait;
          }
        },
      ),
    );
  });
});

describe('the rates of a client', () => {
  test('cost nothing where there are none', () => {
    expect(ClientRates.of({ messageRateMax: 0, byteRateMax: 0 }, new LimitCounters(), START)).toBeUndefined();
  });

  test('make it wait for the one that is further beyond, which is counted', () => {
    const counters = new LimitCounters();
    const rates = ClientRates.of({ messageRateMax: 10, byteRateMax: 1000 }, counters, START) as ClientRates;
    expect(rates.take(1000, 10, START)).toBe(0);
    expect(rates.take(2000, 1, START)).toBe(2000);
    expect(rates.take(0, 49, START)).toBe(5000);
    expect([counters.get('byte-rate'), counters.get('message-rate')]).toEqual([1, 1]);
    expect(rates.take(0, 0, START + 5000)).toBe(0);
  });

  test('may be of one kind', () => {
    const rates = ClientRates.of({ messageRateMax: 2, byteRateMax: 0 }, new LimitCounters(), START) as ClientRates;
    expect(rates.take(1e9, 2, START)).toBe(0);
    expect(rates.take(0, 1, START)).toBe(500);
  });
});

test('counters have all reasons from the start', () => {
  const counters = new LimitCounters();
  expect([...counters.entries()]).toEqual(LIMIT_REASONS.map((reason) => [reason, 0]));
  expect(counters.count('connect-rate')).toBe('connect-rate');
  expect(counters.get('connect-rate')).toBe(1);
});
