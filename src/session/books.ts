/**
 * Why a delivery that was owed did not happen: the closed list. Nothing is dropped for any other reason.
 *
 * - `queue-full`: the queue of the session or group was at its limit, and the policy gave this message up
 * - `slow-reader`: QoS 0 for a client whose outbox is at its limit
 * - `offline`: QoS 0 for a session without a connection (queueQos0 is off), or for a group without a connected member
 * - `packet-too-large`: above the client's Maximum Packet Size [MQTT-3.1.2-25]
 * - `session-ended`: still queued when its session or group ended
 * - `not-authorized`: queued or in flight, and its client may not have it any more, by the access rules
 * - `store-full`: the store had no room; the publisher was told, or got no acknowledgement, or had published with QoS 0
 */
const DROP_REASONS = [
  'queue-full',
  'slow-reader',
  'offline',
  'packet-too-large',
  'session-ended',
  'not-authorized',
  'store-full',
] as const;

/** One of the closed list of drop reasons. */
export type DropReason = (typeof DROP_REASONS)[number];

/**
 * The counters that must balance at rest:
 *
 *     owed + restored = delivered + queued + expired + moved + the sum of dropped
 *
 * A delivery is one message for one taker (subscriber or shared group), a retained replay included.
 */
export class Books {
  /** PUBLISH packets taken in, from clients and from inside, wills included. */
  received = 0;
  /** Of those, the ones nobody subscribed to. */
  withoutTaker = 0;
  /** PUBLISH packets answered with a refusal (or not at all, in 3.x). */
  refused = 0;
  /** Messages that found no room among the retained ones; those of QoS 0 were delivered all the same. */
  retainedRefused = 0;
  /** Deliveries that became due. */
  owed = 0;
  /** Deliveries found in the store at start, or taken over with what was another node's. */
  restored = 0;
  /** Done: handed to the connection (QoS 0), or acknowledged by the client. */
  delivered = 0;
  /** In queues now, in flight included. */
  queued = 0;
  /** Message expiry interval passed before delivery. */
  expired = 0;
  /** Gone to other nodes: with their session, or into another node's part of a shared subscription. */
  moved = 0;
  readonly dropped: Record<DropReason, number> = {
    'queue-full': 0,
    'slow-reader': 0,
    offline: 0,
    'packet-too-large': 0,
    'session-ended': 0,
    'not-authorized': 0,
    'store-full': 0,
  };
  /** Called for each drop when someone watches; costs nothing otherwise. */
  onDrop: ((clientId: string, topicName: string, reason: DropReason) => void) | undefined = undefined;

  /** Books one drop. */
  drop(clientId: string, topicName: string, reason: DropReason): void {
    this.dropped[reason] += 1;
    this.onDrop?.(clientId, topicName, reason);
  }

  /** What is missing from the balance; 0 at rest. */
  get imbalance(): number {
    let dropped = 0;
    for (const reason of DROP_REASONS) dropped += this.dropped[reason];
    return this.owed + this.restored - this.delivered - this.queued - this.expired - this.moved - dropped;
  }
}
