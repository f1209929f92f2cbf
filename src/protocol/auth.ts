import { validateAuthentication } from './connect.ts';
import { malformed, protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { AuthPacket, ProtocolVersion } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties, isEmpty } from './properties.ts';
import { ReasonCode } from './reason-codes.ts';

const REASON_CODES: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.continueAuthentication,
  ReasonCode.reAuthenticate,
]);

/**
 * Decodes AUTH, section 3.15. A Remaining Length of 0 means success without properties, and is the one form without an
 * Authentication Method.
 *
 * @throws ProtocolError 0x81 before 5.0 and for lengths that do not fit; 0x82 for a reason code AUTH does not have, and
 *   for properties without an Authentication Method.
 */
export function decodeAuth(framer: Framer, version: ProtocolVersion): AuthPacket {
  if (version !== 5) throw malformed('AUTH does not exist before MQTT 5.0', 'v3 MQTT-2.2.2-1');
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  if (reader.remaining === 0) return { type: PacketType.auth, reasonCode: ReasonCode.success, properties: {} };
  const reasonCode = reader.readByte();
  // [MQTT-3.15.2-1]
  if (!REASON_CODES.has(reasonCode)) throw protocolError(`Reason code ${reasonCode} in AUTH`, 'MQTT-3.15.2-1');
  const properties = decodeProperties(reader, PacketType.auth);
  reader.expectEnd();
  validateAuthentication(properties);
  if (properties.authenticationMethod === undefined) throw protocolError('AUTH without an Authentication Method');
  return { type: PacketType.auth, reasonCode, properties };
}

/**
 * Encodes AUTH, which exists in 5.0 only.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeAuth(packet: AuthPacket): Buffer {
  const writer = new PacketWriter();
  if (packet.reasonCode !== 0 || !isEmpty(packet.properties)) {
    writer.writeByte(packet.reasonCode);
    encodeProperties(writer, packet.properties, PacketType.auth);
  }
  return writer.packet(PacketType.auth, 0);
}
