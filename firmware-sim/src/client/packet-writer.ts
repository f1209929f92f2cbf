import { generate, type IPublishPacket, type Packet } from 'mqtt-packet';
import type {
  ConnectOptions,
  MessageProperties,
  OutgoingMessage,
  ProtocolVersion,
  SubscribeOptions,
  Will,
} from './client.ts';
import { TopicBytes } from './topic-names.ts';

/** Payloads above this are not copied behind their head but sent beside it. */
const copyUpTo = 2048;

const largestRemainingLength = 268_435_455;

/** A PUBLISH in two pieces, for payloads too large to be copied. */
export interface EncodedPublish {
  readonly head: Buffer;
  /** The message's own. */
  readonly payload: Buffer;
}

/**
 * Makes packets: PUBLISH by hand (its topic name and its properties are kept encoded), everything rare by mqtt-packet.
 * One per thread.
 */
export class PacketWriter {
  readonly #topics = new TopicBytes();
  /** Encoded properties with their length, as long as their owner keeps the object. */
  readonly #properties = new WeakMap<MessageProperties, Buffer>();

  /**
   * A PUBLISH whose payload is in the same buffer; QoS 0 always, because its payload is the caller's again at once.
   * @param packetId 0 for QoS 0.
   */
  publish(
    message: OutgoingMessage,
    version: ProtocolVersion,
    packetId: number,
    isDup: boolean,
  ): EncodedPublish | Buffer {
    const { payload, qos } = message;
    if (payload.length <= copyUpTo || qos === 0) {
      const bytes = this.#head(message, version, packetId, payload.length);
      bytes.set(payload, bytes.length - payload.length);
      if (isDup) bytes[0] = (bytes[0] as number) | 8;
      return bytes;
    }
    const head = this.#head(message, version, packetId, 0);
    if (isDup) head[0] = (head[0] as number) | 8;
    return { head, payload };
  }

  /** Everything before the payload, with room for `room` bytes behind it. */
  #head(message: OutgoingMessage, version: ProtocolVersion, packetId: number, room: number): Buffer {
    const topic = this.#topics.of(message.topicName);
    const properties =
      version === 5 && message.properties !== undefined ? this.#encoded(message.properties) : undefined;
    const propertiesLength = properties !== undefined ? properties.length : version === 5 ? 1 : 0;
    const length = topic.length + (packetId === 0 ? 0 : 2) + propertiesLength + message.payload.length;
    if (length > largestRemainingLength) throw new RangeError(`a PUBLISH of ${length} bytes; MQTT ends at 256 MB`);
    const lengthLength = length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : 4;
    const bytes = Buffer.allocUnsafe(1 + lengthLength + length - message.payload.length + room);
    bytes[0] = 0x30 | (message.qos << 1) | (message.retain ? 1 : 0);
    let at = 1;
    let rest = length;
    while (rest >= 0x80) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    bytes.set(topic, at);
    at += topic.length;
    if (packetId !== 0) {
      bytes[at++] = packetId >>> 8;
      bytes[at++] = packetId & 255;
    }
    if (properties !== undefined) bytes.set(properties, at);
    else if (version === 5) bytes[at] = 0;
    return bytes;
  }

  #encoded(properties: MessageProperties): Buffer {
    let bytes = this.#properties.get(properties);
    if (bytes === undefined) {
      bytes = encodeProperties(properties);
      this.#properties.set(properties, bytes);
    }
    return bytes;
  }
}

/** Properties of a PUBLISH with their length before them: what mqtt-packet puts behind an empty topic name. */
function encodeProperties(properties: MessageProperties): Buffer {
  const packet = generate(
    {
      cmd: 'publish',
      topic: '',
      payload: '',
      qos: 0,
      dup: false,
      retain: false,
      properties: foreignProperties(properties),
    },
    { protocolVersion: 5 },
  );
  let at = 1;
  while ((packet[at] as number) >= 128) at++;
  return packet.subarray(at + 3);
}

type ForeignProperties = NonNullable<IPublishPacket['properties']>;

/** Properties of a message as mqtt-packet and MQTT.js call them. */
export function foreignProperties(properties: MessageProperties): ForeignProperties {
  const { contentType, responseTopic, correlationData, messageExpiryInterval, userProperties } = properties;
  return {
    ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
    ...(contentType !== undefined && { contentType }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData }),
    ...(userProperties !== undefined && { userProperties: { ...userProperties } }),
  };
}

/** A CONNECT of any version. */
export function encodeConnect(options: ConnectOptions): Buffer {
  const { version, username, password, will } = options;
  return generate({
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: options.clientId,
    clean: options.cleanStart,
    keepalive: options.keepAliveSeconds,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Buffer.from(password) }),
    ...(will !== undefined && { will: encodableWill(will, version) }),
    ...(version === 5 && { properties: connectProperties(options) }),
  });
}

/** What CONNECT of MQTT 5 says of the session. */
export function connectProperties(options: ConnectOptions): {
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
} {
  const { receiveMaximum } = options;
  const sessionExpiryInterval = expiryInterval(options.sessionExpirySeconds);
  return {
    ...(sessionExpiryInterval > 0 && { sessionExpiryInterval }),
    ...(receiveMaximum !== undefined && { receiveMaximum }),
  };
}

/** A Session Expiry Interval, 0 to 0xffffffff (never), of `seconds`. */
export function expiryInterval(seconds: number): number {
  return Math.min(0xffffffff, Math.max(0, Math.ceil(seconds)));
}

/** A will in the words of mqtt-packet and MQTT.js. */
export function encodableWill(
  will: Will,
  version: ProtocolVersion,
): { topic: string; payload: Buffer; qos: 0 | 1 | 2; retain: boolean; properties?: { willDelayInterval: number } } {
  const { topicName: topic, payload, qos, retain, delaySeconds = 0 } = will;
  const hasDelay = version === 5 && delaySeconds > 0;
  return {
    topic,
    payload,
    qos,
    retain,
    ...(hasDelay && { properties: { willDelayInterval: Math.ceil(delaySeconds) } }),
  };
}

/** A SUBSCRIBE; options of MQTT 5 are left out below it. */
export function encodeSubscribe(
  subscriptions: readonly SubscribeOptions[],
  version: ProtocolVersion,
  packetId: number,
): Buffer {
  const encodable = subscriptions.map(({ topicFilter, qos, noLocal, retainAsPublished, retainHandling }) => ({
    topic: topicFilter,
    qos,
    nl: noLocal === true,
    rap: retainAsPublished === true,
    rh: retainHandling ?? 0,
  }));
  return generate({ cmd: 'subscribe', messageId: packetId, subscriptions: encodable }, { protocolVersion: version });
}

/** An UNSUBSCRIBE. */
export function encodeUnsubscribe(topicFilters: readonly string[], version: ProtocolVersion, packetId: number): Buffer {
  const packet: Packet = { cmd: 'unsubscribe', messageId: packetId, unsubscriptions: [...topicFilters] };
  return generate(packet, { protocolVersion: version });
}

/** A DISCONNECT; `sessionExpirySeconds` and `withWill` are of MQTT 5 and left out below it. */
export function encodeDisconnect(
  version: ProtocolVersion,
  sessionExpirySeconds: number | undefined,
  withWill: boolean,
): Buffer {
  if (version < 5) return Buffer.from([0xe0, 0]);
  const reasonCode = withWill ? 0x04 : 0;
  if (sessionExpirySeconds === undefined) return withWill ? Buffer.from([0xe0, 1, reasonCode]) : Buffer.from([0xe0, 0]);
  const properties = { sessionExpiryInterval: expiryInterval(sessionExpirySeconds) };
  return generate({ cmd: 'disconnect', reasonCode, properties }, { protocolVersion: 5 });
}

/** A PINGREQ. */
export function encodePingreq(): Buffer {
  return Buffer.from([0xc0, 0]);
}
