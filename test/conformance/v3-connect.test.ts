import { describe, expect } from 'vitest';
import type { ClientInfo } from '../../src/hooks/hooks.ts';
import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { frame, mqttString, type RawConnect, rawConnect, uint16 } from '../support/raw-bytes.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { ILL_FORMED, V3_VERSIONS } from './v3-versions.ts';

const ID = mqttString('id');
const USERNAME = mqttString('ann');
const PASSWORD = mqttString('secret');
const WILL = [mqttString('will/topic'), mqttString('will payload')];

/** Asserts that each of these CONNECTs is answered by nothing but the close of the connection. */
async function expectClosedWithoutConnack(
  broker: TestBroker,
  version: ProtocolVersion,
  connects: readonly RawConnect[],
): Promise<void> {
  for (const connect of connects) {
    const client = await broker.open({ version });
    client.send(rawConnect(version, connect));
    await client.expectClose();
  }
}

describe.each(V3_VERSIONS)('the place of CONNECT in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.0-1] closes when the first packet is another (${name})`, async ({ broker }) => {
    const packets = [
      frame(0x20, uint16(0)),
      frame(0x30, mqttString('a')),
      frame(0x40, uint16(1)),
      frame(0x62, uint16(1)),
      frame(0x82, uint16(1), mqttString('a'), Buffer.from([0])),
      frame(0xa2, uint16(1), mqttString('a')),
      frame(0xc0),
      frame(0xe0),
    ];
    for (const packet of packets) {
      const client = await broker.open({ version });
      client.send(packet);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.1.0-2] closes on a second CONNECT (${name})`, async ({ broker }) => {
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic');
    const client = await broker.connect({
      version,
      clientId: 'twice',
      will: { topicName: 'will/topic', payload: '1' },
    });
    client.sendConnect({ clientId: 'twice' });
    await client.expectClose();
    await watcher.expectPublish({ payload: '1' });
  });
});

describe.each(V3_VERSIONS)('protocol name, level and reserved flag in MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.2-1] does not serve another protocol name (${name})`, async ({ broker }) => {
    const names = ['MQTX', 'mqtt', 'MQTTx', 'HTTP', ''];
    const connects = names.map((protocolName): RawConnect => ({ protocolName, payload: [ID] }));
    await expectClosedWithoutConnack(broker, version, connects);
  });

  test(`[v3 MQTT-3.1.2-2] answers a level it does not know with return code 1 and closes (${name})`, async ({
    broker,
  }) => {
    for (const protocolLevel of [0, 1, 2, 6, 0x7f]) {
      const client = await broker.open({ version });
      client.send(rawConnect(version, { protocolLevel, payload: [ID] }));
      await client.expectConnack(1);
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-3.1.2-3] closes when the reserved connect flag is set (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [
      { flags: 0x03, payload: [ID] },
      { flags: 0x01, payload: [ID] },
      { flags: 0xc3, payload: [ID, USERNAME, PASSWORD] },
    ]);
  });
});

describe.each(V3_VERSIONS)('connect flags and fields of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.2-9] closes when the will is announced and not there, else uses its QoS and RETAIN (${name})`, async ({
    broker,
  }) => {
    await expectClosedWithoutConnack(broker, version, [
      { flags: 0x06, payload: [ID] },
      { flags: 0x06, payload: [ID, mqttString('will/topic')] },
      { flags: 0x06, payload: [ID, mqttString('will/topic'), uint16(5), Buffer.from('four')] },
    ]);
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic', 2);
    const client = await broker.open({ version });
    client.send(rawConnect(version, { flags: 0x02 | 0x04 | 0x10 | 0x20, payload: [ID, ...WILL] }));
    await client.expectConnack(0);
    client.destroy();
    await watcher.expectMessage({ topicName: 'will/topic', payload: 'will payload', qos: 2, retain: false });
    const late = await broker.connect({ version });
    await late.subscribe('will/topic', 2);
    await late.expectMessage({ payload: 'will payload', qos: 2, retain: true });
  });

  test(`[v3 MQTT-3.1.2-11] closes when there is no Will Flag but anything of a will (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [
      { flags: 0x02 | 0x08, payload: [ID] },
      { flags: 0x02 | 0x20, payload: [ID] },
      { flags: 0x02, payload: [ID, ...WILL] },
    ]);
  });

  test(`[v3 MQTT-3.1.2-13] closes on a Will QoS without Will Flag (${name})`, async ({ broker }) => {
    const connects = [0x08, 0x10, 0x18].map((willQos): RawConnect => ({ flags: 0x02 | willQos, payload: [ID] }));
    await expectClosedWithoutConnack(broker, version, connects);
  });

  test(`[v3 MQTT-3.1.2-14] takes Will QoS 0, 1 and 2 and closes on 3 (${name})`, async ({ broker }) => {
    for (const qos of [0, 1, 2]) {
      const client = await broker.open({ version });
      client.send(rawConnect(version, { flags: 0x06 | (qos << 3), payload: [ID, ...WILL] }));
      await client.expectConnack(0);
      await client.disconnect();
    }
    await expectClosedWithoutConnack(broker, version, [{ flags: 0x06 | 0x18, payload: [ID, ...WILL] }]);
  });

  test(`[v3 MQTT-3.1.2-15] closes on Will Retain without Will Flag (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [{ flags: 0x22, payload: [ID] }]);
  });

  test(`[v3 MQTT-3.1.2-18] closes on a user name without its flag (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [{ flags: 0x02, payload: [ID, USERNAME] }]);
  });

  test(`[v3 MQTT-3.1.2-20] closes on a password without its flag (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [{ flags: 0x82, payload: [ID, USERNAME, PASSWORD] }]);
  });

  test(`[v3 MQTT-3.1.2-22] closes on the flag of a password without that of a user name (${name})`, async ({
    broker,
  }) => {
    await expectClosedWithoutConnack(broker, version, [{ flags: 0x42, payload: [ID, PASSWORD] }]);
  });

  test(`[v3 MQTT-3.1.3-1] reads the fields in the order of the standard (${name})`, async ({ start }) => {
    const seen: { client: ClientInfo; password: string }[] = [];
    const broker = await start({
      hooks: {
        authenticate: (client, connect) => {
          seen.push({ client, password: Buffer.from(connect.password ?? []).toString() });
          return { allow: true };
        },
      },
    });
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic');
    const client = await broker.open({ version });
    client.send(rawConnect(version, { flags: 0xc6, payload: [ID, ...WILL, USERNAME, PASSWORD] }));
    await client.expectConnack(0);
    expect(seen.at(-1)).toMatchObject({ client: { clientId: 'id', username: 'ann' }, password: 'secret' });
    client.destroy();
    await watcher.expectPublish({ topicName: 'will/topic', payload: 'will payload' });
  });

  test(`[v3 MQTT-3.1.3-3] closes when there is no client id (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [
      { payload: [] },
      { payload: [Buffer.from([0])] },
      { payload: [uint16(3), Buffer.from('id')] },
    ]);
  });

  test(`[v3 MQTT-3.1.3-4] closes on a client id that is not UTF-8 (${name})`, async ({ broker }) => {
    const connects = ILL_FORMED.map(([, bytes]): RawConnect => ({ payload: [mqttString(bytes)] }));
    await expectClosedWithoutConnack(broker, version, connects);
  });

  test(`[v3 MQTT-3.1.3-10] closes on a will topic that is not UTF-8 (${name})`, async ({ broker }) => {
    const connects = ILL_FORMED.map(
      ([, bytes]): RawConnect => ({ flags: 0x06, payload: [ID, mqttString(bytes), mqttString('x')] }),
    );
    await expectClosedWithoutConnack(broker, version, connects);
  });

  test(`[v3 MQTT-3.1.3-11] closes on a user name that is not UTF-8 (${name})`, async ({ broker }) => {
    const connects = ILL_FORMED.map(([, bytes]): RawConnect => ({ flags: 0x82, payload: [ID, mqttString(bytes)] }));
    await expectClosedWithoutConnack(broker, version, connects);
  });

  test(`[v3 MQTT-3.1.4-1] closes without CONNACK on a CONNECT that is wrong in whatever way (${name})`, async ({
    broker,
  }) => {
    await expectClosedWithoutConnack(broker, version, [
      { firstByte: 0x11, payload: [ID] },
      { flags: 0x03, payload: [ID] },
      { payload: [ID, Buffer.from([0])] },
      { flags: 0x06, payload: [ID, mqttString(''), mqttString('x')] },
      { flags: 0x06, payload: [ID, mqttString('a/#'), mqttString('x')] },
    ]);
    const client = await broker.open({ version });
    client.send(frame(0x10));
    await client.expectClose();
  });

  test(`[v3 MQTT-3.2.2-6] closes without CONNACK where no return code fits (${name})`, async ({ broker }) => {
    await expectClosedWithoutConnack(broker, version, [
      { flags: 0x1e, payload: [ID, ...WILL] },
      { payload: [ID, Buffer.from('more')] },
    ]);
  });
});

// In 3.1 the length of the packet counts, not these flags: there the fields may be missing.
describe('flags without their field in MQTT 3.1.1', () => {
  test('[v3 MQTT-3.1.2-19] closes on the flag of a user name without a user name', async ({ broker }) => {
    await expectClosedWithoutConnack(broker, 4, [
      { flags: 0x82, payload: [ID] },
      { flags: 0x82, payload: [ID, uint16(4), Buffer.from('ann')] },
    ]);
  });

  test('[v3 MQTT-3.1.2-21] closes on the flag of a password without a password', async ({ broker }) => {
    await expectClosedWithoutConnack(broker, 4, [
      { flags: 0xc2, payload: [ID, USERNAME] },
      { flags: 0xc2, payload: [ID, USERNAME, uint16(7), Buffer.from('secret')] },
    ]);
  });
});

describe.each(V3_VERSIONS)('client ids of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.3-2] keeps the state of a session under its client id alone (${name})`, async ({ broker }) => {
    const first = await broker.connect({ version, clientId: 'Pump', cleanStart: false });
    await first.subscribe('a', 1);
    await first.disconnect();
    const other = await broker.connect({ version, clientId: 'pump', cleanStart: false });
    expect(other.connack.sessionPresent).toBe(false);
    await other.publish('a', 'for Pump', { qos: 1 });
    await other.expectNothing();
    const second = await broker.connect({ version, clientId: 'Pump', cleanStart: false });
    await second.expectMessage({ payload: 'for Pump' });
  });

  test(`[v3 MQTT-3.1.3-5] takes client ids of 1 to 23 letters and digits, and longer ones (${name})`, async ({
    broker,
  }) => {
    const ids = [
      '0',
      '0123456789abcdefghijklm',
      'nopqrstuvwxyzABCDEFGHIJ',
      'KLMNOPQRSTUVWXYZ',
      'longer-than-23-characters/and with more than letters',
    ];
    for (const clientId of ids) {
      const client = await broker.open({ version });
      client.sendConnect({ clientId });
      await client.expectConnack(0);
      await client.expectNothing();
    }
  });

  test(`[v3 MQTT-3.1.3-7][v3 MQTT-3.1.3-8] refuses an empty client id that wants to keep a session (${name})`, async ({
    broker,
  }) => {
    const client = await broker.open({ version });
    client.sendConnect({ clientId: '', cleanStart: false });
    await client.expectConnack(2);
    await client.expectClose();
  });

  test(`[v3 MQTT-3.1.3-9] refuses a client id with return code 2 and closes (${name})`, async ({ start }) => {
    const broker = await start({ hooks: { authenticate: () => ({ allow: false, reasonCode: 0x85 }) } });
    const client = await broker.open({ version });
    client.sendConnect();
    await client.expectConnack(2);
    await client.expectClose();
  });
});

describe('empty client ids of MQTT 3.1.1', () => {
  test('[v3 MQTT-3.1.3-6] gives a client with an empty id one of its own', async ({ broker }) => {
    const ids = [];
    for (const topic of ['a', 'b']) {
      const client = await broker.open({ version: 4 });
      client.sendConnect({ clientId: '' });
      await client.expectConnack(0);
      await client.subscribe(topic);
      ids.push(client);
    }
    const publisher = await broker.connect({ version: 4 });
    await publisher.publish('a', 'for the first');
    await publisher.publish('b', 'for the second');
    await ids[0]!.expectPublish({ payload: 'for the first' });
    await ids[1]!.expectPublish({ payload: 'for the second' });
    for (const client of ids) await client.expectNothing();
  });
});

describe.each(V3_VERSIONS)('keep alive of MQTT %s', (name, version) => {
  test(`[v3 MQTT-3.1.2-24] disconnects after one and a half times the keep alive, as if the network had failed (${name})`, async ({
    start,
  }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await broker.connect({ version });
    await watcher.subscribe('will/topic');
    const client = await broker.connect({ version, keepAlive: 10, will: { topicName: 'will/topic', payload: 'gone' } });
    for (let i = 0; i < 5; i += 1) {
      broker.advance(14_000);
      await client.expectNothing();
    }
    await watcher.expectNothing();
    broker.advance(17_000);
    await client.expectClose();
    await watcher.expectPublish({ payload: 'gone' });
    broker.advance(24 * 3_600_000);
    await watcher.expectNothing();
  });
});
