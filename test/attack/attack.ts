import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test as base, type TestAPI } from 'vitest';
import type { Config, DeepPartial } from '../../src/config.ts';
import type { BrokerCounters } from '../../src/counters.ts';
import { encodePacket } from '../../src/protocol/codec.ts';
import { connectPacket, type RawConnectOptions } from '../support/connect-packet.ts';
import { until } from '../support/polling.ts';
import { RawClient } from '../support/raw-client.ts';
import type { CanaryReport } from './canary-report.ts';

const MIB = 1024 * 1024;
/** How long what an attack is to lead to may take. */
const WAIT_MS = 120_000;
/** Sockets that are opened side by side: fewer than the backlog of a listener. */
const OPENED_AT_ONCE = 200;
/** p99 of the canary under attack at most, as a multiple of what it was before, and in any case, ms. */
const SLOWER_MAX = 100;
const SLOW_MS = 2_000;
const SAMPLE_MS = 50;
/** Messages of a lap of the canary at least. */
const LAP_MESSAGES = 25;

const scale = Number(process.env.TRELLIS_ATTACK_SCALE ?? 0);
/** Whether attacks are as large as they are meant to be, on a machine where times can be looked at. */
export const isFullScale: boolean = scale >= 1;

/** How large an attack is: `small` in the usual tests, that part of `full` that TRELLIS_ATTACK_SCALE says (1 is all of it). */
export function scaled(small: number, full: number): number {
  return scale > 0 ? Math.ceil(scale * full) : small;
}

/** What the broker under attack tells of itself. */
interface Figures {
  readonly counters: BrokerCounters;
  readonly loopP99Ms: number;
}

/** How the broker under attack is started. */
interface AttackOptions {
  config?: DeepPartial<Config>;
}

/** A broker in a process of its own and a canary in another; this process is the attacker. */
export class Attack {
  readonly port: number;
  readonly webSocketPort: number;
  readonly #broker: ChildProcess;
  readonly #canary: ChildProcess;
  readonly #sockets: Set<Socket> = new Set();
  readonly #idle: CanaryReport;
  readonly #rssBefore: number;
  readonly #sampler: NodeJS.Timeout;
  #rssPeak = 0;

  constructor(broker: ChildProcess, ports: readonly number[], canary: ChildProcess, idle: CanaryReport) {
    this.#broker = broker;
    [this.port = 0, this.webSocketPort = 0] = ports;
    this.#canary = canary;
    this.#idle = idle;
    this.#rssBefore = this.#rss();
    this.#sampler = setInterval(() => (this.#rssPeak = Math.max(this.#rssPeak, this.#rss())), SAMPLE_MS);
  }

  /** Most resident memory of the broker since the attack began, less what it had before, MiB. */
  get grownMiB(): number {
    return (Math.max(this.#rssPeak, this.#rss()) - this.#rssBefore) / MIB;
  }

  #rss(): number {
    const pages = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#broker.pid}/status`, 'latin1'));
    return Number(pages?.[1]) * 1024;
  }

  /** All counters of the broker. */
  async counters(): Promise<BrokerCounters> {
    return (await this.#figures()).counters;
  }

  /** How late the event loop of the broker was since it was asked for anything last, ms: 99 of 100 times less than that. */
  async loopP99Ms(): Promise<number> {
    return (await this.#figures()).loopP99Ms;
  }

  async #figures(): Promise<Figures> {
    this.#broker.send('figures');
    const [figures] = await once(this.#broker, 'message');
    return figures as Figures;
  }

  /** Waits until the counters are as wanted. */
  async untilCounters(what: string, isDone: (counters: BrokerCounters) => boolean): Promise<BrokerCounters> {
    return until(
      what,
      async () => {
        const counters = await this.counters();
        return isDone(counters) ? counters : undefined;
      },
      WAIT_MS,
    );
  }

  /** Opens so many TCP connections and nothing more; what comes on them is read and forgotten. */
  async open(
    count: number,
    onOpen: (socket: Socket, index: number) => void = () => {},
    addressOf: (index: number) => string = () => '127.0.0.1',
  ): Promise<Socket[]> {
    const sockets: Socket[] = [];
    for (let from = 0; from < count; from += OPENED_AT_ONCE) {
      const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - from) }, (_, at) =>
        this.#openOne(from + at, onOpen, addressOf(from + at)),
      );
      sockets.push(...(await Promise.all(some)));
    }
    return sockets;
  }

  async #openOne(
    index: number,
    onOpen: (socket: Socket, index: number) => void,
    localAddress: string,
  ): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: this.port, noDelay: true, localAddress });
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.resume();
    await once(socket, 'connect');
    onOpen(socket, index);
    return socket;
  }

  /** Opens connections that send CONNECT, MQTT 5.0, with the client ids `attacker-0`, `attacker-1`, ... */
  async connect(count: number, options: RawConnectOptions = {}): Promise<Socket[]> {
    const { clients } = (await this.counters()).connections;
    const sockets = await this.open(count, (socket, index) => socket.write(connectBytes(`attacker-${index}`, options)));
    await this.untilCounters(`${count} clients`, ({ connections }) => connections.clients >= clients + count);
    return sockets;
  }

  /** A client that speaks and understands, connected. */
  async client(name: string, options: RawConnectOptions = {}): Promise<RawClient> {
    const client = new RawClient(name, 5);
    const [socket] = (await this.open(1)) as [Socket];
    socket.on('data', (chunk: Buffer) => client.onBytes(chunk));
    socket.on('close', () => client.onClose(false));
    client.attach({
      write: (bytes) => void socket.write(bytes),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      destroy: () => void socket.destroy(),
    });
    await client.connect(options);
    return client;
  }

  /** Asserts that the canary got everything, in order and in time, and says what it cost where attacks are large. */
  async expectUnharmed(name: string): Promise<void> {
    const report = await lap(this.#canary);
    const { messages, lost, unacknowledged, disorders, isGone, p50Ms, p99Ms } = report;
    const idle = this.#idle.p99Ms;
    if (scale > 0) {
      const figures = { messages, p50Ms, p99Ms, idleP99Ms: idle, grownMiB: this.grownMiB };
      const rounded = Object.entries(figures).map(([key, value]) => `${key} ${value.toFixed(1)}`);
      console.log(`${name}: ${rounded.join(', ')}`);
    }
    expect({ lost, unacknowledged, disorders, isGone }).toEqual({
      lost: 0,
      unacknowledged: 0,
      disorders: 0,
      isGone: false,
    });
    expect(messages).toBeGreaterThan(0);
    expect(p99Ms).toBeLessThan(Math.max(SLOW_MS, SLOWER_MAX * idle));
  }

  /** Ends all processes and sockets of it. */
  async end(): Promise<void> {
    clearInterval(this.#sampler);
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([this.#broker, this.#canary].map(ended));
  }
}

/** The bytes of a CONNECT, MQTT 5.0. */
export function connectBytes(clientId: string, options: RawConnectOptions = {}): Buffer {
  return encodePacket(connectPacket(5, clientId, options), 5);
}

/** Starts a program beside this test with a channel to it; it ends with this process at the latest. */
function child(name: string, args: readonly string[]): ChildProcess {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !key.startsWith('TRELLIS_') && !key.startsWith('VITEST'),
  );
  const env = { ...Object.fromEntries(inherited), NODE_OPTIONS: '' };
  return fork(fileURLToPath(new URL(name, import.meta.url)), args, { env, execArgv: [] });
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exit = once(process, 'exit');
  process.kill('SIGKILL');
  await exit;
}

async function lap(canary: ChildProcess): Promise<CanaryReport> {
  const reported = once(canary, 'message');
  canary.send(LAP_MESSAGES);
  const [report] = await reported;
  return report as CanaryReport;
}

async function startAttack({ config = {} }: AttackOptions): Promise<Attack> {
  const host = '127.0.0.1';
  const listeners = { tcp: { host, port: 0 }, websocket: { host, port: 0 }, ...config.listeners };
  const configuration = JSON.stringify({ ...config, listeners, admin: { sysIntervalSeconds: 0 } });
  const broker = child('attacked-child.ts', [configuration]);
  try {
    const [{ ports }] = (await once(broker, 'message')) as [{ ports: number[] }];
    const canary = child('canary-child.ts', [String(ports[0])]);
    try {
      await once(canary, 'message');
      // The first messages find code that was never run.
      await lap(canary);
      return new Attack(broker, ports, canary, await lap(canary));
    } catch (error) {
      await ended(canary);
      throw error;
    }
  } catch (error) {
    await ended(broker);
    throw error;
  }
}

/** What a test of an attack may ask for. */
export interface AttackFixtures {
  /** Starts a broker and its canary; after the test the canary is looked at and everything ended. */
  attack: (options?: AttackOptions) => Promise<Attack>;
}

/** `test` for attacks on a broker in a process of its own. */
export const test: TestAPI<AttackFixtures> = base.extend<AttackFixtures>({
  attack: async ({ task }, use) => {
    const attacks: Attack[] = [];
    try {
      await use(async (options = {}) => {
        const attack = await startAttack(options);
        attacks.push(attack);
        return attack;
      });
      for (const attack of attacks) await attack.expectUnharmed(task.name);
    } finally {
      for (const attack of attacks) await attack.end();
    }
  },
});
