import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Redis } from 'ioredis';
import { findTool } from '../tools.ts';
import { boundCommand } from './bound-command.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 60_000;
const ATTEMPTS_MAX = 20;
/** Below the ports that systems give to outgoing connections: nobody takes one while its server is down. */
const PORTS = [16_000, 32_000] as const;
/** What a server prints when it is ready; a sentinel never says that it accepts connections. */
const READY = /Ready to accept connections|Sentinel ID is/;
/** In one step: with SCAN, a key that is renamed meanwhile would be passed over. */
const KEYS_WITH_TYPES = `
local found = {}
for place, key in ipairs(redis.call('KEYS', '*')) do found[place] = {key, redis.call('TYPE', key).ok} end
return found`;
const PORT_TAKEN = /Address already in use|Failed listening on port/;

const program = findTool('redis-server');

/** Why tests with Redis have to be skipped; empty when they can run: `describe.skipIf(redisMissing)`. */
export const redisMissing: string = program === undefined ? 'redis-server is not installed' : '';

/** How a server differs from the usual one: on loopback, nothing is written to disk. */
export interface RedisServerOptions {
  /** Lines of its configuration, as in redis.conf: `appendonly yes`. The client knows the password of `requirepass`. */
  config?: readonly string[];
  /** Starts a sentinel; default false. */
  sentinel?: boolean;
}

/** A redis-server of a test, on a port and in a temporary directory of its own. Use it with `await using`, or stop it. */
export class RedisServer {
  readonly port: number;
  readonly password: string | undefined;
  readonly #directory: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;
  #isPaused = false;
  #client: Redis | undefined;

  private constructor(port: number, directory: string, options: RedisServerOptions) {
    this.port = port;
    this.#directory = directory;
    const file = join(directory, 'redis.conf');
    const lines = options.config ?? [];
    this.password = lines.findLast((line) => line.startsWith('requirepass '))?.slice('requirepass '.length);
    const base = [`bind ${HOST}`, `port ${port}`, `dir ${directory}`, 'save ""', 'appendonly no'];
    // A replica has to know the password of its master.
    if (this.password !== undefined) base.push(`masterauth ${this.password}`);
    writeFileSync(file, [...base, ...lines, ''].join('\n'));
    this.#args = options.sentinel === true ? [file, '--sentinel'] : [file];
  }

  /** Starts a server and waits until it answers. @throws Error with what it printed, when it does not start. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    for (let attempt = 1; ; attempt += 1) {
      const config = [...(options.config ?? [])];
      if (config.includes('cluster-enabled yes')) config.push(`cluster-port ${randomInt(...PORTS)}`);
      const directory = mkdtempSync(join(tmpdir(), 'trellis-redis-'));
      const server = new RedisServer(randomInt(...PORTS), directory, { ...options, config });
      try {
        await server.#spawn();
        return server;
      } catch (error) {
        await server.stop();
        if (attempt === ATTEMPTS_MAX || !PORT_TAKEN.test(String(error))) throw error;
      }
    }
  }

  /** `redis://127.0.0.1:20123`, with the password where there is one. */
  get url(): string {
    const user = this.password === undefined ? '' : `:${encodeURIComponent(this.password)}@`;
    return `redis://${user}${HOST}:${this.port}`;
  }

  /** Whether it would answer: it runs and is not paused. */
  get isUp(): boolean {
    return this.#process !== undefined && !this.#isPaused;
  }

  /** The connection of assertions, always the same, closed by `stop`. While the server is down its commands fail after a second. */
  client(): Redis {
    if (this.#client === undefined) {
      const retry = { retryStrategy: () => 50, maxRetriesPerRequest: 20 };
      this.#client = new Redis({ host: HOST, port: this.port, ...this.#auth(), ...retry });
      // What is wrong with a connection is told by the commands that fail.
      this.#client.on('error', () => undefined);
    }
    return this.#client;
  }

  /** All keys with their types at one instant, in the order of their names. */
  async keys(): Promise<Map<string, string>> {
    const found = (await this.client().eval(KEYS_WITH_TYPES, 0)) as [name: string, type: string][];
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Ends it as a crash does (SIGKILL) and waits until it is gone. What it wrote to files stays for `restart`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Starts it again on its port and in its directory; ends it in good order before, if it runs. */
  async restart(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#spawn();
  }

  /** Freezes it (SIGSTOP): connections stay open and are accepted, nothing is answered. */
  pause(): void {
    this.#isPaused = true;
    this.#process?.kill('SIGSTOP');
  }

  /** Lets it go on after `pause`. */
  resume(): void {
    this.#isPaused = false;
    this.#process?.kill('SIGCONT');
  }

  /** Ends it, whatever state it is in, and removes its directory. */
  async stop(): Promise<void> {
    this.#client?.disconnect();
    this.#client = undefined;
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #auth(): { password?: string } {
    return this.password === undefined ? {} : { password: this.password };
  }

  async #spawn(): Promise<void> {
    if (program === undefined) throw new Error(redisMissing);
    const child = spawn(...boundCommand(program, this.#args), { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    const gone = (): void => {
      if (this.#process === child) this.#process = undefined;
    };
    child.once('exit', gone).once('error', gone);
    await ready(child);
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    this.resume();
    await exited;
  }
}

/** Waits until a server says that it is ready. @throws Error with what it printed, when it ends instead or takes too long. */
async function ready(child: ChildProcessByStdio<null, Readable, Readable>): Promise<void> {
  let output = '';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (): void => reject(new Error(`redis-server is not ready: ${output}`));
  const timer = setTimeout(fail, READY_TIMEOUT_MS);
  const onText = (text: string): void => {
    output += text;
    if (READY.test(output)) resolve();
  };
  child.stdout.setEncoding('utf8').on('data', onText);
  child.stderr.setEncoding('utf8').on('data', onText);
  child.once('error', reject).once('close', fail);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    child.stdout.off('data', onText).resume();
    child.stderr.off('data', onText).resume();
  }
}
