import { malformed } from './errors.ts';
import type { Framer } from './framer.ts';
import { Message } from './message.ts';
import type { Properties, ProtocolVersion, PublishPacket, Qos } from './packets.ts';
import { PacketType } from './packets.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import { decodePropertyList, encodeProperties, encodePropertyList } from './properties.ts';
import { PropertyId } from './property-table.ts';
import { scanPublishProperties } from './publish-properties.ts';
import { isQos } from './qos.ts';
import { textLength, writeBytes, writeText } from './raw-bytes.ts';
import { emptyTopicName, wildcardInTopicName } from './topic.ts';
import { scanString, textOf, WILDCARD } from './utf8.ts';
import {
  decodeVariableByteInteger,
  encodeVariableByteInteger,
  variableByteIntegerLength,
} from './variable-byte-integer.ts';

const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * A received PUBLISH, section 3.3, as ranges of the framer's buffer; filled in place by `decodePublish`, so that one
 * object serves every connection. It keeps `buffer` alive until the next one is decoded.
 *
 *     | header, length | topic length | topic name | packet id (QoS > 0) | property length | properties | payload |
 *     ^ frameStart                    ^ topicStart ^ topicEnd, packetIdAt                  ^ propertiesStart
 */
export class PublishFrame {
  dup = false;
  qos: Qos = 0;
  retain = false;
  /** 1 to 65,535; 0 with QoS 0. */
  packetId = 0;
  buffer: Buffer = NO_BYTES;
  frameStart = 0;
  topicStart = 0;
  topicEnd = 0;
  /** Offset of the packet id, 0 with QoS 0. */
  packetIdAt = 0;
  /** The properties without the length in front; equal to propertiesEnd for none and in 3.x. */
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  /** End of the payload and of the frame, exclusive. */
  payloadEnd = 0;
  /** 1 to 65,535; 0 for none. */
  topicAlias = 0;
  /** Offset of the topic alias property, 0 for none. */
  topicAliasAt = 0;
  /** Seconds; -1 for none. */
  messageExpiryInterval = -1;
  /** Offset of the message expiry interval property, 0 for none. */
  messageExpiryIntervalAt = 0;
  /** 1 where the payload says it is UTF-8; 0 otherwise and when absent. */
  payloadFormatIndicator = 0;
}

/**
 * Fills `into` from the framer's current frame, a PUBLISH from a client, section 3.3; everything is checked but the
 * bytes of the topic name, see `decodeTopicName`.
 *
 * @throws ProtocolError 0x81 for QoS 3, DUP with QoS 0, packet id 0, lengths that do not fit, properties unknown or of
 *   another packet, ill-formed strings; 0x82 for repeated properties, subscription identifiers, values the standard
 *   excludes, no topic name and no alias either; 0x94 for topic alias 0.
 */
export function decodePublish(into: PublishFrame, framer: Framer, version: ProtocolVersion): void {
  decodeFixedPart(into, framer, version);
  into.topicAlias = 0;
  into.topicAliasAt = 0;
  into.messageExpiryInterval = -1;
  into.messageExpiryIntervalAt = 0;
  into.payloadFormatIndicator = 0;
  if (into.propertiesStart !== into.propertiesEnd) scanPublishProperties(into);
  if (into.topicStart === into.topicEnd && into.topicAlias === 0) throw emptyTopicName();
}

/** Fills in all fields of a PUBLISH but those told by its properties. */
function decodeFixedPart(into: PublishFrame, framer: Framer, version: ProtocolVersion): void {
  const buffer = framer.buffer;
  const header = framer.header;
  const end = framer.bodyEnd;
  const qos = (header >> 1) & 3;
  if (!isQos(qos)) throw malformed('QoS 3 in PUBLISH', 'MQTT-3.3.1-4'); // [MQTT-3.3.1-4] [v3 MQTT-3.3.1-4]
  const dup = (header & 8) !== 0;
  if (dup && qos === 0) throw malformed('DUP with QoS 0', 'MQTT-3.3.1-2'); // [MQTT-3.3.1-2] [v3 MQTT-3.3.1-2]
  const topicStart = framer.bodyStart + 2;
  if (topicStart > end) throw malformed('PUBLISH is too short');
  let at = topicStart + ((buffer[topicStart - 2]! << 8) | buffer[topicStart - 1]!);
  if (at > end) throw malformed('The topic name runs past its packet');
  into.topicStart = topicStart; // [MQTT-3.3.2-1] [v3 MQTT-3.3.2-1]
  into.topicEnd = at;
  if (qos === 0) {
    into.packetId = 0; // [MQTT-2.2.1-2] [v3 MQTT-2.3.1-5]
    into.packetIdAt = 0;
  } else {
    if (at + 2 > end) throw malformed('PUBLISH is too short for its packet identifier');
    const packetId = (buffer[at]! << 8) | buffer[at + 1]!;
    // [MQTT-2.2.1-3] [v3 MQTT-2.3.1-1]
    if (packetId === 0) throw malformed('Packet identifier 0 in PUBLISH', 'MQTT-2.2.1-3');
    into.packetId = packetId;
    into.packetIdAt = at;
    at += 2;
  }
  if (version === 5) {
    const length = decodeVariableByteInteger(buffer, at, end);
    at += variableByteIntegerLength(length);
    into.propertiesStart = at;
    at += length;
    if (at > end) throw malformed('The properties run past their packet');
  } else {
    into.propertiesStart = at;
  }
  into.propertiesEnd = at;
  into.payloadStart = at;
  into.payloadEnd = end;
  into.buffer = buffer;
  into.frameStart = framer.frameStart;
  into.dup = dup;
  into.qos = qos;
  into.retain = (header & 1) !== 0;
}

/**
 * Decodes the bytes of a topic name, section 3.3.2.1.
 *
 * @throws ProtocolError 0x81 for ill-formed UTF-8 or U+0000, 0x82 when it is empty, 0x90 when it holds a wildcard.
 */
export function decodeTopicName(buffer: Buffer, start: number, end: number): string {
  if (start === end) throw emptyTopicName();
  const flags = scanString(buffer, start, end);
  if ((flags & WILDCARD) !== 0) throw wildcardInTopicName();
  return textOf(buffer, start, end, flags);
}

/**
 * Makes the message of a decoded PUBLISH; payload and properties stay ranges of its buffer, but for properties that
 * have to lose their topic alias or message expiry interval, which are copied. (Five arguments: hot path.)
 *
 * @param now ms since the epoch.
 */
export function messageOf(
  frame: PublishFrame,
  topicName: string,
  now: number,
  publisherId: string,
  version: ProtocolVersion,
): Message {
  const expiry = frame.messageExpiryInterval;
  const plain = frame.topicAlias === 0 && expiry === -1;
  const message = new Message({
    topicName,
    payload: frame.buffer,
    payloadStart: frame.payloadStart,
    payloadEnd: frame.payloadEnd,
    qos: frame.qos,
    retain: frame.retain,
    properties: frame.propertiesStart === frame.propertiesEnd ? NO_BYTES : propertyBytesOf(frame, plain),
    expiresAt: expiry === -1 ? Number.POSITIVE_INFINITY : now + expiry * 1000,
    publisherId,
  });
  if (plain && !frame.dup && !frame.retain) {
    message.frameBytes = frame.buffer;
    message.frameStart = frame.frameStart;
    message.frameEnd = frame.payloadEnd;
    message.framePacketIdAt = frame.packetIdAt;
    message.frameKey = frameKeyOf(version, frame.qos, false);
  }
  return message;
}

/** The properties to forward: a view of the frame where it is plain, else a copy without topic alias and expiry. */
function propertyBytesOf(frame: PublishFrame, plain: boolean): Uint8Array {
  const { buffer, propertiesStart, propertiesEnd, topicAliasAt, messageExpiryIntervalAt } = frame;
  if (plain) return buffer.subarray(propertiesStart, propertiesEnd);
  const aliasEnd = topicAliasAt === 0 ? 0 : topicAliasAt + 3;
  const expiryEnd = messageExpiryIntervalAt === 0 ? 0 : messageExpiryIntervalAt + 5;
  const removed = aliasEnd - topicAliasAt + (expiryEnd - messageExpiryIntervalAt);
  const bytes = new Uint8Array(propertiesEnd - propertiesStart - removed);
  let length = 0;
  for (let at = propertiesStart; at < propertiesEnd; ) {
    if (at === topicAliasAt) at = aliasEnd;
    else if (at === messageExpiryIntervalAt) at = expiryEnd;
    else bytes[length++] = buffer[at++]!;
  }
  return bytes;
}

/** Which encoded frames are the same bytes but for the packet id: one number from version, QoS and RETAIN, DUP being 0. */
export function frameKeyOf(version: ProtocolVersion, qos: Qos, retain: boolean): number {
  return (version === 5 ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
}

/**
 * Length in bytes of the whole PUBLISH that `encodePublish` writes for the same arguments.
 * (Seven arguments: hot path, an options object would be made per delivery.)
 */
export function publishLength(
  message: Message,
  version: ProtocolVersion,
  qos: Qos,
  topicAlias: number,
  omitTopic: boolean,
  expirySeconds: number,
  subscriptionIdentifiers: readonly number[],
): number {
  let length = 2 + (omitTopic ? 0 : textLength(message.topicName)) + (qos === 0 ? 0 : 2);
  if (version === 5) {
    const properties = propertiesLengthOf(message, topicAlias, expirySeconds, subscriptionIdentifiers);
    length += variableByteIntegerLength(properties) + properties;
  }
  length += message.payloadEnd - message.payloadStart;
  return 1 + variableByteIntegerLength(length) + length;
}

function propertiesLengthOf(
  message: Message,
  topicAlias: number,
  expirySeconds: number,
  subscriptionIdentifiers: readonly number[],
): number {
  let length = message.properties.length;
  if (expirySeconds >= 0) length += 5;
  if (topicAlias !== 0) length += 3;
  for (let i = 0; i < subscriptionIdentifiers.length; i++) {
    length += 1 + variableByteIntegerLength(subscriptionIdentifiers[i]!);
  }
  return length;
}

/**
 * Writes a PUBLISH of a message at `at` of `out`, section 3.3; the caller guarantees room (`publishLength`). The
 * message's own properties come first, as they are and in order [MQTT-3.3.2-17] [MQTT-3.3.2-18], then message expiry
 * interval, topic alias and subscription identifiers. In 3.x the last four arguments but `omitTopic` have no effect.
 * (Twelve arguments: hot path, an options object would be made per delivery.)
 *
 * @param topicAlias 0 for none.
 * @param omitTopic whether the topic name is left to an alias known already.
 * @param expirySeconds message expiry interval left, -1 for none.
 * @returns the end offset.
 */
export function encodePublish(
  out: Buffer,
  at: number,
  message: Message,
  version: ProtocolVersion,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
  topicAlias: number,
  omitTopic: boolean,
  expirySeconds: number,
  subscriptionIdentifiers: readonly number[],
): number {
  const topicLength = omitTopic ? 0 : textLength(message.topicName);
  const payloadLength = message.payloadEnd - message.payloadStart;
  let length = 2 + topicLength + (qos === 0 ? 0 : 2) + payloadLength;
  let propertiesLength = 0;
  if (version === 5) {
    propertiesLength = propertiesLengthOf(message, topicAlias, expirySeconds, subscriptionIdentifiers);
    length += variableByteIntegerLength(propertiesLength) + propertiesLength;
  }
  out[at] = (PacketType.publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  at = encodeVariableByteInteger(out, at + 1, length);
  out[at++] = topicLength >> 8;
  out[at++] = topicLength & 0xff;
  if (topicLength !== 0) at = writeText(out, at, message.topicName, topicLength);
  if (qos !== 0) {
    out[at++] = packetId >> 8;
    out[at++] = packetId & 0xff;
  }
  if (version === 5) {
    at = encodeVariableByteInteger(out, at, propertiesLength);
    if (propertiesLength !== 0) {
      at = writeBytes(out, at, message.properties, 0, message.properties.length);
      at = writeDeliveryProperties(out, at, topicAlias, expirySeconds, subscriptionIdentifiers);
    }
  }
  return writeBytes(out, at, message.bytes, message.payloadStart, message.payloadEnd);
}

/** Writes the properties that belong to this delivery rather than to the message. (Five arguments: hot path.) */
function writeDeliveryProperties(
  out: Buffer,
  at: number,
  topicAlias: number,
  expirySeconds: number,
  subscriptionIdentifiers: readonly number[],
): number {
  if (expirySeconds >= 0) {
    out[at++] = PropertyId.messageExpiryInterval;
    at = out.writeUInt32BE(expirySeconds, at); // [MQTT-3.3.2-6]
  }
  if (topicAlias !== 0) {
    out[at++] = PropertyId.topicAlias;
    out[at++] = topicAlias >> 8;
    out[at++] = topicAlias & 0xff;
  }
  for (let i = 0; i < subscriptionIdentifiers.length; i++) {
    out[at++] = PropertyId.subscriptionIdentifier; // [MQTT-3.3.4-3]
    at = encodeVariableByteInteger(out, at, subscriptionIdentifiers[i]!);
  }
  return at;
}

/** The properties of a message as an object, without those that belong to a delivery. */
export function propertiesOf(message: Message): Properties {
  if (message.properties.length === 0) return {};
  const bytes = message.properties;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return decodePropertyList(new PacketReader(buffer, 0, buffer.length), PacketType.publish);
}

/**
 * Encodes those properties that a PUBLISH forwards to subscribers, user properties in order [MQTT-3.3.2-18], as
 * `Message.properties` wants them; others (of the delivery, of a will) are left out.
 *
 * @throws RangeError for strings the wire has no room for.
 */
export function encodeForwardedProperties(properties: Properties): Uint8Array {
  const forwarded: Properties = { ...properties };
  delete forwarded.topicAlias;
  delete forwarded.messageExpiryInterval;
  delete forwarded.subscriptionIdentifiers;
  delete forwarded.willDelayInterval;
  return encodePropertyList(forwarded, PacketType.publish);
}

/**
 * Encodes a PUBLISH from its object form.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodePublishPacket(packet: PublishPacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeString(packet.topicName);
  if (packet.qos !== 0) writer.writeUint16(packet.packetId);
  if (version === 5) encodeProperties(writer, packet.properties, PacketType.publish);
  writer.writeRaw(packet.payload);
  return writer.packet(PacketType.publish, (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0));
}

/**
 * Decodes the framer's current frame, a PUBLISH of either direction, into its object form; payload and binary
 * properties are copies.
 *
 * @throws ProtocolError as `decodePublish` and `decodeTopicName`, but lets subscription identifiers pass.
 */
export function decodePublishPacket(framer: Framer, version: ProtocolVersion): PublishPacket {
  const frame = new PublishFrame();
  decodeFixedPart(frame, framer, version);
  const { buffer, propertiesStart, propertiesEnd, topicStart, topicEnd } = frame;
  const properties = decodePropertyList(new PacketReader(buffer, propertiesStart, propertiesEnd), PacketType.publish);
  const omitted = topicStart === topicEnd && properties.topicAlias !== undefined;
  return {
    type: PacketType.publish,
    dup: frame.dup,
    qos: frame.qos,
    retain: frame.retain,
    topicName: omitted ? '' : decodeTopicName(buffer, topicStart, topicEnd),
    packetId: frame.packetId,
    payload: new Uint8Array(buffer.subarray(frame.payloadStart, frame.payloadEnd)),
    properties,
  };
}
