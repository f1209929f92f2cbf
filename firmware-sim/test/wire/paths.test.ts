import { describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.ts';
import { DevicePath, hasEvents, isShaped } from '../../src/wire/paths.ts';

describe('DevicePath', () => {
  it('has no events of its own on a good network', () => {
    const path = new DevicePath({ latencyMs: 5 }, new Random(1));
    expect(path.nextEvent(0)).toBeUndefined();
    expect(path.isSilentCut()).toBe(false);
    expect(path.localAddress).toBeUndefined();
  });

  it('says the same next event until its time has come, and then another', () => {
    const path = new DevicePath({ cutEverySeconds: 10 }, new Random(1));
    const first = path.nextEvent(1000);
    expect(first?.kind).toBe('cut');
    const at = first?.at ?? 0;
    expect(at).toBeGreaterThan(1000);
    expect(path.nextEvent(at - 0.001)).toEqual(first);
    expect(path.nextEvent(at)?.at).toBeGreaterThan(at);
  });

  it('cuts as often as the profile says, on average', () => {
    const path = new DevicePath({ cutEverySeconds: 10 }, new Random(4));
    let now = 0;
    for (let count = 0; count < 5000; count++) now = path.nextEvent(now)?.at ?? Number.NaN;
    expect(Math.abs(now / 5000 - 10_000)).toBeLessThan(500);
  });

  it('skips what fell due while there was no connection', () => {
    const path = new DevicePath({ cutEverySeconds: 1 }, new Random(1));
    path.nextEvent(0);
    expect(path.nextEvent(1_000_000)?.at).toBeGreaterThan(1_000_000);
  });

  it('names whichever of cut and hand-over comes first, and both in time', () => {
    const path = new DevicePath({ cutEverySeconds: 10, handOverEverySeconds: 10 }, new Random(1));
    let now = 0;
    const kinds = Array.from({ length: 1000 }, () => {
      const event = path.nextEvent(now);
      expect(event?.at).toBeGreaterThan(now);
      now = event?.at ?? now;
      return event?.kind;
    });
    const cuts = kinds.filter((kind) => kind === 'cut').length;
    expect(Math.abs(cuts - 500)).toBeLessThan(60);
    expect(Math.abs(now / 1000 - 5000)).toBeLessThan(500);
  });

  it('leaves the part of the cuts half open that the profile says', () => {
    const path = new DevicePath({ halfOpen: 0.25, halfOpenSeconds: 7 }, new Random(1));
    const silent = Array.from({ length: 10_000 }, () => path.isSilentCut()).filter(Boolean).length;
    expect(Math.abs(silent - 2500)).toBeLessThan(150);
    expect(path.halfOpenMs).toBe(7000);
  });

  it('moves to a new address of 127.0.0.0/8 with each hand-over, and nowhere else', () => {
    const path = new DevicePath({}, new Random(1), '127.0.0.9');
    expect(path.localAddress).toBe('127.0.0.9');
    path.handOver(false);
    expect(path.localAddress).toBe('127.0.0.9');
    let before = path.localAddress;
    for (let count = 0; count < 1000; count++) {
      path.handOver(true);
      expect(path.localAddress).not.toBe(before);
      before = path.localAddress;
      const [first, ...rest] = (before ?? '').split('.').map(Number);
      expect(first).toBe(127);
      expect(rest.every((part) => part >= 0 && part <= 255)).toBe(true);
      expect(rest[2]).toBeGreaterThan(0);
      expect(rest[2]).toBeLessThan(255);
    }
  });

  it('repeats itself from the same seed', () => {
    const walk = (): unknown[] => {
      const path = new DevicePath({ cutEverySeconds: 5, handOverEverySeconds: 9, halfOpen: 0.5 }, new Random(77));
      let now = 0;
      return Array.from({ length: 50 }, () => {
        const event = path.nextEvent(now);
        now = event?.at ?? 0;
        if (event?.kind === 'hand-over') path.handOver(true);
        return [event, path.isSilentCut(), path.localAddress];
      });
    };
    expect(walk()).toEqual(walk());
  });
});

describe('isShaped and hasEvents', () => {
  it('are false of a good network, so that it costs nothing', () => {
    expect(isShaped({})).toBe(false);
    expect(hasEvents({})).toBe(false);
  });

  it('tell bytes held back from connections ended', () => {
    for (const profile of [{ latencyMs: 1 }, { bandwidth: 1 }, { cutAtByte: 1 }, { readRate: 1 }]) {
      expect([isShaped(profile), hasEvents(profile)]).toEqual([true, false]);
    }
    for (const profile of [{ cutEverySeconds: 1 }, { handOverEverySeconds: 1 }]) {
      expect([isShaped(profile), hasEvents(profile)]).toEqual([false, true]);
    }
  });
});
