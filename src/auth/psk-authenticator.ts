import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import { isFitName } from './claims.ts';

/** Accepts clients by the pre-shared key that they have proved to have; its identity is the user name. */
export class PskAuthenticator implements Authenticator {
  readonly name = 'psk';
  readonly isGuessable = false;

  authenticate({ client, username }: Credentials): Verdict {
    const { pskIdentity } = client;
    if (pskIdentity === undefined) return { kind: 'unknown', reason: 'no pre-shared key' };
    if (!isFitName(pskIdentity))
      return { kind: 'refused', reason: 'the identity of its key is not fit for a user name' };
    // Otherwise the log of a client would show one name and its rights be those of another.
    if (username !== undefined && username !== pskIdentity)
      return { kind: 'refused', reason: 'the user name is not the identity of its key' };
    return { kind: 'accepted', username: pskIdentity };
  }
}
