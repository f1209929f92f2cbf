import { describe, expect, it } from 'vitest';
import type { OutgoingMessage, QoS } from '../../src/client/client.ts';
import { ClientSession, type SessionConnection } from '../../src/client/client-session.ts';
import { puback, pubcomp, pubrec } from '../../src/client/packet-types.ts';
import { Random } from '../../src/lib/random.ts';
import { RecordingClientHandler } from './recording-client-handler.ts';

/** Keeps what a session sends, in words. */
class RecordingConnection implements SessionConnection {
  isUp = true;
  readonly sent: string[] = [];
  readonly ids: number[] = [];

  publish(message: OutgoingMessage, packetId: number, isDup: boolean): void {
    this.sent.push(`publish ${message.token}${isDup ? ' again' : ''}`);
    this.ids.push(packetId);
  }

  release(packetId: number): void {
    this.sent.push(`release ${packetId}`);
  }

  subscribe(_subscriptions: unknown, packetId: number): void {
    this.ids.push(packetId);
  }

  unsubscribe(_topicFilters: unknown, packetId: number): void {
    this.ids.push(packetId);
  }
}

function messageOf(token: number, qos: QoS): OutgoingMessage {
  return { topicName: 't', payload: Buffer.alloc(0), qos, retain: false, token };
}

function connect(session: ClientSession, isResumed = true, receiveMaximum = 65_535): RecordingConnection {
  const connection = new RecordingConnection();
  session.connected(connection, { sessionPresent: isResumed, receiveMaximum, keepAliveSeconds: 0 }, isResumed);
  session.resume();
  return connection;
}

describe('ClientSession', () => {
  it('goes round the packet ids without using one twice at a time', () => {
    const handler = new RecordingClientHandler();
    const session = new ClientSession(handler, 10);
    const connection = connect(session);
    session.publish(messageOf(0, 1));
    for (let token = 1; token <= 65_600; token++) {
      session.publish(messageOf(token, 1));
      const packetId = connection.ids.at(-1) as number;
      expect(packetId).toBeGreaterThan(0);
      if (packetId === connection.ids[0]) throw new Error('an id in use was given out');
      session.onAcknowledgement(puback, packetId, 0);
    }
    expect(Math.max(...connection.ids)).toBe(65_535);
  });

  it('sends QoS 0 in its order also where an earlier one waits behind what has to be sent again', () => {
    const session = new ClientSession(new RecordingClientHandler(), 1);
    session.publish(messageOf(1, 1));
    connect(session);
    session.disconnected();
    const connection = new RecordingConnection();
    session.connected(connection, { sessionPresent: true, receiveMaximum: 10, keepAliveSeconds: 0 }, true);
    session.publish(messageOf(2, 0));
    session.resume();
    session.publish(messageOf(3, 0));
    session.onAcknowledgement(puback, connection.ids[0] as number, 0);
    session.publish(messageOf(4, 0));
    expect(connection.sent).toEqual(['publish 1 again', 'publish 2', 'publish 3', 'publish 4']);
  });

  it('shares packet ids between messages and requests', () => {
    const session = new ClientSession(new RecordingClientHandler(), 10);
    const connection = connect(session);
    session.publish(messageOf(1, 1));
    session.subscribe([{ topicFilter: 'a', qos: 0 }]);
    session.unsubscribe(['b']);
    expect(new Set(connection.ids).size).toBe(3);
  });

  it('does not ask without a connection', () => {
    const session = new ClientSession(new RecordingClientHandler(), 10);
    expect(() => session.subscribe([{ topicFilter: 'a', qos: 0 }])).toThrow('without a connection');
  });

  it('takes an acknowledgement of what it has not sent again yet', () => {
    const handler = new RecordingClientHandler();
    const session = new ClientSession(handler, 10);
    const first = connect(session);
    for (const token of [1, 2, 3]) session.publish(messageOf(token, 1));
    session.disconnected();
    const next = connect(session, true, 1);
    session.onAcknowledgement(puback, first.ids[1] as number, 0);
    expect(next.sent).toEqual(['publish 1 again']);
    session.onAcknowledgement(puback, first.ids[0] as number, 0);
    expect(next.sent).toEqual(['publish 1 again', 'publish 3 again']);
  });

  it('does not send again what it has released before its turn', () => {
    const session = new ClientSession(new RecordingClientHandler(), 10);
    const { ids } = connect(session);
    for (const token of [1, 2, 3]) session.publish(messageOf(token, 2));
    session.disconnected();
    const next = connect(session, true, 2);
    for (const place of [2, 0, 1]) session.onAcknowledgement(pubrec, ids[place] as number, 0);
    for (const place of [0, 1]) session.onAcknowledgement(pubcomp, ids[place] as number, 0);
    expect(next.sent).toEqual([
      'publish 1 again',
      'publish 2 again',
      `release ${ids[2]}`,
      `release ${ids[0]}`,
      `release ${ids[1]}`,
    ]);
    expect(session.inFlight).toBe(1);
  });

  it('does not take a second PUBREC', () => {
    const session = new ClientSession(new RecordingClientHandler(), 10);
    const { ids } = connect(session);
    session.publish(messageOf(1, 2));
    session.onAcknowledgement(pubrec, ids[0] as number, 0);
    expect(() => session.onAcknowledgement(pubrec, ids[0] as number, 0)).toThrow('released already');
  });

  it('drops QoS 0 that waited for a connection that ended before it was ready', () => {
    const handler = new RecordingClientHandler();
    const session = new ClientSession(handler, 10);
    const half = new RecordingConnection();
    session.connected(half, { sessionPresent: false, receiveMaximum: 10, keepAliveSeconds: 0 }, false);
    session.publish(messageOf(1, 0));
    session.publish(messageOf(2, 1));
    session.disconnected();
    expect(session.inFlight).toBe(1);
    expect(connect(session).sent).toEqual(['publish 2']);
  });

  it('ends each message once, and sends each at most once per connection, in any order of events', () => {
    for (let seed = 1; seed <= 30; seed++) checkRandomly(seed);
  });
});

/** A broker that acknowledges at random, over connections and sessions that end at random. */
function checkRandomly(seed: number): void {
  const random = new Random(seed);
  const handler = new RecordingClientHandler();
  const window = 1 + random.below(5);
  const session = new ClientSession(handler, window);
  const qosOf = new Map<number, QoS>();
  let token = 0;
  let connection = connect(session);
  /** As the broker knows them: packet id to what it may answer. */
  let open = new Map<number, number>();
  let read = 0;
  for (let step = 0; step < 400; step++) {
    const draw = random.below(10);
    if (draw < 4) {
      qosOf.set(++token, random.pick([1, 2] as const));
      session.publish(messageOf(token, qosOf.get(token) as QoS));
    } else if (draw < 9) {
      const packetId = random.pick([...open.keys(), 0]);
      if (packetId !== 0) acknowledge(packetId);
    } else {
      session.disconnected();
      const isResumed = random.chance(0.7);
      open = new Map();
      connection = connect(session, isResumed);
      read = 0;
    }
    readSent();
    expect(open.size).toBeLessThanOrEqual(window);
  }
  // The broker answers everything now.
  for (let left = 10_000; session.inFlight > 0 && left > 0; left--) {
    for (const packetId of open.keys()) acknowledge(packetId);
    readSent();
  }
  expect(session.inFlight).toBe(0);
  const ends = handler.events
    .filter((event) => /^(completed|abandoned) /.test(event))
    .map((event) => event.split(' ')[1]);
  expect(ends.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: token }, (_, at) => at + 1));
  const sent = handler.events.filter((event) => event.startsWith('sent '));
  expect(sent).toEqual(Array.from({ length: token }, (_, at) => `sent ${at + 1}`));
  expect(new Set(handler.events.filter((event) => event.startsWith('acknowledged '))).size).toBe(
    handler.events.filter((event) => event.startsWith('acknowledged ')).length,
  );

  function readSent(): void {
    let publishes = connection.sent.slice(0, read).filter((text) => text.startsWith('publish')).length;
    for (const text of connection.sent.slice(read)) {
      const [kind, number] = text.split(' ');
      if (kind === 'publish') {
        const packetId = connection.ids[publishes++] as number;
        expect(open.has(packetId)).toBe(false);
        open.set(packetId, qosOf.get(Number(number)) === 1 ? puback : pubrec);
      } else {
        open.set(Number(number), pubcomp);
      }
    }
    read = connection.sent.length;
  }

  function acknowledge(packetId: number): void {
    const answer = open.get(packetId) as number;
    // PUBREC is followed by a release, which readSent opens again.
    open.delete(packetId);
    session.onAcknowledgement(answer, packetId, 0);
    readSent();
  }
}
