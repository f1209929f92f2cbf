import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileKeys, type KeyFileKind } from '../../src/auth/token-keys.ts';
import { keyPairFor, pemOf } from './tokens.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'token-keys-'));
  path = join(directory, 'keys');
});

afterEach(() => rmSync(directory, { recursive: true }));

const { publicKey, privateKey } = keyPairFor('RS256');
const jwk = publicKey.export({ format: 'jwk' });

function write(contents: string | Uint8Array, mode = 0o600): void {
  writeFileSync(path, contents);
  chmodSync(path, mode);
}

function writeSet(...keys: unknown[]): void {
  write(JSON.stringify({ keys }));
}

async function algorithms(kind: KeyFileKind, allowed: string[] = []): Promise<string[]> {
  const keys = await FileKeys.open(path, kind, allowed);
  const all = ['HS256', 'HS384', 'HS512', 'RS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'none'];
  return all.filter((alg) => keys.find({ alg, kid: undefined }).kind === 'found');
}

test.each([
  [32, ['HS256']],
  [47, ['HS256']],
  [48, ['HS256', 'HS384']],
  [64, ['HS256', 'HS384', 'HS512']],
])('a secret of %i bytes serves the algorithms whose hash is not longer', async (bytes, expected) => {
  write('x'.repeat(bytes));
  expect(await algorithms('secret')).toEqual(expected);
  write(`${'x'.repeat(bytes)}\n`);
  expect(await algorithms('secret')).toEqual(expected);
  write(`${Buffer.alloc(bytes, 0xfb).toString('base64url')}\r\n`);
  expect(await algorithms('secret-base64')).toEqual(expected);
});

test.each(['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA'])('a public key for %s serves its kind only', async (alg) => {
  const key = keyPairFor(alg).publicKey;
  const expected = new Map([
    ['RS256', ['RS256', 'PS512']],
    ['EdDSA', ['EdDSA', 'Ed25519']],
  ]);
  write(pemOf(key), 0o644);
  expect(await algorithms('public-key')).toEqual(expected.get(alg) ?? [alg]);
  writeSet(key.export({ format: 'jwk' }));
  expect(await algorithms('key-set')).toEqual(expected.get(alg) ?? [alg]);
});

test('only allowed algorithms are served', async () => {
  write(pemOf(publicKey));
  expect(await algorithms('public-key', ['RS256'])).toEqual(['RS256']);
  writeSet(jwk, keyPairFor('ES256').publicKey.export({ format: 'jwk' }));
  expect(await algorithms('key-set', ['ES256', 'ES384'])).toEqual(['ES256']);
});

test('a key of a set that names its algorithm serves that one only', async () => {
  writeSet({ ...jwk, alg: 'PS512' });
  expect(await algorithms('key-set')).toEqual(['PS512']);
});

test('a token is given the key it names, and where it names none those that fit, at most four', async () => {
  writeSet(...Array.from({ length: 6 }, (_, index) => ({ ...jwk, kid: `k${index}` })));
  const keys = await FileKeys.open(path, 'key-set', []);
  const named = keys.find({ alg: 'RS256', kid: 'k5' });
  expect(named.kind === 'found' && named.keys.map(({ keyId }) => keyId)).toEqual(['k5']);
  const unnamed = keys.find({ alg: 'RS256', kid: undefined });
  expect(unnamed.kind === 'found' && unnamed.keys.length).toBe(4);
  expect(keys.find({ alg: 'RS256', kid: '__proto__' })).toEqual({
    kind: 'none',
    reason: 'the key that the token names is not known',
  });
});

test('keys of a set that are not understood or not for signatures are left out', async () => {
  writeSet(
    { kty: 'new' },
    { ...jwk, use: 'enc', kid: 'a' },
    { ...jwk, key_ops: ['encrypt'], kid: 'b' },
    { ...jwk, alg: 'ES256', kid: 'c' },
    { ...jwk, kid: 7 },
    { ...jwk, kid: 'good' },
  );
  const found = (await FileKeys.open(path, 'key-set', [])).find({ alg: 'RS256', kid: undefined });
  expect(found.kind === 'found' && found.keys.map(({ keyId }) => keyId)).toEqual(['good']);
});

const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey;
const odd = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;

test.each<[string, KeyFileKind, string | Uint8Array, string]>([
  ['an empty secret', 'secret', '\n', 'holds a secret of less than the 32 bytes that HS256 needs.'],
  ['a short secret', 'secret', 'x'.repeat(31), 'holds a secret of less than the 32 bytes that HS256 needs.'],
  ['a public key for a secret', 'secret', pemOf(publicKey), 'holds a key in PEM, which is no secret.'],
  [
    'a public key for a secret in base64',
    'secret-base64',
    Buffer.from(pemOf(publicKey)).toString('base64'),
    'holds a key in PEM, which is no secret.',
  ],
  ['text for base64', 'secret-base64', `${'x'.repeat(60)}!`, 'holds no base64.'],
  ['a secret for a public key', 'public-key', 'x'.repeat(64), 'holds no public key in PEM.'],
  [
    'an empty PEM',
    'public-key',
    '-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n',
    'holds no public key in PEM.',
  ],
  [
    'a private key',
    'public-key',
    privateKey.export({ format: 'pem', type: 'pkcs8' }),
    'holds a private key where only the public one belongs.',
  ],
  ['a weak RSA key', 'public-key', pemOf(weak), 'holds an RSA key of 1024 bits, where 2048 to 8192 are taken.'],
  [
    'a curve of no algorithm',
    'public-key',
    pemOf(odd),
    'holds a key that is neither RSA nor of the curves P-256, P-384, P-521 and Ed25519.',
  ],
  ['a key set that is no JSON', 'key-set', '{"keys": [', 'holds no JSON.'],
  ['a key set without keys', 'key-set', '{}', 'holds no key set such as {"keys": [...]}.'],
  ['a key set of texts', 'key-set', '{"keys": ["a"]}', 'holds no key set such as {"keys": [...]}.'],
  ['a list', 'key-set', '[]', 'holds no key set such as {"keys": [...]}.'],
  ['an empty key set', 'key-set', '{"keys": []}', 'holds no key to check tokens with.'],
  [
    'a key set of unknown kinds',
    'key-set',
    '{"keys": [{"kty": "new"}]}',
    'holds no key to check tokens with: key 1 cannot be read.',
  ],
  [
    'a key set with a secret',
    'key-set',
    JSON.stringify({ keys: [jwk, { kty: 'oct', k: 'c2VjcmV0' }] }),
    'holds a secret or private key (key 2) where only public ones belong.',
  ],
  [
    'a key set with a private key',
    'key-set',
    JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }),
    'holds a secret or private key (key 1) where only public ones belong.',
  ],
  [
    'too many keys',
    'key-set',
    JSON.stringify({ keys: Array.from({ length: 101 }, () => jwk) }),
    'holds more than 100 keys.',
  ],
  [
    'a key set nested deeply',
    'key-set',
    `{"keys": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'holds no key set such as',
  ],
])('%s is refused', async (_name, kind, contents, sentence) => {
  write(contents);
  const error = await FileKeys.open(path, kind, []).catch((problem: Error) => problem);
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).toContain(`${path} ${sentence}`);
});

test('a secret that others can read is refused', async () => {
  write('x'.repeat(32), 0o644);
  await expect(FileKeys.open(path, 'secret', [])).rejects.toThrow(`chmod 600 ${path}.`);
});

test.each<[KeyFileKind, string[], string]>([
  ['secret', ['RS256'], 'Tokens cannot be signed by RS256 with keys of this kind: choose among HS256, HS384, HS512.'],
  ['public-key', ['HS256'], 'Tokens cannot be signed by HS256 with keys of this kind: choose among RS256, '],
  ['key-set', ['RS256', 'HS256'], 'Tokens cannot be signed by HS256 with keys of this kind'],
  ['public-key', ['none'], 'Tokens cannot be signed by none: choose among RS256, '],
  ['public-key', ['RS256', 'ES256'], 'holds no key that can do ES256: allow other algorithms or use another key.'],
  ['key-set', ['ES256', 'ES384'], 'holds no key that can do ES256, ES384: allow other algorithms or use another key.'],
])('with a %s the algorithms %j are refused', async (kind, allowed, sentence) => {
  write(
    kind === 'secret' ? 'x'.repeat(64) : kind === 'public-key' ? pemOf(publicKey) : JSON.stringify({ keys: [jwk] }),
  );
  await expect(FileKeys.open(path, kind, allowed)).rejects.toThrow(sentence);
});

test('a secret too short for an algorithm that is allowed is refused', async () => {
  write('x'.repeat(48));
  await expect(FileKeys.open(path, 'secret', ['HS256', 'HS512'])).rejects.toThrow(
    `${path} holds no key that can do HS512`,
  );
});

test('reloading takes new keys over, and keeps the old ones where the new cannot be used', async () => {
  write('x'.repeat(32));
  const keys = await FileKeys.open(path, 'secret', []);
  write('y'.repeat(48));
  await keys.reload();
  expect(keys.find({ alg: 'HS384', kid: undefined }).kind).toBe('found');
  write('short');
  await expect(keys.reload()).rejects.toThrow(path);
  expect(keys.find({ alg: 'HS384', kid: undefined }).kind).toBe('found');
});
