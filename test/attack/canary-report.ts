/** What a canary met with in one lap. */
export interface CanaryReport {
  /** Messages that came in this lap. */
  messages: number;
  /** Messages that have not come, of all so far. */
  lost: number;
  unacknowledged: number;
  /** Messages that came out of their turn, of all so far. */
  disorders: number;
  /** Whether one of its connections was closed. */
  isGone: boolean;
  p50Ms: number;
  p99Ms: number;
}
