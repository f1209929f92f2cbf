import { describe, expect } from 'vitest';
import type { AuthorizeRequest, HookMessage, Hooks, Refusal } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { RawClient } from '../support/raw-client.ts';
import { CANARY, type Scene, test } from './scene.ts';

const VERSIONS = [3, 4, 5] as const;

async function watch(scene: Scene, topicFilter: string): Promise<RawClient> {
  const watcher = await scene.broker.connect();
  await watcher.subscribe(topicFilter, 2);
  return watcher;
}

describe('authorize', () => {
  const rights: NonNullable<Hooks['authorize']> = (_client, { topic }) => !topic.startsWith('denied');

  test.for(VERSIONS)('refuses publishes, version %s', async (version, { start }) => {
    const scene = await start({ hooks: { authorize: rights } });
    const watcher = await scene.broker.connect();
    await watcher.subscribe('#', 2);
    const client = await scene.broker.connect({ version });
    const reasonCode = version === 5 ? ReasonCode.notAuthorized : 0;
    client.sendPublish('denied/a', 'x', { qos: 0, retain: true });
    let packetId = client.sendPublish('denied/a', 'x', { qos: 1, retain: true });
    await client.expect(PacketType.puback, { packetId, reasonCode });
    packetId = client.sendPublish('denied/a', 'x', { qos: 2, retain: true });
    await client.expect(PacketType.pubrec, { packetId, reasonCode });
    if (version < 5) {
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId });
    }
    await client.publish('allowed', 'x', { qos: 2 });
    await watcher.expectMessage({ topicName: 'allowed' });
    await watcher.expectNothing();
    expect(scene.broker.broker.counters()).toMatchObject({ messages: { refused: 3 }, retained: { count: 0 } });
    await scene.expectEnded({});
  });

  test.for(VERSIONS)('refuses topic filters one by one, version %s', async (version, { start }) => {
    const scene = await start({ hooks: { authorize: rights } });
    const publisher = await scene.broker.connect();
    const client = await scene.broker.connect({ version });
    client.sendSubscribe(['denied/#', 'allowed/#', '$share/g/denied/#'], 1);
    const refusal = version === 5 ? ReasonCode.notAuthorized : 0x80;
    await client.expect(PacketType.suback, { reasonCodes: [refusal, 1, refusal] });
    await publisher.publish('allowed/a', 'x', { qos: 1 });
    await client.expectMessage({ topicName: 'allowed/a' });
    expect(scene.broker.broker.counters().subscriptions).toBe(2);
    await scene.expectEnded({});
  });

  test.for(VERSIONS)('refuses a will at CONNECT, and again when it is due, version %s', async (version, { start }) => {
    let allowed = true;
    const asked: AuthorizeRequest[] = [];
    const scene = await start({
      hooks: {
        authorize: (_client, request) => {
          if (request.action === 'will') asked.push(request);
          return request.topic !== 'denied' && (request.action !== 'will' || allowed);
        },
      },
    });
    const watcher = await watch(scene, '+');
    const refused = await scene.broker.open({ version });
    refused.sendConnect({ will: { topicName: 'denied' } });
    await refused.expectConnack(version === 5 ? ReasonCode.notAuthorized : 5);
    await refused.expectClose();
    for (allowed of [true, false]) {
      const isAllowed = allowed;
      allowed = true;
      const client = await scene.broker.connect({ version, will: { topicName: 'will', qos: 1, retain: true } });
      allowed = isAllowed;
      client.destroy();
      if (isAllowed) await watcher.expectMessage({ topicName: 'will' });
    }
    await scene.expectEnded({ refused: 1, 'connection-lost': 2 });
    await watcher.expectNothing();
    const will = { action: 'will', topic: 'will', qos: 1, retain: true };
    expect(asked).toEqual([{ ...will, topic: 'denied', qos: 0, retain: false }, will, will, will, will]);
  });

  test.for([
    { refusal: 0x97, published: 0x97, subscribed: 0x97 },
    { refusal: 0x90, published: 0x90, subscribed: 0x83 },
    { refusal: 0x8f, published: 0x83, subscribed: 0x8f },
    { refusal: 0x8a, published: 0x83, subscribed: 0x83 },
    { refusal: 0, published: 0x83, subscribed: 0x83 },
    { refusal: 4711, published: 0x83, subscribed: 0x83 },
  ])(
    'that refuses with code $refusal never has a code sent that the packet does not know',
    async (codes, { start }) => {
      const refusal = { reasonCode: codes.refusal };
      const scene = await start({ hooks: { authorize: (_client, { topic }) => topic.startsWith(CANARY) || refusal } });
      const client = await scene.broker.connect();
      client.sendPublish('a', 'x', { qos: 1 });
      await client.expect(PacketType.puback, { reasonCode: codes.published });
      client.sendSubscribe('a');
      await client.expect(PacketType.suback, { reasonCodes: [codes.subscribed] });
      await scene.expectEnded({});
    },
  );
});

describe('onPublish', () => {
  function changing(change: (message: HookMessage) => HookMessage | Refusal | undefined): Hooks {
    return { onPublish: (_client, message) => (message.topicName.startsWith(CANARY) ? undefined : change(message)) };
  }

  test('may change everything but the QoS', async ({ start }) => {
    const hooks = changing(({ qos, properties }) => ({
      topicName: 'changed/topic',
      payload: Buffer.from('changed'),
      qos: qos === 2 ? 0 : 2,
      retain: true,
      properties: { ...properties, contentType: 'text/plain', messageExpiryInterval: 60, userProperties: [['k', 'v']] },
    }));
    const scene = await start({ clock: new FakeClock(), hooks });
    const watcher = await watch(scene, 'changed/#');
    for (const version of VERSIONS) {
      const client = await scene.broker.connect({ version });
      for (const qos of [0, 1, 2] as const) {
        await client.publish('a', 'x', { qos });
        await watcher.expectMessage({ topicName: 'changed/topic', payload: 'changed', qos, retain: false });
      }
    }
    const late = await scene.broker.connect();
    await late.subscribe('changed/#', 2);
    const { properties } = await late.expectMessage({ payload: 'changed', retain: true });
    expect(properties).toEqual({ contentType: 'text/plain', messageExpiryInterval: 60, userProperties: [['k', 'v']] });
    await scene.expectEnded({});
  });

  test('may refuse a message', async ({ start }) => {
    const scene = await start({
      hooks: changing(() => ({ reasonCode: ReasonCode.payloadFormatInvalid, reasonString: 'no' })),
    });
    const watcher = await watch(scene, 'a');
    for (const version of VERSIONS) {
      const client = await scene.broker.connect({ version });
      client.sendPublish('a', 'x', { qos: 1 });
      await client.expect(PacketType.puback, { reasonCode: version === 5 ? ReasonCode.payloadFormatInvalid : 0 });
      client.sendPublish('a', 'x');
      await client.expectNothing();
    }
    await watcher.expectNothing();
    expect(scene.broker.broker.counters().messages.refused).toBe(6);
    await scene.expectEnded({});
  });

  test('that returns what cannot be published ends the connection, and nothing of it comes out', async ({ start }) => {
    const scene = await start({
      hooks: changing((message) => {
        if (message.topicName === 'topic') return { ...message, topicName: 'a/#' };
        if (message.topicName === 'empty') return { ...message, topicName: '' };
        return { ...message, properties: { responseTopic: 'a\0' } };
      }),
    });
    const watcher = await watch(scene, '+');
    for (const topicName of ['topic', 'empty', 'property']) {
      const client = await scene.broker.connect();
      client.sendPublish(topicName, 'x', { qos: 1 });
      await client.expectDisconnect(ReasonCode.implementationSpecificError);
    }
    await watcher.expectNothing();
    await scene.expectEnded({ 'internal-error': 3 });
  });
});

describe('a client id', () => {
  const everyone: Hooks = { authenticate: () => ({ allow: true }) };
  const stays = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

  test.for(VERSIONS)('belongs to the user who opened its session, version %s', async (version, { start }) => {
    const scene = await start({ hooks: everyone });
    const owner = await scene.broker.connect({ ...stays, name: 'lamp', username: 'ann' });
    await owner.subscribe('a', 1);
    for (const cleanStart of [false, true]) {
      const thief = await scene.broker.open({ name: 'lamp', version });
      thief.sendConnect({ cleanStart, username: 'eve' });
      await thief.expectConnack(version === 5 ? ReasonCode.notAuthorized : 5);
      await thief.expectClose();
    }
    await owner.publish('a', 'mine', { qos: 1 });
    await owner.expectMessage({ payload: 'mine' });
    await owner.disconnect();
    const late = await scene.broker.open({ name: 'lamp', version });
    late.sendConnect({ cleanStart: false, username: 'eve' });
    await late.expectConnack(version === 5 ? ReasonCode.notAuthorized : 5);
    await late.expectClose();
    const back = await scene.broker.connect({ ...stays, name: 'lamp', username: 'ann' });
    expect(back.connack.sessionPresent).toBe(true);
  });

  test('belongs to nobody where users are not proven', async ({ start }) => {
    const scene = await start({});
    const first = await scene.broker.connect({ ...stays, name: 'lamp', username: 'ann' });
    await first.disconnect();
    const second = await scene.broker.connect({ ...stays, name: 'lamp', username: 'eve' });
    expect(second.connack.sessionPresent).toBe(true);
  });
});

describe('a refusal of MQTT 5.0', () => {
  const strict: Hooks = {
    authorize: (client) =>
      client.clientId.startsWith(CANARY) || { reasonCode: ReasonCode.notAuthorized, reasonString: 'not on Sundays' },
  };

  test('says why in PUBACK, PUBREC and SUBACK', async ({ start }) => {
    const scene = await start({ hooks: strict });
    const client = await scene.broker.connect();
    for (const [qos, answer] of [
      [1, PacketType.puback],
      [2, PacketType.pubrec],
    ] as const) {
      const packetId = client.sendPublish('a', 'x', { qos });
      const { reasonCode, properties } = await client.expect(answer, { packetId });
      expect([reasonCode, properties]).toEqual([ReasonCode.notAuthorized, { reasonString: 'not on Sundays' }]);
    }
    client.sendSubscribe(['a/#', 'a/#/b'], 1);
    const { properties } = await client.expect(PacketType.suback, { reasonCodes: [0x87, 0x8f] });
    expect(properties).toEqual({ reasonString: 'a/#: not on Sundays; a/#/b: not a valid topic filter' });
  });

  test('says nothing in words to a client that asked for none [MQTT-3.1.2-29]', async ({ start }) => {
    const scene = await start({ hooks: strict });
    const client = await scene.broker.connect({ properties: { requestProblemInformation: false } });
    const packetId = client.sendPublish('a', 'x', { qos: 1 });
    expect(await client.expect(PacketType.puback, { packetId })).toMatchObject({ reasonCode: 0x87, properties: {} });
    client.sendSubscribe(['a/#'], 1);
    expect((await client.expect(PacketType.suback, { reasonCodes: [0x87] })).properties).toEqual({});
  });
});
