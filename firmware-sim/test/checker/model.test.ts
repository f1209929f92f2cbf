import { describe, expect, test } from 'vitest';
import { Life } from './model/life.ts';

const seeds = Number(process.env['CHECKER_SEEDS'] ?? 300);

describe('the delivery checker, told of lives on a correct broker', () => {
  test('finds nothing, whatever the devices, the network and the kills do', () => {
    let owed = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const life = new Life({ seed });
      life.run();
      const verdict = life.checker.verdict();
      expect(life.faults, `seed ${seed}: ${JSON.stringify(verdict.examples, undefined, 1)}`).toEqual({});
      expect(verdict.counts.outstanding, `seed ${seed}`).toEqual([0, 0, 0]);
      expect(life.checker.outstanding, `seed ${seed}`).toBe(0);
      expect(verdict.counts.missedQos0.unexcused, `seed ${seed}`).toBe(0);
      owed += verdict.counts.owed[1] + verdict.counts.owed[2];
    }
    expect(owed).toBeGreaterThan(50 * seeds);
  });
});
