import { parseAddressRange } from '../lib/ip-address.ts';

/** Whom a ban is about. */
export type BanKind = 'address' | 'client' | 'user';

/** Somebody who may not connect. */
export interface Ban {
  readonly kind: BanKind;
  /** An address or range such as `10.0.0.0/8`, a client id, or a user name. */
  readonly value: string;
  /** When it ends, ms since the epoch; Infinity for never. */
  readonly until: number;
  /** Why, for people; one line, may be empty. */
  readonly reason: string;
}

/** A line of a file of bans: a ban, or text that stays as it is (a note, an empty line). */
export type BanLine = Ban | string;

/** What is in a file of bans, and what is wrong with it. */
export interface ParsedBans {
  readonly lines: readonly BanLine[];
  /** Sentences that begin with `file:line:`; the list must not be used unless there are none. */
  readonly problems: readonly string[];
}

/** Bans a list may hold. */
export const BANS_MAX = 100_000;
/** Characters a value may have; no client id or user name is longer. */
const VALUE_MAX = 65_535;
/** Sentences after which no further ones are gathered. */
const PROBLEMS_MAX = 20;

const WORD = /^(?:[^\s"#][^\s"]*|"(?:[^"\\]|\\.)*")/;
const PLAIN_WORD = /^[\w.:@/+=-]+$/;
const TIME = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/;
const FORM = 'address 10.0.0.0/8 until 2026-12-01T00:00:00Z # why';

/**
 * Reads a file of bans, one a line; words with blanks, quotes or a leading # are written in double quotes as in JSON:
 *
 *     address 10.0.0.0/8 until 2026-12-01T00:00:00Z # why
 *     client "sensor 7"
 *     user mallory # left in March
 */
export function parseBans(text: string, file: string): ParsedBans {
  const lines: BanLine[] = [];
  const problems: string[] = [];
  const seen = new Map<string, number>();
  const rows = text.replace(/\r?\n$/, '').split(/\r?\n/);
  for (const [index, row] of rows.entries()) {
    const parsed = parseLine(row);
    const at = `${file}:${index + 1}`;
    if (typeof parsed === 'object' && 'problem' in parsed) problems.push(`${at}: ${parsed.problem}.`);
    else if (typeof parsed === 'string') lines.push(parsed);
    else {
      const key = banKey(parsed.kind, parsed.value);
      const before = seen.get(key);
      if (before !== undefined)
        problems.push(`${at}: ${parsed.kind} ${word(parsed.value)} is on line ${before} already; keep one of them.`);
      else if (seen.size === BANS_MAX) problems.push(`${at}: there may be ${BANS_MAX} bans; remove some.`);
      seen.set(key, index + 1);
      lines.push(parsed);
    }
    if (problems.length === PROBLEMS_MAX || seen.size > BANS_MAX) break;
  }
  return { lines, problems };
}

/** The file that `parseBans` reads the same from. */
export function formatBans(lines: readonly BanLine[]): string {
  return lines.map((line) => `${typeof line === 'string' ? line : formatBan(line)}\n`).join('');
}

/** A ban as a line of its file, without the end of the line. */
function formatBan({ kind, value, until, reason }: Ban): string {
  const end = until === Number.POSITIVE_INFINITY ? '' : ` until ${new Date(until).toISOString()}`;
  return `${kind} ${word(value)}${end}${reason === '' ? '' : ` # ${reason}`}`;
}

/** What a ban is known by: the same for two spellings of a range. */
export function banKey(kind: BanKind, value: string): string {
  if (kind !== 'address') return `${kind} ${value}`;
  const range = parseAddressRange(value);
  return range === undefined ? `address ${value}` : `address ${range.network.toString(16)}/${range.prefixLength}`;
}

/** What is wrong with a ban that comes from elsewhere than a file, as the rest of a sentence; undefined for nothing. */
export function banProblem({ kind, value, until, reason }: Ban): string | undefined {
  if (kind === 'address' && parseAddressRange(value) === undefined) return rangeProblem(value);
  if (value === '' || value.length > VALUE_MAX) return `the ${kind} must have 1 to ${VALUE_MAX} characters`;
  if (Number.isNaN(until) || (until !== Number.POSITIVE_INFINITY && Math.abs(until) > 8.64e15))
    return 'the end of a ban must be a time';
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f]/.test(reason) ? 'the reason must be one line' : undefined;
}

function word(value: string): string {
  return PLAIN_WORD.test(value) ? value : JSON.stringify(value);
}

function rangeProblem(value: string): string {
  return `${JSON.stringify(value)} is no address and no range such as 10.0.0.0/8 with nothing set behind its prefix`;
}

function parseLine(row: string): BanLine | { problem: string } {
  let rest = row.trim();
  if (rest === '' || rest.startsWith('#')) return row;
  const take = (): string | undefined => {
    const found = WORD.exec(rest)?.[0];
    if (found === undefined) return undefined;
    const behind = rest.slice(found.length);
    if (behind !== '' && !/^\s/.test(behind)) return undefined;
    rest = behind.trimStart();
    return unquoted(found);
  };
  const kind = take();
  if (kind !== 'address' && kind !== 'client' && kind !== 'user')
    return { problem: `a line must begin with address, client or user, as in "${FORM}"` };
  const value = take();
  if (value === undefined || value === '')
    return {
      problem: `who is banned must follow ${kind}, in double quotes where it has blanks, quotes or a leading #`,
    };
  let until = Number.POSITIVE_INFINITY;
  if (rest !== '' && !rest.startsWith('#')) {
    if (take() !== 'until') return { problem: `only "until TIME" and "# reason" may follow, as in "${FORM}"` };
    const time = take() ?? '';
    until = timeOf(time);
    if (Number.isNaN(until))
      return { problem: `a time such as 2026-12-01T00:00:00Z must follow until, not ${JSON.stringify(time)}` };
  }
  if (rest !== '' && !rest.startsWith('#')) return { problem: `a reason must begin with #, as in "${FORM}"` };
  const ban = { kind, value, until, reason: rest.slice(1).trim() } as const;
  const problem = banProblem(ban);
  return problem === undefined ? ban : { problem };
}

/** @returns undefined for quotes with something in them that JSON does not know. */
function unquoted(found: string): string | undefined {
  if (!found.startsWith('"')) return found;
  try {
    return JSON.parse(found) as string;
  } catch {
    return undefined;
  }
}

/** A time with its zone, ms since the epoch; NaN for none, or for a day that its month does not have. */
function timeOf(text: string): number {
  const match = TIME.exec(text);
  if (match === null) return Number.NaN;
  const [year, month, day] = match.slice(1, 4).map(Number) as [number, number, number];
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return Number.NaN;
  return Date.parse(text);
}
