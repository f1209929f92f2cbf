import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.ts';
import { Lane, type LaneProfile } from '../../src/wire/lane.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';

/** A lane from which everything that leaves it is kept, with its time. */
function laneOf(profile: LaneProfile): { lane: Lane; timers: FakeTimers; left: { at: number; bytes: Buffer }[] } {
  const timers = new FakeTimers(0);
  const left: { at: number; bytes: Buffer }[] = [];
  const lane = new Lane(profile, timers, new Random(1), (bytes) => left.push({ at: timers.now(), bytes }));
  return { lane, timers, left };
}

describe('Lane', () => {
  it('hands chunks straight on, and the same ones, where nothing slows them', () => {
    const { lane, timers, left } = laneOf({});
    const chunk = Buffer.from('abc');
    lane.push(chunk);
    expect(left).toEqual([{ at: 0, bytes: chunk }]);
    expect(left[0]?.bytes).toBe(chunk);
    expect(timers.pending).toBe(0);
  });

  it('holds each chunk back for the latency, with one timer for all', () => {
    const { lane, timers, left } = laneOf({ latencyMs: 30 });
    lane.push(Buffer.from('a'));
    timers.advance(10);
    lane.push(Buffer.from('bc'));
    expect(timers.pending).toBe(1);
    expect(lane.queuedBytes).toBe(3);
    timers.advance(19.9);
    expect(left).toEqual([]);
    timers.advance(100);
    expect(left.map(({ at, bytes }) => [at, String(bytes)])).toEqual([
      [30, 'a'],
      [40, 'bc'],
    ]);
    expect(lane.queuedBytes).toBe(0);
  });

  it('keeps the order under a random latency, and uses all of its range', () => {
    const { lane, timers, left } = laneOf({ latencyMs: [10, 50] });
    const pushedAt: number[] = [];
    for (let index = 0; index < 500; index++) {
      pushedAt.push(timers.now());
      lane.push(Buffer.of(index & 255, index >> 8));
      timers.advance(60);
    }
    expect(left.map(({ bytes }) => bytes.readUInt16LE())).toEqual(pushedAt.map((_, index) => index));
    const waits = left.map(({ at }, index) => at - (pushedAt[index] as number));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(10);
    expect(Math.min(...waits)).toBeLessThan(12);
    expect(Math.max(...waits)).toBeLessThan(50);
    expect(Math.max(...waits)).toBeGreaterThan(48);
  });

  it('carries no more than its bandwidth, piece by piece, and idles without saving up', () => {
    const { lane, timers, left } = laneOf({ bandwidth: 1000 });
    timers.advance(5000);
    lane.push(Buffer.alloc(1000));
    timers.advance(500);
    const half = left.reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(half).toBeGreaterThan(200);
    expect(half).toBeLessThanOrEqual(500);
    timers.advance(499);
    expect(lane.queuedBytes).toBeGreaterThan(0);
    timers.advance(1);
    expect(lane.queuedBytes).toBe(0);
    expect(left.at(-1)?.at).toBe(6000);
  });

  it('adds latency to bandwidth', () => {
    const { lane, timers, left } = laneOf({ bandwidth: 1000, latencyMs: 70 });
    lane.push(Buffer.alloc(100));
    lane.push(Buffer.alloc(100));
    timers.advance(1000);
    expect(left.map(({ at }) => at)).toEqual([170, 270]);
  });

  it('carries the empty chunk behind everything else', () => {
    for (const profile of [{ latencyMs: 5 }, { bandwidth: 100 }]) {
      const { lane, timers, left } = laneOf(profile);
      lane.push(Buffer.from('last'));
      lane.push(Buffer.alloc(0));
      expect(timers.pending).toBe(1);
      timers.advance(100);
      expect(left.map(({ bytes }) => bytes.length)).toEqual([4, 0]);
    }
  });

  it('loses what is under way when it is cleared, even by the chunk that just left it', () => {
    const { lane, timers, left } = laneOf({ latencyMs: 5 });
    lane.push(Buffer.from('a'));
    lane.clear();
    expect([lane.queuedBytes, timers.pending]).toEqual([0, 0]);
    const clearing: Lane = new Lane({ latencyMs: 5 }, timers, new Random(1), (bytes) => {
      left.push({ at: timers.now(), bytes });
      clearing.clear();
    });
    clearing.push(Buffer.from('b'));
    clearing.push(Buffer.from('c'));
    timers.advance(100);
    expect(left.map(({ bytes }) => String(bytes))).toEqual(['b']);
    clearing.push(Buffer.from('d'));
    timers.advance(100);
    expect(left.map(({ bytes }) => String(bytes))).toEqual(['b', 'd']);
  });

  it('loses, adds and turns round nothing, whatever goes in when', () => {
    const profiles = fc.record({
      latencyMs: fc.option(fc.oneof(fc.nat(50), fc.constant<[number, number]>([3, 40])), { nil: undefined }),
      bandwidth: fc.option(fc.integer({ min: 100, max: 100_000 }), { nil: undefined }),
    });
    const script = fc.array(fc.record({ length: fc.nat(5000), wait: fc.nat(60) }), { maxLength: 80 });
    fc.assert(
      fc.property(profiles, script, (profile, pushes) => {
        const { lane, timers, left } = laneOf(profile);
        const random = new Random(6);
        const sent: Buffer[] = [];
        for (const { length, wait } of pushes) {
          const bytes = Buffer.from(Array.from({ length }, () => random.below(256)));
          sent.push(bytes);
          lane.push(bytes);
          timers.advance(wait);
        }
        timers.advance(10_000_000);
        expect(Buffer.concat(left.map(({ bytes }) => bytes)).equals(Buffer.concat(sent))).toBe(true);
        expect([lane.queuedBytes, timers.pending]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });
});
