import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Config, DeepPartial } from '../../src/config.ts';
import { findTool } from '../tools.ts';
import { type ComparedBroker, startMosquitto, startTrellis } from './brokers.ts';
import { Arena, type Comparison } from './comparison.ts';
import { makeSequence } from './generator.ts';
import { describeComparison } from './report.ts';

/** Runs in `npm test`; `npm run differential -- --runs N` does any number. */
const SEEDS = 60;

const program = findTool('mosquitto');
const missing = program === undefined ? 'mosquitto is not installed' : '';

describe.skipIf(missing !== '')(`Trellis and Mosquitto${missing && ` (skipped: ${missing})`}`, () => {
  const brokers: ComparedBroker[] = [];
  let arena: Arena;

  beforeAll(async () => {
    const trellis = await startTrellis();
    brokers.push(trellis);
    const mosquitto = await startMosquitto(program!);
    brokers.push(mosquitto);
    arena = new Arena({ trellis: trellis.port, mosquitto: mosquitto.port });
  });

  afterAll(async () => {
    await Promise.all(brokers.map((broker) => broker.stop()));
  });

  test(`show their clients the same in ${SEEDS} random sequences, but for what is explained`, async () => {
    const unexplained: string[] = [];
    let steps = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const comparison = await arena.compareSeed(seed);
      steps += comparison.steps.length;
      if (comparison.unexplained !== undefined) unexplained.push(describeComparison(await arena.shrink(comparison)));
    }
    expect(unexplained).toEqual([]);
    expect(steps).toBeGreaterThan(SEEDS * 10);
  });
});

describe('the comparison', () => {
  /** The first seed of a few in which two brokers of ours differ, shrunk. */
  async function firstDifference(config: DeepPartial<Config>): Promise<Comparison | undefined> {
    const [one, other] = await Promise.all([startTrellis(), startTrellis(config)]);
    const arena = new Arena({ trellis: one.port, mosquitto: other.port });
    try {
      for (let seed = 1; seed <= 10; seed++) {
        const comparison = await arena.compareSeed(seed);
        if (comparison.unexplained !== undefined) return await arena.shrink(comparison);
      }
      return undefined;
    } finally {
      await Promise.all([one.stop(), other.stop()]);
    }
  }

  test('finds nothing between a broker and its like', async () => {
    expect(await firstDifference({})).toBeUndefined();
  });

  test('finds what one of them does otherwise, and makes it short', async () => {
    const found = await firstDifference({ limits: { maximumQos: 0 } });
    expect(found?.steps.length).toBeLessThan(5);
    expect(describeComparison(found!)).toContain('unexplained');
  });
});

test('a sequence is the same again with the same seed', () => {
  expect(makeSequence(5)).toEqual(makeSequence(5));
  expect(makeSequence(5)).not.toEqual(makeSequence(6));
});
