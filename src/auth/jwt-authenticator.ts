import { errors, type JWTPayload, jwtVerify } from 'jose';
import type { ClientInfo } from '../hooks/hooks.ts';
import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import { isFitName, isModest, isObject, readGrants, readRoles } from './claims.ts';
import type { TokenHeader, TokenKeys } from './token-keys.ts';
import type { VerificationKey } from './verification-key.ts';

/** What a token has to say to be accepted, and what is made of it. */
export interface JwtOptions {
  /** What tokens are checked with; closed with the authenticator. */
  readonly keys: TokenKeys;
  /**
   * Where in CONNECT the token is. With `username` the User Name is a secret until this authenticator has replaced it.
   */
  readonly from: 'password' | 'username';
  /** `iss` must be one of them; empty for any. */
  readonly issuers: readonly string[];
  /** `aud` must name one of them; empty for any. */
  readonly audiences: readonly string[];
  /** Whether a token without `exp` is refused; such a token is good for ever. */
  readonly requireExpiry: boolean;
  /** By how much the clocks of others may differ, for `exp`, `nbf` and `iat`, s; 0 to 300. */
  readonly leewaySeconds: number;
  /** Claim with the user name, such as `sub`. */
  readonly usernameClaim: string;
  /** Claim that must equal the client id; undefined for none. */
  readonly clientIdClaim: string | undefined;
  /** Claim with a role or a list of roles; a token without it gives none. Undefined for none. */
  readonly rolesClaim: string | undefined;
  /** Claim with `{"pub": [filters], "sub": [filters], "all": [filters]}`; a token without it gives none. Undefined for none. */
  readonly aclClaim: string | undefined;
  /**
   * Time of day, ms since the epoch, as `Clock.calendarNow`: tokens live by the calendar, which a clock that counts
   * from the start of the process loses while the machine sleeps.
   */
  readonly now: () => number;
}

/** Characters of a token. */
const tokenLengthMax = 8_192;
const keyIdLengthMax = 256;
const depthMax = 8;
const valuesMax = 1_000;
/** The last date there is, s since the epoch. */
const secondsMax = 8.64e12;

/** Three parts in base64url; a token without signature has an empty third. */
const shape = /^([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;

/** Accepts clients that bring a JSON Web Token, RFC 7519, signed as RFC 7515 says. Reasons never hold any part of it. */
export class JwtAuthenticator implements Authenticator {
  readonly name = 'jwt';
  readonly isGuessable = false;
  readonly #options: JwtOptions;

  constructor(options: JwtOptions) {
    this.#options = options;
  }

  authenticate({ client, username, password }: Credentials): Verdict | Promise<Verdict> {
    const isPassword = this.#options.from === 'password';
    const token = isPassword ? password && Buffer.from(password).toString('latin1') : username;
    if (token === undefined) return unknown(isPassword ? 'no password' : 'no user name');
    const first = shape.exec(token)?.[1];
    const header = first === undefined ? undefined : headerOf(first);
    if (header === undefined) return unknown(`the ${isPassword ? 'password' : 'user name'} is no token`);
    if (token.length > tokenLengthMax) return refused(`the token is longer than ${tokenLengthMax} characters`);
    const { alg, kid } = header;
    if (typeof alg !== 'string') return refused('the token names no algorithm');
    if (alg.toLowerCase() === 'none') return refused('the token is not signed');
    if (kid !== undefined && (typeof kid !== 'string' || kid.length > keyIdLengthMax)) {
      return refused(`the token names its key by something else than at most ${keyIdLengthMax} characters`);
    }
    return this.#verify(token, { alg, kid }, client);
  }

  async reload(): Promise<void> {
    await this.#options.keys.reload();
  }

  close(): void {
    this.#options.keys.close();
  }

  async #verify(token: string, header: TokenHeader, client: ClientInfo): Promise<Verdict> {
    const search = await this.#options.keys.find(header);
    if (search.kind === 'none') return refused(search.reason);
    let reason = 'no key fits the token';
    for (const key of search.keys) {
      try {
        return this.#judge(await this.#payloadOf(token, key), client);
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
        reason = reasonOf(error);
        // Another key may have made it.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    return refused(reason);
  }

  async #payloadOf(token: string, { key, algorithms }: VerificationKey): Promise<JWTPayload> {
    const { issuers, audiences, requireExpiry, leewaySeconds, now } = this.#options;
    const { payload } = await jwtVerify(token, key, {
      algorithms: [...algorithms],
      ...(issuers.length === 0 ? {} : { issuer: [...issuers] }),
      ...(audiences.length === 0 ? {} : { audience: [...audiences] }),
      requiredClaims: requireExpiry ? ['exp'] : [],
      clockTolerance: leewaySeconds,
      currentDate: new Date(now()),
    });
    return payload;
  }

  /** Makes a verdict of a payload whose signature, issuer, audience and times are good. */
  #judge(payload: JWTPayload, client: ClientInfo): Verdict {
    const { usernameClaim, clientIdClaim, rolesClaim, aclClaim, leewaySeconds, now } = this.#options;
    if (!isModest(payload, depthMax, valuesMax))
      return refused('the claims of the token are nested too deeply or too many');
    if ([payload.exp, payload.nbf, payload.iat].some((seconds) => seconds !== undefined && !isDate(seconds))) {
      return refused('a time in the token is no date');
    }
    if (payload.iat !== undefined && payload.iat > now() / 1_000 + leewaySeconds) {
      return refused('the token was issued in the future');
    }
    const username = claim(payload, usernameClaim);
    if (!isFitName(username)) return refused(`the claim ${usernameClaim} is not fit for a user name`);
    if (clientIdClaim !== undefined && claim(payload, clientIdClaim) !== client.clientId) {
      return refused(`the claim ${clientIdClaim} is not the client id`);
    }
    const roles = readRoles(claim(payload, rolesClaim, []));
    if (roles === undefined) return refused(`the claim ${rolesClaim} is neither a role nor a list of roles`);
    const grants = readGrants(claim(payload, aclClaim, {}));
    if (grants === undefined)
      return refused(`the claim ${aclClaim} is no object of pub, sub and all with topic filters`);
    // As long as the token would be accepted again.
    const expiresAt = payload.exp === undefined ? {} : { expiresAt: (payload.exp + leewaySeconds) * 1_000 };
    return { kind: 'accepted', username, roles, grants, claims: withoutPrototype(payload), ...expiresAt };
  }
}

function unknown(reason: string): Verdict {
  return { kind: 'unknown', reason };
}

function refused(reason: string): Verdict {
  return { kind: 'refused', reason };
}

/** The header of what looks like a token; jose reads it again, and strictly. */
function headerOf(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const header: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return isObject(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

function isDate(seconds: number): boolean {
  return Math.abs(seconds) <= secondsMax;
}

/** Only what the token says: `constructor` is a claim like any other. */
function claim(payload: JWTPayload, name: string | undefined, absent?: unknown): unknown {
  return name !== undefined && Object.hasOwn(payload, name) ? payload[name] : absent;
}

/** Whoever asks for a claim by a name from a rule must not find what all objects have. */
function withoutPrototype(payload: JWTPayload): Readonly<Record<string, unknown>> {
  return Object.assign(Object.create(null) as Record<string, unknown>, payload);
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token is wrong';
  if (!(error instanceof errors.JWTClaimValidationFailed)) return 'the token is malformed';
  if (error.reason === 'missing') return `the token has no claim ${error.claim}`;
  if (error.claim === 'nbf' && error.reason === 'check_failed') return 'the token is not valid yet';
  return `the claim ${error.claim} of the token is not what it must be`;
}
