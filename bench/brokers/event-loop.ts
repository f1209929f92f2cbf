import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The interval of the timer whose delay is measured, in milliseconds. */
const RESOLUTION_MS = 10;

/** What a broker on Node says about its event loop when it is ended. */
export interface EventLoopReport {
  /** How much later than due the event loop came to a timer, in milliseconds: of 99 % of times, and at most. */
  readonly eventLoopP99Ms: number;
  readonly eventLoopMaxMs: number;
}

/** Watches the event loop from now on; what it returns says how late it was so far. */
export function watchEventLoop(): () => EventLoopReport {
  const intervals = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  intervals.enable();
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return () => ({ eventLoopP99Ms: late(intervals.percentile(99)), eventLoopMaxMs: late(intervals.max) });
}
