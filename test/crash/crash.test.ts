import { expect, test } from 'vitest';
import { FAILPOINTS } from '../../src/lib/failpoints.ts';
import { FAULTS } from '../checker/records.ts';
import { redisMissing } from '../support/redis-server.ts';
import { type CrashReport, runCrashes, type StoreKind } from './crash-run.ts';

const KILLS = 30;
const KILLS_ON_REDIS = 15;
const TIMEOUT_MS = 600_000;

/** Any number of kills: npm run crash -- --kills N --seed S --store embedded|redis */
async function crash(kills: number, store: StoreKind): Promise<CrashReport> {
  const seed = Date.now() % 2 ** 31;
  const told: string[] = [];
  const report = await runCrashes({ kills, seed, store, onKill: (text) => told.push(text) });
  const violations = report.violations.map(({ fault, text }) => `${fault}: ${text}`);
  const story = [`seed ${seed}`, ...violations, ...told].join('\n');
  expect(report.faults, `what happened: ${story}`).toEqual(Object.fromEntries(FAULTS.map((fault) => [fault, 0])));
  return report;
}

test(
  `nothing that was promised is lost, doubled or out of order after ${KILLS} kills`,
  async () => {
    const report = await crash(KILLS, 'embedded');
    // Whether it had anything to find.
    expect([...report.byFailpoint.keys()].sort()).toEqual([...FAILPOINTS].sort());
    expect(report.atRandom).toBeGreaterThan(0);
    expect(report.acknowledged).toBeGreaterThan(500);
    expect(report.delivered).toBeGreaterThan(2000);
    expect(report.wills).toBeGreaterThan(5);
    expect(report.repeated).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

test.skipIf(redisMissing !== '')(
  `nor is it after ${KILLS_ON_REDIS} kills of a broker whose state is in Redis`,
  async () => {
    const report = await crash(KILLS_ON_REDIS, 'redis');
    expect(report.byFailpoint.size).toBeGreaterThan(8);
    expect(report.acknowledged).toBeGreaterThan(250);
    expect(report.delivered).toBeGreaterThan(1000);
  },
  TIMEOUT_MS,
);
