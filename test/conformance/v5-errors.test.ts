import { describe, expect } from 'vitest';
import type { Config, DeepPartial } from '../../src/config.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectConnectsRefused, properties as rawProperties, rawPublish, rawSubscribe } from './v5-bytes.ts';

const LIMITS: DeepPartial<Config> = {
  limits: {
    maximumPacketSize: 2048,
    maximumQos: 1,
    retainAvailable: false,
    topicAliasMaximum: 5,
    subscriptionIdentifiersAvailable: false,
  },
};

const alias = (value: number): Buffer => rawProperties(Buffer.concat([Buffer.from([0x23]), uint16(value)]));

/** What a client must not send, by the reason code it is told. */
const VIOLATIONS: readonly (readonly [reasonCode: number, what: string, packet: Buffer])[] = [
  [ReasonCode.malformedPacket, 'packet type 0', frame(0x00)],
  [ReasonCode.malformedPacket, 'QoS 3', frame(0x36, mqttString('a'))],
  [
    ReasonCode.malformedPacket,
    'packet id 0',
    frame(0x82, uint16(0), rawProperties(), mqttString('a'), Buffer.from([0])),
  ],
  [ReasonCode.malformedPacket, 'a PINGREQ with a body', frame(0xc0, Buffer.from([0]))],
  [ReasonCode.malformedPacket, 'a length of five bytes', Buffer.from('30ffffffff7f', 'hex')],
  [ReasonCode.malformedPacket, 'a length longer than needed', Buffer.from('c08000', 'hex')],
  [ReasonCode.malformedPacket, 'an unknown property', rawPublish('a', rawProperties(Buffer.from([0x7e, 0])))],
  [ReasonCode.protocolError, 'a second CONNECT', rawConnect(5, { payload: [mqttString('a')] })],
  [ReasonCode.protocolError, 'CONNACK', frame(0x20, Buffer.from([0, 0, 0]))],
  [ReasonCode.protocolError, 'SUBACK', frame(0x90, uint16(1), rawProperties(), Buffer.from([0]))],
  [ReasonCode.protocolError, 'UNSUBACK', frame(0xb0, uint16(1), rawProperties(), Buffer.from([0]))],
  [ReasonCode.protocolError, 'PINGRESP', frame(0xd0)],
  [ReasonCode.protocolError, 'an unknown topic alias', rawPublish('', alias(5))],
  [
    ReasonCode.protocolError,
    'QoS 3 in SUBSCRIBE',
    frame(0x82, uint16(1), rawProperties(), mqttString('a'), Buffer.from([3])),
  ],
  [ReasonCode.topicNameInvalid, 'a wildcard in a topic name', rawPublish('a/#')],
  [ReasonCode.topicAliasInvalid, 'a topic alias above the maximum', rawPublish('a', alias(6))],
  [ReasonCode.packetTooLarge, 'a packet above the maximum', frame(0x30, Buffer.alloc(2048))],
  [ReasonCode.packetTooLarge, 'the header of one', Buffer.from('30ffffff7f', 'hex')],
  [ReasonCode.qosNotSupported, 'QoS 2', frame(0x34, mqttString('a'), uint16(1), rawProperties())],
  [ReasonCode.retainNotSupported, 'RETAIN', frame(0x31, mqttString('a'), rawProperties())],
  [
    ReasonCode.subscriptionIdentifiersNotSupported,
    'a Subscription Identifier',
    rawSubscribe('a', rawProperties(Buffer.from([0x0b, 1]))),
  ],
];

describe('errors', () => {
  test('[MQTT-4.13.1-1] close the connection they come on with their reason code, and no other', async ({ start }) => {
    const broker = await start({ config: LIMITS });
    const other = await broker.connect();
    await other.subscribe('a', 1);
    for (const [reasonCode, what, packet] of VIOLATIONS) {
      const client = await broker.connect();
      client.send(packet);
      const { disconnect, reset } = await client.expectClose();
      expect({ what, reasonCode: disconnect?.reasonCode, reset }).toEqual({ what, reasonCode, reset: false });
    }
    await other.publish('a', 'still here', { qos: 1 });
    await other.expectMessage({ payload: 'still here' });
  });

  test('[MQTT-4.13.1-1] in CONNECT are answered with CONNACK and close', async ({ broker }) => {
    await expectConnectsRefused(broker, ReasonCode.malformedPacket, [
      { flags: 0x03, payload: [mqttString('a')] },
      { payload: [mqttString(Buffer.from([0xff]))] },
    ]);
    await expectConnectsRefused(broker, ReasonCode.protocolError, [
      { properties: rawProperties(Buffer.from([0x21, 0, 0])), payload: [mqttString('a')] },
    ]);
  });

  test('[MQTT-4.13.2-1] a reason code of 0x80 or above in CONNACK closes the connection, said or not', async ({
    start,
  }) => {
    const codes = [0x80, 0x83, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x97, 0x9c, 0x9d, 0x9f];
    const broker = await start({
      hooks: { authenticate: (client) => ({ allow: false, reasonCode: Number(client.clientId) }) },
    });
    for (const code of codes) {
      const told = await broker.open();
      told.sendConnect({ clientId: `${code}` });
      await told.expectConnack(code);
      await told.expectClose();
      const untold = await broker.open();
      untold.sendConnect({ clientId: `${code}`, properties: { maximumPacketSize: 4 } });
      const { disconnect } = await untold.expectClose();
      expect(disconnect).toBeUndefined();
    }
  });

  test('[MQTT-4.13.2-1] one in DISCONNECT closes the connection, from either side', async ({ broker }) => {
    const client = await broker.connect();
    broker.disconnect(client.name, ReasonCode.serverBusy);
    await client.expectDisconnect(ReasonCode.serverBusy);
    const leaving = await broker.connect();
    leaving.send({ type: PacketType.disconnect, reasonCode: ReasonCode.unspecifiedError, properties: {} });
    const { disconnect } = await leaving.expectClose();
    expect(disconnect).toBeUndefined();
  });

  test('[MQTT-4.13.2-1] one in another packet does not', async ({ start }) => {
    const broker = await start({ hooks: { authorize: () => false } });
    const client = await broker.connect();
    client.sendSubscribe('a');
    await client.expect(PacketType.suback, { reasonCodes: [ReasonCode.notAuthorized] });
    client.sendPublish('a', 'x', { qos: 1 });
    await client.expect(PacketType.puback, { reasonCode: ReasonCode.notAuthorized });
    client.sendAck(PacketType.pubrel, 9);
    await client.expect(PacketType.pubcomp, { reasonCode: ReasonCode.packetIdentifierNotFound });
    await client.expectNothing();
  });
});
