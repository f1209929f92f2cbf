import { protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ProtocolVersion, SubackPacket } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { ReasonCode } from './reason-codes.ts';

const REASON_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.grantedQos1,
  ReasonCode.grantedQos2,
  ReasonCode.unspecifiedError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.topicFilterInvalid,
  ReasonCode.packetIdentifierInUse,
  ReasonCode.quotaExceeded,
  ReasonCode.sharedSubscriptionsNotSupported,
  ReasonCode.subscriptionIdentifiersNotSupported,
  ReasonCode.wildcardSubscriptionsNotSupported,
]);

/** Whether SUBACK may refuse a topic filter with this reason code [MQTT-3.9.3-2]. */
export function isSubscribeRefusal(reasonCode: number): boolean {
  return reasonCode >= ReasonCode.unspecifiedError && REASON_CODES.has(reasonCode);
}

/** SUBACK return codes of 3.1.1, section 3.9.3; 0x80, the failure, is the same number as in 5.0. */
const RETURN_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.grantedQos1,
  ReasonCode.grantedQos2,
  ReasonCode.unspecifiedError,
]);

/**
 * Decodes SUBACK, section 3.9.
 *
 * @throws ProtocolError 0x81 for a packet id of 0 and lengths that do not fit; 0x82 for no code or one SUBACK does not have.
 */
export function decodeSuback(framer: Framer, version: ProtocolVersion): SubackPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packetId = reader.readPacketId();
  const properties = version === 5 ? decodeProperties(reader, PacketType.suback) : {};
  if (reader.remaining === 0) throw protocolError('SUBACK without a reason code', 'MQTT-3.8.4-6');
  const known = version === 5 ? REASON_CODES : RETURN_CODES;
  const reasonCodes: number[] = [];
  while (reader.remaining > 0) {
    const reasonCode = reader.readByte();
    // [MQTT-3.9.3-2] [v3 MQTT-3.9.3-2]
    if (!known.has(reasonCode)) throw protocolError(`Reason code ${reasonCode} in SUBACK`, 'MQTT-3.9.3-2');
    reasonCodes.push(reasonCode);
  }
  return { type: PacketType.suback, packetId, reasonCodes, properties };
}

/**
 * Encodes SUBACK.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeSuback(packet: SubackPacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeUint16(packet.packetId);
  if (version === 5) encodeProperties(writer, packet.properties, PacketType.suback);
  for (const reasonCode of packet.reasonCodes) writer.writeByte(reasonCode);
  return writer.packet(PacketType.suback, 0);
}
