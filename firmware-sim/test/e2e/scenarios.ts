import { expect } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import type { run } from '../../src/run/runner.ts';

/** Seconds from TRELLIS_FAULT_SECONDS that every scenario is played for at least; 0 plays some of them, in short. */
const LONG_SECONDS = Number(process.env['TRELLIS_FAULT_SECONDS'] ?? 0);

/** What a test of one scenario may take, ms. */
export const SCENARIO_TIMEOUT_MS: number = 240_000 + 4_000 * LONG_SECONDS;

/** The scenarios, and for how many seconds each is played; what is not in `seconds` is played at length only. */
export function scenarios(seconds: Readonly<Record<string, number>>): [name: string, seconds: number][] {
  const names = ['tour', 'kill-broker', 'smart-home', 'factory', 'trackers', 'firmware-rollout', 'dashboard-wall'];
  return names
    .map((name): [string, number] => [name, Math.max(seconds[name] ?? 0, LONG_SECONDS)])
    .filter(([, playedFor]) => playedFor > 0);
}

/** Nothing was found, every threshold holds, and nothing is owed any more. */
export function expectFaultless(name: string, report: Awaited<ReturnType<typeof run>>): void {
  const { delivery, thresholds, broker } = report;
  const counts = faults.map((fault) => [fault, delivery.faults[fault].total] as const);
  expect(
    counts.filter(([, total]) => total > 0),
    JSON.stringify(delivery.examples.slice(0, 5)),
  ).toEqual([]);
  expect(thresholds.filter(({ holds }) => !holds)).toEqual([]);
  expect(delivery.counts.outstanding).toEqual([0, 0, 0]);
  if (name === 'kill-broker') expect(broker.kills).toBeGreaterThan(0);
}
