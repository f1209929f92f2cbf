import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { CertificateAuthority, type KeyedCertificate, type Validity } from '../../src/cli/certificate-authority.ts';
import type { CertificateOptions } from '../../src/transport/tls-credentials.ts';

const DAY_MS = 86_400_000;

/** Valid from so many days from now to so many days from now. */
export function validity(fromDays: number, toDays: number): Validity {
  const now = Date.now();
  return { notBefore: new Date(now + fromDays * DAY_MS), notAfter: new Date(now + toDays * DAY_MS) };
}

/** Valid now. */
export const valid: Validity = validity(-1, 30);

/** An authority of a test and what it signs, as PEM text and as files. */
export class TestAuthority {
  readonly certificate: string;
  readonly authority: CertificateAuthority;
  readonly #directory: string;

  constructor(directory: string, commonName = 'Test authority', range: Validity = valid) {
    const made = CertificateAuthority.make(commonName, range);
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    this.certificate = made.certificate;
    this.authority = new CertificateAuthority(made);
    this.write('ca.crt', made.certificate);
  }

  /** Writes a file, keys so that their owner alone may read them; returns its path. */
  write(name: string, text: string): string {
    const file = join(this.#directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** Path of a file. */
  file(name: string): string {
    return join(this.#directory, name);
  }

  /** A certificate of a server, in files. */
  server(
    name: string,
    hosts: readonly string[] = ['localhost', '127.0.0.1'],
    range: Validity = valid,
  ): CertificateOptions {
    return this.#files(name, this.authority.issue({ ...range, commonName: hosts[0]!, use: 'server', hosts }));
  }

  /** A certificate of a client, in files `NAME.crt` and `NAME.key`. */
  client(name: string, range: Validity = valid, hosts: readonly string[] = []): KeyedCertificate {
    const made = this.authority.issue({ ...range, commonName: name, use: 'client', hosts });
    this.#files(name, made);
    return made;
  }

  /** A list of revoked certificates. */
  list(revoked: readonly KeyedCertificate[] = [], range: Validity = valid): string {
    return this.authority.revoke(
      undefined,
      revoked.map(({ certificate }) => new X509Certificate(certificate)),
      range,
    );
  }

  #files(
    name: string,
    { certificate, key }: KeyedCertificate,
  ): { certificate: { file: string }; key: { file: string } } {
    return {
      certificate: { file: this.write(`${name}.crt`, certificate) },
      key: { file: this.write(`${name}.key`, key) },
    };
  }
}

/** Runs a program to its end and resolves to all that it printed, whether it succeeds or not. */
export async function runCommand(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (_, stdout, stderr) => resolve(`${stdout}${stderr}`));
  });
}
