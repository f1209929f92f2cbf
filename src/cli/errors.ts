/** The exit codes of the command line. */
export const ExitCode = {
  ok: 0,
  /** Something failed that is not the user's input. */
  failure: 1,
  /** Wrong flags or a wrong configuration. */
  usage: 2,
  /** `sub -W` ran out of time; the number mosquitto_sub uses. */
  timedOut: 27,
} as const;

/** The command cannot go on; the message is one sentence for people. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = ExitCode.failure) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

/** The command line is wrong. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, ExitCode.usage);
    this.name = 'UsageError';
  }
}
