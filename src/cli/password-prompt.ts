import { CommandError } from './errors.ts';

/** A terminal that can be told not to show what is typed. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & { setRawMode(isRaw: boolean): unknown };
  readonly output: NodeJS.WritableStream;
}

const CHARACTERS_MAX = 65_535;

/**
 * Asks for a password twice, showing nothing of it.
 * @throws CommandError when both differ, it is empty, or the user gives up.
 */
export async function askForPassword(terminal: Terminal, user: string): Promise<string> {
  const keys = new Keys(terminal.input);
  try {
    const first = await keys.readLine(terminal.output, `Password for ${user}: `);
    if (first === '') throw new CommandError('The password must not be empty.');
    const second = await keys.readLine(terminal.output, 'Once more: ');
    if (first !== second) throw new CommandError('The two passwords differ; nothing was changed.');
    return first;
  } finally {
    keys.close();
  }
}

/** What is typed, key by key, from now until it is closed. */
class Keys {
  readonly #input: Terminal['input'];
  readonly #keys: string[] = [];
  #wake: (() => void) | undefined;
  #isEnded = false;
  readonly #onData = (chunk: Buffer | string): void => {
    this.#keys.push(...Array.from(chunk.toString()));
    this.#wake?.();
  };
  readonly #onEnd = (): void => {
    this.#isEnded = true;
    this.#wake?.();
  };

  constructor(input: Terminal['input']) {
    this.#input = input;
    input.setRawMode(true);
    // Otherwise a character could be cut in two.
    input.setEncoding('utf8');
    input.on('data', this.#onData).on('end', this.#onEnd).resume();
  }

  close(): void {
    this.#input.setRawMode(false);
    this.#input.off('data', this.#onData).off('end', this.#onEnd).pause();
  }

  async readLine(output: NodeJS.WritableStream, question: string): Promise<string> {
    output.write(question);
    const typed: string[] = [];
    try {
      for (;;) {
        const key = await this.#next();
        if (key === '\r' || key === '\n') return typed.join('');
        if (key === undefined || key === '\u0003' || key === '\u0004')
          throw new CommandError('Given up; nothing was changed.');
        if (key === '\u007f' || key === '\b') typed.pop();
        else if (key === '\u0015') typed.length = 0;
        else if (typed.length < CHARACTERS_MAX) typed.push(key);
      }
    } finally {
      output.write('\n');
    }
  }

  async #next(): Promise<string | undefined> {
    while (this.#keys.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#keys.shift();
  }
}
