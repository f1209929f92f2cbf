import type { ClientCertificate } from '../hooks/hooks.ts';
import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import { isFitName } from './claims.ts';

/** What of a certificate is the user name: its common name, or its first alternative name of a kind. */
export type CertificateIdentity = 'commonName' | 'DNS' | 'URI' | 'email';

/** Accepts clients by the certificate that they have proved to have; the listener has checked who issued it. */
export class CertificateAuthenticator implements Authenticator {
  readonly name = 'certificate';
  readonly isGuessable = false;
  readonly #identity: CertificateIdentity;

  constructor(identity: CertificateIdentity) {
    this.#identity = identity;
  }

  authenticate({ client, username }: Credentials): Verdict {
    const { certificate } = client;
    if (certificate === undefined) return { kind: 'unknown', reason: 'no client certificate' };
    const name = this.#nameIn(certificate);
    if (name === undefined || name === '') return refused(`the certificate has no ${this.#described()}`);
    if (!isFitName(name)) return refused(`the ${this.#described()} of the certificate is not fit for a user name`);
    // Otherwise the log of a client would show one name and its rights be those of another.
    if (username !== undefined && username !== name) return refused('the user name is not that of the certificate');
    return { kind: 'accepted', username: name };
  }

  #nameIn({ commonName, alternativeNames }: ClientCertificate): string | undefined {
    if (this.#identity === 'commonName') return commonName;
    const prefix = `${this.#identity}:`;
    return alternativeNames.find((name) => name.startsWith(prefix))?.slice(prefix.length);
  }

  #described(): string {
    return this.#identity === 'commonName' ? 'common name' : `alternative name of kind ${this.#identity}`;
  }
}

function refused(reason: string): Verdict {
  return { kind: 'refused', reason };
}
