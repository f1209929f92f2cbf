import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import type { Hooks } from '../../src/hooks/hooks.ts';
import type { LimitReason } from '../../src/limits/limit-counters.ts';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startTestBroker } from '../support/test-broker.ts';
import { type FaultFixtures, type Scene, test, until } from './scene.ts';

const VERSIONS = [3, 4, 5] as const;

/** No address is exempt, so that those of the tests count. */
const COUNTED = { addressesExempt: [] };

/** Everybody is who he says. */
const TRUSTING: Hooks = { authenticate: () => ({ allow: true }) };

/** What a client is told: MQTT 5.0, and before. */
const BANNED = { 3: 5, 4: 5, 5: ReasonCode.banned } as const;
const QUOTA = { 3: 3, 4: 3, 5: ReasonCode.quotaExceeded } as const;

function limitsOf(scene: Scene): Record<LimitReason, number> {
  return scene.broker.broker.counters().limits;
}

async function expectRefused(
  scene: Scene,
  version: ProtocolVersion,
  codes: Record<3 | 4 | 5, number>,
  connect: RawConnectOptions,
): Promise<void> {
  const client = await scene.broker.open({ version });
  client.sendConnect(connect);
  await client.expectConnack(codes[version]);
  await client.expectClose();
}

async function expectClosedAtAccept(scene: Scene): Promise<void> {
  await (await scene.broker.open()).expectClose();
}

/** So many QoS 0 messages in one piece. */
function pieceOf(count: number, client: RawClient): Buffer {
  const publish = {
    type: PacketType.publish,
    dup: false,
    qos: 0,
    retain: false,
    topicName: 'a',
    packetId: 0,
    payload: Buffer.from('x'),
    properties: {},
  } as const;
  return Buffer.concat(Array.from({ length: count }, () => encodePacket(publish, client.version)));
}

describe('connections of one address', () => {
  test('are no more than connectionsPerAddressMax', async ({ start }) => {
    // Two are the canary's.
    const scene = await start({ config: { limits: { ...COUNTED, connectionsPerAddressMax: 4 } } });
    const [first] = [await scene.broker.connect(), await scene.broker.connect({ transport: 'websocket' })];
    const refused: string[] = [];
    scene.broker.broker.on('connectionRefused', (_remote, reason) => refused.push(reason));
    for (let i = 0; i < 3; i++) await expectClosedAtAccept(scene);
    expect(limitsOf(scene)['connections-per-address']).toBe(3);
    expect(refused).toEqual(Array.from({ length: 3 }, () => 'connections-per-address'));
    await first.disconnect();
    await scene.untilOpen(1);
    await scene.broker.connect();
  });

  test('come no faster than connectRatePerAddress', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { ...COUNTED, connectRatePerAddress: 5 } } });
    for (let i = 0; i < 3; i++) await scene.broker.connect();
    await expectClosedAtAccept(scene);
    clock.advance(400);
    for (let i = 0; i < 2; i++) await scene.broker.connect();
    await expectClosedAtAccept(scene);
    expect(limitsOf(scene)['connect-rate-per-address']).toBe(2);
  });

  test('are not counted where the address is exempt', async ({ start }) => {
    const limits = { connectionsPerAddressMax: 1, connectRatePerAddress: 1, pendingConnectionsPerAddressMax: 1 };
    const scene = await start({ config: { limits } });
    for (let i = 0; i < 5; i++) await scene.broker.open();
    await scene.untilOpen(5);
  });
});

describe('connections of all addresses', () => {
  test('come no faster than connectRateMax, exempt or not', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { connectRateMax: 4 } } });
    for (let i = 0; i < 2; i++) await scene.broker.connect();
    await expectClosedAtAccept(scene);
    clock.advance(1_000);
    for (let i = 0; i < 4; i++) await scene.broker.connect();
    await expectClosedAtAccept(scene);
    expect(limitsOf(scene)['connect-rate']).toBe(2);
  });

  test('without CONNECT are no more than pendingConnectionsMax: the oldest gives way', async ({ start }) => {
    const scene = await start({ config: { limits: { pendingConnectionsMax: 3 } } });
    const pending: RawClient[] = [];
    for (let i = 0; i < 3; i++) {
      pending.push(await scene.broker.open());
      await scene.untilOpen(i + 1);
    }
    // Whoever comes is let in, however many stall.
    for (let i = 0; i < 5; i++) await (await scene.broker.connect()).disconnect();
    await pending[0]?.expectClose();
    await scene.untilOpen(2);
    expect(limitsOf(scene)['pending-connections']).toBe(1);
    await pending[1]?.connect();
    await pending[2]?.connect();
    await scene.expectEnded({ 'client-disconnect': 5, 'server-busy': 1 });
  });

  test('that the broker itself keeps waiting give way to nobody', async ({ start }) => {
    const gate = Promise.withResolvers<void>();
    let asked = 0;
    const hooks: Hooks = {
      authenticate: async ({ clientId }) => {
        if (clientId.startsWith('canary')) return { allow: true };
        asked += 1;
        await gate.promise;
        return { allow: true };
      },
    };
    const scene = await start({ hooks, config: { limits: { pendingConnectionsMax: 3 } } });
    const waiting: RawClient[] = [];
    for (let i = 0; i < 3; i++) {
      const client = await scene.broker.open();
      client.sendConnect();
      waiting.push(client);
    }
    await until(() => asked === 3, 'all asked for');
    await expectClosedAtAccept(scene);
    gate.resolve();
    for (const client of waiting) await client.expectConnack(0);
    await scene.broker.connect();
  });

  test('that are to go on with an exchange of AUTH packets give way as well', async ({ start }) => {
    const hooks: Hooks = {
      authenticate: () => ({ allow: true }),
      startAuthExchange: () => ({ step: () => ({ kind: 'continue' }) }),
    };
    const scene = await start({ hooks, config: { limits: { pendingConnectionsMax: 1 } } });
    const client = await scene.broker.open();
    client.sendConnect({ properties: { authenticationMethod: 'x' } });
    await client.expect(PacketType.auth);
    await scene.broker.connect();
    await client.expectConnack(ReasonCode.serverBusy);
    await client.expectClose();
  });
});

describe('connections of one user', () => {
  test.for(VERSIONS)('are no more than connectionsPerUserMax, version %i', async (version, { start }) => {
    const scene = await start({ hooks: TRUSTING, config: { limits: { connectionsPerUserMax: 2 } } });
    const connect = (clientId: string, username = 'bob'): Promise<RawClient> =>
      scene.broker.connect({ version, clientId, username });
    const first = await connect('one');
    await connect('two');
    await expectRefused(scene, version, QUOTA, { clientId: 'three', username: 'bob' });
    expect(limitsOf(scene)['connections-per-user']).toBe(1);
    // Others are others, and whoever takes over its own connection is none more.
    await connect('three', 'eve');
    await connect('two');
    await expectRefused(scene, version, QUOTA, { clientId: 'four', username: 'bob' });
    await first.disconnect();
    await scene.untilOpen(2);
    await connect('four');
    await expectRefused(scene, version, QUOTA, { clientId: 'five', username: 'bob' });
  });

  test('are not counted where nobody proves who he is', async ({ start }) => {
    const scene = await start({ config: { limits: { connectionsPerUserMax: 1 } } });
    for (let i = 0; i < 3; i++) await scene.broker.connect({ username: 'bob' });
  });

  test('that were refused for something else are not counted', async ({ start }) => {
    const scene = await start({ hooks: TRUSTING, config: { limits: { connectionsPerUserMax: 1 } } });
    const will = { topicName: '#' };
    const client = await scene.broker.open();
    client.sendConnect({ username: 'bob', will });
    await client.expectConnack(ReasonCode.topicNameInvalid);
    await client.expectClose();
    await scene.broker.connect({ username: 'bob' });
  });
});

describe('bans', () => {
  let directory = '';
  let banFile = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'trellis-bans-'));
    banFile = join(directory, 'bans');
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  test.for(VERSIONS)('of client ids and users are told at CONNECT, version %i', async (version, { start }) => {
    await writeFile(banFile, 'client sensor\nuser mallory # left in March\n');
    const hooks: Hooks = {
      authenticate: (_client, { password }) => ({ allow: true, username: Buffer.from(password ?? []).toString() }),
    };
    const scene = await start({ hooks, config: { limits: { banFile } } });
    await expectRefused(scene, version, BANNED, { clientId: 'sensor' });
    await expectRefused(scene, version, BANNED, { username: 'mallory', password: 'eve' });
    // Who it is said to be is not who it is.
    await expectRefused(scene, version, BANNED, { username: 'eve', password: 'mallory' });
    await scene.broker.connect({ version, username: 'eve', password: 'eve' });
    expect(limitsOf(scene)).toMatchObject({ 'banned-client': 1, 'banned-user': 2 });
    await scene.expectEnded({ banned: 3 });
  });

  test('of addresses close connections at once, also of an address that is exempt', async () => {
    await using broker = await startTestBroker({ config: { limits: { banFile: '' } } });
    const client = await broker.connect();
    expect(await broker.broker.ban({ kind: 'address', value: '10.0.0.0/8' })).toBe(0);
    await client.ping();
    expect(await broker.broker.ban({ kind: 'address', value: '127.0.0.0/24' })).toBe(1);
    await client.expectDisconnect(ReasonCode.administrativeAction);
    await (await broker.open()).expectClose();
    // Before its upgrade, as before TLS.
    await expect(broker.open({ transport: 'websocket' })).rejects.toThrow('socket hang up');
    expect(broker.broker.counters().limits['banned-address']).toBe(2);
    expect(await broker.broker.unban('address', '127.0.0.0/24')).toBe(true);
    await broker.connect();
  });

  test.for(VERSIONS)('end the connections of who is meant, version %i', async (version, { start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, hooks: TRUSTING, config: { limits: { banFile: '' } } });
    const { broker } = scene.broker;
    const connect = { version, clientId: 'sensor', username: 'mallory' };
    for (const request of [
      { kind: 'client', value: 'sensor', forMs: 60_000 },
      { kind: 'user', value: 'mallory', forMs: 60_000 },
    ] as const) {
      const client = await scene.broker.connect(connect);
      expect(await broker.ban(request)).toBe(1);
      const { disconnect } = await client.expectClose();
      expect(disconnect?.reasonCode).toBe(version === 5 ? ReasonCode.administrativeAction : undefined);
      await expectRefused(scene, version, BANNED, connect);
      clock.advance(59_999);
      await expectRefused(scene, version, BANNED, connect);
      clock.advance(1);
      await (await scene.broker.connect(connect)).disconnect();
    }
    await scene.expectEnded({ banned: 6, 'client-disconnect': 2 });
  });

  test('hold while the handshake goes on', async ({ start }) => {
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const hooks: Hooks = {
      authenticate: () => ({ allow: true }),
      authorize: async (_client, { action }) => {
        if (action !== 'will') return true;
        asked.resolve();
        await gate.promise;
        return true;
      },
    };
    const scene = await start({ hooks });
    const client = await scene.broker.open();
    client.sendConnect({ clientId: 'sensor', will: { topicName: 'will' } });
    await asked.promise;
    await scene.broker.broker.ban({ kind: 'client', value: 'sensor' });
    gate.resolve();
    await client.expectConnack(ReasonCode.banned);
    await scene.broker.broker.unban('client', 'sensor');
  });

  test('are written into the file, next to what others write into it, for the owner alone', async ({ start }) => {
    await writeFile(banFile, '# our bans\n', { mode: 0o644 });
    const scene = await start({ config: { limits: { banFile } } });
    const { broker } = scene.broker;
    await broker.ban({ kind: 'client', value: 'sensor 7', reason: 'noisy' });
    await writeFile(banFile, '# our bans\nclient other\n');
    await Promise.all([broker.ban({ kind: 'user', value: 'eve' }), broker.ban({ kind: 'user', value: 'mallory' })]);
    expect(await readFile(banFile, 'utf8')).toBe('# our bans\nclient other\nuser eve\nuser mallory\n');
    expect((await stat(banFile)).mode & 0o777).toBe(0o600);
    expect(await broker.unban('user', 'eve')).toBe(true);
    expect(await broker.unban('user', 'eve')).toBe(false);
    await broker.reload();
    expect(broker.bans().map(({ value }) => value)).toEqual(['other', 'mallory']);
  });

  test('are read anew with the other files; a broken file leaves those there are', async ({ start }) => {
    await writeFile(banFile, '');
    const scene = await start({ config: { limits: { banFile } } });
    const { broker } = scene.broker;
    const client = await scene.broker.connect({ clientId: 'sensor' });
    await writeFile(banFile, 'client sensor\n');
    expect(await broker.reload()).toBe(true);
    await client.expectDisconnect(ReasonCode.administrativeAction);
    await writeFile(banFile, 'client sensor\nclnt other\n');
    expect(await broker.reload()).toBe(false);
    await expectRefused(scene, 5, BANNED, { clientId: 'sensor' });
    // It cannot be written into either, and what is asked for holds all the same.
    const other = await scene.broker.connect({ clientId: 'other' });
    await expect(broker.ban({ kind: 'client', value: 'other' })).rejects.toThrow(`${banFile}:2: `);
    await other.expectDisconnect(ReasonCode.administrativeAction);
    await writeFile(banFile, '');
    expect(await broker.reload()).toBe(true);
    await scene.broker.connect({ clientId: 'sensor' });
  });

  test('that are none are refused', async ({ start }) => {
    const { broker } = (await start()).broker;
    for (const wrong of [
      { kind: 'address', value: 'host' },
      { kind: 'client', value: '' },
      { kind: 'user', value: 'x', forMs: Number.NaN },
      { kind: 'user', value: 'x', reason: 'a\nb' },
    ] as const)
      await expect(broker.ban(wrong)).rejects.toThrow(RangeError);
    expect(broker.bans()).toEqual([]);
  });

  test('in a file that cannot be read keep the broker from starting', async ({ start }) => {
    await expect(start({ config: { limits: { banFile } } })).rejects.toThrow(`${banFile}: there is no such file`);
    await writeFile(banFile, 'clnt x\n');
    await expect(start({ config: { limits: { banFile } } })).rejects.toThrow(`${banFile}:1: `);
  });
});

describe('flapping', () => {
  test('of an address: connections that fail over and over', async ({ start }) => {
    const clock = new FakeClock();
    const hooks: Hooks = {
      authenticate: ({ clientId }) =>
        clientId.startsWith('canary') ? { allow: true } : { allow: false, reasonCode: ReasonCode.notAuthorized },
    };
    const limits = { ...COUNTED, flappingFailuresMax: 3, flappingBanMs: 5_000 };
    const scene = await start({ clock, hooks, config: { limits } });
    // Wrong credentials, no CONNECT, no MQTT, nothing in time.
    await expectRefused(scene, 4, { 3: 5, 4: 5, 5: 5 }, {});
    (await scene.broker.open()).destroy();
    await scene.untilOpen(0);
    const garbage = await scene.broker.open();
    garbage.sendRaw('ff');
    await garbage.expectClose();
    await scene.untilOpen(0);
    const silent = await scene.broker.open();
    await scene.untilOpen(1);
    clock.advance(10_000);
    await silent.expectClose();
    await scene.untilOpen(0);
    await expectClosedAtAccept(scene);
    clock.advance(4_999);
    await expectClosedAtAccept(scene);
    expect(limitsOf(scene)['flapping-address']).toBe(2);
    clock.advance(1);
    await expectRefused(scene, 5, { 3: 5, 4: 5, 5: ReasonCode.notAuthorized }, {});
  });

  test('of an address: requests that break off, but not those that a page may have a browser make', async ({
    start,
  }) => {
    const scene = await start({ config: { limits: { ...COUNTED, flappingFailuresMax: 2 } } });
    const refused: string[] = [];
    scene.broker.broker.on('connectionRefused', (_remote, reason) => refused.push(reason));
    const { port } = new URL(scene.broker.webSocketUrl);
    const ask = async (text: string): Promise<void> => {
      const count = refused.length;
      const socket = connectTcp({ port: Number(port), host: '127.0.0.1' });
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(text);
      await until(() => refused.length > count, 'a refusal');
      socket.destroy();
    };
    for (let i = 0; i < 5; i++) await ask('GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(limitsOf(scene)['flapping-address']).toBe(0);
    for (let i = 0; i < 3; i++) await ask('GET /mqtt HTTP/1.1\r\n');
    // Being refused while banned counts for nothing.
    for (let i = 0; i < 3; i++) await ask('GET /mqtt HTTP/1.1\r\n');
    expect(refused.slice(-1)).toEqual(['its address is sent away']);
    expect(limitsOf(scene)['flapping-address']).toBe(3);
  });

  test('does not count what the broker is to blame for', async ({ start }) => {
    const clock = new FakeClock();
    const codes = [ReasonCode.serverUnavailable, ReasonCode.serverBusy, ReasonCode.implementationSpecificError];
    let asked = 0;
    const hooks: Hooks = {
      authenticate: ({ clientId }) => {
        if (clientId.startsWith('canary')) return { allow: true };
        return { allow: false, reasonCode: codes[asked++ % codes.length] as number };
      },
    };
    const scene = await start({ clock, hooks, config: { limits: { ...COUNTED, flappingFailuresMax: 1 } } });
    for (let i = 0; i < 6; i++) {
      const client = await scene.broker.open({ version: 4 });
      client.sendConnect();
      await client.expectConnack(3);
      await client.expectClose();
    }
    expect(asked).toBe(6);
    expect(limitsOf(scene)['flapping-address']).toBe(0);
  });

  test.for(VERSIONS)('of a client: a user with one client id, version %i', async (version, { start }) => {
    const clock = new FakeClock();
    const limits = { flappingConnectsMax: 3, flappingBanMs: 5_000 };
    const scene = await start({ clock, hooks: TRUSTING, config: { limits } });
    const connect = { version, clientId: 'sensor', username: 'bob' };
    for (let i = 0; i < 4; i++) await scene.broker.connect(connect);
    await expectRefused(scene, version, BANNED, connect);
    expect(limitsOf(scene)['flapping-client']).toBe(1);
    await scene.broker.connect({ ...connect, clientId: 'other' });
    // Being refused while banned counts for nothing.
    clock.advance(4_999);
    await expectRefused(scene, version, BANNED, connect);
    clock.advance(1);
    await scene.broker.connect(connect);
  });

  test('of a client counts for nobody who proves nothing', async ({ start }) => {
    const scene = await start({ config: { limits: { flappingConnectsMax: 1 } } });
    for (let i = 0; i < 5; i++) await scene.broker.connect({ clientId: 'sensor', username: 'bob' });
  });
});

describe('the rate of a client', () => {
  test('above messageRateMax it is read from more slowly, and loses nothing', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { messageRateMax: 10 } } });
    const client = await scene.broker.connect({ keepAlive: 1 });
    const received = (): number => scene.broker.broker.counters().traffic.publishesReceived;
    const before = received();
    client.send(pieceOf(60, client));
    await until(() => received() === before + 60, 'all published');
    expect(limitsOf(scene)['message-rate']).toBe(1);
    // Five seconds' worth too much: what it sends now is not read, and its silence is none.
    const answered = client.ping();
    let isAnswered = false;
    void answered.then(() => (isAnswered = true));
    for (let i = 0; i < 4; i++) {
      clock.advance(1_249);
      await scene.broker.connect();
      expect(isAnswered).toBe(false);
    }
    clock.advance(4);
    await answered;
    await scene.expectEnded({});
    // From then on its silence counts again.
    clock.advance(3_000);
    await client.expectDisconnect(ReasonCode.keepAliveTimeout);
  });

  test('above byteRateMax it is read from more slowly, whatever it sends', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { byteRateMax: 1_000 } } });
    const client = await scene.broker.connect();
    client.send(Buffer.concat(Array.from({ length: 1_000 }, () => Buffer.from('c000', 'hex'))));
    await until(() => limitsOf(scene)['byte-rate'] > 0, 'held back');
    for (let i = 0; i < 1_000; i++) {
      if (i % 100 === 0) clock.advance(500);
      await client.expect(PacketType.pingresp);
    }
  });

  test('is that of one client: another is not held back by it', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { messageRateMax: 50 } } });
    const client = await scene.broker.connect();
    client.send(pieceOf(1_000, client));
    await until(() => limitsOf(scene)['message-rate'] > 0, 'held back');
    await scene.expectUnharmed();
    // Also one that goes while it is held back.
    client.destroy();
    clock.advance(60_000);
    await scene.untilOpen(0);
  });
});

describe('memory that runs short', () => {
  /** A broker whose memory is as full as `use` says. */
  async function short(
    start: FaultFixtures['start'],
    limits: { outboxBytesMax?: number } = {},
  ): Promise<{ scene: Scene; use: (part: number) => void }> {
    const clock = new FakeClock();
    let part = 0;
    const scene = await start({ clock, memoryUsed: () => part, config: { limits } });
    return {
      scene,
      use: (used) => {
        part = used;
        clock.advance(250);
      },
    };
  }

  test.for(VERSIONS)('costs new connections from 85 %, version %i', async (version, { start }) => {
    const { scene, use } = await short(start);
    await scene.broker.connect({ version, clientId: 'known' });
    use(0.86);
    await expectRefused(scene, version, QUOTA, { clientId: 'new' });
    expect(limitsOf(scene)['memory-connections']).toBe(1);
    // Whoever takes over needs no more than it had.
    await scene.broker.connect({ version, clientId: 'known' });
    expect(scene.broker.broker.counters().memory).toEqual({
      sheds: 'connections',
      entered: { 'slow-readers': 1, connections: 1, subscriptions: 0, publishes: 0 },
    });
    use(0.7);
    await scene.broker.connect({ version, clientId: 'new' });
  });

  test.for(VERSIONS)(
    'lets in who has a session still: its queue could not drain otherwise, version %i',
    async (version, { start }) => {
      const { scene, use } = await short(start);
      const connect = { version, clientId: 'known', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
      const before = await scene.broker.connect(connect);
      await before.subscribe('a', 1);
      await before.disconnect();
      await scene.untilOpen(0);
      await scene.broker.broker.publish({ topicName: 'a', payload: 'queued', qos: 1 });
      use(0.96);
      await expectRefused(scene, version, QUOTA, { clientId: 'new' });
      const after = await scene.broker.connect(connect);
      await after.expectMessage({ payload: 'queued' });
      use(0.5);
    },
  );

  test.for(VERSIONS)('costs new subscriptions from 90 %, version %i', async (version, { start }) => {
    const { scene, use } = await short(start);
    const client = await scene.broker.connect({ version });
    await client.subscribe('a');
    use(0.91);
    client.sendSubscribe(['b', 'a'], 1);
    const refused = version === 5 ? ReasonCode.quotaExceeded : 0x80;
    await client.expect(PacketType.suback, { reasonCodes: [refused, 1] });
    expect(limitsOf(scene)['memory-subscriptions']).toBe(1);
    use(0.7);
    await client.subscribe('b');
  });

  test('holds publishers back from 95 %, and nobody else', async ({ start }) => {
    const { scene, use } = await short(start);
    const subscriber = await scene.broker.connect({ keepAlive: 1 });
    await subscriber.subscribe('a', 1);
    const publisher = await scene.broker.connect({ keepAlive: 1 });
    await publisher.publish('a', 'before', { qos: 1 });
    use(0.96);
    // Somebody has to come for it to be noticed.
    await expectRefused(scene, 5, QUOTA, {});
    publisher.sendPublish('a', 'first', { qos: 1 });
    await publisher.expect(PacketType.puback);
    publisher.sendPublish('a', 'second', { qos: 1 });
    for (const payload of ['before', 'first']) await subscriber.expectMessage({ payload });
    for (let i = 0; i < 20; i++) {
      use(0.96);
      await subscriber.expectNothing();
    }
    expect(limitsOf(scene)['memory-publishes']).toBe(1);
    use(0.5);
    await subscriber.expectMessage({ payload: 'second' });
    await publisher.expect(PacketType.puback);
    await scene.expectEnded({ 'quota-exceeded': 1 });
  });

  test.for(VERSIONS)(
    'held back for long costs who has to acknowledge what it publishes, so that memory can come free, version %i',
    async (version, { start }) => {
      const { scene, use } = await short(start);
      const client = await scene.broker.connect({ version, keepAlive: 1 });
      await client.subscribe('a', 1);
      // Its answers tell that the broker has done what there was to do.
      const other = await scene.broker.connect();
      use(0.96);
      await expectRefused(scene, 5, QUOTA, {});
      client.sendPublish('a', 'first', { qos: 1 });
      const first = await client.expectPublish({ payload: 'first' });
      await client.expect(PacketType.puback);
      // Behind what it publishes is what would free memory, and nobody reads it.
      const packetId = client.sendPublish('a', 'second', { qos: 1 });
      client.sendPublish('a', 'third', { qos: 0 });
      client.sendAck(PacketType.puback, first.packetId);
      const queued = (): number => scene.broker.broker.counters().messages.queued;
      for (let i = 0; i < 36; i++) {
        use(0.96);
        await other.expectNothing();
      }
      expect(queued()).toBe(1);
      for (let i = 0; i < 8; i++) use(0.96);
      if (version === 5) await client.expect(PacketType.puback, { packetId, reasonCode: ReasonCode.quotaExceeded });
      await until(() => queued() === 0, 'an empty queue');
      // With nothing left to acknowledge it waits as before.
      client.sendPublish('a', 'fourth', { qos: 0 });
      for (let i = 0; i < 50; i++) use(0.96);
      const received = scene.broker.broker.counters().messages.received;
      await other.expectNothing();
      expect(scene.broker.broker.counters().messages.received).toBe(received);
      use(0.5);
      await client.expectMessage({ payload: 'fourth' });
    },
  );

  test('costs slow readers their QoS 0 messages from 80 %', async ({ start }) => {
    const { scene, use } = await short(start, { outboxBytesMax: 64 * 1024 * 1024 });
    const dropped = (): number => scene.broker.broker.counters().messages.dropped['slow-reader'];
    const payload = Buffer.alloc(1024 * 1024);
    const publisher = await scene.broker.connect();
    const flood = async (name: string): Promise<void> => {
      const reader = await scene.broker.connect({ name });
      await reader.subscribe(name);
      reader.pause();
      for (let i = 0; i < 32; i++) await publisher.publish(name, payload);
      reader.destroy();
    };
    await flood('before');
    expect(dropped()).toBe(0);
    use(0.81);
    await flood('after');
    expect(dropped()).toBeGreaterThan(0);
    use(0.5);
  });
});

describe('what a client may have', () => {
  test('of sessions and connections in all is limited, and counted', async ({ start }) => {
    // The canary has two of each.
    const scene = await start({ config: { limits: { connectionsMax: 3, sessionsMax: 4 } } });
    const kept = { cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    for (const clientId of ['one', 'two']) {
      const client = await scene.broker.connect({ ...kept, clientId });
      if (clientId === 'one') await expectRefused(scene, 5, QUOTA, { clientId: 'two' });
      await client.disconnect();
      await scene.untilOpen(0);
    }
    for (const version of VERSIONS) await expectRefused(scene, version, QUOTA, { clientId: 'three' });
    expect(limitsOf(scene)).toMatchObject({ connections: 1, sessions: 3 });
    await scene.broker.connect({ ...kept, clientId: 'one' });
  });

  test('of wills, aliases, levels, subscriptions and retained messages is limited, and counted', async ({ start }) => {
    const limits = { willBytesMax: 100, aliasBytesMax: 1_024, topicLevelsMax: 3, subscriptionsPerSessionMax: 1 };
    const scene = await start({ config: { limits, retained: { messagesMax: 1 } } });
    for (const version of VERSIONS)
      await expectRefused(scene, version, QUOTA, { will: { topicName: 'w', payload: Buffer.alloc(100) } });
    const client = await scene.broker.connect();
    client.sendSubscribe(['a', 'b', 'a', 'a/b/c/d'], 0);
    const reasonCodes = [0, ReasonCode.quotaExceeded, 0, ReasonCode.quotaExceeded];
    await client.expect(PacketType.suback, { reasonCodes });
    const deep = await scene.broker.connect();
    deep.sendSubscribe(['+/+/+/#'], 0);
    await deep.expect(PacketType.suback, { reasonCodes: [ReasonCode.topicFilterInvalid] });
    deep.sendPublish('a/b/c/d', 'x');
    await deep.expectDisconnect(ReasonCode.topicNameInvalid);
    await client.publish('r/1', 'x', { retain: true, qos: 1 });
    client.sendPublish('r/2', 'x', { retain: true, qos: 1 });
    await client.expect(PacketType.puback, { reasonCode: ReasonCode.quotaExceeded });
    await client.publish('a', 'x', { retain: true });
    await client.expectMessage({ payload: 'x' });
    for (const topicAlias of [1, 2]) client.sendPublish('x'.repeat(600), '', { properties: { topicAlias } });
    await client.expectDisconnect(ReasonCode.quotaExceeded);
    expect(limitsOf(scene)).toMatchObject({
      'will-bytes': 3,
      'subscriptions-per-session': 2,
      'topic-levels': 2,
      'alias-bytes': 1,
    });
    expect(scene.broker.broker.counters().retained).toMatchObject({ count: 1, refused: 2 });
  });
});

test('counters of limits are in $SYS', async ({ start }) => {
  const clock = new FakeClock();
  const config = { limits: { connectRateMax: 3 }, admin: { sysIntervalSeconds: 1 } };
  const scene = await start({ clock, config });
  const client = await scene.broker.connect();
  await client.subscribe('$SYS/broker/limits/connect-rate');
  await client.expectPublish({ payload: '0' });
  await expectClosedAtAccept(scene);
  clock.advance(1_000);
  await client.expectPublish({ payload: '1' });
});
