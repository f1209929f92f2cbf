import { nearest } from '../lib/nearest.ts';
import { UsageError } from './errors.ts';

/** A flag of a command. */
export interface Flag {
  /** As typed: `-p`, `--port`; the first is the one used in the program. */
  readonly names: readonly string[];
  /** Name of its value for the help; absent for a switch. */
  readonly value?: string;
  /** Heading it stands under in the help. */
  readonly group: string;
  readonly help: string;
}

/** A command line, read. */
export interface GivenFlags {
  /** Value by the flag's first name; switches have the empty text. */
  readonly values: ReadonlyMap<string, string>;
  /** Words that belong to no flag, in order. */
  readonly words: readonly string[];
}

/** What a command takes. */
export interface CommandLine {
  /** `sim run`, as it is typed behind `trellis`. */
  readonly command: string;
  readonly flags: readonly Flag[];
  /** Names of the words it takes besides flags; those in brackets may be missing. */
  readonly words: readonly string[];
}

/** Reads a command line; `--flag=value` is understood as well. @throws UsageError that names the word that is wrong. */
export function parseFlags({ command, flags, words: expected }: CommandLine, args: readonly string[]): GivenFlags {
  const byName = new Map<string, Flag>(flags.flatMap((flag) => flag.names.map((name) => [name, flag])));
  const values = new Map<string, string>();
  const words: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] as string;
    if (!word.startsWith('-') || word === '-') {
      if (words.push(word) > expected.length) throw tooMany(command, expected, word);
      continue;
    }
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const typed = equals === -1 ? word : word.slice(0, equals);
    const flag = byName.get(typed);
    if (flag === undefined) throw unknownFlag(command, typed, byName.keys());
    const name = flag.names[0] as string;
    if (values.has(name)) throw new UsageError(`${typed} is given twice.`);
    if (flag.value === undefined) {
      if (equals !== -1) throw new UsageError(`${typed} takes no value.`);
      values.set(name, '');
      continue;
    }
    const value = equals === -1 ? args[++index] : word.slice(equals + 1);
    // The next flag is no value; whoever means it as one writes --flag=value.
    if (value === undefined || (equals === -1 && byName.has(value)))
      throw new UsageError(`${typed} needs ${flag.value}; see trellis ${command} --help.`);
    values.set(name, value);
  }
  const missing = expected[words.length];
  if (missing !== undefined && !missing.startsWith('[') && !values.has('--help')) {
    throw new UsageError(`trellis ${command} needs ${missing}; see trellis ${command} --help.`);
  }
  return { values, words };
}

function tooMany(command: string, expected: readonly string[], word: string): UsageError {
  const takes = expected.length === 0 ? 'flags only' : expected.join(' ');
  return new UsageError(
    `trellis ${command} takes ${takes}, and not ${quoted(word)} too; see trellis ${command} --help.`,
  );
}

function unknownFlag(command: string, typed: string, names: Iterable<string>): UsageError {
  const hint = typed.length > 2 ? nearest(typed, names) : undefined;
  const what = hint === undefined ? `see trellis ${command} --help.` : `did you mean ${hint}?`;
  return new UsageError(`trellis ${command} has no flag ${quoted(typed)}; ${what}`);
}

/** A word of the user's in a message, without control characters. */
export function quoted(word: string): string {
  return JSON.stringify(word.slice(0, 100)).slice(1, -1);
}

/** A number given to a flag; undefined where it was not given. @throws UsageError outside min to max. */
export function numberOf(
  given: GivenFlags,
  name: string,
  range: { readonly min: number; readonly max: number; readonly isInteger?: boolean },
): number | undefined {
  const text = given.values.get(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,15}(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;
  const { min, max, isInteger = true } = range;
  if (value >= min && value <= max && (!isInteger || Number.isInteger(value))) return value;
  const kind = isInteger ? 'an integer' : 'a number';
  throw new UsageError(`${name} must be ${kind} from ${min} to ${max}, not "${quoted(text)}".`);
}

/** The help of a command: what comes first, its flags by group, what comes last. */
export function helpText(before: string, flags: readonly Flag[], after: string): string {
  const lines = [before.trim()];
  for (const group of new Set(flags.map((flag) => flag.group))) {
    lines.push('', `${group}:`);
    for (const flag of flags) {
      if (flag.group !== group) continue;
      const left = [flag.names.join(', '), ...(flag.value === undefined ? [] : [flag.value])].join(' ');
      const [first = '', ...rest] = wrapped(flag.help, 80);
      if (left.length <= 28) lines.push(`  ${left.padEnd(28)}  ${first}`);
      else lines.push(`  ${left}`, `${' '.repeat(32)}${first}`);
      for (const line of rest) lines.push(`${' '.repeat(32)}${line}`);
    }
  }
  if (after !== '') lines.push('', after.trim());
  return `${lines.join('\n')}\n`;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
