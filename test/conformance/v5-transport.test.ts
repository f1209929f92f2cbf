import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { openWebSocket } from '../support/client-socket.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { RawClient } from '../support/raw-client.ts';
import { test } from './statement-test.ts';

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

describe('transports', () => {
  test('[MQTT-4.2-1] TCP and WebSocket carry every byte in order, both ways', async ({ broker }) => {
    for (const transport of ['tcp', 'websocket'] as const) {
      const client = await broker.connect({ transport });
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

  test('[MQTT-4.2-1] a client on one reaches a client on the other', async ({ broker }) => {
    const tcp = await broker.connect({ transport: 'tcp' });
    const webSocket = await broker.connect({ transport: 'websocket' });
    for (const [from, to] of [
      [tcp, webSocket],
      [webSocket, tcp],
    ] as const) {
      await to.subscribe('a', 2);
      await from.publish('a', 'x', { qos: 2 });
      await to.expectMessage({ payload: 'x', qos: 2 });
      await to.unsubscribe('a');
    }
  });
});

describe('WebSocket', () => {
  test('[MQTT-6.0.0-1] a text frame closes the connection', async ({ broker }) => {
    for (const isConnected of [false, true]) {
      const client = new RawClient(`text-${isConnected}`, 5);
      const socket = await openWebSocket(broker.webSocketUrl, client);
      client.attach(socket);
      if (isConnected) await client.connect();
      // Bytes that would be the beginning of a packet, had they come in a binary frame.
      socket.webSocket.send('0\u0004\u0000\u0001a\u0000', { binary: false });
      await client.expectClose();
    }
  });

  test('[MQTT-6.0.0-1] the server sends binary frames only', async ({ broker }) => {
    const client = new RawClient('binary', 5);
    const socket = await openWebSocket(broker.webSocketUrl, client);
    const isBinary: boolean[] = [];
    socket.webSocket.on('message', (_data, binary) => isBinary.push(binary));
    client.attach(socket);
    await client.connect();
    await client.subscribe('a', 1);
    await client.publish('a', 'text', { qos: 1 });
    await client.expectMessage({ payload: 'text' });
    await client.unsubscribe('a');
    client.sendRaw('c100');
    await client.expectDisconnect(0x81);
    expect(isBinary.length).toBeGreaterThan(0);
    expect(isBinary).not.toContain(false);
  });

  test('[MQTT-6.0.0-2] packets may be cut and gathered in frames at will', async ({ broker }) => {
    const client = await broker.open({ transport: 'websocket' });
    const connect = encodePacket(connectPacket(5, 'framed', {}), 5);
    for (const byte of connect) client.send(Buffer.from([byte]));
    await client.expectConnack(0);
    client.sendRaw('c000c000c000 c0');
    for (let i = 0; i < 3; i += 1) await client.expect(PacketType.pingresp);
    client.sendRaw('00c0');
    await client.expect(PacketType.pingresp);
    client.send(Buffer.alloc(0));
    client.sendRaw('00');
    await client.expect(PacketType.pingresp);
    await client.expectNothing();
  });

  test('[MQTT-6.0.0-3] a client that does not offer mqtt is refused', async ({ broker }) => {
    for (const offered of [[], ['soap'], ['MQTT'], ['mqttx', 'wamp']]) {
      expect(await offer(broker.webSocketUrl, offered)).toBe(400);
    }
  });

  test('[MQTT-6.0.0-4] the server chooses mqtt', async ({ broker }) => {
    for (const offered of [['mqtt'], ['soap', 'mqtt'], ['mqttv3.1', 'mqtt']]) {
      expect(await offer(broker.webSocketUrl, offered)).toBe('mqtt');
    }
    const client = await broker.connect({ transport: 'websocket' });
    await client.expectNothing();
  });
});
