import { describe, expect } from 'vitest';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { type AckPacket, PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, uint16 } from '../support/raw-bytes.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, textProperty } from './v5-bytes.ts';
import { sizeOf } from './v5-raw.ts';

/** Reason codes of PUBACK and PUBREC, tables 3-4 and 3-5. */
const OUTCOMES: ReadonlySet<number> = new Set([0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
/** Reason codes of PUBREL and PUBCOMP, tables 3-6 and 3-7. */
const RELEASES: ReadonlySet<number> = new Set([0, 0x92]);

const ALL_CODES: readonly number[] = Array.from({ length: 256 }, (_, code) => code);

/** As small as CONNACK leaves it. */
const MAXIMUM_PACKET_SIZE = 16;

/** Refuses what goes to `refused/<code>` with that reason code, and what goes to `fails` by failing. */
const HOOKS: Hooks = {
  authorize: (_client, { topic }) => {
    if (topic === 'fails') throw new Error('a fault of the hook');
    const code = /^refused\/(\d+)$/.exec(topic)?.[1];
    return code === undefined ? true : { reasonCode: Number(code), reasonString: 'a reason '.repeat(20) };
  },
};

describe.each([
  ['PUBACK', PacketType.puback, 1, '[MQTT-3.4.2-1]', '[MQTT-3.4.2-2][MQTT-3.4.2-3]'],
  ['PUBREC', PacketType.pubrec, 2, '[MQTT-3.5.2-1]', '[MQTT-3.5.2-2][MQTT-3.5.2-3]'],
] as const)('%s', (_name, type, qos, codes, sizes) => {
  test(`${codes} the server uses the reason codes it has`, async ({ start }) => {
    const broker = await start({ hooks: HOOKS, config: { limits: { checkPayloadFormat: true } } });
    const client = await broker.connect();
    const watcher = await broker.connect();
    await watcher.subscribe('taken', 0);
    const seen: number[] = [];
    const topicNames = ['taken', 'nobody', 'refused/135', 'fails', '$SYS/a'];
    for (const topicName of topicNames) {
      const packetId = client.sendPublish(topicName, 'x', { qos });
      seen.push((await client.expect(type, { packetId })).reasonCode);
    }
    const properties = { payloadFormatIndicator: 1 } as const;
    const packetId = client.sendPublish('taken', Buffer.from([0xff]), { qos, properties });
    seen.push((await client.expect(type, { packetId })).reasonCode);
    expect(seen).toEqual([0, 0x10, 0x87, 0x83, 0x87, 0x99]);
  });

  test(`${codes} a refusal of the embedding program with another code is sent with one it has`, async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await broker.connect();
    for (const code of [0x8a, 0x9b, 0xa2, 0x80, 0x97]) {
      const packetId = client.sendPublish(`refused/${code}`, 'x', { qos });
      const { reasonCode } = await client.expect(type, { packetId });
      expect(OUTCOMES).toContain(reasonCode);
      expect(reasonCode).toBeGreaterThanOrEqual(0x80);
    }
  });

  test(`${codes} another code from the client closes the connection with 0x82`, async ({ broker }) => {
    const packets = ALL_CODES.filter((code) => !OUTCOMES.has(code)).map((code) =>
      frame(type << 4, uint16(1), Buffer.from([code])),
    );
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });

  test(`${codes} all it has are taken from the client`, async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', qos);
    for (const code of OUTCOMES) {
      await client.publish('a', 'x', { qos });
      const { packetId } = await client.expectPublish({ qos });
      const properties = rawProperties(textProperty(0x1f, 'a reason'), textProperty(0x26, 'key', 'value'));
      client.send(frame(type << 4, uint16(packetId), Buffer.from([code]), properties));
      if (qos === 2 && code < 0x80) {
        await client.expect(PacketType.pubrel, { packetId });
        client.sendAck(PacketType.pubcomp, packetId);
      }
      await client.expectNothing();
    }
  });

  test(`${sizes} never exceeds Maximum Packet Size with its properties`, async ({ start }) => {
    const broker = await start({ hooks: HOOKS });
    const client = await broker.connect({ properties: { maximumPacketSize: MAXIMUM_PACKET_SIZE } });
    for (const topicName of ['a', 'refused/135', 'fails']) {
      const packetId = client.sendPublish(topicName, 'x', { qos });
      expect(sizeOf(await client.expect(type, { packetId }))).toBeLessThanOrEqual(MAXIMUM_PACKET_SIZE);
    }
  });
});

describe('PUBREL', () => {
  test('[MQTT-3.6.1-1] wrong flags close the connection with 0x81', async ({ broker }) => {
    for (let flags = 0; flags < 16; flags += 1) {
      const client = await broker.connect();
      client.sendPublish('a', 'x', { qos: 2, packetId: 7 });
      await client.expect(PacketType.pubrec, { packetId: 7 });
      client.send(frame(0x60 | flags, uint16(7)));
      if (flags === 2) await client.expect(PacketType.pubcomp, { packetId: 7 });
      else await client.expectDisconnect(ReasonCode.malformedPacket);
    }
  });

  test('[MQTT-3.6.2-1] the server uses the reason codes it has', async ({ broker }) => {
    const client = await broker.connect();
    await client.subscribe('a', 2);
    await client.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ qos: 2 });
    client.sendAck(PacketType.pubrec, packetId);
    await client.expect(PacketType.pubrel, { packetId, reasonCode: ReasonCode.success });
    client.sendAck(PacketType.pubrec, 4242);
    await client.expect(PacketType.pubrel, { packetId: 4242, reasonCode: ReasonCode.packetIdentifierNotFound });
  });

  test('[MQTT-3.6.2-1] another code from the client closes the connection with 0x82', async ({ broker }) => {
    const packets = ALL_CODES.filter((code) => !RELEASES.has(code)).map((code) =>
      frame(0x62, uint16(1), Buffer.from([code])),
    );
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });
});

describe('PUBCOMP', () => {
  test('[MQTT-3.7.2-1] the server uses the reason codes it has', async ({ broker }) => {
    const client = await broker.connect();
    client.sendPublish('a', 'x', { qos: 2, packetId: 3 });
    await client.expect(PacketType.pubrec, { packetId: 3 });
    client.sendAck(PacketType.pubrel, 3);
    await client.expect(PacketType.pubcomp, { packetId: 3, reasonCode: ReasonCode.success });
    client.sendAck(PacketType.pubrel, 3);
    await client.expect(PacketType.pubcomp, { packetId: 3, reasonCode: ReasonCode.packetIdentifierNotFound });
  });

  test('[MQTT-3.7.2-1] another code from the client closes the connection with 0x82', async ({ broker }) => {
    const packets = ALL_CODES.filter((code) => !RELEASES.has(code)).map((code) =>
      frame(0x70, uint16(1), Buffer.from([code])),
    );
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });
});

describe('the sizes of PUBREL and PUBCOMP', () => {
  const within = (packet: AckPacket): void => {
    expect(sizeOf(packet)).toBeLessThanOrEqual(MAXIMUM_PACKET_SIZE);
  };

  test('[MQTT-3.6.2-2][MQTT-3.6.2-3] PUBREL never exceeds Maximum Packet Size with its properties', async ({
    broker,
  }) => {
    const client = await broker.connect({ properties: { maximumPacketSize: MAXIMUM_PACKET_SIZE } });
    await client.subscribe('a', 2);
    await client.publish('a', 'x', { qos: 2 });
    const { packetId } = await client.expectPublish({ qos: 2 });
    for (const id of [packetId, 999]) {
      client.sendAck(PacketType.pubrec, id);
      within(await client.expect(PacketType.pubrel, { packetId: id }));
    }
  });

  test('[MQTT-3.7.2-2][MQTT-3.7.2-3] PUBCOMP never exceeds Maximum Packet Size with its properties', async ({
    broker,
  }) => {
    const client = await broker.connect({ properties: { maximumPacketSize: MAXIMUM_PACKET_SIZE } });
    client.sendPublish('a', 'x', { qos: 2, packetId: 3 });
    await client.expect(PacketType.pubrec, { packetId: 3 });
    for (const id of [3, 999]) {
      client.sendAck(PacketType.pubrel, id);
      within(await client.expect(PacketType.pubcomp, { packetId: id }));
    }
  });
});
