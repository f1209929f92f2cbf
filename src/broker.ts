import { randomBytes } from 'node:crypto';
import { captureRejectionSymbol, EventEmitter } from 'node:events';
import { type BrokerParts, SILENT } from './broker-parts.ts';
import { ClusterTopics } from './admin/cluster-topics.ts';
import { type SysFigures, SysTopics } from './admin/sys-topics.ts';
import type { Cluster } from './cluster/cluster.ts';
import { NodeCluster } from './cluster/node-cluster.ts';
import { SingleNode } from './cluster/single-node.ts';
import { exposedListeners, exposureSentence } from './config/check.ts';
import { type Config, ConfigError, connectionSettings, sessionSettings } from './config.ts';
import type { Access } from './connection/access.ts';
import { provesIdentities } from './connection/claim.ts';
import { Connection } from './connection/connection.ts';
import { ConnectionTable } from './connection/connection-table.ts';
import { type ConnectionContext, type EventSink, noTraffic } from './connection/context.ts';
import { sayGoodbye } from './connection/drain.ts';
import { addressOf, enforceBans } from './connection/enforce-bans.ts';
import { InFlightSweep } from './connection/in-flight-sweep.ts';
import { inTurns } from './connection/in-turns.ts';
import { publishWill } from './connection/publish-will.ts';
import { reviewAll } from './connection/review-rights.ts';
import { type BrokerCounters, readCounters, sysFiguresOf } from './counters.ts';
import type { BrokerEvents, Hooks } from './hooks/hooks.ts';
import type { Clock } from './lib/clock.ts';
import { DeadlineHeap } from './lib/deadline-heap.ts';
import { type FileStates, lookAt } from './lib/file-watch.ts';
import { hostOf } from './lib/ip-address.ts';
import type { Logger } from './lib/logger.ts';
import { systemClock } from './lib/system-clock.ts';
import { type BanRequest, banNow } from './local-ban.ts';
import type { Ban, BanKind } from './limits/ban-lines.ts';
import { BanBook } from './limits/ban-book.ts';
import type { Guard } from './limits/guard.ts';
import { openListeners, tlsFiles } from './listeners.ts';
import { BrokerNode } from './node-broker.ts';
import { type OutgoingMessage, publishLocally } from './local-publish.ts';
import { LocalSubscription, type MessageListener, subscribeLocally } from './local-subscription.ts';
import { makeGuard } from './make-guard.ts';
import { Message } from './protocol/message.ts';
import { PublishFrame } from './protocol/publish.ts';
import { ReasonCode } from './protocol/reason-codes.ts';
import { parseTopicFilter } from './protocol/topic.ts';
import { Books } from './session/books.ts';
import type { SessionContext } from './session/context.ts';
import { Dispatcher } from './session/dispatcher.ts';
import { InFlightBudget } from './session/in-flight-budget.ts';
import { LOCAL_PREFIX, SessionRegistry } from './session/registry.ts';
import { RetainedMessages } from './session/retained-messages.ts';
import type { Session } from './session/session.ts';
import { Wills } from './session/wills.ts';
import { WritePath } from './session/write-path.ts';
import { type AdoptedState, isShared } from './store/shared-store.ts';
import type { Store, StoredState } from './store/store.ts';
import { Reloader } from './reloader.ts';
import { openSecurity, type Security } from './security.ts';
import { makeStore } from './stores.ts';
import { Tick } from './tick.ts';
import type { ByteStream, Listener } from './transport/byte-stream.ts';

/** A running broker: what the parts are wired to, and the API of an embedding program. */
export class Broker implements EventSink {
  readonly config: Config;
  /** What it listens on. */
  listeners: readonly Listener[] = [];
  readonly #events: EventEmitter<BrokerEvents> = new EventEmitter({ captureRejections: true });
  /** Resolves when the broker cannot keep its promises any more; it acknowledges nothing from then on. */
  readonly fatal: Promise<Error>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #store: Store;
  readonly #hooks: Hooks;
  readonly #access: Access | undefined;
  readonly #security: Security | undefined;
  #reloader: Reloader | undefined = undefined;
  readonly #tick: Tick;
  readonly #deadlines: DeadlineHeap;
  readonly #books: Books = new Books();
  readonly #writePath: WritePath;
  readonly #session: SessionContext;
  readonly #registry: SessionRegistry;
  readonly #retained: RetainedMessages;
  readonly #dispatcher: Dispatcher;
  readonly #wills: Wills;
  readonly #connections: ConnectionTable = new ConnectionTable();
  readonly #bans: BanBook;
  readonly #guard: Guard;
  readonly #context: ConnectionContext;
  readonly #sys: SysTopics;
  readonly #startedAt: number;
  readonly #cluster: Cluster;
  /** Where nodes share the store. */
  readonly #node: NodeCluster | undefined;
  readonly #sweep: InFlightSweep;
  #nextLocal = 1;
  #expiredSessions = 0;
  #onFatal: (error: Error) => void = () => {};
  #state: 'running' | 'failed' | 'closing' | 'closed' = 'running';
  #closing: Promise<void> | undefined = undefined;

  /** Wires the parts; `startBroker` does the rest. */
  constructor(config: Config, store: Store, parts: BrokerParts) {
    this.config = config;
    this.#clock = parts.clock ?? systemClock;
    this.#logger = parts.logger ?? SILENT;
    this.#security = parts.security;
    this.#hooks = parts.security?.hooks ?? parts.hooks ?? {};
    this.#access = parts.access ?? parts.security?.access;
    this.#store = store;
    store.onBroken = (error) => this.#fail(error);
    this.#startedAt = this.#clock.now();
    this.#events[captureRejectionSymbol] = (error, event) => this.#listenerFailed(String(event), error);
    this.fatal = new Promise((resolve) => {
      this.#onFatal = resolve;
    });
    this.#bans = parts.security?.bans ?? BanBook.empty(this.#clock);
    this.#guard = makeGuard(config, {
      bans: this.#bans.list,
      clock: this.#clock,
      logger: this.#logger,
      memoryUsed: parts.memoryUsed,
      makeRoom: () => this.#connections.makeRoom(),
      onRelief: () => this.#unlessItFails(inTurns(this.#connections, this.#clock, (connection) => connection.readOn())),
    });
    this.#sweep = new InFlightSweep(this.#connections, this.#clock);
    this.#tick = new Tick(this.#clock, config.limits.writeDelayMs);
    this.#tick.memory = this.#guard.memory;
    this.#deadlines = new DeadlineHeap(this.#clock, (error) => this.#fail(error));
    this.#writePath = new WritePath(this.#store, this.#clock, config.store.minFreeBytes, {
      onWork: () => this.#tick.wake(),
      onFatal: (error) => this.#fail(error),
      onRouteLost: (message) => this.#dispatcher.giveUp(message),
      onInboundLost: (clientId, packetId) => this.#registry.get(clientId)?.inbound?.delete(packetId),
      onEntryLost: (entry) => this.#registry.queueOwner(entry.queueId)?.forget(entry),
    });
    this.#tick.writePath = this.#writePath;
    this.#writePath.failpoint = parts.failpoint;
    if (this.#store.durability !== 'memory') this.#writePath.holdMs = config.store.holdMs;
    this.#node = this.#makeNode();
    this.#cluster = this.#node ?? new SingleNode();
    const settings = sessionSettings(config);
    this.#session = {
      neighbours: this.#node,
      waitingMemory: { bytes: 0 },
      inFlight: new InFlightBudget(settings.inFlightBytesMax, () => this.#guard.counters.count('in-flight-bytes')),
      settings,
      clock: this.#clock,
      deadlines: this.#deadlines,
      store: this.#store,
      writePath: this.#writePath,
      books: this.#books,
      onFatal: (error) => this.#fail(error),
      keep: (keeper) => this.#tick.keep(keeper),
      noteInFlight: () => this.#sweep.soon(),
      random: parts.random ?? Math.random,
    };
    this.#registry = new SessionRegistry(this.#session, {
      onSessionCreated: (session) => {
        if (this.hears('sessionCreated')) this.emit('sessionCreated', session.clientId);
      },
      onSessionEnded: (session, reason) => this.#onSessionEnded(session, reason),
    });
    this.#retained = new RetainedMessages(this.#session);
    this.#dispatcher = new Dispatcher(this.#session, this.#registry, this.#retained);
    const onDone = (clientId: string): void => this.#cluster.willDone(clientId);
    const onFatal = (error: unknown): void => this.#fail(error);
    this.#wills = new Wills(this.#session, (owner, will) =>
      publishWill({ context: this.#context, onDone, onFatal }, owner, will),
    );
    this.#context = this.#connectionContext();
    this.#tick.traffic = this.#context.traffic;
    this.#sys = new SysTopics(
      this.#clock,
      config.admin.sysIntervalSeconds,
      () => this.#sysFigures(),
      (topicName, payload) => this.#publishSys(topicName, payload),
    );
    if (isShared(store))
      this.#sys.cluster = new ClusterTopics(
        (figures) => store.shareFigures(figures),
        (topicName, payload) => this.#publishSys(topicName, payload),
        this.#logger,
      );
    this.#books.onDrop = (clientId, topicName, reason) => {
      if (this.hears('messageDropped')) this.emit('messageDropped', clientId, topicName, reason);
    };
  }

  #makeNode(): NodeCluster | undefined {
    const store = this.#store;
    if (!isShared(store)) return undefined;
    const broker = new BrokerNode(() => ({
      writePath: this.#writePath,
      registry: this.#registry,
      dispatcher: this.#dispatcher,
      retained: this.#retained,
      wills: this.#wills,
      connections: this.#connections,
      books: this.#books,
      knowsUsers: provesIdentities(this.#hooks),
      fail: (error) => this.#fail(error),
    }));
    const node = new NodeCluster(store, broker, { overlap: sessionSettings(this.config).overlap });
    store.topology = node;
    store.events = node;
    return node;
  }

  #connectionContext(): ConnectionContext {
    return {
      settings: connectionSettings(this.config),
      session: this.#session,
      clock: this.#clock,
      deadlines: this.#deadlines,
      writePath: this.#writePath,
      books: this.#books,
      registry: this.#registry,
      dispatcher: this.#dispatcher,
      retained: this.#retained,
      wills: this.#wills,
      connections: this.#connections,
      guard: this.#guard,
      hooks: this.#hooks,
      access: this.#access,
      isKnown: (client) => this.#security?.isKnown(client) !== false,
      events: this,
      logger: this.#logger,
      scheduler: this.#tick,
      clientIds: this.#cluster,
      assignClientId: () => `trellis-${randomBytes(12).toString('hex')}`,
      traffic: noTraffic(),
      frame: new PublishFrame(),
    };
  }

  /** Opens the store, takes over what is in it, and listens. @throws StoreError, ConfigError, errors of the listeners. */
  async start(): Promise<void> {
    this.#checkExposure();
    const state = await this.#store.open();
    try {
      await this.#restore(state);
      const listenerFiles = await lookAt(tlsFiles(this.config));
      this.listeners = await openListeners(this.config, {
        onStream: (stream) => this.accept(stream),
        turnsAway: (address) => this.#guard.turnsAway(address),
        onError: (error) => this.#logger.error('a listener has trouble', { error: error.message }),
        onWarning: (sentence) => this.#logger.warn(sentence),
        onRefused: (remote, reason, isFailure) => this.#refused(remote, reason, isFailure),
      });
      await this.#watchFiles(listenerFiles);
    } catch (error) {
      for (const listener of this.listeners) await listener.close();
      this.#stopTimers();
      await this.#store.close();
      throw error;
    }
    this.#sys.start();
    // Who has too little memory from the start finds that in the log before anybody is refused.
    this.#guard.memory?.look(this.#clock.now());
    this.emit(
      'listening',
      this.listeners.map(({ url }) => url),
    );
  }

  #refused(remoteAddress: string, reason: string, isFailure: boolean): void {
    if (isFailure) this.#guard.noteFailure(hostOf(remoteAddress));
    this.#logger.info('connection refused before CONNECT', { remote: remoteAddress, reason });
    if (this.hears('connectionRefused')) this.emit('connectionRefused', remoteAddress, reason);
  }

  async #watchFiles(listenerFiles: FileStates): Promise<void> {
    if (this.#security === undefined) return;
    this.#reloader = new Reloader({
      security: this.#security,
      listeners: this.listeners,
      listenerFiles,
      clock: this.#clock,
      logger: this.#logger,
      onRights: async () => {
        await enforceBans(this.#context);
        await this.rightsChanged();
      },
    });
    await this.#reloader.ready();
  }

  /**
   * Reads the files of users, access rules, certificates and keys anew, as happens by itself when they change.
   * @returns whether all could be used; what could not stays as it was, and the log says why.
   */
  reload(): Promise<boolean> {
    return this.#reloader?.reload() ?? Promise.resolve(true);
  }

  #checkExposure(): void {
    if (this.#hooks.authenticate !== undefined) return;
    const exposed = exposedListeners(this.config);
    if (exposed.length > 0) throw new ConfigError(exposed.map(exposureSentence));
  }

  async #restore(state: StoredState & Partial<AdoptedState>): Promise<void> {
    this.#writePath.start();
    this.#retained.restore(state.retained);
    this.#node?.restore(state);
    await this.#registry.restore(state);
    this.#writePath.failpoint?.reach('restore');
    this.#wills.restore(state.wills, (clientId) => this.#registry.get(clientId));
    await this.#writePath.drained();
    if (isShared(this.#store)) await this.#store.listen();
    this.#writePath.failpoint?.reach('restored');
  }

  /** Takes in a stream as a new connection; for transports of the embedding program's own. */
  accept(stream: ByteStream): void {
    if (this.#state !== 'running') {
      stream.destroy();
      return;
    }
    const admission = this.#guard.admit(addressOf(stream));
    if (typeof admission !== 'string') {
      stream.attach(new Connection(this.#context, stream, admission));
      return;
    }
    if (this.hears('connectionRefused')) this.emit('connectionRefused', stream.remoteAddress, admission);
    stream.destroy();
  }

  /** Publishes from inside. @returns once it is as durable as a client's acknowledgement would mean. @throws RangeError for an invalid topic name or a refusal for lack of room. */
  async publish(message: OutgoingMessage): Promise<void> {
    if (this.#state !== 'running') throw new Error('the broker is not running');
    await publishLocally(this.#context, message);
  }

  /** Subscribes from inside, with QoS 0 or 1; retained messages come first. @returns what ends it. @throws RangeError for an invalid topic filter. */
  subscribe(topicFilter: string, listener: MessageListener, options: { qos?: 0 | 1 } = {}): () => void {
    if (parseTopicFilter(topicFilter) === undefined)
      throw new RangeError(`invalid topic filter ${JSON.stringify(topicFilter)}`);
    if (this.#state !== 'running') throw new Error('the broker is not running');
    const onError = (error: unknown): void =>
      this.#logger.error('a listener of the embedding program failed', { error: String(error) });
    const link = new LocalSubscription(this.#clock, listener, onError);
    const clientId = `${LOCAL_PREFIX}${this.#nextLocal++}`;
    return subscribeLocally(this.#context, link, { clientId, topicFilter, qos: options.qos ?? 0 });
  }

  /** Ends the connection of a client, telling an MQTT 5.0 one the reason. @returns whether there was one. */
  disconnect(
    clientId: string,
    reasonCode: ReasonCode = ReasonCode.administrativeAction,
    reason = 'ended by the administrator',
  ): boolean {
    const connection = this.#connections.owner(clientId);
    connection?.close(reasonCode, reason);
    return connection !== undefined;
  }

  /**
   * To be called when what `access` says has changed: subscriptions that are not allowed any more end, and what waits or is
   * in flight goes out as far as it may. Sessions without a connection are looked at when their client comes back.
   * @returns when all clients that are connected have been looked at.
   */
  rightsChanged(): Promise<void> {
    return reviewAll(this.#context);
  }

  /**
   * Lets nobody connect who is meant, and ends the connections of those who are there; written into limits.banFile, if any.
   * @returns how many connections have ended. @throws RangeError for what is no ban, Error where the file cannot be
   * written: the ban holds until the file is read again.
   */
  ban(request: BanRequest): Promise<number> {
    return banNow(request, this.#bans, this.#context);
  }

  /** Ends a ban. @returns whether there was one. @throws Error where limits.banFile cannot be written. */
  unban(kind: BanKind, value: string): Promise<boolean> {
    return this.#bans.remove(kind, value);
  }

  /** The bans in force. */
  bans(): Ban[] {
    return this.#bans.list.list();
  }

  /** All counters, as they are now. */
  counters(): BrokerCounters {
    return readCounters(this.#context);
  }

  /** Has the listener called on each event of that name. */
  on<Name extends keyof BrokerEvents>(name: Name, listener: (...args: BrokerEvents[Name]) => void): this {
    this.#events.on(name, listener as (...args: unknown[]) => void);
    return this;
  }

  /** Ends what `on` began. */
  off<Name extends keyof BrokerEvents>(name: Name, listener: (...args: BrokerEvents[Name]) => void): this {
    this.#events.off(name, listener as (...args: unknown[]) => void);
    return this;
  }

  emit<Name extends keyof BrokerEvents>(name: Name, ...args: BrokerEvents[Name]): void {
    try {
      (this.#events.emit as (name: string, ...args: unknown[]) => boolean).call(this.#events, name, ...args);
    } catch (error) {
      this.#listenerFailed(name, error);
    }
  }

  #listenerFailed(event: string, error: unknown): void {
    this.#logger.error('a listener of the embedding program failed', { event, error: String(error) });
  }

  hears(name: keyof BrokerEvents): boolean {
    return this.#events.listenerCount(name) > 0;
  }

  /** Ends the broker: no new connections, clients told (0x8B, or 0x9C and where to go), what is due flushed, the store closed. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const failed = this.#state === 'failed';
    this.#state = 'closing';
    this.#reloader?.close();
    for (const listener of this.listeners) await listener.close();
    this.#sys.close();
    if (!failed) await this.#withinDrainTime(this.#writePath.drained());
    await sayGoodbye(
      this.#connections,
      this.#clock,
      this.config.store.type === 'redis' ? this.config.cluster : undefined,
    );
    await this.#withinDrainTime(this.#connections.empty());
    for (const connection of [...this.#connections]) connection.stream.destroy();
    if (!failed) await this.#withinDrainTime(this.#writePath.drained());
    this.#stopTimers();
    // Nothing is acknowledged any more: what others still want of a store that closes fails, and is no fault.
    this.#state = 'closed';
    await this.#store.close();
  }

  async #withinDrainTime(work: Promise<void>): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = this.#clock.setTimeout(timeout.resolve, this.config.admin.drainTimeoutMs);
    await Promise.race([work, timeout.promise]);
    timer.cancel();
  }

  #stopTimers(): void {
    this.#sweep.close();
    this.#guard.close();
    this.#writePath.close();
    this.#deadlines.close();
  }

  #unlessItFails(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  /** Nothing is acknowledged any more: connections end without a word that could be taken for one. */
  #fail(error: unknown): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#state = 'failed';
    const fatal = error instanceof Error ? error : new Error(String(error));
    this.#logger.error('the broker cannot keep its promises any more and ends', {
      error: fatal.stack ?? fatal.message,
    });
    for (const connection of [...this.#connections]) connection.stream.destroy();
    this.emit('fatal', fatal);
    this.#onFatal(fatal);
  }

  #onSessionEnded(session: Session, reason: string): void {
    if (reason === 'expired') this.#expiredSessions += 1;
    this.#node?.sessionEnded(session);
    this.#wills.sessionEnded(session.clientId);
    if (this.hears('sessionEnded')) this.emit('sessionEnded', session.clientId, reason);
  }

  #publishSys(topicName: string, payload: string): void {
    this.#dispatcher.publish(new Message({ topicName, payload: Buffer.from(payload), qos: 0, retain: true }));
  }

  #sysFigures(): SysFigures {
    const uptimeSeconds = Math.round((this.#clock.now() - this.#startedAt) / 1000);
    return sysFiguresOf(this.counters(), uptimeSeconds, this.#expiredSessions);
  }
}

/**
 * Starts a broker: reads who clients are and what they may do, opens the store, takes over what is in it, and listens.
 * @throws Error of files that cannot be used, StoreError, ConfigError, errors of the listeners.
 */
export async function startBroker(config: Config, parts: BrokerParts = {}): Promise<Broker> {
  const { clock = systemClock, logger = SILENT, hooks = {} } = parts;
  const security = parts.security ?? (await openSecurity(config, { clock, logger, hooks }));
  try {
    const store = parts.store ?? (await makeStore(config, logger));
    const broker = new Broker(config, store, { ...parts, security });
    await broker.start();
    return broker;
  } catch (error) {
    security.close();
    throw error;
  }
}
