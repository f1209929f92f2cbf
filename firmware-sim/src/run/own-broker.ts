import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { RunError } from './run.ts';

/** How long a broker may take to start, ms; the machine may be busy. */
const startTimeoutMs = 60_000;

/** A Trellis broker of the run's own: a process on free ports of loopback, with its data in a temporary folder. */
export class OwnBroker {
  readonly #data: string;
  #process: ChildProcess | undefined;
  #ports: { mqtt: number; websocket: number } | undefined;
  /** Its last words, for when it ends unasked. */
  #lastError = '';

  /** However this process exits, the broker and its data do not stay behind. */
  readonly #atExit = (): void => {
    this.#process?.kill('SIGKILL');
    rmSync(this.#data, { recursive: true, force: true });
  };

  private constructor(data: string) {
    this.#data = data;
    process.on('exit', this.#atExit);
  }

  /** Starts a broker. @throws RunError where it does not come up. */
  static async start(): Promise<OwnBroker> {
    const broker = new OwnBroker(await mkdtemp(join(tmpdir(), 'firmware-sim-')));
    try {
      await broker.start();
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  /** Ports it listens on; the same after each restart. */
  get ports(): { readonly mqtt: number; readonly websocket: number } {
    return this.#ports as { mqtt: number; websocket: number };
  }

  /** Starts it, again on the same ports and data once it was killed. @throws RunError where it does not come up. */
  async start(): Promise<void> {
    const { mqtt = 0, websocket = 0 } = this.#ports ?? {};
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const main = fileURLToPath(new URL(`../../../src/main.${extension}`, import.meta.url));
    const args = ['start', '--port', `${mqtt}`, '--ws-port', `${websocket}`, '--data', this.#data];
    const child = spawn(process.execPath, [main, ...args, '--log-format', 'json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // In a group of its own: ctrl-C at a terminal is for the run, which still needs its broker to collect what is owed.
      detached: true,
    });
    this.#process = child;
    child.stderr.on(
      'data',
      (chunk: Buffer) =>
        (this.#lastError = chunk
          .toString('utf8')
          .trim()
          .replace(/^trellis: /, '')),
    );
    const ready = Promise.withResolvers<readonly string[]>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{"ready"')) ready.resolve((JSON.parse(line) as { listeners: string[] }).listeners);
    });
    child.once('exit', () =>
      ready.reject(new RunError(`The broker did not start: ${this.#lastError || 'no reason given'}`)),
    );
    child.once('error', (error) => ready.reject(new RunError(`The broker did not start: ${error.message}.`)));
    const slow = setTimeout(
      () => ready.reject(new RunError('The broker did not start within a minute.')),
      startTimeoutMs,
    );
    try {
      const listeners = await ready.promise;
      const portOf = (scheme: string): number =>
        Number(new URL(listeners.find((url) => url.startsWith(scheme)) ?? '').port);
      this.#ports = { mqtt: portOf('mqtt://'), websocket: portOf('ws://') };
    } finally {
      clearTimeout(slow);
    }
  }

  /** SIGKILL: no goodbye, no flush. Resolves when it is gone. */
  async kill(): Promise<void> {
    await end(this.#process, 'SIGKILL');
  }

  /** Ends it in order and removes its data. */
  async stop(): Promise<void> {
    await end(this.#process, 'SIGTERM');
    await rm(this.#data, { recursive: true, force: true });
    process.off('exit', this.#atExit);
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  const impatient = setTimeout(() => child.kill('SIGKILL'), 30_000);
  await gone;
  clearTimeout(impatient);
}
