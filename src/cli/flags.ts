import { maskUrl } from '../lib/mask-url.ts';
import { nearest } from '../lib/nearest.ts';
import { UsageError } from './errors.ts';

/** A flag of a command. */
export interface Flag {
  /** As typed: `-p`, `--port`; the first is the one used in the program. */
  readonly names: readonly string[];
  /** Names of its values for the help; empty for a switch. */
  readonly values: readonly string[];
  /** Whether one more value follows those already read. */
  readonly oneMore?: (values: readonly string[]) => boolean;
  /** Heading it stands under in the help. */
  readonly group: string;
  readonly help: string;
}

/** A flag as it was given. */
export interface GivenFlag {
  /** The first of the flag's names. */
  readonly name: string;
  /** The name that was typed. */
  readonly typed: string;
  readonly values: readonly string[];
}

/**
 * Reads a command line. The word after a flag that takes a value is its value, whatever it begins with, as mosquitto's
 * clients have it; `--flag=value` is understood as well.
 * @param words takes the words that belong to no flag and begin with no dash; without it there may be none.
 * @throws UsageError on an unknown flag, a missing value, or a word that belongs to no flag.
 */
export function parseFlags(
  command: string,
  flags: readonly Flag[],
  args: readonly string[],
  words?: string[],
): GivenFlag[] {
  const byName = new Map<string, Flag>(flags.flatMap((flag) => flag.names.map((name) => [name, flag])));
  const given: GivenFlag[] = [];
  let index = 0;
  while (index < args.length) {
    const word = args[index]!;
    index += 1;
    if (words !== undefined && !word.startsWith('-')) {
      words.push(word);
      continue;
    }
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const typed = equals < 0 ? word : word.slice(0, equals);
    const flag = byName.get(typed);
    if (flag === undefined) throw unknownWord(command, typed, byName.keys());
    const values: string[] = [];
    if (equals >= 0) {
      if (flag.values.length === 0) throw new UsageError(`${typed} takes no value.`);
      values.push(word.slice(equals + 1));
    }
    index += takeValues(values, args.slice(index, index + flag.values.length - values.length));
    if (flag.oneMore?.(values) === true) index += takeValues(values, args.slice(index, index + 1));
    if (values.length < flag.values.length || flag.oneMore?.(values) === true) {
      throw new UsageError(`${typed} needs ${flag.values.join(' ')}; see trellis ${command} --help.`);
    }
    given.push({ name: flag.names[0]!, typed, values });
  }
  return given;
}

/** @returns how many there were. */
function takeValues(values: string[], words: readonly string[]): number {
  values.push(...words);
  return words.length;
}

function unknownWord(command: string, word: string, names: Iterable<string>): UsageError {
  const shown = JSON.stringify(maskUrl(word)).slice(1, -1);
  if (!word.startsWith('-')) {
    return new UsageError(`trellis ${command} takes flags only, not "${shown}"; see trellis ${command} --help.`);
  }
  const hint = word.length > 2 ? nearest(word, names) : undefined;
  return new UsageError(
    hint === undefined
      ? `trellis ${command} has no flag ${shown}; see trellis ${command} --help.`
      : `trellis ${command} has no flag ${shown}; did you mean ${hint}?`,
  );
}

/** An integer given to a flag. @throws UsageError outside min to max. */
export function flagInteger(flag: GivenFlag, min: number, max: number): number {
  const text = flag.values[0]!;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${flag.typed} must be an integer from ${min} to ${max}, not ${JSON.stringify(text)}.`);
}

/** A number of seconds, perhaps with a fraction, given to a flag. @throws UsageError outside 0 to max. */
export function flagSeconds(flag: GivenFlag, max: number): number {
  const text = flag.values[0]!;
  const value = /^\d{1,10}(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw new UsageError(`${flag.typed} must be a number of seconds from 0 to ${max}, not ${JSON.stringify(text)}.`);
}

/** The help of a command: what comes first, its flags by group, what comes last. */
export function helpText(before: string, flags: readonly Flag[], after: string): string {
  const lines = [before.trimEnd()];
  for (const group of new Set(flags.map((flag) => flag.group))) {
    lines.push('', `${group}:`);
    for (const flag of flags) {
      if (flag.group !== group) continue;
      const left = [flag.names.join(', '), ...flag.values].join(' ');
      const [first = '', ...rest] = wrap(flag.help, 84);
      if (left.length <= 28) lines.push(`  ${left.padEnd(28)}  ${first}`);
      else lines.push(`  ${left}`, `${' '.repeat(32)}${first}`);
      for (const line of rest) lines.push(`${' '.repeat(32)}${line}`);
    }
  }
  lines.push('', after.trim());
  return `${lines.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
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
