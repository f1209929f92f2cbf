import { holdingsText } from '../acl/explain.ts';
import { AccessControl } from '../acl/access-control.ts';
import type { Subject } from '../acl/filter-template.ts';
import type { Credentials, Verdict } from '../auth/authenticator.ts';
import type { Config } from '../config.ts';
import type { ClientInfo } from '../hooks/hooks.ts';
import { errorText } from '../lib/error-text.ts';
import type { Ban } from '../limits/ban-lines.ts';
import { createLogger } from '../lib/logger.ts';
import { systemClock } from '../lib/system-clock.ts';
import { accessOptions, openSecurity, type Security } from '../security.ts';
import { ExitCode } from './errors.ts';

/** Who would connect. */
export interface Connecting {
  /** Its roles are those given by hand, beside which an authenticator may give others. */
  readonly subject: Subject;
  /** Undefined for none. */
  readonly username: string | undefined;
  readonly pskIdentity: string | undefined;
  readonly address: string;
  /** Undefined where it is not given. */
  readonly password: Buffer | undefined;
}

/** What became of it; `open` where that needs the password. */
type Outcome = { readonly kind: 'in'; readonly subject: Subject; readonly note: string } | { kind: 'out' | 'open' };

/**
 * Asks the authenticators of a configuration, as a broker would, and prints what each says, whether the client is let in, and
 * what it may do then.
 * @returns the exit code: 0 where it is let in.
 * @throws ConfigError where a file cannot be used.
 */
export async function explainConnect(config: Config, connecting: Connecting): Promise<number> {
  const logger = createLogger({
    level: 'error',
    format: 'pretty',
    write: (line) => process.stderr.write(`${line}\n`),
    clock: systemClock,
  });
  const security = await openSecurity(config, { hooks: {}, clock: systemClock, logger });
  try {
    const lines: string[] = [];
    const outcome = await judge(security, config, connecting, lines);
    const { subject } = outcome.kind === 'in' ? outcome : connecting;
    process.stdout.write(`${headline(outcome, connecting)}\n${lines.map((line) => `  ${line}\n`).join('')}`);
    if (outcome.kind !== 'in' && subject.username !== '') process.stdout.write('Were it let in by that name:\n');
    if (outcome.kind === 'in' || subject.username !== '')
      process.stdout.write(holdingsText(new AccessControl(accessOptions(config)).holdings(subject)));
    return outcome.kind === 'in' ? ExitCode.ok : ExitCode.failure;
  } finally {
    security.close();
  }
}

/** @param lines get what there is to say on the way. */
async function judge(
  security: Security,
  config: Config,
  { subject, username, pskIdentity, address, password }: Connecting,
  lines: string[],
): Promise<Outcome> {
  const { authenticators } = security;
  const { list } = security.bans;
  const { clientId, certificate } = subject;
  const ban = list.findAddress(address) ?? list.find('client', clientId) ?? (username && list.find('user', username));
  if (ban) {
    lines.push(banText(ban));
    return { kind: 'out' };
  }
  const client: ClientInfo = {
    clientId,
    username: username ?? '',
    protocolVersion: 5,
    remoteAddress: `${address.includes(':') ? `[${address}]` : address}:0`,
    transport: config.listeners.tcp.port === 'off' && config.listeners.tls.port !== 'off' ? 'tls' : 'tcp',
    ...(certificate !== undefined && { certificate }),
    ...(pskIdentity !== undefined && { pskIdentity }),
  };
  if ([username, password, certificate, pskIdentity].every((part) => part === undefined)) {
    const isIn = security.letsInAnonymous(client);
    lines.push(`anonymous clients from ${address} are ${isIn ? '' : 'not '}let in (${anonymousText(config)})`);
    return isIn ? { kind: 'in', subject, note: 'anonymous' } : { kind: 'out' };
  }
  if (authenticators.length === 0) {
    if (config.auth.allowAnonymous === 'nowhere') {
      lines.push('nothing says who clients are, and anonymous ones are let in nowhere');
      return { kind: 'out' };
    }
    lines.push('nothing says who clients are: everybody is let in, under the user name they give');
    return { kind: 'in', subject, note: `user ${JSON.stringify(subject.username)}, whoever that is` };
  }
  const outcome = await ask(security, { client, username, password }, subject, lines);
  const proven = outcome.kind === 'in' ? list.find('user', outcome.subject.username) : undefined;
  if (proven === undefined) return outcome;
  lines.push(banText(proven));
  return { kind: 'out' };
}

function banText({ kind, value, until, reason }: Ban): string {
  const end = until === Infinity ? 'for good' : `until ${new Date(until).toISOString()}`;
  return `${kind} ${JSON.stringify(value)} is banned ${end}${reason === '' ? '' : ` (${JSON.stringify(reason)})`}`;
}

/** As a chain does, but for a webhook, which would count a question without a password against the client. */
async function ask(
  { authenticators }: Security,
  credentials: Credentials,
  subject: Subject,
  lines: string[],
): Promise<Outcome> {
  let decided: Outcome | undefined;
  for (const [index, authenticator] of authenticators.entries()) {
    const begin = `${index + 1}. ${authenticator.name}:`;
    if (decided !== undefined) {
      lines.push(`${begin} not asked any more`);
      continue;
    }
    if (authenticator.name === 'webhook' && credentials.password === undefined) {
      lines.push(`${begin} asked when the password is given (--password-file FILE)`);
      decided = { kind: 'open' };
      continue;
    }
    const verdict = await verdictOf(() => authenticator.authenticate(credentials));
    lines.push(`${begin} ${verdictText(verdict)}`);
    if (verdict.kind === 'accepted') decided = accepted(verdict, subject);
    else if (verdict.kind === 'refused' && verdict.reason === 'no password') decided = { kind: 'open' };
    else if (verdict.kind !== 'unknown') decided = { kind: 'out' };
  }
  return decided ?? { kind: 'out' };
}

async function verdictOf(run: () => Verdict | Promise<Verdict>): Promise<Verdict> {
  try {
    return await run();
  } catch (error) {
    return { kind: 'failed', reason: errorText(error) };
  }
}

function verdictText(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'accepted':
      return `it is user ${JSON.stringify(verdict.username)}`;
    case 'unknown':
      return `does not know it: ${verdict.reason}`;
    case 'refused':
      return `knows it and does not let it in: ${verdict.reason}`;
    case 'busy':
      return `has too much to do: ${verdict.reason}`;
    case 'failed':
      return `cannot say: ${verdict.reason}`;
  }
}

function accepted(verdict: Verdict & { kind: 'accepted' }, subject: Subject): Outcome {
  const { username, roles = [], claims, grants, expiresAt } = verdict;
  const until = expiresAt === undefined ? '' : `, until ${new Date(expiresAt).toISOString()}`;
  return {
    kind: 'in',
    note: `user ${JSON.stringify(username)}${until}`,
    subject: {
      ...subject,
      username,
      roles: [...(subject.roles ?? []), ...roles],
      ...(claims !== undefined && { claims }),
      ...(grants !== undefined && { grants }),
    },
  };
}

function headline(outcome: Outcome, { subject, address }: Connecting): string {
  const client = `client ${JSON.stringify(subject.clientId)} from ${address}`;
  switch (outcome.kind) {
    case 'in':
      return `Let in: ${client}, as ${outcome.note}`;
    case 'out':
      return `Refused: ${client}`;
    case 'open':
      return `Refused without its password, which --password-file FILE gives: ${client}`;
  }
}

function anonymousText({ auth }: Config): string {
  return `auth.allowAnonymous is ${auth.allowAnonymous}`;
}
