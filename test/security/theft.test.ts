import { afterAll, describe, expect, test } from 'vitest';
import type { DeepPartial, Config } from '../../src/config.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import { TestAuthority } from '../support/certificates.ts';
import { openTls } from '../support/client-socket.ts';
import { RawClient } from '../support/raw-client.ts';
import { type OpenOptions, startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SecurityFiles, tokenOf } from './security-files.ts';

const SECRET = 'nobody else signs tokens with this secret of thirty-two bytes';
/** Names that are all but the owner's among them: each is a user of its own. */
const USERS: ReadonlyMap<string, string> = new Map(
  ['ann', 'eve', 'Ann', 'ann ', 'änn', 'a\u0308nn', 'root'].map((user) => [user, `password of ${user}`]),
);

const files = new SecurityFiles();
const passwordFile = files.writeUsers(USERS);
const secretFile = files.write('token-secret', SECRET);
const aclFile = files.write(
  'rules.json',
  '{"roles": {"all": [{"allow": "all", "topics": ["#"]}]}, "everyone": ["all"]}',
);
afterAll(() => files[Symbol.dispose]());

const config: DeepPartial<Config> = {
  auth: { allowAnonymous: 'everywhere', passwordFile, jwt: { secretFile } },
  acl: { file: aclFile },
};

/** The client id that is to be stolen. */
const LAMP = 'lamp';
const STAYS = { sessionExpiryInterval: 1_000 };

/** One attempt, as what goes into CONNECT, and the answer: in 5.0, in 3.1.1. */
interface Attempt {
  readonly how: string;
  readonly connect: RawConnectOptions;
  readonly open?: OpenOptions;
  readonly answer?: readonly [number, number];
  /** Attempts at once; 1 by default. */
  readonly times?: number;
}

function as(username: string): RawConnectOptions {
  return { username, password: USERS.get(username) ?? '' };
}

const eve = as('eve');
const ATTEMPTS: readonly Attempt[] = [
  { how: 'another user, with her right password', connect: eve },
  { how: 'nobody: an anonymous client', connect: {} },
  { how: 'another user who keeps the session', connect: { ...eve, cleanStart: false, properties: STAYS } },
  { how: 'another user who clears it', connect: { ...eve, cleanStart: true } },
  {
    how: 'another user with a will of her own',
    connect: { ...eve, will: { topicName: 'will/stolen', payload: 'stolen', qos: 1, retain: true } },
  },
  { how: 'another user over WebSocket', connect: { ...eve, cleanStart: false }, open: { transport: 'websocket' } },
  { how: 'the owner, with another password', connect: { username: 'ann', password: 'guess' }, answer: [0x86, 4] },
  { how: 'a war of 100 attempts at once', connect: { ...eve, cleanStart: false }, times: 100 },
  { how: 'a user whose name differs in its case', connect: as('Ann') },
  { how: 'a user whose name ends in a blank', connect: as('ann ') },
  { how: 'a token of another user under the name of the owner', connect: { username: 'ann', password: 'TOKEN' } },
];

/** Who owns the client id, and somebody who sees all wills and publishes. */
interface Scene {
  readonly broker: TestBroker;
  readonly owner: RawClient;
  readonly watcher: RawClient;
  readonly version: ProtocolVersion;
  readonly ended: string[];
}

function ownConnect(version: ProtocolVersion): RawConnectOptions & OpenOptions {
  return {
    ...as('ann'),
    version,
    name: LAMP,
    cleanStart: false,
    properties: version === 5 ? STAYS : {},
    will: { topicName: 'will/lamp', payload: 'the lamp is lost', qos: 1 },
  };
}

async function withOwner(broker: TestBroker, version: ProtocolVersion): Promise<Scene> {
  const watcher = await broker.connect({ name: 'watcher', ...as('root') });
  await watcher.subscribe('will/#', 1);
  const ended: string[] = [];
  broker.on('clientDisconnected', ({ clientId }, reason) => void (clientId === LAMP && ended.push(reason)));
  broker.on('sessionEnded', (clientId, reason) => void (clientId === LAMP && ended.push(`session: ${reason}`)));
  const owner = await broker.connect(ownConnect(version));
  await owner.subscribe(['a/#', '$share/g/shared'], 1);
  return { broker, owner, watcher, version, ended };
}

/** Tries, and asserts that each is refused. @returns how many there were. */
async function steal(broker: TestBroker, version: ProtocolVersion, attempt: Attempt): Promise<number> {
  const { connect, open = {}, answer = [0x87, 5], times = 1 } = attempt;
  const password = connect.password === 'TOKEN' ? await tokenOf(SECRET, { sub: 'eve' }) : connect.password;
  const properties = version === 5 ? (connect.properties ?? {}) : {};
  const thieves: RawClient[] = [];
  for (let i = 0; i < times; i++) {
    const thief = await broker.open({ version, name: LAMP, ...open });
    thief.sendConnect({ ...connect, ...(password !== undefined && { password }), properties });
    thieves.push(thief);
  }
  for (const thief of thieves) {
    await thief.expectConnack(version === 5 ? answer[0] : answer[1]);
    await thief.expectClose();
  }
  return thieves.length;
}

async function expectMessages(owner: RawClient, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await owner.expectMessage({ payload });
  await owner.expectNothing();
}

const VERSIONS: readonly ProtocolVersion[] = [4, 5];
const CASES = VERSIONS.flatMap((owner) => VERSIONS.map((thief) => ({ owner, thief })));

describe.for(CASES)('a client id of a version $owner client, wanted by version $thief', (versions) => {
  test('cannot be stolen while its owner is connected', async () => {
    await using broker = await startTestBroker({ config });
    const { owner, watcher, ended } = await withOwner(broker, versions.owner);
    let attempts = 0;
    for (const [index, attempt] of ATTEMPTS.entries()) {
      await watcher.publish('a/before', `before ${index}`, { qos: 1 });
      attempts += await steal(broker, versions.thief, attempt);
      await watcher.publish('a/after', `after ${index}`, { qos: 1 });
      await watcher.publish('shared', `shared ${index}`, { qos: 1 });
      await expectMessages(owner, [`before ${index}`, `after ${index}`, `shared ${index}`]);
      await owner.publish('b', 'mine', { qos: 1 });
      await watcher.expectNothing();
    }
    expect(ended).toEqual([]);
    expect(attempts).toBe(ATTEMPTS.length + 99);
    // The will is still its own, and comes when the connection is lost.
    owner.destroy();
    await watcher.expectMessage({ topicName: 'will/lamp', payload: 'the lamp is lost' });
    await watcher.expectNothing();
  });

  test('cannot be stolen with the queue of its owner, who is away', async () => {
    await using broker = await startTestBroker({ config });
    const { owner, watcher, ended } = await withOwner(broker, versions.owner);
    await watcher.publish('a/flight', 'in flight', { qos: 1 });
    const { packetId } = await owner.expectPublish({ payload: 'in flight' });
    await owner.disconnect();
    const queued: string[] = [];
    const send = async (topic: string, text: string): Promise<void> => {
      await watcher.publish(topic, text, { qos: 1 });
      queued.push(text);
    };
    for (const [index, attempt] of ATTEMPTS.entries()) {
      await send('a/before', `before ${index}`);
      await steal(broker, versions.thief, attempt);
      await send('a/after', `after ${index}`);
    }
    await watcher.expectNothing();
    const again = await broker.connect(ownConnect(versions.owner));
    expect(again.connack.sessionPresent).toBe(true);
    await again.expectPublish({ payload: 'in flight', packetId, dup: true });
    again.sendAck(PacketType.puback, packetId);
    await expectMessages(again, queued);
    await watcher.publish('a/late', 'late', { qos: 1 });
    await watcher.publish('shared', 'shared', { qos: 1 });
    await expectMessages(again, ['late', 'shared']);
    expect(ended).toEqual(['client-disconnect']);
    await again.disconnect();
    await watcher.expectNothing();
  });
});

test('a will that waits for its delay is neither published nor forgotten by who is refused', async () => {
  await using broker = await startTestBroker({ config });
  const watcher = await broker.connect({ name: 'watcher', ...as('root') });
  await watcher.subscribe('will/#', 1);
  const connect = ownConnect(5);
  const will = { topicName: 'will/lamp', payload: 'late', qos: 1 as const, properties: { willDelayInterval: 900 } };
  const owner = await broker.connect({ ...connect, will });
  const gone = new Promise<void>((resolve) =>
    broker.on('clientDisconnected', ({ clientId }) => clientId === LAMP && resolve()),
  );
  owner.destroy();
  await gone;
  for (const attempt of ATTEMPTS) await steal(broker, 5, attempt);
  await watcher.expectNothing();
  // Whoever owns it ends its session, and with it the waiting of the will [MQTT-3.1.2-8].
  const again = await broker.connect({ ...connect, will: { topicName: 'will/other' }, cleanStart: true });
  expect(again.connack.sessionPresent).toBe(false);
  await watcher.expectMessage({ topicName: 'will/lamp', payload: 'late' });
  await again.disconnect();
  await watcher.expectNothing();
});

test('the client id of an anonymous client does not belong to users, and that of a user not to another', async () => {
  await using broker = await startTestBroker({ config });
  for (const version of VERSIONS) {
    const name = `nobody's ${version}`;
    const lasting = { cleanStart: false, properties: version === 5 ? STAYS : {} };
    const owner = await broker.connect({ version, name, ...lasting });
    const thief = await broker.open({ version, name });
    thief.sendConnect({ ...eve });
    await thief.expectConnack(version === 5 ? 0x87 : 5);
    await owner.ping();
    // Whoever shows the same identity may take it over, as the standard says.
    const next = await broker.connect({ version, name, ...lasting });
    expect(next.connack.sessionPresent).toBe(true);
    await owner.expectClose();
  }
});

test('the client id of who has one certificate does not belong to who has another', async () => {
  const authority = new TestAuthority(files.path('authority'));
  authority.server('server');
  const tls = {
    certFiles: [authority.file('server.crt')],
    keyFiles: [authority.file('server.key')],
    caFile: authority.file('ca.crt'),
    clientCertificates: 'required' as const,
  };
  const listeners = { tls: { host: '127.0.0.1', port: 0 } };
  const auth = { certificateIdentity: 'common-name' as const };
  await using broker = await startTestBroker({ config: { listeners, tls, auth, acl: config.acl } });
  const { port } = broker.broker.listeners.find(({ url }) => url.startsWith('mqtts:'))!;
  const open = async (name: string): Promise<RawClient> => {
    const { certificate, key } = authority.client(name);
    const client = new RawClient(LAMP, 5);
    return client.attach(
      await openTls({ host: '127.0.0.1', port, ca: authority.certificate, cert: certificate, key }, client),
    );
  };
  const owner = await open('ann');
  await owner.connect({ cleanStart: false, properties: STAYS });
  await owner.subscribe('a', 1);
  for (const [connect, answer] of [
    [{}, 0x87],
    [{ cleanStart: false, properties: STAYS }, 0x87],
    [as('ann'), 0x86],
  ] as const) {
    const thief = await open('eve');
    thief.sendConnect(connect);
    await thief.expectConnack(answer);
    await thief.expectClose();
  }
  await owner.publish('a', 'mine', { qos: 1 });
  await owner.expectMessage({ payload: 'mine' });
  await owner.disconnect();
  const again = await open('ann');
  expect((await again.connect({ cleanStart: false, properties: STAYS })).sessionPresent).toBe(true);
  again.destroy();
});
