import { describe, expect } from 'vitest';
import type { ClientInfo, Hooks } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { RawClient } from '../support/raw-client.ts';
import { CANARY, type Scene, test, until } from './scene.ts';

const VERSIONS = [3, 4, 5] as const;
/** Every hook that a PUBLISH is shown to. */
const PUBLISH_HOOKS = ['authorize', 'onPublish'] as const;

type Answer = PromiseWithResolvers<undefined>;

/** Hooks of one kind that answer for topics `slow/...` when a test says so, and at once for all others. */
class Slow {
  /** Questions without an answer, by the topic they are about. */
  readonly asked: Map<string, Answer> = new Map();
  readonly hooks: Hooks;

  constructor(kind: (typeof PUBLISH_HOOKS)[number]) {
    this.hooks =
      kind === 'authorize'
        ? { authorize: async (_client, { topic }) => (await this.#ask(topic), true) }
        : { onPublish: (_client, { topicName }) => this.#ask(topicName) };
  }

  answer(topic: string): void {
    this.#take(topic).resolve(undefined);
  }

  fail(topic: string): void {
    this.#take(topic).reject(new Error('the hook failed'));
  }

  async untilAsked(topic: string): Promise<void> {
    await until(() => this.asked.has(topic), `the hook asked for ${topic}`);
  }

  #take(topic: string): Answer {
    const answer = this.asked.get(topic);
    if (answer === undefined) throw new Error(`nobody asked for ${topic}`);
    this.asked.delete(topic);
    return answer;
  }

  #ask(topic: string): Promise<undefined> {
    if (!/^slow\/\w+$/.test(topic)) return Promise.resolve(undefined);
    const answer = Promise.withResolvers<undefined>();
    this.asked.set(topic, answer);
    return answer.promise;
  }
}

async function watch(scene: Scene, topicFilter = '#'): Promise<RawClient> {
  const watcher = await scene.broker.connect();
  await watcher.subscribe(topicFilter, 2);
  return watcher;
}

describe.each(PUBLISH_HOOKS)('an %s hook that takes its time', (kind) => {
  test.for(VERSIONS)(
    'keeps the packets of its client in order, and nobody else waiting, version %s',
    async (version, { start }) => {
      const slow = new Slow(kind);
      const scene = await start({ hooks: slow.hooks });
      const watcher = await scene.broker.connect();
      await watcher.subscribe(['slow/+', 'fast/+'], 2);
      const client = await scene.broker.connect({ version });
      for (let i = 0; i < 6; i++) {
        client.sendPublish(i % 2 === 0 ? `slow/${i}` : `fast/${i}`, `${i}`, {
          qos: ((i % 2) + 1) as 1 | 2,
          packetId: i + 1,
        });
      }
      client.send({ type: PacketType.pingreq });
      for (const i of [0, 2, 4]) {
        await slow.untilAsked(`slow/${i}`);
        await scene.expectUnharmed();
        expect([...slow.asked.keys()]).toEqual([`slow/${i}`]);
        slow.answer(`slow/${i}`);
        await client.expect(PacketType.puback, { packetId: i + 1 });
        await client.expect(PacketType.pubrec, { packetId: i + 2 });
        await watcher.expectMessage({ topicName: `slow/${i}`, payload: `${i}` });
        await watcher.expectMessage({ topicName: `fast/${i + 1}`, payload: `${i + 1}` });
      }
      await client.expect(PacketType.pingresp);
      await scene.expectEnded({});
    },
  );

  test('that never comes does not switch off the keep alive', async ({ start }) => {
    const clock = new FakeClock();
    const slow = new Slow(kind);
    const scene = await start({ clock, hooks: slow.hooks });
    const watcher = await watch(scene, 'slow/+');
    const client = await scene.broker.connect({ keepAlive: 10, will: { topicName: 'end', payload: 'gone' } });
    client.sendPublish('slow/a', 'x', { qos: 1 });
    await slow.untilAsked('slow/a');
    clock.advance(15_000);
    await client.expectDisconnect(ReasonCode.keepAliveTimeout);
    await scene.expectEnded({ 'keep-alive-timeout': 1 });
    // Too late: the client was never told that the broker has it.
    slow.answer('slow/a');
    await watcher.expectNothing();
    await scene.untilOpen(1);
  });

  test('costs nobody the connection who pings meanwhile, although that is not read', async ({ start }) => {
    const clock = new FakeClock();
    const slow = new Slow(kind);
    const scene = await start({ clock, hooks: slow.hooks });
    const client = await scene.broker.connect({ keepAlive: 10 });
    client.sendPublish('slow/a', 'x', { qos: 1 });
    await slow.untilAsked('slow/a');
    const from = scene.received;
    client.send({ type: PacketType.pingreq });
    await scene.untilReceived(from + 2);
    for (let i = 0; i < 3; i++) {
      client.send({ type: PacketType.pingreq });
      clock.advance(15_000);
      await scene.expectUnharmed();
    }
    slow.answer('slow/a');
    await client.expect(PacketType.puback);
    for (let i = 0; i < 4; i++) await client.expect(PacketType.pingresp);
    await scene.expectEnded({});
    clock.advance(15_000);
    await client.expectDisconnect(ReasonCode.keepAliveTimeout);
  });

  test('that never comes keeps nobody from taking over or ending the connection', async ({ start }) => {
    const slow = new Slow(kind);
    const scene = await start({ hooks: slow.hooks });
    const clients: RawClient[] = [];
    for (const clientId of ['one', 'two']) {
      const client = await scene.broker.connect({ clientId });
      client.sendPublish(`slow/${clientId}`, 'x');
      await slow.untilAsked(`slow/${clientId}`);
      clients.push(client);
    }
    await scene.broker.connect({ clientId: 'one' });
    await clients[0]?.expectDisconnect(ReasonCode.sessionTakenOver);
    scene.broker.broker.disconnect('two');
    await clients[1]?.expectDisconnect(ReasonCode.administrativeAction);
    await scene.expectEnded({ 'taken-over': 1, administrative: 1 });
    await scene.untilOpen(1);
  });

  test('until the client has come back does not have a QoS 2 message delivered twice', async ({ start }) => {
    const slow = new Slow(kind);
    const scene = await start({ hooks: slow.hooks });
    const local: string[] = [];
    scene.broker.broker.subscribe('slow/a', ({ payload }) => void local.push(Buffer.from(payload).toString()), {
      qos: 1,
    });
    const connect = { clientId: 'id', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const first = await scene.broker.connect(connect);
    first.sendPublish('slow/a', 'x', { qos: 2, packetId: 7 });
    await slow.untilAsked('slow/a');
    const late = slow.asked.get('slow/a');
    slow.asked.clear();
    const second = await scene.broker.connect(connect);
    second.sendPublish('slow/a', 'x', { qos: 2, packetId: 7, dup: true });
    await slow.untilAsked('slow/a');
    late?.resolve(undefined);
    slow.answer('slow/a');
    await second.expect(PacketType.pubrec, { packetId: 7 });
    second.sendAck(PacketType.pubrel, 7);
    await second.expect(PacketType.pubcomp, { packetId: 7 });
    await scene.expectUnharmed();
    expect(local).toEqual(['x']);
    await scene.expectEnded({ 'taken-over': 1 });
  });
});

describe('an authorize hook that takes its time over a SUBSCRIBE', () => {
  test('holds SUBACK back, and nothing else', async ({ start }) => {
    const slow = new Slow('authorize');
    const scene = await start({ hooks: slow.hooks });
    const client = await scene.broker.connect();
    const publisher = await scene.broker.connect();
    const packetId = client.sendSubscribe(['fast/a', 'slow/a', 'fast/b'], 1);
    await slow.untilAsked('slow/a');
    // Each filter counts as if it came in a packet of its own.
    await publisher.publish('fast/a', 'a', { qos: 1 });
    await client.expectMessage({ payload: 'a' });
    await publisher.publish('fast/b', 'b', { qos: 1 });
    slow.answer('slow/a');
    await client.expect(PacketType.suback, { packetId, reasonCodes: [1, 1, 1] });
    await client.expectNothing();
    await scene.expectEnded({});
  });
});

describe('a hook that fails', () => {
  const failures: readonly [name: string, fail: () => never | Promise<never>][] = [
    [
      'throws',
      (): never => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ];

  /** Fails for everyone but the canary. */
  function failing(fail: () => never | Promise<never>): (client: ClientInfo) => undefined | Promise<never> {
    return ({ clientId }) => (clientId.startsWith(CANARY) ? undefined : fail());
  }

  test.for(failures)('authenticate that %s refuses', async ([, fail], { start }) => {
    const fails = failing(fail);
    const scene = await start({ hooks: { authenticate: (client) => fails(client) ?? { allow: true } } });
    for (const [version, reasonCode] of [
      [3, 3],
      [4, 3],
      [5, ReasonCode.implementationSpecificError],
    ] as const) {
      const client = await scene.broker.open({ version });
      client.sendConnect();
      await client.expectConnack(reasonCode);
      await client.expectClose();
    }
    await scene.expectEnded({ 'internal-error': 3 });
  });

  test.for(failures)('authorize that %s refuses publish, subscription and will', async ([, fail], { start }) => {
    const fails = failing(fail);
    const scene = await start({ hooks: { authorize: (client) => fails(client) ?? true } });
    for (const version of VERSIONS) {
      const client = await scene.broker.connect({ version });
      client.sendSubscribe(['a', 'b'], 1);
      const code = version === 5 ? ReasonCode.implementationSpecificError : 0x80;
      await client.expect(PacketType.suback, { reasonCodes: [code, code] });
      for (const [qos, answer] of [
        [1, PacketType.puback],
        [2, PacketType.pubrec],
      ] as const) {
        if (version === 5) {
          const packetId = client.sendPublish('a', 'x', { qos });
          await client.expect(answer, { packetId, reasonCode: ReasonCode.implementationSpecificError });
        } else {
          // There is no answer that would not be taken for success.
          const publisher = await scene.broker.connect({ version });
          publisher.sendPublish('a', 'x', { qos });
          await publisher.expectClose();
        }
      }
      const withWill = await scene.broker.open({ version });
      withWill.sendConnect({ will: { topicName: 'a' } });
      await withWill.expectConnack(version === 5 ? ReasonCode.implementationSpecificError : 3);
      await withWill.expectClose();
    }
    // Two messages of each of three clients, none of which went anywhere.
    expect(scene.broker.broker.counters().messages.refused).toBe(6);
    // A will of each of three clients, and two publishes of each of two.
    await scene.expectEnded({ 'internal-error': 7 });
  });

  test.for(failures)(
    'onPublish that %s ends the connection, and the message goes nowhere',
    async ([, fail], { start }) => {
      const fails = failing(fail);
      const scene = await start({ hooks: { onPublish: (client) => fails(client) } });
      const watcher = await watch(scene, 'a');
      for (const version of VERSIONS) {
        for (const qos of [0, 1, 2] as const) {
          const client = await scene.broker.connect({ version });
          client.sendPublish('a', 'x', { qos });
          const { disconnect } = await client.expectClose();
          expect(disconnect?.reasonCode).toBe(version === 5 ? ReasonCode.implementationSpecificError : undefined);
        }
      }
      await watcher.expectNothing();
      await scene.expectEnded({ 'internal-error': 9 });
    },
  );

  test('after its client has gone leaves nothing behind', async ({ start }) => {
    const slow = new Slow('onPublish');
    const scene = await start({ hooks: slow.hooks });
    const { client, socket } = await scene.openSocket();
    await client.connect();
    client.sendPublish('slow/a', 'x');
    await slow.untilAsked('slow/a');
    socket.resetAndDestroy();
    await scene.expectUnharmed();
    slow.fail('slow/a');
    await scene.expectEnded({ 'internal-error': 1 });
    await scene.untilOpen(0);
  });
});

describe('a hook that never answers a CONNECT', () => {
  test.for([
    [4, 3],
    [5, ReasonCode.serverUnavailable],
  ] as const)('has it refused at its deadline, version %i', async ([version, reasonCode], { start }) => {
    const clock = new FakeClock();
    const asked = Promise.withResolvers<undefined>();
    const authenticate: Hooks['authenticate'] = ({ clientId }) => {
      if (clientId !== 'patient') return { allow: true };
      asked.resolve(undefined);
      return new Promise(() => {});
    };
    const scene = await start({ clock, hooks: { authenticate } });
    const client = await scene.broker.open({ version });
    client.sendConnect({ clientId: 'patient' });
    await asked.promise;
    clock.advance(10_000);
    await client.expectConnack(reasonCode);
    await client.expectClose();
  });
});
