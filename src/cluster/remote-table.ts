import type { Message } from '../protocol/message.ts';
import { MatchCache } from '../router/match-cache.ts';
import { type SubscriptionTaker, takerList, type TrieSubscription } from '../router/taker.ts';
import { hasWildcard, TopicTrie } from '../router/topic-trie.ts';
import type { SubscriptionRecord } from '../store/store.ts';
import {
  NO_TARGETS,
  type RemoteShare,
  type RemoteSharePart,
  type RemoteTargets,
  TopicMatch,
} from './remote-targets.ts';
import { type KnownNode, StoredSession } from './stored-session.ts';
import { ENDING, NO_MEMBERS, type TopologyChange } from '../store/topology-change.ts';

/** Topics whose targets are remembered; fewer than of local takers, as targets are larger. */
const MATCH_CACHE_TOPICS = 16_384;

/** Of a route or a share nothing counts but its topic filter. */
const WHATEVER: TrieSubscription = { qos: 2, noLocal: false, retainAsPublished: true, subscriptionIdentifier: 0 };

/** The choices of the configuration that say who gets what; as for the sessions of this node. */
export interface RemoteTableSettings {
  /** One copy with the highest QoS for overlapping subscriptions, or one for each. */
  overlap: 'once' | 'per-subscription';
}

/** The parts that other nodes have of a shared subscription. */
interface KnownShare {
  readonly topicFilter: string;
  /** By queue id. */
  readonly parts: Map<number, RemoteSharePart>;
  /** What matches are given; a new one with every change. */
  share: RemoteShare;
}

/**
 * Who takes messages on the other nodes: stored sessions, routes and shares, as their changes tell, and where a message
 * has to go.
 *
 * Stored sessions that are here are known as well, but match nothing: when one moves to another node, the change does not
 * repeat its subscriptions. That one is here is not told by the changes but by `setHere`, as it may take a while to come. Each kind of taker has a trie of its own. What they find together is kept by topic name and
 * dropped as `TopicTrie` drops its matches; one taker alone, as where many devices publish to names of their own and one
 * service listens to all, is kept by that taker, and nothing is not kept. A change costs what it changes: sessions know
 * their subscriptions, nodes their routes and shares.
 */
export class RemoteTable {
  readonly #ownNodeId: string;
  readonly #settings: RemoteTableSettings;
  readonly #isHere: (clientId: string, queueId: number) => boolean;
  readonly #hasPart: (queueId: number) => boolean;
  readonly #nodeIds = new Set<string>();
  readonly #sessions = new Map<string, StoredSession>();
  readonly #nodes = new Map<string, KnownNode>();
  readonly #shares = new Map<string, KnownShare>();
  readonly #cache = new MatchCache<TopicMatch>(MATCH_CACHE_TOPICS);
  /** Matches that found one taker alone, by that taker: they are the same for every topic name. */
  readonly #single = new Map<SubscriptionTaker<object>, TopicMatch>();
  #subscriptionTrie: TopicTrie<StoredSession>;
  #routeTrie: TopicTrie<KnownNode>;
  #shareTrie: TopicTrie<KnownShare>;
  #version = 0;
  /** The last match and its topic name; undefined after a change, and where nothing matched. */
  #last: TopicMatch | undefined = undefined;
  #lastName = '';

  /**
   * @param ownNodeId the node whose routes and shares are not remote.
   * @param isHere whether a stored session is on this node; asked when it is first heard of.
   * @param hasPart whether the queue of a part of a shared subscription is on this node.
   */
  constructor(
    ownNodeId: string,
    settings: RemoteTableSettings,
    isHere: (clientId: string, queueId: number) => boolean,
    hasPart: (queueId: number) => boolean = () => true,
  ) {
    this.#ownNodeId = ownNodeId;
    this.#settings = settings;
    this.#isHere = isHere;
    this.#hasPart = hasPart;
    this.#subscriptionTrie = this.#newTrie(settings.overlap);
    this.#routeTrie = this.#newTrie('once');
    this.#shareTrie = this.#newTrie('once');
  }

  /** Version of the topology that it knows; 0 when it knows nothing. */
  get version(): number {
    return this.#version;
  }

  /**
   * Takes over changes, in their order; their records are kept and must not be changed any more. That none is left out,
   * and none comes again after later ones, is the caller's care.
   *
   * @param version of the topology with these changes; the same one several times when they come in parts.
   * @throws Error for a version before the one it knows.
   */
  apply(changes: readonly TopologyChange[], version: number): void {
    if (version < this.#version) throw new Error(`topology version ${version} comes after ${this.#version}`);
    for (const change of changes) this.#applyOne(change);
    this.#version = version;
  }

  /** Nodes that are there. */
  get nodeIds(): ReadonlySet<string> {
    return this.#nodeIds;
  }

  /** Whether a subscription is known as it is. */
  knows(clientId: string, queueId: number, record: SubscriptionRecord): boolean {
    const session = this.#sessions.get(clientId);
    const known = session?.queueId === queueId ? session.find(record.topicFilter) : undefined;
    return known !== undefined && isSame(known, record);
  }

  /** The parts that other nodes have of a shared subscription; undefined for none. */
  share(shareKey: string): RemoteShare | undefined {
    return this.#shares.get(shareKey)?.share;
  }

  /** Notes whether a stored session is on this node. */
  setHere(clientId: string, isHere: boolean): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined || session.isHere === isHere) return;
    session.isHere = isHere;
    for (const record of session.subscriptions()) {
      if (isHere) this.#unsubscribe(session, record.topicFilter);
      else this.#subscribe(session, record);
    }
  }

  /** Notes that a part of a shared subscription has come to this node. */
  partCame(shareKey: string, queueId: number): void {
    this.#deleteShare(shareKey, queueId);
  }

  /** Forgets everything. */
  clear(): void {
    this.#version = 0;
    this.#nodeIds.clear();
    this.#sessions.clear();
    this.#nodes.clear();
    this.#shares.clear();
    this.#subscriptionTrie = this.#newTrie(this.#settings.overlap);
    this.#routeTrie = this.#newTrie('once');
    this.#shareTrie = this.#newTrie('once');
    this.#cache.clear();
    this.#single.clear();
    this.#last = undefined;
  }

  /** Finds where a message has to go beside the takers of this node. */
  match(message: Message): RemoteTargets {
    const { topicName } = message;
    if (this.#last !== undefined && this.#lastName === topicName) return this.#last.targetsOf(message);
    const known = this.#cache.size > 0 ? this.#cache.get(topicName) : undefined;
    const match = known ?? this.#find(topicName);
    if (match === undefined) return NO_TARGETS;
    this.#last = match;
    this.#lastName = topicName;
    return match.targetsOf(message);
  }

  #find(topicName: string): TopicMatch | undefined {
    const takers = takerList(this.#subscriptionTrie.match(topicName));
    const routes = takerList(this.#routeTrie.match(topicName));
    const shares = takerList(this.#shareTrie.match(topicName));
    const count = takers.length + routes.length + shares.length;
    if (count === 0) return undefined;
    const only = count === 1 ? (takers[0] ?? routes[0] ?? shares[0]) : undefined;
    const known = only === undefined ? undefined : this.#single.get(only);
    if (known !== undefined) return known;
    const match = new TopicMatch(
      takers,
      routes.map(({ subscriber }) => subscriber.nodeId),
      shares.map(({ subscriber }) => subscriber.share),
    );
    if (only === undefined) {
      this.#cache.set(topicName, match);
    } else {
      if (this.#single.size >= MATCH_CACHE_TOPICS) this.#single.clear();
      this.#single.set(only, match);
    }
    return match;
  }

  #applyOne(change: TopologyChange): void {
    switch (change.kind) {
      case 'subscription-put':
        this.#putSubscription(this.#sessionOf(change.clientId, change.nodeId, change.queueId), change.record);
        break;
      case 'subscription-delete':
        this.#deleteSubscription(change.clientId, change.topicFilter);
        break;
      case 'session-delete':
        this.#deleteSession(change.clientId);
        break;
      case 'session-moved':
        this.#moveSession(this.#sessions.get(change.clientId), change.nodeId);
        break;
      case 'route-put':
        this.#putRoute(change.nodeId, change.topicFilter);
        break;
      case 'route-delete':
        this.#deleteRoute(change.nodeId, change.topicFilter);
        break;
      case 'share-put':
        this.#putShare(change.shareKey, change.nodeId, change.queueId, change.online);
        break;
      case 'share-delete':
        this.#deleteShare(change.shareKey, change.queueId);
        break;
      case 'node-put':
        this.#startNode(change.nodeId);
        break;
      case 'node-delete':
        this.#deleteNode(change.nodeId);
        break;
    }
  }

  /** Finds or makes a session. One with another queue is another session: the former one has ended. */
  #sessionOf(clientId: string, nodeId: string, queueId: number): StoredSession {
    const known = this.#sessions.get(clientId);
    if (known !== undefined && known.queueId === queueId) {
      this.#moveSession(known, nodeId);
      return known;
    }
    if (known !== undefined) this.#deleteSession(clientId);
    const session = new StoredSession(clientId, queueId, this.#nodeOf(nodeId));
    session.isHere = this.#isHere(clientId, queueId);
    session.node.sessions++;
    this.#sessions.set(clientId, session);
    return session;
  }

  #putSubscription(session: StoredSession, record: SubscriptionRecord): void {
    const former = session.put(record);
    // Clients subscribe again to the same when they come back: nothing found is dropped for that.
    if (!session.isHere && !(former !== undefined && isSame(former, record))) this.#subscribe(session, record);
  }

  #deleteSubscription(clientId: string, topicFilter: string): void {
    const session = this.#sessions.get(clientId);
    if (session?.delete(topicFilter) !== true) return;
    if (!session.isHere) this.#unsubscribe(session, topicFilter);
    if (session.size === 0) this.#forgetSession(session);
  }

  #deleteSession(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    if (!session.isHere) {
      for (const { topicFilter } of session.subscriptions()) this.#unsubscribe(session, topicFilter);
    }
    this.#forgetSession(session);
  }

  #forgetSession(session: StoredSession): void {
    this.#sessions.delete(session.clientId);
    session.node.sessions--;
    this.#forgetIfIdle(session.node);
  }

  #moveSession(session: StoredSession | undefined, nodeId: string): void {
    if (session === undefined || session.node.nodeId === nodeId) return;
    const former = session.node;
    session.node = this.#nodeOf(nodeId);
    session.node.sessions++;
    former.sessions--;
    this.#forgetIfIdle(former);
    if (session.isHere) return;
    for (const { topicFilter } of session.subscriptions()) this.#changed(topicFilter); // same taker, other node
  }

  #subscribe(session: StoredSession, record: SubscriptionRecord): void {
    this.#subscriptionTrie.add(record.topicFilter, session, record);
    this.#changed(record.topicFilter);
  }

  #unsubscribe(session: StoredSession, topicFilter: string): void {
    this.#subscriptionTrie.remove(topicFilter, session);
    this.#changed(topicFilter);
  }

  #putRoute(nodeId: string, topicFilter: string): void {
    if (nodeId === this.#ownNodeId) return;
    const node = this.#nodeOf(nodeId);
    node.routes.add(topicFilter);
    if (this.#routeTrie.add(topicFilter, node, WHATEVER)) this.#changed(topicFilter);
  }

  #deleteRoute(nodeId: string, topicFilter: string): void {
    const node = this.#nodes.get(nodeId);
    if (node?.routes.delete(topicFilter) !== true) return;
    this.#routeTrie.remove(topicFilter, node);
    this.#changed(topicFilter);
    this.#forgetIfIdle(node);
  }

  #putShare(shareKey: string, nodeId: string, queueId: number, online: number): void {
    if (nodeId === this.#ownNodeId) {
      // It may have been another node's, which is gone. Until it is here it is like any other.
      if (this.#hasPart(queueId)) {
        this.#deleteShare(shareKey, queueId);
        return;
      }
    }
    if (online === ENDING) {
      this.#deleteShare(shareKey, queueId);
      return;
    }
    const node = this.#nodeOf(nodeId);
    const known = this.#shares.get(shareKey) ?? this.#newShare(shareKey);
    const part = known.parts.get(queueId);
    const isOrphan = online === NO_MEMBERS;
    const members = isOrphan ? 0 : online;
    if (part?.nodeId === nodeId && part.isOrphan === isOrphan && part.online === members) return;
    node.shareKeys.add(shareKey);
    known.parts.set(queueId, { nodeId: node.nodeId, queueId, online: members, isOrphan });
    if (part !== undefined && part.nodeId !== nodeId) this.#forgetPart(known, part.nodeId);
    this.#shareChanged(known);
  }

  /** Notes that a node has a part less of a shared subscription. */
  #forgetPart({ parts, share }: KnownShare, nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || [...parts.values()].some((part) => part.nodeId === nodeId)) return;
    node.shareKeys.delete(share.shareKey);
    this.#forgetIfIdle(node);
  }

  #newShare(shareKey: string): KnownShare {
    const topicFilter = shareKey.slice(shareKey.indexOf('/') + 1);
    const known: KnownShare = { topicFilter, parts: new Map(), share: { shareKey, parts: [] } };
    this.#shares.set(shareKey, known);
    this.#shareTrie.add(topicFilter, known, WHATEVER);
    return known;
  }

  #deleteShare(shareKey: string, queueId: number): void {
    const known = this.#shares.get(shareKey);
    const part = known?.parts.get(queueId);
    if (known === undefined || part === undefined) return;
    known.parts.delete(queueId);
    this.#forgetPart(known, part.nodeId);
    if (known.parts.size === 0) {
      this.#shares.delete(shareKey);
      this.#shareTrie.remove(known.topicFilter, known);
    }
    this.#shareChanged(known);
  }

  #shareChanged(known: KnownShare): void {
    known.share = { shareKey: known.share.shareKey, parts: [...known.parts.values()] };
    this.#changed(known.topicFilter);
  }

  #startNode(nodeId: string): void {
    this.#nodeIds.add(nodeId);
    this.#endNode(nodeId);
  }

  #deleteNode(nodeId: string): void {
    this.#nodeIds.delete(nodeId);
    this.#endNode(nodeId);
  }

  /**
   * Its routes go. Its stored sessions and its parts of shared subscriptions have their queues in the store and go on
   * collecting messages there, the parts where there are no others.
   */
  #endNode(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    for (const topicFilter of [...node.routes]) this.#deleteRoute(nodeId, topicFilter);
    for (const shareKey of node.shareKeys) {
      for (const part of [...(this.#shares.get(shareKey)?.parts.values() ?? [])])
        if (part.nodeId === nodeId) this.#putShare(shareKey, nodeId, part.queueId, NO_MEMBERS);
    }
  }

  #nodeOf(nodeId: string): KnownNode {
    let node = this.#nodes.get(nodeId);
    if (node === undefined) {
      node = { nodeId, sessions: 0, routes: new Set(), shareKeys: new Set() };
      this.#nodes.set(nodeId, node);
    }
    return node;
  }

  #forgetIfIdle(node: KnownNode): void {
    if (node.sessions === 0 && node.routes.size === 0 && node.shareKeys.size === 0) this.#nodes.delete(node.nodeId);
  }

  #newTrie<S extends object>(overlap: RemoteTableSettings['overlap']): TopicTrie<S> {
    return new TopicTrie({ overlap, cacheMax: MATCH_CACHE_TOPICS });
  }

  #changed(topicFilter: string): void {
    this.#last = undefined;
    if (this.#single.size > 0) this.#single.clear();
    if (hasWildcard(topicFilter)) this.#cache.clear();
    else if (this.#cache.size > 0) this.#cache.delete(topicFilter);
  }
}

/** Whether both subscriptions mean the same for messages to come. */
function isSame(a: SubscriptionRecord, b: SubscriptionRecord): boolean {
  return (
    a.qos === b.qos &&
    a.noLocal === b.noLocal &&
    a.retainAsPublished === b.retainAsPublished &&
    a.subscriptionIdentifier === b.subscriptionIdentifier
  );
}
