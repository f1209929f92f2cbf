/** The exit codes of `sim` and `bench`. */
export const ExitCode = {
  /** Every threshold holds. */
  ok: 0,
  /** A threshold does not hold, or the run could not be made. */
  failure: 1,
  /** Wrong flags or a wrong scenario. */
  usage: 2,
  /** Ended by ctrl-C before its time; the report says what was seen until then. */
  interrupted: 130,
} as const;

/** The command line is wrong; the message is one sentence for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
