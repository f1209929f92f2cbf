import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import { type Packet, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { openTcp } from './client-socket.ts';
import { RawClient } from './raw-client.ts';

/** A server that answers the first bytes it gets with a script, and then ends the connection where the script says so. */
class ScriptedServer {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];

  constructor(answer: Uint8Array, end: boolean) {
    this.#server = createServer((socket) => {
      this.#sockets.push(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write(answer);
        if (end) socket.end();
      });
    });
  }

  async open(version: ProtocolVersion): Promise<RawClient> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const client = new RawClient('client', version);
    return client.attach(await openTcp('127.0.0.1', address.port, client));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

const connack: Packet = { type: PacketType.connack, sessionPresent: false, reasonCode: 0, properties: {} };
const publish = (payload: string): Packet => ({
  type: PacketType.publish,
  dup: false,
  qos: 0,
  retain: false,
  topicName: 'a',
  packetId: 0,
  payload: Buffer.from(payload),
  properties: {},
});
const bytes = (version: ProtocolVersion, ...packets: Packet[]): Buffer =>
  Buffer.concat(packets.map((packet) => encodePacket(packet, version)));

describe('RawClient', () => {
  let server: ScriptedServer | undefined;
  beforeEach(() => {
    server = undefined;
  });
  afterEach(() => server?.close());

  const openTo = (version: ProtocolVersion, answer: Uint8Array, end = false): Promise<RawClient> => {
    server = new ScriptedServer(answer, end);
    return server.open(version);
  };

  test('takes an acknowledgement out of what came before it and keeps the rest in order', async () => {
    const suback: Packet = { type: PacketType.suback, packetId: 1, reasonCodes: [0], properties: {} };
    const client = await openTo(4, bytes(4, connack, publish('one'), suback, publish('two')));
    client.sendConnect();
    await client.expectConnack(0);
    expect((await client.subscribe('a')).packetId).toBe(1);
    await client.expectPublish({ payload: 'one' });
    await client.expectPublish({ payload: 'two' });
  });

  test('fails where a packet of another type comes', async () => {
    const client = await openTo(4, bytes(4, connack, publish('one')));
    await client.connect();
    await expect(client.expect(PacketType.suback)).rejects.toThrow('PUBLISH');
  });

  test('fails where a field differs', async () => {
    const client = await openTo(4, bytes(4, connack, publish('one')));
    await client.connect();
    await expect(client.expectPublish({ payload: 'two' })).rejects.toThrow('two');
  });

  test('fails where something comes instead of nothing', async () => {
    const client = await openTo(4, bytes(4, connack, publish('one'), { type: PacketType.pingresp }));
    await client.connect();
    await expect(client.expectNothing()).rejects.toThrow('PUBLISH');
  });

  test('fails where something precedes the close', async () => {
    const client = await openTo(4, bytes(4, connack, publish('one')), true);
    await client.connect();
    await expect(client.expectClose()).rejects.toThrow('packets before the connection closed');
  });

  test('tells the DISCONNECT before a close', async () => {
    const client = await openTo(
      5,
      bytes(5, connack, { type: PacketType.disconnect, reasonCode: 0x8b, properties: {} }),
      true,
    );
    await client.connect();
    expect((await client.expectDisconnect(0x8b)).reasonCode).toBe(0x8b);
  });

  test('fails where the connection stays open', async () => {
    const client = await openTo(4, bytes(4, connack));
    await client.connect();
    await expect(client.expectClose(50)).rejects.toThrow('waited 50 ms for the connection to close');
  });

  test.each([
    ['a malformed packet', Buffer.from('d001ff', 'hex')],
    ['a packet only clients send', Buffer.from('c000', 'hex')],
    ['a second CONNACK', bytes(4, connack)],
  ])('holds %s against the server, whatever the test waits for', async (_what, wrong) => {
    const client = await openTo(4, Buffer.concat([bytes(4, connack), wrong, bytes(4, publish('one'))]));
    client.sendConnect();
    await expect(client.expectPublish()).rejects.toThrow('what it must not send');
    expect(client.violation).toContain('what it must not send');
  });

  test('holds half a packet before the close against the server', async () => {
    const client = await openTo(4, Buffer.concat([bytes(4, connack), Buffer.from('3005', 'hex')]), true);
    await client.connect();
    await expect(client.next()).rejects.toThrow('half a packet');
  });

  test('throws where the broker refuses what a test prepares', async () => {
    const client = await openTo(4, bytes(4, { ...connack, reasonCode: 5 }), true);
    await expect(client.connect()).rejects.toThrow('refused: 0x5');
  });
});
