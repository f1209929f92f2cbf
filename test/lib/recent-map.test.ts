import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentMap } from '../../src/lib/recent-map.ts';

test('it holds what a list of the keys last set would hold', () => {
  const step = fc.record({ action: fc.constantFrom('set', 'set', 'set', 'delete'), key: fc.nat(12), value: fc.nat() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 200 }), (entriesMax, steps) => {
      const map = new RecentMap<number, number>(entriesMax);
      let model: { key: number; value: number }[] = [];
      for (const { action, key, value } of steps) {
        model = model.filter((entry) => entry.key !== key);
        if (action === 'set') {
          map.set(key, value);
          model = [...model, { key, value }].slice(-entriesMax);
        } else map.delete(key);
        expect(map.size).toBe(model.length);
        for (let any = 0; any <= 12; any++) {
          expect(map.get(any)).toBe(model.find((entry) => entry.key === any)?.value);
        }
      }
    }),
  );
});

test('making room costs the same however many made room before', () => {
  const map = new RecentMap<number, number>(50_000);
  for (let i = 0; i < 1_000_000; i++) map.set(i, i);
  expect(map.size).toBe(50_000);
  expect(map.get(949_999)).toBeUndefined();
  expect(map.get(950_000)).toBe(950_000);
});
