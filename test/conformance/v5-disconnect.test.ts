import { describe, expect } from 'vitest';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { frame, mqttString, rawConnect, uint16 } from '../support/raw-bytes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { test } from './statement-test.ts';
import { expectPacketsRefused, properties as rawProperties, rawPublish } from './v5-bytes.ts';
import { KEPT, sizeOf } from './v5-raw.ts';

const WILL = { topicName: 'will', payload: 'gone', qos: 1 } as const;

/** Reason codes a client may put into DISCONNECT: those of table 3-10 but the ones of servers only. */
const OF_CLIENTS: readonly number[] = [
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
];

describe('PINGREQ', () => {
  test('[MQTT-3.12.4-1] is answered with PINGRESP, each of them', async ({ broker }) => {
    const client = await broker.connect();
    client.sendRaw('c000 c000 c000');
    for (let i = 0; i < 3; i += 1) await client.expect(PacketType.pingresp);
    await client.expectNothing();
  });
});

describe('DISCONNECT from the server', () => {
  test('[MQTT-3.14.0-1] never comes before a CONNACK that accepts', async ({ start }) => {
    const clock = new FakeClock();
    const broker = await start({ clock, hooks: { authenticate: () => ({ allow: false, reasonCode: 0x87 }) } });
    const packets = [
      frame(0xc0),
      frame(0x10, mqttString('MQTT')),
      rawConnect(5, { flags: 0x03, payload: [mqttString('a')] }),
      rawConnect(5, { payload: [mqttString('refused')] }),
      rawPublish('a'),
    ];
    for (const packet of packets) {
      const client = await broker.open();
      client.send(packet);
      const seen: number[] = [];
      client.onHeader = (firstByte) => seen.push(firstByte >> 4);
      for (;;) {
        const next = await client.next().catch(() => undefined);
        if (next === undefined) break;
        expect(next).toMatchObject({ type: PacketType.connack });
      }
      expect(client.closed).toBe(true);
      expect(seen).not.toContain(PacketType.disconnect);
    }
    const silent = await broker.open();
    silent.send(Buffer.from([0x10]));
    await broker.connect().catch(() => undefined);
    clock.advance(60_000);
    const { disconnect } = await silent.expectClose();
    expect(disconnect).toBeUndefined();
  });

  test('[MQTT-3.14.2-1] has the reason codes there are for it', async ({ broker }) => {
    const { malformedPacket, protocolError, topicNameInvalid, topicAliasInvalid } = ReasonCode;
    const violations: [number, Buffer][] = [
      [malformedPacket, frame(0xc1)],
      [protocolError, frame(0x20, Buffer.from([0, 0, 0]))],
      [topicNameInvalid, rawPublish('#')],
      [topicAliasInvalid, rawPublish('a', rawProperties(Buffer.from([0x23, 0xff, 0xff])))],
      [ReasonCode.packetTooLarge, Buffer.from('30ffffff7f', 'hex')],
    ];
    for (const [reasonCode, packet] of violations) await expectPacketsRefused(broker, reasonCode, [packet]);
    const taken = await broker.connect({ clientId: 'same' });
    await broker.connect({ clientId: 'same' });
    await taken.expectDisconnect(ReasonCode.sessionTakenOver);
    const ended = await broker.connect();
    broker.disconnect(ended.name);
    await ended.expectDisconnect(ReasonCode.administrativeAction);
  });

  test('[MQTT-3.14.2-1] has 0x8B where the server shuts down', async ({ start }) => {
    const broker = await start({});
    const client = await broker.connect();
    const closing = broker.broker.close();
    await client.expectDisconnect(ReasonCode.serverShuttingDown);
    await closing;
  });

  test('[MQTT-3.14.2-2] has no Session Expiry Interval', async ({ broker }) => {
    const violations = [frame(0xc1), rawPublish('#'), frame(0x82, uint16(1), rawProperties())];
    for (const packet of violations) {
      const client = await broker.connect({ ...KEPT, properties: { sessionExpiryInterval: 0xffff_ffff } });
      client.send(packet);
      const { disconnect } = await client.expectClose();
      expect(disconnect?.properties).toBeDefined();
      expect(disconnect?.properties.sessionExpiryInterval).toBeUndefined();
    }
  });

  test('[MQTT-3.14.2-2] one that gives a session an expiry CONNECT had not is answered with 0x82, and the will goes', async ({
    broker,
  }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('will', 1);
    const client = await broker.connect({ will: WILL });
    const properties = { sessionExpiryInterval: 1 };
    client.send({ type: PacketType.disconnect, reasonCode: 0, properties });
    await client.expectDisconnect(ReasonCode.protocolError);
    await watcher.expectMessage({ payload: 'gone' });
    const again = await broker.connect({ clientId: client.name, cleanStart: false });
    expect(again.connack.sessionPresent).toBe(false);
  });

  test('[MQTT-3.14.2-3][MQTT-3.14.2-4] never exceeds Maximum Packet Size with its properties', async ({ broker }) => {
    const maximumPacketSize = 16;
    const client = await broker.connect({ properties: { maximumPacketSize } });
    broker.disconnect(client.name, ReasonCode.administrativeAction, 'a long reason '.repeat(10));
    const disconnect = await client.expectDisconnect(ReasonCode.administrativeAction);
    expect(sizeOf(disconnect)).toBeLessThanOrEqual(maximumPacketSize);
    const roomy = await broker.connect();
    broker.disconnect(roomy.name, ReasonCode.administrativeAction, 'a long reason '.repeat(10));
    const full = await roomy.expectDisconnect(ReasonCode.administrativeAction);
    expect(full.properties.reasonString).toBe('a long reason '.repeat(10));
  });

  test('[MQTT-3.14.4-1] is the last packet, whatever comes in behind', async ({ broker }) => {
    const publisher = await broker.connect();
    const client = await broker.connect();
    await client.subscribe('a', 0);
    client.send(Buffer.concat([frame(0xc1), frame(0xc0), rawPublish('a'), frame(0xc0)]));
    for (let i = 0; i < 20; i += 1) publisher.sendPublish('a', 'x');
    // The client asserts that DISCONNECT is last, however much was sent before it.
    const { disconnect } = await client.expectClose();
    expect(disconnect?.reasonCode).toBe(ReasonCode.malformedPacket);
  });

  test('[MQTT-3.14.4-2] is followed by the end of the connection', async ({ broker }) => {
    const client = await broker.connect();
    client.send(frame(0xc1));
    await client.expect(PacketType.disconnect, { reasonCode: ReasonCode.malformedPacket });
    const { disconnect, reset } = await client.expectClose();
    expect({ disconnect, reset }).toEqual({ disconnect: undefined, reset: false });
  });
});

describe('DISCONNECT from a client', () => {
  test('[MQTT-3.14.1-1] with reserved bits is answered with 0x81, and the will goes', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('will', 1);
    for (let flags = 1; flags < 16; flags += 1) {
      const client = await broker.connect({ will: WILL });
      client.send(frame(0xe0 | flags));
      await client.expectDisconnect(ReasonCode.malformedPacket);
      await watcher.expectMessage({ payload: 'gone' });
    }
  });

  test('[MQTT-3.14.2-1] with a reason code there is not is answered with 0x82', async ({ broker }) => {
    const packets = [0x01, 0x02, 0x10, 0x11, 0x18, 0x84, 0x85, 0x86, 0x91, 0x92, 0xa3, 0xff].map((code) =>
      frame(0xe0, Buffer.from([code])),
    );
    await expectPacketsRefused(broker, ReasonCode.protocolError, packets);
  });

  test('[MQTT-3.14.4-1] nothing that comes behind it is handled', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('#', 1);
    const client = await broker.connect();
    client.send(Buffer.concat([frame(0xe0), rawPublish('a'), frame(0xc0)]));
    await client.expectClose();
    await watcher.expectNothing();
  });

  test('[MQTT-3.14.4-2] the server closes where the client does not', async ({ broker }) => {
    for (const code of OF_CLIENTS) {
      const client = await broker.connect();
      client.send(frame(0xe0, Buffer.from([code])));
      const { disconnect, reset } = await client.expectClose();
      expect({ disconnect, reset }).toEqual({ disconnect: undefined, reset: false });
    }
  });

  test('[MQTT-3.14.4-3] 0x00 drops the will, any other code publishes it', async ({ broker }) => {
    const watcher = await broker.connect();
    await watcher.subscribe('will', 1);
    for (const code of OF_CLIENTS) {
      const client = await broker.connect({ will: WILL });
      await client.disconnect(code);
      if (code !== 0) await watcher.expectMessage({ payload: 'gone' });
      await watcher.expectNothing();
    }
    const short = await broker.connect({ will: WILL });
    short.sendRaw('e000');
    await short.expectClose();
    await watcher.expectNothing();
  });

  test('[MQTT-3.14.4-3] 0x00 drops the will for good, also one with a delay', async ({ start }) => {
    const broker = await start({ clock: new FakeClock() });
    const watcher = await broker.connect();
    await watcher.subscribe('will', 1);
    const will = { ...WILL, properties: { willDelayInterval: 10 } };
    const client = await broker.connect({ ...KEPT, will });
    await client.disconnect(ReasonCode.success);
    broker.advance(5_000_000);
    await watcher.expectNothing();
  });
});
