import type { Message } from '../protocol/message.ts';
import type { Qos } from '../protocol/packets.ts';
import type { QueueRecord, QueueState } from '../store/store.ts';
import type { MessageQueue } from './message-queue.ts';

/** No subscription identifiers. */
export const NO_IDENTIFIERS: readonly number[] = [];

/** The QoS a delivery goes out with, section 3.8.4. */
export function effectiveQos(message: Message, granted: Qos): Qos {
  return message.qos < granted ? message.qos : granted;
}

/**
 * One delivery with QoS 1 or 2 (or a queued QoS 0) from being owed to being acknowledged. It is what the store keeps
 * as well, so that nothing is copied into a record of its own.
 *
 *     waiting --sent--> sent --PUBACK--> gone              (QoS 1)
 *                       sent --PUBREC--> released --PUBCOMP--> gone   (QoS 2)
 */
export class QueueEntry implements QueueRecord {
  queueId: number;
  sequence: number;
  readonly message: Message;
  qos: Qos;
  retain: boolean;
  subscriptionIdentifiers: readonly number[];
  packetId = 0;
  state: QueueState = 'waiting';
  shareKey: string;
  /** Where the broker has it: waiting in memory or on disk only, handed out to be sent, or given up after it was sent. */
  place: 'window' | 'disk' | 'flight' | 'gone' = 'flight';
  /** Ticket of the batch with its latest change; 0 when it is not in the store. */
  ticket = 0;
  /** Index of its `queue-put` in the open batch, -1 once that batch was handed to the store. */
  putIndex = -1;
  /** Serial of the connection it was last sent on, 0 for none. */
  sentOn = 0;
  /**
   * Ticket of the batch that was to accept its message, 0 before it was put: where that batch finds the store full, the
   * publisher is refused and the entry given up, whatever queue it has come to. 1 for a message accepted before.
   */
  acceptedIn = 0;
  /**
   * The queue of a group where it stays, counted and stored as waiting, while a session that is not stored has it in
   * flight with QoS 1: if the broker ends before that has acknowledged it, another member gets it.
   */
  lentBy: MessageQueue | undefined = undefined;
  /** Whether it was in flight with QoS 2 when its client lost the right to it: only the exchange is brought to its end. */
  withheld = false;
  /** Whether the PUBLISH went out before, on whatever connection: then DUP is set. */
  sentBefore = false;

  constructor(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[], shareKey: string) {
    this.queueId = 0;
    this.sequence = 0;
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.subscriptionIdentifiers = identifiers;
    this.shareKey = shareKey;
  }

  /** Takes over the message of an entry of another queue. What never was put has been accepted without the store. */
  replace(other: QueueEntry): void {
    this.acceptedIn = Math.max(other.acceptedIn, 1);
  }

  /** What of it depends on the subscription it goes out for. */
  addressTo(qos: Qos, retain: boolean, identifiers: readonly number[]): void {
    this.qos = qos;
    this.retain = retain;
    this.subscriptionIdentifiers = identifiers;
  }

  /** The message while it waits; one that was sent already will be acknowledged soon (see `noteInFlight`). */
  kept(): Message | undefined {
    return this.place === 'window' || this.place === 'disk' ? this.message : undefined;
  }

  /** Rebuilds an entry from the store. What was sent before the restart goes out again with DUP. */
  static restored(record: QueueRecord): QueueEntry {
    const entry = new QueueEntry(
      record.message,
      record.qos,
      record.retain,
      record.subscriptionIdentifiers,
      record.shareKey,
    );
    entry.queueId = record.queueId;
    entry.sequence = record.sequence;
    entry.packetId = record.packetId;
    entry.state = record.state;
    entry.ticket = 1;
    entry.acceptedIn = 1;
    entry.sentBefore = record.state !== 'waiting';
    return entry;
  }
}
