import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The script that the command `trellis` runs. */
const mainScript: string = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** How a command is run, apart from its flags. */
export interface TrellisOptions {
  /** What it reads on stdin; `undefined` for nothing, `null` leaves it open. */
  input?: string | Buffer | null;
  environment?: Record<string, string>;
  directory?: string;
}

const running = new Set<Trellis>();

/** A running `trellis` command of its own process. */
export class Trellis {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** Resolves to the exit code, or to the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #waiters = new Set<() => void>();
  #ended = false;

  constructor(args: readonly string[], { input = '', environment = {}, directory }: TrellisOptions = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TRELLIS_'));
    this.process = spawn(process.execPath, [mainScript, ...args], {
      cwd: directory,
      env: { ...Object.fromEntries(inherited), NODE_OPTIONS: '', ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this);
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => this.#take({ stdout: this.stdout + text }));
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => this.#take({ stderr: this.stderr + text }));
    this.process.stdin!.on('error', () => {}); // It may have ended without reading all.
    if (input !== null) this.process.stdin!.end(input);
    this.exited = once(this.process, 'close').then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
      running.delete(this);
      this.#ended = true;
      this.#take({});
      return code ?? signal ?? -1;
    });
  }

  /** Waits until the output matches. @throws Error when the process ends before. */
  async until(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this[stream]);
      if (match !== null) return match;
      if (this.#ended) throw new Error(`ended without ${pattern} on ${stream}: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  #take(more: { stdout?: string; stderr?: string }): void {
    Object.assign(this, more);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }
}

/** Starts a `trellis` command. */
export function trellis(args: readonly string[], options?: TrellisOptions): Trellis {
  return new Trellis(args, options);
}

/** Runs a `trellis` command to its end. */
export async function finished(
  args: readonly string[],
  options?: TrellisOptions,
): Promise<Trellis & { code: unknown }> {
  const command = trellis(args, options);
  return Object.assign(command, { code: await command.exited });
}

/** Ends what a failed test left running. */
export async function endAll(): Promise<void> {
  for (const command of running) command.process.kill('SIGKILL');
  await Promise.all([...running].map((command) => command.exited));
}
