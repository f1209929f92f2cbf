import { AccessControl, type AccessControlOptions } from './acl/access-control.ts';
import type { Authenticator } from './auth/authenticator.ts';
import { Backoff } from './auth/backoff.ts';
import { AuthenticatorChain } from './auth/chain.ts';
import { RulesError } from './acl/rule-set.ts';
import { type Config, ConfigError } from './config.ts';
import { identifiesClients } from './config/check.ts';
import type { Access } from './connection/access.ts';
import { provesIdentities } from './connection/claim.ts';
import type { AuthExchange, ClientInfo, Hooks } from './hooks/hooks.ts';
import type { Clock } from './lib/clock.ts';
import { errorText } from './lib/error-text.ts';
import { type FileStates, lookAt } from './lib/file-watch.ts';
import { AddressRanges, hostOf, isLoopbackAddress } from './lib/ip-address.ts';
import type { Logger } from './lib/logger.ts';
import { BanBook } from './limits/ban-book.ts';
import { BanFileError } from './limits/ban-list.ts';

/** How often an unknown key makes the key set of a URL be asked for, at most, ms; and how long an answer may take. */
const KEY_SET_COOLDOWN_MS = 30_000;
const KEY_SET_TIMEOUT_MS = 5_000;
/** Clients that wait for a turn with the webhook; failures in a row after which it is left alone, and for how long, ms. */
const WEBHOOK_WAITING_MAX = 1_024;
const WEBHOOK_FAILURES_MAX = 5;
const WEBHOOK_PAUSE_MS = 10_000;

/** What a broker is to do about who clients are and what they may do. */
export interface Security {
  readonly hooks: Hooks;
  /** Undefined where everything is allowed. */
  readonly access: Access | undefined;
  /** Asked in this order who a client is; none where everybody is who they say. */
  readonly authenticators: readonly Authenticator[];
  /** Whether a client without user name, password and certificate is let in. */
  letsInAnonymous(client: ClientInfo): boolean;
  /** Who may not connect. */
  readonly bans: BanBook;
  /** Files that `reload` reads, and what they were before they were read. */
  readonly files: FileStates;
  /** Whether a client that was let in before is still known to what let it in, after `reload`. */
  isKnown(client: ClientInfo): boolean;
  /** Reads its files anew; what cannot be used stays as it was and is logged. @returns whether all could be. */
  reload(): Promise<boolean>;
  close(): void;
}

/** What it is made with. */
export interface SecurityParts {
  /** Of the embedding program: asked last. */
  readonly hooks: Hooks;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Reads what a configuration says about who clients are and what they may do.
 * @throws ConfigError, whose sentences name file and line, or the option.
 */
export async function openSecurity(config: Config, parts: SecurityParts): Promise<Security> {
  const { clock, logger, hooks } = parts;
  const shared = new AddressRanges(config.limits.addressesExempt);
  const backoff = new Backoff(clock, { isShared: (address) => shared.has(address) });
  const authenticators: Authenticator[] = [];
  const take = (authenticator: Authenticator | undefined): void => {
    if (authenticator !== undefined) authenticators.push(authenticator);
  };
  const files = await lookAt(filesOf(config));
  try {
    for (const open of [openPsk, openCertificate, openJwt]) take(await open(config, parts));
    const passwords = await openPasswords(config, parts, backoff);
    take(passwords?.authenticator);
    // Last, so that users known here get in while it is away.
    take(await openWebhook(config, parts));
    const control = openAccess(config);
    const bans = await BanBook.open(config.limits.banFile, clock);
    if (authenticators.length > 0 && config.acl.file === '' && control !== undefined)
      logger.warn('no access rules: clients may do only what their tokens say; set acl.file, or acl.default to allow');
    const provesNobody = !asksWho(config, authenticators) && !provesIdentities(hooks);
    if (provesNobody && config.acl.file !== '')
      logger.warn(
        'access rules hold back only who wants to be: nothing says who clients are, so each may use any user name; see auth',
      );
    return {
      hooks: { ...hooks, ...hooksOf(config, parts, { authenticators, backoff, passwords }) },
      access: control,
      authenticators,
      letsInAnonymous: asksWho(config, authenticators) ? anonymousRule(config) : () => true,
      bans,
      files,
      isKnown: ({ username, provenBy }) =>
        authenticators.find(({ name }) => name === provenBy)?.stillKnows?.(username) !== false,
      reload: () => reloadAll(authenticators, [control, bans], logger),
      close: () => {
        for (const authenticator of authenticators) authenticator.close?.();
      },
    };
  } catch (error) {
    for (const authenticator of authenticators) authenticator.close?.();
    throw configError(error);
  }
}

/** Files that say who clients are and what they may do. */
function filesOf({ auth, acl, limits }: Config): string[] {
  const { secretFile, publicKeyFile, keySetFile } = auth.jwt;
  const { passwordFile, webhook } = auth;
  const names = [passwordFile, secretFile, publicKeyFile, keySetFile, webhook.tokenFile, acl.file, limits.banFile];
  return names.filter((name) => name !== '');
}

/** What cannot be used is a mistake of the configuration that names it; errors of other kinds are ours. */
function configError(error: unknown): unknown {
  if (error instanceof RulesError || error instanceof BanFileError) return new ConfigError(error.problems);
  return error instanceof Error && error.name === 'Error' ? new ConfigError([error.message]) : error;
}

function hooksOf(
  config: Config,
  { hooks, logger }: SecurityParts,
  {
    authenticators,
    backoff,
    passwords,
  }: { authenticators: readonly Authenticator[]; backoff: Backoff; passwords: Passwords | undefined },
): Hooks {
  // While nothing tells clients apart, a user name is only a word.
  if (!asksWho(config, authenticators)) return {};
  const chain = new AuthenticatorChain({
    authenticators,
    attempts: backoff,
    letsInAnonymous: anonymousRule(config),
    showsUserNames: config.auth.jwt.from === 'password',
    hooks,
    logger,
  });
  return {
    authenticate: (...asked) => chain.authenticate(...asked),
    ...(passwords !== undefined && {
      startAuthExchange: (method: string, client: ClientInfo) =>
        passwords.startExchange(method, client) ?? hooks.startAuthExchange?.(method, client),
    }),
  };
}

/** Whether it is asked who clients are at all. */
function asksWho({ auth }: Config, authenticators: readonly Authenticator[]): boolean {
  return authenticators.length > 0 || auth.allowAnonymous === 'nowhere';
}

/** Where anonymous clients are let in, once something tells clients apart. */
function anonymousRule(config: Config): (client: ClientInfo) => boolean {
  const isHere = ({ transport, remoteAddress }: ClientInfo): boolean =>
    transport === 'unix' || isLoopbackAddress(hostOf(remoteAddress));
  switch (config.auth.allowAnonymous) {
    case 'everywhere':
      return () => true;
    case 'loopback':
      return isHere;
    case 'nowhere':
    case 'auto':
      return () => false;
  }
}

async function openPsk({ tls }: Config): Promise<Authenticator | undefined> {
  if (tls.pskFile === '') return undefined;
  const { PskAuthenticator } = await import('./auth/psk-authenticator.ts');
  return new PskAuthenticator();
}

async function openCertificate({ auth }: Config): Promise<Authenticator | undefined> {
  const { certificateIdentity } = auth;
  if (certificateIdentity === 'none') return undefined;
  const { CertificateAuthenticator } = await import('./auth/certificate-authenticator.ts');
  const kinds = { 'common-name': 'commonName', dns: 'DNS', uri: 'URI', email: 'email' } as const;
  return new CertificateAuthenticator(kinds[certificateIdentity]);
}

async function openJwt({ auth }: Config, { clock, logger }: SecurityParts): Promise<Authenticator | undefined> {
  const { jwt } = auth;
  const { secretFile, publicKeyFile, keySetFile, keySetUrl } = jwt;
  const file = [secretFile, publicKeyFile, keySetFile].find((name) => name !== '') ?? '';
  if (file === '' && keySetUrl === '') return undefined;
  const [{ JwtAuthenticator }, { FileKeys }, { RemoteKeySet }] = await Promise.all([
    import('./auth/jwt-authenticator.ts'),
    import('./auth/token-keys.ts'),
    import('./auth/key-set.ts'),
  ]);
  const kind = file === secretFile ? 'secret' : file === publicKeyFile ? 'public-key' : 'key-set';
  const keptMs = jwt.keySetKeptSeconds * 1000;
  const timing = { timeoutMs: KEY_SET_TIMEOUT_MS, cooldownMs: KEY_SET_COOLDOWN_MS, keptMs, clock, logger };
  const keys =
    file === ''
      ? await RemoteKeySet.open({ url: keySetUrl, algorithms: [], ...timing })
      : await FileKeys.open(file, kind, []);
  return new JwtAuthenticator({
    keys,
    from: jwt.from,
    issuers: listOf(jwt.issuer),
    audiences: listOf(jwt.audience),
    requireExpiry: jwt.requireExpiry,
    leewaySeconds: jwt.leewaySeconds,
    usernameClaim: jwt.usernameClaim,
    clientIdClaim: jwt.clientIdClaim || undefined,
    rolesClaim: jwt.rolesClaim || undefined,
    aclClaim: jwt.aclClaim || undefined,
    now: () => clock.calendarNow(),
  });
}

async function openWebhook({ auth }: Config, { clock, logger }: SecurityParts): Promise<Authenticator | undefined> {
  const { url, timeoutMs, tokenFile, cacheSeconds, requestsMax } = auth.webhook;
  if (url === '') return undefined;
  const { WebhookAuthenticator } = await import('./auth/webhook-authenticator.ts');
  return WebhookAuthenticator.open({
    url,
    timeoutMs,
    tokenFile: tokenFile || undefined,
    cacheMs: cacheSeconds * 1000,
    requestsMax,
    waitingMax: WEBHOOK_WAITING_MAX,
    failuresMax: WEBHOOK_FAILURES_MAX,
    pauseMs: WEBHOOK_PAUSE_MS,
    clock,
    logger,
  });
}

/** A password file, which also holds secrets for SCRAM. */
interface Passwords {
  readonly authenticator: Authenticator;
  startExchange(method: string, client: ClientInfo): AuthExchange | undefined;
}

async function openPasswords(
  { auth }: Config,
  { clock, logger }: SecurityParts,
  backoff: Backoff,
): Promise<Passwords | undefined> {
  const { passwordFile } = auth;
  if (passwordFile === '') return undefined;
  const [{ hashTurns, PasswordAuthenticator }, { PasswordFile }, { ScramAuthentication }] = await Promise.all([
    import('./auth/password-authenticator.ts'),
    import('./auth/password-file.ts'),
    import('./auth/scram.ts'),
  ]);
  const file = await PasswordFile.open(passwordFile);
  const onRefused = ({ clientId, remoteAddress }: ClientInfo, username: string, reason: string): void =>
    logger.warn('a client is not let in', {
      client: clientId,
      username,
      remote: remoteAddress,
      reason: `SCRAM: ${reason}`,
    });
  const scram = new ScramAuthentication({ file, backoff, onRefused });
  return {
    authenticator: new PasswordAuthenticator(file, hashTurns(clock)),
    startExchange: (method, client) => scram.startExchange(method, client, hostOf(client.remoteAddress)),
  };
}

function openAccess(config: Config): AccessControl | undefined {
  const options = accessOptions(config);
  return options.file === '' && options.otherwise === 'allow' ? undefined : new AccessControl(options);
}

/** What a configuration says about access: which rules, and what holds where none matches. */
export function accessOptions(config: Config): AccessControlOptions {
  const { file, explainToClients, default: otherwise } = config.acl;
  const isDenying = file !== '' || identifiesClients(config);
  const automatic = isDenying ? 'deny' : 'allow';
  return { file, otherwise: otherwise === 'auto' ? automatic : otherwise, explainsToClients: explainToClients };
}

async function reloadAll(
  authenticators: readonly Authenticator[],
  [control, bans]: readonly [AccessControl | undefined, BanBook],
  logger: Logger,
): Promise<boolean> {
  const reloads = [
    ...authenticators.map((authenticator) => ({ name: authenticator.name, run: () => authenticator.reload?.() })),
    { name: 'access rules', run: () => control?.reload() },
    { name: 'bans', run: () => bans.reload() },
  ];
  let isWhole = true;
  for (const { name, run } of reloads) {
    try {
      await run();
    } catch (error) {
      isWhole = false;
      logger.error('what was to be read anew cannot be used, and stays as it was', {
        what: name,
        error: errorText(error),
      });
    }
  }
  return isWhole;
}

/** What is configured, as a list: an empty text is nothing. */
function listOf(text: string): readonly string[] {
  return text === '' ? [] : [text];
}
