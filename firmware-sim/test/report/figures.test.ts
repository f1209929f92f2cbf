import { expect, test } from 'vitest';
import { Metrics } from '../../src/agent/metrics.ts';
import { figuresOf, total } from '../../src/report/figures.ts';

test('counters of several metrics are added, QoS by QoS', () => {
  const [one, other] = [new Metrics(), new Metrics()];
  one.sent.splice(0, 3, 1, 2, 3);
  other.sent.splice(0, 3, 10, 20, 30);
  one.delivered.splice(0, 3, 5, 0, 1);
  other.delivered.splice(0, 3, 0, 7, 1);
  one.acknowledged.splice(0, 3, 0, 2, 0);
  Object.assign(one, { sentBytes: 1, deliveredBytes: 2, refused: 3, unsent: 4, connects: 5 });
  Object.assign(other, { sentBytes: 10, deliveredBytes: 20, refused: 30, unsent: 40, connects: 50 });
  Object.assign(other, { connectFailures: 6, disconnects: 7 });
  const figures = figuresOf([one, other], 7);
  expect(figures).toMatchObject({
    sent: [11, 22, 33],
    acknowledged: [0, 2, 0],
    delivered: [5, 7, 2],
    sentBytes: 11,
    deliveredBytes: 22,
    refused: 33,
    unsent: 44,
    connects: 55,
    connectFailures: 6,
    disconnects: 7,
    throughput: 2,
  });
});

test('histograms are merged, each with its own kind', () => {
  const [one, other] = [new Metrics(), new Metrics()];
  one.delivery.record(10);
  other.delivery.record(30);
  one.acknowledgement.record(5);
  other.connect.record(7);
  other.roundTrip.record(9);
  const figures = figuresOf([one, other], 1);
  expect(figures.deliveryLatency.count).toBe(2);
  expect(figures.deliveryLatency.min).toBeCloseTo(10, 1);
  expect(figures.deliveryLatency.max).toBeCloseTo(30, 1);
  expect(figures.acknowledgementLatency.p50).toBeCloseTo(5, 1);
  expect(figures.connectLatency.p50).toBeCloseTo(7, 1);
  expect(figures.roundTrip.p50).toBeCloseTo(9, 1);
  expect(one.delivery.count).toBe(1);
});

test('no metrics and no time give zeros and no NaN', () => {
  const figures = figuresOf([], 0);
  expect(figures.throughput).toBe(0);
  expect(total(figures.sent)).toBe(0);
  expect(figures.deliveryLatency).toMatchObject({ count: 0, p99: 0, max: 0 });
});
