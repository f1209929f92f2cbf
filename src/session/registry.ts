import { type ParsedTopicFilter, parseTopicFilter } from '../protocol/topic.ts';
import { TopicTrie } from '../router/topic-trie.ts';
import type { StoredState, SubscriptionRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import { NEVER_EXPIRES, Session } from './session.ts';
import { ShareGroup } from './share-group.ts';

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
  username: string;
}

/** Told of the life of sessions. */
export interface RegistryOwner {
  onSessionCreated(session: Session): void;
  onSessionEnded(session: Session, reason: string): void;
}

/** All sessions by client id, their subscriptions and groups: creation, resumption, expiry [MQTT-4.1.0-1]. */
export class SessionRegistry {
  readonly #context: SessionContext;
  readonly #owner: RegistryOwner;
  readonly #sessions: Map<string, Session> = new Map();
  readonly #groups: Map<string, ShareGroup> = new Map();
  readonly #onExpired = (session: Session): void => this.end(session, 'expired');
  /** Sessions that the store knows and groups by the queue they own, for entries that come back from the store's path. */
  readonly #queues: Map<number, Session | ShareGroup> = new Map();
  readonly subscriptions: TopicTrie<Session>;
  readonly groupSubscriptions: TopicTrie<ShareGroup>;
  #nextQueueId = 1;

  constructor(context: SessionContext, owner: RegistryOwner) {
    this.#context = context;
    this.#owner = owner;
    this.subscriptions = new TopicTrie({ overlap: context.settings.overlap, cacheMax: MATCH_CACHE_TOPICS });
    this.groupSubscriptions = new TopicTrie({ overlap: 'once', cacheMax: MATCH_CACHE_TOPICS });
  }

  /** Sessions, connected or not. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Subscriptions of all sessions, those in groups included. */
  get subscriptionCount(): number {
    let count = this.subscriptions.size;
    for (const group of this.#groups.values()) count += group.size;
    return count;
  }

  get groupCount(): number {
    return this.#groups.size;
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
    if (existing !== undefined) this.end(existing, 'clean start'); // [MQTT-3.1.2-4]
    const { clientId, epoch, sessionExpiryInterval, username } = request;
    const queueId = this.#nextQueueId++;
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
    const changed =
      session.expiresAt !== Number.POSITIVE_INFINITY ||
      session.sessionExpiryInterval !== request.sessionExpiryInterval ||
      session.username !== request.username;
    session.expiresAt = Number.POSITIVE_INFINITY;
    session.sessionExpiryInterval = request.sessionExpiryInterval;
    session.username = request.username;
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
    if (session.ended) return;
    session.ended = true;
    this.#context.deadlines.cancel(session);
    for (const topicFilter of [...session.subscriptions.keys()]) this.#removeSubscription(session, topicFilter);
    // What came from groups it had left goes to those who are still in them.
    for (const shareKey of session.groupsInFlight()) this.#groups.get(shareKey)?.inherit(session);
    session.closeQueue();
    this.#sessions.delete(session.clientId);
    this.#queues.delete(session.queueId);
    // Also where it is not durable now: it may have been in the past.
    const { clientId, epoch, queueId } = session;
    if (session.stored) this.#context.writePath.add({ kind: 'session-delete', clientId, epoch, queueId });
    this.#owner.onSessionEnded(session, reason);
  }

  /**
   * Adds or replaces a subscription [MQTT-3.8.4-3].
   * @param parsed its topic filter taken apart, where the caller has that.
   * @returns whether it is new.
   */
  subscribe(session: Session, record: SubscriptionRecord, parsed?: ParsedTopicFilter): boolean {
    const isNew = session.addSubscription(record);
    this.#route(session, record, parsed ?? parseTopicFilter(record.topicFilter));
    if (session.durable) {
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
    else this.#group(`${parsed.shareName}/${parsed.filter}`, session.durable).join(session, record);
  }

  #group(shareKey: string, durable: boolean): ShareGroup {
    let group = this.#groups.get(shareKey);
    if (group === undefined) {
      group = new ShareGroup(this.#context, { shareKey, queueId: this.#nextQueueId++ });
      this.#addGroup(group);
    }
    if (durable && !group.stored) {
      group.stored = true;
      this.#context.writePath.add({ kind: 'group-put', record: { shareKey, queueId: group.queue.queueId }, online: 0 });
    }
    return group;
  }

  #addGroup(group: ShareGroup): void {
    this.#groups.set(group.shareKey, group);
    this.#queues.set(group.queue.queueId, group);
    const options = { qos: 2, noLocal: false, retainAsPublished: true, subscriptionIdentifier: 0 } as const;
    this.groupSubscriptions.add(group.topicFilter, group, options);
  }

  /** Removes a subscription. @returns whether it existed. */
  unsubscribe(session: Session, topicFilter: string): boolean {
    if (!this.#removeSubscription(session, topicFilter)) return false;
    if (session.durable) {
      this.#context.writePath.add({ kind: 'subscription-delete', clientId: session.clientId, topicFilter });
    }
    return true;
  }

  #removeSubscription(session: Session, topicFilter: string): boolean {
    if (!session.removeSubscription(topicFilter)) return false;
    const parsed = parseTopicFilter(topicFilter);
    if (parsed === undefined) return true;
    if (parsed.shareName === '') {
      this.subscriptions.remove(parsed.filter, session);
      return true;
    }
    const shareKey = `${parsed.shareName}/${parsed.filter}`;
    const group = this.#groups.get(shareKey);
    if (group === undefined) return true;
    group.leave(session);
    if (group.size > 0) return true;
    group.queue.close();
    this.#groups.delete(shareKey);
    this.#queues.delete(group.queue.queueId);
    this.groupSubscriptions.remove(group.topicFilter, group);
    if (group.stored) this.#context.writePath.add({ kind: 'group-delete', shareKey, queueId: group.queue.queueId });
    return true;
  }

  /** Takes over everything of before a restart. Sessions connected then start to expire now. */
  async restore(state: StoredState): Promise<void> {
    const now = this.#context.clock.now();
    this.#nextQueueId = Math.max(this.#nextQueueId, state.firstQueueId ?? 0);
    for (const record of state.groups) {
      const group = new ShareGroup(this.#context, record);
      group.stored = true;
      this.#addGroup(group);
      this.#nextQueueId = Math.max(this.#nextQueueId, record.queueId + 1);
    }
    for (const record of state.sessions) {
      const session = new Session(this.#context, record);
      session.unread = true;
      this.#add(session);
      this.#queues.set(session.queueId, session);
      this.#nextQueueId = Math.max(this.#nextQueueId, record.queueId + 1);
    }
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
    for (const session of [...this.#sessions.values()]) {
      // What members of groups have in flight must be known, so that others can take it over.
      if (session.groups !== undefined) await session.read();
      if (session.sessionExpiryInterval === 0) this.end(session, 'connection closed by a restart');
      else if (session.expiresAt === Number.POSITIVE_INFINITY) this.disconnect(session);
      else if (session.expiresAt <= now) this.end(session, 'expired');
      else this.#context.deadlines.schedule(session, session.expiresAt);
    }
  }
}
