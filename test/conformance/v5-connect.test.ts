import { describe, expect } from 'vitest';
import type { ClientInfo } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { frame, mqttString, type RawConnect, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED } from './v3-versions.ts';
import { expectConnectsRefused, openBytes, properties, rawPublish, rawSubscribe, textProperty } from './v5-bytes.ts';

const ID = mqttString('id');
const NONE = Buffer.from([0]);
const USERNAME = mqttString('ann');
const PASSWORD = mqttString('secret');
const WILL = [NONE, mqttString('will/topic'), mqttString('will payload')];

describe('the place of CONNECT', () => {
  test('[MQTT-3.1.0-1] closes when the first packet is another', async ({ broker }) => {
    const packets = [
      frame(0x00),
      frame(0x20, Buffer.from([0, 0, 0])),
      rawPublish('a'),
      ...[0x40, 0x50, 0x62, 0x70].map((first) => frame(first, uint16(1))),
      rawSubscribe('a'),
      frame(0xa2, uint16(1), NONE, mqttString('a')),
      frame(0xc0),
      frame(0xe0),
      frame(0xf0, Buffer.from([0x19]), properties(textProperty(0x15, 'method'))),
    ];
    for (const packet of packets) {
      const client = await broker.open();
      client.send(Buffer.concat([packet, rawConnect(5, { payload: [ID] })]));
      await client.expectClose();
    }
  });

  test('[MQTT-3.1.0-2] answers a second CONNECT with Protocol Error and closes', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('will/topic');
    const client = await broker.connect({ clientId: 'twice', will: { topicName: 'will/topic', payload: '1' } });
    client.sendConnect({ clientId: 'twice' });
    await client.expectDisconnect(0x82);
    await watcher.expectPublish({ payload: '1' });
    // Also one that would not have been taken as the first.
    for (const wrong of [{ protocolName: 'MQTX' }, { protocolLevel: 6 }]) {
      const other = await broker.connect();
      other.send(rawConnect(5, { ...wrong, payload: [ID] }));
      await other.expectDisconnect(0x82);
    }
  });
});

describe('protocol name, version and reserved flag', () => {
  test('[MQTT-3.1.2-1] does not serve another protocol name, and closes', async ({ broker }) => {
    for (const protocolName of ['MQTX', 'mqtt', 'MQTTx', 'HTTP', '']) {
      const client = await broker.open();
      client.send(rawConnect(5, { protocolName, payload: [ID] }));
      await client.expectClose();
    }
    // The name of 3.1 is answered in the form of 3.1.
    const old = await broker.open({ version: 3 });
    old.send(rawConnect(5, { protocolName: 'MQIsdp', payload: [ID] }));
    await old.expectConnack(1);
    await old.expectClose();
  });

  test('[MQTT-3.1.2-2] does not serve another protocol version, and closes', async ({ broker }) => {
    for (const protocolLevel of [0, 1, 2, 3, 6, 0x7f, 0x85, 0xff]) {
      // What a client of another version reads is the answer of 3.1.1, the only one that does not depend on the version.
      const client = await broker.open({ version: 4 });
      client.send(rawConnect(5, { protocolLevel, payload: [ID] }));
      client.send({ type: PacketType.pingreq });
      await client.expectConnack(1);
      await client.expectClose();
    }
  });

  test('[MQTT-3.1.2-3] refuses the reserved connect flag as malformed', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { flags: 0x01, payload: [ID] },
      { flags: 0x03, payload: [ID] },
      { flags: 0xc7, payload: [ID, ...WILL, USERNAME, PASSWORD] },
    ]);
  });
});

describe('connect flags and the fields they stand for', () => {
  test('[MQTT-3.1.2-9] wants the whole will where it is announced, and uses its QoS and RETAIN', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { flags: 0x06, payload: [ID] },
      { flags: 0x06, payload: [ID, NONE] },
      { flags: 0x06, payload: [ID, NONE, mqttString('will/topic')] },
      { flags: 0x06, payload: [ID, mqttString('will/topic'), mqttString('will payload')] },
      { flags: 0x06, payload: [ID, NONE, mqttString('will/topic'), uint16(5), Buffer.from('four')] },
    ]);
    const watcher = await broker.connect();
    await watcher.subscribe('will/topic', 2);
    const client = await broker.open();
    client.send(rawConnect(5, { flags: 0x02 | 0x04 | 0x10 | 0x20, payload: [ID, ...WILL] }));
    await client.expectConnack(0);
    client.destroy();
    await watcher.expectMessage({ topicName: 'will/topic', payload: 'will payload', qos: 2, retain: false });
    const late = await broker.connect();
    await late.subscribe('will/topic', 2);
    await late.expectMessage({ payload: 'will payload', qos: 2, retain: true });
  });

  test('[MQTT-3.1.2-11] refuses a Will QoS without Will Flag', async ({ broker }) => {
    const connects = [0x08, 0x10, 0x18].map((willQos): RawConnect => ({ flags: 0x02 | willQos, payload: [ID] }));
    await expectConnectsRefused(broker, 0x81, connects);
  });

  test('[MQTT-3.1.2-12] takes Will QoS 0, 1 and 2 and refuses 3', async ({ broker }) => {
    for (const qos of [0, 1, 2]) {
      const client = await broker.open();
      client.send(rawConnect(5, { flags: 0x06 | (qos << 3), payload: [ID, ...WILL] }));
      await client.expectConnack(0);
      await client.disconnect();
    }
    await expectConnectsRefused(broker, 0x81, [{ flags: 0x06 | 0x18, payload: [ID, ...WILL] }]);
  });

  test('[MQTT-3.1.2-13] refuses Will Retain without Will Flag', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [{ flags: 0x22, payload: [ID] }]);
  });

  test('[MQTT-3.1.2-16] refuses a user name without its flag', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { flags: 0x02, payload: [ID, USERNAME] },
      { flags: 0x42, payload: [ID, USERNAME, PASSWORD] },
    ]);
  });

  test('[MQTT-3.1.2-17] refuses the flag of a user name without a user name', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { flags: 0x82, payload: [ID] },
      { flags: 0x82, payload: [ID, uint16(4), Buffer.from('ann')] },
      { flags: 0xc2, payload: [ID, PASSWORD] },
    ]);
  });

  test('[MQTT-3.1.2-18] refuses a password without its flag', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [{ flags: 0x82, payload: [ID, USERNAME, PASSWORD] }]);
  });

  test('[MQTT-3.1.2-19] refuses the flag of a password without a password', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { flags: 0x42, payload: [ID] },
      { flags: 0xc2, payload: [ID, USERNAME] },
      { flags: 0xc2, payload: [ID, USERNAME, uint16(7), Buffer.from('secret')] },
    ]);
  });

  test('[MQTT-3.1.3-1] reads the fields in the order of the standard, each of which may be missing', async ({
    start,
  }) => {
    const seen: { client: ClientInfo; password: string }[] = [];
    const broker = await start({
      hooks: {
        authenticate: (client, connect) => {
          seen.push({ client, password: Buffer.from(connect.password ?? []).toString() });
          return { allow: true };
        },
      },
    });
    const watcher = await broker.connect();
    await watcher.subscribe('will/topic');
    const will = [properties(textProperty(0x03, 'text/plain')), mqttString('will/topic'), mqttString('will payload')];
    const cases = [
      { flags: 0xc6, payload: [ID, ...will, USERNAME, PASSWORD], username: 'ann', password: 'secret', hasWill: true },
      { flags: 0x46, payload: [ID, ...will, PASSWORD], username: '', password: 'secret', hasWill: true },
      { flags: 0x86, payload: [ID, ...will, USERNAME], username: 'ann', password: '', hasWill: true },
      { flags: 0xc2, payload: [ID, USERNAME, PASSWORD], username: 'ann', password: 'secret', hasWill: false },
      { flags: 0x02, payload: [ID], username: '', password: '', hasWill: false },
    ];
    for (const { flags, payload, username, password, hasWill } of cases) {
      const client = await broker.open();
      client.send(rawConnect(5, { flags, payload }));
      await client.expectConnack(0);
      expect(seen.at(-1)).toMatchObject({ client: { clientId: 'id', username }, password });
      await client.disconnect(0x04);
      if (hasWill) {
        const like = { topicName: 'will/topic', payload: 'will payload', properties: { contentType: 'text/plain' } };
        await watcher.expectPublish(like);
      }
      await watcher.expectNothing();
    }
  });

  test('[MQTT-3.1.3-11] refuses a will topic that is not UTF-8', async ({ broker }) => {
    const texts = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    await expectConnectsRefused(
      broker,
      0x81,
      texts.map((text) => ({ flags: 0x06, payload: [ID, NONE, mqttString(text), mqttString('x')] })),
    );
  });

  test('[MQTT-3.1.3-12] refuses a user name that is not UTF-8', async ({ broker }) => {
    const texts = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    await expectConnectsRefused(
      broker,
      0x81,
      texts.map((text) => ({ flags: 0x82, payload: [ID, mqttString(text)] })),
    );
  });
});

describe('client ids', () => {
  test('[MQTT-3.1.3-2] keeps the state of a session under its client id alone', async ({ broker }) => {
    const keep = { cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const first = await broker.connect({ ...keep, clientId: 'Pump' });
    await first.subscribe('a', 1);
    await first.disconnect();
    for (const clientId of ['pump', 'Pump ', 'Pum', 'Pu\u0301mp', '__proto__']) {
      const other = await broker.connect({ ...keep, clientId });
      expect(other.connack.sessionPresent).toBe(false);
      await other.publish('a', 'for Pump', { qos: 1 });
      await other.expectNothing();
    }
    const second = await broker.connect({ ...keep, clientId: 'Pump' });
    for (let i = 0; i < 5; i += 1) await second.expectMessage({ payload: 'for Pump' });
    await second.expectNothing();
  });

  test('[MQTT-3.1.3-3] refuses a CONNECT without a client id', async ({ broker }) => {
    await expectConnectsRefused(broker, 0x81, [
      { payload: [] },
      { payload: [NONE] },
      { payload: [uint16(3), Buffer.from('id')] },
    ]);
  });

  test('[MQTT-3.1.3-4] refuses a client id that is not UTF-8', async ({ broker }) => {
    const texts = [...ILL_FORMED.map(([, bytes]) => bytes), Buffer.from('a\0b')];
    await expectConnectsRefused(
      broker,
      0x81,
      texts.map((text) => ({ payload: [mqttString(text)] })),
    );
  });

  test('[MQTT-3.1.3-5] takes client ids of 1 to 23 letters and digits, and longer ones', async ({ broker }) => {
    const ids = [
      '0',
      '0123456789abcdefghijklm',
      'nopqrstuvwxyzABCDEFGHIJ',
      'KLMNOPQRSTUVWXYZ',
      'longer-than-23-characters/and with more than letters',
      'x'.repeat(60_000),
    ];
    for (const clientId of ids) {
      const client = await broker.open();
      client.sendConnect({ clientId });
      const { properties: got } = await client.expectConnack(0);
      expect(got.assignedClientIdentifier).toBeUndefined();
      await client.expectNothing();
    }
  });

  test('[MQTT-3.1.3-6][MQTT-3.1.3-7] gives a client with an empty id one of its own and tells it', async ({
    broker,
  }) => {
    const ids: string[] = [];
    for (const cleanStart of [true, false]) {
      const client = await broker.open();
      client.sendConnect({ clientId: '', cleanStart, properties: { sessionExpiryInterval: 60 } });
      const connack = await client.expectConnack(0);
      ids.push(connack.properties.assignedClientIdentifier ?? '');
      await client.subscribe(`to/${ids.length}`, 1);
      await client.disconnect();
    }
    expect(ids[0]).toMatch(/./);
    expect(ids[1]).toMatch(/./);
    expect(ids[1]).not.toBe(ids[0]);
    const publisher = await broker.connect();
    await publisher.publish('to/1', 'for the first', { qos: 1 });
    await publisher.publish('to/2', 'for the second', { qos: 1 });
    for (const [index, payload] of ['for the first', 'for the second'].entries()) {
      const client = await broker.open();
      client.sendConnect({ clientId: ids[index]!, cleanStart: false });
      await client.expectConnack(0, true);
      await client.expectMessage({ payload });
      await client.expectNothing();
    }
  });

  test('[MQTT-3.1.3-8] says of a client id it rejects that it is not valid, and closes', async ({ start }) => {
    const broker = await start({ hooks: { authenticate: () => ({ allow: false, reasonCode: 0x85 }) } });
    const client = await broker.open();
    client.sendConnect();
    await client.expectConnack(0x85);
    await client.expectClose();
  });
});

describe('how a CONNECT is checked', () => {
  test('[MQTT-3.1.4-1] refuses a CONNECT of another form than the standard has', async ({ broker }) => {
    const maximumPacketSizeZero = Buffer.from('2700000000', 'hex');
    const receiveMaximumZero = Buffer.from('210000', 'hex');
    const expiryTwice = Buffer.from('1100000001 1100000001'.replace(' ', ''), 'hex');
    await expectConnectsRefused(broker, 0x82, [
      { properties: properties(maximumPacketSizeZero), payload: [ID] },
      { properties: properties(receiveMaximumZero), payload: [ID] },
      { properties: properties(expiryTwice), payload: [ID] },
      { properties: properties(Buffer.from('1702', 'hex')), payload: [ID] },
      { properties: properties(Buffer.from('1902', 'hex')), payload: [ID] },
      { properties: properties(textProperty(0x16, 'data without method')), payload: [ID] },
      { flags: 0x06, payload: [ID, NONE, mqttString(''), mqttString('x')] },
    ]);
    await expectConnectsRefused(broker, 0x81, [
      { payload: [ID, Buffer.from([0])] },
      { properties: Buffer.from([5, 0x11, 0, 0, 0]), payload: [ID] },
      { properties: properties(Buffer.from([0x7f, 0])), payload: [ID] },
      // A property of PUBLISH, and one of CONNACK.
      { properties: properties(Buffer.from('230001', 'hex')), payload: [ID] },
      { properties: properties(textProperty(0x12, 'assigned')), payload: [ID] },
      { flags: 0x06, payload: [ID, properties(Buffer.from('230001', 'hex')), mqttString('a'), mqttString('x')] },
    ]);
    for (const bytes of [frame(0x10), frame(0x11, Buffer.alloc(10)), frame(0x10, mqttString('MQTT'))]) {
      const client = await broker.open();
      client.send(bytes);
      await client.expectClose();
    }
  });

  test('[MQTT-3.1.4-2] closes when authentication or authorisation fails, whatever way', async ({ start }) => {
    const broker = await start({
      hooks: {
        authenticate: async (client) => {
          if (client.username === 'throws') throw new Error('the password file is gone');
          await Promise.resolve();
          return client.username === 'eve' ? { allow: false, reasonCode: 0x86 } : { allow: true };
        },
        authorize: (_client, { action, topic }) => action !== 'will' || topic !== 'not/allowed',
      },
    });
    for (const [options, reasonCode] of [
      [{ username: 'eve' }, 0x86],
      [{ username: 'throws' }, 0x83],
      [{ username: 'ann', will: { topicName: 'not/allowed' } }, 0x87],
      [{ username: 'ann', will: { topicName: 'a/#' } }, 0x90],
      [{ properties: { authenticationMethod: 'unknown' } }, 0x8c],
    ] as const) {
      const client = await broker.open();
      client.sendConnect(options);
      await client.expectConnack(reasonCode);
      await client.expectClose();
    }
    const welcome = await broker.open();
    welcome.sendConnect({ username: 'ann', will: { topicName: 'allowed' } });
    await welcome.expectConnack(0);
  });

  test('[MQTT-3.1.4-5] accepts with a CONNACK of reason code 0', async ({ broker }) => {
    const connection = await openBytes(broker);
    connection.write(rawConnect(5, { payload: [ID] }));
    const connack = await connection.packet();
    expect([connack[0], connack[2], connack[3]]).toEqual([0x20, 0, 0]);
    connection.write(frame(0xc0));
    expect((await connection.packet()).toString('hex')).toBe('d000');
    connection.destroy();
  });

  test('[MQTT-3.1.4-6] does nothing with what follows a CONNECT it refuses', async ({ start }) => {
    const broker = await start({
      hooks: {
        authenticate: async (client) => {
          await Promise.resolve();
          return client.username === 'eve' ? { allow: false, reasonCode: 0x87 } : { allow: true };
        },
      },
    });
    const watcher = await broker.connect();
    await watcher.subscribe('#', 2);
    const client = await broker.open();
    client.sendConnect({ username: 'eve' });
    client.sendSubscribe('a');
    client.sendPublish('a', 'x', { qos: 1, retain: true });
    client.sendPublish('a', 'x');
    client.send({ type: PacketType.pingreq });
    await client.expectConnack(0x87);
    await client.expectClose();
    await watcher.expectNothing();
    await watcher.subscribe('a');
    await watcher.expectNothing();
  });
});
