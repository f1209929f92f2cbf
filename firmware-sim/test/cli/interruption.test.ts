import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { readReport } from '../../src/report/json.ts';
import { isListening } from '../../src/run/broker-killer.ts';
import { scratchFolder } from './command-line.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const scratch = scratchFolder();
const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});
afterAll(() => scratch.remove());

/** A simulator in a process group of its own, as a shell at a terminal starts it. */
class Program {
  readonly child: ChildProcess;
  readonly folder: string;
  out = '';
  err = '';
  readonly #exited: Promise<unknown[]>;
  readonly #heard = new Set<() => void>();

  constructor(name: string, words: readonly string[]) {
    this.folder = join(scratch.path, name);
    mkdirSync(this.folder);
    this.child = spawn(process.execPath, [main, ...words], {
      cwd: this.folder,
      env: { ...process.env, TMPDIR: this.folder, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(this.child);
    this.child.stdout?.on('data', (chunk: Buffer) => this.#hear('out', chunk));
    this.child.stderr?.on('data', (chunk: Buffer) => this.#hear('err', chunk));
    this.#exited = once(this.child, 'close');
    this.child.once('close', () => this.#hear('err', ''));
  }

  /** Waits for a text. @throws Error where the program ends without it. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.out) ?? pattern.exec(this.err);
      if (found !== null) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`ended without ${pattern}: ${this.out}${this.err}`);
      await new Promise<void>((resolve) => this.#heard.add(resolve));
    }
  }

  /** Signals all processes of its group, as a terminal does. */
  signal(signal: NodeJS.Signals): void {
    process.kill(-(this.child.pid as number), signal);
  }

  /** How it ended: exit code and signal. */
  async end(): Promise<unknown[]> {
    const how = await this.#exited;
    running.delete(this.child);
    return how;
  }

  /** Data of brokers that is still there. */
  get leftBehind(): string[] {
    return readdirSync(this.folder).filter((name) => name.startsWith('firmware-sim-'));
  }

  #hear(stream: 'out' | 'err', chunk: Buffer | string): void {
    this[stream] += chunk.toString();
    const heard = [...this.#heard];
    this.#heard.clear();
    for (const wake of heard) wake();
  }
}

const tour = ['tour', '--devices', '12', '--duration', '600', '--report', 'report.json'];

describe('a run on a broker of its own', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('ends in order on %s, with its report', async (signal) => {
    const program = new Program(signal, tour);
    await program.says(/ connected [1-9]/);
    program.signal(signal);
    expect(await program.end()).toEqual([130, null]);
    expect(program.out).toContain('Ending: what is owed is collected; ctrl-C again ends at once.\n');
    expect(program.err).toBe('');
    expect(program.out).toMatch(/\n(PASS|FAIL) \(interrupted after [^\n]*\n$/);
    const report = await readReport(join(program.folder, 'report.json'));
    expect(report.interrupted).toBe(true);
    expect(report.stages.at(-1)?.kind).toBe('drain');
    // The broker was not hit by the signal: devices were connected to the end.
    expect(report.series.at(-1)?.connected).toBeGreaterThan(0);
    expect(program.leftBehind).toEqual([]);
  });

  test('ends at once when asked a second time, and leaves no broker behind', async () => {
    const program = new Program('twice', tour);
    const [, port] = await program.says(/mqtt:\/\/127\.0\.0\.1:(\d+)/);
    await program.says(/ connected [1-9]/);
    program.signal('SIGINT');
    await program.says(/ctrl-C again/);
    program.signal('SIGINT');
    expect(await program.end()).toEqual([130, null]);
    expect(program.leftBehind).toEqual([]);
    while (await isListening({ host: '127.0.0.1', port: Number(port) }));
  });

  test('ends in order before it has begun', async () => {
    const program = new Program('early', [...tour, '--quiet']);
    while (program.leftBehind.length === 0) await nextTurn();
    program.child.kill('SIGINT'); // It alone: a broker that has been forked and no more is still in its group.
    expect(await program.end()).toEqual([130, null]);
    expect(program.leftBehind).toEqual([]);
  });
});

test('a measurement gives its figures so far', async () => {
  const program = new Program('bench', ['bench', 'p2p', '--own', '-c', '5', '-D', '600', '--json', 'result.json']);
  await program.says(/s measure: 5 connected/);
  program.signal('SIGINT');
  expect(await program.end()).toEqual([130, null]);
  expect(program.out).toMatch(/^bench p2p: 5 clients/);
  expect(program.out).toContain('note: It was ended before its time.\n');
  expect(existsSync(join(program.folder, 'result.json'))).toBe(true);
});
