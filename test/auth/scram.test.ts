import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Backoff, type BackoffOptions } from '../../src/auth/backoff.ts';
import { PasswordFile } from '../../src/auth/password-file.ts';
import { ScramAuthentication } from '../../src/auth/scram.ts';
import { hashForScram, type ScramMechanism, scramMechanisms } from '../../src/auth/scram-secret.ts';
import type { AuthExchange, AuthStep, ClientInfo } from '../../src/hooks/hooks.ts';
import { type AuthPacket, type ConnectPacket, PacketType } from '../../src/protocol/packets.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { ScramClient } from './scram-client.ts';

const connect: ConnectPacket = {
  type: PacketType.connect,
  protocolVersion: 5,
  cleanStart: true,
  keepAlive: 0,
  clientId: 'c',
  properties: {},
};
const auth: AuthPacket = { type: PacketType.auth, reasonCode: 0x18, properties: {} };
const reAuth: AuthPacket = { type: PacketType.auth, reasonCode: 0x19, properties: {} };

/** RFC 7677 section 3, and the same for SHA-512 as computed by other means (Python's hmac, block by block). */
const vectors: Record<ScramMechanism, { secret: string; proof: string; signature: string }> = {
  'SCRAM-SHA-256': {
    secret:
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    signature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
  'SCRAM-SHA-512': {
    secret:
      'SCRAM-SHA-512$4096:W22ZaJ0SNY7soEsUEjb6gQ==$6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==:jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA==',
    proof: 'gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==',
    signature: 'ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==',
  },
};
const clientNonce = 'rOprNGfwEbeRWgbNEkqO';
const serverNonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';

let directory: string;
let file: PasswordFile;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-scram-'));
  const path = join(directory, 'users');
  const lines = Object.values(vectors).map(({ secret }) => `user:${secret}`);
  const odd = await hashForScram('SCRAM-SHA-256', 'pass=word,');
  lines.push(`a=b,c:${odd}`, `fish:${odd}`, `zoë:${odd}`);
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  file = await PasswordFile.open(path);
});

afterAll(() => rmSync(directory, { recursive: true }));

/** A server, and why it refused. */
function server(options: { nonce?: string; backoff?: Partial<BackoffOptions> } = {}): {
  scram: ScramAuthentication;
  backoff: Backoff;
  reasons: string[];
} {
  const backoff = new Backoff(new FakeClock(), options.backoff ?? { pairFailuresFree: 1e9, addressFailuresFree: 1e9 });
  const reasons: string[] = [];
  const onRefused = (_: ClientInfo, username: string, reason: string): void => {
    reasons.push(`${username}: ${reason}`);
  };
  const { nonce } = options;
  const makeNonce = nonce === undefined ? {} : { makeNonce: () => nonce };
  return { scram: new ScramAuthentication({ file, backoff, onRefused, ...makeNonce }), backoff, reasons };
}

function clientInfo(username = ''): ClientInfo {
  return { clientId: 'c', username, protocolVersion: 5, remoteAddress: '127.0.0.1:5', transport: 'tcp' };
}

function start(scram: ScramAuthentication, mechanism: ScramMechanism, username = ''): AuthExchange {
  return scram.startExchange(mechanism, clientInfo(username), '127.0.0.1')!;
}

/** Data of a step that goes on or succeeds. */
function dataOf(step: AuthStep): Buffer {
  if (step.kind === 'refuse') throw new Error(`refused: ${step.reasonString}`);
  return Buffer.from(step.data!);
}

async function logIn(
  scram: ScramAuthentication,
  client: ScramClient,
  mechanism: ScramMechanism,
  username = '',
): Promise<AuthStep> {
  const exchange = start(scram, mechanism, username);
  const step = await exchange.step(client.first(), connect);
  return step.kind === 'refuse' ? step : exchange.step(client.final(dataOf(step)), auth);
}

describe.each(scramMechanisms)('%s', (mechanism) => {
  const user = { mechanism, username: 'user', password: 'pencil' };

  test('the vector of the RFC: challenge, proof and signature', async () => {
    const { secret, proof, signature } = vectors[mechanism];
    expect(file.table.scramOf('user', mechanism)).toMatchObject({ iterations: 4_096 });
    expect(secret).toContain('W22ZaJ0SNY7soEsUEjb6gQ==');
    const exchange = start(server({ nonce: serverNonce }).scram, mechanism);
    const challenge = await exchange.step(Buffer.from(`n,,n=user,r=${clientNonce}`), connect);
    const nonce = clientNonce + serverNonce;
    expect(challenge).toEqual({ kind: 'continue', data: Buffer.from(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`) });
    expect(await exchange.step(Buffer.from(`c=biws,r=${nonce},p=${proof}`), auth)).toEqual({
      kind: 'success',
      provenBy: 'password',
      data: Buffer.from(`v=${signature}`),
      username: 'user',
    });
  });

  test.each(['n,,', 'y,,', 'n,a=user,'])(
    'a client with %s logs in, and can tell that the server knows',
    async (gs2Header) => {
      const { scram, backoff, reasons } = server();
      const client = new ScramClient({ ...user, gs2Header });
      const step = await logIn(scram, client, mechanism);
      expect(step).toMatchObject({ kind: 'success', username: 'user' });
      expect(dataOf(step).toString()).toBe(client.expected());
      expect(reasons).toEqual([]);
      expect(backoff.counters.failed).toBe(0);
    },
  );

  test('another password is refused, and the client learns no more than with an unknown user', async () => {
    const { scram, backoff, reasons } = server();
    const wrong = await logIn(scram, new ScramClient({ ...user, password: 'pencils' }), mechanism);
    const unknown = await logIn(scram, new ScramClient({ ...user, username: 'nobody' }), mechanism);
    expect(wrong).toEqual({ kind: 'refuse', reasonCode: 0x86, reasonString: 'not authenticated' });
    expect(unknown).toEqual(wrong);
    expect(reasons).toEqual(['user: wrong password', 'nobody: unknown user']);
    expect(backoff.counters.failed).toBe(2);
  });

  test('a message that is changed at any byte is refused', async () => {
    const { scram } = server();
    const client = new ScramClient(user);
    const first = client.first();
    for (const [at, mask] of everyByte(first.length)) {
      const exchange = start(scram, mechanism);
      const step = await exchange.step(changed(first, at, mask), connect);
      if (step.kind === 'refuse') continue;
      const final = await exchange.step(client.final(dataOf(step)), auth);
      expect(final.kind, `first message, byte ${at} changed by ${mask}`).toBe('refuse');
    }
    const length = client.final(Buffer.from(`r=${'n'.repeat(56)},s=AAAA,i=4096`)).length;
    for (const [at, mask] of everyByte(length)) {
      const exchange = start(scram, mechanism);
      const challenge = dataOf(await exchange.step(first, connect));
      const final = await exchange.step(changed(client.final(challenge), at, mask), auth);
      expect(final.kind, `last message, byte ${at} changed by ${mask}`).toBe('refuse');
    }
  });

  test('a challenge that is changed at any byte on its way makes the proof wrong', async () => {
    const { scram } = server();
    const client = new ScramClient(user);
    const { length } = dataOf(await start(scram, mechanism).step(client.first(), connect));
    for (let at = 0; at < length; at++) {
      const exchange = start(scram, mechanism);
      const challenge = changed(dataOf(await exchange.step(client.first(), connect)), at, 1);
      // What is no challenge any more, or asks for other work, a client gives up itself.
      if (!/^r=[^,]*,s=[^,]*,i=4096$/.test(challenge.toString())) continue;
      const final = await exchange.step(client.final(challenge), auth);
      // Another spelling of the same salt, or of a nonce that the client takes as it is, changes what both sign.
      expect(final.kind, `byte ${at}`).toBe('refuse');
    }
  });

  test('an exchange that was overheard cannot be used again', async () => {
    const { scram, reasons } = server();
    const client = new ScramClient(user);
    const overheard = start(scram, mechanism);
    const final = client.final(dataOf(await overheard.step(client.first(), connect)));
    expect(await overheard.step(final, auth)).toMatchObject({ kind: 'success' });
    const again = start(scram, mechanism);
    expect(await again.step(client.first(), connect)).toMatchObject({ kind: 'continue' });
    expect(await again.step(final, auth)).toMatchObject({ kind: 'refuse', reasonCode: 0x86 });
    expect(reasons).toEqual(['user: the nonce is another']);
  });
});

function* everyByte(length: number): Iterable<[at: number, mask: number]> {
  for (let at = 0; at < length; at++) for (const mask of [0x01, 0x20, 0x80]) yield [at, mask];
}

function changed(message: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(message);
  copy[at]! ^= mask;
  return copy;
}

const mechanism = 'SCRAM-SHA-256';

test('a method that is none of these is not taken', () => {
  const { scram } = server();
  for (const method of ['SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS', 'scram-sha-256', 'PLAIN', '', '__proto__'])
    expect(scram.startExchange(method, clientInfo(), '127.0.0.1')).toBeUndefined();
});

test('names with commas, equals signs and letters beyond ASCII; those that mean the same are the same', async () => {
  const { scram } = server();
  const names = [
    ['a=b,c', 'a=b,c'],
    ['zoe\u0308', 'zoë'],
    ['\ufb01sh', 'fish'],
  ];
  for (const [given, known] of names) {
    const client = new ScramClient({ mechanism, username: given!, password: 'pass=word,' });
    expect(await logIn(scram, client, mechanism)).toMatchObject({ kind: 'success', username: known });
  }
});

test('an unknown user gets a salt of its own, the same each time and from each process, with the usual iterations', async () => {
  const saltOf = async (username: string, how: ScramMechanism, { scram } = server()): Promise<string> => {
    const client = new ScramClient({ mechanism: how, username, password: 'x' });
    const [, salt, iterations] = dataOf(await start(scram, how).step(client.first(), connect))
      .toString()
      .split(',');
    expect(iterations).toBe('i=4096');
    expect(Buffer.from(salt!.slice(2), 'base64')).toHaveLength(16);
    return salt!;
  };
  const salts = await Promise.all([saltOf('x', mechanism), saltOf('y', mechanism), saltOf('x', 'SCRAM-SHA-512')]);
  expect(new Set(salts).size).toBe(3);
  expect(await saltOf('x', mechanism)).toBe(salts[0]);
});

test('a user who is removed between the two messages is not let in', async () => {
  const path = join(directory, 'changing');
  writeFileSync(path, `user:${vectors['SCRAM-SHA-256'].secret}\n`, { mode: 0o600 });
  const changing = await PasswordFile.open(path);
  const scram = new ScramAuthentication({ file: changing, backoff: server().backoff });
  const client = new ScramClient({ mechanism: 'SCRAM-SHA-256', username: 'user', password: 'pencil' });
  const exchange = start(scram, 'SCRAM-SHA-256');
  const challenge = dataOf(await exchange.step(client.first(), connect));
  writeFileSync(path, '# nobody\n');
  await changing.reload();
  expect(await exchange.step(client.final(challenge), auth)).toMatchObject({ kind: 'refuse', reasonCode: 0x86 });
});

test('each exchange has a nonce of its own that begins with that of the client', async () => {
  const { scram } = server();
  const client = new ScramClient({ mechanism, username: 'user', password: 'pencil' });
  const nonces = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const [nonce] = dataOf(await start(scram, mechanism).step(client.first(), connect))
      .toString()
      .split(',');
    expect(nonce).toMatch(/^r=fyko\+d2lbbFgONRv9qkxdawL[\w+/]{32}$/);
    nonces.add(nonce!);
  }
  expect(nonces.size).toBe(100);
});

test.each([
  ['', 'not one of SCRAM'],
  ['n', 'not one of SCRAM'],
  ['n,,', 'not one of SCRAM'],
  ['x,,n=user,r=abc', 'not one of SCRAM'],
  ['n=x,,n=user,r=abc', 'not one of SCRAM'],
  ['n,b=x,n=user,r=abc', 'not one of SCRAM'],
  ['n,,r=abc,n=user', 'not one of SCRAM'],
  ['n,,n=user', 'not one of SCRAM'],
  ['n,,n=user,r=', 'not one of SCRAM'],
  ['n,,n=,r=abc', 'not one of SCRAM'],
  ['n,,m=ext,n=user,r=abc', 'not one of SCRAM'],
  ['n,,n=user,r=abc,m=ext', 'not one of SCRAM'],
  ['n,,n=user,r=abc,', 'not one of SCRAM'],
  ['n,,n=user,r=abc,xx', 'not one of SCRAM'],
  ['n,,n=us\0er,r=abc', 'not one of SCRAM'],
  ['\ufeffn,,n=user,r=abc', 'not one of SCRAM'],
  [`n,,n=${'u'.repeat(20_000)},r=abc`, 'not one of SCRAM'],
  ['n,,n=us=er,r=abc', 'not escaped'],
  ['n,,n=us=2cer,r=abc', 'not escaped'],
  ['n,a=,n=user,r=abc', 'not escaped'],
  ['n,,n=user,r=a b', 'printable'],
  ['n,,n=user,r=é', 'printable'],
  [`n,,n=user,r=${'a'.repeat(513)}`, 'printable'],
  ['n,,n=us\u202eer,r=abc', 'not allowed'],
  ['p=tls-unique,,n=user,r=abc', 'channel binding is not supported'],
  ['p=tls-exporter,a=user,n=user,r=abc', 'channel binding is not supported'],
])('the first message %j is refused', async (message, reason) => {
  const { scram, backoff } = server();
  const step = await start(scram, mechanism).step(Buffer.from(message), connect);
  expect(step).toMatchObject({ kind: 'refuse', reasonCode: 0x82 });
  expect((step as { reasonString: string }).reasonString).toContain(reason);
  expect(backoff.counters.failed).toBe(0);
});

test('bytes that are not UTF-8, and no data at all, are refused', async () => {
  const { scram } = server();
  const bytes = Buffer.from('n,,n=us\xffer,r=abc', 'latin1');
  expect(await start(scram, mechanism).step(bytes, connect)).toMatchObject({ kind: 'refuse', reasonCode: 0x82 });
  expect(await start(scram, mechanism).step(undefined, connect)).toMatchObject({ kind: 'refuse', reasonCode: 0x82 });
});

test.each<[string, (final: string) => string]>([
  ['without a proof', (final) => final.replace(/,p=.*/, '')],
  ['with an empty proof', (final) => final.replace(/,p=.*/, ',p=')],
  ['with a proof cut off', (final) => final.slice(0, -4)],
  ['with a longer proof', (final) => final.replace(/=$/, 'AAA=')],
  ['with something behind the proof', (final) => `${final},x=y`],
  ['with the proof twice', (final) => final + final.slice(final.indexOf(',p='))],
  ['with another channel binding', (final) => final.replace('c=biws', `c=${Buffer.from('y,,').toString('base64')}`)],
  ['with data of a channel', (final) => final.replace('c=biws', `c=${Buffer.from('n,,x').toString('base64')}`)],
  ['with a channel binding spelled otherwise', (final) => final.replace('c=biws', 'c=biws=')],
  ['with the nonce of the client alone', (final) => final.replace(/(r=fyko\+d2lbbFgONRv9qkxdawL)[^,]*/, '$1')],
  ['with a longer nonce', (final) => final.replace(/(r=[^,]*)/, '$1x')],
  ['with an extension that must be understood', (final) => final.replace(',p=', ',m=x,p=')],
  ['with an extension that was not signed', (final) => final.replace(',p=', ',x=y,p=')],
  ['with attributes the other way round', (final) => final.replace(/^(c=[^,]*),(r=[^,]*)/, '$2,$1')],
  ['that is the first one again', () => 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL'],
  ['that is empty', () => ''],
])('a last message %s is refused', async (_, change) => {
  const { scram } = server();
  const client = new ScramClient({ mechanism, username: 'user', password: 'pencil' });
  const exchange = start(scram, mechanism);
  const final = client.final(dataOf(await exchange.step(client.first(), connect)));
  const step = await exchange.step(Buffer.from(change(final.toString())), auth);
  expect(step.kind).toBe('refuse');
  // There is no second try within an exchange.
  expect(await exchange.step(final, auth)).toMatchObject({ kind: 'refuse', reasonCode: 0x82 });
});

test('nobody acts as somebody else', async () => {
  const { scram, reasons } = server();
  const client = new ScramClient({ mechanism, username: 'user', password: 'pencil', gs2Header: 'n,a=admin,' });
  expect(await logIn(scram, client, mechanism)).toMatchObject({ kind: 'refuse', reasonCode: 0x86 });
  const user = new ScramClient({ mechanism, username: 'user', password: 'pencil' });
  expect(await logIn(scram, user, mechanism, 'admin')).toMatchObject({ kind: 'refuse', reasonCode: 0x86 });
  expect(await logIn(scram, user, mechanism, 'user')).toMatchObject({ kind: 'success' });
  expect(reasons).toEqual([
    'user: the client wants to act as somebody else',
    'user: the user name of CONNECT is another',
  ]);
});

test('a re-authentication goes the same way, for the user who is connected alone', async () => {
  const { scram } = server();
  const client = new ScramClient({ mechanism, username: 'user', password: 'pencil' });
  for (const [connected, kind] of [
    ['user', 'success'],
    ['fish', 'refuse'],
    ['', 'refuse'],
  ]) {
    const exchange = start(scram, mechanism, connected);
    let step = await exchange.step(client.first(), reAuth);
    if (step.kind === 'continue') step = await exchange.step(client.final(dataOf(step)), auth);
    expect(step.kind).toBe(kind);
    // DISCONNECT has no 0x86.
    if (step.kind === 'refuse') expect(step.reasonCode).toBe(0x87);
  }
});

test('who fails too often is held off, whatever the proof; elsewhere the user logs in', async () => {
  const { scram, backoff, reasons } = server({ backoff: {} });
  const wrong = new ScramClient({ mechanism, username: 'user', password: 'guess' });
  const right = new ScramClient({ mechanism, username: 'user', password: 'pencil' });
  for (let i = 0; i < 4; i++) expect(await logIn(scram, wrong, mechanism)).toMatchObject({ reasonCode: 0x86 });
  expect(await logIn(scram, right, mechanism)).toMatchObject({ kind: 'refuse', reasonCode: 0x9f });
  expect(reasons.at(-1)).toBe('user: too many failed logins, try again later');
  expect(backoff.counters).toMatchObject({ failed: 4, heldOff: 1 });
  const elsewhere = scram.startExchange(mechanism, clientInfo(), '192.0.2.1')!;
  const challenge = dataOf(await elsewhere.step(right.first(), connect));
  expect(await elsewhere.step(right.final(challenge), auth)).toMatchObject({ kind: 'success' });
});

test('of many exchanges begun at once only as many guesses are looked at as one after the other', async () => {
  const { scram, backoff } = server({ backoff: {} });
  const client = new ScramClient({ mechanism, username: 'user', password: 'guess' });
  const exchanges = Array.from({ length: 50 }, () => start(scram, mechanism));
  const challenges: AuthStep[] = [];
  for (const exchange of exchanges) challenges.push(await exchange.step(client.first(), connect));
  for (const [index, exchange] of exchanges.entries())
    await exchange.step(client.final(dataOf(challenges[index]!)), auth);
  expect(backoff.counters).toMatchObject({ failed: 4, heldOff: 46 });
});
