import { describe, expect } from 'vitest';
import type { AuthStep, Hooks } from '../../src/hooks/hooks.ts';
import { type AuthPacket, PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame } from '../support/raw-bytes.ts';
import type { RawClient } from '../support/raw-client.ts';
import type { TestBroker } from '../support/test-broker.ts';
import { test } from './statement-test.ts';
import { properties as rawProperties, textProperty } from './v5-bytes.ts';
import { sizeOf } from './v5-raw.ts';

const METHOD = 'CHALLENGE';
const CONTINUE = ReasonCode.continueAuthentication;

/** One step of the exchange these tests use: a challenge, and `answer` to it; `wrong` is refused, others asked again. */
function step(data: string): AuthStep {
  if (data === 'answer') return { kind: 'success', data: Buffer.from('welcome') };
  if (data === 'wrong') return { kind: 'refuse', reasonCode: ReasonCode.notAuthorized };
  // A reason code that CONNACK has and DISCONNECT has not.
  if (data === 'expired') return { kind: 'refuse', reasonCode: ReasonCode.badUserNameOrPassword };
  return { kind: 'continue', data: Buffer.from('challenge'), reasonString: 'what is the answer? '.repeat(10) };
}

const HOOKS: Hooks = {
  authenticate: () => ({ allow: true }),
  startAuthExchange: (method) =>
    method === METHOD ? { step: (data) => step(Buffer.from(data ?? []).toString()) } : undefined,
};

function authPacket(reasonCode: number, data: string, authenticationMethod = METHOD): AuthPacket {
  const properties = { authenticationMethod, authenticationData: Buffer.from(data) };
  return { type: PacketType.auth, reasonCode, properties };
}

/** A connection that has sent CONNECT with the method and this data. */
async function begin(broker: TestBroker, data = '', maximumPacketSize = 1024): Promise<RawClient> {
  const client = await broker.open();
  const authenticationData = Buffer.from(data);
  client.sendConnect({ properties: { authenticationMethod: METHOD, authenticationData, maximumPacketSize } });
  return client;
}

/** A connection that has been through the exchange. */
async function connectWithAuth(broker: TestBroker): Promise<RawClient> {
  const client = await begin(broker, 'answer');
  await client.expectConnack(0);
  return client;
}

describe('AUTH', () => {
  test('[MQTT-3.15.1-1] wrong flags close the connection', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    for (let flags = 1; flags < 16; flags += 1) {
      const body = [Buffer.from([CONTINUE]), rawProperties(textProperty(0x15, METHOD))];
      const client = await connectWithAuth(broker);
      client.send(frame(0xf0 | flags, ...body));
      await client.expectDisconnect(ReasonCode.malformedPacket);
      const early = await begin(broker);
      await early.expect(PacketType.auth);
      early.send(frame(0xf0 | flags, ...body));
      await early.expectConnack(ReasonCode.malformedPacket);
      await early.expectClose();
    }
  });

  test('[MQTT-3.15.2-1] the server uses the reason codes there are for it', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await begin(broker);
    await client.expect(PacketType.auth, { reasonCode: CONTINUE });
    client.send(authPacket(CONTINUE, 'answer'));
    await client.expectConnack(0);
    client.send(authPacket(ReasonCode.reAuthenticate, ''));
    await client.expect(PacketType.auth, { reasonCode: CONTINUE });
    client.send(authPacket(CONTINUE, 'answer'));
    await client.expect(PacketType.auth, { reasonCode: ReasonCode.success });
  });

  test('[MQTT-3.15.2-1] another code from the client closes the connection with 0x82', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    for (const code of [0x01, 0x17, 0x1a, 0x80, 0x87, 0xff]) {
      const client = await connectWithAuth(broker);
      client.send(frame(0xf0, Buffer.from([code]), rawProperties(textProperty(0x15, METHOD))));
      await client.expectDisconnect(ReasonCode.protocolError);
    }
  });

  test('[MQTT-3.15.2-2][MQTT-3.15.2-3] never exceeds Maximum Packet Size with its properties', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const roomy = await begin(broker);
    const { properties } = await roomy.expect(PacketType.auth);
    expect(properties.reasonString).toBe('what is the answer? '.repeat(10));
    const narrow = await begin(broker, '', 100);
    const packet = await narrow.expect(PacketType.auth);
    expect(sizeOf(packet)).toBeLessThanOrEqual(100);
    expect(packet.properties).toMatchObject({ authenticationMethod: METHOD });
    expect(Buffer.from(packet.properties.authenticationData!).toString()).toBe('challenge');
  });
});

describe('enhanced authentication', () => {
  test('[MQTT-4.12.0-1] a method that is not supported is refused with 0x8C and the connection closed', async ({
    start,
  }) => {
    const authenticationMethod = 'OTHER';
    for (const hooks of [HOOKS, {}]) {
      const broker = await start({ hooks });
      const client = await broker.open();
      client.sendConnect({ properties: { authenticationMethod } });
      await client.expectConnack(ReasonCode.badAuthenticationMethod);
      await client.expectClose();
    }
  });

  test('[MQTT-4.12.0-2] the server asks on with AUTH and 0x18', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await begin(broker);
    for (let i = 0; i < 3; i += 1) {
      await client.expect(PacketType.auth, { reasonCode: CONTINUE });
      client.send(authPacket(CONTINUE, `not yet ${i}`));
    }
    await client.expect(PacketType.auth, { reasonCode: CONTINUE });
    client.send(authPacket(CONTINUE, 'answer'));
    const { properties } = await client.expectConnack(0);
    expect(Buffer.from(properties.authenticationData!).toString()).toBe('welcome');
    await client.expectNothing();
  });

  test('[MQTT-4.12.0-3] an answer with another code than 0x18 is refused', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    for (const code of [ReasonCode.success, ReasonCode.reAuthenticate]) {
      const client = await begin(broker);
      await client.expect(PacketType.auth);
      client.send(authPacket(code, 'answer'));
      await client.expectConnack(ReasonCode.protocolError);
      await client.expectClose();
    }
  });

  test('[MQTT-4.12.0-4] the server refuses at any point with CONNACK and closes', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    for (const rounds of [0, 1, 3]) {
      const client = await begin(broker, rounds === 0 ? 'wrong' : '');
      for (let i = 1; i <= rounds; i += 1) {
        await client.expect(PacketType.auth);
        client.send(authPacket(CONTINUE, i === rounds ? 'wrong' : ''));
      }
      await client.expectConnack(ReasonCode.notAuthorized);
      await client.expectClose();
    }
  });

  test('[MQTT-4.12.0-5] every AUTH and the CONNACK have the method of CONNECT', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await begin(broker);
    const method = { authenticationMethod: METHOD };
    expect((await client.expect(PacketType.auth)).properties).toMatchObject(method);
    client.send(authPacket(CONTINUE, 'answer'));
    expect((await client.expectConnack(0)).properties).toMatchObject(method);
    client.send(authPacket(ReasonCode.reAuthenticate, ''));
    expect((await client.expect(PacketType.auth)).properties).toMatchObject(method);
    client.send(authPacket(CONTINUE, 'answer'));
    expect((await client.expect(PacketType.auth)).properties).toMatchObject(method);
  });

  test('[MQTT-4.12.0-5] an AUTH of the client with another method, or none, is refused', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    for (const packet of [
      authPacket(CONTINUE, 'answer', 'OTHER'),
      frame(0xf0),
      frame(0xf0, Buffer.from([CONTINUE, 0])),
    ]) {
      const client = await begin(broker);
      await client.expect(PacketType.auth);
      client.send(packet);
      await client.expectConnack(ReasonCode.protocolError);
      await client.expectClose();
    }
  });

  test('[MQTT-4.12.0-6] without a method the server sends neither AUTH nor a method', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await broker.open();
    client.sendConnect({ username: 'u', password: 'p' });
    const { properties } = await client.expectConnack(0);
    expect(properties.authenticationMethod).toBeUndefined();
    expect(properties.authenticationData).toBeUndefined();
    await client.expectNothing();
  });

  test('[MQTT-4.12.0-7] without a method in CONNECT an AUTH closes the connection with 0x82', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const packets = [authPacket(ReasonCode.reAuthenticate, 'answer'), authPacket(CONTINUE, 'answer'), frame(0xf0)];
    for (const packet of packets) {
      const client = await broker.connect();
      client.send(packet);
      await client.expectDisconnect(ReasonCode.protocolError);
    }
  });
});

describe('re-authentication', () => {
  test('[MQTT-4.12.1-1] begins with AUTH and 0x19, and the connection goes on meanwhile', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await connectWithAuth(broker);
    await client.subscribe('a', 1);
    for (let i = 0; i < 2; i += 1) {
      client.send(authPacket(ReasonCode.reAuthenticate, ''));
      await client.expect(PacketType.auth, { reasonCode: CONTINUE });
      await client.publish('a', 'x', { qos: 1 });
      await client.expectMessage({ payload: 'x' });
      client.send(authPacket(CONTINUE, 'answer'));
      await client.expect(PacketType.auth, { reasonCode: ReasonCode.success });
    }
  });

  test('[MQTT-4.12.1-1] with another method, or out of turn, closes the connection with 0x82', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const packets = [
      authPacket(ReasonCode.reAuthenticate, 'answer', 'OTHER'),
      authPacket(CONTINUE, 'answer'),
      authPacket(ReasonCode.success, 'answer'),
    ];
    for (const packet of packets) {
      const client = await connectWithAuth(broker);
      client.send(packet);
      await client.expectDisconnect(ReasonCode.protocolError);
    }
  });

  test('[MQTT-4.12.1-2] that fails is answered with DISCONNECT and the end of the connection', async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await connectWithAuth(broker);
    client.send(authPacket(ReasonCode.reAuthenticate, 'wrong'));
    await client.expectDisconnect(ReasonCode.notAuthorized);
    const later = await connectWithAuth(broker);
    later.send(authPacket(ReasonCode.reAuthenticate, ''));
    await later.expect(PacketType.auth);
    later.send(authPacket(CONTINUE, 'wrong'));
    await later.expectDisconnect(ReasonCode.notAuthorized);
  });

  test('[MQTT-4.12.1-2][MQTT-3.14.2-1] that fails with a code DISCONNECT has not is answered with one it has', async ({
    start,
  }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await connectWithAuth(broker);
    client.send(authPacket(ReasonCode.reAuthenticate, 'expired'));
    const { disconnect } = await client.expectClose();
    expect(disconnect?.reasonCode).toBeGreaterThanOrEqual(0x80);
  });
});
