/** Buckets per power of two: values are off by less than 1.6 %. */
const SUB_BUCKETS = 64;
const SUB_BITS = 6;

/** Counts values from 0 to 2^32 - 1 in buckets whose width grows with the value. */
export class Histogram {
  readonly #counts: Float64Array = new Float64Array((32 - SUB_BITS + 1) * SUB_BUCKETS);
  #total = 0;

  /** Counts an integer. */
  add(value: number): void {
    this.#counts[Histogram.#bucketOf(value)]!++;
    this.#total++;
  }

  /** The value below which this share (0 to 1) of all lies; undefined when there are none. */
  quantile(share: number): number | undefined {
    let left = Math.ceil(share * this.#total);
    if (left === 0) return undefined;
    const bucket = this.#counts.findIndex((count) => (left -= count) <= 0);
    return Histogram.#middleOf(bucket);
  }

  static #bucketOf(value: number): number {
    if (value < SUB_BUCKETS) return value;
    const shift = 31 - Math.clz32(value) - SUB_BITS;
    return shift * SUB_BUCKETS + (value >>> shift);
  }

  static #middleOf(bucket: number): number {
    if (bucket < 2 * SUB_BUCKETS) return bucket;
    const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
    return (bucket - shift * SUB_BUCKETS + 0.5) * 2 ** shift;
  }
}
