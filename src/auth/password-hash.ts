import { pbkdf2, randomBytes, scrypt, subtle, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { decodeBase64, encodeUnpadded } from './base64.ts';

/**
 * How a hash is made; two hashes of the same scheme cost the same.
 *
 *     $scrypt$ln=15,r=8,p=1$salt$hash   scrypt as a PHC string, base64 without padding; what Trellis makes
 *     $7$iterations$salt$hash           PBKDF2-HMAC-SHA512 of Mosquitto, base64 with padding
 *     $6$salt$hash                      SHA-512 of password and salt, of Mosquitto before 2.0
 */
export type HashScheme =
  /** N = 2^ln; needs 128 · N · r bytes of memory. */
  | { readonly kind: 'scrypt'; readonly ln: number; readonly r: number; readonly p: number }
  | { readonly kind: 'pbkdf2-sha512'; readonly iterations: number }
  | { readonly kind: 'sha512' };

/** A hash of a password, and all it takes to check a password with it. Secret. */
export interface PasswordHash {
  readonly scheme: HashScheme;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** What new hashes are made with: 32 MiB, some 100 ms. */
export const DEFAULT_SCHEME: HashScheme = { kind: 'scrypt', ln: 15, r: 8, p: 1 };

const SALT_BYTES = 16;
const HASH_BYTES = 32;
const SHA512_BYTES = 64;
/** What a file may ask for: above it one login would cost gigabytes, or seconds. */
const SCRYPT_MEMORY_MAX = 128 * 1024 * 1024;
const SCRYPT_WORK_MAX = 2 ** 21;
const ITERATIONS_MAX = 1_000_000;

const scryptPattern = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([^$]*)\$([^$]*)$/;
const pbkdf2Pattern = /^\$7\$(\d{1,9})\$([^$]*)\$([^$]*)$/;
const sha512Pattern = /^\$6\$([^$]*)\$([^$]*)$/;

const scryptAsync: (
  password: Uint8Array,
  salt: Buffer,
  length: number,
  options: { N: number; r: number; p: number; maxmem: number },
) => Promise<Buffer> = promisify(scrypt);
const pbkdf2Async = promisify(pbkdf2);

/**
 * Reads a hash as it stands in a password file.
 * @returns what is wrong with it, to complete "the hash of a user", where it cannot be used; nothing of the hash is in it.
 */
export function parsePasswordHash(text: string): PasswordHash | string {
  if (text.startsWith('$scrypt$')) return parseScrypt(text);
  if (text.startsWith('$7$')) return parsePbkdf2(text);
  if (text.startsWith('$6$')) return parseSha512(text);
  return 'is of no kind that is known, which are $scrypt$, $7$ and $6$ of Mosquitto, SCRAM-SHA-256$ and SCRAM-SHA-512$';
}

function parseScrypt(text: string): PasswordHash | string {
  const match = scryptPattern.exec(text);
  if (match === null) return 'is not of the form $scrypt$ln=15,r=8,p=1$salt$hash';
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (ln < 10 || r < 1 || p < 1) return 'asks scrypt for less than ln=10, r=1 and p=1';
  if (128 * 2 ** ln * r > SCRYPT_MEMORY_MAX) return 'asks scrypt for more than 128 MiB of memory: lower ln or r';
  if (2 ** ln * r * p > SCRYPT_WORK_MAX) return 'asks scrypt for more work than eight times ln=15,r=8,p=1';
  return withSaltAndHash({ kind: 'scrypt', ln, r, p }, match[4]!, match[5]!);
}

function parsePbkdf2(text: string): PasswordHash | string {
  const match = pbkdf2Pattern.exec(text);
  if (match === null) return 'is not of the form $7$iterations$salt$hash';
  const iterations = Number(match[1]);
  if (iterations < 1 || iterations > ITERATIONS_MAX) return 'asks for iterations outside of 1 to 1,000,000';
  return withSaltAndHash({ kind: 'pbkdf2-sha512', iterations }, match[2]!, match[3]!);
}

function parseSha512(text: string): PasswordHash | string {
  const match = sha512Pattern.exec(text);
  if (match === null) return 'is not of the form $6$salt$hash';
  return withSaltAndHash({ kind: 'sha512' }, match[1]!, match[2]!);
}

function withSaltAndHash(scheme: HashScheme, saltText: string, hashText: string): PasswordHash | string {
  const padding = scheme.kind === 'scrypt' ? 'unpadded' : 'padded';
  const salt = decodeBase64(saltText, padding);
  const hash = decodeBase64(hashText, padding);
  if (salt === undefined || hash === undefined) return `has a salt or a hash that is not base64, ${padding}`;
  if (salt.length < 8 || salt.length > 64) return 'has a salt of less than 8 or more than 64 bytes';
  const isWhole = scheme.kind === 'scrypt' ? hash.length >= 16 && hash.length <= 64 : hash.length === SHA512_BYTES;
  return isWhole ? { scheme, salt, hash } : 'is cut off, or longer than such a hash is';
}

/** Hashes a password for the password file. */
export async function hashPassword(password: Uint8Array): Promise<string> {
  const { scheme, salt } = emptyHash(DEFAULT_SCHEME);
  const hash = await compute(password, scheme, salt, HASH_BYTES);
  return `$${schemeText(scheme)}$${encodeUnpadded(salt)}$${encodeUnpadded(hash)}`;
}

/** Whether it is the password of this hash. Runs in the thread pool; takes the same time for any password of a length. */
export async function verifyPassword(password: Uint8Array, expected: PasswordHash): Promise<boolean> {
  const hash = await compute(password, expected.scheme, expected.salt, expected.hash.length);
  return timingSafeEqual(hash, expected.hash);
}

/** A hash of this scheme that no password has, to spend the same time on a user who is not known. */
export function emptyHash(scheme: HashScheme): PasswordHash {
  const hash = randomBytes(scheme.kind === 'scrypt' ? HASH_BYTES : SHA512_BYTES);
  return { scheme, salt: randomBytes(SALT_BYTES), hash };
}

/** The scheme as its hashes begin, between the first `$` and the last but one; equal for equal schemes only. */
export function schemeText(scheme: HashScheme): string {
  switch (scheme.kind) {
    case 'scrypt':
      return `scrypt$ln=${scheme.ln},r=${scheme.r},p=${scheme.p}`;
    case 'pbkdf2-sha512':
      return `7$${scheme.iterations}`;
    case 'sha512':
      return '6';
  }
}

async function compute(password: Uint8Array, scheme: HashScheme, salt: Buffer, bytes: number): Promise<Uint8Array> {
  switch (scheme.kind) {
    case 'scrypt': {
      const { ln, r, p } = scheme;
      const memory = 128 * r * (2 ** ln + p + 2);
      return scryptAsync(password, salt, bytes, { N: 2 ** ln, r, p, maxmem: memory });
    }
    case 'pbkdf2-sha512':
      return pbkdf2Async(password, salt, scheme.iterations, bytes, 'sha512');
    case 'sha512':
      return new Uint8Array(await subtle.digest('SHA-512', Buffer.concat([password, salt])));
  }
}
