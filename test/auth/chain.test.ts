import { describe, expect, test } from 'vitest';
import type { Authenticator, Credentials, Verdict } from '../../src/auth/authenticator.ts';
import { AuthenticatorChain, type Attempts, type ChainOptions } from '../../src/auth/chain.ts';
import type { ClientInfo, Hooks } from '../../src/hooks/hooks.ts';
import type { Logger } from '../../src/lib/logger.ts';
import { type ConnectPacket, PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { startTestBroker } from '../support/test-broker.ts';

const CLIENT: ClientInfo = {
  clientId: 'c',
  username: 'alice',
  protocolVersion: 5,
  remoteAddress: '10.0.0.7:51234',
  transport: 'tcp',
};

function connectOf(username?: string, password?: string): ConnectPacket {
  return {
    type: PacketType.connect,
    protocolVersion: 5,
    clientId: 'c',
    cleanStart: true,
    keepAlive: 0,
    properties: {},
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Buffer.from(password) }),
  };
}

/** A chain, and what became of what it was asked. */
class Trial {
  readonly asked: string[] = [];
  readonly logged: string[] = [];
  readonly told: string[] = [];
  waitMs = 0;

  /** An authenticator that says this, or fails. */
  saying(name: string, verdict: Verdict | Error): Authenticator {
    return {
      name,
      authenticate: ({ username, goesFirst }: Credentials) => {
        this.asked.push(`${name} ${username ?? '-'}${goesFirst === true ? ' first' : ''}`);
        if (verdict instanceof Error) throw verdict;
        return verdict;
      },
    };
  }

  chain(options: Partial<ChainOptions>): AuthenticatorChain {
    const logger: Logger = {
      level: 'warn',
      error: (text, fields) => this.logged.push(`${text} ${JSON.stringify(fields)}`),
      warn: (text, fields) => this.logged.push(`${text} ${JSON.stringify(fields)}`),
      info: () => {},
      debug: () => {},
    };
    const attempts: Attempts = {
      waitMs: () => this.waitMs,
      hasSucceeded: (username, address) => username === 'known' && address === '10.0.0.7',
      failed: (username, address) => this.told.push(`failed ${username} ${address}`),
      succeeded: (username, address) => this.told.push(`succeeded ${username} ${address}`),
    };
    const defaults: ChainOptions = {
      authenticators: [],
      attempts,
      letsInAnonymous: () => false,
      showsUserNames: true,
      hooks: {},
      logger,
    };
    return new AuthenticatorChain({ ...defaults, ...options });
  }
}

const UNKNOWN: Verdict = { kind: 'unknown', reason: 'no such user' };
const REFUSED: Verdict = { kind: 'refused', reason: 'wrong password' };
const ACCEPTED: Verdict = { kind: 'accepted', username: 'Alice', roles: ['sensor'], expiresAt: 7 };

describe('a chain of authenticators', () => {
  test('asks one after the other until one knows the client', async () => {
    const trial = new Trial();
    const authenticators = [trial.saying('a', UNKNOWN), trial.saying('b', ACCEPTED), trial.saying('c', REFUSED)];
    const result = await trial.chain({ authenticators }).authenticate(CLIENT, connectOf('alice', 'x'));
    expect(result).toEqual({ allow: true, username: 'Alice', roles: ['sensor'], expiresAt: 7, provenBy: 'b' });
    expect(trial.asked).toEqual(['a alice', 'b alice']);
  });

  test('lets those go first who have logged in from there before', async () => {
    const trial = new Trial();
    const chain = trial.chain({ authenticators: [trial.saying('a', ACCEPTED)] });
    for (const username of ['known', 'alice']) await chain.authenticate(CLIENT, connectOf(username, 'x'));
    expect(trial.asked).toEqual(['a known first', 'a alice']);
  });

  test('counts a login for the name that it proves, and not for another that it came under', async () => {
    for (const [given, proven, told] of [
      ['alice', 'alice', ['succeeded alice 10.0.0.7']],
      ['victim', 'mallory', []],
      [undefined, 'alice', ['succeeded  10.0.0.7']],
    ] as const) {
      const trial = new Trial();
      const verdict: Verdict = { kind: 'accepted', username: proven };
      await trial.chain({ authenticators: [trial.saying('a', verdict)] }).authenticate(CLIENT, connectOf(given, 'x'));
      expect(trial.told).toEqual(told);
      const hook = () => ({ allow: true, username: proven }) as const;
      const other = new Trial();
      await other.chain({ hooks: { authenticate: hook } }).authenticate(CLIENT, connectOf(given, 'x'));
      expect(other.told).toEqual(told);
    }
  });

  test('counts no failed login where nothing could be guessed, or nobody could say', async () => {
    const away = new Trial();
    const authenticators = [away.saying('a', { kind: 'failed', reason: 'it is away' })];
    const answer = await away.chain({ authenticators }).authenticate(CLIENT, connectOf('alice', 'x'));
    expect(answer).toMatchObject({ allow: false, reasonCode: ReasonCode.badUserNameOrPassword });
    expect(away.told).toEqual([]);
    const signed = new Trial();
    const token: Authenticator = { ...signed.saying('jwt', REFUSED), isGuessable: false };
    expect(await signed.chain({ authenticators: [token] }).authenticate(CLIENT, connectOf('alice', 'x'))).toEqual(
      answer,
    );
    expect(signed.told).toEqual([]);
  });

  test('answers alike whether nobody knows the client, or one refuses it, or one fails; the log knows', async () => {
    const answers = new Set<string>();
    for (const verdict of [UNKNOWN, REFUSED, new Error('cannot reach it')]) {
      const trial = new Trial();
      const chain = trial.chain({ authenticators: [trial.saying('a', verdict)] });
      answers.add(JSON.stringify(await chain.authenticate(CLIENT, connectOf('alice', 'secret'))));
      // It is not the client's fault where one fails.
      expect(trial.told).toEqual(verdict instanceof Error ? [] : ['failed alice 10.0.0.7']);
      expect(trial.logged.join('\n')).toContain('not let in');
      expect(trial.logged.join('\n')).not.toContain('secret');
    }
    expect(answers.size).toBe(1);
    expect(JSON.parse([...answers][0] as string)).toMatchObject({ reasonCode: ReasonCode.badUserNameOrPassword });
  });

  test('asks nobody else where one refuses or fails', async () => {
    for (const verdict of [REFUSED, new Error('broken')]) {
      const trial = new Trial();
      const authenticators = [trial.saying('a', verdict), trial.saying('b', ACCEPTED)];
      const hook = (): never => {
        throw new Error('asked');
      };
      const result = await trial
        .chain({ authenticators, hooks: { authenticate: hook } })
        .authenticate(CLIENT, connectOf('alice', 'x'));
      expect(result.allow).toBe(false);
      expect(trial.asked).toEqual(['a alice']);
    }
  });

  test('asks the hook of an embedding program last, where nobody knows the client', async () => {
    const trial = new Trial();
    const hook = () => ({ allow: true, username: 'by hook' }) as const;
    const known = trial.chain({ authenticators: [trial.saying('a', ACCEPTED)], hooks: { authenticate: hook } });
    expect(await known.authenticate(CLIENT, connectOf('alice', 'x'))).toMatchObject({ username: 'Alice' });
    const unknown = trial.chain({ authenticators: [trial.saying('a', UNKNOWN)], hooks: { authenticate: hook } });
    expect(await unknown.authenticate(CLIENT, connectOf('alice', 'x'))).toMatchObject({ username: 'by hook' });
    const alone = trial.chain({ hooks: { authenticate: hook } });
    expect(await alone.authenticate(CLIENT, connectOf('alice', 'x'))).toMatchObject({ username: 'by hook' });
  });

  test('with a hook that says nothing does not say yes in its place, of anonymous clients either', async () => {
    const hooks = { authenticate: () => undefined } as unknown as Hooks;
    const chain = new Trial().chain({ letsInAnonymous: () => true, hooks });
    expect(await chain.authenticate(CLIENT, connectOf())).toBeUndefined();
    await using broker = await startTestBroker({ hooks });
    const client = await broker.open();
    client.sendConnect();
    await client.expectConnack(ReasonCode.implementationSpecificError);
  });

  test('of nobody, without a hook, lets nobody in who brings something', async () => {
    const trial = new Trial();
    const chain = trial.chain({ letsInAnonymous: () => true });
    expect(await chain.authenticate(CLIENT, connectOf('alice', 'x'))).toMatchObject({ allow: false });
    expect(trial.logged.join('\n')).toContain('nothing says who clients are');
  });

  test('looks at nothing while attempts of that user from there are held back', async () => {
    const trial = new Trial();
    trial.waitMs = 5000;
    const chain = trial.chain({ authenticators: [trial.saying('a', ACCEPTED)] });
    const result = await chain.authenticate(CLIENT, connectOf('alice', 'x'));
    expect(result).toMatchObject({ allow: false, reasonCode: ReasonCode.connectionRateExceeded });
    expect([trial.asked, trial.told]).toEqual([[], []]);
  });

  test('lets clients that bring nothing in where that is wanted, under no name', async () => {
    const trial = new Trial();
    const authenticators = [trial.saying('a', ACCEPTED)];
    const open = trial.chain({ authenticators, letsInAnonymous: () => true });
    expect(await open.authenticate(CLIENT, connectOf())).toEqual({ allow: true, username: '' });
    const closed = trial.chain({ authenticators });
    expect(await closed.authenticate(CLIENT, connectOf())).toMatchObject({ reasonCode: ReasonCode.notAuthorized });
    expect(trial.asked).toEqual([]);
    // Half of something is not nothing.
    await closed.authenticate(CLIENT, connectOf(undefined, 'x'));
    const certificate = { commonName: 'c', alternativeNames: [], fingerprint: 'AA' };
    await closed.authenticate({ ...CLIENT, certificate }, connectOf());
    expect(trial.asked).toEqual(['a -', 'a -']);
  });
});
