import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** The largest value kept, µs: an hour. Longer waits count as one hour. */
const highestUs = 3_600_000_000;

/** What a report says of a distribution; all times in ms. */
export interface Percentiles {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/**
 * Durations in an HDR histogram of three significant digits: the one built into Node, in C, which threads may share
 * by posting {@link Histogram.native}.
 */
export class Histogram {
  readonly native: RecordableHistogram;

  constructor(native: RecordableHistogram = createHistogram({ lowest: 1, highest: highestUs, figures: 3 })) {
    this.native = native;
  }

  get count(): number {
    return this.native.count;
  }

  /** Adds one duration in ms; below a microsecond counts as one. */
  record(durationMs: number): void {
    this.native.record(Math.min(highestUs, Math.max(1, Math.round(durationMs * 1000))));
  }

  /** Adds all of another. */
  add(other: Histogram): void {
    if (other.count > 0) this.native.add(other.native);
  }

  reset(): void {
    this.native.reset();
  }

  /** The value, in ms, that `percentile` (above 0, up to 100) of all values do not exceed; 0 when there are none. */
  at(percentile: number): number {
    return this.count === 0 ? 0 : this.native.percentile(percentile) / 1000;
  }

  percentiles(): Percentiles {
    const { count, native } = this;
    if (count === 0) return { count, min: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, p999: 0, max: 0 };
    return {
      count,
      min: native.min / 1000,
      mean: native.mean / 1000,
      p50: this.at(50),
      p90: this.at(90),
      p95: this.at(95),
      p99: this.at(99),
      p999: this.at(99.9),
      max: native.max / 1000,
    };
  }
}
