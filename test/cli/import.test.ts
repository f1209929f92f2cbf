import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { createConfig } from '../../src/config.ts';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import type { StoredState } from '../../src/store/store.ts';
import { makeStore } from '../../src/stores.ts';
import { AedesOnRedis } from '../store/redis/aedes-on-redis.ts';
import { redisMissing, RedisServer } from '../support/redis-server.ts';
import { openTcp } from '../support/client-socket.ts';
import { RawClient } from '../support/raw-client.ts';
import { SILENT } from '../support/silent-logger.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let directory: string;
let server: RedisServer;
let redis: Redis;

/** Runs a command line in this process and takes down what it writes. */
async function runHere(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
  const code = await run(args);
  vi.restoreAllMocks();
  return { code, stdout, stderr };
}

function runImport(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return runHere('import', 'aedes-redis', '--from', `${server.url}/0`, '--data', directory, ...flags);
}

/** A client with a session at Aedes. */
async function client(aedes: AedesOnRedis, clientId: string, filters: Record<string, 0 | 1 | 2>): Promise<RawClient> {
  const raw = new RawClient(clientId, 4);
  raw.attach(await openTcp('127.0.0.1', aedes.port, raw));
  await raw.connect({ cleanStart: false });
  for (const [topicFilter, qos] of Object.entries(filters)) await raw.subscribe([{ topicFilter, qos }]);
  return raw;
}

async function leave(raw: RawClient): Promise<void> {
  await raw.disconnect();
  raw.destroy();
}

/** A broker on what was imported. */
function startBroker(hooks?: Hooks): Promise<TestBroker> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  return startTestBroker({ store, ...(hooks === undefined ? {} : { hooks }) });
}

async function storedState(): Promise<StoredState> {
  const store = new EmbeddedStore({ directory, durability: 'durable' });
  const state = await store.open();
  await store.close();
  return state;
}

/** Every key with its value. */
async function everything(): Promise<Map<string, string>> {
  const keys = (await redis.keys('*')).sort();
  const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
  return new Map(keys.map((key, index) => [key, values[index]?.toString('hex') ?? '']));
}

/** The figure that the report gives. */
function figure(stdout: string, name: string): number {
  return Number(new RegExp(`^  ${name} +(\\d+)$`, 'm').exec(stdout)?.[1]);
}

describe.skipIf(redisMissing !== '')('trellis import aedes-redis', () => {
  beforeAll(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'trellis-import-'));
    await redis.flushall();
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });

  test('sessions come with their subscriptions of each QoS, a backlog of 1,500, and retained messages', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'häl/:lo %', { 'q0/#': 0, 'q1/+': 1, 'q2/é': 2 }));
    await leave(await client(aedes, 'backlog', { 'b/#': 2, 'b/one': 1 }));
    await leave(await client(aedes, 'other', { 'b/+': 1 }));
    for (let i = 0; i < 1500; i += 1) await aedes.publish(`b/${i % 3}`, `message ${i}`, i % 2 === 0 ? 1 : 2);
    await aedes.publish('r/é', 'kept', 1, { retain: true });
    await aedes.close();
    const before = await everything();
    const { code, stdout, stderr } = await runImport();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const names = ['sessions', 'subscriptions', 'queued messages', 'QoS 2 packet ids', 'wills', 'retained messages'];
    expect(names.map((name) => figure(stdout, name))).toEqual([3, 6, 3000, 0, 0, 1]);
    expect(stdout).toContain('Nothing was left out.\n');
    expect(stdout).toContain('Each session belongs to the first client');
    expect(await everything()).toEqual(before);

    await using broker = await startBroker();
    const hello = await broker.connect({ version: 4, clientId: 'häl/:lo %', cleanStart: false });
    expect(hello.connack.sessionPresent).toBe(true);
    const publisher = await broker.connect();
    for (const topic of ['q0/a/b', 'q1/a', 'q2/é']) await publisher.publish(topic, topic, { qos: 2 });
    for (const qos of [0, 1, 2] as const) await hello.expectMessage({ qos });
    for (const [clientId, most] of [
      ['backlog', 2],
      ['other', 1],
    ] as const) {
      const reader = await broker.connect({ version: 4, clientId, cleanStart: false });
      const heard = new Map<string, string[]>();
      for (let i = 0; i < 1500; i += 1) {
        const { topicName, payload, qos } = await reader.expectMessage({ retain: false, dup: false });
        const lane = `${topicName} ${qos}`;
        heard.set(lane, [...(heard.get(lane) ?? []), Buffer.from(payload).toString()]);
      }
      // Order is that of each topic and QoS.
      const expected = new Map<string, string[]>();
      for (let i = 0; i < 1500; i += 1) {
        const lane = `b/${i % 3} ${i % 2 === 0 || most === 1 ? 1 : 2}`;
        expected.set(lane, [...(expected.get(lane) ?? []), `message ${i}`]);
      }
      expect(heard).toEqual(expected);
      await reader.expectNothing();
    }
    await publisher.subscribe([{ topicFilter: 'r/#', qos: 1 }]);
    await publisher.expectMessage({ topicName: 'r/é', payload: 'kept', retain: true });
  });

  test('QoS 2 exchanges half done go on where they stood, in both directions', async () => {
    const aedes = await AedesOnRedis.start(server);
    const half = await client(aedes, 'half', { h: 2 });
    await aedes.publish('h', 'released', 2);
    const released = await half.expectPublish({ payload: 'released' });
    half.sendAck(PacketType.pubrec, released.packetId);
    await half.expect(PacketType.pubrel, { packetId: released.packetId });
    await aedes.publish('h', 'finished', 2);
    await half.expectMessage({ payload: 'finished' });
    await aedes.publish('h', 'sent', 2);
    const sent = await half.expectPublish({ payload: 'sent' });
    const sender = await client(aedes, 'sender', {});
    sender.sendPublish('h', 'received', { qos: 2, packetId: 7 });
    await sender.expect(PacketType.pubrec, { packetId: 7 });
    const received = await half.expectPublish({ payload: 'received' });
    await redis.hset('incoming:twelve', '9', 'x');
    await redis.sadd('clients', 'twelve');
    await expect.poll(() => redis.exists('incoming:sender:7'), { timeout: 60_000 }).toBe(1);
    const { code, stdout } = await runImport();
    half.destroy();
    sender.destroy();
    await aedes.close();
    expect({ code, queued: figure(stdout, 'queued messages') }).toEqual({ code: 0, queued: 3 });
    expect({ sessions: figure(stdout, 'sessions'), inbound: figure(stdout, 'QoS 2 packet ids') }).toEqual({
      sessions: 3,
      inbound: 2,
    });
    const { sessions, inbound } = await storedState();
    expect(inbound.map(({ clientId, packetId }) => `${clientId} ${packetId}`).sort()).toEqual(['sender 7', 'twelve 9']);
    const expiries = sessions.map(({ clientId, sessionExpiryInterval }) => `${clientId} ${sessionExpiryInterval}`);
    expect(expiries.sort()).toEqual(['half 4294967295', 'sender 86400', 'twelve 4294967295']);

    await using broker = await startBroker();
    const again = await broker.connect({ version: 4, clientId: 'half', cleanStart: false });
    await again.expect(PacketType.pubrel, { packetId: released.packetId });
    again.sendAck(PacketType.pubcomp, released.packetId);
    for (const { packetId, payload } of [sent, received])
      await again.expectPublish({ packetId, payload, qos: 2, dup: true });
    for (const { packetId } of [sent, received]) {
      again.sendAck(PacketType.pubrec, packetId);
      await again.expect(PacketType.pubrel, { packetId });
      again.sendAck(PacketType.pubcomp, packetId);
    }
    const sending = await broker.connect({ version: 4, clientId: 'sender', cleanStart: false });
    expect(sending.connack.sessionPresent).toBe(true);
    sending.sendPublish('h', 'received', { qos: 2, packetId: 7, dup: true });
    await sending.expect(PacketType.pubrec, { packetId: 7 });
    sending.sendAck(PacketType.pubrel, 7);
    await sending.expect(PacketType.pubcomp, { packetId: 7 });
    await again.expectNothing();
  });

  test('a will of a connection that Aedes lost is published once the broker starts', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'watcher', { 'wills/#': 1 }));
    const dying = new RawClient('dying', 4);
    dying.attach(await openTcp('127.0.0.1', aedes.port, dying));
    await dying.connect({ will: { topicName: 'wills/é', payload: 'gone', qos: 1, retain: true } });
    const { code, stdout } = await runImport();
    expect({ code, wills: figure(stdout, 'wills') }).toEqual({ code: 0, wills: 1 });
    dying.destroy();
    await aedes.close();
    await using broker = await startBroker();
    const watcher = await broker.connect({ version: 4, clientId: 'watcher', cleanStart: false });
    await watcher.expectMessage({ topicName: 'wills/é', payload: 'gone', qos: 1 });
    const other = await broker.connect();
    await other.subscribe([{ topicFilter: 'wills/+', qos: 1 }]);
    await other.expectMessage({ payload: 'gone', retain: true });
  });

  test('a session belongs to whoever is let in with its client id first, and to nobody else after that', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'meter', { m: 1 }));
    await aedes.publish('m', 'one', 1);
    await aedes.close();
    expect((await runImport()).code).toBe(0);
    const authenticate: Hooks['authenticate'] = ({ username }) =>
      username === '' ? { allow: false, reasonCode: ReasonCode.notAuthorized } : { allow: true };
    await using broker = await startBroker({ authenticate });
    const stranger = await broker.open();
    stranger.sendConnect({ clientId: 'meter', cleanStart: false });
    await stranger.expectConnack(ReasonCode.notAuthorized);
    const owner = await broker.connect({
      clientId: 'meter',
      username: 'anna',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    });
    await owner.expectMessage({ topicName: 'm', payload: 'one' });
    await owner.disconnect();
    const another = await broker.open();
    another.sendConnect({ clientId: 'meter', username: 'bert', cleanStart: false });
    await another.expectConnack(ReasonCode.notAuthorized);
  });

  test('what cannot be taken over is named with its reason, the rest is', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'good', { a: 1 }));
    await leave(await client(aedes, 'empty', { a: 1 }));
    for (const text of ['lost', 'damaged', 'whole']) await aedes.publish('a', text, 1);
    await aedes.close();
    const [lost, damaged] = await redis.lrange('outgoing:good', 0, -1);
    await redis.del(lost as string, 'outgoing:empty', 'client:empty');
    await redis.set(damaged as string, Buffer.from([0xc1]));
    await redis.rpush('outgoing:good', 'outgoing:good:x:1');
    await redis.hset('client:good', {
      eight: '2',
      'bad/#/x': '1',
      $share: '7',
      '$share/g/a': '1',
      cut: Buffer.from([0xc1, 0xc1]),
    });
    await redis.sadd('clients', '$local/1');
    await redis.set('incoming:good:0', 'x');
    await redis.set('incoming:%zz:1', 'x');
    await redis.rpush('will', 'will:gone', 'will:bad');
    await redis.set('will:bad', Buffer.from([0x80]));
    await redis.hset('retained', 'bad', 'x');
    const { code, stdout } = await runImport();
    expect(code).toBe(0);
    const leftOut = stdout
      .slice(stdout.indexOf('Left out:\n') + 'Left out:\n'.length)
      .trimEnd()
      .split('\n');
    const count = '       1';
    expect(leftOut.map((line) => line.trimEnd()).sort()).toEqual(
      [
        `  ${count}  QoS 2 packet ids: URI malformed; "incoming:%zz:1"`,
        `  ${count}  QoS 2 packet ids: not from 1 to 65,535; "incoming:good:0"`,
        `  ${count}  queued messages: not MessagePack; "${damaged}"`,
        `  ${count}  queued messages: the packet is not there any more; "good: ${lost}"`,
        `  ${count}  retained messages: not a packet; "bad"`,
        `  ${count}  sessions: the client id is none a client can have here; "$local/1"`,
        `  ${count}  sessions: nothing is kept of them but the client id; "empty"`,
        `  ${count}  subscriptions: Aedes has no shared subscriptions; "good: $share/g/a"`,
        `  ${count}  subscriptions: not MessagePack; "good: cut"`,
        `  ${count}  subscriptions: not a topic filter; "good: bad/#/x"`,
        `  ${count}  subscriptions: the QoS is not 0, 1 or 2; "good: $share"`,
        `  ${count}  wills: it has no client id; "will:bad"`,
      ].sort(),
    );
    const { subscriptions, queues } = await storedState();
    const filters = subscriptions.map(({ clientId, record }) => `${clientId} ${record.topicFilter} ${record.qos}`);
    expect(filters.sort()).toEqual(['good a 1', 'good eight 2']);
    expect(queues.map((queue) => queue.count)).toEqual([1]);
  });

  test.each([
    ['drop-oldest', ['3', '4']],
    ['drop-newest', ['0', '1']],
  ])('a queue over its limit loses what %s says, and the report tells', async (policy, expected) => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'full', { a: 1 }));
    for (let i = 0; i < 5; i += 1) await aedes.publish('a', `${i}`, 1);
    await aedes.close();
    const flags = ['--set', 'session.queueMessagesMax=2', '--set', `session.queuePolicy=${policy}`];
    const { stdout } = await runImport(...flags);
    expect(stdout).toMatch(/^ +3 {2}queued messages: the (oldest|newest) over session.queueMessagesMax .*"full"$/m);
    await using broker = await startBroker();
    const full = await broker.connect({ version: 4, clientId: 'full', cleanStart: false });
    for (const payload of expected) await full.expectMessage({ payload });
    await full.expectNothing();
  });

  test('sessions that are here already stop it before anything is written; with --merge they stay as they are', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'first', { 'a/1': 1 }));
    await aedes.publish('r', 'of then', 1, { retain: true });
    expect((await runImport()).code).toBe(0);
    await leave(await client(aedes, 'first', { 'a/2': 1 }));
    await leave(await client(aedes, 'second', { 'a/3': 1 }));
    await aedes.publish('a/2', 'x', 1);
    await aedes.publish('a/3', 'x', 1);
    await aedes.publish('r', 'of now', 1, { retain: true });
    await aedes.close();
    const refused = await runImport();
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^trellis: The store has sessions of 1 of these client ids already, "first" for one; nothing was written\./,
    );
    expect((await storedState()).sessions.length).toBe(1);
    const merged = await runImport('--merge');
    expect({ code: merged.code, sessions: figure(merged.stdout, 'sessions') }).toEqual({ code: 0, sessions: 1 });
    expect(merged.stdout).toContain('sessions: the store has one of this client id already; "first"');
    expect(merged.stdout).toContain('retained messages: the store has one of this topic already; "r"');
    const { sessions, subscriptions, queues, retained } = await storedState();
    const filters = subscriptions.map(({ clientId, record }) => `${clientId} ${record.topicFilter}`);
    expect(filters.sort()).toEqual(['first a/1', 'second a/3']);
    expect(queues.map(({ queueId }) => queueId)).toEqual(
      sessions.filter(({ clientId }) => clientId === 'second').map(({ queueId }) => queueId),
    );
    expect(retained.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['of then']);
  });

  test('goes into the Redis store on the same Redis, where retained messages stay as they are', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'away', { 'b/#': 2 }));
    for (let i = 0; i < 1500; i += 1) await aedes.publish('b/1', `message ${i}`, 2);
    await aedes.publish('r', 'kept', 1, { retain: true });
    await aedes.close();
    const retained = await redis.hgetallBuffer('retained');
    const target = ['--store', `${server.url}/0`];
    const { code, stdout, stderr } = await runHere('import', 'aedes-redis', '--from', `${server.url}/0`, ...target);
    expect({ code, stderr: stderr.includes('error') }).toEqual({ code: 0, stderr: false });
    expect(figure(stdout, 'queued messages')).toBe(1500);
    expect(figure(stdout, 'retained messages')).toBe(0);
    expect(await redis.hgetallBuffer('retained')).toEqual(retained);
    const config = createConfig({ store: { type: 'redis' }, redis: { url: `${server.url}/0` } });
    await using broker = await startTestBroker({ store: await makeStore(config, SILENT) });
    const away = await broker.connect({ version: 4, clientId: 'away', cleanStart: false });
    for (let i = 0; i < 1500; i += 1) await away.expectMessage({ payload: `message ${i}`, qos: 2 });
    const reader = await broker.connect();
    await reader.subscribe([{ topicFilter: 'r', qos: 1 }]);
    await reader.expectMessage({ topicName: 'r', payload: 'kept', retain: true });
  });

  test('--dry-run reports the same and writes nothing', async () => {
    const aedes = await AedesOnRedis.start(server);
    await leave(await client(aedes, 'first', { a: 1 }));
    await aedes.publish('a', 'x', 1);
    await aedes.close();
    const { code, stdout } = await runImport('--dry-run');
    expect({ code, queued: figure(stdout, 'queued messages') }).toEqual({ code: 0, queued: 1 });
    expect(stdout).toMatch(/^Would take over from /);
    expect(stdout).toContain('Nothing was written');
    expect((await storedState()).sessions).toEqual([]);
  });

  test('a Redis that cannot be read is a sentence without the password', async () => {
    const { code, stdout, stderr } = await runHere(
      'import',
      'aedes-redis',
      '--from',
      'redis://:secret@127.0.0.1:1/3',
      '--data',
      directory,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^trellis: Cannot read from redis:\/\/127\.0\.0\.1:1\/3: .*ECONNREFUSED.*\.\n$/);
    await redis.config('SET', 'requirepass', 'right');
    const wrong = await runHere(
      'import',
      'aedes-redis',
      '--from',
      `redis://:secret@127.0.0.1:${server.port}`,
      '--data',
      directory,
    );
    await redis.config('SET', 'requirepass', '');
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('WRONGPASS');
    expect(wrong.stderr).not.toContain('secret');
  });
});
