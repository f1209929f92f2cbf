import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Broker } from './brokers.ts';
import type { EventLoopReport } from './brokers/event-loop.ts';
import { DISCONNECT, encodeConnect, PacketType } from './load/packets.ts';
import type { Report } from './load/run.ts';
import { PinnedProcess } from './pinned-process.ts';

/** The cores for the broker and the generator; undefined: whichever. */
export interface Pins {
  readonly broker: number | undefined;
  readonly generator: number | undefined;
}

/** How long a broker may take to accept a client, in milliseconds. */
const START_MS = 20_000;
/** How long it then gets to finish starting, in milliseconds. */
const SETTLE_MS = 300;
const POLL_MS = 4;
/** A broker that took the connection has so long to answer, in milliseconds; it may not have been ready for MQTT. */
const ANSWER_MS = 2_000;

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

/** Whether a client that connects gets a CONNACK that accepts it. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.once('connect', () => socket.write(encodeConnect(4, 'bench-probe', true)));
    socket.once('data', (bytes) => {
      resolve(bytes[0] === PacketType.connack && bytes[3] === 0);
      socket.end(DISCONNECT);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(false));
  });
}

/** Whether a Redis answers. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (bytes) => {
      resolve(bytes.toString('latin1').startsWith('+PONG'));
      socket.end();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(false));
  });
}

/** Waits until the server takes clients: `isUp` asks it. */
async function waitUntilReady(
  server: PinnedProcess,
  port: number,
  isUp: (port: number) => Promise<boolean> = accepts,
): Promise<void> {
  const giveUpMs = performance.now() + START_MS;
  while (!(await isUp(port))) {
    if (server.hasEnded) throw new Error(`It did not start: ${server.lastError}`);
    if (performance.now() > giveUpMs) throw new Error(`It did not accept a client within ${START_MS} ms.`);
    await sleep(POLL_MS);
  }
}

/** What a broker on Node said about its event loop when it ended; nothing of others. */
function eventLoopOf(stdout: string): Partial<EventLoopReport> {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{"eventLoopP99Ms"')) return {};
  return JSON.parse(line);
}

/** A broker that runs. */
interface Running {
  readonly port: number;
  readonly process: PinnedProcess;
  /** Its Redis; undefined where it has none. */
  readonly redis: PinnedProcess | undefined;
}

/** Runs processes, one broker with its Redis and one generator at a time, and leaves nothing behind. */
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
    const { result, stdout } = await this.#withBroker(broker, broker.command, async (running) => {
      await waitUntilReady(running.process, running.port);
      await sleep(SETTLE_MS);
      return this.#load(loadFlags, running);
    });
    return { ...result, ...eventLoopOf(stdout) };
  }

  /**
   * Starts the broker as its users do; returns the milliseconds from the start of its process to its first CONNACK.
   * @throws when it does not start.
   */
  async start(broker: Broker): Promise<number> {
    const { result } = await this.#withBroker(
      broker,
      broker.ownCommand ?? broker.command,
      async ({ port, process }) => {
        await waitUntilReady(process, port);
        return performance.now() - process.startedMs;
      },
    );
    return result;
  }

  /** Ends whatever runs, at once, and removes its files. */
  kill(): void {
    for (const running of this.#running) running.kill();
    for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
  }

  /** Starts it in an empty folder, on the core of its Redis if it has one, and ends both when all is done. */
  async #withBroker<Result>(
    broker: Broker,
    command: Broker['command'],
    use: (running: Running) => Promise<Result>,
  ): Promise<{ result: Result; stdout: string }> {
    const directory = mkdtempSync(join(tmpdir(), 'trellis-bench-'));
    this.#directories.add(directory);
    const started: PinnedProcess[] = [];
    const start = (words: readonly string[]): PinnedProcess => {
      const server = this.#start(words, this.#pins.broker);
      started.unshift(server);
      return server;
    };
    try {
      const redisPort = broker.redis === undefined ? 0 : await freePort();
      const redis = broker.redis && start(broker.redis(redisPort, directory));
      if (redis !== undefined) await waitUntilReady(redis, redisPort, answersPing);
      const port = await freePort();
      const process = start(command(port, directory, redisPort));
      const result = await use({ port, process, redis });
      await process.stop();
      return { result, stdout: process.stdout };
    } finally {
      for (const server of started) {
        await server.stop();
        this.#running.delete(server);
      }
      this.#directories.delete(directory);
      rmSync(directory, { recursive: true });
    }
  }

  async #load(loadFlags: readonly string[], { port, process: broker, redis }: Running): Promise<Report> {
    const target = ['--port', String(port), '--broker-pid', String(broker.pid)];
    if (redis !== undefined) target.push('--redis-pid', String(redis.pid));
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
