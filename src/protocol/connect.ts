import { malformed, ProtocolError, protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ConnectPacket, Properties, ProtocolVersion, Qos, Will } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { WILL_PROPERTIES } from './property-table.ts';
import { isQos } from './qos.ts';
import { ReasonCode } from './reason-codes.ts';
import { validateTopicName } from './topic.ts';

/** Connect flags, section 3.1.2.3. */
const RESERVED = 0x01;
const CLEAN_START = 0x02;
const WILL = 0x04;
const WILL_RETAIN = 0x20;
const PASSWORD = 0x40;
const USER_NAME = 0x80;

/**
 * Decodes CONNECT, section 3.1. An empty client id is let through: whether it is acceptable is policy.
 *
 * @throws ProtocolError 0x84 for another protocol or version; 0x81 for incoherent flags, lengths that do not fit and
 *   ill-formed strings; 0x82 for properties as `decodePropertyList` has it, Authentication Data without Method and
 *   an empty will topic; 0x90 for a wildcard in it. Its `protocolVersion` tells the version where that could be read.
 */
export function decodeConnect(framer: Framer): ConnectPacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const protocolVersion = decodeProtocol(reader);
  try {
    return decodeAfterProtocol(reader, protocolVersion);
  } catch (error) {
    if (error instanceof ProtocolError) error.protocolVersion = protocolVersion;
    throw error;
  }
}

function decodeProtocol(reader: PacketReader): ProtocolVersion {
  const name = reader.readString();
  const level = reader.readByte();
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    throw unsupported('The protocol name is not that of MQTT', 'MQTT-3.1.2-1'); // [MQTT-3.1.2-1] [v3 MQTT-3.1.2-1]
  }
  if (name === 'MQTT' && (level === 4 || level === 5)) return level;
  if (name === 'MQIsdp' && level === 3) return level;
  // [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2]; bit 7 is how some bridges mark themselves, which is in no standard.
  const error = unsupported(`Protocol version ${level} is not supported`, 'MQTT-3.1.2-2');
  // Whatever it is, it is answered in the form that all versions before 5.0 share.
  error.protocolVersion = 4;
  throw error;
}

function decodeAfterProtocol(reader: PacketReader, protocolVersion: ProtocolVersion): ConnectPacket {
  const flags = reader.readByte();
  validateFlags(flags, protocolVersion);
  const keepAlive = reader.readUint16();
  const properties = protocolVersion === 5 ? decodeProperties(reader, PacketType.connect) : {};
  validateAuthentication(properties);
  const packet: ConnectPacket = {
    type: PacketType.connect,
    protocolVersion,
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAlive,
    clientId: reader.readString(), // [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    properties,
  };
  if ((flags & WILL) !== 0) packet.will = decodeWill(reader, flags, protocolVersion); // [MQTT-3.1.2-9]
  // MQTT 3.1 lets user name and password be missing at the end in spite of their flags, for clients of its predecessor.
  const mayBeMissing = protocolVersion === 3;
  if ((flags & USER_NAME) !== 0 && !(mayBeMissing && reader.remaining === 0)) {
    packet.username = reader.readString(); // [MQTT-3.1.2-17] [MQTT-3.1.3-12] [v3 MQTT-3.1.2-19] [v3 MQTT-3.1.3-11]
  }
  if ((flags & PASSWORD) !== 0 && !(mayBeMissing && reader.remaining === 0)) {
    packet.password = reader.readBinary(); // [MQTT-3.1.2-19] [v3 MQTT-3.1.2-21]
  }
  reader.expectEnd(); // [MQTT-3.1.2-16] [MQTT-3.1.2-18]
  return packet;
}

function validateFlags(flags: number, version: ProtocolVersion): void {
  // [MQTT-3.1.2-3] [v3 MQTT-3.1.2-3]
  if ((flags & RESERVED) !== 0) throw malformed('The reserved connect flag is set', 'MQTT-3.1.2-3');
  const willQos = willQosOf(flags);
  if ((flags & WILL) === 0) {
    if (willQos !== 0) throw malformed('Will QoS without a will', 'MQTT-3.1.2-11'); // [MQTT-3.1.2-11] [v3 MQTT-3.1.2-13]
    // [MQTT-3.1.2-13] [v3 MQTT-3.1.2-15]
    if ((flags & WILL_RETAIN) !== 0) throw malformed('Will Retain without a will', 'MQTT-3.1.2-13');
  }
  if (version !== 5 && (flags & PASSWORD) !== 0 && (flags & USER_NAME) === 0) {
    throw malformed('A password without a user name', 'v3 MQTT-3.1.2-22'); // [v3 MQTT-3.1.2-22]
  }
}

function willQosOf(flags: number): Qos {
  const qos = (flags >> 3) & 3;
  if (!isQos(qos)) throw malformed('Will QoS 3', 'MQTT-3.1.2-12'); // [MQTT-3.1.2-12] [v3 MQTT-3.1.2-14]
  return qos;
}

/** Authentication Data needs an Authentication Method, sections 3.1.2.11.10 and 3.15.2.2.3. @throws ProtocolError 0x82. */
export function validateAuthentication(properties: Properties): void {
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError('Authentication Data without an Authentication Method');
  }
}

function decodeWill(reader: PacketReader, flags: number, version: ProtocolVersion): Will {
  const qos = willQosOf(flags);
  const properties = version === 5 ? decodeProperties(reader, WILL_PROPERTIES) : {};
  const topicName = reader.readString(); // [MQTT-3.1.3-11] [v3 MQTT-3.1.3-10]
  validateTopicName(topicName);
  return {
    properties,
    topicName,
    payload: reader.readBinary(),
    qos,
    retain: (flags & WILL_RETAIN) !== 0,
  };
}

function unsupported(message: string, statementId: string): ProtocolError {
  return new ProtocolError(ReasonCode.unsupportedProtocolVersion, message, statementId);
}

/**
 * Encodes CONNECT in the version the packet names.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeConnect(packet: ConnectPacket): Buffer {
  const { protocolVersion, will, username, password } = packet;
  const writer = new PacketWriter();
  writer.writeString(protocolVersion === 3 ? 'MQIsdp' : 'MQTT');
  writer.writeByte(protocolVersion);
  let flags = packet.cleanStart ? CLEAN_START : 0;
  if (will !== undefined) flags |= WILL | (will.qos << 3) | (will.retain ? WILL_RETAIN : 0);
  if (username !== undefined) flags |= USER_NAME;
  if (password !== undefined) flags |= PASSWORD;
  writer.writeByte(flags);
  writer.writeUint16(packet.keepAlive);
  if (protocolVersion === 5) encodeProperties(writer, packet.properties, PacketType.connect);
  writer.writeString(packet.clientId);
  if (will !== undefined) {
    if (protocolVersion === 5) encodeProperties(writer, will.properties, WILL_PROPERTIES);
    writer.writeString(will.topicName);
    writer.writeBinary(will.payload);
  }
  if (username !== undefined) writer.writeString(username);
  if (password !== undefined) writer.writeBinary(password);
  return writer.packet(PacketType.connect, 0);
}
