import { expect, test } from 'vitest';
import { formatMetric } from '../../src/report/metric-text.ts';
import {
  formatBytes,
  formatClock,
  formatCount,
  formatDuration,
  formatMs,
  formatNumber,
  timesText,
} from '../../src/report/numbers.ts';

test.each([
  [0, '0'],
  [999, '999'],
  [1000, '1,000'],
  [1_234_567.6, '1,234,568'],
  [-4321, '-4,321'],
  [-0.2, '0'],
  [Number.NaN, '–'],
  [Number.POSITIVE_INFINITY, '–'],
])('the count %d is %s', (value, text) => {
  expect(formatCount(value)).toBe(text);
});

test.each([
  [0, '0'],
  [0.4237, '0.42'],
  [9.996, '10.0'],
  [12.44, '12.4'],
  [99.96, '100'],
  [4936.4, '4,936'],
  [7, '7'],
])('the number %d is %s', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

test.each([
  [0.001, '0.00 ms'],
  [0.42, '0.42 ms'],
  [812.4, '812 ms'],
  [999.4, '999 ms'],
  [999.6, '1 s'],
  [1240, '1.24 s'],
  [5000, '5 s'],
  [124_000, '2 min 4 s'],
])('%d ms are %s', (ms, text) => {
  expect(formatMs(ms)).toBe(text);
});

test.each([
  [45, '45 s'],
  [0.25, '0.30 s'],
  [99.96, '1 min 40 s'],
  [124, '2 min 4 s'],
  [3599.7, '1 h 0 min'],
  [12_000, '3 h 20 min'],
])('%d s are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test.each([
  [-3, '0:00'],
  [7.9, '0:07'],
  [760, '12:40'],
  [3723, '1:02:03'],
])('%d s on the clock are %s', (seconds, text) => {
  expect(formatClock(seconds)).toBe(text);
});

test.each([
  [512, '512 B'],
  [3_400_000, '3.40 MB'],
  [2e15, '2,000 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('times are counted in words', () => {
  expect([1, 2, 3].map(timesText)).toEqual(['once', 'twice', '3 times']);
});

test.each([
  ['lost', 3, '3'],
  ['delivery.p99', 12.34, '12.3 ms'],
  ['classes.a.connect.max', 2000, '2 s'],
  ['classes.connect.sent', 2000, '2,000'],
  ['roundTrip.count', 90, '90'],
  ['self.loopDelayP99', 12.1, '12.1 ms'],
  ['self.cpuSeconds', 31.5, '31.5 s'],
  ['self.residentMb', 143.4, '143 MB'],
  ['stages.hold.throughput', 1000, '1,000/s'],
  ['sentBytes', 10_800_000, '10.8 MB'],
])('%s of %d is %s', (metric, value, text) => {
  expect(formatMetric(metric, value)).toBe(text);
});
