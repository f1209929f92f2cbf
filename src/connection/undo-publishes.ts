import { PacketType } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { AckQueue } from './ack-queue.ts';
import type { Connection } from './connection.ts';

/** The batch `failed` found the store full: its publishes are undone and answered, where the version can say no; the rest waits for `retriedAs`. */
export function undoPublishes(connection: Connection, acks: AckQueue, failed: number, retriedAs: number): void {
  const { session, context, version } = connection;
  // 3.x has no way to say no: the publish stays without acknowledgement.
  const reasonCode = version === 5 ? ReasonCode.quotaExceeded : undefined;
  // A QoS 2 publish that was stored before and came again is not undone: its packet id is still there.
  const isUndone = (type: number, packetId: number): boolean =>
    type === PacketType.puback ||
    (type === PacketType.pubrec && !(session?.durable === true && session.inbound?.has(packetId) === true));
  for (const { type, packetId } of acks.undo(failed, retriedAs, isUndone, reasonCode)) {
    context.books.refused += 1;
    if (type === PacketType.pubrec) session?.inbound?.delete(packetId);
    if (reasonCode === undefined) connection.finishPublish();
  }
}
