import { decodeAck, encodeAck, PUBREL_FLAGS } from './ack.ts';
import { decodeAuth, encodeAuth } from './auth.ts';
import { decodeConnack, encodeConnack } from './connack.ts';
import { decodeConnect, encodeConnect } from './connect.ts';
import { decodeDisconnect, encodeDisconnect } from './disconnect.ts';
import { malformed } from './errors.ts';
import type { Framer } from './framer.ts';
import type { AckPacket, Packet, PingPacket, ProtocolVersion } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodePublishPacket, encodePublishPacket } from './publish.ts';
import { decodeSuback, encodeSuback } from './suback.ts';
import { decodeSubscribe, encodeSubscribe, SUBSCRIBE_FLAGS } from './subscribe.ts';
import { decodeUnsuback, encodeUnsuback } from './unsuback.ts';
import { decodeUnsubscribe, encodeUnsubscribe } from './unsubscribe.ts';

/** DUP, which MQTT 3.1 allows on repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE. */
const DUP = 8;

/**
 * Decodes the framer's current frame, a control packet of either direction; CONNECT tells its version itself.
 *
 * @throws ProtocolError with the reason code the standard has for what is wrong, 0x81 where it has none of its own.
 */
export function decodePacket(framer: Framer, version: ProtocolVersion): Packet {
  const type = framer.header >> 4;
  if (type !== PacketType.publish) validateFlags(framer.header, version);
  switch (type) {
    case PacketType.connect:
      return decodeConnect(framer);
    case PacketType.connack:
      return decodeConnack(framer, version);
    case PacketType.publish:
      return decodePublishPacket(framer, version);
    case PacketType.puback:
    case PacketType.pubrec:
    case PacketType.pubrel:
    case PacketType.pubcomp:
      return decodeAck(framer, version, type);
    case PacketType.subscribe:
      return decodeSubscribe(framer, version);
    case PacketType.suback:
      return decodeSuback(framer, version);
    case PacketType.unsubscribe:
      return decodeUnsubscribe(framer, version);
    case PacketType.unsuback:
      return decodeUnsuback(framer, version);
    case PacketType.pingreq:
    case PacketType.pingresp:
      return decodePing(framer, type);
    case PacketType.disconnect:
      return decodeDisconnect(framer, version);
    case PacketType.auth:
      return decodeAuth(framer, version);
    default:
      throw malformed('Control packet type 0 is reserved');
  }
}

/**
 * Encodes a control packet; CONNECT in its own version, all others in the one given.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  switch (packet.type) {
    case PacketType.connect:
      return encodeConnect(packet);
    case PacketType.connack:
      return encodeConnack(packet, version);
    case PacketType.publish:
      return encodePublishPacket(packet, version);
    case PacketType.puback:
    case PacketType.pubrec:
    case PacketType.pubrel:
    case PacketType.pubcomp:
      return encodeAck(packet, version);
    case PacketType.subscribe:
      return encodeSubscribe(packet, version);
    case PacketType.suback:
      return encodeSuback(packet, version);
    case PacketType.unsubscribe:
      return encodeUnsubscribe(packet, version);
    case PacketType.unsuback:
      return encodeUnsuback(packet, version);
    case PacketType.disconnect:
      return encodeDisconnect(packet, version);
    case PacketType.auth:
      return encodeAuth(packet);
    case PacketType.pingreq:
    case PacketType.pingresp:
      break;
  }
  return Buffer.of(packet.type << 4, 0);
}

/** Checks the fixed header flags of every packet type but PUBLISH, section 2.1.3. */
function validateFlags(header: number, version: ProtocolVersion): void {
  const required = requiredFlags(header >> 4);
  const flags = header & 0x0f;
  const isRepeated = version === 3 && required !== 0 && flags === (required | DUP);
  // [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
  // [v3 MQTT-2.2.2-1] [v3 MQTT-2.2.2-2] [v3 MQTT-3.6.1-1] [v3 MQTT-3.8.1-1] [v3 MQTT-3.10.1-1] [v3 MQTT-3.14.1-1]
  if (flags !== required && !isRepeated) {
    throw malformed(`Fixed header flags ${flags} in packet type ${header >> 4}`, 'MQTT-2.1.3-1');
  }
}

function requiredFlags(type: number): number {
  switch (type) {
    case PacketType.pubrel:
      return PUBREL_FLAGS;
    case PacketType.subscribe:
    case PacketType.unsubscribe:
      return SUBSCRIBE_FLAGS;
    default:
      return 0;
  }
}

function decodePing(framer: Framer, type: PingPacket['type']): PingPacket {
  if (framer.bodyStart !== framer.bodyEnd) throw malformed('PINGREQ and PINGRESP have no body');
  return { type };
}

/**
 * Writes PUBACK, PUBREC, PUBREL or PUBCOMP without properties, at most 5 bytes; the caller guarantees room.
 * (Six arguments: hot path.)
 *
 * @param reasonCode left out in 3.x and where it is 0.
 * @returns the end offset.
 */
export function writeAck(
  out: Buffer,
  at: number,
  type: AckPacket['type'],
  packetId: number,
  reasonCode: number,
  version: ProtocolVersion,
): number {
  const hasReasonCode = reasonCode !== 0 && version === 5;
  out[at] = type === PacketType.pubrel ? (type << 4) | PUBREL_FLAGS : type << 4; // [MQTT-3.6.1-1]
  out[at + 1] = hasReasonCode ? 3 : 2;
  out[at + 2] = packetId >> 8;
  out[at + 3] = packetId & 0xff;
  if (!hasReasonCode) return at + 4;
  out[at + 4] = reasonCode;
  return at + 5;
}

/**
 * Packet id of the framer's current frame where it is a PUBACK, PUBREC, PUBREL or PUBCOMP of the plainest form: flags
 * right, two bytes of body, packet id not 0.
 *
 * @returns 1 to 65,535; -1 where it needs `decodePacket`.
 */
export function quickAckId(framer: Framer): number {
  const at = framer.bodyStart;
  if (framer.bodyEnd - at !== 2) return -1;
  const header = framer.header;
  const type = header >> 4;
  if (type < PacketType.puback || type > PacketType.pubcomp) return -1;
  if ((header & 0x0f) !== (type === PacketType.pubrel ? PUBREL_FLAGS : 0)) return -1;
  const packetId = (framer.buffer[at]! << 8) | framer.buffer[at + 1]!;
  return packetId === 0 ? -1 : packetId;
}
