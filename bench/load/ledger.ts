import { Histogram } from './histogram.ts';

/** Microseconds of the generator's clock, modulo 2^32. */
export function stampNow(): number {
  return Math.floor(performance.now() * 1000) >>> 0;
}

/** What the messages of a run are measured by, all clients together. */
export class Ledger {
  /** Messages published. */
  sent = 0;
  /** Messages delivered for the first time, each subscriber that should get one counted. */
  delivered = 0;
  /** Publishes acknowledged to the end. */
  acknowledged = 0;
  /** Deliveries that nobody published, of the wrong size or on the wrong connection, and acknowledgements out of place. */
  invalid = 0;
  /** Scheduled publishes that were left out because the device was behind. */
  skipped = 0;
  /** How often nothing had moved for a second and what was outstanding was written off. */
  stalls = 0;
  /** Time from stamp to delivery in microseconds, of deliveries while `isTimed`. */
  latency: Histogram = new Histogram();
  isTimed = false;
}
