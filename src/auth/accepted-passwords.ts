import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { RecentMap } from '../lib/recent-map.ts';
import type { PasswordHash } from './password-hash.ts';

/** Users whose password is known, at most; some 200 bytes each. */
const USERS_MAX = 100_000;

/**
 * Passwords that were found to be right, so that a fleet that comes back after an outage is let in without a hash for each.
 * Kept is a digest with a key of this process, of the password together with the hash it is right for: with another hash in
 * the password file it is not known any more. Wrong passwords are never known, and take the time they always take.
 */
export class AcceptedPasswords {
  readonly #key = randomBytes(32);
  readonly #digests = new RecentMap<string, Buffer>(USERS_MAX);

  /** Whether this password of the user was found to be right for this hash. */
  has(username: string, password: Uint8Array, hash: PasswordHash): boolean {
    const known = this.#digests.get(username);
    return known !== undefined && timingSafeEqual(known, this.#digest(password, hash));
  }

  /** Remembers that a password is right for a hash. */
  add(username: string, password: Uint8Array, hash: PasswordHash): void {
    this.#digests.set(username, this.#digest(password, hash));
  }

  #digest(password: Uint8Array, { hash, salt }: PasswordHash): Buffer {
    // The lengths, below 65 each, keep apart what follows.
    const lengths = Buffer.from([salt.length, hash.length]);
    return createHmac('sha256', this.#key).update(lengths).update(salt).update(hash).update(password).digest();
  }
}
