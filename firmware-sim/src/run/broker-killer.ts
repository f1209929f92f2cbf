import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { OwnBroker } from './own-broker.ts';
import { RunError } from './run.ts';

/** Kills the broker under the run and brings it up again. */
export interface BrokerKiller {
  /** Resolves when the broker accepts connections again. @throws RunError where it does not come back. */
  killAndRestart(): Promise<void>;
}

/** How long a broker may take to come back, ms. */
const returnTimeoutMs = 60_000;
/** How long the command that kills and restarts it may take, ms; it has to leave the broker in the background. */
const commandTimeoutMs = 60_000;
/** A process that was killed by a command may accept connections for so long, ms, before it is gone. */
const dyingMs = 200;
/** How long one attempt to connect may take, ms. */
const probeTimeoutMs = 5_000;

/**
 * How to kill the broker: the run's own as a child; by `target` a process number (SIGKILL, then the same command line
 * again, as /proc tells it) or a shell command that kills and restarts it.
 *
 * @throws RunError where there is no such process.
 */
export async function brokerKiller(
  own: OwnBroker | undefined,
  target: string | number | undefined,
  address: { readonly host: string; readonly port: number },
): Promise<BrokerKiller | undefined> {
  if (typeof target === 'number') return ProcessKiller.of(target, address);
  if (target !== undefined) return { killAndRestart: () => runCommand(target, address) };
  if (own === undefined) return undefined;
  return {
    async killAndRestart() {
      await own.kill();
      await own.start();
    },
  };
}

async function runCommand(command: string, address: { readonly host: string; readonly port: number }): Promise<void> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = chunk.toString('utf8').trim().slice(-200)));
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  let isSlow = false;
  const slow = setTimeout(() => {
    isSlow = true;
    process.kill(-(child.pid as number), 'SIGKILL');
  }, commandTimeoutMs);
  const [exitCode, signal] = await ended.finally(() => clearTimeout(slow));
  // What the command left running may go on writing there, for as long as the simulator runs; nobody waits for it.
  (child.stderr as Socket).unref();
  child.unref();
  if (isSlow) throw new RunError(`The command of --kill-broker did not end within a minute: ${command}`);
  if (exitCode !== 0)
    throw new RunError(`The command of --kill-broker failed (${exitCode ?? signal}): ${complaint || command}`);
  await acceptsConnections(address, dyingMs);
}

/** A broker somebody else started, known by its process number. */
class ProcessKiller implements BrokerKiller {
  #pid: number;
  readonly #command: readonly string[];
  readonly #directory: string;
  readonly #environment: Record<string, string>;
  readonly #address: { readonly host: string; readonly port: number };

  private constructor(
    pid: number,
    start: { command: readonly string[]; directory: string; environment: Record<string, string> },
    address: { readonly host: string; readonly port: number },
  ) {
    this.#pid = pid;
    this.#command = start.command;
    this.#directory = start.directory;
    this.#environment = start.environment;
    this.#address = address;
  }

  static async of(pid: number, address: { readonly host: string; readonly port: number }): Promise<ProcessKiller> {
    try {
      const listOf = async (file: string): Promise<string[]> =>
        (await readFile(`/proc/${pid}/${file}`, 'utf8')).split('\0').slice(0, -1);
      const environment = Object.fromEntries(
        (await listOf('environ')).map((entry) => {
          const at = entry.indexOf('=');
          return [entry.slice(0, at), entry.slice(at + 1)];
        }),
      );
      const [, ...args] = await listOf('cmdline');
      const command = [await readlink(`/proc/${pid}/exe`), ...args];
      return new ProcessKiller(pid, { command, directory: await readlink(`/proc/${pid}/cwd`), environment }, address);
    } catch (error) {
      throw new RunError(`--kill-broker ${pid}: ${whyNot(error)}.`);
    }
  }

  async killAndRestart(): Promise<void> {
    try {
      process.kill(this.#pid, 'SIGKILL');
    } catch (error) {
      throw new RunError(`--kill-broker ${this.#pid}: ${whyNot(error)}.`);
    }
    while (isAlive(this.#pid)) await delay(10);
    const [program = '', ...args] = this.#command;
    const child = spawn(program, args, {
      cwd: this.#directory,
      env: this.#environment,
      stdio: 'ignore',
      detached: true,
    });
    child.on('error', () => {}); // Told by nobody listening on its port.
    child.unref();
    this.#pid = child.pid ?? this.#pid;
    await acceptsConnections(this.#address);
  }
}

/** Why a process cannot be looked at or killed. */
function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if ((code === 'ENOENT' && existsSync('/proc/self')) || code === 'ESRCH') return 'there is no such process';
  if (code === 'EACCES' || code === 'EPERM') return 'that process belongs to somebody else';
  return `cannot look at that process (${message})`;
}

/** A process that is gone, or only waits for its parent to notice, does not hold the port any more. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !isZombie(pid);
}

/** As long as it has other threads, a zombie still has its sockets. */
function isZombie(pid: number): boolean {
  try {
    const isDead = /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return isDead && readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

/** Resolves when somebody listens there. @throws RunError after a minute. */
async function acceptsConnections(
  address: { readonly host: string; readonly port: number },
  heldMs = 0,
): Promise<void> {
  const deadline = performance.now() + returnTimeoutMs;
  while (!(await isListening(address, heldMs))) {
    if (performance.now() > deadline)
      throw new RunError('The broker was killed and did not come back within a minute.');
    await delay(20);
  }
}

/** Whether a connection can be opened there, and is still open after `heldMs`. */
export async function isListening(
  address: { readonly host: string; readonly port: number },
  heldMs = 0,
): Promise<boolean> {
  const { host, port } = address;
  const socket = connect({ host, port, timeout: probeTimeoutMs });
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => (heldMs === 0 ? resolve(true) : setTimeout(resolve, heldMs, true)));
    socket.once('timeout', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.on('error', () => {}); // It closes next.
    socket.resume();
  });
  socket.destroy();
  return isOpen;
}
