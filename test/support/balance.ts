import { expect } from 'vitest';
import type { Broker } from '../../src/broker.ts';
import { imbalanceOf } from './imbalance.ts';

/** Asserts that the books of a broker at rest balance: what became due was delivered, is queued, expired, or was dropped for a reason. */
export function expectBalanced(broker: Broker): void {
  expect(imbalanceOf(broker.counters())).toBeUndefined();
}
