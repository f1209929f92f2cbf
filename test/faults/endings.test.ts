import { once } from 'node:events';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import type { DisconnectReason } from '../../src/connection/disconnect-reasons.ts';
import type { AuthenticateResult, Hooks } from '../../src/hooks/hooks.ts';
import { encodePacket } from '../../src/protocol/codec.ts';
import { type Packet, PacketType, type ProtocolVersion, type Qos } from '../../src/protocol/packets.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { type Scene, type SocketClient, test, until } from './scene.ts';

const VERSIONS = [3, 4, 5] as const;
const WILL = { topicName: 'end/will', payload: 'gone' };

function bytesOf(version: ProtocolVersion, packets: readonly Packet[]): Buffer {
  return Buffer.concat(packets.map((packet) => encodePacket(packet, version)));
}

function publishOf(topicName: string, text: string, qos: Qos): Packet {
  const payload = Buffer.from(text);
  return {
    type: PacketType.publish,
    dup: false,
    qos,
    retain: false,
    topicName,
    packetId: qos,
    payload,
    properties: {},
  };
}

const SUBSCRIBE: Packet = {
  type: PacketType.subscribe,
  packetId: 9,
  subscriptions: [{ topicFilter: 'end/own', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
  properties: {},
};
const DISCONNECT: Packet = { type: PacketType.disconnect, reasonCode: 0, properties: {} };

/** A moment in the life of a connection: brings a client there. */
interface Moment {
  name: string;
  /** @returns once the client is there. */
  reach: (scene: Scene, opened: SocketClient) => Promise<void>;
  /** Whether the will is due when the connection breaks off now. */
  will: boolean;
}

async function connected({ client }: SocketClient): Promise<void> {
  await client.connect({ will: WILL, clientId: 'reset' });
}

/** Sends bytes and waits until the broker has them. */
async function delivered(scene: Scene, { client }: SocketClient, bytes: Buffer): Promise<void> {
  const from = scene.received;
  client.send(bytes);
  await scene.untilReceived(from + bytes.length);
}

const PUBLISH_2 = bytesOf(5, [publishOf('end/message', 'two', 2)]);

const MOMENTS: readonly Moment[] = [
  { name: 'before a byte', reach: async () => undefined, will: false },
  {
    name: 'within CONNECT',
    reach: (scene, opened) =>
      delivered(scene, opened, bytesOf(5, [connectPacket(5, 'reset', { will: WILL })]).subarray(0, 9)),
    will: false,
  },
  {
    name: 'behind CONNECT, without a look at CONNACK',
    reach: async (scene, opened) => {
      await delivered(scene, opened, bytesOf(5, [connectPacket(5, 'reset', { will: WILL })]));
      await until(() => scene.broker.broker.counters().connections.clients === 4, 'the client');
    },
    will: true,
  },
  { name: 'behind CONNACK', reach: (_scene, opened) => connected(opened), will: true },
  {
    name: 'behind SUBSCRIBE',
    reach: async (scene, opened) => {
      await connected(opened);
      await delivered(scene, opened, bytesOf(5, [SUBSCRIBE]));
    },
    will: true,
  },
  {
    name: 'within PUBLISH',
    reach: async (scene, opened) => {
      await connected(opened);
      await delivered(scene, opened, PUBLISH_2.subarray(0, 12));
    },
    will: true,
  },
  {
    name: 'with messages in flight to it',
    reach: async (scene, opened) => {
      await connected(opened);
      await opened.client.subscribe('end/own', 2);
      const publisher = await scene.broker.connect();
      for (const qos of [0, 1, 2] as const) await publisher.publish('end/own', 'x', { qos });
      for (const qos of [0, 1, 2] as const) await opened.client.expectPublish({ qos });
      await publisher.disconnect();
    },
    will: true,
  },
  {
    name: 'between PUBREC and PUBCOMP',
    reach: async (_scene, opened) => {
      await connected(opened);
      await opened.client.subscribe('end/own', 2);
      const packetId = opened.client.sendPublish('end/own', 'x', { qos: 2 });
      const { packetId: theirs } = await opened.client.expectPublish({ qos: 2 });
      await opened.client.expect(PacketType.pubrec, { packetId });
      opened.client.sendAck(PacketType.pubrec, theirs);
      await opened.client.expect(PacketType.pubrel, { packetId: theirs });
    },
    will: true,
  },
];

describe('a connection that is reset', () => {
  test.for(MOMENTS)('$name', async ({ reach, will }, { start }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe(['end/message', 'end/will'], 2);
    const opened = await scene.openSocket();
    await reach(scene, opened);
    const before = scene.ended();
    opened.socket.resetAndDestroy();
    await scene.expectEnded({ ...before, 'connection-lost': 1 });
    if (will) await watcher.expectMessage(WILL);
    await watcher.expectNothing();
    await scene.untilOpen(1);
    const again = await scene.broker.connect({ clientId: 'reset', cleanStart: false });
    expect(again.connack.sessionPresent).toBe(false);
  });

  test('while the broker is about to close it for a fault', async ({ start }) => {
    const scene = await start();
    for (let i = 0; i < 20; i++) {
      const { client, socket } = await scene.openSocket();
      await client.connect();
      client.sendRaw('0000');
      socket.resetAndDestroy();
    }
    // Whichever the broker sees first.
    await until(() => scene.broker.broker.counters().connections.open === 2, 'all gone');
    const ended = scene.ended();
    expect((ended['malformed-packet'] ?? 0) + (ended['connection-lost'] ?? 0)).toBe(20);
  });
});

/** An authenticate hook that keeps clients waiting whose id begins with `gate`. */
class Gate {
  readonly #waiting: ((result: AuthenticateResult) => void)[] = [];
  readonly hooks: Hooks = {
    authenticate: ({ clientId }) => {
      if (!clientId.startsWith('gate')) return { allow: true };
      return new Promise((resolve) => this.#waiting.push(resolve));
    },
  };

  get waiting(): number {
    return this.#waiting.length;
  }

  open(result: AuthenticateResult): void {
    for (const resolve of this.#waiting.splice(0)) resolve(result);
  }
}

/** Has a client send CONNECT and more in one piece, and vanish while the hook is asked. */
async function vanishAtGate(scene: Scene, gate: Gate, transport: 'tcp' | 'websocket', behind: Packet[]): Promise<void> {
  const bytes = bytesOf(5, [connectPacket(5, 'gate', { will: WILL }), ...behind]);
  const from = scene.received;
  if (transport === 'tcp') {
    const { socket } = await scene.openSocket();
    socket.write(bytes);
    await scene.untilReceived(from + bytes.length);
    await until(() => gate.waiting === 1, 'the hook');
    socket.resetAndDestroy();
  } else {
    const client = await scene.broker.open({ transport });
    client.send(bytes);
    await scene.untilReceived(from + bytes.length);
    await until(() => gate.waiting === 1, 'the hook');
    client.destroy();
  }
  // Messages sent later have come through, so the broker has seen it too.
  await scene.expectUnharmed();
}

const VANISHED: readonly {
  how: string;
  result: AuthenticateResult;
  behind: Packet[];
  reason: DisconnectReason;
  will: boolean;
}[] = [
  { how: 'the hook refuses', result: { allow: false, reasonCode: 0x87 }, behind: [], reason: 'refused', will: false },
  { how: 'the hook lets it in', result: { allow: true }, behind: [], reason: 'connection-lost', will: true },
  {
    how: 'its DISCONNECT is read',
    result: { allow: true },
    behind: [DISCONNECT],
    reason: 'client-disconnect',
    will: false,
  },
  {
    how: 'its malformed packet is read',
    result: { allow: true },
    behind: [{ type: PacketType.connack, sessionPresent: false, reasonCode: 0, properties: {} }],
    reason: 'protocol-error',
    will: true,
  },
];

describe.each(['tcp', 'websocket'] as const)('a connection over %s that is gone while a hook is asked', (transport) => {
  test.for(VANISHED)('is forgotten once $how', async ({ result, behind, reason, will }, { start }) => {
    const gate = new Gate();
    const scene = await start({ hooks: gate.hooks });
    const watcher = await scene.broker.connect();
    await watcher.subscribe('end/+');
    await vanishAtGate(scene, gate, transport, [publishOf('end/message', 'x', 0), ...behind]);
    await scene.expectEnded({});
    gate.open(result);
    await scene.expectEnded({ [reason]: 1 });
    await scene.untilOpen(1);
    if (result.allow) await watcher.expectPublish({ topicName: 'end/message' });
    if (will) await watcher.expectPublish(WILL);
    await watcher.expectNothing();
    expect(scene.broker.broker.counters().sessions).toBe(3);
  });

  test('is forgotten at the deadline for CONNECT when the hook never answers', async ({ start }) => {
    const clock = new FakeClock();
    const gate = new Gate();
    const scene = await start({ clock, hooks: gate.hooks });
    await vanishAtGate(scene, gate, transport, []);
    clock.advance(10_000);
    await scene.expectEnded({ 'connect-timeout': 1 });
    await scene.untilOpen(0);
    // An answer that comes after all changes nothing.
    gate.open({ allow: true });
    await scene.expectUnharmed();
    expect(scene.broker.broker.counters()).toMatchObject({ sessions: 2, connections: { open: 2, clients: 2 } });
  });
});

describe.each(VERSIONS)('everything in one segment, version %s', (version) => {
  const packets = [
    connectPacket(version, 'segment', { will: WILL }),
    SUBSCRIBE,
    publishOf('end/own', 'own', 0),
    ...([0, 1, 2] as const).map((qos) => publishOf('end/message', `${qos}`, qos)),
  ];

  test('CONNECT to DISCONNECT and the end of the stream: all of it counts, and the will is dropped', async ({
    start,
  }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe(['end/message', 'end/will'], 2);
    const { client, socket } = await scene.openSocket(version);
    socket.end(bytesOf(version, [...packets, DISCONNECT]));
    await client.expect(PacketType.connack, { reasonCode: 0 });
    await client.expect(PacketType.suback, { packetId: 9 });
    await client.expectPublish({ payload: 'own' });
    await client.expect(PacketType.puback, { packetId: 1 });
    await client.expect(PacketType.pubrec, { packetId: 2 });
    expect(await client.expectClose()).toEqual({ disconnect: undefined, reset: false });
    for (const qos of [0, 1, 2] as const) await watcher.expectMessage({ payload: `${qos}`, qos });
    await watcher.expectNothing();
    await scene.expectEnded({ 'client-disconnect': 1 });
    await scene.untilOpen(1);
  });

  test('without DISCONNECT all of it counts as well, and the will is published', async ({ start }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe(['end/message', 'end/will'], 2);
    const { client, socket } = await scene.openSocket(version);
    socket.end(bytesOf(version, packets));
    await client.expect(PacketType.connack, { reasonCode: 0 });
    await client.expect(PacketType.suback, { packetId: 9 });
    await client.expectPublish({ payload: 'own' });
    await client.expect(PacketType.puback, { packetId: 1 });
    await client.expect(PacketType.pubrec, { packetId: 2 });
    expect(await client.expectClose()).toEqual({ disconnect: undefined, reset: false });
    for (const qos of [0, 1, 2] as const) await watcher.expectMessage({ payload: `${qos}`, qos });
    await watcher.expectMessage(WILL);
    await watcher.expectNothing();
    await scene.expectEnded({ 'connection-lost': 1 });
    await scene.untilOpen(1);
  });

  test('in one WebSocket frame that a close frame follows', async ({ start }) => {
    const scene = await start();
    const watcher = await scene.broker.connect();
    await watcher.subscribe(['end/message', 'end/will'], 2);
    const webSocket = new WebSocket(scene.broker.webSocketUrl, ['mqtt']);
    await once(webSocket, 'open');
    webSocket.send(bytesOf(version, [...packets, DISCONNECT]));
    webSocket.close();
    for (const qos of [0, 1, 2] as const) await watcher.expectMessage({ payload: `${qos}`, qos });
    await watcher.expectNothing();
    await scene.expectEnded({ 'client-disconnect': 1 });
    await scene.untilOpen(1);
  });

  test('the end of the stream right behind a request: the answer still arrives', async ({ start }) => {
    const scene = await start();
    for (const [request, answer] of [
      [SUBSCRIBE, PacketType.suback],
      [publishOf('end/message', 'x', 1), PacketType.puback],
      [publishOf('end/message', 'x', 2), PacketType.pubrec],
      [{ type: PacketType.pingreq } as const, PacketType.pingresp],
    ] as const) {
      const { client, socket } = await scene.openSocket(version);
      await client.connect();
      socket.end(encodePacket(request, version));
      await client.expect(answer);
      expect(await client.expectClose()).toEqual({ disconnect: undefined, reset: false });
    }
    await scene.expectEnded({ 'connection-lost': 4 });
    await scene.untilOpen(0);
  });
});
