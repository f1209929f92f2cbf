import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { openWebSocket } from '../support/client-socket.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { frame, uint16 } from '../support/raw-bytes.ts';
import { RawClient } from '../support/raw-client.ts';
import { test } from './statement-test.ts';
import { V3_VERSIONS } from './v3-versions.ts';

/** Opens a WebSocket that offers these sub-protocols. @returns the one chosen, or the HTTP status of the refusal. */
function offer(url: string, subProtocols: readonly string[]): Promise<string | number> {
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url, [...subProtocols]);
    webSocket.once('open', () => {
      resolve(webSocket.protocol);
      webSocket.terminate();
    });
    webSocket.once('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    webSocket.once('error', reject);
  });
}

describe.each(V3_VERSIONS)('transports of MQTT %s', (name, version) => {
  test(`[v3 MQTT-4.2.0-1][v3 MQTT-7.1.1-1] TCP and WebSocket carry every byte in order, both ways (${name})`, async ({
    broker,
  }) => {
    for (const transport of ['tcp', 'websocket'] as const) {
      const client = await broker.connect({ version, transport });
      await client.subscribe('a', 1);
      const payloads = [0, 1, 125, 126, 127, 16_383, 65_535, 65_536, 1_000_000].map((length) =>
        Buffer.alloc(length, `payload of ${length} bytes. `),
      );
      for (const payload of payloads) client.sendPublish('a', payload, { qos: 1 });
      const got: Buffer[] = [];
      while (got.length < payloads.length) {
        const packet = await client.next();
        if (packet.type !== PacketType.publish) continue;
        got.push(Buffer.from(packet.payload));
        client.sendAck(PacketType.puback, packet.packetId);
      }
      expect(got.map((payload, i) => payload.equals(payloads[i]!))).toEqual(payloads.map(() => true));
    }
  });

  test(`[v3 MQTT-6.0.0-1] a WebSocket text frame closes the connection (${name})`, async ({ broker }) => {
    for (const isConnected of [false, true]) {
      const client = new RawClient(`text-${isConnected}`, version);
      const socket = await openWebSocket(broker.webSocketUrl, client);
      client.attach(socket);
      if (isConnected) await client.connect();
      // Bytes that would be the beginning of a packet, had they come in a binary frame.
      socket.webSocket.send('0\u0003\u0000\u0001a', { binary: false });
      await client.expectClose();
    }
  });

  test(`[v3 MQTT-6.0.0-2] packets may be cut and gathered in WebSocket frames at will (${name})`, async ({
    broker,
  }) => {
    const client = await broker.open({ version, transport: 'websocket' });
    const connect = encodePacket(connectPacket(version, 'framed', {}), version);
    for (const byte of connect) client.send(Buffer.from([byte]));
    await client.expectConnack(0);
    const pings = Buffer.from('c000c000c000', 'hex');
    client.send(Buffer.concat([pings, Buffer.from('c0', 'hex')]));
    for (let i = 0; i < 3; i += 1) await client.expect(PacketType.pingresp);
    client.send(Buffer.from('00c0', 'hex'));
    await client.expect(PacketType.pingresp);
    client.send(Buffer.alloc(0));
    client.send(Buffer.from('00', 'hex'));
    await client.expect(PacketType.pingresp);
    await client.expectNothing();
  });

  test(`[v3 MQTT-7.0.0-2] nothing outside the standard is needed: bytes written from it alone are served (${name})`, async ({
    broker,
  }) => {
    const client = await broker.open({ version });
    const headers: number[] = [];
    client.onHeader = (first) => headers.push(first);
    client.sendRaw(
      version === 4 ? '100d 0004 4d515454 04 02 0000 0001 61' : '100f 0006 4d5149736470 03 02 0000 0001 61',
    );
    await client.expectConnack(0);
    client.sendRaw('8206 0001 0001 62 02');
    await client.expect(PacketType.suback, { packetId: 1, reasonCodes: [2] });
    client.sendRaw('3406 0001 63 0002 78');
    await client.expect(PacketType.pubrec, { packetId: 2 });
    client.sendRaw('6202 0002');
    await client.expect(PacketType.pubcomp, { packetId: 2 });
    client.sendRaw('3206 0001 62 0004 78');
    // The order of an acknowledgement and the message it is for is the broker's choice.
    const both = [await client.next(), await client.next()];
    expect(both).toContainEqual({ type: PacketType.puback, packetId: 4, reasonCode: 0, properties: {} });
    const publish = both.find((packet) => packet.type === PacketType.publish);
    expect(publish).toMatchObject({ topicName: 'b', qos: 1, payload: new Uint8Array([0x78]) });
    client.send(frame(0x40, uint16(publish?.packetId ?? 0)));
    client.sendRaw('a205 0003 0001 62');
    await client.expect(PacketType.unsuback, { packetId: 3 });
    client.sendRaw('c000');
    await client.expect(PacketType.pingresp);
    client.sendRaw('e000');
    await client.expectClose();
    expect(headers.toSorted((a, b) => a - b)).toEqual([0x20, 0x32, 0x40, 0x50, 0x70, 0x90, 0xb0, 0xd0]);
  });
});

describe('sub-protocols of WebSockets', () => {
  test('[v3 MQTT-6.0.0-3] a client that does not offer mqtt is refused', async ({ broker }) => {
    for (const offered of [[], ['soap'], ['MQTT'], ['mqttx', 'wamp']]) {
      expect(await offer(broker.webSocketUrl, offered)).toBe(400);
    }
  });

  test('[v3 MQTT-6.0.0-4] the server chooses mqtt', async ({ broker }) => {
    expect(await offer(broker.webSocketUrl, ['mqtt'])).toBe('mqtt');
    expect(await offer(broker.webSocketUrl, ['soap', 'mqtt'])).toBe('mqtt');
    const client = await broker.connect({ version: 4, transport: 'websocket' });
    await client.expectNothing();
  });
});
