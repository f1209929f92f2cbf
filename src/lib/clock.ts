/** Time, timers and end-of-tick scheduling, passed in so that the whole broker runs in a test under a fake clock. */
export interface Clock {
  /** Milliseconds since the Unix epoch. Never goes backwards within a process. */
  now(): number;
  /** Runs the callback once after at least `delayMs` milliseconds. */
  setTimeout(callback: () => void, delayMs: number): Timer;
  /** Runs the callback once the events of this turn of the loop are handled. */
  setImmediate(callback: () => void): void;
}

/** A pending timer. */
export interface Timer {
  /** Stops the timer; without effect once it has run. */
  cancel(): void;
}
