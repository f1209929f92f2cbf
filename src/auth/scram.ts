import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { AuthExchange, AuthStep, ClientInfo } from '../hooks/hooks.ts';
import { type AuthPacket, type ConnectPacket, PacketType } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Backoff } from './backoff.ts';
import type { PasswordFile } from './password-file.ts';
import { saslPrep } from './sasl-prep.ts';
import { type ClientFirst, parseClientFinal, parseClientFirst } from './scram-message.ts';
import {
  digestBytes,
  digestOf,
  SCRAM_SALT_BYTES,
  type ScramMechanism,
  scramMechanisms,
  type ScramSecret,
} from './scram-secret.ts';

/** What SCRAM authentication is made of. */
export interface ScramOptions {
  readonly file: PasswordFile;
  /** Asked and told by each exchange, as nobody else learns the user name of one that fails. */
  readonly backoff: Backoff;
  /** Told why an exchange was refused, for the log: nothing secret, and more than the client is told. */
  readonly onRefused?: (client: ClientInfo, username: string, reason: string) => void;
  /** Makes the part of the nonce that is the server's; for tests. */
  readonly makeNonce?: () => string;
}

const NONCE_BYTES = 24;

/** SCRAM over the Authentication Data of CONNECT and AUTH for the users of a password file. */
export class ScramAuthentication {
  readonly #options: ScramOptions;

  constructor(options: ScramOptions) {
    this.#options = options;
  }

  /**
   * Starts an exchange, of CONNECT or a re-authentication.
   * @param method Authentication Method of the client.
   * @param address Of the client, without port, for the backoff.
   * @returns undefined for a method that is not one of SCRAM here.
   */
  startExchange(method: string, client: ClientInfo, address: string): AuthExchange | undefined {
    const mechanism = scramMechanisms.find((known) => known === method);
    if (mechanism === undefined) return undefined;
    const secretOf = (username: string): OfferedSecret => this.#secretOf(username, mechanism);
    return new ScramExchange({ ...this.#options, secretOf, client, address });
  }

  #secretOf(username: string, mechanism: ScramMechanism): OfferedSecret {
    const { table } = this.#options.file;
    const known = table.scramOf(username, mechanism);
    // Alike each time, on all workers and nodes with this file and after a restart: else a salt that changes would give
    // away who is not known.
    const makeUp = (what: string): Buffer =>
      createHmac('sha512', table.seed).update(`${mechanism} ${what} ${username}`).digest();
    // Made up for known users as well, so that it takes the same time.
    const madeUp: ScramSecret = {
      mechanism,
      iterations: table.usualIterations(mechanism),
      salt: makeUp('salt').subarray(0, SCRAM_SALT_BYTES),
      storedKey: makeUp('stored key').subarray(0, digestBytes(mechanism)),
      serverKey: makeUp('server key').subarray(0, digestBytes(mechanism)),
    };
    return { secret: known ?? madeUp, isKnown: known !== undefined };
  }
}

/** A secret, or one made up for a user who has none. */
interface OfferedSecret {
  readonly secret: ScramSecret;
  readonly isKnown: boolean;
}

interface ScramExchangeOptions extends ScramOptions {
  readonly secretOf: (username: string) => OfferedSecret;
  readonly client: ClientInfo;
  readonly address: string;
}

/** What is remembered between the two messages of a client. */
interface Challenge {
  readonly first: ClientFirst;
  readonly username: string;
  readonly nonce: string;
  readonly serverFirst: string;
}

/**
 * One exchange, RFC 5802 section 5, for users who are known and users who are not alike.
 *
 *     CONNECT or AUTH 0x19   n,,n=user,r=cnonce          client-first
 *     AUTH 0x18              r=cnonce+snonce,s=salt,i=n  server-first
 *     AUTH 0x18              c=biws,r=...,p=proof        client-final
 *     CONNACK or AUTH 0x00   v=signature                 server-final
 */
class ScramExchange implements AuthExchange {
  readonly #options: ScramExchangeOptions;
  #state: 'first' | Challenge | 'over' = 'first';
  #isReAuthentication = false;

  constructor(options: ScramExchangeOptions) {
    this.#options = options;
  }

  step(data: Uint8Array | undefined, packet: ConnectPacket | AuthPacket): AuthStep {
    const state = this.#state;
    // Whatever comes out of this step, nothing goes on after it but what it says itself.
    this.#state = 'over';
    if (data === undefined) return this.#malformed('', 'there is no Authentication Data');
    if (state === 'over') return this.#malformed('', 'the exchange is over');
    if (state === 'first') {
      this.#isReAuthentication = packet.type !== PacketType.connect;
      return this.#challenge(data);
    }
    return this.#finish(data, state);
  }

  #challenge(data: Uint8Array): AuthStep {
    const first = parseClientFirst(data);
    if (typeof first === 'string') return this.#malformed('', first);
    const username = saslPrep(first.username);
    if (username === undefined) return this.#malformed('', 'the user name holds characters that are not allowed');
    if (first.authorizationId !== undefined && first.authorizationId !== first.username)
      return this.#refused(username, 'the client wants to act as somebody else');
    if (!this.#isNamed(first.username, username)) return this.#refused(username, 'the user name of CONNECT is another');
    const nonce = first.nonce + (this.#options.makeNonce ?? makeNonce)();
    const { salt, iterations } = this.#options.secretOf(username).secret;
    const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
    this.#state = { first, username, nonce, serverFirst };
    return { kind: 'continue', data: Buffer.from(serverFirst) };
  }

  /** A re-authentication is of the user who is connected, and a User Name beside SCRAM says the same. */
  #isNamed(raw: string, prepared: string): boolean {
    const { username } = this.#options.client;
    if (this.#isReAuthentication) return username === prepared;
    return username === '' || username === raw || username === prepared;
  }

  #finish(data: Uint8Array, challenge: Challenge): AuthStep {
    const { first, username, nonce, serverFirst } = challenge;
    const { backoff, address, secretOf } = this.#options;
    const final = parseClientFinal(data);
    if (typeof final === 'string') return this.#malformed(username, final);
    // Here rather than at the first message: of many exchanges at once, one that fails holds off the others.
    if (backoff.waitMs(username, address) > 0) return this.#heldOff(username);
    // As the file has it now: who was removed since the first message is not let in, nor is an old password.
    const { secret, isKnown } = secretOf(username);
    const message = `${first.bare},${serverFirst},${final.withoutProof}`;
    const isProven = isProof(final.proof, secret, message);
    if (final.gs2Header !== first.gs2Header || final.nonce !== nonce || !isProven || !isKnown) {
      backoff.failed(username, address);
      if (final.gs2Header !== first.gs2Header) return this.#refused(username, 'the channel binding is another');
      if (final.nonce !== nonce) return this.#refused(username, 'the nonce is another');
      return this.#refused(username, isKnown ? 'wrong password' : 'unknown user');
    }
    backoff.succeeded(username, address);
    const signature = createHmac(digestOf(secret.mechanism), secret.serverKey).update(message).digest('base64');
    return { kind: 'success', data: Buffer.from(`v=${signature}`), username, provenBy: 'password' };
  }

  /** Not an attempt to log in. */
  #malformed(username: string, reason: string): AuthStep {
    this.#tell(username, reason);
    return { kind: 'refuse', reasonCode: ReasonCode.protocolError, reasonString: reason };
  }

  /** The client is told the same in all cases. DISCONNECT has no reason code of its own for a wrong password. */
  #refused(username: string, reason: string): AuthStep {
    this.#tell(username, reason);
    const { notAuthorized, badUserNameOrPassword } = ReasonCode;
    const reasonCode = this.#isReAuthentication ? notAuthorized : badUserNameOrPassword;
    return { kind: 'refuse', reasonCode, reasonString: 'not authenticated' };
  }

  #heldOff(username: string): AuthStep {
    const reasonString = 'too many failed logins, try again later';
    this.#tell(username, reasonString);
    return { kind: 'refuse', reasonCode: ReasonCode.connectionRateExceeded, reasonString };
  }

  #tell(username: string, reason: string): void {
    this.#options.onRefused?.(this.#options.client, username, reason);
  }
}

function makeNonce(): string {
  return randomBytes(NONCE_BYTES).toString('base64');
}

/** ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and StoredKey = H(ClientKey). */
function isProof(proof: Buffer, { mechanism, storedKey }: ScramSecret, message: string): boolean {
  const digest = digestOf(mechanism);
  const signature = createHmac(digest, storedKey).update(message).digest();
  if (proof.length !== signature.length) return false;
  const clientKey = signature.map((byte, index) => byte ^ proof[index]!);
  return timingSafeEqual(createHash(digest).update(clientKey).digest(), storedKey);
}
