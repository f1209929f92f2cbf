import { expect } from 'vitest';
import type { Broker } from '../../src/broker.ts';

/** Asserts that the books of a broker at rest balance: what became due was delivered, is queued, expired, or was dropped for a reason. */
export function expectBalanced(broker: Broker): void {
  const { owed, restored, delivered, queued, expired, moved, dropped } = broker.counters().messages;
  const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const books = JSON.stringify({ owed, restored, delivered, queued, expired, moved, dropped });
  expect(delivered + queued + expired + moved + drops, `books: ${books}`).toBe(owed + restored);
  expect(Math.min(delivered, queued, expired, ...Object.values(dropped)), `books: ${books}`).toBeGreaterThanOrEqual(0);
}
