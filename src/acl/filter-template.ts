import type { ClientInfo } from '../hooks/hooks.ts';
import { nearest } from '../lib/nearest.ts';
import { parseTopicFilter } from '../protocol/topic.ts';
import { ANY_LEVEL, levelsOf } from './filter-algebra.ts';

/** What of a client the access rules look at. */
export type Subject = Pick<ClientInfo, 'clientId' | 'username' | 'certificate' | 'roles' | 'claims' | 'grants'>;

/** Something of a client that stands in a topic filter. */
type Placeholder =
  | { readonly kind: 'clientId' | 'username' | 'commonName'; readonly text: string }
  | { readonly kind: 'claim'; readonly claim: string; readonly text: string };

/** Literal text and placeholders that form one level together. */
type CompositeLevel = readonly (string | Placeholder)[];

/** A topic filter in which placeholders may stand for a level or a part of one. */
export interface FilterTemplate {
  /** As it is written in the file. */
  readonly text: string;
  /** Levels as `levelsOf` gives them; one with placeholders is a list. */
  readonly levels: readonly (string | CompositeLevel)[];
  /** Whether no level has placeholders. */
  readonly isLiteral: boolean;
}

/** A template, or what is wrong with it as the rest of a sentence. */
export type ParsedTemplate = { readonly template: FilterTemplate } | { readonly problem: string };

/** The topic filter a template stands for with one client. */
export interface Substituted {
  /** For a placeholder without a usable value its whole level is `ANY_LEVEL`. */
  readonly levels: readonly string[];
  /** Why a placeholder could not be replaced; undefined where all were. */
  readonly problem: string | undefined;
}

/** Stands in for a placeholder while a template is checked: valid, and never part of `$share`. */
const SAMPLE = 'x';

const known: readonly string[] = ['clientId', 'username', 'cert.cn', 'claim.NAME'];

/** Reads a topic filter with `${clientId}`, `${username}`, `${cert.cn}` and `${claim.NAME}`. */
export function parseTemplate(text: string): ParsedTemplate {
  const parts: (string | Placeholder)[] = [];
  let at = 0;
  for (let open = text.indexOf('${'); open !== -1; open = text.indexOf('${', at)) {
    const close = text.indexOf('}', open);
    if (close === -1) return { problem: `the placeholder that begins with "\${" has no "}".` };
    if (open > at) parts.push(text.slice(at, open));
    const placeholder = placeholderOf(text.slice(open + 2, close));
    if (typeof placeholder === 'string') return { problem: placeholder };
    parts.push(placeholder);
    at = close + 1;
  }
  if (at < text.length) parts.push(text.slice(at));
  return templateOf(text, parts);
}

/** Reads a topic filter with `%c` for the client id and `%u` for the user name, as Mosquitto's patterns have them. */
export function parsePercentTemplate(text: string): ParsedTemplate {
  const parts = text.split(/(%[cu])/).filter((part) => part !== '');
  return templateOf(
    text,
    parts.map((part) => {
      if (part === '%c') return { kind: 'clientId', text: part };
      return part === '%u' ? { kind: 'username', text: part } : part;
    }),
  );
}

/** Reads a topic filter in which nothing stands for anything else. */
export function parseLiteralTemplate(text: string): ParsedTemplate {
  return templateOf(text, [text]);
}

function placeholderOf(name: string): Placeholder | string {
  const text = `\${${name}}`;
  switch (name) {
    case 'clientId':
    case 'username':
      return { kind: name, text };
    case 'cert.cn':
      return { kind: 'commonName', text };
    case 'claim.':
      return `\${claim.} needs the name of a claim, as in \${claim.sub}.`;
    default:
      if (name.startsWith('claim.')) return { kind: 'claim', claim: name.slice('claim.'.length), text };
      return unknownPlaceholder(name, text);
  }
}

function unknownPlaceholder(name: string, text: string): string {
  const near = nearest(name, known);
  if (near !== undefined) return `there is no placeholder ${text}; did you mean \${${near}}?`;
  return `there is no placeholder ${text}; there are ${known.map((one) => `\${${one}}`).join(', ')}.`;
}

function templateOf(text: string, parts: readonly (string | Placeholder)[]): ParsedTemplate {
  const sample = parts.map((part) => (typeof part === 'string' ? part : SAMPLE)).join('');
  const parsed = parseTopicFilter(sample);
  if (parsed === undefined) {
    return { problem: 'it is no topic filter: + and # stand alone in a level, # in the last one.' };
  }
  if (parsed.shareName !== '') {
    return { problem: 'leave out "$share/NAME/": rules hold for shared subscriptions as for others.' };
  }
  const isLiteral = parts.every((part) => typeof part === 'string');
  if (isLiteral) return { template: { text, levels: levelsOf(sample), isLiteral } };
  const levels = compositeLevels(parts);
  const [first] = levels;
  if (Array.isArray(first) && typeof first[0] === 'string' && first[0].startsWith('$')) {
    return { problem: 'a placeholder cannot stand in a first level that begins with $.' };
  }
  return { template: { text, levels, isLiteral } };
}

/** The levels of parts in which there is a placeholder: never `#` or `/#`, which `levelsOf` knows more of. */
function compositeLevels(parts: readonly (string | Placeholder)[]): (string | CompositeLevel)[] {
  const levels: (string | Placeholder)[][] = [[]];
  for (const part of parts) {
    if (typeof part !== 'string') {
      levels.at(-1)!.push(part);
      continue;
    }
    const [rest = '', ...more] = part.split('/');
    if (rest !== '') levels.at(-1)!.push(rest);
    for (const level of more) levels.push(level === '' ? [] : [level]);
  }
  return levels.map((level) => (level.every((part) => typeof part === 'string') ? level.join('') : level));
}

/**
 * Puts what a client has into a template, as literal text.
 *
 * A value with a wildcard, a slash or U+0000 would stand for more than itself, an empty one for another topic, and one that
 * begins a filter with `$` for the broker's own topics. Such a value is not put in.
 */
export function substitute(template: FilterTemplate, subject: Subject): Substituted {
  let problem: string | undefined;
  const levels = template.levels.map((level, index) => {
    if (typeof level === 'string') return level;
    let text = '';
    for (const part of level) {
      const value = typeof part === 'string' ? part : valueOf(part, subject);
      const wrong = typeof part === 'string' ? undefined : wrongOf(value, index === 0 && text === '');
      if (wrong !== undefined) {
        problem ??= `${(part as Placeholder).text} ${wrong}`;
        return ANY_LEVEL;
      }
      text += value;
    }
    return text;
  });
  return { levels, problem };
}

function valueOf(placeholder: Placeholder, subject: Subject): string | undefined {
  switch (placeholder.kind) {
    case 'clientId':
    case 'username':
      return subject[placeholder.kind];
    case 'commonName':
      return subject.certificate?.commonName;
    case 'claim': {
      const { claims } = subject;
      // What every object inherits, such as `constructor`, is no claim.
      const value = claims !== undefined && Object.hasOwn(claims, placeholder.claim) && claims[placeholder.claim];
      // Larger ones have lost digits when they were read: several are one.
      if (typeof value === 'number') return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : undefined;
      return typeof value === 'string' ? value : undefined;
    }
  }
}

/** Why a value cannot be put in, as the end of a phrase; undefined where it can. */
function wrongOf(value: string | undefined, isBeginning: boolean): string | undefined {
  if (value === undefined || value === '') return 'has no value';
  // Halves of a surrogate pair could become a character together.
  if (/[+#/\0]/.test(value) || !value.isWellFormed())
    return 'has a value with +, #, / or a character no topic can have';
  return isBeginning && value.startsWith('$') ? 'has a value that begins with $' : undefined;
}
