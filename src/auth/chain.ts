import type { AuthenticateResult, Awaitable, ClientInfo, Hooks } from '../hooks/hooks.ts';
import { hostOf } from '../lib/ip-address.ts';
import type { Logger } from '../lib/logger.ts';
import type { ConnectPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Authenticator, Credentials, Verdict } from './authenticator.ts';

/** What holds back who tries too often. */
export interface Attempts {
  /** How long the next attempt from there is not looked at, ms; 0 for not at all. */
  waitMs(username: string, address: string): number;
  /** Whether that user has logged in from there before. */
  hasSucceeded(username: string, address: string): boolean;
  failed(username: string, address: string): void;
  succeeded(username: string, address: string): void;
}

/** What a chain is made with. */
export interface ChainOptions {
  /** Asked in this order until one knows the client. */
  readonly authenticators: readonly Authenticator[];
  readonly attempts: Attempts;
  /** Whether a client without user name, password and certificate is let in. */
  readonly letsInAnonymous: (client: ClientInfo) => boolean;
  /** Whether user names may go into the log: where tokens come as user names they are secrets. */
  readonly showsUserNames: boolean;
  /** Of an embedding program: asked last, if they authenticate. */
  readonly hooks: Pick<Hooks, 'authenticate'>;
  readonly logger: Logger;
}

/** What every client is told that is not let in, whoever said so and why: nobody learns which user names there are. */
const NO: AuthenticateResult = {
  allow: false,
  reasonCode: ReasonCode.badUserNameOrPassword,
  reasonString: 'not let in: see the log of the broker for the reason',
};

/** Finds out who clients are: the first authenticator that knows one decides. */
export class AuthenticatorChain {
  readonly #options: ChainOptions;

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** As the hook of that name. */
  authenticate(
    client: ClientInfo,
    connect: ConnectPacket,
    isWanted: () => boolean = () => true,
  ): Awaitable<AuthenticateResult> {
    const { letsInAnonymous, hooks, attempts } = this.#options;
    const { username, password } = connect;
    const brings = [username, password, client.certificate, client.pskIdentity];
    if (brings.every((part) => part === undefined)) {
      if (letsInAnonymous(client)) {
        if (hooks.authenticate === undefined) return { allow: true, username: '' };
        return hooks.authenticate(client, connect, isWanted);
      }
      this.#log(client, 'it has no user name, password or certificate, and anonymous clients are not let in');
      return { allow: false, reasonCode: ReasonCode.notAuthorized, reasonString: 'anonymous clients are not let in' };
    }
    const address = hostOf(client.remoteAddress);
    const waitMs = attempts.waitMs(username ?? '', address);
    if (waitMs > 0) {
      this.#log(client, `its attempts have failed too often: none is looked at for another ${Math.ceil(waitMs)} ms`);
      return { allow: false, reasonCode: ReasonCode.connectionRateExceeded, reasonString: 'try again later' };
    }
    // Whoever fails often enough while this one waits for its turn holds it off as well.
    const isLookedAt = (): boolean => isWanted() && attempts.waitMs(username ?? '', address) === 0;
    const goesFirst = attempts.hasSucceeded(username ?? '', address);
    return this.#ask({ client, username, password, isWanted: isLookedAt, goesFirst }, connect, address);
  }

  async #ask(credentials: Credentials, connect: ConnectPacket, address: string): Promise<AuthenticateResult> {
    const { attempts, hooks, authenticators } = this.#options;
    const { client } = credentials;
    const username = credentials.username ?? '';
    const reasons: string[] = [];
    for (const authenticator of authenticators) {
      const verdict = await this.#verdictOf(authenticator, credentials);
      if (verdict.kind === 'accepted') {
        this.#succeeded(username, verdict.username, address);
        const { kind: _, ...proven } = verdict;
        return { allow: true, provenBy: authenticator.name, ...proven };
      }
      reasons.push(`${authenticator.name}: ${verdict.reason}`);
      if (verdict.kind === 'busy') {
        this.#log(client, reasons.join('; '));
        return { allow: false, reasonCode: ReasonCode.serverBusy, reasonString: 'try again later' };
      }
      if (verdict.kind === 'unknown') continue;
      // Known users must not stand out while the one that is asked for the others is away.
      if (verdict.kind === 'refused' && authenticator.isGuessable !== false) attempts.failed(username, address);
      this.#log(client, reasons.join('; '));
      return NO;
    }
    if (hooks.authenticate === undefined) {
      attempts.failed(username, address);
      this.#log(client, reasons.join('; ') || 'nothing says who clients are');
      return NO;
    }
    const result = await hooks.authenticate(client, connect, () => credentials.isWanted?.() !== false);
    if (result.allow) this.#succeeded(username, result.username ?? username, address);
    else attempts.failed(username, address);
    return result;
  }

  /** Who turns out to be somebody else has shown nothing of the name: with an account of one's own, others could be guessed for ever. */
  #succeeded(username: string, proven: string, address: string): void {
    if (username === '' || username === proven) this.#options.attempts.succeeded(username, address);
  }

  async #verdictOf(authenticator: Authenticator, credentials: Credentials): Promise<Verdict> {
    try {
      return await authenticator.authenticate(credentials);
    } catch (error) {
      const { name } = authenticator;
      this.#options.logger.error('an authenticator failed: refused', { authenticator: name, error: String(error) });
      return { kind: 'failed', reason: 'it failed' };
    }
  }

  #log({ clientId, username, remoteAddress }: ClientInfo, reason: string): void {
    const { logger, showsUserNames } = this.#options;
    const fields = { client: clientId, ...(showsUserNames && { username }), remote: remoteAddress, reason };
    logger.warn('a client is not let in', fields);
  }
}
