import { describe, expect } from 'vitest';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { V3_VERSIONS } from './v3-versions.ts';

/** Publishes to each of the names, live and retained; asserts that a subscription to the filter gets exactly `matching`. */
async function expectMatches(
  broker: TestBroker,
  version: ProtocolVersion,
  filter: string,
  names: { matching: readonly string[]; others: readonly string[] },
): Promise<void> {
  const live = await broker.connect({ version });
  await live.subscribe(filter, 0);
  for (const topicName of [...names.others, ...names.matching]) {
    await live.publish(topicName, topicName, { retain: true });
  }
  for (const topicName of names.matching) await live.expectPublish({ topicName, payload: topicName, retain: false });
  await live.expectNothing();
  const late = await broker.connect({ version });
  await late.subscribe(filter, 0);
  const replayed = [];
  for (const _ of names.matching) replayed.push((await late.expectPublish({ retain: true })).topicName);
  expect(replayed.toSorted()).toEqual([...names.matching].toSorted());
  await late.expectNothing();
  for (const topicName of [...names.others, ...names.matching]) await late.publish(topicName, '', { retain: true });
}

describe.each(V3_VERSIONS)('wildcards of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.7.1-1] belong in filters, and a topic name with one closes the connection (${name})`, async ({
    broker,
  }) => {
    const client = await broker.connect({ version });
    await client.subscribe(['a/+', 'a/#'], 0);
    for (const topicName of ['a/+', 'a/#', '+', '#', 'a/b+', '#/a']) {
      const wrong = await broker.connect({ version });
      wrong.send(frame(0x30, mqttString(topicName), Buffer.from('x')));
      await wrong.expectClose();
    }
    await client.expectNothing();
  });

  test(`[v3 MQTT-4.7.1-2] # matches the level above and all below, and stands alone at the end (${name})`, async ({
    broker,
  }) => {
    await expectMatches(broker, version, 'a/b/#', {
      matching: ['a/b', 'a/b/', 'a/b/c', 'a/b/c/d', 'a/b//'],
      others: ['a', 'a/bc', 'a/', 'A/b', '/a/b'],
    });
    await expectMatches(broker, version, '#', { matching: ['a', '/', 'a/b/c', '/a'], others: [] });
    await expectMatches(broker, version, '+/#', { matching: ['a', '/', 'a/b/c', '/a'], others: [] });
  });

  test(`[v3 MQTT-4.7.1-3] + matches exactly one level, an empty one as well (${name})`, async ({ broker }) => {
    await expectMatches(broker, version, 'a/+', { matching: ['a/b', 'a/'], others: ['a', 'a/b/c', 'b/a', 'a/b/'] });
    await expectMatches(broker, version, '+', { matching: ['a', 'long name'], others: ['/a', 'a/', 'a/b'] });
    await expectMatches(broker, version, '+/+', { matching: ['a/b', '/a', 'a/', '/'], others: ['a', 'a/b/c'] });
    await expectMatches(broker, version, '+/b/+/d/#', {
      matching: ['a/b/c/d', '/b//d/e'],
      others: ['a/b/d', 'a/b/c/e'],
    });
  });

  test(`[v3 MQTT-4.7.2-1] at the start of a filter match no name that starts with $ (${name})`, async ({ broker }) => {
    for (const filter of ['#', '+/a', '+/#', '+/+']) {
      await expectMatches(broker, version, filter, { matching: ['b/a'], others: ['$x/a', '$x/a/b', '$x', '$/a'] });
    }
    await expectMatches(broker, version, '$x/#', { matching: ['$x', '$x/a', '$x/a/b'], others: ['x/a', '$y/a'] });
    await expectMatches(broker, version, '$x/+', { matching: ['$x/a'], others: ['$x', 'x/a', '$x/a/b'] });
    await expectMatches(broker, version, '+/$x', { matching: ['a/$x'], others: ['$a/$x'] });
  });
});

// A SUBACK that refuses came with 3.1.1.
describe('wrong wildcards of MQTT 3.1.1', () => {
  test('[v3 MQTT-4.7.1-2] # anywhere else is refused', async ({ broker }) => {
    const client = await broker.connect({ version: 4 });
    const filters = ['a#', 'a/b#', '#/a', 'a/#/b', '##', '#a', 'a/##'];
    client.sendSubscribe(filters, 1);
    await client.expect(PacketType.suback, { reasonCodes: filters.map(() => 0x80) });
    await client.publish('a/b', 'x', { qos: 1 });
    await client.expectNothing();
  });

  test('[v3 MQTT-4.7.1-3] + as a part of a level is refused', async ({ broker }) => {
    const client = await broker.connect({ version: 4 });
    const filters = ['a+', '+a', 'a/b+', 'a/+b/c', '++', 'a/++', '+#'];
    client.sendSubscribe(filters, 1);
    await client.expect(PacketType.suback, { reasonCodes: filters.map(() => 0x80) });
    await client.publish('a/b', 'x', { qos: 1 });
    await client.expectNothing();
  });
});

describe.each(V3_VERSIONS)('topic names and filters of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.7.3-1] have at least one character (${name})`, async ({ broker }) => {
    const packets = [
      frame(0x30, uint16(0), Buffer.from('x')),
      frame(0x32, uint16(0), uint16(1), Buffer.from('x')),
      frame(0x82, uint16(1), uint16(0), Buffer.from([0])),
      frame(0xa2, uint16(1), uint16(0)),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
    await expectMatches(broker, version, ' ', { matching: [' '], others: ['/', 'a'] });
    await expectMatches(broker, version, '/', { matching: ['/'], others: ['a', '//', 'a/'] });
  });

  test(`[v3 MQTT-4.7.3-2] have no U+0000 (${name})`, async ({ broker }) => {
    const text = mqttString('a\0b');
    const packets = [
      frame(0x30, text, Buffer.from('x')),
      frame(0x82, uint16(1), text, Buffer.from([0])),
      frame(0xa2, uint16(1), text),
    ];
    for (const packet of packets) {
      const client = await broker.connect({ version });
      client.send(packet);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-4.7.3-3] may have all of 65,535 bytes (${name})`, async ({ broker }) => {
    const client = await broker.connect({ version });
    const longest = 'é'.repeat(32_767) + 'x';
    expect(Buffer.byteLength(longest)).toBe(65_535);
    await client.subscribe([longest, 'short'], 1);
    await client.publish(longest, 'x', { qos: 1 });
    await client.expectMessage({ topicName: longest, payload: 'x' });
    await client.publish(longest.slice(1), 'x', { qos: 1 });
    await client.expectNothing();
  });

  test(`[v3 MQTT-4.7.3-4] are compared as they are, byte for byte (${name})`, async ({ broker }) => {
    const composed = 'caf\u00e9';
    const decomposed = 'cafe\u0301';
    const alike = [
      composed,
      decomposed,
      'CAF\u00c9',
      'cafe',
      `${composed} `,
      ` ${composed}`,
      `/${composed}`,
      `${composed}/`,
    ];
    for (const filter of [composed, decomposed]) {
      const others = alike.filter((topicName) => topicName !== filter);
      await expectMatches(broker, version, filter, { matching: [filter], others });
    }
    await expectMatches(broker, version, 'a/./b', { matching: ['a/./b'], others: ['a/b', 'a/../b', 'a//b', 'a%2Fb'] });
    await expectMatches(broker, version, 'a\u{1f600}', {
      matching: ['a\u{1f600}'],
      others: ['a', 'a\ufffd'],
    });
    for (const word of ['__proto__', 'constructor', 'toString']) {
      await expectMatches(broker, version, word, { matching: [word], others: ['a', `${word}/a`] });
    }
  });
});
