import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeliveryCheck } from '../../bench/load/delivery-check.ts';

function counts({ delivered, duplicates, reordered }: DeliveryCheck): object {
  return { delivered, duplicates, reordered };
}

test('messages that come once and in order are delivered, for each publisher apart', () => {
  const check = new DeliveryCheck(2);
  for (let sequence = 0; sequence < 5; sequence++) {
    expect(check.note(0, sequence)).toBe(true);
    expect(check.note(1, sequence)).toBe(true);
  }
  expect(counts(check)).toEqual({ delivered: 10, duplicates: 0, reordered: 0 });
});

test('a message passed over and delivered later is reordered, and a duplicate after that', () => {
  const check = new DeliveryCheck(1);
  expect([0, 3, 1, 1, 3].map((sequence) => check.note(0, sequence))).toEqual([true, true, true, false, false]);
  expect(counts(check)).toEqual({ delivered: 3, duplicates: 2, reordered: 1 });
});

test('any sequence is counted as a set would count it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(30))), (deliveries) => {
      const check = new DeliveryCheck(3);
      const seen = new Set<string>();
      const highest = [-1, -1, -1];
      let reordered = 0;
      for (const [publisher, sequence] of deliveries) {
        const key = `${publisher}/${sequence}`;
        expect(check.note(publisher, sequence)).toBe(!seen.has(key));
        if (!seen.has(key) && sequence < highest[publisher]!) reordered++;
        highest[publisher] = Math.max(highest[publisher]!, sequence);
        seen.add(key);
      }
      const duplicates = deliveries.length - seen.size;
      expect(counts(check)).toEqual({ delivered: seen.size, duplicates, reordered });
    }),
  );
});
