import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import redisPersistence from 'aedes-persistence-redis';
import { Redis } from 'ioredis';
import { findTool } from '../../tools.ts';

const HOST = '127.0.0.1';
const program: string | undefined = findTool('redis-server');

/** Why tests with Redis have to be skipped; empty when they can run. */
export const redisMissing: string = program === undefined ? 'redis-server is not installed' : '';

/** A redis-server of a test on a free port, which keeps nothing on disk. */
export class RedisProcess {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #clients: Redis[] = [];

  private constructor(port: number, child: ChildProcess, directory: string) {
    this.port = port;
    this.#process = child;
    this.#directory = directory;
  }

  /** @param isCluster whether it becomes a Redis Cluster of one. */
  static async start(isCluster = false): Promise<RedisProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'trellis-redis-'));
    const port = await freePort();
    const words = ['--bind', HOST, '--port', String(port), '--dir', directory, '--save', ''];
    if (isCluster)
      words.push('--cluster-enabled', 'yes', '--cluster-port', String(await freePort()), '--cluster-announce-ip', HOST);
    const child = spawn(program as string, words, { stdio: 'ignore' });
    const client = new Redis({ port, host: HOST, retryStrategy: () => 20, maxRetriesPerRequest: 3000 });
    client.on('error', () => undefined);
    await client.ping();
    client.disconnect();
    return new RedisProcess(port, child, directory);
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** A connection of its own, ended with the server. */
  client(): Redis {
    const client = new Redis(this.url, { enableReadyCheck: false });
    client.on('error', () => undefined);
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** An Aedes broker on a Redis, as a deployment has it. */
export class AedesOnRedis {
  readonly aedes: Aedes;
  readonly persistence: ReturnType<typeof redisPersistence>;
  readonly port: number;
  readonly #server: Server;

  private constructor(aedes: Aedes, persistence: ReturnType<typeof redisPersistence>, server: Server) {
    this.aedes = aedes;
    this.persistence = persistence;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(redis: RedisProcess): Promise<AedesOnRedis> {
    const persistence = redisPersistence({ conn: redis.client() });
    const aedes = await Aedes.createBroker({ persistence });
    const server = createServer(aedes.handle).listen(0, HOST);
    await once(server, 'listening');
    return new AedesOnRedis(aedes, persistence, server);
  }

  get url(): string {
    return `mqtt://${HOST}:${this.port}`;
  }

  /** Resolves once the broker has dealt with the message, its persistence included. */
  publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2, more: object = {}): Promise<void> {
    const packet = { cmd: 'publish', topic, payload, qos, retain: false, dup: false, ...more } as const;
    return new Promise((resolve, reject) => {
      this.aedes.publish(packet, (error) => (error === undefined || error === null ? resolve() : reject(error)));
    });
  }

  async close(): Promise<void> {
    this.#server.close();
    await new Promise<void>((resolve) => {
      this.aedes.close(resolve);
    });
  }
}
