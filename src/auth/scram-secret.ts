import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { decodeBase64 } from './base64.ts';

/** The SCRAM mechanisms, without channel binding; RFC 7677. */
export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

/** All of them, for loops. */
export const scramMechanisms: readonly ScramMechanism[] = ['SCRAM-SHA-256', 'SCRAM-SHA-512'];

/** What a server keeps of a password for SCRAM, RFC 5802 section 3. Secret: who has it can pretend to be the server. */
export interface ScramSecret {
  readonly mechanism: ScramMechanism;
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** The least that RFC 7677 allows; it is the client that has to do the work, often a small one. */
export const DEFAULT_ITERATIONS = 4_096;
const ITERATIONS_MAX = 1_000_000;
/** Bytes of a new salt, and of the made-up ones. */
export const SCRAM_SALT_BYTES = 16;

const pattern = /^(SCRAM-SHA-256|SCRAM-SHA-512)\$(\d{1,9}):([^:$]*)\$([^:$]*):([^:$]*)$/;
const pbkdf2Async = promisify(pbkdf2);

/** The hash of a mechanism, as node:crypto names it. */
export function digestOf(mechanism: ScramMechanism): 'sha256' | 'sha512' {
  return mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512';
}

/** Bytes of that hash. */
export function digestBytes(mechanism: ScramMechanism): number {
  return mechanism === 'SCRAM-SHA-256' ? 32 : 64;
}

/**
 * Reads `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey` of a password file.
 * @returns what is wrong with it, to complete "the hash of a user", where it cannot be used; nothing of the keys is in it.
 */
export function parseScramSecret(text: string): ScramSecret | string {
  const match = pattern.exec(text);
  if (match === null) return 'is not of the form SCRAM-SHA-256$4096:salt$StoredKey:ServerKey';
  const mechanism = match[1] as ScramMechanism;
  const iterations = Number(match[2]);
  if (iterations < DEFAULT_ITERATIONS || iterations > ITERATIONS_MAX)
    return 'asks for iterations outside of 4,096 to 1,000,000';
  const [salt, storedKey, serverKey] = match.slice(3).map((part) => decodeBase64(part, 'padded'));
  if (salt === undefined || storedKey === undefined || serverKey === undefined)
    return 'has a salt or a key that is not base64, padded';
  if (salt.length < 8 || salt.length > 64) return 'has a salt of less than 8 or more than 64 bytes';
  const bytes = digestBytes(mechanism);
  if (storedKey.length !== bytes || serverKey.length !== bytes) return `has keys that are not of ${bytes} bytes`;
  return { mechanism, iterations, salt, storedKey, serverKey };
}

/**
 * Makes the line of a password file from a password.
 * @param password As `saslPrep` gives it.
 */
export async function hashForScram(mechanism: ScramMechanism, password: string): Promise<string> {
  const digest = digestOf(mechanism);
  const salt = randomBytes(SCRAM_SALT_BYTES);
  const salted = await pbkdf2Async(password, salt, DEFAULT_ITERATIONS, digestBytes(mechanism), digest);
  const clientKey = createHmac(digest, salted).update('Client Key').digest();
  const storedKey = createHash(digest).update(clientKey).digest('base64');
  const serverKey = createHmac(digest, salted).update('Server Key').digest('base64');
  return `${mechanism}$${DEFAULT_ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
