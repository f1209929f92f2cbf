import type { Clock } from '../lib/clock.ts';
import { AcceptedPasswords } from './accepted-passwords.ts';
import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import type { PasswordFile } from './password-file.ts';
import { emptyHash, verifyPassword } from './password-hash.ts';
import { TurnQueue, type TurnQueueOptions } from './turn-queue.ts';

/**
 * Hashes at once. Each takes one of the four threads of the pool, two of which stay free for files and names, and with
 * scrypt 32 MiB. Who waits is answered well before its `limits.connectTimeoutMs` of 10 s.
 */
const HASH_TURNS: TurnQueueOptions = { concurrency: 2, waitingMax: 256, waitMsMax: 4_000 };

/** For the hashes of one process: all that are made with its password file. */
export function hashTurns(clock: Clock): TurnQueue {
  return new TurnQueue(HASH_TURNS, clock);
}

/** Knows the users of a password file. Unknown users cost the time that a wrong password costs. */
export class PasswordAuthenticator implements Authenticator {
  readonly name = 'password';
  readonly #file: PasswordFile;
  readonly #queue: TurnQueue;
  readonly #accepted = new AcceptedPasswords();

  constructor(file: PasswordFile, queue: TurnQueue) {
    this.#file = file;
    this.#queue = queue;
  }

  /** Looks a user name and password up; hashes in the thread pool, at its turn, unless they were right before. */
  async authenticate({ username, password, isWanted = () => true, goesFirst = false }: Credentials): Promise<Verdict> {
    if (username === undefined) return { kind: 'unknown', reason: 'no user name' };
    if (password === undefined) {
      return this.#file.table.has(username)
        ? { kind: 'refused', reason: 'no password' }
        : { kind: 'unknown', reason: 'unknown user' };
    }
    const hash = this.#file.table.passwordOf(username);
    if (hash !== undefined && this.#accepted.has(username, password, hash)) return { kind: 'accepted', username };
    const result = await this.#queue.run(() => this.#check(username, password), { isWanted, goesFirst });
    switch (result.kind) {
      case 'done':
        return result.value;
      case 'busy':
        return { kind: 'busy', reason: 'too many logins at once' };
      case 'dropped':
        return { kind: 'busy', reason: 'too many logins at once, or its client has gone' };
    }
  }

  /** Reads the password file anew. @throws Error with the line where there is one; the old users stay. */
  async reload(): Promise<void> {
    await this.#file.reload();
  }

  stillKnows(username: string): boolean {
    return this.#file.table.has(username);
  }

  /** The file is that of now: who was removed while waiting or hashing is not let in, nor is an old password. */
  async #check(username: string, password: Uint8Array): Promise<Verdict> {
    const before = this.#file.table;
    const hash = before.passwordOf(username);
    const isRight = await verifyPassword(password, hash ?? emptyHash(before.usualScheme));
    const { table } = this.#file;
    if (!table.has(username)) return { kind: 'unknown', reason: 'unknown user' };
    const current = table.passwordOf(username);
    if (current === undefined) return { kind: 'refused', reason: 'the user has no password, only SCRAM' };
    if (isRight && hash?.hash.equals(current.hash)) {
      this.#accepted.add(username, password, current);
      return { kind: 'accepted', username };
    }
    return { kind: 'refused', reason: 'wrong password' };
  }
}
