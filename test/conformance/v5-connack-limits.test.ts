import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { sizeOf } from './v5-raw.ts';

describe('Maximum QoS', () => {
  test('[MQTT-3.2.2-9] is told where it is 0 or 1, and only there', async ({ start }) => {
    for (const maximumQos of [0, 1, 2] as const) {
      const broker = await start({ config: { limits: { maximumQos } } });
      const client = await broker.connect();
      expect(client.connack.properties.maximumQos).toBe(maximumQos === 2 ? undefined : maximumQos);
    }
  });

  test('[MQTT-3.2.2-10] does not keep a SUBSCRIBE of any QoS from being accepted', async ({ start }) => {
    for (const maximumQos of [0, 1] as const) {
      const broker = await start({ config: { limits: { maximumQos } } });
      const client = await broker.connect();
      for (const qos of [0, 1, 2] as const) {
        const packetId = client.sendSubscribe(`a/${qos}`, qos);
        await client.expect(PacketType.suback, { packetId, reasonCodes: [Math.min(qos, maximumQos)] });
        await client.publish(`a/${qos}`, 'x', { qos: maximumQos });
        await client.expectMessage({ payload: 'x', qos: Math.min(qos, maximumQos) as 0 | 1 });
      }
    }
  });

  test('[MQTT-3.2.2-11] ends the connection of a client that publishes above it', async ({ start }) => {
    for (const maximumQos of [0, 1] as const) {
      const broker = await start({ config: { limits: { maximumQos } } });
      const watcher = await broker.connect();
      await watcher.subscribe('a');
      for (const qos of ([1, 2] as const).filter((above) => above > maximumQos)) {
        const client = await broker.connect();
        client.sendPublish('a', 'x', { qos });
        await client.expectDisconnect(0x9b);
      }
      await watcher.expectNothing();
    }
  });

  test('[MQTT-3.2.2-12] refuses a will above it', async ({ start }) => {
    const broker = await start({ config: { limits: { maximumQos: 1 } } });
    const refused = await broker.open();
    refused.sendConnect({ will: { topicName: 'a', qos: 2 } });
    await refused.expectConnack(0x9b);
    await refused.expectClose();
    const accepted = await broker.open();
    accepted.sendConnect({ will: { topicName: 'a', qos: 1 } });
    await accepted.expectConnack(0);
  });
});

describe('Retain Available', () => {
  test('[MQTT-3.2.2-13] 0 refuses a will that is to be retained', async ({ start }) => {
    const broker = await start({ config: { limits: { retainAvailable: false } } });
    const refused = await broker.open();
    refused.sendConnect({ will: { topicName: 'a', retain: true } });
    await refused.expectConnack(0x9a);
    await refused.expectClose();
    const accepted = await broker.open();
    accepted.sendConnect({ will: { topicName: 'a' } });
    const connack = await accepted.expectConnack(0);
    expect(connack.properties.retainAvailable).toBe(false);
  });

  test('[MQTT-3.2.2-14] 0 ends the connection of a client that retains', async ({ start }) => {
    const broker = await start({ config: { limits: { retainAvailable: false } } });
    const watcher = await broker.connect();
    await watcher.subscribe('a', 2);
    for (const qos of [0, 1, 2] as const) {
      const client = await broker.connect();
      client.sendPublish('a', 'x', { qos, retain: true });
      await client.expectDisconnect(0x9a);
    }
    await watcher.expectNothing();
  });
});

describe('Maximum Packet Size of the broker', () => {
  test('[MQTT-3.2.2-15] takes packets of that size and ends the connection on larger ones, from their header', async ({
    start,
  }) => {
    const broker = await start({ config: { limits: { maximumPacketSize: 1024 } } });
    const watcher = await broker.connect();
    await watcher.subscribe('a');
    // Header 3, topic 3, property length 1.
    const payload = 'x'.repeat(1024 - 7);
    const client = await broker.connect();
    expect(client.connack.properties.maximumPacketSize).toBe(1024);
    await client.publish('a', payload);
    await watcher.expectPublish({ payload });
    client.sendPublish('a', `${payload}x`);
    await client.expectDisconnect(0x95);
    // 1,022 bytes behind a header of 3 are one too many.
    for (const header of ['30fe07', '82fe07', 'a2fe07', 'c0fe07', 'e0fe07', '30ffffff7f']) {
      const other = await broker.connect();
      other.sendRaw(header);
      await other.expectDisconnect(0x95);
    }
    await watcher.expectNothing();
  });
});

describe('Assigned Client Identifier', () => {
  test('[MQTT-3.2.2-16] is told to a client without client id, and is like no other', async ({ broker }) => {
    const ids = new Set<string>();
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => broker.connect({ clientId: '', properties: { sessionExpiryInterval: 60 } })),
    );
    for (const client of clients) {
      ids.add(client.connack.properties.assignedClientIdentifier ?? '');
      expect(client.connack.sessionPresent).toBe(false);
      await client.expectNothing();
    }
    expect(ids.size).toBe(20);
    expect(ids).not.toContain('');
    const named = await broker.connect({ clientId: 'mine' });
    expect(named.connack.properties.assignedClientIdentifier).toBeUndefined();
  });
});

describe('Topic Alias Maximum of the broker', () => {
  const withAlias = (alias: number): Buffer =>
    frame(0x30, mqttString('a'), Buffer.from([3, 0x23]), uint16(alias), Buffer.from('x'));

  test('[MQTT-3.2.2-17] takes aliases up to it and ends the connection on one above', async ({ start }) => {
    const broker = await start({ config: { limits: { topicAliasMaximum: 10 } } });
    const watcher = await broker.connect();
    await watcher.subscribe('a');
    for (const above of [11, 0xffff]) {
      const client = await broker.connect();
      expect(client.connack.properties.topicAliasMaximum).toBe(10);
      for (const alias of [1, 10]) {
        client.send(withAlias(alias));
        await watcher.expectPublish({ topicName: 'a', payload: 'x' });
        client.sendPublish('', 'by alias', { properties: { topicAlias: alias } });
        await watcher.expectPublish({ topicName: 'a', payload: 'by alias', properties: {} });
      }
      client.send(withAlias(above));
      await client.expectDisconnect(0x94);
    }
    await watcher.expectNothing();
  });

  test('[MQTT-3.2.2-18] of 0 is not told, and ends the connection on any alias', async ({ start }) => {
    const broker = await start({ config: { limits: { topicAliasMaximum: 0 } } });
    for (const alias of [1, 0xffff]) {
      const client = await broker.connect();
      expect(client.connack.properties.topicAliasMaximum ?? 0).toBe(0);
      client.send(withAlias(alias));
      await client.expectDisconnect(0x94);
    }
  });
});

describe('what CONNACK leaves out for a small Maximum Packet Size of the client', () => {
  const reasonString = 'a reason that is longer than the whole packet may be';

  test('[MQTT-3.2.2-19] the reason string, whatever the refusal is for', async ({ start }) => {
    const broker = await start({
      config: { limits: { connectionsMax: 1 } },
      hooks: {
        authenticate: ({ username }) =>
          username === 'eve' ? { allow: false, reasonCode: 0x87, reasonString } : { allow: true },
      },
    });
    const refusedBy = async (options: object, reasonCode: number): Promise<void> => {
      for (const [maximumPacketSize, hasReason] of [
        [40, false],
        [500, true],
      ] as const) {
        const client = await broker.open();
        client.sendConnect({ ...options, properties: { maximumPacketSize } });
        const connack = await client.expectConnack(reasonCode);
        expect(connack.properties.reasonString !== undefined).toBe(hasReason);
        expect(sizeOf(connack)).toBeLessThanOrEqual(maximumPacketSize);
        await client.expectClose();
      }
    };
    await refusedBy({ username: 'eve' }, 0x87);
    for (let node = 0; node < broker.nodeCount; node += 1) await broker.connect();
    // limits.connectionsMax is the first thing that is checked.
    const client = await broker.open();
    client.sendConnect({ properties: { maximumPacketSize: 10 } });
    expect((await client.expectConnack(0x97)).properties).toEqual({});
    await client.expectClose();
  });

  test('[MQTT-3.2.2-20] the user properties', async ({ start }) => {
    const userProperties = [['region', 'one that is longer than the whole packet may be']] as const;
    const broker = await start({
      hooks: { authenticate: () => ({ allow: true, userProperties: [...userProperties] }) },
    });
    for (const [maximumPacketSize, expected] of [
      [40, undefined],
      [500, userProperties],
    ] as const) {
      const client = await broker.open();
      client.sendConnect({ properties: { maximumPacketSize } });
      const connack = await client.expectConnack(0);
      expect(connack.properties.userProperties).toEqual(expected);
      expect(sizeOf(connack)).toBeLessThanOrEqual(maximumPacketSize);
      await client.expectNothing();
    }
  });
});
