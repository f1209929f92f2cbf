import type { ParsedTopicFilter } from '../protocol/topic.ts';
import { TopicTrie } from '../router/topic-trie.ts';
import type { GroupRecord, SubscriptionRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import type { PartOwner } from './hand-over.ts';
import type { QueueTable } from './queue-table.ts';
import type { Session } from './session.ts';
import { ShareGroup } from './share-group.ts';

/** How long an orphan waits for another part, where members of it may be on their way to another node, or here; ms. */
const PART_WAIT_MS = 20_000;

/** A group as its members see it: nothing of the message is decided before one of them is picked. */
const WHATEVER = { qos: 2, noLocal: false, retainAsPublished: true, subscriptionIdentifier: 0 } as const;

/**
 * The groups of shared subscriptions, by share key and by topic filter. Where nodes share the store they are parts, and
 * there are orphans: parts without members that still hold messages, or take them while there is no other part: members
 * that move between nodes are with none of them for a while.
 */
export class ShareGroups implements PartOwner {
  readonly #context: SessionContext;
  readonly #queues: QueueTable;
  readonly #groups: Map<string, ShareGroup> = new Map();
  readonly #orphans: Set<ShareGroup> = new Set();
  readonly trie: TopicTrie<ShareGroup>;

  /** @param cacheMax topics whose groups are remembered. */
  constructor(context: SessionContext, queues: QueueTable, cacheMax: number) {
    this.#context = context;
    this.#queues = queues;
    this.trie = new TopicTrie({ overlap: 'once', cacheMax });
  }

  /** Groups that messages are routed to. */
  get size(): number {
    return this.#groups.size;
  }

  /** Members of all groups. */
  get memberCount(): number {
    let count = 0;
    for (const group of this.#groups.values()) count += group.size;
    return count;
  }

  partOf(shareKey: string): ShareGroup | undefined {
    const group = this.#groups.get(shareKey);
    return group?.isOrphan === true ? undefined : group;
  }

  /** Adds a member to the group of its subscription, or changes its options. */
  join(parsed: ParsedTopicFilter, session: Session, record: SubscriptionRecord): void {
    const shareKey = shareKeyOf(parsed);
    let group = this.partOf(shareKey);
    if (group === undefined) {
      group =
        this.#groups.get(shareKey) ??
        this.#orphanOf(shareKey) ??
        this.#make({ shareKey, queueId: this.#queues.draw() });
      this.#add(group);
    }
    if (session.durable || this.#context.neighbours !== undefined) group.store();
    group.join(session, record);
  }

  /** The queue of a part here that takes what no other part can, with members or without. */
  anyPart(shareKey: string): number | undefined {
    const group = this.#groups.get(shareKey) ?? this.#orphanOf(shareKey);
    return group?.queue.queueId;
  }

  /** Takes a member out of the group of its subscription; a group without any other ends. */
  leave(parsed: ParsedTopicFilter, session: Session): void {
    const group = this.#groups.get(shareKeyOf(parsed));
    if (group === undefined) return;
    group.leave(session);
    this.#endIfEmpty(group, 0);
  }

  /** As `leave`, for a session that goes to another node and takes along what it has in flight. */
  release(parsed: ParsedTopicFilter, session: Session): void {
    const group = this.#groups.get(shareKeyOf(parsed));
    if (group === undefined) return;
    group.release(session);
    group.movingUntil = this.#context.clock.now() + PART_WAIT_MS;
    this.#endIfEmpty(group, PART_WAIT_MS);
  }

  /**
   * Gives the group what a session that ended has in flight from it. It may have left as the last member here: then an
   * orphan brings that to where there are members.
   */
  inherit(shareKey: string, session: Session): void {
    let group = this.#groups.get(shareKey) ?? this.#orphanOf(shareKey);
    if (group === undefined) {
      if (this.#context.neighbours?.partElsewhere(shareKey, true) === undefined) return;
      group = this.#make({ shareKey, queueId: this.#queues.draw() });
      group.store();
      this.#addOrphan(group, PART_WAIT_MS);
    }
    group.inherit(session);
  }

  /** Takes over the groups of before a restart; their members join them. */
  restore(records: readonly GroupRecord[]): void {
    for (const record of records) {
      const group = this.#restored(record);
      if (this.#groups.has(record.shareKey)) this.#addOrphan(group, PART_WAIT_MS);
      else this.#add(group);
    }
  }

  /** Takes over parts of another node: who joins one makes it a part here. */
  adopt(records: readonly GroupRecord[]): void {
    for (const record of records) this.#addOrphan(this.#restored(record), PART_WAIT_MS);
  }

  /** After `restore` or `adopt`, once the members have joined: the parts that nobody joined give away what they hold. */
  settle(): void {
    if (this.#context.neighbours === undefined) return;
    for (const group of [...this.#groups.values()]) this.#endIfEmpty(group, PART_WAIT_MS);
    for (const orphan of [...this.#orphans]) orphan.handOver();
  }

  /** Hands over to other nodes what nobody can get here; to be called when the topology has changed. */
  handOver(): void {
    for (const group of this.#orphans) this.#retire(group);
    for (const group of new Set([...this.#groups.values(), ...this.#orphans])) group.handOver();
  }

  onOrphanEmpty(orphan: ShareGroup): void {
    this.#unroute(orphan);
    if (this.#context.neighbours !== undefined) orphan.end(this.#context.neighbours);
  }

  onOrphanDone(orphan: ShareGroup): void {
    this.#orphans.delete(orphan);
    this.#unroute(orphan);
    this.#end(orphan);
  }

  #make(record: GroupRecord): ShareGroup {
    const group = new ShareGroup(this.#context, record, this);
    this.#queues.set(record.queueId, group);
    return group;
  }

  #restored(record: GroupRecord): ShareGroup {
    const group = this.#make(record);
    group.stored = true;
    return group;
  }

  #add(group: ShareGroup): void {
    this.#orphans.delete(group);
    group.beJoined();
    this.#route(group);
  }

  #route(group: ShareGroup): void {
    const before = this.#groups.get(group.shareKey);
    if (before !== undefined && before !== group) this.#unroute(before);
    this.#groups.set(group.shareKey, group);
    this.trie.add(group.topicFilter, group, WHATEVER);
  }

  #addOrphan(group: ShareGroup, waitMs: number): void {
    const { neighbours, clock } = this.#context;
    if (neighbours === undefined) return;
    this.#orphans.add(group);
    // What comes before there is another part has to go somewhere.
    if (!this.#groups.has(group.shareKey)) this.#route(group);
    group.beOrphan(Math.max(clock.now() + waitMs, group.movingUntil), neighbours);
  }

  /** Nothing is routed any more to an orphan where there is another part. */
  #retire(orphan: ShareGroup): void {
    if (orphan.isKnown && this.#context.neighbours?.partElsewhere(orphan.shareKey, false) !== undefined)
      this.#unroute(orphan);
  }

  #unroute(group: ShareGroup): void {
    if (this.#groups.get(group.shareKey) !== group) return;
    this.#groups.delete(group.shareKey);
    this.trie.remove(group.topicFilter, group);
  }

  #orphanOf(shareKey: string): ShareGroup | undefined {
    for (const orphan of this.#orphans) if (orphan.shareKey === shareKey) return orphan;
    return undefined;
  }

  #endIfEmpty(group: ShareGroup, waitMs: number): void {
    if (group.size > 0) return;
    const { neighbours, clock } = this.#context;
    const isLast =
      waitMs === 0 &&
      group.movingUntil <= clock.now() &&
      group.queue.count === 0 &&
      neighbours?.partElsewhere(group.shareKey, true) === undefined;
    if (neighbours === undefined || isLast) {
      this.#unroute(group);
      this.#end(group);
      return;
    }
    this.#addOrphan(group, waitMs);
    group.handOver();
  }

  #end(group: ShareGroup): void {
    const { shareKey, queue, stored } = group;
    const { queueId } = queue;
    queue.close();
    this.#queues.delete(queueId);
    if (stored) this.#context.writePath.add({ kind: 'group-delete', shareKey, queueId });
  }
}

function shareKeyOf({ shareName, filter }: ParsedTopicFilter): string {
  return `${shareName}/${filter}`;
}
