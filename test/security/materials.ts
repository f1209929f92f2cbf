import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TestAuthority, validity } from '../support/certificates.ts';

/** A secret for HS256. */
export const SECRET: string = 'a secret of thirty-two characters';
/** Access rules for alice. */
export const RULES: string = 'roles:\n  reader:\n    - {allow: subscribe, topics: [a]}\nusers: {alice: [reader]}\n';
/** Of the password `wonderland`. */
const HASH = '$scrypt$ln=15,r=8,p=1$ykbaEuoi+pq30dckueUJyQ$ADqOKd9lIn581f31XhNWukx44EqZ8UFPuEdfGH6QELw';

/** A line of a password file. */
export function user(name: string): string {
  return `${name}:${HASH}`;
}

/** Files that are in order, and whatever else broken ones are made of. */
export class Materials {
  readonly directory: string;
  readonly authority: TestAuthority;
  readonly other: TestAuthority;

  /** @param directory Where to make them; it must be there. */
  constructor(directory: string) {
    this.directory = directory;
    this.authority = new TestAuthority(join(directory, 'pki'));
    this.other = new TestAuthority(join(directory, 'other'), 'Another authority');
    this.authority.server('server');
    this.authority.server('expired', ['localhost'], validity(-3, -2));
    this.other.server('server');
    this.authority.write('empty.crl', this.authority.list());
    this.write('users', `${user('alice')}\n`);
    this.write('rules.yaml', RULES);
    this.write('secret', SECRET);
    this.write('token', 'a-token');
    this.write('psk', `sensor:${'0f'.repeat(16)}\n`);
  }

  /** Path of a file. */
  file(name: string): string {
    return join(this.directory, name);
  }

  /** Writes a file that its owner alone may read; returns its path. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const file = this.file(name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    chmodSync(file, mode);
    return file;
  }
}
