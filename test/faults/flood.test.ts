import { once } from 'node:events';
import { describe, expect } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import type { ByteStream, ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HeldStore } from '../session/held-store.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { frame, mqttString, uint16 } from '../support/raw-bytes.ts';
import { RawClient } from '../support/raw-client.ts';
import { heldBytes } from './held-bytes.ts';
import { test, until } from './scene.ts';

const TRANSPORTS = ['tcp', 'websocket'] as const;
const MIB = 1024 * 1024;
/** The Remaining Length of a packet of 256 MiB, the most there is. */
const LARGEST = 'ffffff7f';

/** A stream whose peer, while it is stuck, reads nothing. */
class StuckStream implements ByteStream {
  readonly remoteAddress: string = 'stuck';
  readonly transport: string = 'stuck';
  handler: ByteStreamHandler | undefined;
  onWritten: ((bytes: Uint8Array) => void) | undefined;
  isStuck = false;
  isPaused = false;

  attach(handler: ByteStreamHandler): void {
    this.handler = handler;
  }

  write(bytes: Uint8Array): boolean {
    this.onWritten?.(bytes);
    return !this.isStuck;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    this.handler?.onClose(undefined);
    this.handler = undefined;
  }
}

describe('announcements of large packets', () => {
  test.for(TRANSPORTS)('a CONNECT of 256 MiB is refused from its header, over %s', async (transport, { start }) => {
    const scene = await start();
    const before = heldBytes();
    for (let i = 0; i < 20; i++) {
      const client = await scene.broker.open({ transport });
      client.sendRaw(`10 ${LARGEST} 0004`);
      await client.expectClose();
    }
    await scene.expectEnded({ 'packet-too-large': 20 });
    expect(heldBytes() - before).toBeLessThan(8 * MIB);
  });

  test('20 connections that announce as large a CONNECT as they may, and send nothing of it, cost next to nothing', async ({
    start,
  }) => {
    const scene = await start({ config: { limits: { connectBytesMax: 268_435_460 } } });
    const before = heldBytes();
    const from = scene.received;
    for (let i = 0; i < 20; i++) {
      const client = await scene.broker.open();
      client.sendRaw(`10 ${LARGEST} 0004 4d515454 05`);
    }
    await scene.untilReceived(from + 20 * 12);
    await scene.expectUnharmed();
    expect(heldBytes() - before).toBeLessThan(8 * MIB);
    expect(scene.broker.broker.counters().connections.open).toBe(22);
  });

  test('20 connected clients that announce a PUBLISH of 256 MiB cost what they sent of it', async ({ start }) => {
    const scene = await start({ config: { limits: { maximumPacketSize: 268_435_460 } } });
    const sent = Buffer.concat([Buffer.from(`30${LARGEST}`, 'hex'), mqttString('a'), Buffer.alloc(10_000)]);
    const clients: RawClient[] = [];
    for (let i = 0; i < 20; i++) clients.push(await scene.broker.connect());
    const before = heldBytes();
    const from = scene.received;
    for (const client of clients) client.send(sent);
    await scene.untilReceived(from + 20 * sent.length);
    expect(heldBytes() - before).toBeLessThan(8 * MIB);
    for (const client of clients) client.destroy();
    await scene.expectEnded({ 'connection-lost': 20 });
  });

  test('a PUBLISH above maximumPacketSize is refused from its header', async ({ start }) => {
    const scene = await start({ config: { limits: { maximumPacketSize: 2048 } } });
    const client = await scene.broker.connect();
    expect(client.connack.properties.maximumPacketSize).toBe(2048);
    const { length } = encodePacket(
      {
        type: PacketType.publish,
        dup: false,
        qos: 0,
        retain: false,
        topicName: 'a',
        packetId: 0,
        payload: new Uint8Array(),
        properties: {},
      },
      5,
    );
    // One byte more of Remaining Length from 128 on.
    await client.publish('a', Buffer.alloc(2048 - length - 1));
    client.sendRaw('30 fe0f');
    await client.expectDisconnect(ReasonCode.packetTooLarge);
    for (const version of [3, 4] as const) {
      const old = await scene.broker.connect({ version });
      old.sendRaw('30 fe0f');
      await old.expectClose();
    }
    await scene.expectEnded({ 'packet-too-large': 3 });
  });
});

/** A frame of a client, masked with zeros, its payload as far as it is there. */
function webSocketFrame(firstByte: number, payload: Uint8Array, announced: number = payload.length): Buffer {
  const head = Buffer.alloc(14);
  head[0] = firstByte;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(announced), 2);
  return Buffer.concat([head, payload]);
}

describe('frames of a WebSocket', () => {
  test('that are not whole are gathered before CONNECT up to connectBytesMax, fragments among them', async ({
    start,
  }) => {
    const scene = await start();
    const ping = Buffer.from('898400000000aaaaaaaa', 'hex');
    const fragment = Buffer.concat([webSocketFrame(0x00, Buffer.alloc(20_000)), ping]);
    for (const sent of [
      [webSocketFrame(0x82, Buffer.alloc(200_000), MIB)],
      [webSocketFrame(0x02, Buffer.alloc(1)), ...Array.from({ length: 10 }, () => fragment)],
    ]) {
      const socket = await scene.openUpgraded();
      const closed = once(socket, 'close');
      let said = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        said = Buffer.concat([said, chunk]);
        // The message is too big, behind the answers to pings.
        if (said.includes(Buffer.from('03f1', 'hex'))) socket.end();
      });
      for (const bytes of sent) socket.write(bytes);
      await closed;
      expect(said.includes(Buffer.from('03f1', 'hex'))).toBe(true);
    }
    await scene.untilOpen(0);
    const client = await scene.broker.connect({ transport: 'websocket' });
    await client.publish('large', Buffer.alloc(4 * MIB));
    // Pings are no part of a message.
    const socket = await scene.openUpgraded();
    let pongs = 0;
    socket.on('data', (chunk: Buffer) => (pongs += chunk.length / 6));
    for (let sent = 40; sent < 20_000; sent += 40) {
      socket.write(Buffer.concat(Array.from({ length: 40 }, () => ping)));
      while (pongs < sent) await once(socket, 'data');
    }
    socket.destroy();
  });

  test('that are pings whose answers are not read end the connection', async ({ start }) => {
    const scene = await start();
    const socket = await scene.openUpgraded();
    socket.pause();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const before = heldBytes();
    const pings = Buffer.concat(Array.from({ length: 500 }, () => Buffer.from(`89fd${'00'.repeat(129)}`, 'hex')));
    while (!socket.destroyed && (socket.write(pings) || socket.writableLength < 64 * MIB))
      await new Promise((resolve) => setImmediate(resolve));
    await closed;
    expect(heldBytes() - before).toBeLessThan(16 * MIB);
  });
});

describe('slow and many CONNECTs', () => {
  test.for(TRANSPORTS)('a CONNECT that comes byte by byte has one deadline, over %s', async (transport, { start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, config: { limits: { connectTimeoutMs: 5000 } } });
    const client = await scene.broker.open({ transport });
    const connect = encodePacket(connectPacket(5, 'x'.repeat(100), {}), 5);
    for (let sent = 0; sent < 49; sent++) {
      const from = scene.received;
      client.send(connect.subarray(sent, sent + 1));
      await scene.untilReceived(from + 1);
      clock.advance(100);
    }
    clock.advance(99);
    expect(client.closed).toBe(false);
    await scene.expectEnded({});
    clock.advance(1);
    await client.expectClose();
    await scene.expectEnded({ 'connect-timeout': 1 });
  });

  test('a connection that sends nothing at all is closed at the deadline', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock });
    const clients = [await scene.broker.open(), await scene.broker.open({ transport: 'websocket' })];
    await scene.untilOpen(2);
    clock.advance(9_999);
    await scene.expectUnharmed();
    await scene.expectEnded({});
    clock.advance(1);
    for (const client of clients) await client.expectClose();
    await scene.expectEnded({ 'connect-timeout': 2 });
  });

  test('connections of one address beyond the limit are closed, until others have finished or gone', async ({
    start,
  }) => {
    const clock = new FakeClock();
    const config = { limits: { pendingConnectionsPerAddressMax: 5, addressesExempt: [] } };
    const scene = await start({ clock, config });
    const refused = (): number => scene.broker.broker.counters().limits['pending-connections-per-address'];
    const pending: RawClient[] = [];
    for (let i = 0; i < 5; i++) pending.push(await scene.broker.open({ transport: i < 3 ? 'tcp' : 'websocket' }));
    await scene.untilOpen(5);
    for (let i = 0; i < 50; i++) await (await scene.broker.open()).expectClose();
    await scene.expectEnded({});
    expect(refused()).toBe(50);
    await scene.expectUnharmed();
    // One has finished CONNECT, one is gone, three have run out of time.
    await pending[0]?.connect();
    pending[1]?.destroy();
    await scene.expectEnded({ 'connection-lost': 1 });
    for (let i = 0; i < 2; i++) pending.push(await scene.broker.open());
    await scene.untilOpen(6);
    await (await scene.broker.open()).expectClose();
    clock.advance(10_000);
    await scene.expectEnded({ 'connection-lost': 1, 'connect-timeout': 5 });
    expect(refused()).toBe(51);
    await scene.broker.connect();
  });

  test('no more clients than connectionsMax are let in, also where they are asked for at the same time', async ({
    start,
  }) => {
    const gate = Promise.withResolvers<void>();
    let waiting = 0;
    const scene = await start({
      config: { limits: { connectionsMax: 4 } },
      hooks: {
        authenticate: async ({ clientId }) => {
          if (clientId.startsWith('canary')) return { allow: true };
          waiting += 1;
          await gate.promise;
          return { allow: true };
        },
      },
    });
    const clients: RawClient[] = [];
    for (let i = 0; i < 6; i++) {
      const client = await scene.broker.open();
      client.sendConnect();
      clients.push(client);
    }
    await until(() => waiting === 6, 'all in the hook');
    gate.resolve();
    const codes: number[] = [];
    for (const client of clients) codes.push((await client.expect(PacketType.connack)).reasonCode);
    expect(codes).toEqual([0, 0, 0x97, 0x97, 0x97, 0x97]);
    await scene.expectEnded({ 'quota-exceeded': 4 });
    // Whoever is in already takes no second place.
    const again = await scene.broker.connect({ clientId: clients[0]?.name ?? '' });
    await again.expectNothing();
    await scene.expectEnded({ 'quota-exceeded': 4, 'taken-over': 1 });
  });
});

describe('clients that ask for more than they read', () => {
  test('a client that never reads its answers is not read from any more, and gets them all once it reads', async ({
    start,
  }) => {
    const scene = await start();
    const stream = new StuckStream();
    const client = new RawClient('stuck', 5);
    client.attach({
      write: (bytes) => stream.handler?.onBytes(Buffer.from(bytes)),
      pause: () => undefined,
      resume: () => undefined,
      destroy: () => stream.destroy(),
    });
    stream.onWritten = (bytes) => client.onBytes(Buffer.from(bytes));
    scene.broker.broker.accept(stream);
    await client.connect();
    stream.isStuck = true;
    // Each is answered by more than 20,000 bytes.
    const filters = Array.from({ length: 20_000 }, () => mqttString('a'));
    let requests = 0;
    while (!stream.isPaused && requests < 200) {
      requests += 1;
      client.send(frame(0xa2, uint16(requests), Buffer.from([0]), ...filters));
      await scene.expectUnharmed();
    }
    // A mebibyte of answers, and what the stream took before it was full.
    expect(requests).toBeLessThan(60);
    stream.isStuck = false;
    stream.handler?.onDrain();
    for (let packetId = 1; packetId <= requests; packetId++) await client.expect(PacketType.unsuback, { packetId });
    expect(stream.isPaused).toBe(false);
    await client.expectNothing();
    client.destroy();
    await scene.expectEnded({ 'connection-lost': 1 });
  });

  test('a client is not read from while more of its requests than the Receive Maximum wait for the store', async ({
    start,
  }) => {
    const store = new HeldStore();
    const scene = await start({ store, config: { limits: { receiveMaximum: 100 } } });
    const client = await scene.broker.connect({ properties: { sessionExpiryInterval: 60 } });
    store.isHeld = true;
    const filters = 100_000;
    const bytes: Buffer[] = [];
    for (let i = 0; i < filters; i++) {
      bytes.push(frame(0x82, uint16((i % 65_535) + 1), Buffer.from([0]), mqttString('a/b'), Buffer.from([i % 3])));
    }
    const from = scene.broker.broker.counters().traffic.packetsReceived;
    client.send(Buffer.concat(bytes));
    await until(() => store.waiting === 1, 'a commit that waits');
    await scene.expectUnharmed();
    await scene.expectUnharmed();
    // A chunk holds some thousands of them.
    expect(scene.broker.broker.counters().traffic.packetsReceived - from).toBeLessThan(30_000);
    store.isHeld = false;
    store.release();
    for (let i = 0; i < filters; i++) await client.next();
    await client.expectNothing();
  });
});
