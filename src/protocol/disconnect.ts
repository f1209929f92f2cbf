import { protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { DisconnectPacket, ProtocolVersion } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties, isEmpty } from './properties.ts';
import { ReasonCode } from './reason-codes.ts';

const REASON_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.disconnectWithWillMessage,
  ReasonCode.unspecifiedError,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.serverBusy,
  ReasonCode.serverShuttingDown,
  ReasonCode.badAuthenticationMethod, // Table 2-6 has it for DISCONNECT, table 3-10 has not; a re-authentication needs it.
  ReasonCode.keepAliveTimeout,
  ReasonCode.sessionTakenOver,
  ReasonCode.topicFilterInvalid,
  ReasonCode.topicNameInvalid,
  ReasonCode.receiveMaximumExceeded,
  ReasonCode.topicAliasInvalid,
  ReasonCode.packetTooLarge,
  ReasonCode.messageRateTooHigh,
  ReasonCode.quotaExceeded,
  ReasonCode.administrativeAction,
  ReasonCode.payloadFormatInvalid,
  ReasonCode.retainNotSupported,
  ReasonCode.qosNotSupported,
  ReasonCode.useAnotherServer,
  ReasonCode.serverMoved,
  ReasonCode.sharedSubscriptionsNotSupported,
  ReasonCode.connectionRateExceeded,
  ReasonCode.maximumConnectTime,
  ReasonCode.subscriptionIdentifiersNotSupported,
  ReasonCode.wildcardSubscriptionsNotSupported,
]);

/** Whether DISCONNECT has this reason code [MQTT-3.14.2-1]. */
export function isDisconnectCode(reasonCode: number): boolean {
  return REASON_CODES.has(reasonCode);
}

/**
 * Decodes DISCONNECT of either direction, section 3.14. In 5.0 the reason code may be left out where it is 0, the
 * properties where there are none; in 3.x there is no body.
 *
 * @throws ProtocolError 0x81 for lengths that do not fit; 0x82 for a reason code DISCONNECT does not have.
 */
export function decodeDisconnect(framer: Framer, version: ProtocolVersion): DisconnectPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packet: DisconnectPacket = { type: PacketType.disconnect, reasonCode: ReasonCode.success, properties: {} };
  if (version === 5 && reader.remaining > 0) {
    packet.reasonCode = reader.readByte();
    // [MQTT-3.14.2-1]
    if (!REASON_CODES.has(packet.reasonCode)) {
      throw protocolError(`Reason code ${packet.reasonCode} in DISCONNECT`, 'MQTT-3.14.2-1');
    }
    if (reader.remaining > 0) packet.properties = decodeProperties(reader, PacketType.disconnect);
  }
  reader.expectEnd();
  return packet;
}

/**
 * Encodes DISCONNECT: no body in 3.x and for reason code 0 without properties.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeDisconnect(packet: DisconnectPacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  if (version === 5 && (packet.reasonCode !== 0 || !isEmpty(packet.properties))) {
    writer.writeByte(packet.reasonCode);
    encodeProperties(writer, packet.properties, PacketType.disconnect);
  }
  return writer.packet(PacketType.disconnect, 0);
}
