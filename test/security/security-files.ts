import { createSecretKey, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signed } from '../auth/tokens.ts';

/** Few, as tests log in thousands of times; the hashes are of the kind that Mosquitto makes. */
const ITERATIONS = 20;

/** A directory with files about users and rights, for one test. Use it with `using`. */
export class SecurityFiles {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'trellis-security-'));

  /** Path of a file here, whether it is there or not. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Puts a file, which only its owner may read, in place at once, as careful programs do. @returns its path. */
  write(name: string, text: string): string {
    const path = this.path(name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    return path;
  }

  /** Writes a password file. @returns its path. */
  writeUsers(users: ReadonlyMap<string, string>): string {
    const lines = [...users].map(([user, password]) => `${user}:${cheapHash(password)}\n`);
    return this.write('passwords', lines.join(''));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function cheapHash(password: string): string {
  const salt = randomBytes(12);
  const hash = pbkdf2Sync(password, salt, ITERATIONS, 64, 'sha512');
  return `$7$${ITERATIONS}$${salt.toString('base64')}$${hash.toString('base64')}`;
}

/** A token that is good for an hour, signed with a secret that `auth.jwt.secretFile` holds. */
export function tokenOf(secret: string, claims: Readonly<Record<string, unknown>>): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  return signed(createSecretKey(Buffer.from(secret)), { alg: 'HS256' }, { ...claims, exp });
}
