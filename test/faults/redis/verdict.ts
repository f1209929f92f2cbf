import { expect } from 'vitest';
import { FAULTS, type Verdict } from '../../checker/records.ts';

/** Asserts that no promise was broken, and that there was something to break. */
export function expectKept(verdict: Verdict): void {
  const story = verdict.violations.slice(0, 20).map(({ fault, text }) => `${fault}: ${text}`);
  expect(verdict.faults, story.join('\n')).toEqual(Object.fromEntries(FAULTS.map((fault) => [fault, 0])));
  expect(verdict.acknowledged).toBeGreaterThan(100);
  expect(verdict.delivered).toBeGreaterThan(300);
}
