import type { Broker } from '../../src/broker.ts';
import type { Fault } from '../checker/records.ts';
import type { FakeClock } from '../fakes/fake-clock.ts';
import type { History } from './history.ts';
import type { Plan } from './plan.ts';

/** What was found wrong in a run. */
export interface Finding {
  readonly fault: Fault | 'books' | 'left-over';
  readonly text: string;
}

/** What came of a run. */
export interface Outcome {
  seed: number;
  /** Hash of everything every client saw; the same for the same seed. */
  digest: string;
  violations: Finding[];
  /** The last lines of the trace, or all of them. */
  trace: readonly string[];
  steps: number;
  crashes: number;
  sent: number;
  delivered: number;
  repeated: number;
  wills: number;
  looseDeliveries: number;
}

/** Has the checker told what a new client of this broker finds retained. */
export async function findRetained(broker: Broker, plan: Plan, clock: FakeClock, history: History): Promise<void> {
  const topics = plan.clients.flatMap(({ clientId }) => [`r/${clientId}`, `q/${clientId}`]);
  const found: Map<string, string> = new Map();
  const off = broker.subscribe('#', ({ topicName, payload, retain }) => {
    if (retain) found.set(topicName, Buffer.from(payload).toString());
  });
  await clock.pass(1000);
  off();
  history.tell((checker) => {
    for (const topicName of topics) checker.retainedFound(topicName, found.get(topicName));
  });
}

/** What is wrong with the books of a broker at rest. */
export function auditBooks(broker: Broker, plan: Plan): Finding[] {
  const findings: Finding[] = [];
  const { messages } = broker.counters();
  const { owed, restored, delivered, queued, expired, moved, dropped } = messages;
  const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const text = JSON.stringify(messages);
  if (owed + restored !== delivered + queued + expired + moved + drops)
    findings.push({ fault: 'books', text: `they do not balance: ${text}` });
  if (queued !== 0) findings.push({ fault: 'liveness', text: `messages are still queued: ${text}` });
  for (const [reason, count] of Object.entries(dropped))
    if (count < 0) findings.push({ fault: 'books', text: `${reason}: ${text}` });
  if (!plan.isLossy && dropped['queue-full'] > 0) findings.push({ fault: 'books', text: `a queue was full: ${text}` });
  if (!plan.fullDisks && dropped['store-full'] > 0)
    findings.push({ fault: 'books', text: `the store was full: ${text}` });
  return findings;
}

/** What is wrong with the connections of a broker that was closed. */
export function auditConnections(broker: Broker): Finding[] {
  const findings: Finding[] = [];
  const { accepted, open, ended } = broker.counters().connections;
  const ends = Object.values(ended).reduce((sum, count) => sum + count, 0);
  if (ends !== accepted) findings.push({ fault: 'left-over', text: `${accepted} connections accepted, ${ends} ended` });
  if (open !== 0) findings.push({ fault: 'left-over', text: `${open} connections open after the end` });
  return findings;
}
