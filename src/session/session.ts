import type { Deadline } from '../lib/deadline-heap.ts';
import type { Message } from '../protocol/message.ts';
import { type Taker } from '../router/topic-trie.ts';
import type { PostedMessage, SessionRecord, SubscriptionRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import { InFlight } from './in-flight.ts';
import type { Link } from './link.ts';
import { MessageQueue, type QueueOwner } from './message-queue.ts';
import { QueueEntry } from './queue-entry.ts';
import type { RetainedReplay } from './retained-replay.ts';
import type { ShareGroup } from './share-group.ts';
import { Unflushed } from './unflushed.ts';
import type { FlushWaiter } from './write-path.ts';

/** Session Expiry Interval that means never, section 3.1.2.11.2. */
export const NEVER_EXPIRES = 0xffff_ffff;

const NO_ENTRIES: readonly QueueEntry[] = [];
const NO_SUBSCRIPTIONS: ReadonlyMap<string, SubscriptionRecord> = new Map();

/** What acknowledging an outgoing packet id came to. */
export type AckResult = 'done' | 'unknown' | 'wrong-state';

/**
 * What the broker owes a client id, with or without a connection, section 4.1: subscriptions, outgoing QoS 1 and 2
 * messages with their packet ids, packet ids of incoming QoS 2 messages, and the queue.
 */
export class Session implements QueueOwner, FlushWaiter, Deadline {
  readonly clientId: string;
  readonly name: string;
  readonly epoch: number;
  readonly #context: SessionContext;
  #sessionExpiryInterval = 0;
  /** Whether the store may hold anything of it: it is durable, or was. */
  stored = false;
  /** User name of the identity that opened it. */
  username: string;
  /** When it expires, ms since the epoch; Infinity while connected or for never. */
  expiresAt: number = Number.POSITIVE_INFINITY;
  /** Made with the first subscription: most devices only publish. */
  #subscriptions: Map<string, SubscriptionRecord> | undefined = undefined;
  /** Shared-subscription groups it is a member of; undefined for none. */
  groups: Set<ShareGroup> | undefined = undefined;
  /** Packet ids of QoS 2 messages received and not released [MQTT-4.3.3-10], with their tickets; undefined for none yet. */
  inbound: Map<number, number> | undefined = undefined;
  /** Retained messages still to be sent for new subscriptions, one after the other. */
  replays: RetainedReplay[] | undefined = undefined;
  /** The connection, once CONNACK is on its way. */
  link: Link | undefined = undefined;
  /** Whether its client may have a message that was routed to it before, by topic name; undefined for all of them. */
  mayReceive: ((topicName: string) => boolean) | undefined = undefined;
  /** Whether the in-flight entries of a restored session are still to be read from the store. */
  unread = false;
  ended = false;
  readonly queueId: number;
  /** Made with the first message that has to be kept. */
  #queue: MessageQueue | undefined = undefined;
  /** Sent and not acknowledged; made with the first. */
  #inFlight: InFlight | undefined = undefined;
  /** In flight from before this connection and not sent again yet, in order. */
  #resend: readonly QueueEntry[] = NO_ENTRIES;
  #resendAt = 0;
  /** Made with the first message that has to wait for its batch. */
  #unflushed: Unflushed | undefined = undefined;
  #pumping = false;
  waitingFor = 0;
  /** Called when the session expires; set by the registry. */
  onExpired: ((session: Session) => void) | undefined = undefined;
  at = 0;
  index = -1;

  constructor(context: SessionContext, record: SessionRecord) {
    this.#context = context;
    this.clientId = record.clientId;
    this.name = record.clientId;
    this.epoch = record.epoch;
    this.sessionExpiryInterval = record.sessionExpiryInterval;
    this.username = record.username;
    this.expiresAt = record.expiresAt;
    this.queueId = record.queueId;
  }

  /** Its messages, in flight and waiting. */
  get queue(): MessageQueue {
    this.#queue ??= new MessageQueue(this.#context, this, this.queueId);
    return this.#queue;
  }

  #waiting(): number {
    return this.#queue === undefined ? 0 : this.#queue.waiting;
  }

  /** As `MessageQueue.close`. */
  closeQueue(moved = false): void {
    this.#queue?.close(moved);
  }

  /** Whether the store keeps it: it outlives its connection. */
  get durable(): boolean {
    return this.sessionExpiryInterval > 0;
  }

  /** Session Expiry Interval, seconds; 0 ends the session with its connection. */
  get sessionExpiryInterval(): number {
    return this.#sessionExpiryInterval;
  }

  set sessionExpiryInterval(seconds: number) {
    this.#sessionExpiryInterval = seconds;
    if (seconds > 0) this.stored = true;
  }

  /** Messages sent and not acknowledged. */
  get inFlightCount(): number {
    return this.#inFlight?.size ?? 0;
  }

  /** By topic filter as subscribed. */
  get subscriptions(): ReadonlyMap<string, SubscriptionRecord> {
    return this.#subscriptions ?? NO_SUBSCRIPTIONS;
  }

  /** Notes a subscription; routing is the registry's. @returns whether it is new. */
  addSubscription(record: SubscriptionRecord): boolean {
    this.#subscriptions ??= new Map();
    const isNew = !this.#subscriptions.has(record.topicFilter);
    this.#subscriptions.set(record.topicFilter, record);
    return isNew;
  }

  /** Forgets a subscription. @returns whether it existed. */
  removeSubscription(topicFilter: string): boolean {
    return this.#subscriptions?.delete(topicFilter) ?? false;
  }

  /** What the store keeps of it. */
  get record(): SessionRecord {
    const { clientId, epoch, queueId, sessionExpiryInterval, expiresAt, username } = this;
    return { clientId, epoch, queueId, sessionExpiryInterval, expiresAt, username };
  }

  /** Whether a QoS 1 or 2 message would go out at once. */
  get canSend(): boolean {
    const { link } = this;
    return (
      link !== undefined &&
      this.#waiting() === 0 &&
      this.#resendAt === this.#resend.length &&
      // Those in flight count against what a queue may hold.
      (this.#queue === undefined || this.#queue.bytes < this.#context.settings.queueBytesMax) &&
      this.#hasQuota(link)
    );
  }

  /** Delivers a message for the taker that matched, by the lower of both QoS. */
  deliver(message: Message, taker: Taker<Session>, retain: boolean): void {
    this.#context.books.owed += 1;
    const qos = message.qos < taker.qos ? message.qos : taker.qos; // section 3.8.4, [MQTT-3.8.4-8]
    if (qos === 0) {
      this.#deliverQos0(message, retain, taker.subscriptionIdentifiers);
      return;
    }
    const entry = new QueueEntry(message, qos, retain, taker.subscriptionIdentifiers, '');
    if (this.canSend) this.#send(entry);
    else this.queue.push(entry);
  }

  /** Takes a message that another node posted, whose publisher has been told that it was accepted. */
  deliverPosted({ message, qos, retain, subscriptionIdentifiers }: PostedMessage): void {
    this.#context.books.owed += 1;
    const entry = new QueueEntry(message, qos, retain, subscriptionIdentifiers, '');
    entry.acceptedIn = 1;
    if (this.#isDenied(entry)) this.#context.books.drop(this.clientId, message.topicName, 'not-authorized');
    else if (qos === 0) this.#deliverQos0(message, retain, subscriptionIdentifiers);
    else if (this.canSend) this.#send(entry);
    else this.queue.push(entry);
  }

  /** Delivers an entry that a shared-subscription group picked this session for, as it can take it now. */
  deliverShared(entry: QueueEntry): void {
    if (entry.qos > 0) this.#send(entry);
    else if (this.#writeQos0(entry.message, entry.retain, entry.subscriptionIdentifiers))
      this.#context.books.delivered += 1;
  }

  #deliverQos0(message: Message, retain: boolean, identifiers: readonly number[]): void {
    const { link } = this;
    const { books, settings } = this.#context;
    if (settings.queueQos0 && this.durable && this.#waiting() > 0) {
      // Others of its kind wait there [MQTT-4.6.0-6].
      this.queue.push(new QueueEntry(message, 0, retain, identifiers, ''));
    } else if (link === undefined) {
      if (settings.queueQos0 && this.durable) this.queue.push(new QueueEntry(message, 0, retain, identifiers, ''));
      else books.drop(this.clientId, message.topicName, 'offline');
    } else if (!link.writable) {
      books.drop(this.clientId, message.topicName, 'slow-reader');
    } else if (this.#writeQos0(message, retain, identifiers)) {
      books.delivered += 1;
    }
  }

  #writeQos0(message: Message, retain: boolean, identifiers: readonly number[]): boolean {
    if ((this.link as Link).sendPublish(message, 0, retain, false, 0, identifiers)) return true;
    this.#context.books.drop(this.clientId, message.topicName, 'packet-too-large');
    return false;
  }

  /** Puts a new entry into flight. */
  #send(entry: QueueEntry): void {
    if (entry.lentBy === undefined) this.queue.admit(entry);
    this.#assignPacketId(entry);
    if (entry.lentBy !== undefined) this.#context.writePath.lendEntry(entry);
    if (this.durable) {
      this.#context.writePath.putEntry(entry);
      // A QoS 2 message must not be seen under a packet id that a crash would forget: it waits for the flush.
      if (entry.qos === 2) {
        this.#sendOnceFlushed(entry);
        return;
      }
    }
    this.#write(entry);
  }

  #sendOnceFlushed(entry: QueueEntry): void {
    this.#unflushed ??= new Unflushed();
    this.#unflushed.push(entry);
    this.#context.writePath.wait(this);
  }

  #assignPacketId(entry: QueueEntry): void {
    const inFlight = this.#flight();
    if (inFlight.size === 0) this.#context.noteInFlight();
    inFlight.add(entry); // In flight are at most receiveMaximum of 65,535.
    inFlight.count(entry);
    entry.state = 'sent';
  }

  #flight(): InFlight {
    this.#inFlight ??= new InFlight(this.#context.inFlight);
    return this.#inFlight;
  }

  /** Writes the PUBLISH or PUBREL an entry stands at. */
  #write(entry: QueueEntry): void {
    const { link } = this;
    if (link === undefined) return;
    if (entry.state === 'released') {
      link.sendPubrel(entry.packetId);
      return;
    }
    const { message, qos, retain, packetId } = entry;
    // [MQTT-3.3.1-1] DUP when it was sent before.
    if (link.sendPublish(message, qos, retain, entry.sentBefore, packetId, entry.subscriptionIdentifiers)) {
      entry.sentBefore = true;
      return;
    }
    // [MQTT-3.1.2-25] too large for this client: done with it, as if it had been delivered.
    this.#settle(entry);
    this.#context.books.drop(this.clientId, message.topicName, 'packet-too-large');
  }

  /** Takes an entry out of flight, queue and store. */
  #settle(entry: QueueEntry): void {
    this.#inFlight?.delete(entry);
    if (entry.place !== 'gone') (entry.lentBy ?? this.queue).remove(entry);
  }

  /** PUBACK: a QoS 1 message is delivered. */
  onPuback(packetId: number): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 1) return 'wrong-state';
    this.#finish(entry);
    return 'done';
  }

  /** PUBREC: a QoS 2 message has arrived; PUBREL follows once that is durable. An error reason ends the exchange. */
  onPubrec(packetId: number, isError: boolean): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 2) return 'wrong-state';
    if (isError) {
      this.#finish(entry); // [MQTT-4.3.3-4] no PUBREL; the client has taken responsibility for refusing it
      return 'done';
    }
    if (entry.state === 'released') {
      if (entry.ticket <= this.#context.writePath.flushed) this.#write(entry);
      return 'done';
    }
    this.#release(entry);
    if (!this.durable) this.#write(entry);
    return 'done';
  }

  /** PUBREL is due, of a stored entry once that is durable. */
  #release(entry: QueueEntry): void {
    entry.state = 'released';
    if (!this.durable) return;
    this.#context.writePath.changeEntry(entry);
    this.#sendOnceFlushed(entry);
  }

  /** PUBCOMP: a QoS 2 message is delivered. */
  onPubcomp(packetId: number): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 2 || entry.state !== 'released') return 'wrong-state';
    this.#finish(entry);
    return 'done';
  }

  #finish(entry: QueueEntry): void {
    if (entry.withheld) this.#dropDenied(entry);
    else this.#settle(entry);
    if (!entry.withheld && entry.place !== 'gone') this.#context.books.delivered += 1;
    this.pump();
  }

  onFlushed(flushed: number): void {
    for (const entry of this.#unflushed?.take(flushed) ?? NO_ENTRIES) {
      // It may be gone (too large, session ended) or belong to a later connection's resend.
      if (this.#inFlight?.get(entry.packetId) !== entry || !this.#inFlight.isOfConnection(entry)) continue;
      if (this.#isDenied(entry)) this.#dropDenied(entry);
      else this.#write(entry);
    }
    this.#waitForFlush();
    this.pump();
  }

  onStoreFull(failed: number, retriedAs: number): void {
    this.#unflushed?.retry(failed, retriedAs, (entry) => this.#inFlight?.get(entry.packetId) === entry);
    this.#waitForFlush();
  }

  #waitForFlush(): void {
    if (this.#unflushed?.isEmpty === false) this.#context.writePath.wait(this);
  }

  /** Gives up an entry the store had no room for. */
  forget(entry: QueueEntry): void {
    if (entry.place !== 'flight') this.queue.forget(entry);
    else if (this.link === undefined || this.#inFlight?.isOfConnection(entry) !== true || !entry.sentBefore)
      this.#settle(entry);
    else {
      // The client has it, and counts it against its Receive Maximum until it has acknowledged it.
      this.queue.remove(entry);
      entry.place = 'gone';
    }
    this.#context.books.drop(this.clientId, entry.message.topicName, 'store-full');
    // Others may go out in its place.
    this.#context.writePath.wait(this);
  }

  /** Sends what may be sent: first again what the last connection left unacknowledged, then what waits, then replays. */
  pump(): void {
    if (this.#pumping || this.link === undefined) return;
    this.#pumping = true;
    if (this.#resend.length > 0) this.#pumpResend();
    const isResent = this.#resendAt === this.#resend.length;
    if (isResent && this.#waiting() > 0) this.#pumpQueue();
    // A group knows itself what it may give: with QoS 0 also to who has others waiting.
    if (this.groups !== undefined) for (const group of this.groups) group.pump();
    if (isResent && this.#waiting() === 0 && this.replays !== undefined) this.#pumpReplays();
    this.#pumping = false;
  }

  #hasQuota(link: Link): boolean {
    return this.link === link && link.writable && (this.#inFlight?.hasRoom(link.receiveMaximum) ?? true);
  }

  /** [MQTT-4.4.0-1], [MQTT-4.6.0-1] in the order they were sent first, never more than the client takes. */
  #pumpResend(): void {
    const link = this.link as Link;
    const resend = this.#resend;
    while (this.#resendAt < resend.length && this.#hasQuota(link)) {
      const entry = resend[this.#resendAt] as QueueEntry;
      this.#resendAt += 1;
      if (this.#inFlight?.get(entry.packetId) !== entry) continue;
      if (this.#isDenied(entry)) {
        if (entry.qos !== 2) {
          this.#dropDenied(entry);
          continue;
        }
        // The client may have it already, and keeps its packet id: the exchange goes on with PUBREL.
        entry.withheld = true;
        this.#release(entry);
      }
      this.#flight().count(entry);
      if (entry.ticket > this.#context.writePath.flushed && entry.qos === 2 && this.durable) continue; // onFlushed sends it
      this.#write(entry);
    }
    if (this.#resendAt === resend.length) this.#setResend(NO_ENTRIES);
  }

  #isDenied({ message, state }: QueueEntry): boolean {
    return this.mayReceive !== undefined && state !== 'released' && !this.mayReceive(message.topicName);
  }

  #dropDenied(entry: QueueEntry): void {
    this.#settle(entry);
    this.#context.books.drop(this.clientId, entry.message.topicName, 'not-authorized');
  }

  #setResend(entries: readonly QueueEntry[]): void {
    this.#resend = entries;
    this.#resendAt = 0;
  }

  #pumpQueue(): void {
    const link = this.link as Link;
    const now = this.#context.clock.now();
    while (this.#hasQuota(link)) {
      const entry = this.queue.shift(now);
      if (entry === undefined) return;
      if (this.#isDenied(entry)) {
        this.#dropDenied(entry);
        continue;
      }
      if (entry.qos === 0) {
        if (this.#writeQos0(entry.message, entry.retain, entry.subscriptionIdentifiers))
          this.#context.books.delivered += 1;
        this.queue.remove(entry);
        continue;
      }
      this.#assignPacketId(entry);
      if (this.durable) {
        this.#context.writePath.changeEntry(entry);
        if (entry.qos === 2) {
          this.#sendOnceFlushed(entry);
          continue;
        }
      }
      this.#write(entry);
    }
  }

  #pumpReplays(): void {
    const replays = this.replays as RetainedReplay[];
    while (replays.length > 0 && (replays[0] as RetainedReplay).run(this)) replays.shift();
    if (replays.length === 0) this.replays = undefined;
  }

  /** Reads what a restored session had in flight; to be awaited before the first attach after a restart. */
  async read(): Promise<void> {
    if (!this.unread) return;
    await this.queue.readHead();
    this.unread = false;
  }

  onInFlightRead(entry: QueueEntry): void {
    this.#flight().restore(entry);
  }

  /** Gives the session its connection, CONNACK being on its way, and resumes delivery [MQTT-4.4.0-1]. */
  attach(link: Link): void {
    this.link = link;
    this.#inFlight?.renew();
    this.#setResend(this.#inFlight?.list() ?? NO_ENTRIES);
    if (this.groups !== undefined) for (const group of this.groups) group.onMemberOnline(this);
    this.pump();
    if (this.inFlightCount > 0) this.#context.writePath.failpoint?.reach('queue-drain');
  }

  /** The connection is gone. */
  detach(): void {
    this.link = undefined;
    this.#setResend(NO_ENTRIES);
    for (const entry of this.#inFlight?.list() ?? NO_ENTRIES) if (entry.place === 'gone') this.#settle(entry);
    this.#inFlight?.renew();
    this.detachMessages();
    if (this.groups !== undefined) for (const group of this.groups) group.onMemberOffline(this);
  }

  /** Groups that sent QoS 1 messages here which are not acknowledged. */
  groupsInFlight(): Set<string> {
    return this.#inFlight?.shareKeys() ?? new Set();
  }

  /**
   * Takes back what a group sent here and another member may get now: unacknowledged QoS 1, section 4.8.2. QoS 2
   * messages stay with the session they were sent to [MQTT-4.8.2-4].
   * @returns the entries, in order, no longer counted here.
   */
  reclaim(shareKey: string): QueueEntry[] {
    const reclaimed = this.#inFlight?.ofShare(shareKey).filter(({ qos }) => qos === 1) ?? [];
    for (const entry of reclaimed) this.#settle(entry);
    return reclaimed;
  }

  /** Makes what a group lent its own: the group may end before it is acknowledged. */
  adopt(shareKey: string): void {
    for (const entry of this.#inFlight?.ofShare(shareKey) ?? NO_ENTRIES) {
      if (entry.lentBy === undefined) continue;
      entry.lentBy.remove(entry);
      entry.lentBy = undefined;
      this.queue.admit(entry);
    }
  }

  /** Gives messages in flight bytes of their own, so that none keeps a read chunk alive for long. */
  detachMessages(): void {
    for (const entry of this.#inFlight?.list() ?? NO_ENTRIES) entry.message.detach();
  }

  onQueueReady(): void {
    this.pump();
  }

  onDeadline(): void {
    this.onExpired?.(this);
  }
}
