import { Cluster, type Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Message, type MessageFields } from '../../../src/protocol/message.ts';
import type { Properties } from '../../../src/protocol/packets.ts';
import { encodeForwardedProperties, propertiesOf } from '../../../src/protocol/publish.ts';
import { type RetainedCommand, RetainedLayout } from '../../../src/store/redis/retained-layout.ts';
import { MqttJs } from '../../e2e/mqttjs-client.ts';
import { AedesOnRedis } from './aedes-on-redis.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';

const UNICODE = ['é/ü', '日本語/温度', '🙂/🏳️‍🌈', 'a b/%41/:', '/', '//x/', '__proto__', 'constructor/toString'];

/** Every forwarded property, user properties in an order that no map keeps. */
const EVERY: Properties = {
  payloadFormatIndicator: 1,
  contentType: 'text/plain; charset=utf-8',
  responseTopic: 'answers/é',
  correlationData: Buffer.from([0, 255, 128, 7]),
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
    ['__proto__', '4'],
    ['', ''],
  ],
};

function messageOf(fields: Partial<MessageFields> & { topicName: string }): Message {
  return new Message({ payload: Buffer.from('x'), qos: 1, retain: true, ...fields });
}

async function send(redis: Redis | Cluster, command: RetainedCommand): Promise<void> {
  switch (command.kind) {
    case 'hset':
      await redis.hset(command.key, command.field, command.value);
      return;
    case 'hdel':
      await redis.hdel(command.key, command.field);
      return;
    case 'set':
      await redis.set(command.key, command.value);
      return;
    case 'del':
      await redis.del(command.key);
      return;
    case 'del-expired':
      throw new Error('what has expired is removed by a script');
  }
}

async function read(layout: RetainedLayout, redis: Redis | Cluster): Promise<{ found: Message[]; damaged: string[] }> {
  const found: Message[] = [];
  const damaged: string[] = [];
  const messages = layout.readRetained(redis, (topicName, reason) => damaged.push(`${topicName}: ${reason}`));
  for await (const message of messages) found.push(message);
  return { found, damaged: damaged.sort() };
}

/** What a message is, apart from how it is held. */
function contentOf(message: Message): object {
  const { topicName, payload, qos, retain, properties, expiresAt, publisherId } = message;
  const bytes = [payload, properties].map((part) => Buffer.from(part).toString('hex'));
  return { topicName, bytes, qos, retain, expiresAt, publisherId };
}

describe.skipIf(redisMissing !== '')('retained messages in the layout of aedes-persistence-redis', () => {
  let server: RedisServer;
  let redis: Redis;
  const layout = new RetainedLayout(false);

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    await redis.flushall();
  });

  test('a message comes back as it was, every property in its place', async () => {
    const messages = [
      messageOf({ topicName: 'plain' }),
      messageOf({ topicName: 'qos/0', qos: 0, payload: Buffer.alloc(100_000, 7) }),
      messageOf({ topicName: 'qos/2', qos: 2, publisherId: 'client é', expiresAt: 1_900_000_000_123 }),
      messageOf({ topicName: 'every', properties: encodeForwardedProperties(EVERY) }),
      // User properties around another property: an order that only the bytes tell.
      messageOf({
        topicName: 'order',
        properties: Buffer.from('26000161000162 0300017426000163000164'.replace(' ', ''), 'hex'),
      }),
      ...UNICODE.map((topicName) => messageOf({ topicName, payload: Buffer.from(topicName) })),
    ];
    for (const message of messages) await send(redis, layout.commandFor({ kind: 'retained-put', message }));
    const { found, damaged } = await read(layout, redis);
    expect(damaged).toEqual([]);
    const byTopic = new Map(found.map((message) => [message.topicName, contentOf(message)]));
    expect(found.length).toBe(messages.length);
    for (const message of messages) expect(byTopic.get(message.topicName)).toEqual(contentOf(message));
  });

  test('commands go to the one hash, and deleting takes the topic out of it', async () => {
    const put = layout.commandFor({ kind: 'retained-put', message: messageOf({ topicName: 'a/ü' }) });
    expect({ ...put, value: undefined }).toEqual({ kind: 'hset', key: 'retained', field: 'a/ü', value: undefined });
    await send(redis, put);
    const deleting = layout.commandFor({ kind: 'retained-delete', topicName: 'a/ü' });
    expect(deleting).toEqual({ kind: 'hdel', key: 'retained', field: 'a/ü' });
    await send(redis, deleting);
    expect(await redis.keys('*')).toEqual([]);
    expect(await read(layout, redis)).toEqual({ found: [], damaged: [] });
  });

  test('what Aedes retained is read', async () => {
    const aedes = await AedesOnRedis.start(server);
    const client = new MqttJs(aedes.url, { protocolVersion: 4, clientId: 'publisher' });
    await client.connect();
    for (const topic of UNICODE) await client.client.publishAsync(topic, `über ${topic}`, { qos: 1, retain: true });
    await client.client.publishAsync('gone', 'x', { qos: 2, retain: true });
    await client.client.publishAsync('gone', '', { qos: 2, retain: true });
    const userProperties = { a: ['1', '2'], b: '3' };
    const properties = { payloadFormatIndicator: true, contentType: 't', responseTopic: 'r', userProperties };
    await aedes.publish('embedded', 'text', 0, { retain: true, properties, messageExpiry: 1_900_000_000_000 });
    await aedes.publish('sent', Buffer.from([1]), 2, { retain: true, clientId: 'inside' });
    const { found, damaged } = await read(layout, redis);
    expect(damaged).toEqual([]);
    const texts = new Map(found.map((message) => [message.topicName, message]));
    expect([...texts.keys()].sort()).toEqual([...UNICODE, 'embedded', 'sent'].sort());
    for (const topic of UNICODE) expect(Buffer.from(texts.get(topic)?.payload ?? []).toString()).toBe(`über ${topic}`);
    expect(found.every(({ retain }) => retain)).toBe(true);
    const embedded = texts.get('embedded') as Message;
    expect({ ...propertiesOf(embedded), qos: embedded.qos, expiresAt: embedded.expiresAt }).toEqual({
      payloadFormatIndicator: 1,
      contentType: 't',
      responseTopic: 'r',
      userProperties: [
        ['a', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
      qos: 0,
      expiresAt: 1_900_000_000_000,
    });
    expect(texts.get('sent')).toMatchObject({ qos: 2, publisherId: 'inside', expiresAt: Number.POSITIVE_INFINITY });
    await client.client.endAsync();
    await aedes.close();
  });

  test('a subscriber of Aedes gets what is stored here, and what it replaces there has no properties of before', async () => {
    const properties = encodeForwardedProperties(EVERY);
    for (const [index, topicName] of UNICODE.entries()) {
      const message = messageOf({ topicName, payload: Buffer.from(`${index}`), qos: 2, properties, publisherId: 'p' });
      await send(redis, layout.commandFor({ kind: 'retained-put', message }));
    }
    const aedes = await AedesOnRedis.start(server);
    const client = new MqttJs(aedes.url, { protocolVersion: 4, clientId: 'subscriber' });
    await client.connect();
    await client.client.subscribeAsync('#', { qos: 2 });
    const heard = (await client.until(UNICODE.length)).filter(({ packet }) => packet.retain);
    expect(new Map(heard.map(({ topic, text, packet }) => [topic, `${packet.qos} ${text}`]))).toEqual(
      new Map(UNICODE.map((topic, index) => [topic, `2 ${index}`])),
    );
    await client.client.publishAsync('é/ü', 'of Aedes', { qos: 1, retain: true });
    const { found } = await read(layout, redis);
    const replaced = found.find(({ topicName }) => topicName === 'é/ü') as Message;
    expect(Buffer.from(replaced.payload).toString()).toBe('of Aedes');
    expect(propertiesOf(replaced)).toEqual({});
    await client.client.endAsync();
    await aedes.close();
  });

  test('5,000 messages are read, and damaged ones among them are passed over and told of', async () => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < 5000; i += 1) {
      const command = layout.commandFor({ kind: 'retained-put', message: messageOf({ topicName: `t/${i}` }) });
      if (command.kind === 'hset') pipeline.hset(command.key, command.field, command.value);
    }
    const good = layout.commandFor({ kind: 'retained-put', message: messageOf({ topicName: 'good' }) });
    const bytes = good.kind === 'hset' ? good.value : Buffer.alloc(0);
    const damages: [string, Buffer][] = [
      ['bad/empty', Buffer.alloc(0)],
      ['bad/cut', bytes.subarray(0, bytes.length - 5)],
      ['bad/nil', Buffer.from([0xc0])],
      ['bad/number', Buffer.from([7])],
      ['bad/text', Buffer.from([0xa1, 0x61])],
      ['bad/list', Buffer.from([0x90])],
      ['bad/map', Buffer.from([0x80])],
      ['bad/unknown', Buffer.from([0xc1])],
      ['bad/deep', Buffer.alloc(100_000, 0x91)],
      ['bad/other', bytes],
    ];
    for (const [topic, value] of damages) pipeline.hset('retained', topic, value);
    await pipeline.exec();
    const { found, damaged } = await read(layout, redis);
    expect(new Set(found.map(({ topicName }) => topicName)).size).toBe(5000);
    expect(damaged.map((line) => line.slice(0, line.indexOf(':')))).toEqual(damages.map(([topic]) => topic).sort());
  });

  test.each<[string, object]>([
    ['a wildcard in its topic', { topic: 'a/#' }],
    ['QoS 3', { qos: 3 }],
    ['a number for its payload', { payload: 7 }],
    ['a user property that is no text', { properties: { userProperties: { a: { b: 'c' } } } }],
    ['a content type too long for the wire', { properties: { contentType: 'x'.repeat(70_000) } }],
    ['a response topic with a wildcard', { properties: { responseTopic: '#' } }],
    ['property bytes cut off', { trellis: { properties: Buffer.from([0x26, 0, 9]) } }],
    ['a topic alias among its property bytes', { trellis: { properties: Buffer.from([0x23, 0, 1]) } }],
    ['no property bytes', { trellis: { properties: 'x' } }],
  ])('a packet with %s is passed over and told of', async (_, members) => {
    const aedes = await AedesOnRedis.start(server);
    const packet = { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, retain: true, ...members };
    await aedes.persistence.storeRetained(packet);
    await aedes.close();
    const { found, damaged } = await read(layout, redis);
    expect(found).toEqual([]);
    expect(damaged.length).toBe(1);
  });

  test('reading fails when the connection does', async () => {
    const lost = server.client();
    await lost.ping();
    lost.disconnect();
    await expect(read(layout, lost)).rejects.toThrow('Connection is closed');
  });
});

describe.skipIf(redisMissing !== '')('retained messages in a Redis Cluster', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start({ config: ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'] });
  });
  afterAll(() => server.stop());

  test('each topic has a key of its own', async () => {
    await server.client().cluster('ADDSLOTSRANGE', 0, 16_383);
    await expect.poll(() => server.client().cluster('INFO'), { timeout: 60_000 }).toContain('cluster_state:ok');
    const cluster = new Cluster([{ host: '127.0.0.1', port: server.port }]);
    const layout = new RetainedLayout(true);
    const topics = [...UNICODE, ...Array.from({ length: 2000 }, (_, i) => `t/${i}`)];
    for (const topicName of topics) {
      const message = messageOf({ topicName, payload: Buffer.from(topicName) });
      await send(cluster, layout.commandFor({ kind: 'retained-put', message }));
    }
    await cluster.set('retained:%zz', 'x');
    await cluster.set('retained:bad', 'x');
    expect(layout.commandFor({ kind: 'retained-delete', topicName: 't/7' })).toEqual({
      kind: 'del',
      key: 'retained:t%2F7',
    });
    await send(cluster, layout.commandFor({ kind: 'retained-delete', topicName: 't/7' }));
    const { found, damaged } = await read(layout, cluster);
    const names = found.map(({ topicName, payload }) =>
      Buffer.from(payload).toString() === topicName ? topicName : '',
    );
    expect(names.sort()).toEqual(topics.filter((topicName) => topicName !== 't/7').sort());
    expect(damaged.length).toBe(2);
    cluster.disconnect();
  });
});
