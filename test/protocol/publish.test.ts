import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import type { Properties, ProtocolVersion, PublishPacket, Qos } from '../../src/protocol/packets.ts';
import {
  decodePublish,
  decodePublishPacket,
  decodeTopicName,
  encodeForwardedProperties,
  encodePublish,
  encodePublishPacket,
  frameKeyOf,
  messageOf,
  PublishFrame,
  propertiesOf,
  publishLength,
} from '../../src/protocol/publish.ts';
import { anyVersion, publish, versionedPublish } from './arbitraries.ts';
import { framed } from './decoding.ts';

const NOW = 1_700_000_000_000;

/** The message of a PUBLISH from a client, by way of the hot path. */
function received(packet: PublishPacket, version: ProtocolVersion): Message {
  const frame = new PublishFrame();
  decodePublish(frame, framed(encodePublishPacket(packet, version)), version);
  const topicName = decodeTopicName(frame.buffer, frame.topicStart, frame.topicEnd);
  return messageOf(frame, topicName, NOW, 'publisher', version);
}

/** The properties of a PUBLISH that are forwarded. */
function forwarded(properties: Properties): Properties {
  const { topicAlias: _alias, messageExpiryInterval: _expiry, subscriptionIdentifiers: _ids, ...rest } = properties;
  return rest;
}

interface Delivery {
  version: ProtocolVersion;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  packetId: number;
  topicAlias: number;
  omitTopic: boolean;
  expirySeconds: number;
  subscriptionIdentifiers: number[];
}

function encode(message: Message, d: Delivery): Buffer {
  const length = publishLength(
    message,
    d.version,
    d.qos,
    d.topicAlias,
    d.omitTopic,
    d.expirySeconds,
    d.subscriptionIdentifiers,
  );
  const out = Buffer.alloc(length + 7, 0xee);
  const end = encodePublish(
    out,
    5,
    message,
    d.version,
    d.qos,
    d.retain,
    d.dup,
    d.packetId,
    d.topicAlias,
    d.omitTopic,
    d.expirySeconds,
    d.subscriptionIdentifiers,
  );
  expect(end).toBe(5 + length);
  expect(out.subarray(0, 5).toString('hex') + out.subarray(end).toString('hex')).toBe('eeeeeeeeeeeeee');
  return out.subarray(5, end);
}

const deliveries: fc.Arbitrary<Delivery> = fc
  .record({
    version: anyVersion,
    qos: fc.constantFrom<Qos>(0, 1, 2),
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId: fc.integer({ min: 1, max: 65_535 }),
    topicAlias: fc.integer({ min: 0, max: 65_535 }),
    omitTopic: fc.boolean(),
    expirySeconds: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 0xffff_ffff })),
    subscriptionIdentifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 4 }),
  })
  .map((d) => ({
    ...d,
    dup: d.dup && d.qos > 0,
    packetId: d.qos === 0 ? 0 : d.packetId,
    omitTopic: d.omitTopic && d.topicAlias > 0 && d.version === 5,
  }));

/** The PUBLISH that a delivery of a packet must be. */
function expectedDelivery(packet: PublishPacket, d: Delivery): PublishPacket {
  const properties: Properties = { ...forwarded(packet.properties) };
  if (d.expirySeconds >= 0) properties.messageExpiryInterval = d.expirySeconds;
  if (d.topicAlias > 0) properties.topicAlias = d.topicAlias;
  if (d.subscriptionIdentifiers.length > 0) properties.subscriptionIdentifiers = d.subscriptionIdentifiers;
  return {
    ...packet,
    dup: d.dup,
    qos: d.qos,
    retain: d.retain,
    packetId: d.packetId,
    topicName: d.omitTopic ? '' : packet.topicName,
    properties: d.version === 5 ? properties : {},
  };
}

describe('a message', () => {
  test('is delivered in any version, QoS and form as it was published', () => {
    fc.assert(
      fc.property(versionedPublish, deliveries, ([version, packet], delivery) => {
        const message = received(packet, version);
        expect(message).toMatchObject({ topicName: packet.topicName, qos: packet.qos, retain: packet.retain });
        expect(new Uint8Array(message.payload)).toEqual(packet.payload);
        const bytes = encode(message, delivery);
        expect(decodePublishPacket(framed(bytes), delivery.version)).toEqual(expectedDelivery(packet, delivery));
      }),
      { numRuns: 1000 },
    );
  });

  test('expires the interval after it was received', () => {
    const packet: PublishPacket = {
      type: 3,
      dup: false,
      qos: 0,
      retain: false,
      topicName: 'a',
      packetId: 0,
      payload: new Uint8Array(0),
      properties: {},
    };
    expect(received(packet, 5).expiresAt).toBe(Number.POSITIVE_INFINITY);
    expect(received({ ...packet, properties: { messageExpiryInterval: 0 } }, 5).expiresAt).toBe(NOW);
    expect(received({ ...packet, properties: { messageExpiryInterval: 0xffff_ffff } }, 5).expiresAt).toBe(
      NOW + 4_294_967_295_000,
    );
  });

  test('[MQTT-3.3.2-17] [MQTT-3.3.2-18] keeps the properties to forward and their order', () => {
    fc.assert(
      fc.property(publish(5, false), (packet) => {
        expect(propertiesOf(received(packet, 5))).toEqual(forwarded(packet.properties));
      }),
    );
  });

  test('shares the frame it came in only where that can be sent on as it is', () => {
    fc.assert(
      fc.property(versionedPublish, ([version, packet]) => {
        const message = received(packet, version);
        const { topicAlias, messageExpiryInterval } = packet.properties;
        const isPlain =
          !packet.dup && !packet.retain && topicAlias === undefined && messageExpiryInterval === undefined;
        expect(message.frameKey).toBe(isPlain ? frameKeyOf(version, packet.qos, false) : -1);
        if (!isPlain) return;
        const frame = Buffer.from(message.frameBytes.subarray(message.frameStart, message.frameEnd));
        const { qos } = packet;
        expect(message.framePacketIdAt === 0).toBe(qos === 0);
        if (qos > 0) frame.writeUInt16BE(4711, message.framePacketIdAt - message.frameStart);
        const rest = { topicAlias: 0, omitTopic: false, expirySeconds: -1, subscriptionIdentifiers: [] };
        const packetId = qos > 0 ? 4711 : 0;
        const encoded = encode(message, { version, qos, retain: false, dup: false, packetId, ...rest });
        expect(frame.toString('hex')).toBe(encoded.toString('hex'));
      }),
      { numRuns: 500 },
    );
  });

  test('copies neither payload nor properties that are forwarded whole', () => {
    const packet: PublishPacket = {
      type: 3,
      dup: false,
      qos: 0,
      retain: false,
      topicName: 'a',
      packetId: 0,
      payload: Buffer.from('payload'),
      properties: { contentType: 'text' },
    };
    const bytes = encodePublishPacket(packet, 5);
    const frame = new PublishFrame();
    decodePublish(frame, framed(bytes), 5);
    const message = messageOf(frame, 'a', NOW, '', 5);
    expect(message.bytes).toBe(bytes);
    expect(message.properties.buffer).toBe(bytes.buffer);
  });

  test('from a Uint8Array that is no Buffer is encoded all the same', () => {
    const payload = Uint8Array.from({ length: 300 }, (_, index) => index & 0xff);
    const message = new Message({ topicName: '\u20AC'.repeat(60), payload, qos: 1 });
    const rest = { topicAlias: 0, omitTopic: false, expirySeconds: -1, subscriptionIdentifiers: [] };
    const bytes = encode(message, { version: 4, qos: 1, retain: true, dup: true, packetId: 9, ...rest });
    expect(decodePublishPacket(framed(bytes), 4)).toEqual({
      type: 3,
      dup: true,
      qos: 1,
      retain: true,
      topicName: '\u20AC'.repeat(60),
      packetId: 9,
      payload,
      properties: {},
    });
  });
});

test('a PublishFrame keeps nothing of the PUBLISH before', () => {
  fc.assert(
    fc.property(publish(5, false), publish(5, false), (first, second) => {
      const used = new PublishFrame();
      decodePublish(used, framed(encodePublishPacket(first, 5)), 5);
      const bytes = framed(encodePublishPacket(second, 5));
      decodePublish(used, bytes, 5);
      const fresh = new PublishFrame();
      decodePublish(fresh, bytes, 5);
      expect(used).toEqual(fresh);
    }),
  );
});

test('frames of 3.1 and 3.1.1 share their keys, all others differ', () => {
  const keys = new Set<number>();
  for (const qos of [0, 1, 2] as const) {
    for (const retain of [false, true]) {
      expect(frameKeyOf(3, qos, retain)).toBe(frameKeyOf(4, qos, retain));
      keys.add(frameKeyOf(4, qos, retain)).add(frameKeyOf(5, qos, retain));
    }
  }
  expect(keys.size).toBe(12);
  expect(Math.min(...keys)).toBeGreaterThanOrEqual(0);
});

test('encodeForwardedProperties leaves out what belongs to a delivery or a will', () => {
  const bytes = encodeForwardedProperties({
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    messageExpiryInterval: 5,
    topicAlias: 3,
    subscriptionIdentifiers: [1],
    willDelayInterval: 9,
    userProperties: [
      ['b', '1'],
      ['a', '2'],
    ],
  });
  const message = new Message({ topicName: 'a', payload: new Uint8Array(0), qos: 0, properties: bytes });
  expect(propertiesOf(message)).toEqual({
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    userProperties: [
      ['b', '1'],
      ['a', '2'],
    ],
  });
  expect(encodeForwardedProperties({})).toHaveLength(0);
});
