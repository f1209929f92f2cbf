import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** As many open files as the hard limit allows, then the command in the same process. */
const RAISE_LIMIT = 'ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"';
/** How long a process has to end when asked, in milliseconds. */
const STOP_MS = 5_000;

/** A process of a benchmark, on a core of its own if there is a choice. */
export class PinnedProcess {
  /** When it was started, by `performance.now()`. */
  readonly startedMs: number = performance.now();
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  /** @param cpu the core to run on; undefined: any. */
  constructor(command: readonly string[], cpu: number | undefined) {
    const pinned = cpu === undefined ? command : ['taskset', '-c', String(cpu), ...command];
    this.#child = spawn('sh', ['-c', RAISE_LIMIT, 'sh', ...pinned], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (chunk) => (this.#stdout += String(chunk)));
    this.#child.stderr?.on('data', (chunk) => (this.#stderr += String(chunk)));
  }

  /** The process of the command: shell and taskset make way for it. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it wrote to stdout so far; all of it once it was stopped. */
  get stdout(): string {
    return this.#stdout;
  }

  /** The last line it wrote to stderr. */
  get lastError(): string {
    return this.#stderr.trim().split('\n').at(-1) ?? '';
  }

  /** Waits for the end and returns what it wrote to stdout. @throws when it failed, with its last error. */
  async output(): Promise<string> {
    if (!this.hasEnded) await once(this.#child, 'close');
    if (this.#child.exitCode === 0) return this.#stdout;
    throw new Error(this.lastError || `It ended with ${this.#child.signalCode ?? this.#child.exitCode}.`);
  }

  /** Ends it, by force if need be. */
  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, 'close');
    const force = setTimeout(() => this.kill(), STOP_MS);
    this.#child.kill('SIGTERM');
    await ended;
    clearTimeout(force);
  }

  /** Ends it at once. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
