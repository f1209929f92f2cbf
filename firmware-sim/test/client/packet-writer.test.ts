import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import type { MessageProperties, OutgoingMessage, ProtocolVersion, QoS } from '../../src/client/client.ts';
import { encodeConnect, encodeDisconnect, expiryInterval, PacketWriter } from '../../src/client/packet-writer.ts';
import { TopicBytes } from '../../src/client/topic-names.ts';

const versions: readonly ProtocolVersion[] = [3, 4, 5];
/** Remaining lengths on both sides of where their own length changes, and of where payloads are not copied. */
const lengths = [20, 127, 128, 2048, 2070, 16_383, 16_384, 2_097_151, 2_097_152];

function messageOf(qos: QoS, length: number, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { topicName: 'a/b', payload: Buffer.alloc(length, 'payload'), qos, retain: false, token: 1, ...more };
}

function bytesOf(writer: PacketWriter, message: OutgoingMessage, version: ProtocolVersion, isDup = false): Buffer {
  const encoded = writer.publish(message, version, message.qos === 0 ? 0 : 513, isDup);
  return encoded instanceof Uint8Array ? encoded : Buffer.concat([encoded.head, encoded.payload]);
}

function foreignBytesOf(message: OutgoingMessage, version: ProtocolVersion, dup = false): Buffer {
  const { topicName: topic, payload, qos, retain, properties } = message;
  return generate(
    {
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(qos > 0 && { messageId: 513 }),
      ...(version === 5 && properties && { properties: properties as object }),
    },
    { protocolVersion: version },
  );
}

describe('PacketWriter', () => {
  it.each(versions)('writes the bytes of mqtt-packet for version %i, at every length of the length', (version) => {
    const writer = new PacketWriter();
    for (const qos of [0, 1, 2] as const) {
      for (const length of lengths) {
        for (const retain of [false, true]) {
          const overhead = 5 + (qos > 0 ? 2 : 0) + (version === 5 ? 1 : 0);
          const message = messageOf(qos, length - overhead, { retain });
          const isSame = bytesOf(writer, message, version).equals(foreignBytesOf(message, version));
          expect(isSame, `QoS ${qos}, ${length} bytes`).toBe(true);
        }
      }
    }
  });

  it('writes DUP', () => {
    for (const length of [10, 5000]) {
      const message = messageOf(1, length);
      expect(bytesOf(new PacketWriter(), message, 4, true)).toEqual(foreignBytesOf(message, 4, true));
    }
  });

  it.each(['é', '漢字/🌡', 'x'.repeat(300), 'y'.repeat(65_535)])('writes other topic names', (topicName) => {
    const message = messageOf(1, 10, { topicName });
    const writer = new PacketWriter();
    expect(bytesOf(writer, message, 4).equals(foreignBytesOf(message, 4))).toBe(true);
    expect(bytesOf(writer, message, 4).equals(foreignBytesOf(message, 4))).toBe(true);
  });

  it.each<MessageProperties>([
    {},
    { messageExpiryInterval: 0xffffffff },
    { contentType: 'c', responseTopic: 'r', correlationData: Buffer.from([0, 1]), messageExpiryInterval: 1 },
    { contentType: 'long '.repeat(100) },
  ])('writes the properties of mqtt-packet: %j', (properties) => {
    const writer = new PacketWriter();
    const { messageExpiryInterval, contentType, responseTopic, correlationData } = properties;
    const inOrder = Object.fromEntries(
      Object.entries({ messageExpiryInterval, contentType, responseTopic, correlationData }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    for (let round = 0; round < 2; round++) {
      const message = messageOf(1, 10, { properties });
      const foreign = foreignBytesOf(messageOf(1, 10, { properties: inOrder }), 5);
      expect(bytesOf(writer, message, 5)).toEqual(foreign);
      expect(bytesOf(writer, message, 4)).toEqual(foreignBytesOf(message, 4));
    }
  });

  it('leaves a QoS 0 payload to its owner, whatever its length', () => {
    const message = messageOf(0, 100_000);
    const encoded = new PacketWriter().publish(message, 4, 0, false);
    message.payload.fill(0);
    expect((encoded as Buffer).subarray(-7).toString()).not.toBe('\0'.repeat(7));
  });

  it('refuses what no PUBLISH can carry', () => {
    const writer = new PacketWriter();
    expect(() => bytesOf(writer, messageOf(0, 1, { topicName: 'x'.repeat(65_536) }), 4)).toThrow(RangeError);
  });
});

describe('TopicBytes', () => {
  it('keeps so many names and no more, the oldest going first', () => {
    const topics = new TopicBytes(2);
    const a = topics.of('a');
    const b = topics.of('b');
    expect(topics.of('a')).toBe(a);
    topics.of('c');
    expect(topics.of('b')).toBe(b);
    expect(topics.of('a')).not.toBe(a);
    expect(topics.of('a')).toEqual(a);
  });
});

describe('encodeConnect', () => {
  it('says a session that never ends with the largest interval', () => {
    expect(expiryInterval(Number.POSITIVE_INFINITY)).toBe(0xffffffff);
    expect(expiryInterval(0.5)).toBe(1);
    expect(expiryInterval(-1)).toBe(0);
  });

  it('writes MQIsdp for MQTT 3.1', () => {
    const bytes = encodeConnect({
      clientId: 'x',
      version: 3,
      cleanStart: true,
      sessionExpirySeconds: 0,
      keepAliveSeconds: 1,
    });
    expect(bytes).toEqual(Buffer.from([0x10, 15, 0, 6, ...Buffer.from('MQIsdp'), 3, 2, 0, 1, 0, 1, 0x78]));
  });
});

describe('encodeDisconnect', () => {
  it('is as short as it can be', () => {
    expect(encodeDisconnect(4, 5, true)).toEqual(Buffer.from([0xe0, 0]));
    expect(encodeDisconnect(5, undefined, false)).toEqual(Buffer.from([0xe0, 0]));
    expect(encodeDisconnect(5, undefined, true)).toEqual(Buffer.from([0xe0, 1, 4]));
    expect(encodeDisconnect(5, 5, true)).toEqual(Buffer.from([0xe0, 7, 4, 5, 0x11, 0, 0, 0, 5]));
  });
});
