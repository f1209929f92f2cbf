import type { Message } from '../protocol/message.ts';
import type { Qos } from '../protocol/packets.ts';
import { createShareStrategy, type ShareStrategy } from '../router/share-group.ts';
import type { GroupRecord, PostedMessage, SubscriptionRecord } from '../store/store.ts';
import { ENDING, NO_MEMBERS } from '../store/topology-change.ts';
import type { SessionContext } from './context.ts';
import { HandOver, type PartOwner } from './hand-over.ts';
import { MessageQueue, type QueueOwner } from './message-queue.ts';
import type { Neighbours } from './neighbours.ts';
import { effectiveQos, NO_IDENTIFIERS, QueueEntry } from './queue-entry.ts';
import type { Session } from './session.ts';

/**
 * A shared subscription, section 4.8.2: the group owns the queue, and a member takes a message only when it can send it
 * at once. So a slow or absent member holds nothing back, and what it has in flight with QoS 1 goes to another when it
 * leaves.
 *
 * Where nodes share the store each has a part of its own, with a queue that is stored from the beginning. The others are
 * told about how many members are connected here, so that they choose a part by it; what waits while there is none is
 * handed over.
 */
export class ShareGroup implements QueueOwner {
  /** `share name/topic filter`. */
  readonly shareKey: string;
  /** The filter without `$share/name/`. */
  readonly topicFilter: string;
  readonly queue: MessageQueue;
  /** Whether the store has a record of it. */
  stored = false;
  readonly #context: SessionContext;
  readonly #members: Map<Session, SubscriptionRecord> = new Map();
  #list: Session[] = [];
  readonly #strategy: ShareStrategy<Session>;
  #pumping = false;
  /** Members that are connected; kept only where nodes share the store, as is the rest of this. */
  readonly #online: Set<Session> = new Set();
  /** How many the other nodes were told of; -1 for nothing yet. */
  #told = -1;
  /** See `beOrphan`. */
  #state: 'part' | 'orphan' | 'known' | 'ending' | 'ended' = 'part';
  /** Counts the times it has become an orphan. */
  #spell = 0;
  /** Until when an orphan waits for another part to come, ms since the epoch; then what it holds is dropped. */
  partUntil = 0;
  /** How near its turn is among the parts of all nodes; owned by who chooses among them. */
  turn = 0;
  /** Until when a member that went to another node may still be on its way, ms since the epoch. */
  movingUntil = 0;
  readonly #handOver: HandOver | undefined;
  /** Whether a member can be sent a message of QoS 1 or 2 now; what becomes QoS 0 for it needs no room in its Receive Maximum. */
  readonly #canTake = (member: Session): boolean =>
    this.#members.get(member)?.qos === 0 ? isWritable(member) : member.canSend;

  constructor(context: SessionContext, record: GroupRecord, owner: PartOwner) {
    this.#context = context;
    this.shareKey = record.shareKey;
    this.topicFilter = record.shareKey.slice(record.shareKey.indexOf('/') + 1);
    this.queue = new MessageQueue(context, this, record.queueId);
    this.#strategy = createShareStrategy(context.settings.sharePolicy, context.random);
    const { neighbours } = context;
    this.#handOver = neighbours === undefined ? undefined : new HandOver(context, neighbours, this, owner);
  }

  get name(): string {
    return this.shareKey;
  }

  get size(): number {
    return this.#list.length;
  }

  /** Members that are connected; told only where nodes share the store. */
  get online(): number {
    return this.#online.size;
  }

  /** Its last member has left, or was another node's: it stands in for another part, which is to come and gets what it holds. */
  get isOrphan(): boolean {
    return this.#state !== 'part';
  }

  /** Whether it knows of every other part that became one without members before it did. */
  get isKnown(): boolean {
    return this.#state !== 'part' && this.#state !== 'orphan';
  }

  /** Whether nothing that was posted for it can be on its way any more. */
  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  /**
   * It has no members.
   *
   *     part --last member leaves--> orphan --all know--> known --another part is there, nothing is left--> ending
   *     ending --all know, nothing is left--> ended
   *     any --a member joins--> part
   *
   * Of orphans that would each leave it to the other, the last knows that the others are orphans, and stays.
   * @param partUntil see there.
   */
  beOrphan(partUntil: number, neighbours: Neighbours): void {
    this.partUntil = partUntil;
    this.#state = 'orphan';
    this.#tellOnline();
    this.#onceAllKnow('known', neighbours);
  }

  /** It is about to have a member. */
  beJoined(): void {
    this.#spell += 1;
    this.#state = 'part';
  }

  /** There is another part, and it holds nothing: the others are told, and what they had posted before comes first. */
  end(neighbours: Neighbours): void {
    if (this.#state !== 'known') return;
    this.#state = 'ending';
    this.#tellOnline();
    this.#onceAllKnow('ended', neighbours);
  }

  #onceAllKnow(state: 'known' | 'ended', neighbours: Neighbours): void {
    this.#spell += 1;
    const spell = this.#spell;
    neighbours.caughtUp().then(() => {
      if (this.#spell !== spell) return;
      this.#state = state;
      this.#handOver?.run();
    }, this.#context.onFatal);
  }

  /** Whether its queue is stored: one of the members is, or other nodes have to find it. */
  get durable(): boolean {
    return this.#handOver !== undefined || this.#list.some((member) => member.durable);
  }

  /** Has the store keep its record and its queue from now on. */
  store(): void {
    if (this.stored) return;
    this.stored = true;
    this.#put();
  }

  #put(): void {
    this.#told = this.#toTell;
    const record = { shareKey: this.shareKey, queueId: this.queue.queueId };
    this.#context.writePath.add({ kind: 'group-put', record, online: this.#told });
  }

  /** Tells the other nodes how many members are connected, where that makes a difference to them. */
  #tellOnline(): void {
    if (this.#handOver !== undefined && this.stored && isNews(this.#toTell, this.#told)) this.#put();
  }

  get #toTell(): number {
    if (this.#state === 'part') return this.online;
    return this.#state === 'orphan' || this.#state === 'known' ? NO_MEMBERS : ENDING;
  }

  /** Adds a member or changes its options. */
  join(session: Session, subscription: SubscriptionRecord): void {
    if (!this.#members.has(session)) this.#list = [...this.#list, session];
    this.#members.set(session, subscription);
    session.groups ??= new Set();
    session.groups.add(this);
    if (session.link !== undefined) this.onMemberOnline(session);
    else this.#tellOnline();
  }

  /**
   * Takes a member out. What it has in flight stays with it while it is connected [MQTT-3.10.4-3]; once it is gone,
   * unacknowledged QoS 1 messages go to the others.
   */
  leave(session: Session): void {
    this.release(session);
    this.inherit(session);
    session.adopt(this.shareKey);
  }

  /** Takes a member out that goes to another node, and takes along what it has in flight. */
  release(session: Session): void {
    this.#members.delete(session);
    this.#list = this.#list.filter((member) => member !== session);
    session.groups?.delete(this);
    this.#strategy.removed(session);
    if (this.#online.delete(session)) this.#tellOnline();
  }

  /** Takes over the unacknowledged QoS 1 messages of a session that ended, a member or one that had left, section 4.8.2. */
  inherit(session: Session): void {
    const mayGoOn = this.#list.length > 0 || this.#handOver !== undefined;
    if (session.link === undefined && mayGoOn) this.#takeBack(session);
    this.pump();
    this.#handOver?.run();
  }

  /** Delivers to one member, now or when one is able to. */
  deliver(message: Message): void {
    this.#deliver(message, 0);
  }

  /** Takes a message that another node posted, whose publisher has been told that it was accepted. */
  deliverPosted({ message }: PostedMessage): void {
    this.#deliver(message, 1);
  }

  #deliver(message: Message, acceptedIn: number): void {
    const { books } = this.#context;
    books.owed += 1;
    // QoS 0 needs no room in a Receive Maximum, so that it waits for nothing, section 4.9.
    if (message.qos === 0 || this.queue.waiting === 0) {
      const member = this.#strategy.pick(this.#list, message.qos === 0 ? isWritable : this.#canTake);
      if (member !== undefined) {
        const entry = this.#entryFor(member, message);
        entry.acceptedIn = acceptedIn;
        if (this.#lendsTo(member, entry.qos)) {
          this.queue.admit(entry);
          entry.lentBy = this.queue;
        }
        member.deliverShared(entry);
        return;
      }
    }
    if (message.qos > 0) {
      const entry = new QueueEntry(message, message.qos, false, NO_IDENTIFIERS, this.shareKey);
      entry.acceptedIn = acceptedIn;
      this.queue.push(entry);
      this.#handOver?.run();
      return;
    }
    const connected = this.#list.some((member) => member.link !== undefined);
    books.drop(this.shareKey, message.topicName, connected ? 'slow-reader' : 'offline');
  }

  /** Hands out what waits, as far as members are able to take it. */
  pump(): void {
    if (this.#pumping || this.queue.waiting === 0) return;
    this.#pumping = true;
    const now = this.#context.clock.now();
    for (;;) {
      const member = this.#strategy.pick(this.#list, this.#canTake);
      if (member === undefined) break;
      const waiting = this.queue.shift(now);
      if (waiting === undefined) break;
      const entry = this.#entryFor(member, waiting.message);
      if (this.#lendsTo(member, entry.qos)) {
        waiting.addressTo(entry.qos, entry.retain, entry.subscriptionIdentifiers);
        waiting.lentBy = this.queue;
        member.deliverShared(waiting);
        continue;
      }
      // Both in one batch: the message changes queues or it does not.
      this.queue.remove(waiting);
      entry.replace(waiting);
      member.deliverShared(entry);
    }
    this.#pumping = false;
  }

  /** A member can take messages again: also those that an absent member has in flight. */
  onMemberOnline(session: Session): void {
    if (this.#handOver !== undefined) {
      this.#online.add(session);
      this.#tellOnline();
    }
    for (const member of this.#list) {
      if (member !== session && member.link === undefined) this.#takeBack(member);
    }
    this.pump();
  }

  /** A member lost its connection: others, if there are any connected, get its unacknowledged QoS 1 messages. */
  onMemberOffline(session: Session): void {
    if (this.#online.delete(session)) this.#tellOnline();
    const hasOthers =
      this.#handOver?.isDue === true || this.#list.some((member) => member !== session && member.link !== undefined);
    if (!hasOthers) return;
    this.#takeBack(session);
    this.pump();
    this.#handOver?.run();
  }

  /** Hands over to other nodes what none of the members can get now; to be called when the other parts have changed. */
  handOver(): void {
    if (this.#handOver === undefined || !this.#handOver.isDue) return;
    for (const member of this.#list) if (member.inFlightCount > 0) this.#takeBack(member);
    this.#handOver.run();
  }

  /** Gives up an entry the store had no room for. */
  forget(entry: QueueEntry): void {
    this.queue.forget(entry);
    // Who has it in flight counts it against its Receive Maximum until it has acknowledged it.
    if (entry.lentBy !== undefined) entry.place = 'gone';
    this.#context.books.drop(this.shareKey, entry.message.topicName, 'store-full');
  }

  onQueueReady(): void {
    this.pump();
    this.#handOver?.run();
  }

  onInFlightRead(entry: QueueEntry): void {
    entry.state = 'waiting'; // it was lent
    entry.packetId = 0;
    entry.sentBefore = false;
  }

  #takeBack(session: Session): void {
    const entries = session.reclaim(this.shareKey);
    for (let i = entries.length - 1; i >= 0; i--) {
      const reclaimed = entries[i] as QueueEntry;
      const { message } = reclaimed;
      const entry = new QueueEntry(message, message.qos, false, NO_IDENTIFIERS, this.shareKey);
      entry.replace(reclaimed);
      this.queue.pushFront(entry);
    }
    if (entries.length > 0) this.#context.writePath.failpoint?.reach('group-handover');
  }

  /**
   * Whether a message stays in this stored queue until the member has acknowledged it. With QoS 2 it must not come to
   * another one whatever happens [MQTT-4.8.2-5].
   */
  #lendsTo(member: Session, qos: Qos): boolean {
    return qos === 1 && this.stored && !member.durable;
  }

  #entryFor(member: Session, message: Message): QueueEntry {
    const subscription = this.#members.get(member) as SubscriptionRecord;
    const { subscriptionIdentifier } = subscription;
    const identifiers = subscriptionIdentifier === 0 ? NO_IDENTIFIERS : [subscriptionIdentifier];
    const retain = message.retain && subscription.retainAsPublished;
    return new QueueEntry(message, effectiveQos(message, subscription.qos), retain, identifiers, this.shareKey);
  }
}

/** Whether so many connected members make a difference to those who were told of others. */
function isNews(online: number, told: number): boolean {
  if (online >= ENDING || told >= ENDING) return online !== told;
  return told < 0 || (online === 0) !== (told === 0) || online > 2 * told || 2 * online < told;
}

function isWritable(member: Session): boolean {
  return member.link?.writable === true;
}
