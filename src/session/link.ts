import type { Message } from '../protocol/message.ts';
import type { Qos } from '../protocol/packets.ts';
import type { ReasonCode } from '../protocol/reason-codes.ts';

/** What a session asks of the connection it has; connection/ implements it. */
export interface Link {
  /** QoS 1 and 2 messages the client takes unacknowledged, 1 to 65,535. */
  readonly receiveMaximum: number;
  /** False while the outbox is at its limit; `Session.pump` is called when it has room again. */
  readonly writable: boolean;
  /** True while a replay should wait for the outbox to get shorter. */
  readonly congested: boolean;
  /**
   * Appends a PUBLISH to the outbox.
   * @returns false when it is above the client's Maximum Packet Size; nothing was appended then [MQTT-3.1.2-24].
   */
  sendPublish(
    message: Message,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[],
  ): boolean;
  /** Appends a PUBREL. */
  sendPubrel(packetId: number): void;
  /** Closes the connection, telling an MQTT 5.0 client why. */
  close(reasonCode: ReasonCode, reason: string): void;
}
