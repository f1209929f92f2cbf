import { expect, test } from 'vitest';
import { FAILPOINTS } from '../../src/lib/failpoints.ts';
import { FAULTS } from '../checker/records.ts';
import { runCrashes } from './crash-run.ts';

const KILLS = 30;
const TIMEOUT_MS = 600_000;

// Any number of kills: npm run crash -- --kills N --seed S
test(
  `nothing that was promised is lost, doubled or out of order after ${KILLS} kills`,
  async () => {
    const seed = Date.now() % 2 ** 31;
    const kills: string[] = [];
    const report = await runCrashes({ kills: KILLS, seed, onKill: (text) => kills.push(text) });
    const violations = report.violations.map(({ fault, text }) => `${fault}: ${text}`);
    const story = [`seed ${seed}`, ...violations, ...kills].join('\n');
    expect(report.faults, `what happened: ${story}`).toEqual(Object.fromEntries(FAULTS.map((fault) => [fault, 0])));
    // Whether it had anything to find.
    expect([...report.byFailpoint.keys()].sort(), `what happened: ${story}`).toEqual([...FAILPOINTS].sort());
    expect(report.atRandom).toBeGreaterThan(0);
    expect(report.acknowledged).toBeGreaterThan(500);
    expect(report.delivered).toBeGreaterThan(2000);
    expect(report.wills).toBeGreaterThan(5);
    expect(report.repeated).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
