import { describe, expect, test } from 'vitest';
import { startBroker } from '../../src/broker.ts';
import { createConfig } from '../../src/config.ts';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { type Packet, PacketType } from '../../src/protocol/packets.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { QueueRecord } from '../../src/store/store.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeNetwork } from '../fakes/fake-network.ts';
import { Random } from '../fakes/random.ts';
import { DURABLE, SessionBench } from '../session/session-bench.ts';

const CONFIG = createConfig({
  listeners: { tcp: { port: 'off' }, websocket: { port: 'off' } },
  store: { type: 'memory' },
  admin: { sysIntervalSeconds: 0 },
});

/** A store whose queues are read when the gate is opened. */
class SlowStore extends MemoryStore {
  readonly gate: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  override async readQueue(...args: Parameters<MemoryStore['readQueue']>): Promise<QueueRecord[]> {
    await this.gate.promise;
    return super.readQueue(...args);
  }
}

describe('two connections with one client id', () => {
  test('leave it to the one whose CONNECT came later, also where the other waits for its queue to be read', async () => {
    const disk = new MemoryState();
    const bench = await new SessionBench({}, disk).start();
    bench.subscribe(bench.open('c', DURABLE), 't', 1);
    bench.publish({ payload: 'queued' });
    await bench.clock.settle();

    const clock = new FakeClock();
    const store = new SlowStore(disk);
    const broker = await startBroker(CONFIG, { clock, store });
    const network = new FakeNetwork(clock, new Random(1));
    const connect = async (cleanStart: boolean): Promise<string[]> => {
      const { brokerEnd, clientEnd } = network.connect();
      const seen: string[] = [];
      const framer = new Framer(1_000_000);
      broker.accept(brokerEnd);
      clientEnd.attach({
        onBytes(chunk) {
          framer.push(chunk);
          while (framer.next()) seen.push(textOf(decodePacket(framer, 5)));
        },
        onDrain() {},
        onEnd: () => clientEnd.end(),
        onClose: () => seen.push('closed'),
      });
      const properties = { sessionExpiryInterval: DURABLE };
      const fields = { protocolVersion: 5, cleanStart, keepAlive: 0, clientId: 'c', properties } as const;
      clientEnd.write(encodePacket({ type: PacketType.connect, ...fields }, 5));
      await clock.settle();
      return seen;
    };
    const earlier = await connect(false);
    const later = await connect(true);
    expect([earlier, later]).toEqual([[], [`${PacketType.connack} 0`]]);
    store.gate.resolve();
    await clock.settle();
    // CONNACK knows no 0x8E.
    expect(earlier).toEqual([`${PacketType.connack} 128`, 'closed']);
    expect(later).toEqual([`${PacketType.connack} 0`]);
    const closing = broker.close();
    await clock.pass(10_000);
    await closing;
  });
});

function textOf(packet: Packet): string {
  return packet.type === PacketType.connack ? `${packet.type} ${packet.reasonCode}` : `${packet.type}`;
}
