import { describe, expect } from 'vitest';
import type { DisconnectReason } from '../../src/connection/disconnect-reasons.ts';
import type { AuthStep } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import type { RawClient } from '../support/raw-client.ts';
import { type Scene, test, until } from './scene.ts';

/** What a connection may come to. */
type Outcome =
  | { answer: PacketType; reasonCode?: number }
  | { answer: 'nothing' }
  | { answer: 'closed'; reasonCode?: number; reason: DisconnectReason };

const VIOLATION: Outcome = { answer: 'closed', reasonCode: 0x82, reason: 'protocol-error' };
const MALFORMED: Outcome = { answer: 'closed', reasonCode: 0x81, reason: 'malformed-packet' };
const GONE: Outcome = { answer: 'closed', reason: 'client-disconnect' };
const NOTHING: Outcome = { answer: 'nothing' };

/** One well-formed packet of each type, as a client of 5.0 and of 3.1.1 sends it, and what it comes to once connected. */
const PACKETS: readonly { name: string; v5: string; v4: string; connected: Outcome }[] = [
  { name: 'type 0', v5: '00 00', v4: '00 00', connected: MALFORMED },
  { name: 'CONNECT', v5: '10 * "MQTT" 05 02 0000 [] "x"', v4: '10 * "MQTT" 04 02 0000 "x"', connected: VIOLATION },
  { name: 'CONNACK', v5: '20 * 00 00 []', v4: '20 * 00 00', connected: VIOLATION },
  { name: 'PUBLISH, QoS 0', v5: '30 * "a" [] ~x~', v4: '30 * "a" ~x~', connected: NOTHING },
  {
    name: 'PUBLISH, QoS 1',
    v5: '32 * "a" 0001 [] ~x~',
    v4: '32 * "a" 0001 ~x~',
    connected: { answer: PacketType.puback },
  },
  {
    name: 'PUBLISH, QoS 2',
    v5: '34 * "a" 0001 [] ~x~',
    v4: '34 * "a" 0001 ~x~',
    connected: { answer: PacketType.pubrec },
  },
  { name: 'PUBACK', v5: '40 * 0001', v4: '40 * 0001', connected: NOTHING },
  { name: 'PUBREC', v5: '50 * 0001', v4: '50 * 0001', connected: { answer: PacketType.pubrel, reasonCode: 0x92 } },
  // 3.1.1 knows no error here: a PUBACK once more.
  { name: 'PUBREC with an error', v5: '50 * 0001 80', v4: '40 * 0001', connected: NOTHING },
  { name: 'PUBREL', v5: '62 * 0001', v4: '62 * 0001', connected: { answer: PacketType.pubcomp, reasonCode: 0x92 } },
  { name: 'PUBCOMP', v5: '70 * 0001', v4: '70 * 0001', connected: NOTHING },
  { name: 'SUBSCRIBE', v5: '82 * 0001 [] "a" 00', v4: '82 * 0001 "a" 00', connected: { answer: PacketType.suback } },
  { name: 'SUBACK', v5: '90 * 0001 [] 00', v4: '90 * 0001 00', connected: VIOLATION },
  { name: 'UNSUBSCRIBE', v5: 'a2 * 0001 [] "a"', v4: 'a2 * 0001 "a"', connected: { answer: PacketType.unsuback } },
  { name: 'UNSUBACK', v5: 'b0 * 0001 [] 00', v4: 'b0 * 0001', connected: VIOLATION },
  { name: 'PINGREQ', v5: 'c0 00', v4: 'c0 00', connected: { answer: PacketType.pingresp } },
  { name: 'PINGRESP', v5: 'd0 00', v4: 'd0 00', connected: VIOLATION },
  { name: 'DISCONNECT', v5: 'e0 00', v4: 'e0 00', connected: GONE },
  { name: 'AUTH', v5: 'f0 * 18 [15 "m"]', v4: 'f0 00', connected: VIOLATION },
  { name: 'AUTH of re-authentication', v5: 'f0 * 19 [15 "m"]', v4: 'f0 00', connected: VIOLATION },
];

/** Asserts what a connected client gets, and counts how its connection ended if it did. */
async function expectOutcome(client: RawClient, outcome: Outcome, ended: Map<DisconnectReason, number>): Promise<void> {
  if (outcome.answer === 'nothing') await client.expectNothing();
  else if (outcome.answer === 'closed') {
    const { disconnect } = await client.expectClose();
    expect(disconnect?.reasonCode).toBe(client.version === 5 ? outcome.reasonCode : undefined);
    ended.set(outcome.reason, (ended.get(outcome.reason) ?? 0) + 1);
  } else {
    const reasonCode = client.version === 5 ? (outcome.reasonCode ?? expect.any(Number)) : expect.anything();
    const packet = await client.next();
    expect(packet.type).toBe(outcome.answer);
    if ('reasonCode' in packet) expect(packet.reasonCode).toEqual(reasonCode);
    await client.expectNothing();
  }
}

/** AUTH in 3.x is no packet at all. */
function outcomeFor(version: 4 | 5, { name, connected }: (typeof PACKETS)[number]): Outcome {
  return version === 4 && name.startsWith('AUTH') ? MALFORMED : connected;
}

function bytesFor(version: 4 | 5, packet: (typeof PACKETS)[number]): Buffer {
  return bytesOf(version === 5 ? packet.v5 : packet.v4);
}

describe.each([4, 5] as const)('each packet type, version %s', (version) => {
  test.for(['tcp', 'websocket'] as const)('as the first packet, over %s', async (transport, { start }) => {
    const scene = await start();
    for (const packet of PACKETS) {
      if (packet.name === 'CONNECT') continue;
      const client = await scene.broker.open({ transport, version });
      client.send(bytesFor(version, packet));
      const { disconnect } = await client.expectClose();
      expect(disconnect, packet.name).toBeUndefined();
    }
    await scene.expectEnded({ 'protocol-error': PACKETS.length - 1 });
  });

  test('while CONNECT is being dealt with: it waits, and counts once there was CONNACK', async ({ start }) => {
    const gates: (() => void)[] = [];
    const scene = await start({
      hooks: {
        authenticate: ({ clientId }) => {
          if (!clientId.startsWith('client')) return { allow: true };
          return new Promise((resolve) => gates.push(() => resolve({ allow: true })));
        },
      },
    });
    const ended = new Map<DisconnectReason, number>();
    for (const packet of PACKETS) {
      const client = await scene.broker.open({ version, name: `client ${packet.name}` });
      client.sendConnect();
      await until(() => gates.length === 1, 'the hook');
      const from = scene.received;
      const bytes = bytesFor(version, packet);
      client.send(bytes);
      await scene.untilReceived(from + bytes.length);
      expect(client.closed).toBe(false);
      gates.pop()?.();
      await client.expectConnack(0);
      await expectOutcome(client, outcomeFor(version, packet), ended);
    }
    await scene.expectEnded(Object.fromEntries(ended));
  });

  test('on an established connection', async ({ start }) => {
    const scene = await start();
    const ended = new Map<DisconnectReason, number>();
    for (const packet of PACKETS) {
      const client = await scene.broker.connect({ version });
      client.send(bytesFor(version, packet));
      await expectOutcome(client, outcomeFor(version, packet), ended);
    }
    await scene.expectEnded(Object.fromEntries(ended));
  });

  test('behind DISCONNECT it is not looked at', async ({ start }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe('#', 2);
    for (const packet of PACKETS) {
      const client = await scene.broker.connect({ version, will: { topicName: 'will' } });
      client.send(Buffer.concat([bytesOf('e0 00'), bytesFor(version, packet)]));
      const { disconnect } = await client.expectClose();
      expect(disconnect, packet.name).toBeUndefined();
    }
    await watcher.expectNothing();
    await scene.expectEnded({ 'client-disconnect': PACKETS.length });
  });
});

describe('each packet type while an AUTH packet is awaited', () => {
  const connect = { properties: { authenticationMethod: 'm' } };

  test('ends the handshake by CONNACK, but for AUTH and DISCONNECT', async ({ start }) => {
    const scene = await start({
      hooks: {
        startAuthExchange: () => {
          const steps: AuthStep[] = [{ kind: 'continue' }, { kind: 'success' }];
          return { step: () => steps.shift() ?? { kind: 'refuse', reasonCode: ReasonCode.notAuthorized } };
        },
      },
    });
    const ended = new Map<string, number>();
    for (const packet of PACKETS) {
      const client = await scene.broker.open();
      client.sendConnect(connect);
      await client.expect(PacketType.auth, { reasonCode: 0x18 });
      client.send(bytesOf(packet.v5));
      let reason = 'protocol-error';
      if (packet.name === 'AUTH') {
        await client.expectConnack(0);
        continue;
      } else if (packet.name === 'DISCONNECT') {
        reason = 'client-disconnect';
      } else if (packet.name === 'type 0') {
        reason = 'malformed-packet';
        await client.expectConnack(0x81);
      } else await client.expectConnack(0x82);
      await client.expectClose();
      ended.set(reason, (ended.get(reason) ?? 0) + 1);
    }
    await scene.expectEnded(Object.fromEntries(ended));
  });
});

/** A subscriber with one message of this QoS in flight. */
async function withOneInFlight(scene: Scene, version: 4 | 5, qos: 1 | 2): Promise<RawClient> {
  const publisher = await scene.broker.connect();
  const keep = version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {};
  const client = await scene.broker.connect({ version, clientId: 'in flight', cleanStart: false, ...keep });
  await client.subscribe('flight', qos);
  await publisher.publish('flight', 'x', { qos });
  await client.expectPublish({ payload: 'x', qos, packetId: 1 });
  await publisher.disconnect();
  return client;
}

describe.each([4, 5] as const)('acknowledgements that do not fit, version %s', (version) => {
  const keep = version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {};

  test.for([
    [1, PacketType.pubrec],
    [1, PacketType.pubcomp],
    [2, PacketType.puback],
    [2, PacketType.pubcomp],
  ] as const)(
    'to QoS %s, packet type %s, is a protocol error, and the message comes again',
    async ([qos, type], { start }) => {
      const scene = await start();
      const client = await withOneInFlight(scene, version, qos);
      client.sendAck(type, 1);
      const { disconnect } = await client.expectClose();
      expect(disconnect?.reasonCode).toBe(version === 5 ? 0x82 : undefined);
      const again = await scene.broker.connect({ version, clientId: 'in flight', cleanStart: false, ...keep });
      await again.expectMessage({ payload: 'x', qos, packetId: 1, dup: true });
      await again.expectNothing();
      await scene.expectEnded({ 'client-disconnect': 1, 'protocol-error': 1 });
    },
  );

  test('PUBACK for a message that is released already is a protocol error', async ({ start }) => {
    const scene = await start();
    const client = await withOneInFlight(scene, version, 2);
    client.sendAck(PacketType.pubrec, 1);
    await client.expect(PacketType.pubrel, { packetId: 1 });
    client.sendAck(PacketType.puback, 1);
    await client.expectClose();
    const again = await scene.broker.connect({ version, clientId: 'in flight', cleanStart: false, ...keep });
    await again.expect(PacketType.pubrel, { packetId: 1 });
    again.sendAck(PacketType.pubcomp, 1);
    await again.expectNothing();
    await scene.expectEnded({ 'client-disconnect': 1, 'protocol-error': 1 });
  });

  test('those repeated, or for packet ids nobody knows, harm nothing', async ({ start }) => {
    const scene = await start();
    const client = await withOneInFlight(scene, version, 2);
    for (const packetId of [2, 65_535]) {
      client.sendAck(PacketType.puback, packetId);
      client.sendAck(PacketType.pubcomp, packetId);
      client.sendAck(PacketType.pubrec, packetId);
      await client.expect(PacketType.pubrel, { packetId, reasonCode: version === 5 ? 0x92 : 0 });
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId, reasonCode: version === 5 ? 0x92 : 0 });
    }
    for (let i = 0; i < 3; i++) {
      client.sendAck(PacketType.pubrec, 1);
      await client.expect(PacketType.pubrel, { packetId: 1, reasonCode: 0 });
    }
    client.sendAck(PacketType.pubcomp, 1);
    client.sendAck(PacketType.pubcomp, 1);
    await client.expectNothing();
    await scene.expectEnded({ 'client-disconnect': 1 });
  });
});
