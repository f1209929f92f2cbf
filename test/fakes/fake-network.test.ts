import { describe, expect, test } from 'vitest';
import { describeByteStream, Recorder, type StreamPair } from '../contract/byte-stream-contract.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeNetwork, type NetworkFaults } from './fake-network.ts';
import { Random } from './random.ts';

/** A connection whose clock runs by itself, for tests that know of no fake clock. */
async function running(faults: Partial<NetworkFaults>): Promise<StreamPair> {
  const clock = new FakeClock();
  const { brokerEnd, clientEnd } = new FakeNetwork(clock, new Random(1), faults).connect();
  let immediate = setImmediate(function turn() {
    clock.runImmediates();
    clock.advance(1);
    immediate = setImmediate(turn);
  });
  return {
    accepted: brokerEnd,
    connected: clientEnd,
    reset: () => brokerEnd.reset(),
    close: async () => clearImmediate(immediate),
  };
}

describeByteStream('a fake connection', () => running({}), { halfOpen: true });
describeByteStream('a fake connection with delays', () => running({ maxDelayMs: 5, splitChance: 0.9 }), {
  halfOpen: true,
});

function connection(
  seed: number,
  faults: Partial<NetworkFaults> = {},
): {
  clock: FakeClock;
  broker: Recorder;
  client: Recorder;
  ends: ReturnType<FakeNetwork['connect']>;
} {
  const clock = new FakeClock();
  const ends = new FakeNetwork(clock, new Random(seed), faults).connect();
  return { clock, ends, broker: new Recorder(ends.brokerEnd), client: new Recorder(ends.clientEnd) };
}

/** The sizes of the chunks that arrive when so many bytes are sent one by one. */
async function chunkSizes(seed: number, faults: Partial<NetworkFaults>): Promise<number[]> {
  const { clock, broker, client } = connection(seed, faults);
  const sizes: number[] = [];
  broker.onChunk = (chunk) => void sizes.push(chunk.length);
  for (let count = 0; count < 50; count++) client.stream.write(Buffer.from([count]));
  await clock.pass(1000);
  expect(broker.receivedBytes).toBe(50);
  return sizes;
}

describe('the fake network', () => {
  test('splits and merges as the seed says', async () => {
    expect(await chunkSizes(1, { splitChance: 0 })).toEqual([50]);
    const split = await chunkSizes(2, { splitChance: 0.9 });
    expect(split.length).toBeGreaterThan(1);
    expect(await chunkSizes(2, { splitChance: 0.9 })).toEqual(split);
    expect(await chunkSizes(3, { splitChance: 0.9 })).not.toEqual(split);
  });

  test('delays what it carries', async () => {
    const { clock, broker, client } = connection(1, { maxDelayMs: 100 });
    client.stream.write(Buffer.from('x'));
    await clock.settle();
    expect(broker.receivedBytes).toBe(0);
    await clock.pass(100);
    expect(broker.receivedBytes).toBe(1);
  });

  test.each([0, 1, 7, 20])('cuts a connection after %i bytes exactly', async (bytes) => {
    const { clock, broker, client, ends } = connection(bytes);
    ends.brokerEnd.cutAfter(bytes);
    client.stream.write(Buffer.alloc(21));
    await clock.settle();
    expect(broker.receivedBytes).toBe(bytes);
    for (const end of [broker, client]) {
      expect(end.closes).toBe(1);
      expect(end.closeError).toMatchObject({ code: 'ECONNRESET' });
    }
  });

  test('a stalled reader hears nothing and pushes back until it goes on', async () => {
    const { clock, broker, client, ends } = connection(1, { windowBytes: 100 });
    ends.clientEnd.stall();
    expect(broker.stream.write(Buffer.alloc(100))).toBe(true);
    expect(broker.stream.write(Buffer.alloc(1))).toBe(false);
    await clock.settle();
    expect([client.receivedBytes, broker.drains]).toEqual([0, 0]);
    ends.clientEnd.stall(false);
    await clock.settle();
    expect([client.receivedBytes, broker.drains]).toEqual([101, 1]);
  });

  test('a destroyed end still delivers what the network had taken over, then ends', async () => {
    const { clock, broker, client } = connection(1, { windowBytes: 100 });
    broker.stream.write(Buffer.alloc(250));
    broker.stream.destroy();
    await clock.settle();
    expect([client.receivedBytes, client.ended, client.closes]).toEqual([100, true, 0]);
    client.stream.write(Buffer.from('anybody there'));
    await clock.settle();
    expect(client.closeError).toMatchObject({ code: 'ECONNRESET' });
  });
});
