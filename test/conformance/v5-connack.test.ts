import { describe, expect } from 'vitest';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { Mutation } from '../../src/store/store.ts';
import { frame, mqttString, rawConnect } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { openBytes } from './v5-bytes.ts';

const ID = mqttString('id');
const KEPT = { clientId: 'kept', cleanStart: false, properties: { sessionExpiryInterval: 60 } };

/** Lets everybody in but `eve`, after a while. */
const NOT_EVE: Hooks = {
  authenticate: async (client) => {
    await Promise.resolve();
    return client.username === 'eve' ? { allow: false, reasonCode: 0x86 } : { allow: true };
  },
};

/** The reason codes of CONNACK that refuse, section 3.2.2.2. */
const REFUSALS = [
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
  0x9d, 0x9f,
];

/** A store whose commits wait while it is shut. */
class GatedStore extends MemoryStore {
  readonly #reached = Promise.withResolvers<void>();
  #gate = Promise.withResolvers<void>();
  #isShut = false;

  constructor() {
    super();
    this.#gate.resolve();
  }

  /** Resolves when the first commit has come to the shut gate. */
  get waitedFor(): Promise<void> {
    return this.#reached.promise;
  }

  shut(): void {
    this.#gate = Promise.withResolvers<void>();
    this.#isShut = true;
  }

  letThrough(): void {
    this.#gate.resolve();
  }

  override async commit(batch: readonly Mutation[]): Promise<void> {
    if (this.#isShut) this.#reached.resolve();
    await this.#gate.promise;
    await super.commit(batch);
  }
}

describe('the place of CONNACK', () => {
  test('[MQTT-3.2.0-1] comes before anything else', async ({ start }) => {
    const broker = await start({ hooks: NOT_EVE });
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 1);
    await first.publish('a', 'in flight', { qos: 1 });
    await first.expectPublish({ payload: 'in flight' });
    await first.disconnect();
    const publisher = await broker.connect();
    await publisher.publish('a', 'queued', { qos: 1 });
    const second = await broker.open();
    second.sendConnect(KEPT);
    second.send({ type: PacketType.pingreq });
    second.sendSubscribe('b');
    for (let i = 0; i < 20; i += 1) publisher.sendPublish('a', `live ${i}`, { qos: 1 });
    await second.expectConnack(0, true);
    const rest = new Set<PacketType>();
    for (let i = 0; i < 24; i += 1) rest.add((await second.next()).type);
    expect(rest).toEqual(new Set([PacketType.publish, PacketType.pingresp, PacketType.suback]));
  });

  test('[MQTT-3.2.0-1] is preceded by nothing but AUTH where the client authenticates', async ({ start }) => {
    const broker = await start({
      hooks: {
        startAuthExchange: () => ({
          step: (_data, packet) => (packet.type === PacketType.auth ? { kind: 'success' } : { kind: 'continue' }),
        }),
      },
    });
    const connect = { ...KEPT, properties: { ...KEPT.properties, authenticationMethod: 'm' } };
    const auth = { type: PacketType.auth, reasonCode: 0x18, properties: { authenticationMethod: 'm' } } as const;
    const first = await broker.open();
    first.sendConnect(connect);
    await first.expect(PacketType.auth);
    first.send(auth);
    await first.expectConnack(0);
    await first.subscribe('a', 1);
    await first.disconnect();
    const publisher = await broker.connect();
    await publisher.publish('a', 'queued', { qos: 1 });
    const second = await broker.open();
    second.sendConnect(connect);
    await second.expect(PacketType.auth, { reasonCode: 0x18 });
    await publisher.publish('a', 'meanwhile', { qos: 1 });
    second.send(auth);
    await second.expectConnack(0, true);
    await second.expectMessage({ payload: 'queued' });
    await second.expectMessage({ payload: 'meanwhile' });
  });

  test('[MQTT-3.2.0-2] comes once: not on a second CONNECT, nor when the client authenticates again', async ({
    start,
  }) => {
    const broker = await start({ hooks: { startAuthExchange: () => ({ step: () => ({ kind: 'success' }) }) } });
    const client = await broker.open();
    const headers: number[] = [];
    client.onHeader = (first) => headers.push(first);
    client.sendConnect({ properties: { authenticationMethod: 'm' } });
    await client.expectConnack(0);
    client.send({ type: PacketType.auth, reasonCode: 0x19, properties: { authenticationMethod: 'm' } });
    await client.expect(PacketType.auth, { reasonCode: 0 });
    client.sendConnect();
    await client.expectDisconnect(0x82);
    expect(headers).toEqual([0x20, 0xf0, 0xe0]);

    const twice = await broker.open();
    twice.send(Buffer.concat([rawConnect(5, { payload: [ID] }), rawConnect(5, { payload: [ID] })]));
    await twice.expectConnack(0);
    await twice.expectDisconnect(0x82);
  });
});

describe('the flags of CONNACK', () => {
  test('[MQTT-3.2.2-1] leaves the reserved bits of the acknowledge flags 0', async ({ start }) => {
    const broker = await start({ hooks: NOT_EVE });
    const sessionExpiry = Buffer.from('05110000003c', 'hex');
    const connects = [
      [rawConnect(5, { flags: 0x00, properties: sessionExpiry, payload: [ID] }), 0, 0],
      [rawConnect(5, { flags: 0x00, properties: sessionExpiry, payload: [ID] }), 1, 0],
      [rawConnect(5, { flags: 0x80, payload: [ID, mqttString('eve')] }), 0, 0x86],
      [rawConnect(5, { flags: 0x03, payload: [ID] }), 0, 0x81],
    ] as const;
    for (const [connect, flags, reasonCode] of connects) {
      const connection = await openBytes(broker);
      connection.write(connect);
      const connack = await connection.packet();
      expect([connack[0], connack[2], connack[3]]).toEqual([0x20, flags, reasonCode]);
      if (reasonCode === 0) connection.write(frame(0xe0));
      connection.destroy();
    }
  });

  test('[MQTT-3.2.2-2] says no Session Present with Clean Start, whatever was stored', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    await first.subscribe('a', 1);
    await first.disconnect();
    const second = await broker.open();
    second.sendConnect({ ...KEPT, cleanStart: true });
    await second.expectConnack(0, false);
  });

  test('[MQTT-3.2.2-3] says Session Present where a session is stored, subscriptions or not', async ({ broker }) => {
    const first = await broker.open();
    first.sendConnect(KEPT);
    await first.expectConnack(0, false);
    await first.disconnect();
    const second = await broker.open();
    second.sendConnect(KEPT);
    await second.expectConnack(0, true);
    // Taken over from an open connection it is the same session.
    const third = await broker.open();
    third.sendConnect(KEPT);
    await third.expectConnack(0, true);
    await third.disconnect(0, { sessionExpiryInterval: 0 });
    const fourth = await broker.open();
    fourth.sendConnect(KEPT);
    await fourth.expectConnack(0, false);
  });

  test('[MQTT-3.2.2-6] says no Session Present where it refuses', async ({ start }) => {
    const broker = await start({ hooks: NOT_EVE });
    const first = await broker.connect(KEPT);
    await first.disconnect();
    const second = await broker.open();
    second.sendConnect({ ...KEPT, username: 'eve' });
    await second.expectConnack(0x86, false);
    await second.expectClose();
    const third = await broker.open();
    third.sendConnect(KEPT);
    await third.expectConnack(0, true);
  });
});

describe('the reason code of CONNACK', () => {
  test('[MQTT-3.2.2-7] of 0x80 or more is followed by the close of the connection', async ({ start }) => {
    const broker = await start({
      hooks: { authenticate: (client) => ({ allow: false, reasonCode: Number(client.username) }) },
    });
    for (const reasonCode of REFUSALS) {
      const client = await broker.open();
      client.sendConnect({ username: `${reasonCode}` });
      await client.expectConnack(reasonCode);
      await client.expectClose();
    }
  });

  test('[MQTT-3.2.2-8] is one that CONNACK has, whatever a hook says', async ({ start }) => {
    const broker = await start({
      hooks: { authenticate: (client) => ({ allow: false, reasonCode: Number(client.username) }) },
    });
    for (const reasonCode of [0x00, 0x01, 0x10, 0x18, 0x8d, 0x8f, 0x91, 0x93, 0x94, 0x98, 0x9e, 0xa2, 0xff]) {
      const client = await broker.open();
      client.sendConnect({ username: `${reasonCode}` });
      await client.expectConnack(0x80);
      await client.expectClose();
    }
  });

  test('[MQTT-3.2.2-8] is one that CONNACK has where the broker closes before it is sent', async ({ start }) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const broker = await start({
      hooks: {
        authenticate: async () => {
          asked.resolve();
          await answer.promise;
          return { allow: true };
        },
      },
    });
    const client = await broker.open();
    client.sendConnect();
    await asked.promise;
    const closed = broker.broker.close();
    await client.expectConnack(0x88);
    await client.expectClose();
    answer.resolve();
    await closed;
  });

  test('[MQTT-3.2.2-8] is one that CONNACK has where another connection takes over before it is sent', async ({
    start,
  }) => {
    const store = new GatedStore();
    const broker = await start({ store });
    store.shut();
    const first = await broker.open();
    first.sendConnect(KEPT);
    await store.waitedFor;
    const second = await broker.open();
    second.sendConnect(KEPT);
    await first.expectConnack(0x80);
    await first.expectClose();
    store.letThrough();
    await second.expect(PacketType.connack, { reasonCode: 0 });
    await second.expectNothing();
  });

  test('[MQTT-3.2.2-8][MQTT-3.1.4-3] of many that connect at once with a client id one stays, each other is told why', async ({
    start,
  }) => {
    const broker = await start({ hooks: NOT_EVE });
    const clients = await Promise.all(Array.from({ length: 20 }, () => broker.open()));
    for (const client of clients) client.sendConnect(KEPT);
    const ends = await Promise.all(
      clients.map(async (client) => {
        const connack = await client.expect(PacketType.connack);
        return { client, connack };
      }),
    );
    const accepted = ends.filter(({ connack }) => connack.reasonCode === 0).map(({ client }) => client);
    for (const { client, connack } of ends) {
      if (connack.reasonCode === 0) continue;
      expect(connack.reasonCode).toBe(0x80);
      await client.expectClose();
    }
    const staying = (): typeof accepted => accepted.filter(({ isClosed }) => !isClosed);
    await expect.poll(() => staying().length, { timeout: 60_000 }).toBe(1);
    for (const client of accepted) if (client.isClosed) await client.expectDisconnect(0x8e);
    await staying()[0]?.expectNothing();
    expect(broker.total(({ connections }) => connections.clients)).toBe(1);
  });
});

describe('a client id that is in use', () => {
  test('[MQTT-3.1.4-3] the old connection is told Session taken over and closed', async ({ broker }) => {
    const first = await broker.connect(KEPT);
    const second = await broker.connect(KEPT);
    await first.expectDisconnect(0x8e);
    await second.expectNothing();
    const third = await broker.connect({ clientId: 'kept', version: 4, cleanStart: false });
    await second.expectDisconnect(0x8e);
    const fourth = await broker.connect(KEPT);
    expect(await third.expectClose()).toMatchObject({ disconnect: undefined });
    await fourth.expectNothing();
  });

  test('[MQTT-3.1.4-3] the old connection has let go before the new one is accepted', async ({ broker }) => {
    const order: string[] = [];
    broker.on('clientDisconnected', ({ clientId }, reason) => order.push(`${clientId} ends: ${reason}`));
    broker.on('clientConnected', ({ clientId }) => order.push(`${clientId} begins`));
    const will = { topicName: 'will/topic', payload: 'of the old one', qos: 1 } as const;
    const first = await broker.connect({ ...KEPT, will });
    await first.subscribe('will/topic', 1);
    const second = await broker.open();
    second.sendConnect(KEPT);
    // The will of the old connection has no delay: it is in the session before the new connection is.
    await second.expectConnack(0, true);
    await second.expectMessage({ payload: 'of the old one' });
    await first.expectDisconnect(0x8e);
    expect(order).toEqual(['kept begins', 'kept ends: taken-over', 'kept begins']);
  });
});
