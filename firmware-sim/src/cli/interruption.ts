import { ExitCode } from './errors.ts';

/** Ctrl-C, the polite way to end a process, and the end of its terminal. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Ctrl-C once ends a run early, with its report; a second time ends the program. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #say: (text: string) => void;
  readonly #onSignal = (): void => {
    if (this.#controller.signal.aborted) process.exit(ExitCode.interrupted);
    this.#say('Ending: what is owed is collected; ctrl-C again ends at once.');
    this.#controller.abort();
  };

  /** @param say tells people one line, in the live view where there is one. */
  constructor(say: (text: string) => void) {
    this.#say = say;
    for (const signal of signals) process.on(signal, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The run is over: signals do again what they do. */
  done(): void {
    for (const signal of signals) process.off(signal, this.#onSignal);
  }
}
