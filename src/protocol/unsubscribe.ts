import { protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ProtocolVersion, UnsubscribePacket } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { SUBSCRIBE_FLAGS } from './subscribe.ts';

/**
 * Decodes UNSUBSCRIBE, section 3.10; the syntax of topic filters is not looked at.
 *
 * @throws ProtocolError 0x81 for a packet id of 0 and lengths that do not fit; 0x82 for no or an empty topic filter.
 */
export function decodeUnsubscribe(framer: Framer, version: ProtocolVersion): UnsubscribePacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packetId = reader.readPacketId();
  const properties = version === 5 ? decodeProperties(reader, PacketType.unsubscribe) : {};
  // [MQTT-3.10.3-2] [v3 MQTT-3.10.3-2]
  if (reader.remaining === 0) throw protocolError('UNSUBSCRIBE without a topic filter', 'MQTT-3.10.3-2');
  const topicFilters: string[] = [];
  while (reader.remaining > 0) topicFilters.push(reader.readTopicFilter()); // [MQTT-3.10.3-1] [v3 MQTT-3.10.3-1]
  return { type: PacketType.unsubscribe, packetId, topicFilters, properties };
}

/**
 * Encodes UNSUBSCRIBE.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeUnsubscribe(packet: UnsubscribePacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeUint16(packet.packetId);
  if (version === 5) encodeProperties(writer, packet.properties, PacketType.unsubscribe);
  for (const topicFilter of packet.topicFilters) writer.writeString(topicFilter);
  return writer.packet(PacketType.unsubscribe, SUBSCRIBE_FLAGS);
}
