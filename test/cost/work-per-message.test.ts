import { createHook } from 'node:async_hooks';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { createConfig } from '../../src/config.ts';
import { encodePacket } from '../../src/protocol/codec.ts';
import { type Packet, PacketType, type ProtocolVersion, type Qos } from '../../src/protocol/packets.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { ByteStream, ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import { createLogger } from '../../src/lib/logger.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import { connectPacket } from '../support/connect-packet.ts';

/**
 * What the broker does per message on a fixed workload, in counts that no busy machine disturbs: a change in kind (a write,
 * an encoding, a buffer or a promise per message and taker) fails here. Time is measured by `npm run bench`.
 */

const SUBSCRIBERS = 10;
const MESSAGES = 20;
const WARM_TURNS = 3;
const TURNS = 10;

/** A client at the end of a stream without a network; what it is sent counts, and is looked at no further. */
class CountedStream implements ByteStream {
  readonly remoteAddress: string = 'counted:1';
  readonly transport: string = 'counted';
  handler: ByteStreamHandler | undefined;
  writes = 0;
  bytes = 0;

  attach(handler: ByteStreamHandler): void {
    this.handler = handler;
  }

  write(bytes: Uint8Array): boolean {
    this.writes += 1;
    this.bytes += bytes.length;
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.handler?.onClose(undefined);
  }
}

/** What one client sends in a turn. */
interface Sending {
  readonly stream: CountedStream;
  readonly packets: readonly Packet[];
}

/** What was done while counting. */
interface Work {
  writes: number;
  buffers: number;
  copies: number;
  promises: number;
  timers: number;
}

class Workload {
  readonly broker: Broker;
  readonly version: ProtocolVersion;
  readonly streams: CountedStream[] = [];

  constructor(broker: Broker, version: ProtocolVersion) {
    this.broker = broker;
    this.version = version;
  }

  static async start(version: ProtocolVersion): Promise<Workload> {
    const config = createConfig({
      listeners: { tcp: { port: 0 }, websocket: { port: 'off' } },
      // Every write at the end of its turn.
      limits: { writeDelayMs: 0 },
      store: { type: 'memory' },
      admin: { sysIntervalSeconds: 0 },
    });
    const logger = createLogger({ level: 'error', format: 'json', write: () => undefined, clock: systemClock });
    const hooks = { authorize: () => true };
    return new Workload(await startBroker(config, { store: new MemoryStore(), logger, hooks }), version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close();
  }

  async connect(clientId: string, topicFilter: string, qos: Qos): Promise<CountedStream> {
    const stream = new CountedStream();
    this.streams.push(stream);
    this.broker.accept(stream);
    await this.#turn([{ stream, packets: [connectPacket(this.version, clientId, {})] }]);
    const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscribe: Packet = {
      type: PacketType.subscribe,
      packetId: 1,
      subscriptions: [subscription],
      properties: {},
    };
    if (topicFilter !== '') await this.#turn([{ stream, packets: [subscribe] }]);
    expect(stream.writes).toBe(topicFilter === '' ? 1 : 2);
    return stream;
  }

  /** Has a few turns pass to get warm, then counts what is done in TURNS of them. */
  async count(sendings: (turn: number) => readonly Sending[]): Promise<Work> {
    for (let turn = 0; turn < WARM_TURNS; turn++) await this.#turn(sendings(turn));
    const work: Work = { writes: 0, buffers: 0, copies: 0, promises: 0, timers: 0 };
    const makers = (['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat'] as const).map((name) =>
      vi.spyOn(Buffer, name),
    );
    const copy = vi.spyOn(Buffer.prototype, 'copy');
    const hook = createHook({
      init(_id, type) {
        if (type === 'PROMISE') work.promises += 1;
        else if (type === 'Timeout' || type === 'Immediate') work.timers += 1;
      },
    });
    for (let turn = WARM_TURNS; turn < WARM_TURNS + TURNS; turn++) {
      const before = this.#writes;
      await this.#turn(sendings(turn), () => {
        for (const spy of [...makers, copy]) spy.mockClear();
        hook.enable();
      });
      hook.disable();
      work.writes += this.#writes - before;
      for (const spy of makers) work.buffers += spy.mock.calls.length;
      work.copies += copy.mock.calls.length;
    }
    vi.restoreAllMocks();
    return work;
  }

  get #writes(): number {
    return this.streams.reduce((sum, { writes }) => sum + writes, 0);
  }

  /** All clients send what they have to, a chunk each, and the broker's turn of the loop ends. */
  async #turn(sendings: readonly Sending[], begin?: () => void): Promise<void> {
    const chunks = sendings.map(({ packets }) => this.#chunkOf(packets));
    begin?.();
    for (const [i, { stream }] of sendings.entries()) stream.handler?.onBytes(chunks[i] as Buffer);
    await turnOfLoop();
  }

  #chunkOf(packets: readonly Packet[]): Buffer {
    return Buffer.concat(packets.map((packet) => encodePacket(packet, this.version)));
  }
}

function publishes(topicName: string, qos: Qos): Packet[] {
  return Array.from(
    { length: MESSAGES },
    (_, i): Packet => ({
      type: PacketType.publish,
      dup: false,
      qos,
      retain: false,
      topicName,
      packetId: qos === 0 ? 0 : i + 1,
      payload: Buffer.alloc(64),
      properties: {},
    }),
  );
}

/** Buffers are used again; no promise and no timer is made per message (a few are the test's own, or its runner's). */
function expectNothingMade(work: Work): void {
  expect(work.buffers).toBe(0);
  expect(work.promises + work.timers).toBeLessThan((TURNS * MESSAGES) / 2);
}

/** What a subscriber acknowledges in a turn: all that it was sent in the turn before. */
function pubacks(turn: number, messages: number): Packet[] {
  const length = turn === 0 ? 0 : messages;
  return Array.from(
    { length },
    (_, i): Packet => ({
      type: PacketType.puback,
      packetId: (turn - 1) * messages + i + 1,
      reasonCode: 0,
      properties: {},
    }),
  );
}

describe.each([4, 5] as const)('the work for messages of protocol version %i', (version) => {
  test.each([0, 1] as const)('grows with the takers of a fan-out with QoS %i only by their writes', async (qos) => {
    await using load = await Workload.start(version);
    const subscribers: CountedStream[] = [];
    for (let i = 0; i < SUBSCRIBERS; i++) subscribers.push(await load.connect(`s${i}`, 't', qos));
    const publisher = await load.connect('p', '', qos);
    const work = await load.count((turn) => [
      ...(qos === 0 ? [] : subscribers.map((stream) => ({ stream, packets: pubacks(turn, MESSAGES) }))),
      { stream: publisher, packets: publishes('t', qos) },
    ]);
    // One write for each subscriber, and with QoS 1 one for the publisher's acknowledgements.
    expect(work.writes).toBe(TURNS * (SUBSCRIBERS + qos));
    // Packet ids differ between subscribers: each has a copy of the chunk as a whole.
    expect(work.copies).toBeLessThanOrEqual(qos * TURNS * SUBSCRIBERS);
    expectNothingMade(work);
  });

  test.each([0, 1] as const)('is that of a few chunks in a fan-in with QoS %i', async (qos) => {
    await using load = await Workload.start(version);
    const subscriber = await load.connect('s', '#', qos);
    const publishers: CountedStream[] = [];
    for (let i = 0; i < SUBSCRIBERS; i++) publishers.push(await load.connect(`p${i}`, '', qos));
    const work = await load.count((turn) => [
      ...(qos === 0 ? [] : [{ stream: subscriber, packets: pubacks(turn, SUBSCRIBERS * MESSAGES) }]),
      ...publishers.map((stream, i) => ({ stream, packets: publishes(`t/${i}`, qos) })),
    ]);
    expect(work.writes).toBe(TURNS * (1 + qos * SUBSCRIBERS));
    // A copy of each chunk into the buffer of the write, and those with which that grows.
    expect(work.copies).toBeLessThanOrEqual(TURNS * (SUBSCRIBERS + 5));
    expectNothingMade(work);
  });
});
