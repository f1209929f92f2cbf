import { describe, expect, test } from 'vitest';
import type { Access } from '../../src/connection/access.ts';
import type { AuthorizeRequest, ClientInfo, Hooks, Refusal } from '../../src/hooks/hooks.ts';
import { PacketType, type ProtocolVersion, type Qos } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { Message } from '../../src/protocol/message.ts';
import type { QueueRecord } from '../../src/store/store.ts';
import { UNCLAIMED } from '../../src/store/store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HeldStore } from '../session/held-store.ts';
import { takeAll } from '../security/take-all.ts';
import { until } from '../support/polling.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

/** Rules that forbid topics by how they begin; `denied` changes as a test goes on. */
class Prefixes implements Access {
  denied = '-';
  readonly asked: AuthorizeRequest[] = [];

  refusalOf({ username }: ClientInfo, request: AuthorizeRequest): Refusal | undefined {
    this.asked.push(request);
    if (username === 'admin' || !request.topic.startsWith(this.denied)) return undefined;
    return { reasonCode: ReasonCode.notAuthorized, explanation: 'rule 7 says no' };
  }

  mayReceive({ username }: ClientInfo, topicName: string): boolean {
    return username === 'admin' || !topicName.startsWith(this.denied);
  }
}

async function withPrefixes(): Promise<{ broker: TestBroker; access: Prefixes }> {
  const access = new Prefixes();
  return { broker: await startTestBroker({ access }), access };
}

function denied(broker: TestBroker): number {
  return broker.total(({ messages }) => messages.dropped['not-authorized']);
}

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const FOREVER = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } };

describe('access rules that change', () => {
  test.each(VERSIONS)(
    'end subscriptions that they do not allow any more, and no others, version %s',
    async (version) => {
      const { broker, access } = await withPrefixes();
      await using _ = broker;
      const client = await broker.connect({ version });
      await client.subscribe(['a/#', 'b/#', '$share/g/a/x'], 1);
      const publisher = await broker.connect({ username: 'admin' });
      const ended: string[] = [];
      broker.on('unsubscribed', (_client, topicFilter) => ended.push(topicFilter));
      access.denied = 'a';
      await broker.rightsChanged();
      await publisher.publish('a/x', 'secret', { qos: 1 });
      await publisher.publish('b/x', 'open', { qos: 1 });
      await client.expectMessage({ topicName: 'b/x' });
      await client.expectNothing();
      expect(ended).toEqual(['a/#', '$share/g/a/x']);
      client.sendSubscribe('a/#');
      await client.expect(PacketType.suback, { reasonCodes: [version === 5 ? ReasonCode.notAuthorized : 0x80] });
    },
  );

  test('hold for what waits for a session, and for its subscriptions, when it comes back', async () => {
    const { broker, access } = await withPrefixes();
    await using _ = broker;
    const first = await broker.connect({ clientId: 'c', ...FOREVER });
    await first.subscribe(['a/#', 'b/#'], 2);
    await first.disconnect();
    const publisher = await broker.connect({ username: 'admin' });
    for (const topicName of ['a/1', 'b/1', 'a/2', 'b/2']) await publisher.publish(topicName, topicName, { qos: 1 });
    access.denied = 'a';
    const again = await broker.connect({ clientId: 'c', ...FOREVER });
    expect(again.connack.sessionPresent).toBe(true);
    await again.expectMessage({ topicName: 'b/1' });
    await again.expectMessage({ topicName: 'b/2' });
    await publisher.publish('a/3', 'a/3', { qos: 1 });
    await again.expectNothing();
    expect(denied(broker)).toBe(2);
    expect(broker.total(({ subscriptions }) => subscriptions)).toBe(1);
  });

  test.each([4, 5] as const)(
    'hold for what was in flight: QoS 2 is brought to its end without it, version %s',
    async (version) => {
      const { broker, access } = await withPrefixes();
      await using _ = broker;
      const first = await broker.connect({
        version,
        clientId: 'c',
        ...(version === 5 ? FOREVER : { cleanStart: false }),
      });
      await first.subscribe('#', 2);
      const publisher = await broker.connect({ username: 'admin' });
      await publisher.publish('a/1', 'a/1', { qos: 1 });
      await publisher.publish('a/2', 'a/2', { qos: 2 });
      await publisher.publish('a/3', 'a/3', { qos: 2 });
      await first.expectPublish({ topicName: 'a/1' });
      const { packetId } = await first.expectPublish({ topicName: 'a/2' });
      const released = await first.expectPublish({ topicName: 'a/3' });
      first.sendAck(PacketType.pubrec, released.packetId);
      await first.expect(PacketType.pubrel, { packetId: released.packetId });
      first.destroy();
      access.denied = 'a';
      const again = await broker.connect({
        version,
        clientId: 'c',
        ...(version === 5 ? FOREVER : { cleanStart: false }),
      });
      // What it had acknowledged with PUBREC is its own; of the other it may have the packet id.
      const pubrels = [await again.expect(PacketType.pubrel), await again.expect(PacketType.pubrel)];
      expect(new Set(pubrels.map((pubrel) => pubrel.packetId))).toEqual(new Set([packetId, released.packetId]));
      again.sendAck(PacketType.pubcomp, packetId);
      again.sendAck(PacketType.pubcomp, released.packetId);
      await publisher.publish('b', 'b', { qos: 2 });
      await again.expectMessage({ topicName: 'b' });
      await again.expectNothing();
      expect(denied(broker)).toBe(2);
    },
  );

  test('hold for wills when they are due, with the identity of who left them', async () => {
    const { broker, access } = await withPrefixes();
    await using _ = broker;
    const watcher = await broker.connect({ username: 'admin' });
    await watcher.subscribe('#', 1);
    const own = await broker.connect({ will: { topicName: 'a/will' } });
    const admins = await broker.connect({ username: 'admin', will: { topicName: 'a/admin' } });
    access.denied = 'a';
    own.destroy();
    admins.destroy();
    await watcher.expectMessage({ topicName: 'a/admin' });
    await watcher.expectNothing();
    expect(access.asked.filter(({ action }) => action === 'will')).toHaveLength(4);
  });

  test('refuse a publish with the reason in the log and without it for the client', async () => {
    const { broker, access } = await withPrefixes();
    await using _ = broker;
    access.denied = 'a';
    const client = await broker.connect();
    const packetId = client.sendPublish('a', 'x', { qos: 1 });
    const puback = await client.expect(PacketType.puback, { packetId, reasonCode: ReasonCode.notAuthorized });
    expect(puback.properties.reasonString).toBeUndefined();
  });
});

test('what is published once they have changed goes to nobody who lost the right, from whatever node to whatever node', async () => {
  const { broker, access } = await withPrefixes();
  await using _ = broker;
  const clients: RawClient[] = [];
  for (const filter of ['a/#', 'a/+', '$share/g/a/x', '$share/g/a/x', 'a/x', 'a/x']) {
    const client = await broker.connect({ version: clients.length % 2 === 0 ? 5 : 4 });
    await client.subscribe(filter, (clients.length % 3) as Qos);
    clients.push(client);
  }
  const publishers: RawClient[] = [];
  for (let i = 0; i < 3; i++) publishers.push(await broker.connect({ username: 'admin' }));
  let isChanged = false;
  const publishing = publishers.map(async (publisher) => {
    for (let left = 50; left > 0; ) {
      if (isChanged) left -= 1;
      await publisher.publish('a/x', isChanged ? 'after' : 'before', { qos: 1 });
    }
  });
  for (const client of clients) await client.expectMessage();
  access.denied = 'a';
  await broker.rightsChanged();
  isChanged = true;
  await Promise.all(publishing);
  for (const client of clients) {
    const payloads = (await takeAll(client)).map(({ payload }) => Buffer.from(payload).toString());
    expect(payloads.filter((payload) => payload !== 'before')).toEqual([]);
  }
});

describe('what waits while the rules change', () => {
  test('is no way around them: a CONNECT whose session is being stored', async () => {
    const access = new Prefixes();
    const store = new HeldStore();
    await using broker = await startTestBroker({ access, store });
    const first = await broker.connect({ clientId: 'c', ...FOREVER });
    await first.subscribe(['a/#', 'b/#'], 1);
    await first.disconnect();
    const publisher = await broker.connect({ username: 'admin' });
    store.isHeld = true;
    const again = await broker.open();
    again.sendConnect({ clientId: 'c', ...FOREVER });
    await until('a session to be stored', () => store.waiting > 0 || undefined);
    access.denied = 'a';
    await broker.rightsChanged();
    store.isHeld = false;
    while (store.waiting > 0) store.release();
    await again.expectConnack(0, true);
    await publisher.publish('a/x', 'secret', { qos: 1 });
    await publisher.publish('b/x', 'open', { qos: 1 });
    await again.expectMessage({ topicName: 'b/x' });
    await again.expectNothing();
  });

  test.each(['authorize', 'onPublish'] as const)(
    'is no way around them: a PUBLISH of which the hook %s is asked',
    async (name) => {
      const access = new Prefixes();
      const asked = Promise.withResolvers<void>();
      const answer = Promise.withResolvers<void>();
      const ask = async (username: string): Promise<void> => {
        if (username === 'admin') return;
        asked.resolve();
        await answer.promise;
      };
      const hooks: Hooks =
        name === 'authorize'
          ? { authorize: async ({ username }) => ask(username).then(() => true) }
          : { onPublish: async ({ username }) => ask(username).then(() => undefined) };
      await using broker = await startTestBroker({ access, hooks });
      const watcher = await broker.connect({ username: 'admin' });
      await watcher.subscribe('#', 1);
      const client = await broker.connect({ username: 'u' });
      const packetId = client.sendPublish('a/x', 'secret', { qos: 1 });
      await asked.promise;
      access.denied = 'a';
      await broker.rightsChanged();
      answer.resolve();
      await client.expect(PacketType.puback, { packetId, reasonCode: ReasonCode.notAuthorized });
      await watcher.expectNothing();
    },
  );

  test('is no way around them: a SUBSCRIBE of which a hook is asked', async () => {
    const access = new Prefixes();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const authorize = async ({ username }: ClientInfo): Promise<boolean> => {
      if (username === 'admin') return true;
      asked.resolve();
      return await answer.promise.then(() => true);
    };
    await using broker = await startTestBroker({ access, hooks: { authorize } });
    const client = await broker.connect({ username: 'u' });
    client.sendSubscribe('a/#');
    await asked.promise;
    access.denied = 'a';
    await broker.rightsChanged();
    answer.resolve();
    await client.expect(PacketType.suback, { reasonCodes: [ReasonCode.notAuthorized] });
  });
});

test('a will has the roles that its client was proven to have last', async () => {
  let roles = ['editor'];
  const startAuthExchange: Hooks['startAuthExchange'] = () => ({
    step: () => ({ kind: 'success', username: 'u', roles }),
  });
  const authorize: Hooks['authorize'] = (client, { action }) =>
    action !== 'will' || client.roles?.includes('editor') === true;
  await using broker = await startTestBroker({ hooks: { startAuthExchange, authorize } });
  const watcher = await broker.connect({ properties: { authenticationMethod: 'any' } });
  await watcher.subscribe('will', 1);
  const properties = { authenticationMethod: 'any' };
  const client = await broker.connect({ username: 'u', properties, will: { topicName: 'will', payload: 'forged' } });
  roles = ['reader'];
  client.send({ type: PacketType.auth, reasonCode: ReasonCode.reAuthenticate, properties });
  await client.expect(PacketType.auth, { reasonCode: ReasonCode.success });
  client.destroy();
  await watcher.expectNothing();
  expect(broker.total(({ connections }) => connections.open)).toBe(1);
  await watcher.expectNothing();
});

describe('two clients that want a session nobody owns yet', () => {
  test('get it once: the second finds that it belongs to the first', async () => {
    const store = new SlowlyReadStore();
    const message = new Message({ topicName: 'a', payload: Buffer.from('kept'), qos: 1 });
    const entry: QueueRecord = { queueId: 1, sequence: 1, message, qos: 1, retain: false, ...IN_FLIGHT };
    const expiry = { sessionExpiryInterval: 0xffff_ffff, expiresAt: Number.POSITIVE_INFINITY };
    store.disk.apply([
      { kind: 'session-put', record: { clientId: 'lamp', epoch: 0, queueId: 1, username: UNCLAIMED, ...expiry } },
      { kind: 'queue-put', record: entry },
    ]);
    const hooks: Hooks = { authenticate: ({ username }) => ({ allow: true, username }) };
    await using broker = await startTestBroker({ hooks, store });
    const clients = [await broker.open(), await broker.open()] as const;
    clients[0].sendConnect({ clientId: 'lamp', username: 'ann', ...FOREVER });
    await until('the first to be waiting', () => store.reads > 0 || undefined);
    clients[1].sendConnect({ clientId: 'lamp', username: 'eve', ...FOREVER });
    await until(
      'the second to be waiting',
      () => broker.total(({ traffic }) => traffic.packetsReceived) === 2 || undefined,
    );
    store.read.resolve();
    await clients[0].expectConnack(0, true);
    await clients[1].expectConnack(ReasonCode.notAuthorized);
    await clients[0].expectMessage({ payload: 'kept' });
  });
});

test('a session of before anybody had to prove who it is goes to the first user who comes for it', async () => {
  const store = new HeldStore();
  const before = await startTestBroker({ store });
  const first = await before.connect({ clientId: 'lamp', ...FOREVER });
  await first.subscribe('a', 1);
  const named = await before.connect({ clientId: 'named', username: 'whoever', ...FOREVER });
  await named.disconnect();
  await before.close();
  const hooks: Hooks = { authenticate: ({ username }) => ({ allow: true, username }) };
  await using broker = await startTestBroker({ hooks, store: new HeldStore(store.disk) });
  for (const clientId of ['lamp', 'named']) {
    const owner = await broker.connect({ clientId, username: 'ann', ...FOREVER });
    expect(owner.connack.sessionPresent).toBe(true);
    const thief = await broker.open();
    thief.sendConnect({ clientId, username: 'eve', ...FOREVER });
    await thief.expectConnack(ReasonCode.notAuthorized);
  }
});

const IN_FLIGHT = { subscriptionIdentifiers: [], packetId: 1, state: 'sent', shareKey: '' } as const;

/** Reads no queue before it is told to. */
class SlowlyReadStore extends HeldStore {
  readonly read = Promise.withResolvers<void>();
  reads = 0;

  override async readQueue(...asked: Parameters<HeldStore['readQueue']>): Promise<QueueRecord[]> {
    this.reads += 1;
    await this.read.promise;
    return await super.readQueue(...asked);
  }
}

describe('credentials that expire', () => {
  test('do so by the time of day, although the clock of the machine was set after its start', async () => {
    const clock = new FakeClock();
    clock.calendarAheadMs = 86_400_000;
    const hooks: Hooks = {
      authenticate: ({ username }) => ({ allow: true, username, expiresAt: clock.calendarNow() + 5000 }),
    };
    await using broker = await startTestBroker({ hooks, clock });
    const client = await broker.connect({ username: 'u' });
    broker.advance(5000);
    await client.expectDisconnect(ReasonCode.maximumConnectTime);
  });

  test('end the connection with 0xA0, and a session may go on with new ones', async () => {
    const clock = new FakeClock();
    const hooks: Hooks = {
      authenticate: ({ username }) => ({ allow: true, username, expiresAt: clock.now() + 5000 }),
    };
    await using broker = await startTestBroker({ hooks, clock });
    const client = await broker.connect({ username: 'u', ...FOREVER });
    broker.advance(4999);
    await client.ping();
    broker.advance(1);
    await client.expectDisconnect(ReasonCode.maximumConnectTime);
    const again = await broker.connect({ username: 'u', clientId: 'client-1', ...FOREVER });
    expect(again.connack.sessionPresent).toBe(true);
    broker.advance(4999);
    await again.ping();
  });
});
