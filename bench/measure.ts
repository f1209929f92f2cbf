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

/** Waits until the server takes clients, which `isUp` tells. */
async function waitUntilReady(server: PinnedProcess, isUp: () => Promise<boolean> | boolean): Promise<void> {
  const giveUpMs = performance.now() + START_MS;
  while (!(await isUp())) {
    if (server.hasEnded) throw new Error(`It did not start: ${server.lastError}`);
    if (performance.now() > giveUpMs) throw new Error(`It did not accept a client within ${START_MS} ms.`);
    await sleep(POLL_MS);
  }
}

/** What brokers on Node said about their event loop when they ended, the latest of them; nothing of others. */
function eventLoopOf(outputs: readonly string[]): Partial<EventLoopReport> {
  const lines = outputs.map((stdout) => stdout.trim().split('\n').at(-1) ?? '');
  const reports = lines
    .filter((line) => line.startsWith('{"eventLoopP99Ms"'))
    .map((line): EventLoopReport => JSON.parse(line));
  if (reports.length === 0) return {};
  return {
    eventLoopP99Ms: Math.max(...reports.map(({ eventLoopP99Ms }) => eventLoopP99Ms)),
    eventLoopMaxMs: Math.max(...reports.map(({ eventLoopMaxMs }) => eventLoopMaxMs)),
  };
}

/** A process of a broker, on its port. */
interface Node {
  readonly port: number;
  readonly process: PinnedProcess;
}

/** A broker that runs. */
interface Running {
  /** One, unless it has several nodes. */
  readonly nodes: readonly Node[];
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
    const { result, outputs } = await this.#withBroker(broker, broker.command, async (running) => {
      await sleep(SETTLE_MS);
      return this.#load(loadFlags, running);
    });
    return { ...result, ...eventLoopOf(outputs) };
  }

  /**
   * Starts the broker as its users do; returns the milliseconds from the start of its process to its first CONNACK.
   * @throws when it does not start.
   */
  async start(broker: Broker): Promise<number> {
    const command = broker.ownCommand ?? broker.command;
    const { result } = await this.#withBroker(broker, command, async ({ nodes }) => {
      return performance.now() - nodes.at(-1)!.process.startedMs;
    });
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
  ): Promise<{ result: Result; outputs: readonly string[] }> {
    const directory = mkdtempSync(join(tmpdir(), 'trellis-bench-'));
    this.#directories.add(directory);
    const started: PinnedProcess[] = [];
    const start = (words: readonly string[]): PinnedProcess => {
      const server = this.#start(words, broker.isSpread === true ? undefined : this.#pins.broker);
      started.unshift(server);
      return server;
    };
    try {
      const redisPort = broker.redis === undefined ? 0 : await freePort();
      const redis = broker.redis && start(broker.redis(redisPort, directory));
      if (redis !== undefined) await waitUntilReady(redis, () => answersPing(redisPort));
      const nodes: Node[] = [];
      for (let count = broker.nodes ?? 1; count > 0; count--) {
        const port = await freePort();
        const process = start(command(port, directory, redisPort));
        const { readyText } = broker;
        await waitUntilReady(process, () =>
          readyText === undefined ? accepts(port) : process.stdout.includes(readyText),
        );
        nodes.push({ port, process });
      }
      const result = await use({ nodes, redis });
      for (const { process } of nodes) await process.stop();
      return { result, outputs: nodes.map(({ process }) => process.stdout) };
    } finally {
      for (const server of started) {
        await server.stop();
        this.#running.delete(server);
      }
      this.#directories.delete(directory);
      rmSync(directory, { recursive: true });
    }
  }

  async #load(loadFlags: readonly string[], { nodes, redis }: Running): Promise<Report> {
    const ports = ['--port', String(nodes[0]!.port), '--publish-port', String(nodes.at(-1)!.port)];
    const target = [...ports, '--broker-pid', nodes.map(({ process }) => process.pid).join(',')];
    if (redis !== undefined) target.push('--redis-pid', String(redis.pid));
    const generator = this.#start([process.execPath, GENERATOR, ...target, ...loadFlags], this.#pins.generator);
    try {
      return JSON.parse(await generator.output());
    } catch (error) {
      const dead = nodes.find(({ process: broker }) => broker.hasEnded);
      if (dead !== undefined) throw new Error(`The broker died: ${dead.process.lastError}`, { cause: error });
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
