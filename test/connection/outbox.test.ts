import { describe, expect, test } from 'vitest';
import { Outbox } from '../../src/connection/outbox.ts';
import { Tick } from '../../src/tick.ts';
import type { ByteStream } from '../../src/transport/byte-stream.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

/** A stream that notes each write; `isTaking` false stands for a peer that does not read. */
class NotedStream implements ByteStream {
  readonly remoteAddress: string = 'noted';
  readonly transport: string = 'fake';
  readonly writes: string[] = [];
  isTaking = true;

  write(bytes: Uint8Array): boolean {
    this.writes.push(Buffer.from(bytes).toString());
    return this.isTaking;
  }

  attach(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

class Trial {
  readonly clock: FakeClock = new FakeClock();
  readonly stream: NotedStream = new NotedStream();
  readonly outbox: Outbox;
  rooms = 0;

  constructor(writeDelayMs: number) {
    const owner = { onRoom: (): number => this.rooms++ };
    this.outbox = new Outbox(this.stream, owner, new Tick(this.clock, writeDelayMs));
  }

  append(text: string): void {
    const bytes = Buffer.from(text);
    this.outbox.append(bytes, 0, bytes.length);
  }

  async turn(text: string): Promise<void> {
    this.append(text);
    await this.clock.settle();
  }
}

describe('an outbox', () => {
  test('hands over what a turn gathered with one write, in order', async () => {
    const { outbox, stream, clock } = new Trial(0);
    const chunk = Buffer.from('abcdefgh');
    outbox.append(chunk, 0, 2);
    outbox.append(chunk, 2, 4);
    const at = outbox.reserve(2);
    outbox.buffer.write('XY', at);
    outbox.append(chunk, 6, 8);
    await clock.settle();
    expect(stream.writes).toEqual(['abcdXYgh']);
    expect(outbox.pendingBytes).toBe(0);
  });

  test('keeps what a blocked stream does not take, and tells its owner of room once there is', async () => {
    const trial = new Trial(0);
    trial.stream.isTaking = false;
    await trial.turn('first');
    await trial.turn('second');
    expect(trial.stream.writes).toEqual(['first']);
    expect(trial.outbox.hasRoomFor(6)).toBe(false);
    trial.stream.isTaking = true;
    trial.outbox.onDrain();
    expect(trial.stream.writes).toEqual(['first', 'second']);
    expect(trial.rooms).toBe(1);
  });

  test('tells its owner of room after a turn in which there was none', async () => {
    const trial = new Trial(0);
    trial.append('much');
    expect(trial.outbox.hasRoomFor(4)).toBe(false);
    await trial.clock.settle();
    expect(trial.rooms).toBe(1);
  });

  test('lets few bytes for who only listens wait for more, and no longer than the delay', async () => {
    const trial = new Trial(5);
    await trial.clock.pass(100);
    await trial.turn('a');
    await trial.turn('b');
    await trial.turn('c');
    expect(trial.stream.writes).toEqual(['a']);
    await trial.clock.pass(5);
    expect(trial.stream.writes).toEqual(['a', 'bc']);
    await trial.clock.pass(5);
    await trial.turn('d');
    expect(trial.stream.writes).toEqual(['a', 'bc', 'd']);
  });

  test('writes at once to a peer that has sent something, and when much is waiting', async () => {
    const trial = new Trial(5);
    await trial.clock.pass(100);
    await trial.turn('a');
    trial.outbox.hear();
    await trial.turn('b');
    expect(trial.stream.writes).toEqual(['a', 'b']);
    await trial.turn('x'.repeat(5000));
    expect(trial.stream.writes).toHaveLength(3);
  });

  test('sends nothing any more once it is closed', async () => {
    const trial = new Trial(0);
    trial.append('late');
    trial.outbox.close();
    await trial.clock.settle();
    expect(trial.stream.writes).toEqual([]);
    expect(trial.outbox.pendingBytes).toBe(0);
  });

  test('gives each peer its own packet ids in ranges of one buffer, which stays as it is', async () => {
    const chunk = Buffer.from('a..bc..de..f');
    const [one, other] = [new Trial(0), new Trial(0)];
    for (const [start, at] of [
      [0, 1],
      [4, 5],
      [8, 9],
    ] as const) {
      one.outbox.appendPatched(chunk, start, start + 4, at, 0x3131 + start);
      other.outbox.appendPatched(chunk, start, start + 4, at, 0x4141 + start);
    }
    other.outbox.append(chunk, 0, 4);
    await one.clock.settle();
    await other.clock.settle();
    expect(one.stream.writes).toEqual(['a11bc15de19f']);
    expect(other.stream.writes).toEqual(['aAAbcAEdeAIfa..b']);
    expect(chunk.toString()).toBe('a..bc..de..f');
  });

  test('uses a buffer again only when the stream is done with it', async () => {
    const { outbox, stream, clock } = new Trial(0);
    const fill = async (text: string): Promise<Buffer> => {
      const at = outbox.reserve(text.length);
      const { buffer } = outbox;
      buffer.write(text, at);
      await clock.settle();
      return buffer;
    };
    const first = await fill('first');
    stream.isTaking = false;
    const second = await fill('second');
    expect(second).toBe(first);
    stream.isTaking = true;
    outbox.onDrain();
    expect(await fill('third')).not.toBe(second);
    expect(second.toString('utf8', 0, 6)).toBe('second');
    expect(stream.writes).toEqual(['first', 'second', 'third']);
  });
});
