import type { Awaitable } from '../hooks/hooks.ts';
import { readBoundedFile, readBoundedText } from '../lib/bounded-file.ts';
import { errorText } from '../lib/error-text.ts';
import { decodeBase64 } from './base64.ts';
import {
  parseKeySet,
  publicAlgorithms,
  publicKeyOfPem,
  restrictKeys,
  secretAlgorithms,
  secretKey,
} from './verification-key.ts';
import type { VerificationKey } from './verification-key.ts';

/** What a token says of its key before anything of it is proven. */
export interface TokenHeader {
  readonly alg: string;
  /** Undefined for none. */
  readonly kid: string | undefined;
}

/** Keys for a token; or why there are none, a clause without any part of the token. */
export type KeySearch =
  | { readonly kind: 'found'; readonly keys: readonly VerificationKey[] }
  | { readonly kind: 'none'; readonly reason: string };

/** Where the keys come from that tokens are checked with. */
export interface TokenKeys {
  /** The keys that may have signed a token with this header, at most `candidatesMax`, each of which can do its algorithm. */
  find(header: TokenHeader): Awaitable<KeySearch>;
  /**
   * Reads the keys anew, or begins to fetch them; those it had stay in force where that fails.
   * @throws Error of one sentence.
   */
  reload(): Promise<void>;
  /** Ends timers and requests. */
  close(): void;
}

/** What keys a file holds. */
export type KeyFileKind =
  /** A secret for HS256, HS384 and HS512: the bytes of the file without the end of its last line; nobody else may read it. */
  | 'secret'
  /** The same, written in base64 or base64url. */
  | 'secret-base64'
  /** A public key or a certificate in PEM. */
  | 'public-key'
  /** A JSON Web Key Set. */
  | 'key-set';

/** A token without `kid` may fit several keys; each costs a signature to check. */
const candidatesMax = 4;
const fileBytesMax = 1_048_576;

/**
 * Checks the algorithms that a configuration allows.
 * @param possible Those that keys of this kind can do: `secretAlgorithms` or `publicAlgorithms`.
 * @throws Error of one sentence that names the one which is wrong.
 */
export function checkAlgorithms(allowed: readonly string[], possible: readonly string[]): void {
  const wrong = allowed.find((algorithm) => !possible.includes(algorithm));
  if (wrong === undefined) return;
  const others = [...secretAlgorithms, ...publicAlgorithms].includes(wrong) ? ' with keys of this kind' : '';
  throw new Error(`Tokens cannot be signed by ${wrong}${others}: choose among ${possible.join(', ')}.`);
}

/** Which of the keys may have signed a token. */
export function searchKeys(keys: readonly VerificationKey[], header: TokenHeader): KeySearch {
  const able = keys.filter(({ algorithms }) => algorithms.includes(header.alg));
  if (able.length === 0) return { kind: 'none', reason: 'no key does the algorithm that the token names' };
  const found = able.filter(({ keyId }) => header.kid === undefined || keyId === undefined || keyId === header.kid);
  if (found.length === 0) return { kind: 'none', reason: 'the key that the token names is not known' };
  return { kind: 'found', keys: found.slice(0, candidatesMax) };
}

/** Keys out of a file. */
export class FileKeys implements TokenKeys {
  readonly #path: string;
  readonly #kind: KeyFileKind;
  readonly #allowed: readonly string[];
  #keys: readonly VerificationKey[];

  private constructor(path: string, kind: KeyFileKind, allowed: readonly string[], keys: readonly VerificationKey[]) {
    this.#path = path;
    this.#kind = kind;
    this.#allowed = allowed;
    this.#keys = keys;
  }

  /**
   * Reads the file, of at most 1 MiB.
   * @param allowed Algorithms tokens may be signed by; empty for all that the keys can do.
   * @throws Error of one sentence that names the file or the algorithm.
   */
  static async open(path: string, kind: KeyFileKind, allowed: readonly string[]): Promise<FileKeys> {
    checkAlgorithms(allowed, kind === 'public-key' || kind === 'key-set' ? publicAlgorithms : secretAlgorithms);
    return new FileKeys(path, kind, allowed, await readKeys(path, kind, allowed));
  }

  find(header: TokenHeader): KeySearch {
    return searchKeys(this.#keys, header);
  }

  async reload(): Promise<void> {
    this.#keys = await readKeys(this.#path, this.#kind, this.#allowed);
  }

  close(): void {
    // There is nothing to end.
  }
}

async function readKeys(
  path: string,
  kind: KeyFileKind,
  allowed: readonly string[],
): Promise<readonly VerificationKey[]> {
  const isSecret = kind === 'secret' || kind === 'secret-base64';
  const rule = { bytesMax: fileBytesMax, secret: isSecret };
  const contents = isSecret ? await readBoundedFile(path, rule) : await readBoundedText(path, rule);
  let keys: readonly VerificationKey[];
  try {
    keys = keysIn(contents, kind);
  } catch (error) {
    throw new Error(`${path} ${errorText(error)}.`, { cause: error });
  }
  const restricted = restrictKeys(keys, allowed);
  // A set changes with time, and need not hold a key for each of them now.
  const idle = kind === 'key-set' ? [] : allowed.filter((algorithm) => !can(restricted, algorithm));
  if (restricted.length === 0 || idle.length > 0) {
    throw new Error(
      `${path} holds no key that can do ${idle[0] ?? allowed.join(', ')}: allow other algorithms or use another key.`,
    );
  }
  return restricted;
}

function can(keys: readonly VerificationKey[], algorithm: string): boolean {
  return keys.some(({ algorithms }) => algorithms.includes(algorithm));
}

/** @throws Error, a clause. */
function keysIn(contents: Buffer | string, kind: KeyFileKind): readonly VerificationKey[] {
  if (typeof contents === 'string') {
    return kind === 'key-set' ? parseKeySet(contents).keys : [publicKeyOfPem(contents)];
  }
  const line = withoutLineEnd(contents);
  return [secretKey(kind === 'secret-base64' ? secretIn(line) : line)];
}

function withoutLineEnd(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

/** @throws Error, a clause. */
function secretIn(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/={1,2}$/, '');
  const secret = decodeBase64(text.replaceAll('-', '+').replaceAll('_', '/'), 'unpadded');
  if (secret === undefined) throw new Error('holds no base64');
  return secret;
}
