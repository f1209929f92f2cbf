/** Entries that each queue of the child has once it has written so many batches. */
export const KEPT = 50;
