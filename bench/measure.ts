import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Broker } from './brokers.ts';
import type { Report } from './load/run.ts';
import { PinnedProcess } from './pinned-process.ts';

/** The cores for the broker and the generator; undefined: whichever. */
export interface Pins {
  readonly broker: number | undefined;
  readonly generator: number | undefined;
}

/** How long a broker may take to accept connections, in milliseconds. */
const START_MS = 20_000;
/** How long it then gets to finish starting, in milliseconds. */
const SETTLE_MS = 300;
const POLL_MS = 20;

const GENERATOR = fileURLToPath(new URL('./load.ts', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function waitUntilReady(broker: PinnedProcess, port: number): Promise<void> {
  const giveUpMs = performance.now() + START_MS;
  while (!(await accepts(port))) {
    if (broker.hasEnded) throw new Error(`It did not start: ${broker.lastError}`);
    if (performance.now() > giveUpMs) throw new Error(`It did not accept connections within ${START_MS} ms.`);
    await sleep(POLL_MS);
  }
  await sleep(SETTLE_MS);
}

/** Runs processes, one broker and one generator at a time, and leaves nothing behind. */
export class Measurement {
  readonly #pins: Pins;
  readonly #running: Set<PinnedProcess> = new Set();
  readonly #directories: Set<string> = new Set();

  constructor(pins: Pins) {
    this.#pins = pins;
  }

  /**
   * Starts the broker afresh, has the generator load it, and ends it.
   * @throws when either fails, with the reason.
   */
  async run(broker: Broker, loadFlags: readonly string[]): Promise<Report> {
    const directory = mkdtempSync(join(tmpdir(), 'trellis-bench-'));
    this.#directories.add(directory);
    const port = await freePort();
    const process = this.#start(broker.command(port, directory), this.#pins.broker);
    try {
      await waitUntilReady(process, port);
      return await this.#load(loadFlags, port, process);
    } finally {
      await process.stop();
      this.#running.delete(process);
      this.#directories.delete(directory);
      rmSync(directory, { recursive: true });
    }
  }

  /** Ends whatever runs, at once, and removes its files. */
  kill(): void {
    for (const running of this.#running) running.kill();
    for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
  }

  async #load(loadFlags: readonly string[], port: number, broker: PinnedProcess): Promise<Report> {
    const target = ['--port', String(port), '--broker-pid', String(broker.pid)];
    const generator = this.#start([process.execPath, GENERATOR, ...target, ...loadFlags], this.#pins.generator);
    try {
      return JSON.parse(await generator.output());
    } catch (error) {
      if (broker.hasEnded) throw new Error(`The broker died: ${broker.lastError}`, { cause: error });
      throw error;
    } finally {
      this.#running.delete(generator);
    }
  }

  #start(command: readonly string[], cpu: number | undefined): PinnedProcess {
    const started = new PinnedProcess(command, cpu);
    this.#running.add(started);
    return started;
  }
}
