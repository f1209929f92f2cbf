import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { cpuSeconds, residentKb } from './process-stats.ts';
import type { Report, Run } from './run.ts';

/** How long the broker gets to come to rest after the connections are open, in milliseconds. */
const SETTLE_MS = 1_000;

/** A connection that does nothing. */
class IdleClient extends Client {
  override onPacket(firstByte: number): void {
    this.target.fail(`The broker sent an idle client a packet that begins with 0x${firstByte.toString(16)}.`);
  }
}

/** Opens connections, measures how fast that goes, then leaves them idle and measures what they cost. */
export async function runConnections(run: Run): Promise<Report> {
  const { count, brokerPid, durationMs } = run.options;
  const clients = Array.from({ length: count }, (_, index) => new IdleClient(run.target, `idle-${index}`, true));
  const residentBefore = residentKb(brokerPid);
  const from = run.sample();
  await run.openAll(clients);
  const to = run.sample();
  await sleep(SETTLE_MS);
  const residentKbPerConnection = (residentKb(brokerPid) - residentBefore) / count;
  const cpuBefore = cpuSeconds(brokerPid);
  await sleep(durationMs);
  const idleCpuShare = (cpuSeconds(brokerPid) - cpuBefore) / (durationMs / 1000);
  return { ...run.report(from, to, count), residentKbPerConnection, idleCpuShare };
}
