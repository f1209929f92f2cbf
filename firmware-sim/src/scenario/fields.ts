import { z } from 'zod';
import { didYouMean, orList } from './wording.ts';
import { durationText, formatDuration, formatSize, parseDuration, parseSize, sizeText } from './units.ts';

/** What Zod hands to a function that words an error. */
type Issue = z.core.$ZodRawIssue;

/** Placeholders of topics. */
const placeholders: readonly string[] = ['{prefix}', '{class}', '{device}', '{index}', '{child}'];

const topicLengthMax = 1000;

/** A value as it is shown in a sentence: short, on one line. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const shown = typeof value === 'number' ? `${value}` : (JSON.stringify(value) ?? typeof value);
  return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
}

/** Words an error: `must be X, not Y`, and where a word of `known` is near, which. */
export function mustBe(expected: string, known: readonly string[] = []): (issue: Issue) => string {
  return ({ input }) =>
    input === undefined
      ? `missing; it must be ${expected}`
      : `must be ${expected}, not ${show(input)}${didYouMean(input, known)}`;
}

/** A mapping with these fields and no others. One sentence a line for each key that is too many. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const names = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return mustBe(`a mapping of ${someOf(names)}`)(issue);
      return issue.keys.map((key) => unknownKey(key, names)).join('\n');
    },
  });
}

/** What is said of a key that is not among `names`. */
function unknownKey(key: string, names: readonly string[]): string {
  const near = didYouMean(key, names);
  return near === '' ? `unknown; the fields are ${someOf(names)}` : `unknown${near}`;
}

function someOf(names: readonly string[]): string {
  return names.length > 12 ? `${names.slice(0, 12).join(', ')} ...` : orList(names, 'and');
}

/** An optional field and what docs and JSON Schema say of it; the default only where it is a plain value. */
export function optional<T extends z.ZodType>(
  schema: T,
  description: string,
  byDefault?: unknown,
): z.ZodExactOptional<T> {
  return z.exactOptional(described(schema, description, byDefault));
}

/** A field and what docs and JSON Schema say of it. */
export function described<T extends z.ZodType>(schema: T, description: string, byDefault?: unknown): T {
  return schema.meta({ description, ...(byDefault === undefined ? {} : { default: byDefault }) });
}

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): z.ZodNumber {
  const error = mustBe(`an integer from ${thousands(min)} to ${thousands(max)}`);
  return z.number({ error }).int({ error, abort: true }).min(min, { error }).max(max, { error });
}

/** A number from `min` to `max`, fractions allowed. */
export function number(min: number, max: number): z.ZodNumber {
  const error = mustBe(`a number from ${thousands(min)} to ${thousands(max)}`);
  return z.number({ error }).min(min, { error }).max(max, { error });
}

/** Any finite number. */
export function anyNumber(): z.ZodNumber {
  return z.number({ error: mustBe('a number') });
}

/** True or false. */
export function flag(): z.ZodBoolean {
  return z.boolean({ error: mustBe('true or false') });
}

/** One of some words. */
export function choice<const Words extends readonly string[]>(
  words: Words,
): z.ZodEnum<z.core.util.ToEnum<Words[number]>> {
  return z.enum<Words>(words, { error: mustBe(orList(words), words) });
}

/** One of some literal numbers or words. */
export function literal<const Values extends readonly (number | string)[]>(
  values: Values,
  expected: string,
): z.ZodLiteral<Values[number]> {
  return z.literal(values, { error: mustBe(expected) });
}

/** Text of 1 to `max` characters. */
export function text(max: number): z.ZodString {
  const error = mustBe(`text of 1 to ${thousands(max)} characters`);
  return z.string({ error }).min(1, { error, abort: true }).max(max, { error });
}

/** Text that is never shown, not even in errors. */
export function secret(): z.ZodString {
  const error = (issue: Issue): string =>
    typeof issue.input === 'string' ? 'must have at most 65,535 characters' : 'must be text; put it in quotes';
  return z.string({ error }).max(65_535, { error });
}

/** A name for reports and metric paths: no dots, no spaces. */
export function name(): z.ZodString {
  const error = mustBe('a name of letters, digits, - and _ that begins with a letter');
  return z.string({ error }).regex(namePattern, { error });
}

/** What names of classes and stages look like. */
export const namePattern: RegExp = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** A duration from `min` to `max`, both in seconds. */
export function duration(min: number, max: number): z.ZodType<number | string> {
  const expected = `a duration from ${formatDuration(min)} to ${formatDuration(max)}`;
  const error = ({ input }: Issue): string => {
    if (input === undefined) return `missing; it must be ${expected}, such as 250ms, 30s or 2m`;
    // Numbers are seconds, which who thinks in milliseconds finds out here.
    const hint = typeof input === 'number' && input > max ? ` s; for milliseconds write ${show(`${input}ms`)}` : '';
    const example = parseDuration(input) === undefined ? ', such as 250ms, 30s or 2m' : '';
    return `must be ${expected}${example}, not ${show(input)}${hint}`;
  };
  const isRight = (value: string): boolean => {
    const seconds = parseDuration(value);
    return seconds !== undefined && seconds >= min && seconds <= max;
  };
  return z.union(
    [
      z.number({ error }).min(min, { error }).max(max, { error }),
      z.string({ error }).refine(isRight, { error }).meta({ pattern: durationText }),
    ],
    { error },
  );
}

/** A number of bytes from `min` to `max`. */
export function size(min: number, max: number): z.ZodType<number | string> {
  const range = `a size from ${formatSize(min)} to ${formatSize(max)}`;
  const error = ({ input }: Issue): string => {
    const example = parseSize(input) === undefined ? ', such as 512 or 64 KiB' : '';
    return mustBe(`${range}${example}`)({ input } as Issue);
  };
  const isRight = (value: string): boolean => {
    const bytes = parseSize(value);
    return bytes !== undefined && bytes >= min && bytes <= max;
  };
  return z.union(
    [
      z.number({ error }).min(min, { error }).max(max, { error }),
      z.string({ error }).refine(isRight, { error }).meta({ pattern: sizeText }),
    ],
    { error },
  );
}

/** A list of at most `max`. */
export function list<T extends z.ZodType>(item: T, expected: string, max: number): z.ZodArray<T> {
  const error = mustBe(`a list of ${expected}`);
  const tooMany = `must have at most ${thousands(max)} entries`;
  return z.array(item, { error }).max(max, { error: tooMany });
}

/** One of several shapes; `expected` is said where none fits, and which of the words `known` is near. */
export function either<const Options extends readonly [z.ZodType, ...z.ZodType[]]>(
  options: Options,
  expected: string,
  known: readonly string[] = [],
): z.ZodUnion<Options> {
  return z.union(options, { error: mustBe(expected, known) });
}

/** A topic name or topic filter with placeholders. */
export function topic(kind: 'topic' | 'filter'): z.ZodString {
  const error = ({ input }: Issue): string => topicProblem(input, kind) ?? '';
  return z
    .string({ error })
    .refine((value) => topicProblem(value, kind) === undefined, { error })
    .meta({ minLength: 1, maxLength: topicLengthMax });
}

function topicProblem(value: unknown, kind: 'topic' | 'filter'): string | undefined {
  if (typeof value !== 'string' || value === '')
    return mustBe(kind === 'topic' ? 'a topic name' : 'a topic filter')({ input: value } as Issue);
  if (value.length > topicLengthMax) return `must have at most ${thousands(topicLengthMax)} characters`;
  if (value.includes('\0')) return 'must not contain the character U+0000';
  for (const [used] of value.matchAll(/\{[^}]*\}?/g)) {
    if (!placeholders.includes(used)) {
      const near = didYouMean(used, placeholders);
      return `has ${used}, which is none of ${placeholders.join(', ')}${near}`;
    }
  }
  if (kind === 'topic') return /[+#]/.test(value) ? 'is a topic name and must not contain + or #' : undefined;
  const levels = value.split('/');
  const isRight = levels.every(
    (level, at) => !/[+#]/.test(level) || level === '+' || (level === '#' && at === levels.length - 1),
  );
  return isRight ? undefined : 'has a wildcard that is not a level of its own, or a # that is not the last';
}

/** 1234567 as `1,234,567`. */
export function thousands(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 6 });
}
