import { malformed, protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ConnackPacket, ProtocolVersion } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { ConnectReturnCode, ReasonCode } from './reason-codes.ts';

const REASON_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.unspecifiedError,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.implementationSpecificError,
  ReasonCode.unsupportedProtocolVersion,
  ReasonCode.clientIdentifierNotValid,
  ReasonCode.badUserNameOrPassword,
  ReasonCode.notAuthorized,
  ReasonCode.serverUnavailable,
  ReasonCode.serverBusy,
  ReasonCode.banned,
  ReasonCode.badAuthenticationMethod,
  ReasonCode.topicNameInvalid,
  ReasonCode.packetTooLarge,
  ReasonCode.quotaExceeded,
  ReasonCode.payloadFormatInvalid,
  ReasonCode.retainNotSupported,
  ReasonCode.qosNotSupported,
  ReasonCode.useAnotherServer,
  ReasonCode.serverMoved,
  ReasonCode.connectionRateExceeded,
]);

/**
 * Decodes CONNACK, section 3.2; reasonCode is the return code in 3.x.
 *
 * @throws ProtocolError 0x81 for reserved flags and lengths that do not fit; 0x82 for a code CONNACK does not have, and
 *   Session Present along with a refusal.
 */
export function decodeConnack(framer: Framer, version: ProtocolVersion): ConnackPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const flags = reader.readByte();
  // [MQTT-3.2.2-1] [v3 section 3.2.2.1]
  if (flags > 1) throw malformed('Reserved CONNACK flags are set', 'MQTT-3.2.2-1');
  const reasonCode = reader.readByte();
  const isKnown = version === 5 ? REASON_CODES.has(reasonCode) : reasonCode <= ConnectReturnCode.notAuthorized;
  if (!isKnown) throw protocolError(`Reason code ${reasonCode} in CONNACK`, 'MQTT-3.2.2-8'); // [MQTT-3.2.2-8]
  // [MQTT-3.2.2-6] [v3 MQTT-3.2.2-4]
  if (flags === 1 && reasonCode !== 0) throw protocolError('Session Present along with a refusal', 'MQTT-3.2.2-6');
  const properties = version === 5 ? decodeProperties(reader, PacketType.connack) : {};
  reader.expectEnd();
  return { type: PacketType.connack, sessionPresent: flags === 1, reasonCode, properties };
}

/** Whether CONNACK of 5.0 may bear this reason code, section 3.2.2.2. */
export function isConnackReasonCode(reasonCode: number): boolean {
  return REASON_CODES.has(reasonCode);
}

/**
 * Encodes CONNACK; MQTT 3.1 has no Session Present, its byte is reserved and left 0.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeConnack(packet: ConnackPacket, version: ProtocolVersion): Buffer {
  if (version < 5) {
    const bytes = Buffer.allocUnsafe(4);
    bytes[0] = PacketType.connack << 4;
    bytes[1] = 2;
    bytes[2] = packet.sessionPresent && version !== 3 ? 1 : 0;
    bytes.writeUInt8(packet.reasonCode, 3);
    return bytes;
  }
  const writer = new PacketWriter();
  writer.writeByte(packet.sessionPresent ? 1 : 0);
  writer.writeByte(packet.reasonCode);
  encodeProperties(writer, packet.properties, PacketType.connack);
  return writer.packet(PacketType.connack, 0);
}
