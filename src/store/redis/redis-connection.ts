import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { setTimeout as later } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { Logger } from '../../lib/logger.ts';
import { StoreError } from '../store.ts';
import { describeRedisAddress, type RedisAddress } from './redis-address.ts';
import { connectFailure, isClosed } from './redis-failure.ts';

/** What a connection needs besides the address. */
export interface RedisConnectionOptions {
  /** No byte for so long while an answer is due: the connection is opened anew. 100 to 600,000 ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Shown by CLIENT LIST; without spaces. */
  readonly name: string;
  /** `redis.prefix`: in a Redis Cluster, the node that has the slot of these keys is the one that matters. */
  readonly prefix: string;
}

/** Pause before a call that Redis could not take is made again, ms. */
const againMs = 100;
/** How often it is looked whether bytes arrive, per time-out. */
const checksPerTimeout = 4;
/** Longest pause between two attempts to connect, ms. */
const retryDelayMaxMs = 1_000;
/** How long the end of a connection is waited for before it is cut, ms. */
const endTimeoutMs = 200;

/**
 * A connection to a Redis, to the master that Sentinels name, or to a Redis Cluster, that comes back by itself.
 *
 *     new --open--> opening --> ready <--> away
 *                      \           \       /
 *                       +-----------+-> closed
 *
 * A command whose connection breaks is rejected at once (it may have been applied or not) and never sent again; one given
 * while there is no connection is rejected at once and was not sent. After a rejection, wait for `whenReady`, which asks
 * Redis and so cannot spin. In a Redis Cluster a command that was answered with a redirection, and so not applied, follows
 * it to a node that is connected, and is rejected otherwise.
 */
export class RedisConnection {
  /** For commands; its events and its end belong to the connection. A blocking command must block for less than half the time-out. */
  readonly redis: Redis | Cluster;
  readonly address: RedisAddress;
  readonly #options: RedisConnectionOptions;
  #state: 'new' | 'opening' | 'ready' | 'away' | 'closed' = 'new';
  /** What was wrong last; undefined while all is well. */
  #reason: Error | undefined;
  #verifying: Promise<void> | undefined;
  /** Ends the pause between two attempts of `#verify`. */
  #wake: () => void = () => undefined;
  #watch: NodeJS.Timeout | undefined;
  /** The slot of our keys in a Redis Cluster. */
  #slot = 0;
  #received = 0;
  #silentChecks = 0;
  #pinging = false;

  constructor(address: RedisAddress, options: RedisConnectionOptions) {
    this.address = address;
    this.#options = options;
    const delay = (attempt: number): number | null =>
      this.#state === 'opening' || this.#state === 'closed' ? null : Math.min(attempt * 50, retryDelayMaxMs);
    this.redis = address.kind === 'cluster' ? clusterOf(address, options, delay) : redisOf(address, options, delay);
    this.#listen();
  }

  /** Whether the last that was heard of Redis is that commands would be answered. */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /**
   * The connection to the Redis that takes writes to our keys, in a Redis Cluster to the node that is known to have their
   * slot: WAIT waits for the writes of its own connection. Undefined while none is known.
   */
  get writer(): Redis | undefined {
    if (!(this.redis instanceof Cluster)) return this.redis;
    const owner = this.redis.slots[this.#slot]?.[0];
    return this.redis.nodes('master').find((node) => nodeKey(node) === owner);
  }

  /** The socket of `writer`: where it is still the same, nothing went by another. Undefined while there is none. */
  get line(): Socket | undefined {
    return this.writer?.stream;
  }

  /**
   * Connects for the first time; waits while Redis loads its data.
   * @throws StoreError with a sentence that says why it is not possible; the connection is closed then.
   */
  async open(): Promise<void> {
    if (this.#state !== 'new') throw new Error('a connection is opened once');
    this.#state = 'opening';
    this.#watch = setInterval(() => this.#check(), Math.ceil(this.#options.timeoutMs / checksPerTimeout));
    const ended = Promise.withResolvers<never>();
    const onEnd = (): void => ended.reject(new Error('Connection is closed'));
    this.redis.once('end', onEnd);
    try {
      await Promise.race([this.redis.connect(), ended.promise]);
      await Promise.race([this.#findSlot(), ended.promise]);
      this.#becomeReady();
    } catch (error) {
      const reason = this.#reason ?? (error as Error);
      await this.close();
      const cause = isClosed(reason) ? ((await diagnose(this.address, this.#options)) ?? reason) : reason;
      throw connectFailure(this.address, cause, this.#options.timeoutMs);
    } finally {
      this.redis.off('end', onEnd);
    }
  }

  /** Resolves once Redis has answered after this call. @throws StoreError when the connection is closed. */
  whenReady(): Promise<void> {
    this.#verifying ??= this.#verify().finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  /** Waits until a call that was rejected may be made again. @throws StoreError when the connection is closed. */
  async beforeAgain(): Promise<void> {
    if (this.isReady) await later(againMs);
    else await this.whenReady();
  }

  /** Ends the connection; commands without an answer are rejected. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const { status } = this.redis;
    const isOpen = status === 'connecting' || status === 'connect' || status === 'ready';
    this.#state = 'closed';
    clearInterval(this.#watch);
    this.#wake();
    const ended = isOpen ? once(this.redis, 'end', { signal: AbortSignal.timeout(2 * endTimeoutMs) }) : undefined;
    if (status !== 'end') this.redis.disconnect();
    // Where there was nothing to end yet, no event comes.
    await ended?.catch(() => undefined);
  }

  #listen(): void {
    const { redis } = this;
    const onError = (error: Error): void => {
      this.#reason = error;
    };
    // Without listeners ioredis prints errors to the console.
    redis.on('error', onError).on('node error', onError).on('sentinelError', onError);
    redis.on('connecting', () => {
      this.#silentChecks = 0;
    });
    redis.on('ready', () => this.#wake());
    redis.on('close', () => this.#becomeAway());
    redis.on('-node', (node: Redis) => {
      if (redis instanceof Cluster && redis.slots[this.#slot]?.[0] === nodeKey(node)) this.#becomeAway();
    });
    redis.on('+node', () => {
      setImmediate(() => this.#connectMasters());
    });
  }

  /** Connects the masters of a Redis Cluster beforehand: a node that is just being connected to takes no redirected command. */
  #connectMasters(): void {
    if (!(this.redis instanceof Cluster) || this.#state !== 'ready') return;
    for (const node of this.redis.nodes('master')) {
      // What is wrong with a node is told by the events of the cluster.
      if (node.status === 'wait') node.connect().catch(() => undefined);
    }
  }

  #becomeReady(): void {
    const { logger } = this.#options;
    if (this.#state === 'away') logger.info('Redis is back', { redis: describeRedisAddress(this.address) });
    this.#state = 'ready';
    this.#reason = undefined;
    this.#connectMasters();
  }

  #becomeAway(reason?: Error): void {
    if (this.#state !== 'ready') return;
    this.#state = 'away';
    this.#reason ??= reason ?? new Error('the connection was closed');
    const fields = { redis: describeRedisAddress(this.address), reason: this.#reason };
    this.#options.logger.warn('Redis is away: nothing is acknowledged until it is back', fields);
    // Whether somebody waits or not: it is to be seen, and told, that it is back.
    this.whenReady().catch(() => undefined);
  }

  /** Asks until there is an answer. */
  async #verify(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#state === 'new' || this.#state === 'closed') throw new StoreError('The connection to Redis is closed.');
      try {
        await this.#ping();
        this.#becomeReady();
        return;
      } catch (error) {
        this.#becomeAway(error as Error);
        await this.#pause(Math.min(attempt * 10, this.#options.timeoutMs / checksPerTimeout, retryDelayMaxMs));
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #findSlot(): Promise<void> {
    await this.#ping();
    if (this.redis instanceof Cluster) this.#slot = await this.redis.cluster('KEYSLOT', this.#key);
  }

  /** In a Redis Cluster, asks the node that has our keys: the others do not matter. */
  async #ping(): Promise<void> {
    await this.redis.exists(this.#key);
  }

  /**
   * Cuts the connection when no byte arrives for too long while an answer is due, which is always: it asks itself. Checks
   * are counted instead of time, so that a process that was paused first reads what has arrived meanwhile.
   */
  #check(): void {
    const streams = this.#streams();
    const received = streams.reduce((sum, stream) => sum + stream.bytesRead, 0);
    if (received !== this.#received) this.#silentChecks = 0;
    else this.#silentChecks += 1;
    this.#received = received;
    if (this.#silentChecks > checksPerTimeout) {
      this.#silentChecks = 0;
      const error = Object.assign(new Error(`no answer for ${this.#options.timeoutMs} ms`), { code: 'ETIMEDOUT' });
      for (const stream of streams) stream.destroy(error);
    } else if (!this.#pinging && this.#state === 'ready') {
      void this.#keepAlive();
    }
  }

  async #keepAlive(): Promise<void> {
    this.#pinging = true;
    try {
      await this.#ping();
    } catch (error) {
      this.#becomeAway(error as Error);
    } finally {
      this.#pinging = false;
    }
  }

  /** One of our keys; all are in its slot. */
  get #key(): string {
    return `{${this.#options.prefix}}:schema`;
  }

  #streams(): Socket[] {
    const nodes = this.redis instanceof Cluster ? this.redis.nodes() : [this.redis];
    // A node that was not used yet has none, whatever its type says.
    return nodes.map((node) => node.stream as Socket | undefined).filter((stream) => stream !== undefined);
  }
}

/** What the slots of a Redis Cluster call a node. */
function nodeKey({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

type RetryDelay = (attempt: number) => number | null;

/** Options of the connection to one Redis, in a Redis Cluster to each of its nodes. */
function nodeOptions(address: RedisAddress, options: RedisConnectionOptions): RedisOptions {
  return {
    ...(address.username === '' ? {} : { username: address.username }),
    ...(address.password === '' ? {} : { password: address.password }),
    connectionName: options.name,
    disableClientInfo: true,
    connectTimeout: options.timeoutMs,
    disconnectTimeout: endTimeoutMs,
    keepAlive: options.timeoutMs,
    maxLoadingRetryTime: Math.ceil(options.timeoutMs / checksPerTimeout),
    autoResendUnfulfilledCommands: false,
    // Rejects commands when their connection breaks; with null they would wait for an answer for ever.
    maxRetriesPerRequest: 0,
    // A master that became a replica: look for the new one. The command is rejected all the same.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

function redisOf(address: RedisAddress, options: RedisConnectionOptions, delay: RetryDelay): Redis {
  const [first] = address.hosts;
  const place: RedisOptions =
    address.kind === 'single'
      ? { ...first!, ...(address.tls ? { tls: tlsOf(first!.host) } : {}) }
      : {
          sentinels: [...address.hosts],
          name: address.name,
          sentinelRetryStrategy: delay,
          sentinelCommandTimeout: options.timeoutMs,
          ...(address.tls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
        };
  return new Redis({
    ...nodeOptions(address, options),
    ...place,
    db: address.db,
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: delay,
  });
}

function clusterOf(address: RedisAddress, options: RedisConnectionOptions, delay: RetryDelay): Cluster {
  const clusterOptions: ClusterOptions = {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: delay,
    slotsRefreshTimeout: options.timeoutMs,
    // ioredis would send commands again whose connection broke, applied or not.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    redisOptions: { ...nodeOptions(address, options), ...(address.tls ? { tls: {} } : {}) },
    // Certificates are made out to names.
    ...(address.tls ? { dnsLookup: (name, callback) => callback(null, name) } : {}),
  };
  return new Cluster([...address.hosts], clusterOptions);
}

function tlsOf(host: string): ConnectionOptions {
  return isIP(host) === 0 ? { servername: host } : {};
}

/** Why the hosts of Sentinels or of a Redis Cluster cannot be reached, which ioredis keeps to itself; undefined when they can. */
async function diagnose(address: RedisAddress, options: RedisConnectionOptions): Promise<Error | undefined> {
  const login = address.kind === 'sentinel' ? { username: '', password: '' } : {};
  for (const host of address.hosts) {
    const redis = redisOf({ ...address, ...login, kind: 'single', hosts: [host], db: 0 }, options, () => null);
    let reason: Error | undefined;
    redis.on('error', (error: Error) => {
      reason = error;
    });
    await redis.connect().catch(() => undefined);
    if (redis.status !== 'end') redis.disconnect();
    if (reason !== undefined) return reason;
  }
  return undefined;
}
