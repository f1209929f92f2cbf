/** How the times that a store keeps differ from those of the local clock. */
export interface TimeOffset {
  /** What is added to a local time when it is stored, and taken off when it is read, ms. It may change. */
  readonly offsetMs: number;
}

/** For a store whose times are those of the local clock. */
export const LOCAL_TIMES: TimeOffset = Object.freeze({ offsetMs: 0 });
