import { expect, it } from 'vitest';
import { DriftingClock } from '../../src/devices/device-clock.ts';

it('a clock is as wrong as its offset and drift say, the drift from when the device was made', () => {
  const right = new DriftingClock({ offsetSeconds: 0, driftPpm: 0 }, 1000);
  expect(right.read(123_456)).toBe(123_456);
  const wrong = new DriftingClock({ offsetSeconds: -2, driftPpm: 500 }, 1000);
  expect(wrong.read(1000)).toBe(-1000);
  expect(wrong.read(1_001_000)).toBeCloseTo(999_000 + 500, 6);
});
