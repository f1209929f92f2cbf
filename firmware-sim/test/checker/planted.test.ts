import { describe, expect, test } from 'vitest';
import { Random } from '../../src/lib/random.ts';
import { Life } from './model/life.ts';
import { Planter } from './model/planter.ts';

/** What the checker has to call each; undefined for what it only counts. */
const faultOf = {
  lose: 'lost',
  duplicate: 'duplicated',
  repeat: undefined,
  reorder: 'reordered',
  corrupt: 'corrupted',
  leak: 'leaked',
  phantom: 'phantom',
  'wrong-topic': 'phantom',
} as const;

const plants = Object.keys(faultOf) as (keyof typeof faultOf)[];

function expectPlanted(planter: Planter, life: Life, seed: number): void {
  const expected: Record<string, number> = {};
  for (const plant of plants) {
    const fault = faultOf[plant];
    const count = planter.countOf(plant);
    if (fault !== undefined && count > 0) expected[fault] = (expected[fault] ?? 0) + count;
  }
  const { examples, counts } = life.checker.verdict();
  expect(life.faults, `seed ${seed}: ${JSON.stringify(examples, undefined, 1)}`).toEqual(expected);
  expect(counts.repeated.total, `seed ${seed}`).toBe(planter.countOf('repeat'));
}

describe('the delivery checker, told of lives on a broker with planted faults', () => {
  test.each(plants)('counts each %s, and nothing else', (plant) => {
    let planted = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const planter = new Planter(new Random(seed).fork('plants'), [plant], plant === 'reorder' ? 0.5 : 0.03);
      const life = new Life({ seed, plants: planter, isQuiet: true });
      life.run();
      expectPlanted(planter, life, seed);
      planted += planter.countOf(plant);
    }
    expect(planted).toBeGreaterThan(30);
  });

  test('counts faults of all kinds at once', () => {
    const all = plants.filter((plant) => plant !== 'reorder'); // Where others meddle, order is anybody's guess.
    for (let seed = 1; seed <= 20; seed++) {
      const planter = new Planter(new Random(seed).fork('plants'), all, 0.01);
      const life = new Life({ seed, plants: planter, isQuiet: true });
      life.run();
      expectPlanted(planter, life, seed);
    }
  });
});
