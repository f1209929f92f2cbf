import type { Trellis } from '../cli/trellis.ts';

/** Waits until the log holds this. */
export type Until = (pattern: RegExp) => Promise<RegExpExecArray>;

/** Waits for what a command logs from now on. */
export function untilAfter(command: Trellis): Until {
  const { length } = command.stderr;
  return (pattern) => command.until('stderr', new RegExp(`(?<=^[^]{${length},})${pattern.source}`));
}

/** What a broker logs when it has read its files anew. */
export const READ: RegExp = /users, access rules and certificates were read anew/;
