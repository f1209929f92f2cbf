import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { frame, mqttString, type RawConnect, uint16 } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED } from './v3-versions.ts';
import {
  expectConnectsRefused,
  expectPacketsRefused,
  properties,
  rawPublish,
  rawSubscribe,
  rawUnsubscribe,
  textProperty,
} from './v5-bytes.ts';

const ID = mqttString('id');
const NONE = Buffer.from([0]);

const CONTENT_TYPE = 0x03;
const RESPONSE_TOPIC = 0x08;
const AUTHENTICATION_METHOD = 0x15;
const REASON_STRING = 0x1f;
const USER_PROPERTY = 0x26;

/** CONNECT with these will properties and this will topic. */
function withWill(willProperties: Uint8Array, willTopic: string | Uint8Array): RawConnect {
  return { flags: 0x06, payload: [ID, willProperties, mqttString(willTopic), mqttString('payload')] };
}

/** Every packet of a connected client that may carry this property. */
function packetsWith(property: Uint8Array): Buffer[] {
  const list = properties(property);
  return [
    rawPublish('a', list),
    rawSubscribe('a', list),
    rawUnsubscribe('a', list),
    ...[0x40, 0x50, 0x62, 0x70].map((first) => frame(first, uint16(1), NONE, list)),
    frame(0xe0, NONE, list),
  ];
}

/** Asserts that this text is malformed in every string of every packet. */
async function expectRefusedEverywhere(broker: TestBroker, bad: Uint8Array): Promise<void> {
  const text = mqttString(bad);
  const willText = (id: number): RawConnect => withWill(properties(textProperty(id, bad)), 'a');
  await expectConnectsRefused(broker, 0x81, [
    { payload: [text] },
    { flags: 0x82, payload: [ID, text] },
    { properties: properties(textProperty(AUTHENTICATION_METHOD, bad)), payload: [ID] },
    withWill(NONE, bad),
    willText(CONTENT_TYPE),
    willText(RESPONSE_TOPIC),
  ]);
  await expectPacketsRefused(broker, 0x81, [
    rawPublish(bad),
    rawPublish('a', properties(textProperty(CONTENT_TYPE, bad))),
    rawPublish('a', properties(textProperty(RESPONSE_TOPIC, bad))),
    rawSubscribe(bad),
    rawUnsubscribe(bad),
    ...[0x40, 0x50, 0x62, 0x70].map((first) =>
      frame(first, uint16(1), NONE, properties(textProperty(REASON_STRING, bad))),
    ),
    frame(0xe0, NONE, properties(textProperty(REASON_STRING, bad))),
    frame(0xf0, Buffer.from([0x18]), properties(textProperty(AUTHENTICATION_METHOD, bad))),
  ]);
}

describe('strings', () => {
  test.for(ILL_FORMED)('[MQTT-1.5.4-1] refuses a string with %s as malformed', async ([, bytes], { broker }) => {
    await expectRefusedEverywhere(broker, bytes);
  });

  test('[MQTT-1.5.4-1] takes every code point but the surrogates', async ({ broker }) => {
    const topicName = 'a\u0001\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufdd0\ufffe\uffff\u{10000}\u{10ffff}';
    const client = await broker.connect({ clientId: topicName });
    await client.subscribe(topicName);
    await client.publish(topicName, 'x', { properties: { contentType: topicName } });
    await client.expectPublish({ topicName, properties: { contentType: topicName } });
  });

  test('[MQTT-1.5.4-2] refuses a string with U+0000 as malformed', async ({ broker }) => {
    for (const text of ['\0', 'a\0b']) await expectRefusedEverywhere(broker, Buffer.from(text));
  });

  test('[MQTT-1.5.4-3] keeps U+FEFF wherever it stands', async ({ broker }) => {
    const client = await broker.connect({ clientId: 'id', properties: { sessionExpiryInterval: 60 } });
    await client.subscribe(['a/b', '\uFEFFa/b', 'a/\uFEFFb', 'a/b\uFEFF']);
    for (const topicName of ['\uFEFFa/b', 'a/\uFEFFb', 'a/b\uFEFF', 'a/b']) {
      const texts = { contentType: topicName, responseTopic: topicName, userProperties: [[topicName, topicName]] };
      await client.publish(topicName, topicName, {
        properties: { ...texts, userProperties: [[topicName, topicName]] },
      });
      const packet = await client.expectPublish({ topicName, payload: topicName });
      expect(packet.properties).toEqual(texts);
    }
    await client.unsubscribe('a/b');
    await client.publish('a/b', 'not taken');
    await client.expectNothing();
    const other = await broker.open();
    other.sendConnect({ clientId: '\uFEFFid', cleanStart: false });
    await other.expectConnack(0, false);
    await client.expectNothing();
  });

  test.for(ILL_FORMED)('[MQTT-1.5.7-1] refuses %s in either string of a pair', async ([, bytes], { broker }) => {
    for (const pair of [textProperty(USER_PROPERTY, bytes, 'value'), textProperty(USER_PROPERTY, 'name', bytes)]) {
      await expectConnectsRefused(broker, 0x81, [
        { properties: properties(pair), payload: [ID] },
        withWill(properties(pair), 'a'),
      ]);
      await expectPacketsRefused(broker, 0x81, packetsWith(pair));
    }
  });

  test('[MQTT-1.5.7-1] refuses U+0000 in either string of a pair, and half a pair', async ({ broker }) => {
    for (const pair of [
      textProperty(USER_PROPERTY, '\0', 'value'),
      textProperty(USER_PROPERTY, 'name', 'va\0lue'),
      textProperty(USER_PROPERTY, 'name'),
    ]) {
      await expectConnectsRefused(broker, 0x81, [
        { properties: properties(pair), payload: [ID] },
        withWill(properties(pair), 'a'),
      ]);
      await expectPacketsRefused(broker, 0x81, packetsWith(pair));
    }
  });
});

describe('variable byte integers', () => {
  test('[MQTT-1.5.5-1] refuses those longer than they need to be', async ({ broker }) => {
    for (const hex of ['c08000', 'c0808000', 'c080808000', 'c08080808000', 'e08000']) {
      const client = await broker.connect();
      client.sendRaw(hex);
      await client.expectDisconnect(0x81);
    }
    await expectPacketsRefused(broker, 0x81, [
      rawPublish('a', Buffer.from([0x80, 0x00])),
      rawSubscribe('a', Buffer.from([0x80, 0x00])),
      rawUnsubscribe('a', Buffer.from([0x80, 0x80, 0x00])),
      // A subscription identifier, and a property identifier, of one byte written in two.
      rawSubscribe('a', properties(Buffer.from([0x0b, 0x81, 0x00]))),
      rawPublish('a', properties(Buffer.from([0x81, 0x00, 0x01]))),
    ]);
    await expectConnectsRefused(broker, 0x81, [
      { properties: Buffer.from([0x80, 0x00]), payload: [ID] },
      withWill(Buffer.from([0x80, 0x00]), 'a'),
    ]);
    const first = await broker.open();
    first.sendRaw('108d00 0004 4d515454 05 02 0000 00 0000');
    await first.expectClose();
  });

  test('[MQTT-1.5.5-1] takes and sends them in their shortest form at every length', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 0, { subscriptionIdentifiers: [268_435_455] });
    // The remaining lengths on the way back are around 127, 128, 16,383 and 16,384, to which the strict decoder is held.
    for (const length of [0, 115, 116, 117, 118, 119, 120, 121, 122, 16_370, 16_371, 16_372, 16_373, 16_374, 16_375]) {
      const payload = Buffer.alloc(length, 'x');
      await client.publish('a', payload);
      await client.expectPublish({ payload, properties: { subscriptionIdentifiers: [268_435_455] } });
    }
    for (const identifier of [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      await client.subscribe('b', 0, { subscriptionIdentifiers: [identifier] });
      await client.publish('b', 'x');
      await client.expectPublish({ properties: { subscriptionIdentifiers: [identifier] } });
    }
    client.send({ type: PacketType.pingreq });
    await client.expect(PacketType.pingresp);
  });
});
