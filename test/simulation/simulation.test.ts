import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { NodeSimulation } from './node-simulation.ts';
import { Simulation } from './simulation.ts';

/** Runs in `npm test`; `npm run simulation -- --runs N` does any number. */
const SEEDS = 200;
/** The same with several nodes, `npm run simulation -- --nodes 3`. */
const NODE_SEEDS = 60;

describe('the whole broker under a simulated clock, network and disk', () => {
  test(`keeps its promises with each of ${SEEDS} seeds`, async () => {
    const broken: string[] = [];
    let crashes = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = await new Simulation(seed).run();
      crashes += outcome.crashes;
      if (outcome.violations.length === 0) continue;
      const texts = outcome.violations.map(({ fault, text }) => `${fault}: ${text}`);
      broken.push(`again with: npm run simulation -- --seed ${seed} --trace\n${texts.join('\n')}`);
    }
    expect(broken).toEqual([]);
    expect(crashes).toBeGreaterThan(SEEDS / 4);
  });

  test('does the same again with the same seed, and something else with another', async () => {
    const hashOf = async (seed: number): Promise<string> => {
      const { trace } = await new Simulation(seed, true).run();
      expect(trace.length).toBeGreaterThan(50);
      return createHash('sha256').update(trace.join('\n')).digest('hex');
    };
    expect(await hashOf(7)).toBe(await hashOf(7));
    expect(await hashOf(7)).not.toBe(await hashOf(8));
  });
});

describe('several nodes on a simulated Redis', () => {
  test.each([2, 3])('keep their promises with each of the seeds, %i of them', async (nodes) => {
    const broken: string[] = [];
    let crashes = 0;
    for (let seed = 1; seed <= NODE_SEEDS; seed++) {
      const outcome = await new NodeSimulation(seed, nodes).run();
      crashes += outcome.crashes;
      if (outcome.violations.length === 0) continue;
      const texts = outcome.violations.map(({ fault, text }) => `${fault}: ${text}`);
      broken.push(`again with: npm run simulation -- --nodes ${nodes} --seed ${seed} --trace\n${texts.join('\n')}`);
    }
    expect(broken).toEqual([]);
    expect(crashes).toBeGreaterThan(NODE_SEEDS / 4);
  });

  test('do the same again with the same seed', async () => {
    const digestOf = async (): Promise<string> => (await new NodeSimulation(7, 3).run()).digest;
    expect(await digestOf()).toBe(await digestOf());
  });
});
