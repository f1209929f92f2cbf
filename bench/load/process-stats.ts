import { readFileSync } from 'node:fs';

/** The length of a clock tick of /proc in seconds; fixed on Linux. */
const TICK_S = 0.01;

function statusKb(pid: number, key: string): number {
  const line = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]);
}

/** The CPU seconds a process has used so far, all its threads together, in steps of 0.01. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_S;
}

/** The memory a process has resident now, in KiB. */
export function residentKb(pid: number): number {
  return statusKb(pid, 'VmRSS');
}

/** The most memory a process ever had resident, in KiB. */
export function peakResidentKb(pid: number): number {
  return statusKb(pid, 'VmHWM');
}

/** The CPU seconds this process has used so far, all its threads together. */
export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The CPU seconds used so far by everything on this machine. */
export function machineCpuSeconds(): number {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1')
    .split(/\s+/, 9)
    .map(Number);
  return [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) * TICK_S;
}
