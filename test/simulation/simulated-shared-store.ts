import type { Clock, Timer } from '../../src/lib/clock.ts';
import { copyMessage } from '../../src/store/copies.ts';
import type {
  AdoptedState,
  Claim,
  Mailbox,
  NodeEvents,
  OwnedState,
  SharedStore,
  Topology,
} from '../../src/store/shared-store.ts';
import {
  type Durability,
  type GroupRecord,
  type Mutation,
  type PostedMessage,
  type QueueRecord,
  StoreError,
  type StoredState,
} from '../../src/store/store.ts';
import type { Random } from '../fakes/random.ts';
import type { MortalClock } from './mortal-clock.ts';
import {
  type CommitCall,
  copyMutation,
  type InboxItem,
  type RoutedBatch,
  ScriptError,
  type SimulatedRedis,
} from './simulated-redis.ts';
import { SimulatedInbox } from './simulated-inbox.ts';
import { CutError, SimulatedLink } from './simulated-link.ts';
import { SimulatedWatch } from './simulated-watch.ts';
import { encodeChangesOf, loadTopology, readSessions } from './simulated-layout.ts';

const IDS_PER_INCARNATION = 2 ** 31;
/** Pause before a call whose connection broke is made again, ms. */
const AGAIN_MS = 100;
/** After how long without a word the owner of a client id is asked again, ms. */
const ASK_AGAIN_MS = 500;
const BEATS_PER_LEASE = 4;
const LOOKS_PER_LEASE = 20;

/** What a node's store is made with. */
export interface NodeStoreOptions {
  readonly nodeId: string;
  readonly redis: SimulatedRedis;
  readonly process: MortalClock;
  /** The clock of the world. */
  readonly clock: Clock;
  readonly random: Random;
  readonly maxDelayMs: number;
  readonly cutChance: number;
  readonly leaseMs: number;
  /** Client ids taken over at a time. */
  readonly clientsAtOnce: number;
  /** Whether the process that had this place is known to have ended. */
  readonly isKnownDead: (nodeId: string) => boolean;
}

/** A batch as the commit script takes it, but for what it says to other nodes. */
type Batch = Pick<CommitCall, 'mutations' | 'fresh' | 'changes'>;
type Word = 'handed-over' | 'refused';

/** The store of a node, over a Redis that outlives it: as src/store/redis/redis-store.ts, with records in place of bytes. */
export class SimulatedSharedStore implements SharedStore {
  readonly durability: Durability = 'durable';
  onBroken: (error: Error) => void = () => {};
  topology: Topology | undefined = undefined;
  events: NodeEvents | undefined = undefined;
  readonly #options: NodeStoreOptions;
  readonly #link: SimulatedLink;
  readonly #inbox: SimulatedInbox;
  readonly #watch: SimulatedWatch;
  incarnation = 0;
  #batch = 0;
  #broken: Error | undefined = undefined;
  #isOpen = false;
  #isClosing = false;
  #isBeating = false;
  #beats: Timer | undefined = undefined;
  #lastCommit: Promise<void> = Promise.resolve();
  #ownVersion = 0;
  #catchingUp: Promise<void> | undefined = undefined;
  #loading: Promise<void> | undefined = undefined;
  /** Highest sequence put so far, by queue. */
  readonly #last: Map<number, number> = new Map();
  /** For each state that is being read for a node that is gone, what was claimed since. */
  readonly #claimed: Set<Set<string>> = new Set();
  readonly #waiting: Map<string, Set<(word: Word | undefined) => void>> = new Map();

  constructor(options: NodeStoreOptions) {
    this.#options = options;
    this.#link = new SimulatedLink(options);
    this.#inbox = new SimulatedInbox({
      redis: options.redis,
      nodeId: options.nodeId,
      link: new SimulatedLink(options),
      process: options.process,
      topology: () => this.topology as Topology,
      loadTopology: () => this.#loadTopology(),
      take: (item) => this.#takeItem(item),
      onTopology: () => {
        this.events?.onTopology();
        this.#look();
        for (const waiting of this.#waiting.values()) for (const tell of waiting) tell(undefined);
      },
      onError: (error) => this.onBroken(this.#break(error)),
    });
    this.#watch = new SimulatedWatch({
      ...options,
      link: this.#link,
      incarnation: () => this.incarnation,
      onAdopted: async ({ clientIds, groups }) => {
        const claimed: Set<string> = new Set();
        this.#claimed.add(claimed);
        try {
          const state = await this.#readAdopted(clientIds, groups);
          await this.events?.onAdopted(state, (clientId) => claimed.has(clientId));
        } finally {
          this.#claimed.delete(claimed);
        }
      },
    });
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }

  async open(): Promise<StoredState & AdoptedState> {
    const { redis, nodeId, leaseMs, isKnownDead } = this.#options;
    for (let looks = 0; this.incarnation === 0; looks++) {
      const dead = isKnownDead(nodeId) ? await this.#again(() => redis.lease(nodeId)?.incarnation) : undefined;
      // A lease that was taken by a call whose answer was lost is this node's as well: it is waited for.
      this.incarnation = await this.#again(() => redis.begin(nodeId, leaseMs, dead));
      if (this.incarnation !== 0) break;
      if (looks > 2 * LOOKS_PER_LEASE) throw new StoreError(`Node ${nodeId} is running already.`);
      await this.#pause(leaseMs / LOOKS_PER_LEASE);
    }
    this.#isOpen = true;
    this.#beatLater();
    const clientIds = await this.#again(() => [...(redis.own.get(nodeId) ?? [])]);
    const groups = await this.#again(() =>
      [...(redis.groups.get(nodeId)?.values() ?? [])].map((group) => ({ ...group })),
    );
    const state = await this.#readAdopted(clientIds, inOrder(groups));
    await this.#loadTopology();
    const retained = await this.#again(() => [...redis.retained.values()].map(copyMessage));
    const mailboxes = await this.readMailboxes([...state.sessions, ...state.groups].map(({ queueId }) => queueId));
    return { ...state, mailboxes, retained, firstQueueId: this.incarnation * IDS_PER_INCARNATION };
  }

  listen(): Promise<void> {
    this.#inbox.start();
    this.#look();
    return Promise.resolve();
  }

  commit(batch: readonly Mutation[]): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const mutations = batch.map(copyMutation);
    const fresh = this.#freshPuts(mutations);
    const isToldAll = (this.topology?.version ?? 0) >= this.#ownVersion;
    const knows: Topology['knows'] = (...subscription) => isToldAll && this.topology?.knows(...subscription) === true;
    const changes = encodeChangesOf(this.nodeId, mutations, knows);
    const commit = this.#lastCommit.then(() => this.#commit({ mutations, fresh, changes }));
    this.#lastCommit = commit.catch(() => {});
    return commit;
  }

  /** Indexes of the puts that the store takes for new entries: it does not look whether they replace others. */
  #freshPuts(mutations: readonly Mutation[]): ReadonlySet<number> {
    const fresh: Set<number> = new Set();
    for (const [index, mutation] of mutations.entries()) {
      if (mutation.kind === 'session-delete' || mutation.kind === 'group-delete' || mutation.kind === 'session-move')
        this.#last.delete(mutation.queueId);
      if (mutation.kind !== 'queue-put') continue;
      const { queueId, sequence } = mutation.record;
      if (sequence <= (this.#last.get(queueId) ?? -1)) continue;
      this.#last.set(queueId, sequence);
      fresh.add(index);
    }
    return fresh;
  }

  async #commit(batch: Batch): Promise<void> {
    const number = this.#batch + 1;
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken;
      try {
        if (!(await this.#send(number, batch))) continue;
        this.#batch = number;
        return;
      } catch (error) {
        if (!(error instanceof CutError)) throw this.#break(error);
        if (this.#isClosing) throw new StoreError('The store was closed before Redis took the batch.');
        await this.#pause(AGAIN_MS);
      }
    }
  }

  /** @returns false where its messages have to be routed anew, which can be done now. */
  async #send(number: number, { mutations, fresh, changes }: Batch): Promise<boolean> {
    const { redis, nodeId } = this.#options;
    const topology = this.topology as Topology;
    const routed = this.#route(mutations, topology);
    const { incarnation } = this;
    // What is applied is not what is kept here: Redis has bytes of its own.
    const own = mutations.map(copyMutation);
    const answer = await this.#link.call(() =>
      redis.commit({ nodeId, incarnation, number, mutations: own, fresh, changes, routed }),
    );
    if ('stale' in answer) {
      if (routed !== undefined && routed.version > answer.stale) throw new ScriptError('lost');
      if (!this.#inbox.takeChanges(answer.newer) || topology.version < answer.stale) await this.#loadTopology();
      this.events?.onTopology();
      return false;
    }
    if (changes.length > 0) {
      this.#ownVersion = answer.made === 0 ? Number.POSITIVE_INFINITY : answer.made;
      if (answer.made !== 0 && answer.made === topology.version + 1) topology.apply(changes, answer.made);
    }
    return true;
  }

  /** What the batch says to other nodes, by what is known now; undefined for nothing. */
  #route(mutations: readonly Mutation[], topology: Topology): RoutedBatch | undefined {
    const posts: PostedMessage[] = [];
    const forwards: Map<string, Extract<InboxItem, { kind: 'forward' }>['messages'][number][]> = new Map();
    const retained: Extract<InboxItem, { kind: 'retained' }>['changes'][number][] = [];
    let isEmpty = true;
    for (const mutation of mutations) {
      if (mutation.kind === 'route') {
        isEmpty = false;
        const { message } = mutation;
        const route = topology.routeOf(mutation);
        for (const head of route.posts) posts.push({ ...head, message });
        for (const { nodeId, shareKeys } of route.nodes)
          forwards.set(nodeId, [...(forwards.get(nodeId) ?? []), { message, shareKeys }]);
      } else if (mutation.kind === 'retained-put')
        retained.push({ topicName: mutation.message.topicName, message: mutation.message });
      else if (mutation.kind === 'retained-delete')
        retained.push({ topicName: mutation.topicName, message: undefined });
    }
    for (const mutation of mutations) {
      if (mutation.kind !== 'post') continue;
      isEmpty = false;
      posts.push({ ...mutation.post, queueId: topology.redirect(mutation.post) });
    }
    if (isEmpty && retained.length === 0) return undefined;
    const nodeIds = [...topology.nodeIds];
    const sends: { nodeId: string; item: InboxItem }[] = [];
    for (const [nodeId, messages] of forwards) sends.push({ nodeId, item: { kind: 'forward', messages } });
    if (retained.length > 0)
      for (const nodeId of nodeIds) sends.push({ nodeId, item: { kind: 'retained', changes: retained } });
    return { version: topology.version, nodeIds, posts, sends };
  }

  async claim(clientId: string, username: string): Promise<Claim | undefined> {
    const { redis, nodeId } = this.#options;
    await this.#lastCommit;
    for (let asked = ''; ; ) {
      const heard = this.#listenTo(clientId);
      try {
        const { incarnation } = this;
        const before = asked;
        const answer = await this.#again(() => redis.claim({ nodeId, incarnation }, clientId, username, before));
        if (answer.isOurs) {
          for (const claimed of this.#claimed) claimed.add(clientId);
          return { tenure: answer.tenure, state: await this.#readAdopted([clientId], []) };
        }
        ({ asked } = answer);
        if ((await heard.word) === 'refused') return undefined;
      } finally {
        heard.stop();
      }
      if (this.#isClosing) throw new StoreError('The store is closing.');
    }
  }

  refuse(clientId: string, nodeId: string): void {
    const { redis } = this.#options;
    this.#link.call(() => redis.tell(nodeId, { kind: 'refused', clientId })).catch(() => {});
  }

  /** Figures are not what is looked at here. */
  shareFigures(figures: string): Promise<ReadonlyMap<string, string>> {
    return Promise.resolve(new Map([[this.nodeId, figures]]));
  }

  async readMailboxes(queueIds: readonly number[]): Promise<readonly Mailbox[]> {
    await this.#lastCommit;
    const { redis } = this.#options;
    const mailboxes = await this.#again(() => queueIds.map((queueId) => redis.mailbox(queueId)));
    return mailboxes.filter(({ lastNumber }) => lastNumber > 0);
  }

  async readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    await this.#lastCommit;
    return this.#again(() => this.#options.redis.readQueue(queueId, afterSequence, limit, maxBytes));
  }

  caughtUp(): Promise<void> {
    this.#catchingUp ??= Promise.resolve().then(async () => {
      this.#catchingUp = undefined;
      await this.#lastCommit;
      const { redis, nodeId } = this.#options;
      const [id, version] = await this.#again(() => [redis.lastInboxId(nodeId), redis.topology] as const);
      await this.#inbox.reached(id, version);
    });
    return this.#catchingUp;
  }

  freeBytes(): number {
    return Number.POSITIVE_INFINITY;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#lastCommit;
    this.#beats?.cancel();
    await this.#inbox.close();
    await this.#watch.close();
    const { redis, nodeId } = this.#options;
    const { incarnation } = this;
    if (this.#broken === undefined) await this.#link.call(() => redis.end(nodeId, incarnation)).catch(() => {});
    this.#isOpen = false;
  }

  /** The process ends: nothing is answered any more; what was sent arrives or not. */
  crash(): void {
    this.#isOpen = false;
    this.#link.crash();
    this.#inbox.crash();
  }

  // ---- parts

  async #readAdopted(clientIds: readonly string[], groups: readonly GroupRecord[]): Promise<OwnedState> {
    const { redis } = this.#options;
    const state = await this.#again(() => readSessions(redis, clientIds));
    const queueIds = [...state.sessions, ...groups].map(({ queueId }) => queueId);
    const queues = await this.#again(() => queueIds.flatMap((queueId) => redis.summary(queueId) ?? []));
    for (const { queueId, lastSequence } of queues) this.#last.set(queueId, lastSequence);
    return { ...state, groups: [...groups], queues };
  }

  #loadTopology(): Promise<void> {
    const { redis } = this.#options;
    this.#loading ??= loadTopology(redis, this.topology as Topology, (work) => this.#again(work)).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  #takeItem(item: InboxItem): void {
    const { events } = this;
    switch (item.kind) {
      case 'posted':
        events?.onPosted(item.messages);
        return;
      case 'forward':
        events?.onForwarded(item.messages);
        return;
      case 'retained':
        for (const { topicName, message } of item.changes) events?.onRetained(topicName, message);
        return;
      case 'wanted':
        this.#watch.onceSettled(() => events?.onWanted(item.wanted));
        return;
      case 'handed-over':
      case 'refused':
        if (this.#waiting.get(item.clientId) === undefined && item.kind === 'handed-over') {
          this.#watch.handOver(item.clientId);
          this.#look();
        }
        for (const tell of this.#waiting.get(item.clientId) ?? []) tell(item.kind);
    }
  }

  #listenTo(clientId: string): { word: Promise<Word | undefined>; stop: () => void } {
    const { promise, resolve } = Promise.withResolvers<Word | undefined>();
    const waiting = this.#waiting.get(clientId) ?? new Set();
    this.#waiting.set(clientId, waiting);
    waiting.add(resolve);
    const timer = this.#options.process.setTimeout(() => resolve(undefined), ASK_AGAIN_MS);
    const stop = (): void => {
      timer.cancel();
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(clientId) === waiting) this.#waiting.delete(clientId);
    };
    return { word: promise, stop };
  }

  /** Asks until the connection does not break. @throws StoreError where the place is lost. */
  async #again<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return await this.#link.call(work);
      } catch (error) {
        if (error instanceof ScriptError) {
          const broken = this.#break(error);
          this.onBroken(broken);
          throw broken;
        }
        if (!(error instanceof CutError) || this.#isClosing) throw error;
        await this.#pause(AGAIN_MS);
      }
    }
  }

  #beatLater(): void {
    const { process, leaseMs } = this.#options;
    this.#beats = process.setTimeout(
      () => {
        this.#beatLater();
        this.#beat();
      },
      Math.ceil(leaseMs / BEATS_PER_LEASE),
    );
  }

  #beat(): void {
    if (!this.#isOpen || this.#isBeating) return;
    this.#isBeating = true;
    const { redis, nodeId, leaseMs } = this.#options;
    const { incarnation } = this;
    this.#link
      .call(() => redis.beat(nodeId, incarnation, leaseMs))
      .then((whose) => {
        if (whose !== 'ours' && this.#isOpen && this.#broken === undefined)
          this.onBroken(this.#break(new ScriptError(whose === 'taken' ? 'fenced' : 'lost')));
        this.#look();
      })
      .catch(() => {})
      .finally(() => {
        this.#isBeating = false;
      });
  }

  #look(): void {
    if (!this.#isOpen || this.#isClosing || this.#broken !== undefined || !this.#inbox.isStarted) return;
    this.#watch.look().catch((error: unknown) => {
      if (error instanceof ScriptError) this.onBroken(this.#break(error));
    });
  }

  #break(error: unknown): Error {
    this.#broken ??= error instanceof Error ? error : new Error(String(error));
    return this.#broken;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.process.setTimeout(resolve, ms));
  }
}

/** Of several parts of one shared subscription, the one that was this node's from the beginning comes first. */
function inOrder(groups: readonly { record: GroupRecord; online: number }[]): GroupRecord[] {
  return groups.toSorted((one, other) => one.online - other.online).map(({ record }) => ({ ...record }));
}
