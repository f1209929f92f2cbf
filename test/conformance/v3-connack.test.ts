import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { test } from './statement-test.ts';
import { V3_VERSIONS } from './v3-versions.ts';

describe.each(V3_VERSIONS)('answers to CONNECT in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.4-2] disconnects the client that has the client id (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'one' });
    const second = await broker.connect({ version, clientId: 'one' });
    await first.expectClose();
    await second.expectNothing();
  });

  test(`[v3 MQTT-3.1.4-3] acts on Clean Session when it accepts (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'one', cleanStart: false });
    await first.subscribe('a', 1);
    await first.disconnect();
    const kept = await broker.connect({ version, clientId: 'one', cleanStart: false });
    await kept.publish('a', 'x', { qos: 1 });
    await kept.expectMessage({ payload: 'x' });
    await kept.disconnect();
    const clean = await broker.connect({ version, clientId: 'one' });
    await clean.publish('a', 'y', { qos: 1 });
    await clean.expectNothing();
  });

  test(`[v3 MQTT-3.1.4-4] accepts with a CONNACK of return code 0 (${name})`, async ({ broker }) => {
    const client = await broker.open({ version });
    client.sendConnect();
    await client.expectConnack(0);
    await client.expectNothing();
  });

  test(`[v3 MQTT-3.1.4-5] does nothing with what follows a CONNECT it refuses (${name})`, async ({ start }) => {
    const broker = await start({
      hooks: {
        authenticate: async (client) => {
          await Promise.resolve();
          return client.username === 'eve' ? { allow: false, reasonCode: 0x87 } : { allow: true };
        },
      },
    });
    const watcher = await broker.connect({ version });
    await watcher.subscribe('#', 2);
    const client = await broker.open({ version });
    client.sendConnect({ username: 'eve' });
    client.sendSubscribe('a');
    client.sendPublish('a', 'x', { qos: 1, retain: true });
    client.sendPublish('a', 'x');
    await client.expectConnack(5);
    await client.expectClose();
    await watcher.expectNothing();
    await watcher.subscribe('a');
    await watcher.expectNothing();
  });

  test(`[v3 MQTT-3.2.0-1] sends CONNACK before anything else (${name})`, async ({ start }) => {
    const broker = await start({ hooks: { authenticate: async () => await Promise.resolve({ allow: true }) } });
    const first = await broker.connect({ version, clientId: 'one', cleanStart: false });
    await first.subscribe('a', 1);
    await first.disconnect();
    const publisher = await broker.connect({ version });
    await publisher.publish('a', 'queued', { qos: 1 });
    const second = await broker.open({ version });
    second.sendConnect({ clientId: 'one', cleanStart: false });
    second.send({ type: PacketType.pingreq });
    await second.expect(PacketType.connack);
    const rest = [await second.next(), await second.next()].map((packet) => packet.type);
    expect(rest.toSorted((a, b) => a - b)).toEqual([PacketType.publish, PacketType.pingresp]);
  });

  test(`[v3 MQTT-3.2.2-5] closes after a CONNACK that refuses (${name})`, async ({ start }) => {
    const codes = new Map([
      ['bad', 0x86],
      ['forbidden', 0x87],
      ['away', 0x88],
    ]);
    const broker = await start({
      hooks: { authenticate: (client) => ({ allow: false, reasonCode: codes.get(client.username) ?? 0x80 }) },
    });
    for (const [username, returnCode] of [
      ['bad', 4],
      ['forbidden', 5],
      ['away', 3],
    ] as const) {
      const client = await broker.open({ version });
      client.sendConnect({ username });
      await client.expectConnack(returnCode);
      await client.expectClose();
    }
  });
});

// Session Present came with 3.1.1; in 3.1 the byte is reserved.
describe('Session Present of MQTT 3.1.1', () => {
  test('[v3 MQTT-3.2.2-1] is 0 with Clean Session, whatever was stored', async ({ broker }) => {
    const first = await broker.connect({ version: 4, clientId: 'one', cleanStart: false });
    await first.subscribe('a', 1);
    await first.disconnect();
    const second = await broker.open({ version: 4 });
    second.sendConnect({ clientId: 'one' });
    await second.expectConnack(0, false);
  });

  test('[v3 MQTT-3.2.2-2] is 1 where a session is stored, subscriptions or not', async ({ broker }) => {
    const first = await broker.connect({ version: 4, clientId: 'one', cleanStart: false });
    await first.disconnect();
    const second = await broker.open({ version: 4 });
    second.sendConnect({ clientId: 'one', cleanStart: false });
    await second.expectConnack(0, true);
  });

  test('[v3 MQTT-3.2.2-3] is 0 where no session is stored', async ({ broker }) => {
    const first = await broker.open({ version: 4 });
    first.sendConnect({ clientId: 'one', cleanStart: false });
    await first.expectConnack(0, false);
    const clean = await broker.connect({ version: 4, clientId: 'two' });
    await clean.disconnect();
    const second = await broker.open({ version: 4 });
    second.sendConnect({ clientId: 'two', cleanStart: false });
    await second.expectConnack(0, false);
  });

  test('[v3 MQTT-3.2.2-4] is 0 where the connection is refused', async ({ start }) => {
    const broker = await start({
      hooks: {
        authenticate: (client) => (client.username === 'eve' ? { allow: false, reasonCode: 0x86 } : { allow: true }),
      },
    });
    const first = await broker.connect({ version: 4, clientId: 'one', cleanStart: false });
    await first.subscribe('a', 1);
    await first.disconnect();
    const second = await broker.open({ version: 4 });
    second.sendConnect({ clientId: 'one', cleanStart: false, username: 'eve' });
    await second.expectConnack(4, false);
    await second.expectClose();
  });
});
