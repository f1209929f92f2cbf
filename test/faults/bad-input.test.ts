import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect } from 'vitest';
import { disconnectReasonOf, type DisconnectReason } from '../../src/connection/disconnect-reasons.ts';
import { encodePacket } from '../../src/protocol/codec.ts';
import { type Packet, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { Random } from '../fakes/random.ts';
import { MALFORMED_CONNECT } from '../protocol/vectors/malformed-connect.ts';
import { MALFORMED_OTHERS } from '../protocol/vectors/malformed-others.ts';
import { MALFORMED_FROM_CLIENT, MALFORMED_PUBLISH } from '../protocol/vectors/malformed-publish.ts';
import { bytesOf, type MalformedVector } from '../protocol/vectors/notation.ts';
import { connectPacket } from '../support/connect-packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { test } from './scene.ts';

const TRANSPORTS = ['tcp', 'websocket'] as const;
const VERSIONS = [3, 4, 5] as const;

/** The start of the ClientHello of TLS 1.3. */
const TLS_HELLO = Buffer.concat([
  Buffer.from('16030100f8010000f40303', 'hex'),
  Buffer.alloc(32, 0x5a),
  Buffer.from('20', 'hex'),
  Buffer.alloc(32, 0xa5),
  Buffer.from('000813021303130100ff010000a3', 'hex'),
  Buffer.alloc(163),
]);

const HTTP_REQUEST = Buffer.from(
  `GET / HTTP/1.1\r\nHost: broker.example:1883\r\nUser-Agent: browser\r\nAccept: */*\r\nCookie: ${'a'.repeat(80)}\r\n\r\n`,
);

/** How often connections end for each reason when these vectors are sent. */
function reasonsOf(vectors: readonly MalformedVector[]): Partial<Record<DisconnectReason, number>> {
  const reasons = new Map<DisconnectReason, number>();
  for (const { reasonCode } of vectors) {
    const reason = disconnectReasonOf(reasonCode);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return Object.fromEntries(reasons);
}

/** Everything a client gets until the broker closes the connection. */
async function untilClosed(client: RawClient): Promise<Packet[]> {
  const packets: Packet[] = [];
  for (;;) {
    try {
      packets.push(await client.next());
    } catch (error) {
      if (client.violation === undefined && client.closed) return packets;
      throw error;
    }
  }
}

describe.each(TRANSPORTS)('bytes that are no packet, over %s', (transport) => {
  test('a malformed CONNECT ends its own connection, and is answered where its version can be read', async ({
    start,
  }) => {
    const scene = await start();
    let answers = 0;
    for (const { name, version, bytes, reasonCode } of MALFORMED_CONNECT) {
      // Whatever version it is that is not supported, the answer has the form of 3.1.1.
      const isUnsupported = reasonCode === ReasonCode.unsupportedProtocolVersion;
      const client = await scene.broker.open({ transport, version: isUnsupported ? 4 : version });
      client.send(bytesOf(bytes));
      const [answer, ...more] = await untilClosed(client);
      expect(more, name).toEqual([]);
      if (answer === undefined) continue;
      answers += 1;
      const expected = isUnsupported ? 1 : reasonCode;
      expect(answer, name).toMatchObject({ type: PacketType.connack, sessionPresent: false, reasonCode: expected });
    }
    expect(answers).toBeGreaterThan(MALFORMED_CONNECT.length / 3);
    await scene.expectEnded(reasonsOf(MALFORMED_CONNECT));
  });

  test('any other malformed packet ends its own connection with the reason code of its fault', async ({ start }) => {
    const scene = await start();
    const vectors = [...MALFORMED_PUBLISH, ...MALFORMED_FROM_CLIENT, ...MALFORMED_OTHERS];
    for (const { name, version, bytes, reasonCode } of vectors) {
      const client = await scene.broker.connect({ transport, version });
      client.send(bytesOf(bytes));
      const { disconnect } = await client.expectClose();
      expect(disconnect?.reasonCode, name).toBe(version === 5 ? reasonCode : undefined);
    }
    await scene.expectEnded(reasonsOf(vectors));
  });

  test('garbage closes the connection at once, or at the deadline for CONNECT', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock });
    const random = new Random(20_260_101);
    const clients: RawClient[] = [];
    for (let i = 0; i < 64; i++) {
      const client = await scene.broker.open({ transport });
      client.send(random.bytes(1 + random.below(2000)));
      clients.push(client);
    }
    await scene.expectUnharmed();
    clock.advance(10_000);
    for (const client of clients) await untilClosed(client);
    const ended = scene.ended();
    expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(64);
    const allowed = [
      'malformed-packet',
      'protocol-error',
      'packet-too-large',
      'connect-timeout',
      'unsupported-protocol-version',
    ];
    expect(allowed).toEqual(expect.arrayContaining(Object.keys(ended)));
  });
});

describe('other protocols', () => {
  test('a TLS hello to the plain port is closed without an answer', async ({ start }) => {
    const scene = await start();
    const client = await scene.broker.open();
    client.send(TLS_HELLO);
    await client.expectClose();
    await scene.expectEnded({ 'malformed-packet': 1 });
  });

  test('an HTTP request to the MQTT port is closed without an answer', async ({ start }) => {
    const scene = await start();
    const client = await scene.broker.open();
    client.send(HTTP_REQUEST);
    await client.expectClose();
    await scene.expectEnded({ 'protocol-error': 1 });
  });

  test('MQTT, a TLS hello and garbage on the WebSocket port never become a connection', async ({ start }) => {
    const scene = await start();
    const { accepted } = scene.broker.broker.counters().connections;
    const port = Number(new URL(scene.broker.webSocketUrl).port);
    for (const bytes of [encodePacket(connectPacket(5, 'x', {}), 5), TLS_HELLO, randomBytes(300)]) {
      const socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(scene.broker.broker.counters().connections.accepted).toBe(accepted);
    await scene.expectEnded({});
  });

  test('text frames and broken frames end a WebSocket connection', async ({ start }) => {
    const scene = await start();
    for (const bytes of [
      Buffer.from('8104deadbeef', 'hex'), // text, not masked
      Buffer.from('8184000000004d515454', 'hex'), // text
      Buffer.from('f284000000004d515454', 'hex'), // reserved bits
      Buffer.from('82ff7fffffffffffffff00000000', 'hex'), // a length no number can hold
      Buffer.from('82ff0000000040000000 00000000'.replace(' ', ''), 'hex'), // 1 GiB
    ]) {
      const webSocket = await scene.openUpgraded();
      webSocket.write(bytes);
      await new Promise((resolve) => webSocket.once('close', resolve));
    }
    await scene.expectEnded({ 'connection-lost': 5 });
  });
});

/** A whole life in one stream: what a careful client sends, QoS 2 to its end and a clean DISCONNECT. */
function wholeLife(version: ProtocolVersion): Buffer {
  const life: Packet[] = [
    connectPacket(version, 'cut', { username: 'ann', will: { topicName: 'cut/will', payload: 'gone' } }),
    {
      type: PacketType.subscribe,
      packetId: 1,
      subscriptions: [{ topicFilter: 'cut/+', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: {},
    },
    publishOf('cut/a', 'first', 1),
    publishOf('cut/b', 'second', 2),
    { type: PacketType.pubrel, packetId: 7, reasonCode: 0, properties: {} },
    { type: PacketType.pingreq },
    { type: PacketType.unsubscribe, packetId: 2, topicFilters: ['cut/+'], properties: {} },
    { type: PacketType.disconnect, reasonCode: 0, properties: {} },
  ];
  return Buffer.concat(life.map((packet) => encodePacket(packet, version)));
}

function publishOf(topicName: string, text: string, qos: 1 | 2): Packet {
  const payload = Buffer.from(text);
  const packetId = qos === 1 ? 6 : 7;
  return { type: PacketType.publish, dup: false, qos, retain: false, topicName, packetId, payload, properties: {} };
}

/** Types of the answers to `wholeLife`, in order. */
const ANSWERS = [
  PacketType.connack,
  PacketType.suback,
  PacketType.publish,
  PacketType.puback,
  PacketType.publish,
  PacketType.pubrec,
  PacketType.pubcomp,
  PacketType.pingresp,
  PacketType.unsuback,
];

describe.each(VERSIONS)('packets in pieces, version %s', (version) => {
  test('a stream cut in two at any byte means the same', async ({ start }) => {
    const scene = await start();
    const life = wholeLife(version);
    for (let cut = 1; cut < life.length; cut++) {
      const client = await scene.broker.open({ version });
      const before = scene.received;
      client.send(life.subarray(0, cut));
      await scene.untilReceived(before + cut);
      client.send(life.subarray(cut));
      const answers = await untilClosed(client);
      expect(
        answers.map(({ type }) => type),
        `cut at ${cut}`,
      ).toEqual(ANSWERS);
    }
    await scene.expectEnded({ 'client-disconnect': life.length - 1 });
  });

  test.for(TRANSPORTS)('a stream of single bytes means the same, over %s', async (transport, { start }) => {
    const scene = await start();
    const life = wholeLife(version);
    const client = await scene.broker.open({ version, transport });
    for (const byte of life) client.send(Buffer.of(byte));
    const answers = await untilClosed(client);
    expect(answers.map(({ type }) => type)).toEqual(ANSWERS);
    await scene.expectEnded({ 'client-disconnect': 1 });
  });

  test('a stream that ends at any byte counts up to its last whole packet', async ({ start }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe('cut/#', 2);
    const life = wholeLife(version);
    const connectEnd = encodePacket(
      connectPacket(version, 'cut', { username: 'ann', will: { topicName: 'cut/will', payload: 'gone' } }),
      version,
    ).length;
    const firstEnd = life.indexOf('first') + 5;
    const secondEnd = life.indexOf('second') + 6;
    for (let cut = 1; cut < life.length; cut++) {
      const { client, socket } = await scene.openSocket(version, 'cut');
      socket.end(life.subarray(0, cut));
      await untilClosed(client);
      if (cut >= firstEnd) await watcher.expectMessage({ topicName: 'cut/a', payload: 'first' });
      if (cut >= secondEnd) await watcher.expectMessage({ topicName: 'cut/b', payload: 'second' });
      if (cut >= connectEnd) await watcher.expectMessage({ topicName: 'cut/will', payload: 'gone' });
      await watcher.expectNothing();
    }
    await scene.expectEnded({ 'connection-lost': life.length - 1 });
    await scene.untilOpen(1);
  });
});

describe('topics at the limits', () => {
  const longest = `long/${'x'.repeat(65_530)}`;

  test('a topic name of 65,535 bytes is published, retained, matched and forwarded', async ({ start }) => {
    const scene = await start();
    const subscribers: RawClient[] = [];
    for (const version of VERSIONS) {
      const subscriber = await scene.broker.connect({ version });
      await subscriber.subscribe([longest, '#'], 1);
      subscribers.push(subscriber);
    }
    const publisher = await scene.broker.connect();
    await publisher.publish(longest, 'payload', { qos: 1, retain: true });
    for (const subscriber of subscribers) await subscriber.expectMessage({ topicName: longest, payload: 'payload' });
    const late = await scene.broker.connect();
    await late.subscribe('long/+');
    await late.expectMessage({ topicName: longest, payload: 'payload', retain: true });
    for (const subscriber of subscribers) await subscriber.disconnect();
    await scene.expectEnded({ 'client-disconnect': 3 });
  });

  test('a topic of more levels than the limit is refused, however it comes', async ({ start }) => {
    const scene = await start();
    const deepest = '/'.repeat(65_535);
    const client = await scene.broker.connect();
    client.sendSubscribe([deepest, 'a', `${'+/'.repeat(128)}#`], 1);
    await client.expect(PacketType.suback, {
      reasonCodes: [ReasonCode.topicFilterInvalid, 1, ReasonCode.topicFilterInvalid],
    });
    client.sendPublish(deepest, 'x', { qos: 1 });
    await client.expectDisconnect(ReasonCode.topicNameInvalid);
    for (const version of [3, 4] as const) {
      const old = await scene.broker.connect({ version });
      old.sendPublish(deepest, 'x');
      await old.expectClose();
    }
    await scene.expectEnded({ 'topic-name-invalid': 3 });
  });

  test('two byte strings that differ are two topics', async ({ start }) => {
    const scene = await start();
    // The same to the eye, or to a careless normaliser: composed and decomposed, with a byte order mark, with a joiner.
    const names = [
      'caf\u00e9',
      'cafe\u0301',
      '\ufeffcafe',
      'cafe\ufeff',
      'ca\u200dfe',
      'cafe',
      'CAFE',
      'cafe ',
      '/cafe',
      'cafe/',
    ];
    const publisher = await scene.broker.connect();
    for (const version of VERSIONS) {
      for (const topicName of names) {
        const subscriber = await scene.broker.connect({ version });
        await subscriber.subscribe(topicName, 1);
        for (const other of names) await publisher.publish(other, other, { qos: 1 });
        await subscriber.expectMessage({ topicName, payload: topicName });
        await subscriber.expectNothing();
      }
    }
  });
});
