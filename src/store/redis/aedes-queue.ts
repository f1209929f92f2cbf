import { Message } from '../../protocol/message.ts';
import type { Qos } from '../../protocol/packets.ts';
import { topicMatches } from '../../protocol/topic.ts';
import type { QueueState, SubscriptionRecord } from '../store.ts';
import { membersOf } from './aedes-packet.ts';
import type { LeftOut } from './left-out.ts';
import { errorText } from '../../lib/error-text.ts';

/** What the queue of one session may hold. */
export interface QueueLimits {
  messagesMax: number;
  /** Sum of `Message.size`. */
  bytesMax: number;
  /** Whether the oldest go where there is no room for all, or the newest. */
  dropOldest: boolean;
}

/** One message of a queue; see QueueRecord. */
export interface QueuedEntry {
  message: Message;
  qos: Qos;
  retain: boolean;
  packetId: number;
  state: QueueState;
}

/** Whose queue it is. */
export interface QueueOwner {
  clientId: string;
  subscriptions: readonly SubscriptionRecord[];
}

/** Makes a message of a packet; of the same packet always the same one. @throws Error for what is none. */
export type MessageOf = (packet: unknown) => Message;

interface Granted {
  qos: Qos;
  retainAsPublished: boolean;
}

const PACKET_ID_MAX = 65_535;
/** Places of dropped entries that are kept at most. */
const COMPACT = 10_000;

/**
 * Makes the queue of a session of what Aedes has listed for it.
 *
 * Aedes keeps one packet for all who are to get it, and in it the packet id of the client it was sent to last. For QoS 2
 * that id is kept, as it is what Aedes itself would repeat: a client that has the message knows it by the id. QoS 1 may
 * come twice anyway, and a packet id of another client would only make a message look like sent that was not.
 */
export class AedesQueue {
  readonly #owner: QueueOwner;
  readonly #limits: QueueLimits;
  readonly #leftOut: LeftOut;
  readonly #messageOf: MessageOf;
  readonly #released: QueuedEntry[] = [];
  /** All others, in order; those in front of `#first` had to go. */
  #listed: QueuedEntry[] = [];
  #first = 0;
  /** Bytes of those listed. */
  #bytes = 0;
  readonly #packetIds = new Set<number>();
  /** The most that was granted for a topic. */
  readonly #granted = new Map<string, Granted>();

  constructor(owner: QueueOwner, limits: QueueLimits, leftOut: LeftOut, messageOf: MessageOf) {
    this.#owner = owner;
    this.#limits = limits;
    this.#leftOut = leftOut;
    this.#messageOf = messageOf;
  }

  /** Adds what the list names `packet:...`. @param packet undefined where there is none, or none that can be read. */
  add(key: string, packet: unknown): void {
    if (packet === undefined) this.#note('the packet is not there any more', key);
    else this.#addPacket(key, packet);
  }

  /** Adds what the list names `outgoing:<client id>:...`: released, unless it holds a message. */
  addOwn(key: string, value: unknown, packet: unknown): void {
    // Aedes forgets the key with PUBCOMP, and leaves it in the list.
    if (value === undefined) return;
    const { cmd, messageId } = membersOf(value, 'not a packet');
    if (cmd !== 'pubrel') this.#addPacket(key, value);
    else if (!isPacketId(messageId) || this.#packetIds.has(messageId))
      this.#note('released without a packet id of its own', key);
    else {
      this.#packetIds.add(messageId);
      const message =
        this.#readable(key, packet) ?? new Message({ topicName: 'released', payload: Buffer.alloc(0), qos: 2 });
      this.#released.push({ message, qos: 2, retain: false, packetId: messageId, state: 'released' });
    }
  }

  /** The whole queue: what is in flight, then what waits. */
  finish(): readonly QueuedEntry[] {
    const inFlight = this.#released;
    const waiting: QueuedEntry[] = [];
    for (const entry of this.#listed.slice(this.#first)) {
      // Only now all packet ids of released ones are known.
      if (entry.packetId !== 0 && !this.#packetIds.has(entry.packetId)) {
        this.#packetIds.add(entry.packetId);
        inFlight.push({ ...entry, state: 'sent' });
      } else waiting.push({ ...entry, packetId: 0 });
    }
    return [...inFlight, ...waiting];
  }

  #addPacket(key: string, packet: unknown): void {
    const message = this.#readable(key, packet);
    if (message === undefined) return;
    const granted = this.#grantedFor(message.topicName);
    const qos = granted.qos > 0 && granted.qos < message.qos ? granted.qos : message.qos;
    const { messageId } = membersOf(packet, 'not a packet');
    const packetId = qos === 2 && isPacketId(messageId) ? messageId : 0;
    const retain = granted.retainAsPublished && message.retain;
    this.#push({ message, qos, retain, packetId, state: 'waiting' });
  }

  /** Within the limits: what is too much goes at the end that the policy names. */
  #push(entry: QueuedEntry): void {
    const { dropOldest } = this.#limits;
    this.#listed.push(entry);
    this.#bytes += entry.message.size;
    while (this.#isOver()) {
      const dropped = dropOldest ? this.#listed[this.#first++] : this.#listed.pop();
      if (dropped === undefined) return;
      this.#bytes -= dropped.message.size;
      const which = dropOldest ? 'the oldest' : 'the newest';
      this.#leftOut.note(
        `queued messages: ${which} over session.queueMessagesMax or session.queueBytesMax`,
        this.#owner.clientId,
      );
    }
    if (this.#first > COMPACT) {
      this.#listed = this.#listed.slice(this.#first);
      this.#first = 0;
    }
  }

  #isOver(): boolean {
    return this.#listed.length - this.#first > this.#limits.messagesMax || this.#bytes > this.#limits.bytesMax;
  }

  #readable(key: string, packet: unknown): Message | undefined {
    if (packet === undefined) return undefined;
    try {
      return this.#messageOf(packet);
    } catch (error) {
      this.#note(errorText(error), key);
      return undefined;
    }
  }

  #grantedFor(topicName: string): Granted {
    let granted = this.#granted.get(topicName);
    if (granted === undefined) {
      granted = { qos: 0, retainAsPublished: false };
      for (const { topicFilter, qos, retainAsPublished } of this.#owner.subscriptions) {
        if (!topicMatches(topicFilter, topicName)) continue;
        if (qos > granted.qos) granted.qos = qos;
        if (retainAsPublished) granted.retainAsPublished = true;
      }
      this.#granted.set(topicName, granted);
    }
    return granted;
  }

  #note(reason: string, key: string): void {
    this.#leftOut.note(`queued messages: ${reason}`, `${this.#owner.clientId}: ${key}`);
  }
}

function isPacketId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= PACKET_ID_MAX;
}
