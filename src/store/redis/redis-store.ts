import { errorText } from '../../lib/error-text.ts';
import type { Logger } from '../../lib/logger.ts';
import { systemClock } from '../../lib/system-clock.ts';
import type { Message } from '../../protocol/message.ts';
import type { AdoptedState, Claim, Mailbox, NodeEvents, OwnedState, SharedStore, Topology } from '../shared-store.ts';
import {
  type Durability,
  type Mutation,
  type QueueRecord,
  StoreError,
  StoreFullError,
  type StoredState,
} from '../store.ts';
import { encodeChanges, type TopologyChange } from '../topology-change.ts';
import type { EncodedBatch } from './batch-writer.ts';
import { FrameWriter } from './inbox-frame.ts';
import { NodePlace } from './node-place.ts';
import type { Adopted } from './node-watch.ts';
import { openInbox, type OpenParts, openParts } from './open-parts.ts';
import type { RedisAddress } from './redis-address.ts';
import { checkRedis } from './redis-check.ts';
import { RedisConnection } from './redis-connection.ts';
import { failureOf } from './redis-errors.ts';
import { RedisKeys } from './redis-keys.ts';
import { applyApart } from './retained-apart.ts';
import { RetainedLayout } from './retained-layout.ts';
import type { Outgoing } from './route-writer.ts';
import { Scripts } from './script-runner.ts';
import { redisTime, ServerClock } from './server-clock.ts';
import type { StreamEntry } from './topology-reader.ts';

/** Ids that one incarnation can draw. */
const IDS_PER_INCARNATION = 2 ** 31;
/** Client ids that are let go of in one batch at start. */
const RELEASED_AT_ONCE = 1_000;
const FULL = 'Redis is at its maxmemory.';

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

/** Keeps everything in Redis, see docs/decisions/0008-redis-store.md. */
export class RedisStore implements SharedStore {
  readonly durability: Durability = 'durable';
  onBroken: (error: Error) => void = () => {};
  topology: Topology | undefined = undefined;
  events: NodeEvents | undefined = undefined;
  readonly #options: RedisStoreOptions;
  readonly #keys: RedisKeys;
  /** The keys that every batch has. */
  readonly #commitKeys: readonly string[];
  #open: OpenParts | undefined;
  #isOpening = false;
  #isClosing = false;
  /** Why nothing can be written any more. */
  #broken: Error | undefined;
  #nextId = 0;
  /** Free bytes below Redis' maxmemory, as of the last look. */
  #free = Number.POSITIVE_INFINITY;
  #lastCommit: Promise<void> = Promise.resolve();
  /** Version of the topology with all changes of this node's that Redis has. */
  #ownVersion = 0;
  #catchingUp: Promise<void> | undefined = undefined;
  /** Nodes that were there when they were looked after last. */
  #watched = '';
  #isBeating = false;
  /** Resolves once the node is told what others do. */
  #listening = Promise.withResolvers<void>();

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#keys = new RedisKeys(options.prefix);
    this.#commitKeys = commitKeys(this.#keys, options.nodeId);
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }

  async open(): Promise<StoredState & AdoptedState> {
    if (this.#open !== undefined || this.#isOpening) throw new StoreError('The store is already open.');
    this.#isOpening = true;
    const { address, prefix, nodeId, waitReplicas, leaseMs, timeoutMs, logger } = this.#options;
    const connection = new RedisConnection(address, { timeoutMs, logger, name: `trellis-${nodeId}`, prefix });
    try {
      await connection.open();
      const { redis } = connection;
      await checkRedis(connection, prefix, logger);
      const scripts = new Scripts(redis);
      const place = new NodePlace(redis, scripts, this.#keys, { nodeId, leaseMs });
      await place.take();
      this.#listening = Promise.withResolvers();
      this.#nextId = 0;
      this.#broken = undefined;
      this.#isClosing = false;
      const now = this.#options.now ?? (() => systemClock.now());
      const times = new ServerClock(() => redisTime(scripts, this.#keys), now);
      await times.measure();
      const retained = new RetainedLayout(address.kind === 'cluster', times);
      const open = openParts({
        connection,
        scripts,
        place,
        times,
        retained,
        keys: this.#keys,
        nodeId,
        waitReplicas,
        leaseMs,
        timeoutMs,
        logger,
        topology: this.topology,
        nextSharedId: () => this.#nextSharedId(),
        isToldAll: () => this.topology !== undefined && this.topology.version >= this.#ownVersion,
        onAdopted: (adopted) => this.#tellAdopted(adopted),
        onBeat: () => this.#beat(),
      });
      this.#open = open;
      const state = await open.replication.confirmed(() => this.#readState(open));
      await open.topologyReader?.load();
      const messages: Message[] = [];
      const onDamaged = (topicName: string, reason: string): void =>
        logger.warn('a retained message in Redis is damaged and left out', { topic: topicName, reason });
      for await (const message of retained.readRetained(redis, onDamaged)) messages.push(message);
      open.sweeper.sweep();
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

  /** All that this node takes care of. Lets go of client ids of which there is nothing. */
  async #readState(open: OpenParts): Promise<AdoptedState> {
    const { state, leftOver } = await open.states.read(this.nodeId);
    for (let at = 0; at < leftOver.length; at += RELEASED_AT_ONCE) {
      const clientIds = leftOver.slice(at, at + RELEASED_AT_ONCE);
      await this.commit(clientIds.map((clientId) => ({ kind: 'client-release', clientId })));
    }
    noteQueues(open, state);
    const queueIds = [...state.sessions, ...state.groups].map(({ queueId }) => queueId);
    return { ...state, mailboxes: await open.mailboxes.read(queueIds) };
  }

  async #tellAdopted(adopted: Adopted): Promise<void> {
    const open = this.#openStore;
    const state = await this.#readAdopted(open, adopted);
    await this.events?.onAdopted(state, (clientId) => open.claims.wasClaimed(clientId));
  }

  async #readAdopted(open: OpenParts, { clientIds, groups }: Adopted): Promise<OwnedState> {
    const state = await open.states.readParts(clientIds, groups);
    noteQueues(open, state);
    return state;
  }

  async listen(): Promise<void> {
    const { address, prefix, waitReplicas, timeoutMs, logger } = this.#options;
    const { topology, events } = this;
    const open = this.#open;
    if (open === undefined || open.topologyReader === undefined || topology === undefined || events === undefined)
      throw new StoreError('The store is not open.');
    open.inbox = openInbox(open, {
      connection: new RedisConnection(address, { timeoutMs, logger, name: `trellis-${this.nodeId}-inbox`, prefix }),
      waitReplicas,
      timeoutMs,
      keys: this.#keys,
      nodeId: this.nodeId,
      topology,
      topologyReader: open.topologyReader,
      logger,
      events,
      onTopology: () => this.#topologyChanged(),
      onUnasked: (clientId) => {
        open.watch.handOver(clientId);
        this.#watch();
      },
      onGone: async () => this.#lose(open, await open.place.beat()),
      onBroken: (error) => this.onBroken(this.#break('broken', error)),
    });
    await open.inbox.start();
    this.#listening.resolve();
    this.#watchChanged();
  }

  async claim(clientId: string, username: string): Promise<Claim | undefined> {
    const claimed = await this.#untilAnswered(async (open) => {
      const answer = await open.claims.claim(clientId, username);
      if (answer === undefined) return undefined;
      return { ...answer, state: await this.#readAdopted(open, { clientIds: [clientId], groups: [] }) };
    });
    if (claimed === undefined) return undefined;
    const { tenure, taken, state } = claimed;
    this.#open?.place.noteTaken(taken);
    return { tenure, state };
  }

  refuse(clientId: string, nodeId: string): void {
    const { nodes } = this.#keys;
    const frame = new FrameWriter().refused(clientId);
    // One who does not hear of it asks again.
    this.#open?.scripts.run('tell', [nodes, this.#keys.inbox(nodeId)], [nodeId, frame]).catch(() => {});
  }

  async readMailboxes(queueIds: readonly number[]): Promise<readonly Mailbox[]> {
    return this.#untilAnswered((open) => open.mailboxes.read(queueIds));
  }

  async shareFigures(figures: string): Promise<ReadonlyMap<string, string>> {
    return this.#openStore.place.shareFigures(figures);
  }

  caughtUp(): Promise<void> {
    // All calls of a turn wait together; who comes later may have to wait for more.
    this.#catchingUp ??= Promise.resolve().then(() => {
      this.#catchingUp = undefined;
      return this.#catchUp();
    });
    return this.#catchingUp;
  }

  async #catchUp(): Promise<void> {
    await this.#listening.promise;
    const keys = [this.#keys.inbox(this.nodeId), this.#keys.topology];
    const progress = await this.#untilAnswered(({ scripts }) => scripts.run('progress', keys, []));
    const [lastId, version] = progress as [string, number];
    await this.#open?.inbox?.reached(lastId, version);
  }

  get #openStore(): OpenParts {
    if (this.#open === undefined) throw new StoreError('The store is not open.');
    return this.#open;
  }

  /** Asks Redis after all batches before, and again until the answer counts. */
  async #untilAnswered<T>(ask: (open: OpenParts) => Promise<T>): Promise<T> {
    const open = this.#openStore;
    await this.#lastCommit;
    for (;;) {
      try {
        return await open.replication.confirmed(() => ask(open));
      } catch (error) {
        if (this.#isClosing || error instanceof StoreError) throw error;
        const failure = failureOf(error);
        if (failure === 'fenced' || failure === 'lost') {
          // A node that writes nothing would not find out by a batch.
          const broken = this.#break(failure, error);
          this.onBroken(broken);
          throw broken;
        }
        if (failure !== 'again') throw error;
        await open.connection.beforeAgain();
      }
    }
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    const open = this.#open;
    if (open === undefined) return Promise.reject(new StoreError('The store is not open.'));
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const encoded = open.writer.encode(batch);
    const outgoing = this.topology === undefined ? undefined : open.routes.outgoing(batch);
    const commit = this.#lastCommit.then(() => this.#commit(open, encoded, outgoing));
    this.#lastCommit = commit.catch(() => {});
    return commit;
  }

  async readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    // Sees every batch committed before.
    return this.#untilAnswered((open) => open.queues.read(queueId, afterSequence, limit, maxBytes));
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
    open.replication.close();
    // A batch that Redis does not take now is given up: nobody was told that it is stored.
    if (!open.connection.isReady) await open.connection.close();
    await this.#lastCommit;
    clearInterval(open.beats);
    open.sweeper.close();
    open.claims.close();
    await open.inbox?.close();
    await open.watch.close();
    this.#open = undefined;
    if (open.connection.isReady && this.#broken === undefined) await open.place.leave().catch(() => {});
    await open.connection.close();
  }

  async #commit(open: OpenParts, encoded: EncodedBatch, outgoing: Outgoing | undefined): Promise<void> {
    const { replication, place } = open;
    const number = place.batch + 1;
    // Set once a call may have been carried out, and once Redis was full after that: then all that is asked is whether it was.
    let mayBeApplied = false;
    let isGivenUp = false;
    /** Version of the topology that the batch made, 0 for none. */
    let made = 0;
    let unsent = 0;
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken;
      try {
        const { line } = replication;
        if (isGivenUp && (await this.#giveUp(open, number))) throw new StoreFullError(FULL);
        if (!isGivenUp) {
          const [last, version, rest] = await this.#send(open, number, encoded, outgoing);
          if (last === -1) {
            await replication.seen(line);
            await this.#learn(open, rest as StreamEntry[]);
            continue;
          }
          // Where it had been applied before, the answer says nothing of either.
          made = version || made;
          unsent = (rest as number) || unsent;
        }
        mayBeApplied = true;
        await replication.written(line);
        await applyApart(open.connection.redis, open.scripts, encoded.apart);
        place.batch = number;
        if (encoded.changes.length > 0) this.#noteOwn(encoded.changes, made);
        if (unsent > 0) this.events?.onUnsent(unsent);
        if (encoded.dropsQueues) open.sweeper.sweep();
        return;
      } catch (error) {
        if (error instanceof StoreError) throw error;
        const failure = failureOf(error);
        if (failure === 'full' && !mayBeApplied) throw new StoreFullError(FULL, { cause: error });
        if (failure !== 'again' && failure !== 'full') throw this.#break(failure, error);
        if (this.#isClosing)
          throw new StoreError('The store was closed before Redis took the batch.', { cause: error });
        mayBeApplied = true;
        if (failure === 'full') isGivenUp = true;
        await open.connection.beforeAgain();
      }
    }
  }

  /** Takes the number of a batch away, unless Redis has applied it. @returns whether it has not, and never will. */
  async #giveUp(open: OpenParts, number: number): Promise<boolean> {
    const isGivenUp =
      (await open.scripts.run('giveUp', [this.#keys.node(this.nodeId)], [open.place.incarnation, number])) === 1;
    if (isGivenUp) open.place.batch = number;
    return isGivenUp;
  }

  /**
   * Calls the commit script. @returns -1, the topology and what of it is not known here where the messages have to be routed
   * anew; or the number of the batch, the topology if it made it, and how many QoS 0 messages were not sent.
   */
  async #send(
    open: OpenParts,
    number: number,
    encoded: EncodedBatch,
    outgoing: Outgoing | undefined,
  ): Promise<[last: number, version: number, rest: number | StreamEntry[]]> {
    const { topology } = this;
    const { changes } = encoded;
    let names = [...this.#commitKeys, ...encoded.keys];
    let { operations } = encoded;
    let version: number | '' = '';
    let nodes: Buffer | '' = '';
    if (outgoing !== undefined && topology !== undefined) {
      const routes = open.routes.encode(outgoing, topology, encoded.keys.length);
      names = [...names, ...routes.keys];
      operations = Buffer.concat([operations, routes.operations]);
      ({ version } = topology);
      ({ nodes } = routes);
    }
    const list = changes.length === 0 ? '' : encodeChanges(changes);
    const answer = (await open.scripts.runBuffer(encoded.needsRoom ? 'commit' : 'commitWhenFull', names, [
      open.place.incarnation,
      number,
      operations,
      version,
      list,
      nodes,
    ])) as [number, number, number | StreamEntry[]];
    // One that Redis knew and does not know any more; what has come since the call may be later.
    if (answer[0] === -1 && Number(version) > answer[1]) throw this.#break('lost', undefined);
    return answer;
  }

  /** Takes over changes of the topology that a batch was too old for. */
  async #learn({ topologyReader }: OpenParts, newer: readonly StreamEntry[]): Promise<void> {
    if (topologyReader === undefined) return;
    // There may be more than came; then the next answer brings them.
    if (newer.length === 0 || !topologyReader.take(newer)) await topologyReader.load();
    this.#topologyChanged();
  }

  /** The own changes of the topology are with the store. @param made the version that has them; 0 where that is not known. */
  #noteOwn(changes: readonly TopologyChange[], made: number): void {
    this.#ownVersion = made === 0 ? Number.POSITIVE_INFINITY : made;
    if (made !== 0 && made - 1 === this.topology?.version) this.topology.apply(changes, made);
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
        if (whose !== 'ours') this.#lose(open, whose);
        this.#watch();
        // Also what a node dropped that ended before it was empty.
        open.sweeper.sweep();
      })
      .catch((error: unknown) => this.#options.logger.debug('a heartbeat to Redis failed', { error: errorText(error) }))
      .finally(() => {
        this.#isBeating = false;
      });
  }

  /** The place of this node, or what it knew of, is not there any more. */
  #lose(open: OpenParts, whose: 'ours' | 'taken' | 'nobody'): void {
    if (this.#open !== open || this.#broken !== undefined) return;
    this.onBroken(this.#break(whose === 'taken' ? 'fenced' : 'lost', undefined));
  }

  #topologyChanged(): void {
    this.events?.onTopology();
    this.#watchChanged();
  }

  /** Looks after the other nodes where one has come or gone; that may have been the owner of a client id that is wanted. */
  #watchChanged(): void {
    const nodes = [...(this.topology?.nodeIds ?? [])].join('\n');
    if (nodes === this.#watched) return;
    this.#watched = nodes;
    this.#open?.claims.wake();
    this.#watch();
  }

  /** Looks after the other nodes, once this node listens to them. */
  #watch(): void {
    const open = this.#open;
    if (open?.inbox === undefined || this.#isClosing || this.#broken !== undefined || !open.connection.isReady) return;
    open.watch.look().catch((error: unknown) => {
      const failure = failureOf(error);
      if (failure === 'fenced' || failure === 'lost') this.onBroken(this.#break(failure, error));
      else this.#options.logger.debug('other nodes are looked after later', { error: errorText(error) });
    });
  }

  async #lookAtMemory({ connection }: OpenParts): Promise<void> {
    const memory = await connection.redis.info('memory');
    const numberOf = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'mu').exec(memory)?.[1] ?? 0);
    const most = numberOf('maxmemory');
    this.#free = most === 0 ? Number.POSITIVE_INFINITY : Math.max(0, most - numberOf('used_memory'));
  }

  #nextSharedId(): number {
    this.#nextId += 1;
    return (this.#open?.place.incarnation ?? 0) * IDS_PER_INCARNATION + this.#nextId;
  }
}

/** Entries of these queues are new only behind those that are there. */
function noteQueues({ writer }: OpenParts, { queues }: OwnedState): void {
  for (const { queueId, lastSequence } of queues) writer.known(queueId, lastSequence);
}

/** The first keys of the commit script, COMMIT_KEYS of them. */
function commitKeys(keys: RedisKeys, nodeId: string): string[] {
  const own = [keys.own(nodeId), keys.groups(nodeId)];
  const shared = [keys.trash, keys.topology, keys.changes, keys.nodes, keys.gone];
  return [keys.node(nodeId), keys.messages, keys.counts, ...own, ...shared, keys.interests(nodeId), keys.tenures];
}
