import { malformed, protocolError } from './errors.ts';
import type { Framer } from './framer.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { ProtocolVersion, SubscribePacket, SubscriptionRequest } from './packets.ts';
import { PacketType } from './packets.ts';
import { decodeProperties, encodeProperties } from './properties.ts';
import { isQos } from './qos.ts';

/** Fixed header flags of SUBSCRIBE and UNSUBSCRIBE, sections 3.8.1 and 3.10.1. */
export const SUBSCRIBE_FLAGS = 2;

/** Subscription options, section 3.8.3.1. */
const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;
const RESERVED = 0xc0;
/** All but QoS, reserved in 3.x. */
const RESERVED_V3 = 0xfc;

/**
 * Decodes SUBSCRIBE, section 3.8. The syntax of topic filters is not looked at: it earns a reason code of its own, see
 * `parseTopicFilter`.
 *
 * @throws ProtocolError 0x81 for a packet id of 0, reserved options (3.x: QoS 3 too) and lengths that do not fit; 0x82
 *   for no or an empty topic filter, QoS 3, Retain Handling 3, No Local on a shared subscription.
 */
export function decodeSubscribe(framer: Framer, version: ProtocolVersion): SubscribePacket {
  const reader = new PacketReader(framer.buffer, framer.bodyStart, framer.bodyEnd);
  const packetId = reader.readPacketId();
  const properties = version === 5 ? decodeProperties(reader, PacketType.subscribe) : {};
  // [MQTT-3.8.3-2] [v3 MQTT-3.8.3-3]
  if (reader.remaining === 0) throw protocolError('SUBSCRIBE without a topic filter', 'MQTT-3.8.3-2');
  const subscriptions: SubscriptionRequest[] = [];
  while (reader.remaining > 0) {
    const topicFilter = reader.readTopicFilter(); // [MQTT-3.8.3-1] [v3 MQTT-3.8.3-1]
    const options = reader.readByte();
    subscriptions.push(version === 5 ? decodeOptions(topicFilter, options) : decodeOptionsV3(topicFilter, options));
  }
  return { type: PacketType.subscribe, packetId, subscriptions, properties };
}

function decodeOptions(topicFilter: string, options: number): SubscriptionRequest {
  // [MQTT-3.8.3-5]
  if ((options & RESERVED) !== 0) throw malformed('Reserved subscription options are set', 'MQTT-3.8.3-5');
  const qos = options & 3;
  if (!isQos(qos)) throw protocolError('QoS 3 in SUBSCRIBE');
  const retainHandling = (options >> 4) & 3;
  if (!isRetainHandling(retainHandling)) throw protocolError('Retain Handling 3');
  const noLocal = (options & NO_LOCAL) !== 0;
  if (noLocal && topicFilter.startsWith('$share/')) {
    throw protocolError('No Local on a shared subscription', 'MQTT-3.8.3-4'); // [MQTT-3.8.3-4]
  }
  return {
    topicFilter,
    qos,
    noLocal,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling,
  };
}

function isRetainHandling(value: number): value is SubscriptionRequest['retainHandling'] {
  return value < 3;
}

function decodeOptionsV3(topicFilter: string, options: number): SubscriptionRequest {
  // [v3 MQTT-3.8.3-4]
  if ((options & RESERVED_V3) !== 0) throw malformed('Reserved bits beside the requested QoS', 'v3 MQTT-3.8.3-4');
  if (!isQos(options)) throw malformed('QoS 3 in SUBSCRIBE', 'v3 MQTT-3.8.3-4');
  return { topicFilter, qos: options, noLocal: false, retainAsPublished: false, retainHandling: 0 };
}

/**
 * Encodes SUBSCRIBE.
 *
 * @throws RangeError for values the wire has no room for.
 */
export function encodeSubscribe(packet: SubscribePacket, version: ProtocolVersion): Buffer {
  const writer = new PacketWriter();
  writer.writeUint16(packet.packetId);
  if (version === 5) encodeProperties(writer, packet.properties, PacketType.subscribe);
  for (const subscription of packet.subscriptions) {
    writer.writeString(subscription.topicFilter);
    writer.writeByte(version === 5 ? optionsOf(subscription) : subscription.qos);
  }
  return writer.packet(PacketType.subscribe, SUBSCRIBE_FLAGS);
}

function optionsOf(subscription: SubscriptionRequest): number {
  const flags = (subscription.noLocal ? NO_LOCAL : 0) | (subscription.retainAsPublished ? RETAIN_AS_PUBLISHED : 0);
  return subscription.qos | flags | (subscription.retainHandling << 4);
}
