import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import { DEFAULT_SCHEME, type HashScheme, type PasswordHash, parsePasswordHash, schemeText } from './password-hash.ts';
import { saslPrep } from './sasl-prep.ts';
import { DEFAULT_ITERATIONS, parseScramSecret, type ScramMechanism, type ScramSecret } from './scram-secret.ts';

/** What a line of a password file is good for; a user has at most one line of each. */
export type SecretKind = 'password' | ScramMechanism;

/** All of them, in the order they are written. */
export const secretKinds: readonly SecretKind[] = ['password', 'SCRAM-SHA-256', 'SCRAM-SHA-512'];

/** Largest password file, in bytes. */
export const PASSWORD_FILE_BYTES_MAX: number = 64 * 1024 * 1024;
const LINE_CHARACTERS_MAX = 8_192;
const USERS_MAX = 1_000_000;
/** Other work gets its turn after so many lines, some milliseconds. */
const LINES_PER_TURN = 200;

const control = /\p{Cc}/u;

/** Why nobody of this name can be in a password file, to complete "the user name"; undefined where somebody can. */
export function userNameProblem(name: string): string | undefined {
  if (name === '') return 'must not be empty';
  if (name.startsWith('#')) return 'must not begin with #, which begins a comment';
  if (name.includes(':')) return 'must not hold a colon, which ends it';
  if (control.test(name)) return 'must not hold control characters';
  return name.length > LINE_CHARACTERS_MAX / 2 ? 'is longer than 4,096 characters' : undefined;
}

/** A line that belongs to a user. */
export interface UserLine {
  readonly user: string;
  readonly kind: SecretKind;
  /** What stands after the colon; secret. */
  readonly secret: string;
}

/** Takes a line apart; undefined for a comment or a blank line, a text that says what is wrong for neither. */
export function parseUserLine(raw: string): UserLine | string | undefined {
  const line = raw.trimEnd();
  if (line === '' || line.startsWith('#')) return undefined;
  const colon = line.indexOf(':');
  if (colon === -1) return 'there is no colon between a user name and a hash: write user:hash';
  const user = line.slice(0, colon);
  const problem = userNameProblem(user);
  if (problem !== undefined) return `the user name ${problem}`;
  const secret = line.slice(colon + 1);
  const mechanism = /^(SCRAM-SHA-256|SCRAM-SHA-512)\$/.exec(secret)?.[1] as ScramMechanism | undefined;
  return { user, kind: mechanism ?? 'password', secret };
}

/** What is kept of a line: the text itself, which was found to be right, is small, and is read again at a login. */
interface KeptSecret {
  readonly secret: string;
  readonly line: number;
}

/** The users of a password file. */
export class PasswordTable {
  readonly #users = new Map<string, Partial<Record<SecretKind, KeptSecret>>>();
  #seed = '';
  readonly #schemes = new Tally<HashScheme>();
  readonly #iterations: Record<ScramMechanism, Tally<number>> = {
    'SCRAM-SHA-256': new Tally<number>(),
    'SCRAM-SHA-512': new Tally<number>(),
  };

  /**
   * Something that only those know who can read the file, the same in all processes and after a restart; it changes with
   * its first user alone. Empty where there are no users.
   */
  get seed(): string {
    return this.#seed;
  }

  /** The scheme that most passwords have, that of new ones where there are none. */
  get usualScheme(): HashScheme {
    return this.#schemes.mostFrequent ?? DEFAULT_SCHEME;
  }

  /** The iterations that most users of this mechanism have, those of new ones where there are none. */
  usualIterations(mechanism: ScramMechanism): number {
    return this.#iterations[mechanism].mostFrequent ?? DEFAULT_ITERATIONS;
  }

  /** Whether there is such a user. */
  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** The names of all users, in the order of the file. */
  names(): Iterable<string> {
    return this.#users.keys();
  }

  /** What this user has; empty for an unknown one. */
  kindsOf(user: string): SecretKind[] {
    const entry = this.#users.get(user);
    return secretKinds.filter((kind) => entry?.[kind] !== undefined);
  }

  /** The hash of a user's password; undefined where there is none. */
  passwordOf(user: string): PasswordHash | undefined {
    const kept = this.#users.get(user)?.password;
    return kept === undefined ? undefined : (parsePasswordHash(kept.secret) as PasswordHash);
  }

  /** What SCRAM needs of a user; undefined where there is nothing for this mechanism. */
  scramOf(user: string, mechanism: ScramMechanism): ScramSecret | undefined {
    const kept = this.#users.get(user)?.[mechanism];
    return kept === undefined ? undefined : (parseScramSecret(kept.secret) as ScramSecret);
  }

  /**
   * Takes a line in.
   * @param lineNumber Where it stands, from 1.
   * @returns what is wrong with it, as a clause for people; undefined for nothing.
   */
  add({ user, kind, secret }: UserLine, lineNumber: number): string | undefined {
    const shown = JSON.stringify(user.slice(0, 100));
    const problem = kind === 'password' ? this.#countPassword(secret) : this.#countScram(kind, secret);
    if (problem !== undefined) return `the hash of user ${shown} ${problem}: set the password with trellis user passwd`;
    if (kind !== 'password' && saslPrep(user) !== user)
      return `user ${shown} cannot use SCRAM, whose clients would spell the name differently (SASLprep): rename it`;
    const entry = this.#users.get(user) ?? {};
    const other = entry[kind];
    if (other !== undefined)
      return `user ${shown} has a line of this kind (${kind}) at line ${other.line} already: remove one of them`;
    entry[kind] = { secret, line: lineNumber };
    if (this.#seed === '') this.#seed = secret;
    this.#users.set(user, entry);
    return this.#users.size > USERS_MAX
      ? `there are more than ${USERS_MAX.toLocaleString('en')} users, which is more than is read`
      : undefined;
  }

  #countPassword(secret: string): string | undefined {
    const hash = parsePasswordHash(secret);
    if (typeof hash === 'string') return hash;
    this.#schemes.count(schemeText(hash.scheme), hash.scheme);
    return undefined;
  }

  #countScram(mechanism: ScramMechanism, secret: string): string | undefined {
    const parsed = parseScramSecret(secret);
    if (typeof parsed === 'string') return parsed;
    this.#iterations[mechanism].count(String(parsed.iterations), parsed.iterations);
    return undefined;
  }
}

/** Counts how often values occur. */
class Tally<T> {
  readonly #counts = new Map<string, { value: T; times: number }>();
  #most: { value: T; times: number } | undefined;

  get mostFrequent(): T | undefined {
    return this.#most?.value;
  }

  count(key: string, value: T): void {
    const counted = this.#counts.get(key) ?? { value, times: 0 };
    counted.times += 1;
    this.#counts.set(key, counted);
    if (counted.times > (this.#most?.times ?? 0)) this.#most = counted;
  }
}

/**
 * Reads the content of a password file.
 * @param path Its name, for sentences.
 * @throws Error with file and line of the first mistake; nothing of a hash or a password is in it.
 */
export async function parsePasswordFile(path: string, content: Buffer): Promise<PasswordTable> {
  if (!isUtf8(content)) throw new Error(`${path}:${firstBrokenLine(content)}: this is not UTF-8 text.`);
  const text = content.toString('utf8');
  const table = new PasswordTable();
  let line = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    line += 1;
    const problem = takeLine(table, text.slice(line === 1 ? beginOf(text) : start, end), line);
    if (problem !== undefined) throw new Error(`${path}:${line}: ${problem}.`);
    if (line % LINES_PER_TURN === 0) await setImmediate();
    start = end + 1;
  }
  return table;
}

function takeLine(table: PasswordTable, raw: string, lineNumber: number): string | undefined {
  if (raw.length > LINE_CHARACTERS_MAX)
    return `the line has more than ${LINE_CHARACTERS_MAX.toLocaleString('en')} characters`;
  const parsed = parseUserLine(raw);
  return typeof parsed === 'object' ? table.add(parsed, lineNumber) : parsed;
}

/** Some editors put a byte order mark in front. */
function beginOf(text: string): number {
  return text.startsWith('\ufeff') ? 1 : 0;
}

function firstBrokenLine(content: Buffer): number {
  let line = 1;
  for (let start = 0; ; line++) {
    const end = content.indexOf(0x0a, start);
    if (end === -1 || !isUtf8(content.subarray(start, end))) return line;
    start = end + 1;
  }
}
