import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  findTaker,
  listTakers,
  mergeSlots,
  slotWith,
  slotWithout,
  takerOf,
  type TakerSlot,
  type TrieSubscription,
} from '../../src/router/taker.ts';

const plain: TrieSubscription = { qos: 0, noLocal: false, retainAsPublished: false, subscriptionIdentifier: 0 };

function ascending(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

describe('a slot', () => {
  test('holds one taker as it is, more in a map, and goes back', () => {
    const first = takerOf('first', plain);
    const second = takerOf('second', plain);
    const single = slotWith(undefined, first);
    expect(single).toBe(first);
    const both = slotWith(single, second);
    expect(listTakers([both])).toEqual([first, second]);
    expect(findTaker(both, 'second')).toBe(second);
    expect(findTaker(both, 'third')).toBeUndefined();
    expect(slotWithout(both, 'first')).toBe(second);
    expect(slotWithout(second, 'first')).toBe(second);
    expect(slotWithout(second, 'second')).toBeUndefined();
  });

  test('replaces the taker of the same subscriber', () => {
    let slot: TakerSlot<string> = slotWith(undefined, takerOf('s', plain));
    slot = slotWith(slot, takerOf('s', { ...plain, qos: 1 }));
    expect(listTakers([slot]).map((taker) => taker.qos)).toEqual([1]);
    slot = slotWith(slot, takerOf('t', plain));
    slot = slotWith(slot, takerOf('s', { ...plain, qos: 2 }));
    expect(listTakers([slot]).map((taker) => taker.qos)).toEqual([2, 0]);
  });
});

describe('a merge', () => {
  test('[MQTT-3.3.4-2] takes the highest QoS and every identifier, equal ones too', () => {
    const [merged, ...rest] = mergeSlots([
      takerOf('s', { ...plain, qos: 1, subscriptionIdentifier: 7 }),
      takerOf('s', { ...plain, qos: 2, retainAsPublished: true }),
      takerOf('s', { ...plain, qos: 0, subscriptionIdentifier: 7 }),
    ]);
    expect(rest).toEqual([]);
    expect(merged?.qos).toBe(2);
    expect(merged?.retainAsPublished).toBe(true);
    expect(merged?.subscriptionIdentifiers).toEqual([7, 7]);
    expect(merged?.forPublisher).toBe(merged);
  });

  test('[MQTT-3.8.3-3] offers the publisher only what has no No Local', () => {
    const [merged] = mergeSlots([
      takerOf('s', { qos: 2, noLocal: true, retainAsPublished: true, subscriptionIdentifier: 1 }),
      takerOf('s', { qos: 1, noLocal: false, retainAsPublished: false, subscriptionIdentifier: 2 }),
    ]);
    expect(merged?.noLocal).toBe(false);
    expect(merged?.subscriptionIdentifiers).toEqual([1, 2]);
    expect(merged?.forPublisher?.qos).toBe(1);
    expect(merged?.forPublisher?.retainAsPublished).toBe(false);
    expect(merged?.forPublisher?.subscriptionIdentifiers).toEqual([2]);
    const [closed] = mergeSlots([takerOf('s', { ...plain, noLocal: true }), takerOf('s', { ...plain, noLocal: true })]);
    expect(closed?.noLocal).toBe(true);
    expect(closed?.forPublisher).toBeUndefined();
  });

  test('leaves takers that stand alone as they are, in few or many', () => {
    for (const count of [3, 40]) {
      const alone = Array.from({ length: count }, (_, i) => takerOf(`s${i}`, plain));
      const merged = mergeSlots([...alone, takerOf('s1', { ...plain, qos: 1 })]);
      expect(merged.map((taker) => taker.subscriber)).toEqual(alone.map((taker) => taker.subscriber));
      expect(merged.map((taker) => taker.qos)).toEqual(alone.map((_, i) => (i === 1 ? 1 : 0)));
      expect(merged[0]).toBe(alone[0]);
    }
  });

  test('finds each subscriber once, however large the slots are', () => {
    const sizes = fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(sizes, fc.array(fc.boolean(), { minLength: 31, maxLength: 31 }), (counts, noLocals) => {
        const slots: TakerSlot<number>[] = [];
        const expected = new Map<number, number[]>();
        for (const [index, count] of counts.entries()) {
          let slot: TakerSlot<number> | undefined;
          for (let subscriber = 0; subscriber < count; subscriber++) {
            const noLocal = noLocals[(subscriber + index) % 31] === true;
            slot = slotWith(slot, takerOf(subscriber, { ...plain, noLocal, subscriptionIdentifier: index + 1 }));
            expected.set(subscriber, [...(expected.get(subscriber) ?? []), noLocal ? -(index + 1) : index + 1]);
          }
          if (slot !== undefined) slots.push(slot);
        }
        const merged = mergeSlots(slots);
        expect(merged.length).toBe(expected.size);
        for (const taker of merged) {
          const parts = expected.get(taker.subscriber) ?? [];
          expect(ascending(taker.subscriptionIdentifiers)).toEqual(ascending(parts.map((part) => Math.abs(part))));
          expect(ascending(taker.forPublisher?.subscriptionIdentifiers ?? [])).toEqual(
            ascending(parts.filter((part) => part > 0)),
          );
          expect(taker.forPublisher === taker).toBe(parts.every((part) => part > 0));
        }
      }),
    );
  });
});
