import type { BrokerCounters } from '../../src/counters.ts';

/** What is wrong with the books of a broker at rest, in a sentence; undefined where they balance. */
export function imbalanceOf({ messages }: Pick<BrokerCounters, 'messages'>): string | undefined {
  const { owed, restored, delivered, queued, expired, moved, dropped } = messages;
  const drops = Object.values(dropped);
  const done = delivered + queued + expired + moved + drops.reduce((sum, count) => sum + count, 0);
  if (done === owed + restored && Math.min(delivered, queued, expired, ...drops) >= 0) return undefined;
  return `the books do not balance: ${JSON.stringify({ owed, restored, delivered, queued, expired, moved, dropped })}`;
}
