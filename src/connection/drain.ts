import type { Clock } from '../lib/clock.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { ConnectionTable } from './connection-table.ts';

/** How the clients of a node that stops are sent to the others. */
export interface DrainOptions {
  /** Time over which they are told, ms; 0 tells all at once. */
  readonly drainMs: number;
  /** Server Reference for MQTT 5.0 clients; empty for none. */
  readonly serverReference: string;
}

/** It is looked who is to be told next, and whether anybody is left, at these distances, ms. */
const STEP_MS = { min: 10, max: 1_000 } as const;

/**
 * Tells every connected client that the server stops, and closes the connections: MQTT 5.0 clients by 0x8B Server shutting
 * down, or by 0x9C Use another server where there is a reference to one; earlier versions have no packet for it. Over
 * `drainMs` they are told one by one, at even distances, those that came last first: what is still being handed over from
 * CONNECT to CONNACK goes before sessions that have settled. Who is not told yet is served as before.
 * @param options where there are other servers; without them all are told at once, by 0x8B.
 * @returns once all were told, or none is left.
 */
export async function sayGoodbye(
  connections: ConnectionTable,
  clock: Clock,
  { drainMs, serverReference }: DrainOptions = { drainMs: 0, serverReference: '' },
): Promise<void> {
  const reasonCode = serverReference === '' ? ReasonCode.serverShuttingDown : ReasonCode.useAnotherServer;
  const waiting = [...connections];
  const total = waiting.length;
  const begin = clock.now();
  while (waiting.length > 0 && connections.size > 0) {
    const elapsedMs = clock.now() - begin;
    const due = elapsedMs >= drainMs ? total : Math.floor((elapsedMs / drainMs) * total) + 1;
    while (total - waiting.length < due)
      waiting.pop()!.close(reasonCode, 'the server is shutting down', serverReference, 'shutting-down');
    if (waiting.length === 0) return;
    const stepMs = Math.min(Math.max(drainMs / total, STEP_MS.min), STEP_MS.max);
    await new Promise<void>((resolve) => clock.setTimeout(resolve, stepMs));
  }
}
