import { type ParsedTopicFilter, parseTopicFilter } from '../protocol/topic.ts';
import { TopicTrie } from '../router/topic-trie.ts';
import type { AdoptedState, MailboxMessage } from '../store/shared-store.ts';
import { type SessionRecord, type StoredState, type SubscriptionRecord, UNCLAIMED } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import { Interest } from './interest.ts';
import { QueueTable } from './queue-table.ts';
import { NEVER_EXPIRES, Session } from './session.ts';
import type { ShareGroup } from './share-group.ts';
import { ShareGroups } from './share-groups.ts';

/** Client ids of subscriptions from inside begin with it; no client may have one, or it would take them over. */
export const LOCAL_PREFIX = '$local/';

/** Topics whose takers are remembered. */
const MATCH_CACHE_TOPICS = 65_536;

/** What a CONNECT asks of its session. */
export interface SessionRequest {
  clientId: string;
  epoch: number;
  cleanStart: boolean;
  /** Seconds, already limited. */
  sessionExpiryInterval: number;
  /** Who owns it from now on; UNCLAIMED leaves it to who owns it. */
  username: string;
}

/** Told of the life of sessions. */
export interface RegistryOwner {
  onSessionCreated(session: Session): void;
  onSessionEnded(session: Session, reason: string): void;
}

/** What is there at start; `mailboxes` where nodes share the store. */
export type RestoredState = StoredState & Partial<Pick<AdoptedState, 'mailboxes'>>;

/** How sessions of another node are taken over. */
export interface AdoptOptions {
  /** The client ids stay in use whatever becomes of their sessions: a client that connects here has claimed them. */
  readonly isClaimed: boolean;
}

/** What an end of a session is told with. */
interface Ending {
  readonly reason: string;
  /** The client id stays in use. */
  readonly keepsClientIds: boolean;
}

/** All sessions by client id, their subscriptions and groups: creation, resumption, expiry [MQTT-4.1.0-1]. */
export class SessionRegistry {
  readonly #context: SessionContext;
  readonly #owner: RegistryOwner;
  readonly #sessions: Map<string, Session> = new Map();
  readonly #groups: ShareGroups;
  /** Undefined where there are no other nodes. */
  readonly #interest: Interest | undefined;
  readonly #onExpired = (session: Session): void => this.end(session, 'expired');
  /** Sessions that the store knows and groups by the queue they own, for entries that come back from the store's path. */
  readonly #queues: QueueTable = new QueueTable();
  readonly subscriptions: TopicTrie<Session>;

  constructor(context: SessionContext, owner: RegistryOwner) {
    this.#context = context;
    this.#owner = owner;
    this.subscriptions = new TopicTrie({ overlap: context.settings.overlap, cacheMax: MATCH_CACHE_TOPICS });
    this.#groups = new ShareGroups(context, this.#queues, MATCH_CACHE_TOPICS);
    this.#interest = context.neighbours === undefined ? undefined : new Interest(context.writePath);
  }

  /** Sessions, connected or not. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Subscriptions of all sessions, those in groups included. */
  get subscriptionCount(): number {
    return this.subscriptions.size + this.#groups.memberCount;
  }

  /** Bytes in flight to all clients together. */
  get inFlightBytes(): number {
    return this.#context.inFlight.bytes;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  get groupSubscriptions(): TopicTrie<ShareGroup> {
    return this.#groups.trie;
  }

  /** The group of a share key (`share name/topic filter`). */
  group(shareKey: string): ShareGroup | undefined {
    return this.#groups.partOf(shareKey);
  }

  /** The queue of a part here of a shared subscription, with members or without. */
  anyPart(shareKey: string): number | undefined {
    return this.#groups.anyPart(shareKey);
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  /** Whose queue this is. */
  queueOwner(queueId: number): Session | ShareGroup | undefined {
    return this.#queues.get(queueId);
  }

  /**
   * Finds or makes the session of a CONNECT. The connection that had it must have been closed and detached before.
   * @returns the session, and whether it was there [MQTT-3.2.2-2], [MQTT-3.2.2-3].
   */
  open(request: SessionRequest): { session: Session; sessionPresent: boolean } {
    const existing = this.#sessions.get(request.clientId);
    if (existing !== undefined && !request.cleanStart) {
      this.#resume(existing, request); // [MQTT-3.1.2-5]
      return { session: existing, sessionPresent: true };
    }
    if (existing !== undefined) this.#end(existing, { reason: 'clean start', keepsClientIds: true }); // [MQTT-3.1.2-4]
    const { clientId, epoch, sessionExpiryInterval, username } = request;
    const queueId = this.#queues.draw();
    const expiresAt = Number.POSITIVE_INFINITY;
    const session = new Session(this.#context, {
      clientId,
      epoch,
      queueId,
      sessionExpiryInterval,
      expiresAt,
      username,
    });
    this.#add(session);
    if (session.durable) this.#put(session);
    this.#owner.onSessionCreated(session);
    return { session, sessionPresent: false };
  }

  #resume(session: Session, request: SessionRequest): void {
    this.#context.deadlines.cancel(session);
    const username = request.username === UNCLAIMED ? session.username : request.username;
    const changed =
      session.expiresAt !== Number.POSITIVE_INFINITY ||
      session.sessionExpiryInterval !== request.sessionExpiryInterval ||
      session.username !== username;
    session.expiresAt = Number.POSITIVE_INFINITY;
    session.sessionExpiryInterval = request.sessionExpiryInterval;
    session.username = username;
    if (changed) this.#put(session);
  }

  #add(session: Session): void {
    session.onExpired = this.#onExpired;
    this.#sessions.set(session.clientId, session);
  }

  #put(session: Session): void {
    this.#queues.set(session.queueId, session);
    this.#context.writePath.add({ kind: 'session-put', record: session.record });
  }

  /** Changes the Session Expiry Interval, section 3.14.2.2.2; seconds. */
  changeExpiry(session: Session, seconds: number): void {
    session.sessionExpiryInterval = seconds;
    if (session.durable) this.#put(session);
  }

  /** The connection of the session is gone: it ends now, or starts to expire [MQTT-3.1.2-23]. @returns whether it lives on. */
  disconnect(session: Session): boolean {
    session.detach();
    if (session.ended) return false;
    if (!session.durable) {
      this.end(session, 'connection closed');
      return false;
    }
    if (session.sessionExpiryInterval !== NEVER_EXPIRES) {
      session.expiresAt = this.#context.clock.now() + session.sessionExpiryInterval * 1000;
      this.#context.deadlines.schedule(session, session.expiresAt);
      this.#put(session);
    }
    return true;
  }

  /** Ends a session: subscriptions, queue and everything stored of it go. Its connection, if any, is the caller's. */
  end(session: Session, reason: string): void {
    this.#end(session, { reason, keepsClientIds: false });
  }

  #endRestored(session: Session, ending: Ending): void {
    const isExpired = session.sessionExpiryInterval > 0;
    this.#end(session, isExpired ? { ...ending, reason: 'expired' } : ending);
  }

  #end(session: Session, { reason, keepsClientIds }: Ending): void {
    if (session.ended) return;
    session.ended = true;
    this.#context.deadlines.cancel(session);
    for (const topicFilter of [...session.subscriptions.keys()]) this.#removeSubscription(session, topicFilter);
    // What came from groups it had left goes to those who are still in them.
    for (const shareKey of session.groupsInFlight()) this.#groups.inherit(shareKey, session);
    session.closeQueue();
    this.#sessions.delete(session.clientId);
    this.#queues.delete(session.queueId);
    // Also where it is not durable now: it may have been in the past.
    const { clientId, epoch, queueId } = session;
    if (session.stored) this.#context.writePath.add({ kind: 'session-delete', clientId, epoch, queueId });
    this.#owner.onSessionEnded(session, reason);
    if (!keepsClientIds && !clientId.startsWith(LOCAL_PREFIX)) this.#context.neighbours?.letGo(clientId);
  }

  /**
   * Adds or replaces a subscription [MQTT-3.8.4-3].
   * @param parsed its topic filter taken apart, where the caller has that.
   * @returns whether it is new.
   */
  subscribe(session: Session, record: SubscriptionRecord, parsed?: ParsedTopicFilter): boolean {
    const isNew = session.addSubscription(record);
    const filter = parsed ?? parseTopicFilter(record.topicFilter);
    this.#route(session, record, filter);
    if (isNew && !session.stored && filter?.shareName === '') this.#interest?.add(record.topicFilter);
    if (this.#storesSubscriptions(session)) {
      this.#context.writePath.add({
        kind: 'subscription-put',
        clientId: session.clientId,
        queueId: session.queueId,
        record,
      });
    }
    return isNew;
  }

  #route(session: Session, record: SubscriptionRecord, parsed: ParsedTopicFilter | undefined): void {
    if (parsed === undefined) throw new Error(`invalid topic filter ${JSON.stringify(record.topicFilter)}`);
    if (parsed.shareName === '') this.subscriptions.add(parsed.filter, session, record);
    else this.#groups.join(parsed, session, record);
  }

  /** Removes a subscription. @returns whether it existed. */
  unsubscribe(session: Session, topicFilter: string): boolean {
    if (!this.#removeSubscription(session, topicFilter)) return false;
    if (this.#storesSubscriptions(session)) {
      this.#context.writePath.add({ kind: 'subscription-delete', clientId: session.clientId, topicFilter });
    }
    return true;
  }

  #removeSubscription(session: Session, topicFilter: string): boolean {
    if (!session.removeSubscription(topicFilter)) return false;
    const parsed = parseTopicFilter(topicFilter);
    if (parsed === undefined) return true;
    if (parsed.shareName !== '') {
      this.#groups.leave(parsed, session);
      return true;
    }
    this.subscriptions.remove(parsed.filter, session);
    if (!session.stored) this.#interest?.remove(topicFilter);
    return true;
  }

  /** Whether the store knows its subscriptions. Other nodes are told of them as long as it knows the session at all. */
  #storesSubscriptions(session: Session): boolean {
    return this.#context.neighbours === undefined ? session.durable : session.stored;
  }

  /**
   * Takes what other nodes posted for queues here, and out of their mailboxes; queues that are not here any more are left
   * out. That messages come in order, and none comes twice, is the caller's care.
   */
  takePosted(messages: readonly MailboxMessage[]): void {
    const counts = new Map<number, number>();
    for (const posted of messages) {
      const owner = this.#queues.get(posted.queueId);
      if (owner === undefined) continue;
      counts.set(posted.queueId, (counts.get(posted.queueId) ?? 0) + 1);
      owner.deliverPosted(posted);
    }
    for (const [queueId, count] of counts) this.#context.writePath.add({ kind: 'posted-delete', queueId, count });
  }

  /** Hands over what waits in shared subscriptions and nobody here can get; to be called when the topology has changed. */
  handOverGroups(): void {
    this.#groups.handOver();
  }

  /**
   * Lets another node have a stored session, whose connection is gone, with all that is stored of it. Nothing is dropped;
   * its will, if any, is the caller's.
   */
  release(session: Session, nodeId: string): void {
    const { clientId, queueId } = session;
    session.ended = true;
    this.#context.deadlines.cancel(session);
    for (const topicFilter of session.subscriptions.keys()) {
      const parsed = parseTopicFilter(topicFilter);
      if (parsed === undefined) continue;
      if (parsed.shareName === '') this.subscriptions.remove(parsed.filter, session);
      else this.#groups.release(parsed, session);
    }
    session.closeQueue(true);
    this.#sessions.delete(clientId);
    this.#queues.delete(queueId);
    this.#context.neighbours?.wentAway(session);
    this.#context.writePath.add({ kind: 'session-move', clientId, queueId, nodeId });
  }

  /** Takes over everything of before a restart. Sessions connected then start to expire now. */
  async restore(state: RestoredState): Promise<void> {
    const highest = [...state.sessions, ...state.groups].reduce((found, { queueId }) => Math.max(found, queueId), 0);
    this.#queues.drawFrom(state.firstQueueId ?? highest + 1);
    this.#groups.restore(state.groups);
    await this.#takeOver(state, { reason: 'connection closed by a restart', keepsClientIds: false });
  }

  /**
   * Takes over sessions and parts of shared subscriptions of another node. Sessions connected then start to expire now.
   * What waits in the parts goes to other parts of the same shared subscription, as long as their members come, here or on
   * another node, within a minute.
   */
  async adopt(state: Omit<AdoptedState, 'wills'>, options: AdoptOptions): Promise<void> {
    this.#groups.adopt(state.groups);
    const { isClaimed } = options;
    await this.#takeOver(state, { reason: 'connection closed on another node', keepsClientIds: isClaimed });
  }

  async #takeOver(state: Omit<RestoredState, 'wills' | 'retained'>, ending: Ending): Promise<void> {
    const { clock, neighbours, deadlines } = this.#context;
    const now = clock.now();
    const sessions = state.sessions.map((record) => this.#restoreSession(record));
    this.#restoreDetails(state);
    for (const session of sessions) neighbours?.cameHere(session);
    for (const { messages } of state.mailboxes ?? []) this.takePosted(messages);
    for (const session of sessions) {
      if (session.sessionExpiryInterval === 0 || session.expiresAt <= now) {
        // Members of groups end below, unless a client comes for them meanwhile.
        if (session.groups === undefined) this.#endRestored(session, ending);
        else session.expiresAt = Math.min(session.expiresAt, now);
      } else if (session.expiresAt === Number.POSITIVE_INFINITY) this.disconnect(session);
      else deadlines.schedule(session, session.expiresAt);
    }
    for (const session of sessions) {
      if (session.ended || session.groups === undefined) continue;
      // What members of groups have in flight must be known, so that others can take it over.
      await session.read();
      if (session.ended) continue;
      if (session.expiresAt <= now) this.#endRestored(session, ending);
      else if (neighbours !== undefined && session.link === undefined)
        for (const group of session.groups) group.onMemberOffline(session);
    }
    this.#groups.settle();
  }

  #restoreSession(record: SessionRecord): Session {
    const session = new Session(this.#context, record);
    session.stored = true; // also where it was to end with its connection
    session.unread = true;
    this.#add(session);
    this.#queues.set(session.queueId, session);
    return session;
  }

  #restoreDetails(state: Pick<StoredState, 'subscriptions' | 'inbound' | 'queues'>): void {
    for (const { clientId, record } of state.subscriptions) {
      const session = this.#sessions.get(clientId);
      if (session === undefined) continue;
      session.addSubscription(record);
      this.#route(session, record, parseTopicFilter(record.topicFilter));
    }
    for (const { clientId, packetId } of state.inbound) {
      const session = this.#sessions.get(clientId);
      if (session === undefined) continue;
      session.inbound ??= new Map();
      session.inbound.set(packetId, 0);
    }
    for (const summary of state.queues) this.#queues.get(summary.queueId)?.queue.restore(summary);
  }
}
