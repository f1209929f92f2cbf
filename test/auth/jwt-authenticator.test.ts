import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Verdict } from '../../src/auth/authenticator.ts';
import { JwtAuthenticator, type JwtOptions } from '../../src/auth/jwt-authenticator.ts';
import { FileKeys, type KeyFileKind } from '../../src/auth/token-keys.ts';
import { credentials, forged, keyPairFor, pemOf, signed } from './tokens.ts';

const nowSeconds = 1_750_000_000;
const { publicKey, privateKey } = keyPairFor('RS256');
const pem = pemOf(publicKey);
const secret = Buffer.alloc(64, 'secret');

let directory: string;
let rsaKeys: FileKeys;
let secretKeys: FileKeys;

async function keysOf(kind: KeyFileKind, contents: string | Uint8Array): Promise<FileKeys> {
  const path = join(directory, 'key');
  writeFileSync(path, contents, { mode: 0o600 });
  return FileKeys.open(path, kind, []);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'jwt-'));
  rsaKeys = await keysOf('public-key', pem);
  secretKeys = await keysOf('secret', secret);
});

afterAll(() => rmSync(directory, { recursive: true }));

function authenticator(options: Partial<JwtOptions> = {}): JwtAuthenticator {
  return new JwtAuthenticator({
    keys: rsaKeys,
    from: 'password',
    issuers: [],
    audiences: [],
    requireExpiry: true,
    leewaySeconds: 0,
    usernameClaim: 'sub',
    clientIdClaim: undefined,
    rolesClaim: undefined,
    aclClaim: undefined,
    now: () => nowSeconds * 1_000,
    ...options,
  });
}

const good = { sub: 'alice', exp: nowSeconds + 60 };

function token(payload: Readonly<Record<string, unknown>>, alg = 'RS256'): Promise<string> {
  return signed(privateKey, { alg }, payload);
}

async function verdictOn(
  payload: Readonly<Record<string, unknown>>,
  options: Partial<JwtOptions> = {},
): Promise<Verdict> {
  return authenticator(options).authenticate(credentials({ password: await token(payload) }));
}

test('a good token says who the client is', async () => {
  expect(await verdictOn(good)).toEqual({
    kind: 'accepted',
    username: 'alice',
    roles: [],
    grants: [],
    claims: good,
    expiresAt: (nowSeconds + 60) * 1_000,
  });
});

test.each(['HS256', 'HS384', 'HS512'])('%s with a secret is accepted', async (alg) => {
  const password = await signed(secret, { alg }, good);
  expect(await authenticator({ keys: secretKeys }).authenticate(credentials({ password }))).toMatchObject({
    username: 'alice',
  });
});

test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'])(
  '%s with a key pair is accepted, and with another key refused',
  async (alg) => {
    const pair = keyPairFor(alg);
    const keys = await keysOf('public-key', pemOf(pair.publicKey));
    const password = await signed(pair.privateKey, { alg, kid: 'any' }, good);
    expect(await authenticator({ keys }).authenticate(credentials({ password }))).toMatchObject({ kind: 'accepted' });
    const other = await signed(keyPairFor(alg).privateKey, { alg }, good);
    expect(await authenticator({ keys }).authenticate(credentials({ password: other }))).toEqual({
      kind: 'refused',
      reason: 'the signature of the token is wrong',
    });
  },
);

test('of the keys of a set the one that signed is found without a name', async () => {
  const first = keyPairFor('ES256').publicKey.export({ format: 'jwk' });
  const second = keyPairFor('RS256').publicKey.export({ format: 'jwk' });
  const keys = await keysOf('key-set', JSON.stringify({ keys: [first, second, publicKey.export({ format: 'jwk' })] }));
  expect(await verdictOn(good, { keys })).toMatchObject({ kind: 'accepted' });
});

test('the token may be the user name, and the claim replaces it', async () => {
  const username = await token(good);
  const jwt = authenticator({ from: 'username' });
  expect(await jwt.authenticate(credentials({ username, password: 'x' }))).toMatchObject({ username: 'alice' });
  expect(await jwt.authenticate(credentials())).toEqual({ kind: 'unknown', reason: 'no user name' });
  expect(await jwt.authenticate(credentials({ username: 'alice' }))).toEqual({
    kind: 'unknown',
    reason: 'the user name is no token',
  });
});

test.each([
  ['none', undefined],
  ['empty', ''],
  ['a word', 'hunter2'],
  ['three words', 'abc.def.ghi'],
  ['dots', '..'],
  ['numbers in the shape of a token', 'MTIz.MTIz.MTIz'],
  ['a list for a header', `${Buffer.from('[]').toString('base64url')}.e30.x`],
  ['five parts', 'eyJhbGciOiJkaXIifQ.a.b.c.d'],
  ['a token with a line end', 'eyJhbGciOiJIUzI1NiJ9.e30.x\n'],
  ['bytes', Buffer.from([0xff, 0xfe, 0])],
  ['64 KiB', 'x'.repeat(65_535)],
])('a password that does not look like a token is not known here: %s', async (_name, password) => {
  const verdict = await authenticator().authenticate(credentials(password === undefined ? {} : { password }));
  expect(verdict.kind).toBe('unknown');
});

test.each<[string, Readonly<Record<string, unknown>>, Partial<JwtOptions>, string]>([
  ['expired by a second', { ...good, exp: nowSeconds - 1 }, {}, 'the token has expired'],
  ['expired now', { ...good, exp: nowSeconds }, {}, 'the token has expired'],
  ['expired beyond the leeway', { ...good, exp: nowSeconds - 5 }, { leewaySeconds: 5 }, 'the token has expired'],
  ['without exp', { sub: 'alice' }, {}, 'the token has no claim exp'],
  ['exp is text', { ...good, exp: '9999999999' }, {}, 'the claim exp of the token is not what it must be'],
  ['exp is null', { ...good, exp: null }, {}, 'the claim exp of the token is not what it must be'],
  ['exp is no date', { ...good, exp: 1e30 }, {}, 'a time in the token is no date'],
  ['not valid for a second', { ...good, nbf: nowSeconds + 1 }, {}, 'the token is not valid yet'],
  ['nbf is text', { ...good, nbf: 'now' }, {}, 'the claim nbf of the token is not what it must be'],
  ['issued in a second', { ...good, iat: nowSeconds + 1 }, {}, 'the token was issued in the future'],
  ['iat is text', { ...good, iat: 'now' }, {}, 'the claim iat of the token is not what it must be'],
  [
    'another issuer',
    { ...good, iss: 'b' },
    { issuers: ['a', 'c'] },
    'the claim iss of the token is not what it must be',
  ],
  ['no issuer', good, { issuers: ['a'] }, 'the token has no claim iss'],
  [
    'issuer is a list',
    { ...good, iss: ['a'] },
    { issuers: ['a'] },
    'the claim iss of the token is not what it must be',
  ],
  [
    'another audience',
    { ...good, aud: ['b'] },
    { audiences: ['a'] },
    'the claim aud of the token is not what it must be',
  ],
  ['no audience', good, { audiences: ['a'] }, 'the token has no claim aud'],
  ['no user name', { exp: good.exp }, {}, 'the claim sub is not fit for a user name'],
  ['an empty user name', { ...good, sub: '' }, {}, 'the claim sub is not fit for a user name'],
  ['a number for a user name', { ...good, sub: 7 }, {}, 'the claim sub is not fit for a user name'],
  ['a hostile user name', { ...good, sub: 'a\nb' }, {}, 'the claim sub is not fit for a user name'],
  ['a long user name', { ...good, sub: 'x'.repeat(257) }, {}, 'the claim sub is not fit for a user name'],
  [
    'a claim all objects have',
    good,
    { usernameClaim: 'constructor' },
    'the claim constructor is not fit for a user name',
  ],
  ['another client id', { ...good, cid: 'client-2' }, { clientIdClaim: 'cid' }, 'the claim cid is not the client id'],
  ['no client id', good, { clientIdClaim: 'cid' }, 'the claim cid is not the client id'],
  ['roles are an object', { ...good, r: {} }, { rolesClaim: 'r' }, 'the claim r is neither a role nor a list of roles'],
  ['roles are null', { ...good, r: null }, { rolesClaim: 'r' }, 'the claim r is neither a role nor a list of roles'],
  [
    'rights are malformed',
    { ...good, acl: { pub: ['a#'] } },
    { aclClaim: 'acl' },
    'the claim acl is no object of pub, sub and all with topic filters',
  ],
  [
    'rights are null',
    { ...good, acl: null },
    { aclClaim: 'acl' },
    'the claim acl is no object of pub, sub and all with topic filters',
  ],
  [
    'claims are nested deeply',
    { ...good, deep: JSON.parse('['.repeat(9) + ']'.repeat(9)) },
    {},
    'the claims of the token are nested too deeply or too many',
  ],
  [
    'claims are many',
    { ...good, many: Array.from({ length: 1_000 }, () => 1) },
    {},
    'the claims of the token are nested too deeply or too many',
  ],
])('a token is refused: %s', async (_name, payload, options, reason) => {
  expect(await verdictOn(payload, options)).toEqual({ kind: 'refused', reason });
});

test('what is configured and said is accepted', async () => {
  const payload = {
    ...good,
    iss: 'b',
    aud: ['x', 'y'],
    nbf: nowSeconds,
    iat: nowSeconds,
    name: 'bob',
    cid: 'client-1',
    'https://example.com/roles': ['sensor', 'admin'],
    acl: { pub: ['a/+'], all: ['b/#'] },
  };
  const options: Partial<JwtOptions> = {
    issuers: ['a', 'b'],
    audiences: ['z', 'y'],
    usernameClaim: 'name',
    clientIdClaim: 'cid',
    rolesClaim: 'https://example.com/roles',
    aclClaim: 'acl',
  };
  expect(await verdictOn(payload, options)).toMatchObject({
    kind: 'accepted',
    username: 'bob',
    roles: ['sensor', 'admin'],
    grants: [
      { action: 'publish', topicFilter: 'a/+' },
      { action: 'publish', topicFilter: 'b/#' },
      { action: 'subscribe', topicFilter: 'b/#' },
    ],
  });
});

test('leeway covers clocks that differ, and the right to be connected lasts as long', async () => {
  const payload = { sub: 'a', exp: nowSeconds - 4, nbf: nowSeconds + 5, iat: nowSeconds + 5 };
  expect(await verdictOn(payload, { leewaySeconds: 5 })).toMatchObject({
    kind: 'accepted',
    expiresAt: (nowSeconds + 1) * 1_000,
  });
});

test('a token for ever is accepted only where that is allowed', async () => {
  const verdict = await verdictOn({ sub: 'alice' }, { requireExpiry: false });
  expect(verdict.kind).toBe('accepted');
  expect(verdict).not.toHaveProperty('expiresAt');
});

test('claims are found by their own names only', async () => {
  const payload = JSON.parse(`{"sub": "a", "exp": ${good.exp}, "__proto__": {"admin": true}}`) as Record<
    string,
    unknown
  >;
  const verdict = await authenticator().authenticate(credentials({ password: await token(payload) }));
  const claims = verdict.kind === 'accepted' ? verdict.claims! : {};
  expect(claims['constructor']).toBeUndefined();
  expect(claims['admin']).toBeUndefined();
});

const noAlgorithm = 'no key does the algorithm that the token names';

test.each<[string, () => string | Promise<string>, string]>([
  ['alg none', () => forged({ alg: 'none' }, good), 'the token is not signed'],
  ['alg nOnE with a signature', () => forged({ alg: 'nOnE' }, good, 'abc'), 'the token is not signed'],
  ['no alg', () => forged({ typ: 'JWT' }, good, 'abc'), 'the token names no algorithm'],
  ['alg is a list', () => forged({ alg: ['RS256'] }, good, 'abc'), 'the token names no algorithm'],
  ['an unknown alg', () => forged({ alg: 'XS256' }, good, 'abc'), noAlgorithm],
  ['alg __proto__', () => forged({ alg: '__proto__' }, good, 'abc'), noAlgorithm],
  ['the public key in PEM for a secret', () => signed(Buffer.from(pem), { alg: 'HS256' }, good), noAlgorithm],
  [
    'the public key in DER for a secret',
    () => signed(publicKey.export({ format: 'der', type: 'spki' }), { alg: 'HS256' }, good),
    noAlgorithm,
  ],
  ['an empty secret', () => forged({ alg: 'HS256' }, good, 'abc'), noAlgorithm],
  ['another kind of key', () => signed(keyPairFor('ES256').privateKey, { alg: 'ES256' }, good), noAlgorithm],
  ['no signature', () => forged({ alg: 'RS256' }, good), 'the signature of the token is wrong'],
  [
    'a kid that is an object',
    () => forged({ alg: 'RS256', kid: {} }, good, 'abc'),
    'the token names its key by something else than at most 256 characters',
  ],
  [
    'a kid that is long',
    () => forged({ alg: 'RS256', kid: 'k'.repeat(257) }, good, 'abc'),
    'the token names its key by something else than at most 256 characters',
  ],
  [
    'an extension that must be understood',
    () => forged({ alg: 'RS256', crit: ['b64'], b64: false }, good, 'abc'),
    'the signature of the token is wrong',
  ],
  ['another extension', () => forged({ alg: 'RS256', crit: ['x'], x: 1 }, good, 'abc'), 'the token is malformed'],
  [
    'its own key in the header',
    () => {
      const pair = keyPairFor('RS256');
      return signed(
        pair.privateKey,
        { alg: 'RS256', jwk: pair.publicKey.export({ format: 'jwk' }) } as { alg: string },
        good,
      );
    },
    'the signature of the token is wrong',
  ],
  ['too long', async () => token({ ...good, pad: 'x'.repeat(8_000) }), 'the token is longer than 8192 characters'],
  ['claims that are a list', () => forged({ alg: 'RS256' }, [], 'abc'), 'the signature of the token is wrong'],
])('a token that was tampered with is refused: %s', async (_name, make, reason) => {
  expect(await authenticator().authenticate(credentials({ password: await make() }))).toEqual({
    kind: 'refused',
    reason,
  });
});

test('a token of a secret is refused once a character of it is changed, and no reason holds a part of it', async () => {
  const jwt = authenticator({ keys: secretKeys });
  const whole = await signed(secret, { alg: 'HS256' }, good);
  for (let at = 0; at < whole.length; at++) {
    const changed = `${whole.slice(0, at)}${whole[at] === 'A' ? 'B' : 'A'}${whole.slice(at + 1)}`;
    const verdict = await jwt.authenticate(credentials({ password: changed }));
    expect(verdict.kind, `character ${at}`).not.toBe('accepted');
    for (const part of changed.split('.')) expect(JSON.stringify(verdict)).not.toContain(part);
  }
});

test('what is signed and no object of claims is refused', async () => {
  const { CompactSign } = await import('jose');
  for (const text of ['[]', 'null', '7', 'no JSON', '']) {
    const sign = new CompactSign(Buffer.from(text)).setProtectedHeader({ alg: 'HS256' });
    const verdict = await authenticator({ keys: secretKeys }).authenticate(
      credentials({ password: await sign.sign(secret) }),
    );
    expect(verdict).toEqual({ kind: 'refused', reason: 'the token is malformed' });
  }
});

test('an exp beyond numbers is refused', async () => {
  const { CompactSign } = await import('jose');
  const sign = new CompactSign(Buffer.from('{"sub":"a","exp":1e999}')).setProtectedHeader({ alg: 'HS256' });
  const verdict = await authenticator({ keys: secretKeys }).authenticate(
    credentials({ password: await sign.sign(secret) }),
  );
  expect(verdict).toEqual({ kind: 'refused', reason: 'a time in the token is no date' });
});
