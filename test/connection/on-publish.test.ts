import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { createConfig } from '../../src/config.ts';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { type AckPacket, type Packet, PacketType } from '../../src/protocol/packets.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeNetwork, type FakeStream } from '../fakes/fake-network.ts';
import { Random } from '../fakes/random.ts';

const CONFIG = createConfig({
  listeners: { tcp: { port: 'off' }, websocket: { port: 'off' } },
  store: { type: 'memory' },
  admin: { sysIntervalSeconds: 0 },
});

/** A publisher that sends what it is told to, and a program inside the broker that hears everything. */
class Trial {
  readonly #clock: FakeClock = new FakeClock();
  readonly #disk: MemoryState = new MemoryState();
  readonly #network: FakeNetwork = new FakeNetwork(this.#clock, new Random(1));
  readonly #expiry: number;
  #broker: Broker | undefined = undefined;
  #stream: FakeStream | undefined = undefined;
  readonly heard: string[] = [];
  received: Packet[] = [];

  constructor(expiry: number) {
    this.#expiry = expiry;
  }

  async start(): Promise<void> {
    const parts = { clock: this.#clock, store: new MemoryStore(this.#disk), random: () => 0.5 };
    this.#broker = await startBroker(CONFIG, parts);
    this.#broker.subscribe('#', ({ payload }) => {
      this.heard.push(Buffer.from(payload).toString());
    });
    await this.#clock.settle();
  }

  async connect(): Promise<void> {
    const { brokerEnd, clientEnd } = this.#network.connect();
    this.#broker?.accept(brokerEnd);
    this.#stream = clientEnd;
    const framer = new Framer(1_000_000);
    clientEnd.attach({
      onBytes: (chunk) => {
        framer.push(chunk);
        while (framer.next()) this.received.push(decodePacket(framer, 5));
      },
      onDrain() {},
      onEnd: () => clientEnd.end(),
      onClose() {},
    });
    await this.send({
      type: PacketType.connect,
      protocolVersion: 5,
      cleanStart: false,
      keepAlive: 0,
      clientId: 'publisher',
      properties: { sessionExpiryInterval: this.#expiry },
    });
    this.received = [];
  }

  /** Sends a packet. @returns what came back, as `type id code`. */
  async send(packet: Packet): Promise<string[]> {
    this.#stream?.write(encodePacket(packet, 5));
    await this.#clock.settle();
    const answers = this.received.splice(0) as AckPacket[];
    return answers.map(({ type, packetId, reasonCode }) => `${type} ${packetId} ${reasonCode}`);
  }

  publish(packetId: number, payload: string, dup: boolean): Promise<string[]> {
    const fields = { qos: 2, retain: false, topicName: 't', properties: {} } as const;
    return this.send({ type: PacketType.publish, dup, packetId, payload: Buffer.from(payload), ...fields });
  }

  release(packetId: number): Promise<string[]> {
    return this.send({ type: PacketType.pubrel, packetId, reasonCode: 0, properties: {} });
  }

  async reconnect(): Promise<void> {
    this.#stream?.reset();
    await this.#clock.settle();
    await this.connect();
  }

  async restart(): Promise<void> {
    this.#stream?.reset();
    await this.#clock.settle();
    await this.close();
    await this.start();
    await this.connect();
  }

  async close(): Promise<void> {
    const closing = this.#broker?.close();
    await this.#clock.pass(10_000);
    await closing;
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), id: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('release' as const), id: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reconnect' as const, 'restart' as const) }) },
);

describe('QoS 2 from a client', () => {
  test.each([
    ['ends with its connection', 0],
    ['is stored', 3600],
  ])('is delivered once for each packet id until it is released, where the session %s', async (_, expiry) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const trial = new Trial(expiry);
        await trial.start();
        await trial.connect();
        /** Packet ids received and not released. */
        let held = new Set<number>();
        const expected: string[] = [];
        for (const [index, next] of steps.entries()) {
          if (next.do === 'publish') {
            const isNew = !held.has(next.id);
            if (isNew) expected.push(`${index}`);
            held.add(next.id);
            const answers = await trial.publish(next.id, `${index}`, !isNew);
            expect(answers).toEqual([`${PacketType.pubrec} ${next.id} 0`]);
          } else if (next.do === 'release') {
            const reasonCode = held.delete(next.id) ? 0 : 0x92;
            expect(await trial.release(next.id)).toEqual([`${PacketType.pubcomp} ${next.id} ${reasonCode}`]);
          } else {
            if (expiry === 0) held = new Set();
            if (next.do === 'reconnect') await trial.reconnect();
            else await trial.restart();
          }
          expect(trial.heard).toEqual(expected);
        }
        await trial.close();
      }),
      { numRuns: 60 },
    );
  });
});
