import { protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ProtocolVersion, UnsubackPacket } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { ReasonCode } from './reason-codes.ts';

const REASON_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.noSubscriptionExisted,
  ReasonCode.unspecifiedError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.topicFilterInvalid,
  ReasonCode.packetIdentifierInUse,
]);

/**
 * Decodes UNSUBACK, section 3.11.
 *
 * @throws ProtocolError 0x81 for a packet id of 0 and lengths that do not fit; 0x82 for no code or one UNSUBACK does not
 *   have.
 */
export function decodeUnsuback(framer: Framer, version: ProtocolVersion): UnsubackPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packet: UnsubackPacket = {
    type: PacketType.unsuback,
    packetId: reader.readPacketId(),
    reasonCodes: [],
    properties: {},
  };
  if (version === 5) {
    packet.properties = decodeProperties(reader, PacketType.unsuback);
    if (reader.remaining === 0) throw protocolError('UNSUBACK without a reason code', 'MQTT-3.11.3-1');
    while (reader.remaining > 0) {
      const reasonCode = reader.readByte();
      // [MQTT-3.11.3-2]
      if (!REASON_CODES.has(reasonCode)) throw protocolError(`Reason code ${reasonCode} in UNSUBACK`, 'MQTT-3.11.3-2');
      packet.reasonCodes.push(reasonCode);
    }
  }
  reader.expectEnd();
  return packet;
}

/**
 * Encodes UNSUBACK; 3.x has no reason codes on the wire.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeUnsuback(packet: UnsubackPacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeUint16(packet.packetId);
  if (version === 5) {
    encodeProperties(writer, packet.properties, PacketType.unsuback);
    for (const reasonCode of packet.reasonCodes) writer.writeByte(reasonCode);
  }
  return writer.packet(PacketType.unsuback, 0);
}
