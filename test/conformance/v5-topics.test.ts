import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, uint16 } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import {
  expectPacketsRefused,
  properties as rawProperties,
  rawPublish,
  rawSubscribe,
  rawUnsubscribe,
} from './v5-bytes.ts';

/** Topic names a filter matches, and some it does not. */
interface Names {
  matching: readonly string[];
  others: readonly string[];
}

/** Asserts which names a filter matches: of live messages, of retained ones, and in a shared subscription. */
async function expectMatches(broker: TestBroker, filter: string, { matching, others }: Names): Promise<void> {
  const live = await broker.connect();
  const shared = await broker.connect();
  await live.subscribe(filter, 0);
  await shared.subscribe(`$share/g/${filter}`, 0);
  for (const topicName of [...others, ...matching]) await live.publish(topicName, topicName, { retain: true });
  for (const client of [live, shared]) {
    for (const topicName of matching) await client.expectPublish({ topicName, payload: topicName, retain: false });
    await client.expectNothing();
  }
  const late = await broker.connect();
  await late.subscribe(filter, 0);
  const replayed: string[] = [];
  for (const _ of matching) replayed.push((await late.expectPublish({ retain: true })).topicName);
  expect(replayed.toSorted()).toEqual([...matching].toSorted());
  await late.expectNothing();
  for (const client of [live, shared, late]) await client.disconnect();
  const cleaner = await broker.connect();
  for (const topicName of [...others, ...matching]) await cleaner.publish(topicName, '', { retain: true });
}

/** Asserts that these filters are refused with 0x8F, alone and in a shared subscription, and take no message. */
async function expectInvalid(broker: TestBroker, filters: readonly string[]): Promise<void> {
  const client = await broker.connect();
  const all = [...filters, ...filters.map((filter) => `$share/g/${filter}`)];
  client.sendSubscribe(all, 1);
  await client.expect(PacketType.suback, { reasonCodes: all.map(() => ReasonCode.topicFilterInvalid) });
  for (const topicName of ['a', 'a/b', 'b']) await client.publish(topicName, 'x', { qos: 1 });
  await client.expectNothing();
}

describe('wildcards', () => {
  test('[MQTT-4.7.0-1] belong in filters, and a topic name with one closes the connection with 0x90', async ({
    broker,
  }) => {
    const watcher = await broker.connect();
    await watcher.subscribe(['a/+', 'a/#', '#'], 0);
    const packets = ['a/+', 'a/#', '+', '#', 'a/b+', '#/a'].map((topicName) => rawPublish(topicName));
    await expectPacketsRefused(broker, ReasonCode.topicNameInvalid, packets);
    await watcher.expectNothing();
  });

  test('[MQTT-4.7.1-1] # matches the level above and all below', async ({ broker }) => {
    await expectMatches(broker, 'a/b/#', {
      matching: ['a/b', 'a/b/', 'a/b/c', 'a/b/c/d', 'a/b//'],
      others: ['a', 'a/bc', 'a/', 'A/b', '/a/b'],
    });
    await expectMatches(broker, '#', { matching: ['a', '/', 'a/b/c', '/a'], others: [] });
    await expectMatches(broker, '+/#', { matching: ['a', '/', 'a/b/c', '/a'], others: [] });
    await expectMatches(broker, 'a/+/#', { matching: ['a/b', 'a/', 'a/b/c'], others: ['a', 'b/a'] });
  });

  test('[MQTT-4.7.1-1] # anywhere but alone at the end is refused with 0x8F', async ({ broker }) => {
    await expectInvalid(broker, ['a#', 'a/b#', '#/a', 'a/#/b', '##', '#a', 'a/##']);
  });

  test('[MQTT-4.7.1-2] + matches exactly one level, an empty one as well', async ({ broker }) => {
    await expectMatches(broker, 'a/+', { matching: ['a/b', 'a/'], others: ['a', 'a/b/c', 'b/a', 'a/b/'] });
    await expectMatches(broker, '+', { matching: ['a', 'long name'], others: ['/a', 'a/', 'a/b'] });
    await expectMatches(broker, '+/+', { matching: ['a/b', '/a', 'a/', '/'], others: ['a', 'a/b/c'] });
    await expectMatches(broker, '+/b/+/d/#', {
      matching: ['a/b/c/d', '/b//d/e'],
      others: ['a/b/d', 'a/b/c/e'],
    });
  });

  test('[MQTT-4.7.1-2] + as a part of a level is refused with 0x8F', async ({ broker }) => {
    await expectInvalid(broker, ['a+', '+a', 'a/b+', 'a/+b/c', '++', 'a/++', '+#']);
  });

  test('[MQTT-4.7.2-1] at the start of a filter match no name that starts with $', async ({ broker }) => {
    for (const filter of ['#', '+/a', '+/#', '+/+']) {
      await expectMatches(broker, filter, { matching: ['b/a'], others: ['$x/a', '$x/a/b', '$x', '$/a'] });
    }
    await expectMatches(broker, '$x/#', { matching: ['$x', '$x/a', '$x/a/b'], others: ['x/a', '$y/a'] });
    await expectMatches(broker, '$x/+', { matching: ['$x/a'], others: ['$x', 'x/a', '$x/a/b'] });
    await expectMatches(broker, '+/$x', { matching: ['a/$x'], others: ['$a/$x'] });
  });
});

describe('topic names and filters', () => {
  test('[MQTT-4.7.3-1] have at least one character', async ({ broker }) => {
    const packets = [
      rawPublish(''),
      frame(0x32, uint16(0), uint16(1), rawProperties(), Buffer.from('x')),
      rawSubscribe(''),
      rawUnsubscribe(''),
    ];
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
    await expectMatches(broker, ' ', { matching: [' '], others: ['/', 'a'] });
    await expectMatches(broker, '/', { matching: ['/'], others: ['a', '//', 'a/'] });
  });

  test('[MQTT-4.7.3-2] have no U+0000', async ({ broker }) => {
    const packets = [rawPublish('a\0b'), rawSubscribe('a\0b'), rawUnsubscribe('\0')];
    await expectPacketsRefused(broker, ReasonCode.malformedPacket, packets);
  });

  test('[MQTT-4.7.3-3] may have all of 65,535 bytes, and no more', async ({ broker }) => {
    const client = await broker.connect();
    const longest = `${'é'.repeat(32_767)}x`;
    expect(Buffer.byteLength(longest)).toBe(65_535);
    await client.subscribe([longest, 'short', '#'], 1);
    await client.publish(longest, 'x', { qos: 1 });
    await client.expectMessage({ topicName: longest, payload: 'x' });
    await expect(broker.broker.publish({ topicName: `${longest}y`, payload: 'x' })).rejects.toThrow(RangeError);
    expect(() => broker.broker.subscribe(`${longest}y`, () => undefined)).toThrow(RangeError);
    await client.expectNothing();
  });

  test('[MQTT-4.7.3-4] are compared as they are, byte for byte', async ({ broker }) => {
    const composed = 'caf\u00e9';
    const decomposed = 'cafe\u0301';
    const spaced = [`${composed} `, ` ${composed}`, `/${composed}`, `${composed}/`];
    const alike = [composed, decomposed, 'CAF\u00c9', 'cafe', ...spaced, `\ufeff${composed}`];
    for (const filter of [composed, decomposed]) {
      const others = alike.filter((topicName) => topicName !== filter);
      await expectMatches(broker, filter, { matching: [filter], others });
    }
    await expectMatches(broker, 'a/./b', { matching: ['a/./b'], others: ['a/b', 'a/../b', 'a//b', 'a%2Fb'] });
    await expectMatches(broker, 'a\u{1f600}', { matching: ['a\u{1f600}'], others: ['a', 'a\ufffd'] });
    for (const word of ['__proto__', 'constructor', 'toString']) {
      await expectMatches(broker, word, { matching: [word], others: ['a', `${word}/a`] });
    }
  });
});
