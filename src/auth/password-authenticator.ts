import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import type { HashQueue } from './hash-queue.ts';
import type { PasswordFile } from './password-file.ts';
import { emptyHash, verifyPassword } from './password-hash.ts';

/** Knows the users of a password file. Unknown users cost the time that a wrong password costs. */
export class PasswordAuthenticator implements Authenticator {
  readonly name = 'password';
  readonly #file: PasswordFile;
  readonly #queue: HashQueue;

  /** @param queue Shared by all that hash, so that its bounds hold for the process. */
  constructor(file: PasswordFile, queue: HashQueue) {
    this.#file = file;
    this.#queue = queue;
  }

  /** Looks a user name and password up; hashes in the thread pool, at its turn. */
  async authenticate({ username, password, isWanted }: Credentials): Promise<Verdict> {
    if (username === undefined) return { kind: 'unknown', reason: 'no user name' };
    if (password === undefined) {
      return this.#file.table.has(username)
        ? { kind: 'refused', reason: 'no password' }
        : { kind: 'unknown', reason: 'unknown user' };
    }
    const result = await this.#queue.run(() => this.#check(username, password), isWanted ?? (() => true));
    switch (result.kind) {
      case 'done':
        return result.value;
      case 'busy':
        return { kind: 'busy', reason: 'too many logins at once' };
      case 'dropped':
        return { kind: 'busy', reason: 'nobody waits for the verdict any more' };
    }
  }

  /** Reads the password file anew. @throws Error with the line where there is one; the old users stay. */
  async reload(): Promise<void> {
    await this.#file.reload();
  }

  stillKnows(username: string): boolean {
    return this.#file.table.has(username);
  }

  /** The table is that of now: somebody who was removed while waiting is not let in. */
  async #check(username: string, password: Uint8Array): Promise<Verdict> {
    const { table } = this.#file;
    const hash = table.passwordOf(username);
    const isRight = await verifyPassword(password, hash ?? emptyHash(table.usualScheme));
    if (!table.has(username)) return { kind: 'unknown', reason: 'unknown user' };
    if (hash === undefined) return { kind: 'refused', reason: 'the user has no password, only SCRAM' };
    return isRight ? { kind: 'accepted', username } : { kind: 'refused', reason: 'wrong password' };
  }
}
