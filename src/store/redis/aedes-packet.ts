import { Message } from '../../protocol/message.ts';
import { PacketReader } from '../../protocol/packet-reader.ts';
import { PacketType, type Properties, type UserProperty } from '../../protocol/packets.ts';
import { decodePropertyList, encodePropertyList } from '../../protocol/properties.ts';
import { propertiesOf } from '../../protocol/publish.ts';
import { isQos } from '../../protocol/qos.ts';
import { isValidTopicName } from '../../protocol/topic.ts';

/** A message as Aedes keeps it: a MessagePack map. Aedes itself adds `messageId` to those it has sent. */
export interface AedesPacket {
  cmd: 'publish';
  brokerId: string;
  brokerCounter: number;
  topic: string;
  payload: Buffer;
  qos: number;
  retain: boolean;
  dup: boolean;
  /** Client id of the publisher; absent for messages of the broker itself. */
  clientId?: string;
  /** As mqtt-packet decodes them. */
  properties?: Record<string, unknown>;
  /** When it expires, ms since the epoch; absent for never. */
  messageExpiry?: number;
  /** What Aedes has no place for: the bytes of the properties, in their order. Absent without properties. */
  trellis?: { properties: Buffer };
}

/** Stands for the id of the Aedes broker that took the message in, and is no id that Aedes makes. */
const BROKER_ID = 'trellis';

/**
 * The packet that Aedes would keep for this message. Payload and properties are views of the message.
 * @param offsetMs how far the clock that its expiry is kept by is ahead of the local one.
 */
export function packetOf(message: Message, offsetMs: number): AedesPacket {
  const { topicName, payload, qos, retain, properties, expiresAt, publisherId } = message;
  const packet: AedesPacket = {
    cmd: 'publish',
    brokerId: BROKER_ID,
    brokerCounter: 1,
    topic: topicName,
    payload: bufferOf(payload),
    qos,
    retain,
    dup: false,
  };
  if (publisherId !== '') packet.clientId = publisherId;
  if (expiresAt !== Number.POSITIVE_INFINITY) packet.messageExpiry = expiresAt + offsetMs;
  if (properties.length > 0) {
    packet.properties = mqttPacketProperties(propertiesOf(message));
    packet.trellis = { properties: bufferOf(properties) };
  }
  return packet;
}

/**
 * The message of a packet read from Redis, whoever wrote it, with bytes of its own.
 *
 * @param offsetMs how far the clock that its expiry is kept by is ahead of the local one.
 * @throws RangeError or ProtocolError when it is none that a client could be sent; the message of the error says why.
 */
export function messageOfPacket(packet: unknown, offsetMs: number): Message {
  const members = membersOf(packet, 'not a packet');
  const { topic, qos = 0, clientId, messageExpiry } = members;
  if (typeof topic !== 'string' || !isValidTopicName(topic)) throw new RangeError('its topic is not a topic name');
  if (typeof qos !== 'number' || !isQos(qos)) throw new RangeError('its QoS is not 0, 1 or 2');
  return new Message({
    topicName: topic,
    payload: payloadOf(members['payload']),
    qos,
    retain: members['retain'] === true,
    properties: propertyBytesOf(members),
    expiresAt: typeof messageExpiry === 'number' ? messageExpiry - offsetMs : Number.POSITIVE_INFINITY,
    publisherId: typeof clientId === 'string' ? clientId : '',
  });
}

/** @throws RangeError for what is not a map. */
export function membersOf(value: unknown, complaint: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw new RangeError(complaint);
  return value as Record<string, unknown>;
}

/** Programs that embed Aedes may publish a string. */
function payloadOf(payload: unknown): Buffer {
  if (typeof payload === 'string' || payload instanceof Uint8Array) return Buffer.from(payload as Uint8Array);
  throw new RangeError('its payload is neither bytes nor text');
}

function propertyBytesOf({ trellis, properties }: Record<string, unknown>): Uint8Array {
  if (trellis !== undefined && trellis !== null) {
    const bytes = membersOf(trellis, 'its member trellis is not a map')['properties'];
    if (!(bytes instanceof Uint8Array)) throw new RangeError('its member trellis has no properties');
    return checkedProperties(Buffer.from(bytes));
  }
  if (properties === undefined || properties === null) return new Uint8Array(0);
  const given = propertiesOfMqttPacket(membersOf(properties, 'its properties are not a map'));
  return checkedProperties(bufferOf(encodePropertyList(given, PacketType.publish)));
}

/** @throws ProtocolError or RangeError for bytes that no subscriber may be sent. */
function checkedProperties(bytes: Buffer): Buffer {
  const found = decodePropertyList(new PacketReader(bytes, 0, bytes.length), PacketType.publish);
  const { topicAlias, messageExpiryInterval, subscriptionIdentifiers } = found;
  if (topicAlias !== undefined || messageExpiryInterval !== undefined || subscriptionIdentifiers !== undefined)
    throw new RangeError('its properties hold some of a single delivery');
  return bytes;
}

function mqttPacketProperties(properties: Properties): Record<string, unknown> {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  const members: Record<string, unknown> = {};
  if (payloadFormatIndicator !== undefined) members['payloadFormatIndicator'] = payloadFormatIndicator === 1;
  if (contentType !== undefined) members['contentType'] = contentType;
  if (responseTopic !== undefined) members['responseTopic'] = responseTopic;
  if (correlationData !== undefined) members['correlationData'] = bufferOf(correlationData);
  if (userProperties !== undefined) {
    const values = new Map<string, string | string[]>();
    for (const [name, value] of userProperties) {
      const earlier = values.get(name);
      values.set(name, earlier === undefined ? value : [earlier, value].flat());
    }
    members['userProperties'] = Object.fromEntries(values);
  }
  return members;
}

/** Those that are forwarded; what mqtt-packet puts beside them belongs to one delivery. */
function propertiesOfMqttPacket(members: Record<string, unknown>): Properties {
  const properties: Properties = {};
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = members;
  if (isThere(payloadFormatIndicator)) properties.payloadFormatIndicator = payloadFormatIndicator ? 1 : 0;
  if (isThere(contentType)) properties.contentType = textOf(contentType);
  if (isThere(responseTopic)) properties.responseTopic = textOf(responseTopic);
  if (isThere(correlationData)) properties.correlationData = payloadOf(correlationData);
  if (isThere(userProperties)) {
    const pairs: UserProperty[] = [];
    for (const [name, values] of Object.entries(membersOf(userProperties, 'its user properties are not a map')))
      for (const value of [values].flat()) pairs.push([name, textOf(value)]);
    properties.userProperties = pairs;
  }
  return properties;
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new RangeError('one of its properties is not a text');
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
