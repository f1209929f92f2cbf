/** Time, timers and end-of-tick scheduling, passed in so that the whole broker runs in a test under a fake clock. */
export interface Clock {
  /** Milliseconds since the Unix epoch. Never goes backwards within a process. */
  now(): number;
  /**
   * The time of day as others have it, ms since the Unix epoch, for dates that come from elsewhere. It jumps where the clock
   * of the machine is set, as that of a small one is after its start; `now` does not follow.
   */
  calendarNow(): number;
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
