import { copyMessage, copyQueueRecord, copyWillRecord } from '../../src/store/copies.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { Mailbox, MailboxMessage, WantedClient } from '../../src/store/shared-store.ts';
import type {
  GroupRecord,
  Mutation,
  PostedMessage,
  QueueRecord,
  QueueSummary,
  SessionRecord,
  SubscriptionRecord,
  WillRecord,
} from '../../src/store/store.ts';
import { NO_MEMBERS, type TopologyChange } from '../../src/store/topology-change.ts';

/** The hash of a session. */
export interface SessionHash {
  owner: string | undefined;
  /** Another one each time that there is an owner. */
  tenure: number;
  record: SessionRecord | undefined;
  readonly subscriptions: Map<string, SubscriptionRecord>;
  readonly inbound: Set<number>;
  will: WillRecord | undefined;
}

/** The keys of a queue. */
export interface QueueKeys {
  owner: string | undefined;
  /** Number of the last message posted. */
  posted: number;
  readonly entries: Map<number, QueueRecord>;
  readonly mailbox: MailboxMessage[];
}

/** What nodes put into each other's inboxes. */
export type InboxItem =
  | { kind: 'posted'; messages: readonly MailboxMessage[] }
  | { kind: 'forward'; messages: readonly { message: Message; shareKeys: readonly string[] }[] }
  | { kind: 'retained'; changes: readonly { topicName: string; message: Message | undefined }[] }
  | { kind: 'wanted'; wanted: WantedClient }
  | { kind: 'handed-over'; clientId: string }
  | { kind: 'refused'; clientId: string };

/** An entry of the stream of changes. */
export interface ChangeEntry {
  readonly version: number;
  readonly changes: readonly TopologyChange[];
}

/** A group as the hash of a node's groups holds it. */
export interface StoredGroup {
  readonly record: GroupRecord;
  online: number;
}

/** What a batch says to other nodes, by the version of the topology it was routed with. */
export interface RoutedBatch {
  readonly version: number;
  readonly nodeIds: readonly string[];
  readonly posts: readonly PostedMessage[];
  readonly sends: readonly { readonly nodeId: string; readonly item: InboxItem }[];
}

/** A call of the commit script. */
export interface CommitCall {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly number: number;
  readonly mutations: readonly Mutation[];
  /** Indexes of puts that replace nothing. */
  readonly fresh: ReadonlySet<number>;
  readonly changes: readonly TopologyChange[];
  readonly routed: RoutedBatch | undefined;
}

/** What the commit script answers: `made` is the version of the topology that this batch made, 0 for none. */
export type CommitAnswer = { made: number } | { stale: number; newer: readonly ChangeEntry[] };

/** What a script refuses for good. */
export class ScriptError extends Error {
  readonly failure: 'fenced' | 'lost';

  constructor(failure: 'fenced' | 'lost') {
    super(failure === 'fenced' ? 'FENCED the place of this node is taken' : 'LOST what was acknowledged');
    this.failure = failure;
  }
}

interface NodeHash {
  readonly incarnation: number;
  batch: number;
  adoptCall: number;
  adopted: AdoptAnswer | undefined;
}

/** What the script that takes over the belongings of a node answers. */
export interface AdoptAnswer {
  readonly clientIds: readonly string[];
  readonly groups: readonly GroupRecord[];
  readonly more: boolean;
}

/**
 * The Redis that nodes share: each method is one script, or one command, of src/store/redis, and does what that does.
 * Values are kept as records instead of bytes. There is one clock, and it never loses anything.
 */
export class SimulatedRedis {
  readonly #now: () => number;
  /** Changes that the stream keeps. */
  readonly #changesMax: number;
  #incarnations = 0;
  #tenures = 0;
  #lastEntryId = 0;
  topology = 0;
  readonly nodes: Set<string> = new Set();
  readonly gone: Set<string> = new Set();
  readonly sessions: Map<string, SessionHash> = new Map();
  readonly queues: Map<number, QueueKeys> = new Map();
  readonly own: Map<string, Set<string>> = new Map();
  readonly groups: Map<string, Map<number, StoredGroup>> = new Map();
  readonly interests: Map<string, Set<string>> = new Map();
  readonly retained: Map<string, Message> = new Map();
  readonly inboxes: Map<string, { id: number; item: InboxItem }[]> = new Map();
  readonly #nodeHashes: Map<string, NodeHash> = new Map();
  readonly #leases: Map<string, { incarnation: number; until: number }> = new Map();
  #changes: ChangeEntry[] = [];
  /** Told when something was added to a stream, by node id. */
  readonly onStream: Map<string, () => void> = new Map();

  readonly #note: (line: string) => void;

  /**
   * @param now its clock, ms since the epoch.
   * @param note told what happens, for a trace.
   */
  constructor(now: () => number, changesMax: number, note: (line: string) => void) {
    this.#now = now;
    this.#changesMax = changesMax;
    this.#note = note;
  }

  // ---- places

  begin(nodeId: string, leaseMs: number, deadLease: number | undefined): number {
    const lease = this.lease(nodeId);
    if (lease !== undefined && lease.incarnation !== deadLease) return 0;
    this.#incarnations += 1;
    const incarnation = this.#incarnations;
    this.inboxes.delete(nodeId);
    this.interests.delete(nodeId);
    this.#nodeHashes.set(nodeId, { incarnation, batch: 0, adoptCall: 0, adopted: undefined });
    this.#leases.set(nodeId, { incarnation, until: this.#now() + leaseMs });
    this.nodes.add(nodeId);
    this.gone.delete(nodeId);
    this.#change([{ kind: 'node-put', nodeId }]);
    return incarnation;
  }

  beat(nodeId: string, incarnation: number, leaseMs: number): 'ours' | 'taken' | 'nobody' {
    const node = this.#nodeHashes.get(nodeId);
    if (node === undefined) return 'nobody';
    if (node.incarnation !== incarnation) return 'taken';
    this.#leases.set(nodeId, { incarnation, until: this.#now() + leaseMs });
    return 'ours';
  }

  end(nodeId: string, incarnation: number): void {
    if (this.#nodeHashes.get(nodeId)?.incarnation !== incarnation) return;
    this.#nodeHashes.delete(nodeId);
    this.#leases.delete(nodeId);
    this.inboxes.delete(nodeId);
    this.interests.delete(nodeId);
    this.nodes.delete(nodeId);
    if (this.own.has(nodeId) || this.groups.has(nodeId)) this.gone.add(nodeId);
    this.#change([{ kind: 'node-delete', nodeId }]);
  }

  fence(nodeId: string, incarnation: number, other: string, deadLease: number | undefined): void {
    this.#checkFence(nodeId, incarnation);
    const lease = this.lease(other);
    if (lease !== undefined && lease.incarnation !== deadLease) return;
    if (!this.nodes.delete(other)) return;
    this.#leases.delete(other);
    this.inboxes.delete(other);
    this.interests.delete(other);
    this.#incarnations += 1;
    this.#nodeHashes.set(other, { incarnation: this.#incarnations, batch: 0, adoptCall: 0, adopted: undefined });
    this.gone.add(other);
    this.#change([{ kind: 'node-delete', nodeId: other }]);
  }

  lease(nodeId: string): { incarnation: number; until: number } | undefined {
    const lease = this.#leases.get(nodeId);
    return lease === undefined || lease.until <= this.#now() ? undefined : lease;
  }

  adopt(nodeId: string, incarnation: number, other: string, clientsMax: number, call: number): AdoptAnswer {
    const node = this.#checkFence(nodeId, incarnation);
    if (node.adoptCall === call && node.adopted !== undefined) return node.adopted;
    const answer = this.#adopt(nodeId, other, clientsMax);
    this.#note(`${nodeId} adopts of ${other} ${answer.clientIds.join(' ')}`);
    for (const { shareKey, queueId } of answer.groups) this.#note(`  and part ${queueId} of ${shareKey}`);
    node.adoptCall = call;
    node.adopted = answer;
    return answer;
  }

  #adopt(nodeId: string, other: string, clientsMax: number): AdoptAnswer {
    if (this.nodes.has(other)) return { clientIds: [], groups: [], more: false };
    const left = this.own.get(other) ?? new Set();
    const clientIds: string[] = [];
    const moved: TopologyChange[] = [];
    for (const clientId of [...left].slice(0, clientsMax)) {
      left.delete(clientId);
      const session = this.sessions.get(clientId);
      if (session?.record !== undefined) {
        this.#take(session, nodeId);
        moved.push({ kind: 'session-moved', clientId, nodeId });
      } else if (session?.will !== undefined) {
        session.owner = nodeId;
      } else if (session !== undefined) {
        session.owner = undefined;
        this.#forgetIfEmpty(clientId);
      }
      if (!this.sessions.has(clientId)) continue;
      this.#ownOf(nodeId).add(clientId);
      clientIds.push(clientId);
    }
    if (left.size === 0) this.own.delete(other);
    if (left.size > 0) {
      if (moved.length > 0) this.#change(moved);
      return { clientIds, groups: [], more: true };
    }
    const groups: GroupRecord[] = [];
    for (const [queueId, { record }] of this.groups.get(other) ?? []) {
      groups.push({ ...record });
      this.#groupsOf(nodeId).set(queueId, { record, online: NO_MEMBERS });
      moved.push({ kind: 'share-put', nodeId, ...record, online: NO_MEMBERS });
      this.#queueOf(queueId).owner = nodeId;
    }
    this.groups.delete(other);
    this.gone.delete(other);
    if (moved.length > 0) this.#change(moved);
    return { clientIds, groups, more: false };
  }

  /** @param asked whom was asked before. */
  claim(
    node: { nodeId: string; incarnation: number },
    clientId: string,
    username: string,
    asked: string,
  ): { isOurs: boolean; tenure: number; asked: string } {
    const { nodeId } = node;
    this.#checkFence(nodeId, node.incarnation);
    const owner = this.sessions.get(clientId)?.owner;
    const tenure = this.sessions.get(clientId)?.tenure ?? 0;
    if (owner === nodeId) return { isOurs: true, tenure, asked };
    this.#note(`${nodeId} claims ${clientId} of ${owner}`);
    if (owner !== undefined && this.nodes.has(owner)) {
      const token = `${tenure}:${this.#nodeHashes.get(owner)?.incarnation}`;
      if (token !== asked) this.#send(owner, { kind: 'wanted', wanted: { clientId, nodeId, username, tenure } });
      return { isOurs: false, tenure, asked: token };
    }
    if (owner !== undefined) this.#disown(owner, clientId);
    this.#ownOf(nodeId).add(clientId);
    if (this.#take(this.#sessionOf(clientId), nodeId)) this.#change([{ kind: 'session-moved', clientId, nodeId }]);
    return { isOurs: true, tenure: this.#sessionOf(clientId).tenure, asked };
  }

  isOwner(nodeId: string, incarnation: number, clientId: string): boolean {
    this.#checkFence(nodeId, incarnation);
    return this.sessions.get(clientId)?.owner === nodeId;
  }

  tell(nodeId: string, item: InboxItem): void {
    if (this.nodes.has(nodeId)) this.#send(nodeId, item);
  }

  // ---- reading

  /** Entries of the changes and of an inbox behind these; undefined where there are none. */
  readStreams(
    nodeId: string,
    version: number,
    lastId: number,
    limit: number,
  ): { changes: readonly ChangeEntry[]; items: readonly { id: number; item: InboxItem }[] } | undefined {
    const changes = this.#changes.filter((entry) => entry.version > version).slice(0, limit);
    const items = (this.inboxes.get(nodeId) ?? []).filter(({ id }) => id > lastId).slice(0, limit);
    return changes.length + items.length === 0 ? undefined : { changes, items: items.map(copyEntry) };
  }

  changesSince(version: number): readonly ChangeEntry[] {
    return this.#changes.filter((entry) => entry.version > version);
  }

  trimInbox(nodeId: string, firstId: number): void {
    const inbox = this.inboxes.get(nodeId);
    if (inbox === undefined) return;
    this.inboxes.set(
      nodeId,
      inbox.filter(({ id }) => id >= firstId),
    );
  }

  lastInboxId(nodeId: string): number {
    return this.inboxes.get(nodeId)?.at(-1)?.id ?? 0;
  }

  mailbox(queueId: number): Mailbox {
    const queue = this.queues.get(queueId);
    return { queueId, lastNumber: queue?.posted ?? 0, messages: (queue?.mailbox ?? []).map(copyPosted) };
  }

  summary(queueId: number): QueueSummary | undefined {
    const records = [...(this.queues.get(queueId)?.entries.values() ?? [])];
    if (records.length === 0) return undefined;
    const sequences = records.map(({ sequence }) => sequence);
    return {
      queueId,
      count: records.length,
      bytes: records.reduce((sum, { message }) => sum + message.size, 0),
      firstSequence: Math.min(...sequences),
      lastSequence: Math.max(...sequences),
    };
  }

  readQueue(queueId: number, afterSequence: number, limit: number, maxBytes: number): QueueRecord[] {
    const found: QueueRecord[] = [];
    let bytes = 0;
    const records = [...(this.queues.get(queueId)?.entries.values() ?? [])];
    for (const record of records.sort((one, other) => one.sequence - other.sequence)) {
      if (record.sequence <= afterSequence) continue;
      bytes += record.message.size;
      if (found.length >= limit || (found.length > 0 && bytes > maxBytes)) break;
      found.push(copyQueueRecord(record, copyMessage(record.message)));
    }
    return found;
  }

  // ---- writing

  commit(call: CommitCall): CommitAnswer {
    const { nodeId, routed, changes } = call;
    const node = this.#checkFence(nodeId, call.incarnation);
    if (call.number > node.batch + 1) throw new ScriptError('lost');
    if (call.number > node.batch && routed !== undefined && routed.version !== this.topology)
      return { stale: this.topology, newer: this.#changes.filter(({ version }) => version > routed.version) };
    if (call.number <= node.batch) return { made: 0 };
    node.batch = call.number;
    for (const [index, mutation] of call.mutations.entries()) {
      if (call.fresh.has(index)) this.#checkFresh(mutation);
      this.#note(`${nodeId} ${describe(mutation)}`);
      this.#apply(nodeId, mutation);
    }
    if (routed !== undefined) this.#route(routed);
    return { made: changes.length === 0 ? 0 : this.#change(changes) };
  }

  /** Redis would hold both entries. */
  #checkFresh(mutation: Mutation): void {
    if (mutation.kind !== 'queue-put') return;
    const { queueId, sequence } = mutation.record;
    if (this.queues.get(queueId)?.entries.has(sequence) === true)
      throw new Error(`queue ${queueId} has an entry ${sequence} already`);
  }

  #route({ posts, sends, nodeIds }: RoutedBatch): void {
    const news: Map<string, MailboxMessage[]> = new Map();
    for (const post of posts) {
      const queue = this.queues.get(post.queueId);
      if (queue?.owner === undefined) continue;
      queue.posted += 1;
      const message: MailboxMessage = { ...post, number: queue.posted };
      queue.mailbox.push(message);
      this.#note(`post ${message.number} for queue ${post.queueId} of ${queue.owner}: ${textOf(post.message)}`);
      news.set(queue.owner, [...(news.get(queue.owner) ?? []), message]);
    }
    for (const { nodeId, item } of sends) this.#send(nodeId, item);
    for (const nodeId of nodeIds) {
      const messages = news.get(nodeId);
      if (messages !== undefined) this.#send(nodeId, { kind: 'posted', messages });
    }
  }

  #apply(nodeId: string, mutation: Mutation): void {
    switch (mutation.kind) {
      case 'session-put': {
        const session = this.#fieldOf(nodeId, mutation.record.clientId, ({ record }) => record === undefined);
        session.record = mutation.record;
        session.owner = nodeId;
        this.#queueOf(mutation.record.queueId).owner = nodeId;
        return;
      }
      case 'session-delete':
        this.#deleteSession(nodeId, mutation.clientId);
        this.queues.delete(mutation.queueId);
        return;
      case 'subscription-put': {
        const { clientId, record } = mutation;
        const session = this.#fieldOf(nodeId, clientId, (old) => !old.subscriptions.has(record.topicFilter));
        session.subscriptions.set(record.topicFilter, record);
        return;
      }
      case 'subscription-delete':
        this.#fieldDelete(nodeId, mutation.clientId, ({ subscriptions }) => subscriptions.delete(mutation.topicFilter));
        return;
      case 'inbound-put': {
        const { packetId } = mutation;
        this.#fieldOf(nodeId, mutation.clientId, ({ inbound }) => !inbound.has(packetId)).inbound.add(packetId);
        return;
      }
      case 'inbound-delete':
        this.#fieldDelete(nodeId, mutation.clientId, ({ inbound }) => inbound.delete(mutation.packetId));
        return;
      case 'will-put': {
        const { record } = mutation;
        this.#fieldOf(nodeId, record.clientId, ({ will }) => will === undefined).will = record;
        return;
      }
      case 'will-delete':
        this.#fieldDelete(nodeId, mutation.clientId, (session) => {
          const was = session.will !== undefined;
          session.will = undefined;
          return was;
        });
        return;
      case 'group-put':
      case 'group-delete':
        this.#applyGroup(nodeId, mutation);
        return;
      case 'queue-put':
      case 'queue-state':
      case 'queue-delete':
        this.#applyQueue(mutation);
        return;
      case 'retained-put':
        this.retained.set(mutation.message.topicName, mutation.message);
        return;
      case 'retained-delete':
        this.retained.delete(mutation.topicName);
        return;
      case 'route':
      case 'post':
        return; // in what was made of them
      case 'interest-put':
      case 'interest-delete':
      case 'posted-delete':
      case 'session-move':
      case 'client-release':
      case 'retained-expire':
        this.#applyForNodes(nodeId, mutation);
    }
  }

  #applyGroup(nodeId: string, mutation: Extract<Mutation, { kind: 'group-put' | 'group-delete' }>): void {
    if (mutation.kind === 'group-put') {
      const { record, online } = mutation;
      this.#groupsOf(nodeId).set(record.queueId, { record, online });
      this.#queueOf(record.queueId).owner = nodeId;
      return;
    }
    const groups = this.groups.get(nodeId);
    groups?.delete(mutation.queueId);
    if (groups?.size === 0) this.groups.delete(nodeId);
    this.queues.delete(mutation.queueId);
  }

  #applyQueue(mutation: Extract<Mutation, { kind: 'queue-put' | 'queue-state' | 'queue-delete' }>): void {
    if (mutation.kind === 'queue-put') {
      const { record } = mutation;
      this.#queueOf(record.queueId).entries.set(record.sequence, record);
      return;
    }
    const entries = this.queues.get(mutation.queueId)?.entries;
    const record = entries?.get(mutation.sequence);
    if (entries === undefined || record === undefined) return;
    if (mutation.kind === 'queue-delete') {
      entries.delete(mutation.sequence);
      return;
    }
    record.packetId = mutation.packetId;
    record.state = mutation.state;
  }

  #applyForNodes(
    nodeId: string,
    mutation: Extract<
      Mutation,
      {
        kind:
          | 'interest-put'
          | 'interest-delete'
          | 'posted-delete'
          | 'session-move'
          | 'client-release'
          | 'retained-expire';
      }
    >,
  ): void {
    switch (mutation.kind) {
      case 'interest-put':
        this.interests.set(nodeId, (this.interests.get(nodeId) ?? new Set()).add(mutation.topicFilter));
        return;
      case 'interest-delete':
        this.interests.get(nodeId)?.delete(mutation.topicFilter);
        return;
      case 'posted-delete':
        this.queues.get(mutation.queueId)?.mailbox.splice(0, mutation.count);
        return;
      case 'session-move':
        this.#move(nodeId, mutation);
        return;
      case 'client-release': {
        const session = this.sessions.get(mutation.clientId);
        if (session?.owner === nodeId) session.owner = undefined;
        this.#forgetIfEmpty(mutation.clientId);
        if (!this.sessions.has(mutation.clientId)) this.#disown(nodeId, mutation.clientId);
        return;
      }
      case 'retained-expire': {
        const message = this.retained.get(mutation.message.topicName);
        if (message !== undefined && message.expiresAt <= this.#now() + 1000)
          this.retained.delete(mutation.message.topicName);
      }
    }
  }

  #move(nodeId: string, { clientId, queueId, nodeId: target }: Extract<Mutation, { kind: 'session-move' }>): void {
    const session = this.sessions.get(clientId);
    if (session?.owner === nodeId) {
      session.owner = target;
      this.#disown(nodeId, clientId);
      this.#ownOf(target).add(clientId);
      if (queueId > 0) this.#queueOf(queueId).owner = target;
      if (!this.nodes.has(target)) this.gone.add(target);
    }
    if (this.nodes.has(target)) this.#send(target, { kind: 'handed-over', clientId });
  }

  #deleteSession(nodeId: string, clientId: string): void {
    const session = this.sessions.get(clientId);
    if (session !== undefined) {
      session.record = undefined;
      session.subscriptions.clear();
      session.inbound.clear();
      this.#forgetIfEmpty(clientId);
    }
    if (!this.sessions.has(clientId)) this.#disown(nodeId, clientId);
  }

  /** Sets a field of a session, which makes it the node's where the field is new. */
  #fieldOf(nodeId: string, clientId: string, isNew: (session: SessionHash) => boolean): SessionHash {
    const session = this.#sessionOf(clientId);
    if (isNew(session)) this.#ownOf(nodeId).add(clientId);
    return session;
  }

  #fieldDelete(nodeId: string, clientId: string, remove: (session: SessionHash) => boolean): void {
    const session = this.sessions.get(clientId);
    if (session === undefined || !remove(session)) return;
    this.#forgetIfEmpty(clientId);
    if (!this.sessions.has(clientId)) this.#disown(nodeId, clientId);
  }

  #take(session: SessionHash, nodeId: string): boolean {
    session.owner = nodeId;
    if (session.record === undefined) return false;
    const queue = this.queues.get(session.record.queueId);
    if (queue !== undefined) queue.owner = nodeId;
    return true;
  }

  #checkFence(nodeId: string, incarnation: number): NodeHash {
    const node = this.#nodeHashes.get(nodeId);
    if (node === undefined) throw new ScriptError('lost');
    if (node.incarnation !== incarnation) throw new ScriptError('fenced');
    return node;
  }

  #change(changes: readonly TopologyChange[]): number {
    this.topology += 1;
    this.#changes.push({ version: this.topology, changes });
    if (this.#changes.length > this.#changesMax) this.#changes = this.#changes.slice(-this.#changesMax);
    for (const poke of this.onStream.values()) poke();
    return this.topology;
  }

  #send(nodeId: string, item: InboxItem): void {
    this.#lastEntryId += 1;
    const inbox = this.inboxes.get(nodeId) ?? [];
    this.inboxes.set(nodeId, [...inbox, { id: this.#lastEntryId, item }]);
    this.onStream.get(nodeId)?.();
  }

  #sessionOf(clientId: string): SessionHash {
    let session = this.sessions.get(clientId);
    if (session === undefined) {
      const nextTenure = (): number => (this.#tenures += 1);
      let current: string | undefined;
      session = {
        get owner(): string | undefined {
          return current;
        },
        set owner(nodeId: string | undefined) {
          if (nodeId !== undefined && nodeId !== current) this.tenure = nextTenure();
          current = nodeId;
        },
        tenure: 0,
        record: undefined,
        subscriptions: new Map(),
        inbound: new Set(),
        will: undefined,
      };
      this.sessions.set(clientId, session);
    }
    return session;
  }

  /** An empty hash is no hash. */
  #forgetIfEmpty(clientId: string): void {
    const session = this.sessions.get(clientId);
    if (session === undefined) return;
    const { owner, record, will, subscriptions, inbound } = session;
    if (owner === undefined && record === undefined && will === undefined && subscriptions.size + inbound.size === 0)
      this.sessions.delete(clientId);
  }

  #queueOf(queueId: number): QueueKeys {
    let queue = this.queues.get(queueId);
    if (queue === undefined) {
      queue = { owner: undefined, posted: 0, entries: new Map(), mailbox: [] };
      this.queues.set(queueId, queue);
    }
    return queue;
  }

  #ownOf(nodeId: string): Set<string> {
    const own = this.own.get(nodeId) ?? new Set();
    this.own.set(nodeId, own);
    return own;
  }

  #disown(nodeId: string, clientId: string): void {
    const own = this.own.get(nodeId);
    own?.delete(clientId);
    if (own?.size === 0) this.own.delete(nodeId);
  }

  #groupsOf(nodeId: string): Map<number, StoredGroup> {
    const groups = this.groups.get(nodeId) ?? new Map();
    this.groups.set(nodeId, groups);
    return groups;
  }
}

/** What tells a message apart in a trace. */
function textOf({ payload }: Message): string {
  return Buffer.from(payload.subarray(0, 12)).toString();
}

function describe(mutation: Mutation): string {
  switch (mutation.kind) {
    case 'queue-put': {
      const { queueId, sequence, state, message } = mutation.record;
      return `queue-put ${queueId} ${sequence} ${state} ${textOf(message)}`;
    }
    case 'queue-state':
      return `queue-state ${mutation.queueId} ${mutation.sequence} ${mutation.state}`;
    case 'queue-delete':
      return `queue-delete ${mutation.queueId} ${mutation.sequence}`;
    case 'session-put':
      return `session-put ${mutation.record.clientId} queue ${mutation.record.queueId}`;
    case 'route':
      return `route ${textOf(mutation.message)} view ${mutation.view} served ${mutation.servedShares.join(' ')}`;
    case 'post':
      return `post ${mutation.post.queueId} ${textOf(mutation.post.message)}`;
    case 'group-put':
      return `group-put ${mutation.record.shareKey} queue ${mutation.record.queueId} online ${mutation.online}`;
    case 'will-put':
      return `will-put ${mutation.record.clientId}`;
    case 'retained-put':
      return `retained-put ${textOf(mutation.message)}`;
    case 'retained-expire':
      return `retained-expire ${textOf(mutation.message)}`;
    case 'subscription-put':
      return `subscription-put ${mutation.clientId} ${mutation.record.topicFilter}`;
    case 'session-delete':
    case 'subscription-delete':
    case 'group-delete':
    case 'inbound-put':
    case 'inbound-delete':
    case 'will-delete':
    case 'retained-delete':
    case 'interest-put':
    case 'interest-delete':
    case 'posted-delete':
    case 'session-move':
    case 'client-release':
      return Object.values(mutation).join(' ');
  }
}

/** A mutation with messages of its own: what is handed to `commit` may change as soon as it returns. */
export function copyMutation(mutation: Mutation): Mutation {
  switch (mutation.kind) {
    case 'queue-put':
      return { kind: 'queue-put', record: copyQueueRecord(mutation.record, copyMessage(mutation.record.message)) };
    case 'retained-put':
      return { kind: 'retained-put', message: copyMessage(mutation.message) };
    case 'route':
      return { ...mutation, message: copyMessage(mutation.message) };
    case 'post':
      return { kind: 'post', post: { ...mutation.post, message: copyMessage(mutation.post.message) } };
    case 'session-put':
      return { kind: 'session-put', record: { ...mutation.record } };
    case 'subscription-put':
      return { ...mutation, record: { ...mutation.record } };
    case 'will-put':
      return { kind: 'will-put', record: copyWillRecord(mutation.record) };
    case 'session-delete':
    case 'subscription-delete':
    case 'group-put':
    case 'group-delete':
    case 'queue-state':
    case 'queue-delete':
    case 'inbound-put':
    case 'inbound-delete':
    case 'will-delete':
    case 'retained-delete':
    case 'interest-put':
    case 'interest-delete':
    case 'posted-delete':
    case 'session-move':
    case 'client-release':
    case 'retained-expire':
      return mutation;
  }
}

function copyPosted(posted: MailboxMessage): MailboxMessage {
  return { ...posted, message: copyMessage(posted.message) };
}

/** Each node decodes messages of its own. */
function copyEntry({ id, item }: { id: number; item: InboxItem }): { id: number; item: InboxItem } {
  if (item.kind === 'posted') return { id, item: { kind: 'posted', messages: item.messages.map(copyPosted) } };
  if (item.kind === 'forward') {
    const messages = item.messages.map((one) => ({ ...one, message: copyMessage(one.message) }));
    return { id, item: { kind: 'forward', messages } };
  }
  if (item.kind === 'retained') {
    const changes = item.changes.map(({ topicName, message }) => ({
      topicName,
      message: message === undefined ? undefined : copyMessage(message),
    }));
    return { id, item: { kind: 'retained', changes } };
  }
  return { id, item };
}
