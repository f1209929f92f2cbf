import type { Metrics } from '../agent/metrics.ts';
import type { ByQos } from '../checker/witness.ts';
import { Histogram } from '../lib/histogram.ts';
import type { Figures } from './report.ts';

/** Sums over all `metrics`, with their histograms merged; rates are over `seconds` (0 gives rates of 0). */
export function figuresOf(metrics: readonly Metrics[], seconds: number): Figures {
  const delivered = sumByQos(metrics, (one) => one.delivered);
  return {
    sent: sumByQos(metrics, (one) => one.sent),
    acknowledged: sumByQos(metrics, (one) => one.acknowledged),
    delivered,
    sentBytes: sum(metrics, (one) => one.sentBytes),
    deliveredBytes: sum(metrics, (one) => one.deliveredBytes),
    refused: sum(metrics, (one) => one.refused),
    unsent: sum(metrics, (one) => one.unsent),
    connects: sum(metrics, (one) => one.connects),
    connectFailures: sum(metrics, (one) => one.connectFailures),
    disconnects: sum(metrics, (one) => one.disconnects),
    throughput: seconds > 0 ? total(delivered) / seconds : 0,
    deliveryLatency: merged(metrics, (one) => one.delivery).percentiles(),
    acknowledgementLatency: merged(metrics, (one) => one.acknowledgement).percentiles(),
    connectLatency: merged(metrics, (one) => one.connect).percentiles(),
    roundTrip: merged(metrics, (one) => one.roundTrip).percentiles(),
  };
}

/** All QoS together. */
export function total(byQos: Readonly<ByQos>): number {
  return byQos[0] + byQos[1] + byQos[2];
}

function sum(metrics: readonly Metrics[], counter: (one: Metrics) => number): number {
  return metrics.reduce((all, one) => all + counter(one), 0);
}

function sumByQos(metrics: readonly Metrics[], counters: (one: Metrics) => ByQos): ByQos {
  return [0, 1, 2].map((qos) => sum(metrics, (one) => counters(one)[qos] as number)) as ByQos;
}

function merged(metrics: readonly Metrics[], histogram: (one: Metrics) => Histogram): Histogram {
  const all = new Histogram();
  for (const one of metrics) all.add(histogram(one));
  return all;
}
