import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { errorText } from '../lib/error-text.ts';
import { isObject } from './claims.ts';

/** A key that signatures of tokens are checked with, bound to the algorithms it may be used for. */
export interface VerificationKey {
  /** `kid` in its set; undefined for none. */
  readonly keyId: string | undefined;
  /** Follow from the kind of the key, so that none serves an algorithm of another kind; never empty, never `none`. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

/** Bytes that a secret needs at least: those of the hash, RFC 7518 section 3.2. */
const secretBytes: ReadonlyMap<string, number> = new Map([
  ['HS256', 32],
  ['HS384', 48],
  ['HS512', 64],
]);
const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;
const curves: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
]);
/** RFC 9864 calls it Ed25519, most tokens EdDSA. */
const edwards = ['EdDSA', 'Ed25519'] as const;

const rsaBitsMin = 2_048;
/** Checking a signature of a larger one takes milliseconds. */
const rsaBitsMax = 8_192;
const keysMax = 100;
const keyIdLengthMax = 256;

/** Algorithms with a secret that both sides know. */
export const secretAlgorithms: readonly string[] = [...secretBytes.keys()];
/** Algorithms with a key pair. */
export const publicAlgorithms: readonly string[] = [...rsa, ...curves.values(), ...edwards];

/**
 * Makes the key of a secret, for the algorithms that it is long enough for.
 * @throws Error, a clause that says nothing of the secret.
 */
export function secretKey(secret: Buffer): VerificationKey {
  // Whoever has a public key could sign with it if it were a secret.
  if (secret.includes('-----BEGIN ')) throw new Error('holds a key in PEM, which is no secret');
  const algorithms = secretAlgorithms.filter((algorithm) => secret.length >= secretBytes.get(algorithm)!);
  if (algorithms.length === 0) throw new Error('holds a secret of less than the 32 bytes that HS256 needs');
  return { keyId: undefined, algorithms, key: createSecretKey(secret) };
}

/**
 * Reads a public key, or a certificate, in PEM.
 * @throws Error, a clause such as `holds a private key ...`.
 */
export function publicKeyOfPem(pem: string): VerificationKey {
  // Node would take the public half of it, and the private one lie where it has no business.
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(pem)) {
    throw new Error('holds a private key where only the public one belongs');
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error('holds no public key in PEM');
  }
  return { keyId: undefined, algorithms: algorithmsOf(key), key };
}

/** @throws Error, a clause. */
function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const curve = curves.get(namedCurve);
  if (key.asymmetricKeyType === 'ec' && curve !== undefined) return [curve];
  if (key.asymmetricKeyType === 'ed25519') return edwards;
  if (key.asymmetricKeyType !== 'rsa') {
    throw new Error('holds a key that is neither RSA nor of the curves P-256, P-384, P-521 and Ed25519');
  }
  if (modulusLength < rsaBitsMin || modulusLength > rsaBitsMax) {
    throw new Error(`holds an RSA key of ${modulusLength} bits, where ${rsaBitsMin} to ${rsaBitsMax} are taken`);
  }
  return rsa;
}

/** The keys of a set that can be used, and why the others cannot. */
export interface ParsedKeySet {
  readonly keys: readonly VerificationKey[];
  /** Such as `key 3 holds no key of RSA ...`; RFC 7517 section 5 says to leave such keys out. */
  readonly leftOut: readonly string[];
}

/**
 * Reads a JSON Web Key Set, RFC 7517.
 * @throws Error, a clause, where it is none, holds a secret or private key, or no key that can be used.
 */
export function parseKeySet(text: string): ParsedKeySet {
  const members = membersOf(text);
  const keys: VerificationKey[] = [];
  const leftOut: string[] = [];
  for (const [index, member] of members.entries()) {
    try {
      keys.push(keyOf(member));
    } catch (error) {
      leftOut.push(`key ${index + 1} ${errorText(error)}`);
    }
  }
  if (keys.length > 0) return { keys, leftOut };
  throw new Error(`holds no key to check tokens with${leftOut[0] === undefined ? '' : `: ${leftOut[0]}`}`);
}

function membersOf(text: string): readonly Readonly<Record<string, unknown>>[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Error('holds no JSON');
  }
  const members = isObject(set) && Array.isArray(set['keys']) ? (set['keys'] as unknown[]) : [undefined];
  if (!members.every(isObject)) throw new Error('holds no key set such as {"keys": [...]}');
  if (members.length > keysMax) throw new Error(`holds more than ${keysMax} keys`);
  for (const [index, member] of members.entries()) {
    if (['k', 'd', 'priv'].some((name) => Object.hasOwn(member, name))) {
      throw new Error(`holds a secret or private key (key ${index + 1}) where only public ones belong`);
    }
  }
  return members;
}

/** @throws Error, a clause. */
function keyOf(member: Readonly<Record<string, unknown>>): VerificationKey {
  const { kid, alg, use, key_ops: operations } = member;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > keyIdLengthMax)) {
    throw new Error(`has a kid that is no text of at most ${keyIdLengthMax} characters`);
  }
  const verifies = operations === undefined || (Array.isArray(operations) && operations.includes('verify'));
  if ((use !== undefined && use !== 'sig') || !verifies) throw new Error('is not for signatures');
  let key: KeyObject;
  try {
    key = createPublicKey({ key: member, format: 'jwk' });
  } catch {
    throw new Error('cannot be read');
  }
  const possible = algorithmsOf(key);
  const algorithms = alg === undefined ? possible : possible.filter((algorithm) => algorithm === alg);
  if (algorithms.length === 0) throw new Error('is for another algorithm than its kind can do');
  return { keyId: kid, algorithms, key };
}

/**
 * Restricts keys to the algorithms that a configuration allows.
 * @param allowed Empty for all that the keys can do.
 * @returns the keys that remain; none where none does.
 */
export function restrictKeys(keys: readonly VerificationKey[], allowed: readonly string[]): readonly VerificationKey[] {
  if (allowed.length === 0) return keys;
  return keys
    .map((key) => ({ ...key, algorithms: key.algorithms.filter((algorithm) => allowed.includes(algorithm)) }))
    .filter(({ algorithms }) => algorithms.length > 0);
}
