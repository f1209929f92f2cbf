import { protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { AckPacket, ProtocolVersion } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties, isEmpty } from './properties.ts';
import { ReasonCode } from './reason-codes.ts';

/** Fixed header flags of PUBREL, section 3.6.1. */
export const PUBREL_FLAGS = 2;

const PUBLISH_OUTCOMES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.noMatchingSubscribers,
  ReasonCode.unspecifiedError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.topicNameInvalid,
  ReasonCode.packetIdentifierInUse,
  ReasonCode.quotaExceeded,
  ReasonCode.payloadFormatInvalid,
]);

const RELEASE_OUTCOMES: ReadonlySet<number> = new Set([ReasonCode.success, ReasonCode.packetIdentifierNotFound]);

/** Whether PUBACK and PUBREC may refuse a message with this reason code [MQTT-3.4.2-1] [MQTT-3.5.2-1]. */
export function isPublishRefusal(reasonCode: number): boolean {
  return reasonCode >= ReasonCode.unspecifiedError && PUBLISH_OUTCOMES.has(reasonCode);
}

/**
 * Decodes PUBACK, PUBREC, PUBREL or PUBCOMP, sections 3.4 to 3.7. In 5.0 the reason code may be left out where it is 0,
 * the properties where there are none.
 *
 * @throws ProtocolError 0x81 for a packet id of 0 and lengths that do not fit; 0x82 for a reason code of other packets.
 */
export function decodeAck(framer: Framer, version: ProtocolVersion, type: AckPacket['type']): AckPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packet: AckPacket = { type, packetId: reader.readPacketId(), reasonCode: ReasonCode.success, properties: {} };
  if (version === 5 && reader.remaining > 0) {
    packet.reasonCode = reader.readByte();
    const outcomes = type === PacketType.puback || type === PacketType.pubrec ? PUBLISH_OUTCOMES : RELEASE_OUTCOMES;
    // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    if (!outcomes.has(packet.reasonCode)) {
      throw protocolError(`Reason code ${packet.reasonCode} in packet type ${type}`, 'MQTT-3.4.2-1');
    }
    if (reader.remaining > 0) packet.properties = decodeProperties(reader, type);
  }
  reader.expectEnd();
  return packet;
}

/**
 * Encodes PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeAck(packet: AckPacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeUint16(packet.packetId);
  if (version === 5) {
    const hasProperties = !isEmpty(packet.properties);
    if (packet.reasonCode !== 0 || hasProperties) writer.writeByte(packet.reasonCode);
    if (hasProperties) encodeProperties(writer, packet.properties, packet.type);
  }
  return writer.packet(packet.type, packet.type === PacketType.pubrel ? PUBREL_FLAGS : 0);
}
