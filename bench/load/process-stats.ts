import { readdirSync, readFileSync } from 'node:fs';

/** The length of a clock tick of /proc in seconds; fixed on Linux. */
const TICK_S = 0.01;

/** What stands in a file of /proc; empty when its process or thread has ended. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'latin1');
  } catch {
    return '';
  }
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function childrenOf(pid: number): number[] {
  const lists = threadsOf(pid).map((thread) => readProc(`${pid}/task/${thread}/children`));
  return lists.flatMap((list) => list.split(' ').flatMap((child) => (child === '' ? [] : [Number(child)])));
}

/** Processes and all that descend from them. */
function processTree(roots: readonly number[]): number[] {
  const tree = [...roots];
  for (let index = 0; index < tree.length; index++) tree.push(...childrenOf(tree[index]!));
  return tree;
}

function statusKb(roots: readonly number[], key: string): number {
  const pattern = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm');
  return processTree(roots).reduce((sum, pid) => sum + Number(pattern.exec(readProc(`${pid}/status`))?.[1] ?? 0), 0);
}

/** The CPU seconds processes and their children have used so far, all their threads together, in steps of 0.01. */
export function cpuSeconds(roots: readonly number[]): number {
  return processTree(roots).reduce((sum, pid) => {
    const stat = readProc(`${pid}/stat`);
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_S;
  }, 0);
}

/** The memory processes and their children have resident now, in KiB. */
export function residentKb(roots: readonly number[]): number {
  return statusKb(roots, 'VmRSS');
}

/** The most memory processes and their children ever had resident, each for itself, in KiB. */
export function peakResidentKb(roots: readonly number[]): number {
  return statusKb(roots, 'VmHWM');
}

/** The CPU seconds this process has used so far, all its threads together. */
export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The CPU seconds used so far by everything on this machine. */
export function machineCpuSeconds(): number {
  const [, user, nice, system, , , irq, softirq, steal] = readProc('stat').split(/\s+/, 9).map(Number);
  return [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) * TICK_S;
}
