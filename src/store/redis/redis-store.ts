import { setTimeout as later } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from '../../lib/logger.ts';
import { systemClock } from '../../lib/system-clock.ts';
import type { Message } from '../../protocol/message.ts';
import { RecordReader } from '../record-reader.ts';
import {
  type Durability,
  type Mutation,
  type QueueRecord,
  type Store,
  StoreError,
  StoreFullError,
  type StoredState,
} from '../store.ts';
import { BatchWriter, type EncodedBatch } from './batch-writer.ts';
import { NodePlace } from './node-place.ts';
import { QueueReader } from './queue-reader.ts';
import type { RedisAddress } from './redis-address.ts';
import { checkRedis } from './redis-check.ts';
import { RedisConnection } from './redis-connection.ts';
import { failureOf } from './redis-errors.ts';
import { RedisKeys } from './redis-keys.ts';
import { type RetainedCommand, RetainedLayout } from './retained-layout.ts';
import { Scripts } from './script-runner.ts';
import { redisTime, ServerClock } from './server-clock.ts';
import { StateReader } from './state-reader.ts';
import { errorText } from '../../lib/error-text.ts';

/** Ids that one incarnation can draw. */
const IDS_PER_INCARNATION = 2 ** 31;
/** Entries of a dropped queue that are removed at a time. */
const SWEEP_ENTRIES = 1_000;
/** Pause before a call that Redis could not take is made again, ms. */
const AGAIN_MS = 100;
/** How long WAIT waits for replicas before it is looked at again, at most, ms; and how often it does so per time-out. */
const WAIT_MS = 1_000;
const WAITS_PER_TIMEOUT = 4;

/** What a Redis store is made with. */
export interface RedisStoreOptions {
  readonly address: RedisAddress;
  /** `redis.prefix`. */
  readonly prefix: string;
  readonly nodeId: string;
  /** Replicas that must have a batch before it counts. */
  readonly waitReplicas: number;
  /** How long the place of this node is kept when it is not heard of, ms. */
  readonly leaseMs: number;
  /** After so long without an answer the connection is opened anew, ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** The clock of the times that it is given, ms since the epoch; by default that of the process. */
  readonly now?: () => number;
}

/** Everything that there is once the store is open. */
interface Open {
  readonly connection: RedisConnection;
  readonly scripts: Scripts;
  readonly place: NodePlace;
  readonly writer: BatchWriter;
  readonly queues: QueueReader;
  readonly times: ServerClock;
  readonly beats: NodeJS.Timeout;
}

/** Keeps everything in Redis, see docs/decisions/0008-redis-store.md. */
export class RedisStore implements Store {
  readonly durability: Durability = 'durable';
  onBroken: (error: Error) => void = () => {};
  readonly #options: RedisStoreOptions;
  readonly #keys: RedisKeys;
  #open: Open | undefined;
  #isOpening = false;
  #isClosing = false;
  /** Why nothing can be written any more. */
  #broken: Error | undefined;
  /** Number of the last batch that Redis has. */
  #batch = 0;
  #nextId = 0;
  /** Free bytes below Redis' maxmemory, as of the last look. */
  #free = Number.POSITIVE_INFINITY;
  #lastCommit: Promise<void> = Promise.resolve();
  #isBeating = false;
  #isSweeping = false;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#keys = new RedisKeys(options.prefix);
  }

  async open(): Promise<StoredState> {
    if (this.#open !== undefined || this.#isOpening) throw new StoreError('The store is already open.');
    this.#isOpening = true;
    const { address, prefix, nodeId, leaseMs, timeoutMs, logger } = this.#options;
    const connection = new RedisConnection(address, { timeoutMs, logger, name: `trellis-${nodeId}`, prefix });
    try {
      await connection.open();
      const { redis } = connection;
      await checkRedis(connection, prefix, logger);
      const scripts = new Scripts(redis);
      const place = new NodePlace(redis, scripts, this.#keys, { nodeId, leaseMs });
      await place.take();
      this.#batch = 0;
      this.#nextId = 0;
      this.#broken = undefined;
      this.#isClosing = false;
      const now = this.#options.now ?? (() => systemClock.now());
      const times = new ServerClock(() => redisTime(scripts, this.#keys), now);
      await times.measure();
      const retained = new RetainedLayout(address.kind === 'cluster', times);
      const nextSharedId = (): number => this.#nextSharedId();
      const writer = new BatchWriter({ nodeId, keys: this.#keys, retained, times, nextSharedId });
      const queues = new QueueReader(scripts, this.#keys, times);
      const beats = setInterval(() => this.#beat(), Math.ceil(leaseMs / 4));
      this.#open = { connection, scripts, place, writer, queues, times, beats };
      const reader = new RecordReader(times);
      const state = await new StateReader({ redis, scripts, keys: this.#keys, reader }).read(nodeId);
      for (const { queueId, lastSequence } of state.queues) writer.known(queueId, lastSequence);
      const messages: Message[] = [];
      const onDamaged = (topicName: string, reason: string): void =>
        logger.warn('a retained message in Redis is damaged and left out', { topic: topicName, reason });
      for await (const message of retained.readRetained(redis, onDamaged)) messages.push(message);
      this.#sweep();
      return { ...state, retained: messages, firstQueueId: place.incarnation * IDS_PER_INCARNATION };
    } catch (error) {
      if (this.#open !== undefined) clearInterval(this.#open.beats);
      this.#open = undefined;
      await connection.close();
      throw error instanceof StoreError
        ? error
        : new StoreError(`Redis cannot be used: ${errorText(error)}`, { cause: error });
    } finally {
      this.#isOpening = false;
    }
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    const open = this.#open;
    if (open === undefined) return Promise.reject(new StoreError('The store is not open.'));
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const encoded = open.writer.encode(batch);
    const commit = this.#lastCommit.then(() => this.#commit(open, encoded));
    this.#lastCommit = commit.catch(() => {});
    return commit;
  }

  async readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    const open = this.#open;
    if (open === undefined) throw new StoreError('The store is not open.');
    // Sees every batch committed before.
    await this.#lastCommit;
    for (;;) {
      try {
        return await open.queues.read(queueId, afterSequence, limit, maxBytes);
      } catch (error) {
        if (this.#isClosing || error instanceof StoreError || failureOf(error) !== 'again') throw error;
        await this.#beforeAgain(open);
      }
    }
  }

  /** Whether Redis answers. */
  get isReady(): boolean {
    return this.#open?.connection.isReady === true;
  }

  freeBytes(): number {
    return this.#free;
  }

  async close(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#isClosing = true;
    // A batch that Redis does not take now is given up: nobody was told that it is stored.
    if (!open.connection.isReady) await open.connection.close();
    await this.#lastCommit;
    this.#open = undefined;
    clearInterval(open.beats);
    if (open.connection.isReady && this.#broken === undefined) await open.place.leave().catch(() => {});
    await open.connection.close();
  }

  async #commit(open: Open, encoded: EncodedBatch): Promise<void> {
    const { nodeId, waitReplicas } = this.#options;
    const keys = this.#keys;
    const first = [
      keys.node(nodeId),
      keys.messages,
      keys.counts,
      keys.own(nodeId),
      keys.groups(nodeId),
      keys.trash,
      keys.topology,
      keys.changes,
    ];
    const names = [...first, ...encoded.keys];
    const number = this.#batch + 1;
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken;
      try {
        const { writer } = open.connection;
        const name = encoded.needsRoom ? 'commit' : 'commitWhenFull';
        await open.scripts.run(name, names, [open.place.incarnation, number, encoded.operations, '', '', '']);
        if (waitReplicas > 0) await this.#waitForReplicas(open, writer);
        await applyApart(open, encoded.apart);
        this.#batch = number;
        if (encoded.dropsQueues) this.#sweep();
        return;
      } catch (error) {
        const failure = failureOf(error);
        if (failure === 'full') throw new StoreFullError('Redis is at its maxmemory.', { cause: error });
        if (failure !== 'again') throw this.#break(failure, error);
        if (this.#isClosing)
          throw new StoreError('The store was closed before Redis took the batch.', { cause: error });
        await this.#beforeAgain(open);
      }
    }
  }

  /** @throws Error where the batch may have gone to another than this writer: it is applied again, which WAIT waits for. */
  async #waitForReplicas({ connection }: Open, writer: Redis | undefined): Promise<void> {
    const { waitReplicas, timeoutMs } = this.#options;
    const waitMs = Math.min(WAIT_MS, Math.ceil(timeoutMs / WAITS_PER_TIMEOUT));
    for (;;) {
      if (writer === undefined || writer !== connection.writer) throw new Error('the keys have moved to another Redis');
      if ((await writer.wait(waitReplicas, waitMs)) >= waitReplicas) return;
      if (this.#isClosing) throw new Error('closed before enough replicas had the batch');
    }
  }

  async #beforeAgain(open: Open): Promise<void> {
    if (open.connection.isReady) await later(AGAIN_MS);
    else await open.connection.whenReady();
  }

  #break(failure: 'fenced' | 'lost' | 'broken', error: unknown): Error {
    const sentence = {
      fenced: `Another process has taken the place of node ${this.#options.nodeId}; this one has to end. Give each node a name of its own.`,
      lost: 'Redis has lost what it had acknowledged (after a failover, or a crash without appendfsync always). Start again to go on with what it has.',
      broken: `Redis refused a batch: ${errorText(error)}`,
    }[failure];
    this.#broken ??= new StoreError(sentence, { cause: error });
    return this.#broken;
  }

  #beat(): void {
    const open = this.#open;
    if (open === undefined || !open.connection.isReady || this.#isBeating) return;
    this.#isBeating = true;
    Promise.all([open.place.beat(), this.#lookAtMemory(open), open.times.measure()])
      .then(([whose]) => {
        if (whose === 'ours' || this.#open !== open || this.#broken !== undefined) return;
        this.onBroken(this.#break(whose === 'taken' ? 'fenced' : 'lost', undefined));
      })
      .catch((error: unknown) => this.#options.logger.debug('a heartbeat to Redis failed', { error: errorText(error) }))
      .finally(() => {
        this.#isBeating = false;
      });
  }

  async #lookAtMemory({ connection }: Open): Promise<void> {
    const memory = await connection.redis.info('memory');
    const numberOf = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'mu').exec(memory)?.[1] ?? 0);
    const most = numberOf('maxmemory');
    this.#free = most === 0 ? Number.POSITIVE_INFINITY : Math.max(0, most - numberOf('used_memory'));
  }

  /** Empties queues that were dropped, a piece at a time, until there is none. */
  #sweep(): void {
    const open = this.#open;
    if (open === undefined || this.#isSweeping) return;
    this.#isSweeping = true;
    this.#sweepAll(open)
      .catch((error: unknown) =>
        this.#options.logger.debug('dropped queues are emptied later', { error: errorText(error) }),
      )
      .finally(() => {
        this.#isSweeping = false;
      });
  }

  async #sweepAll(open: Open): Promise<void> {
    const { messages, counts, trash } = this.#keys;
    for (;;) {
      const dropped = await open.connection.redis.srandmember(trash);
      if (dropped === null || this.#open !== open) return;
      await open.scripts.run('sweep', [dropped, messages, counts, trash], [SWEEP_ENTRIES]);
    }
  }

  #nextSharedId(): number {
    this.#nextId += 1;
    return (this.#open?.place.incarnation ?? 0) * IDS_PER_INCARNATION + this.#nextId;
  }
}

/** In a Redis Cluster retained messages lie in slots of their own. Setting one twice is setting it once. */
async function applyApart({ connection }: Open, commands: readonly RetainedCommand[]): Promise<void> {
  const { redis } = connection;
  await Promise.all(
    commands.map((command) => {
      if (command.kind === 'set') return redis.set(command.key, command.value);
      return redis.del(command.key);
    }),
  );
}
