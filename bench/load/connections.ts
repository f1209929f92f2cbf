import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { cpuSeconds, residentKb } from './process-stats.ts';
import type { Report, Run } from './run.ts';

/** The memory of the broker is at rest when it has not shrunk by 1 % for so long, in milliseconds. */
const SETTLE_MS = 2_000;
/** It gets so long to come to rest at most. */
const SETTLE_MAX_MS = 10_000;

const POLL_MS = 200;

/** A connection that does nothing. */
class IdleClient extends Client {
  override onPacket(firstByte: number): void {
    this.target.fail(`The broker sent an idle client a packet that begins with 0x${firstByte.toString(16)}.`);
  }
}

/** Waits until the broker has given back what memory it will. */
async function settle(pids: readonly number[]): Promise<void> {
  let lowest = residentKb(pids);
  let sinceMs = performance.now();
  const giveUpMs = sinceMs + SETTLE_MAX_MS;
  while (performance.now() < Math.min(giveUpMs, sinceMs + SETTLE_MS)) {
    await sleep(POLL_MS);
    const now = residentKb(pids);
    if (now >= lowest * 0.99) continue;
    lowest = now;
    sinceMs = performance.now();
  }
}

/** Opens connections, measures how fast that goes, then leaves them idle and measures what they cost. */
export async function runConnections(run: Run): Promise<Report> {
  const { count, brokerPids, durationMs } = run.options;
  const clients = Array.from({ length: count }, (_, index) => new IdleClient(run.target, `idle-${index}`, true));
  const residentBefore = residentKb(brokerPids);
  const from = run.sample();
  await run.openAll(clients);
  const to = run.sample();
  await settle(brokerPids);
  const residentKbPerConnection = (residentKb(brokerPids) - residentBefore) / count;
  const cpuBefore = cpuSeconds(brokerPids);
  await sleep(durationMs);
  const idleCpuShare = (cpuSeconds(brokerPids) - cpuBefore) / (durationMs / 1000);
  return { ...run.report(from, to, count), residentKbPerConnection, idleCpuShare };
}
