import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RemoteKeySet, type RemoteKeySetOptions } from '../../src/auth/key-set.ts';
import type { KeySearch } from '../../src/auth/token-keys.ts';
import type { Logger } from '../../src/lib/logger.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { until } from '../support/polling.ts';
import { endless, HttpBackend, json, silent, wrongAnswers } from './http-backend.ts';
import { keyPairFor } from './tokens.ts';

const minuteMs = 60_000;
const jwk = keyPairFor('ES256').publicKey.export({ format: 'jwk' });

let clock: FakeClock;
let backend: HttpBackend;
let warnings: unknown[];
const opened: RemoteKeySet[] = [];

beforeEach(async () => {
  clock = new FakeClock();
  warnings = [];
  backend = await HttpBackend.start(keysNamed(['a']));
});

afterEach(async () => {
  for (const keySet of opened.splice(0)) keySet.close();
  await backend[Symbol.asyncDispose]();
});

function keysNamed(names: string[], headers: Record<string, string> = {}): ReturnType<typeof json> {
  return json({ keys: names.map((kid) => ({ ...jwk, kid })) }, headers);
}

async function open(options: Partial<RemoteKeySetOptions> = {}): Promise<RemoteKeySet> {
  const warn = (_message: string, fields?: Record<string, unknown>): void => void warnings.push(fields);
  const logger: Logger = { level: 'warn', error: warn, warn, info() {}, debug() {} };
  const keySet = await RemoteKeySet.open({
    url: backend.url,
    algorithms: [],
    timeoutMs: 60_000,
    cooldownMs: 30_000,
    keptMs: 172_800_000,
    clock,
    logger,
    ...options,
  });
  opened.push(keySet);
  return keySet;
}

function find(keySet: RemoteKeySet, kid: string | undefined, alg = 'ES256'): Promise<KeySearch> {
  return keySet.find({ alg, kid });
}

/** Waits until the backend was asked so often, and then until its answer was taken in. */
async function asked(times: number): Promise<void> {
  await until(`request ${times}`, () => (backend.seen.length >= times ? true : undefined));
  await until('the next timer', () => (clock.pendingTimers > 0 ? true : undefined));
}

test('keys are fetched once and found by their names', async () => {
  const keySet = await open();
  expect((await find(keySet, 'a')).kind).toBe('found');
  expect((await find(keySet, undefined)).kind).toBe('found');
  expect(backend.seen).toHaveLength(1);
  expect(backend.seen[0]).toMatchObject({ method: 'GET', path: '/path' });
});

test('a token with an unknown key makes them be fetched anew', async () => {
  const keySet = await open();
  backend.answer = keysNamed(['b']);
  clock.advance(30_000);
  expect((await find(keySet, 'b')).kind).toBe('found');
  expect(await find(keySet, 'a')).toEqual({ kind: 'none', reason: 'the key that the token names is not known' });
});

test('a flood of tokens with unknown keys makes one request in a cool-down', async () => {
  const keySet = await open();
  for (let round = 1; round <= 3; round++) {
    clock.advance(round === 1 ? 30_000 : 1);
    const found = await Promise.all(Array.from({ length: 200 }, (_, index) => find(keySet, `unknown-${index}`)));
    expect(found.every(({ kind }) => kind === 'none')).toBe(true);
    clock.advance(29_999);
    for (let index = 0; index < 200; index++) await find(keySet, `late-${index}`);
    expect(backend.seen).toHaveLength(1 + round);
  }
});

test('while the URL is away a flood makes one request in a cool-down as well', async () => {
  const keySet = await open();
  await backend[Symbol.asyncDispose]();
  clock.advance(30_000);
  await Promise.all(Array.from({ length: 50 }, (_, index) => find(keySet, `unknown-${index}`)));
  for (let index = 0; index < 50; index++) await find(keySet, `late-${index}`);
  expect(warnings).toHaveLength(1);
});

test.each(['HS256', 'none', 'XS256', '__proto__', ''])(
  'the algorithm %j makes no request and gets no key',
  async (alg) => {
    const keySet = await open();
    clock.advance(3_600_000 - 1);
    expect(await find(keySet, 'b', alg)).toEqual({
      kind: 'none',
      reason: 'the algorithm that the token names is not allowed',
    });
    expect(backend.seen).toHaveLength(1);
  },
);

test.each([
  ['max-age=600', 10],
  ['public, max-age=600, must-revalidate', 10],
  ['max-age=1', 5],
  ['no-store', 5],
  ['max-age=99999999', 1_440],
  ['', 60],
  ['max-age=abc', 60],
])('with the cache control %j keys are fetched anew after %i minutes', async (cacheControl, minutes) => {
  backend.answer = keysNamed(['a'], { 'cache-control': cacheControl });
  const keySet = await open();
  backend.answer = keysNamed(['b']);
  clock.advance(minutes * minuteMs - 1);
  await clock.settle();
  expect(backend.seen).toHaveLength(1);
  clock.advance(1);
  await asked(2);
  expect((await find(keySet, 'b')).kind).toBe('found');
});

const away: [string, string][] = [...wrongAnswers].map(([name, { reason }]) => [name, reason]);

test.each(away)('keys known stay in force over %s, which is logged and tried again', async (name, reason) => {
  const keySet = await open();
  backend.answer = wrongAnswers.get(name)!.answer;
  clock.advance(60 * minuteMs);
  await asked(2);
  expect((await find(keySet, 'a')).kind).toBe('found');
  expect(warnings).toEqual([{ url: backend.url, reason, keys: 1 }]);
  backend.answer = keysNamed(['b']);
  clock.advance(30_000);
  await asked(3);
  expect((await find(keySet, 'b')).kind).toBe('found');
});

test('retries become rarer, and go on at five minutes', async () => {
  backend.answer = wrongAnswers.get('status 500')!.answer;
  await open();
  for (const [index, seconds] of [30, 60, 120, 240, 300, 300].entries()) {
    clock.advance(seconds * 1_000 - 1);
    await clock.settle();
    expect(backend.seen).toHaveLength(index + 1);
    clock.advance(1);
    await asked(index + 2);
  }
});

test.each(away)('without any key every token is refused: %s', async (name, reason) => {
  backend.answer = wrongAnswers.get(name)!.answer;
  const keySet = await open();
  expect(await find(keySet, 'a')).toEqual({ kind: 'none', reason: `the keys of tokens are not known: ${reason}` });
  expect(await find(keySet, undefined)).toEqual({
    kind: 'none',
    reason: `the keys of tokens are not known: ${reason}`,
  });
});

test.each<[string, (response: ServerResponse) => void, string]>([
  ['garbage', (response) => void response.end('<html>'), 'its answer holds no JSON'],
  ['no keys', (response) => void response.end('{"keys": []}'), 'its answer holds no key to check tokens with'],
  [
    'a secret among the keys',
    (response) => void response.end('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'),
    'its answer holds a secret or private key (key 1) where only public ones belong',
  ],
])('an answer that holds no keys is refused: %s', async (_name, answer, reason) => {
  backend.answer = answer;
  const keySet = await open();
  expect(await find(keySet, 'a')).toEqual({ kind: 'none', reason: `the keys of tokens are not known: ${reason}` });
});

test('an answer without end is given up', async () => {
  backend.answer = endless;
  const keySet = await open();
  expect(await find(keySet, 'a')).toMatchObject({
    reason: expect.stringContaining('is longer than 1048576 bytes') as string,
  });
});

test('a compressed answer counts by what it becomes', async () => {
  const { gzipSync } = await import('node:zlib');
  const bomb = gzipSync(Buffer.alloc(20_000_000, ' '));
  expect(bomb.length).toBeLessThan(100_000);
  backend.answer = (response): void => {
    response.writeHead(200, { 'content-encoding': 'gzip' });
    response.end(bomb);
  };
  const keySet = await open();
  expect(await find(keySet, 'a')).toMatchObject({
    reason: expect.stringContaining('is longer than 1048576 bytes') as string,
  });
});

test('an answer that does not come in time is given up', async () => {
  backend.answer = silent;
  const keySet = await open({ timeoutMs: 100 });
  expect(await find(keySet, 'a')).toEqual({
    kind: 'none',
    reason: 'the keys of tokens are not known: no answer within 100 ms',
  });
});

test('an answer that comes byte by byte ends at the same time', async () => {
  backend.answer = (response): void => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  };
  const keySet = await open({ timeoutMs: 200 });
  expect(await find(keySet, 'a')).toMatchObject({
    reason: 'the keys of tokens are not known: no answer within 200 ms',
  });
});

test('a redirect is not followed', async () => {
  backend.answer = wrongAnswers.get('a redirect')!.answer;
  await open();
  expect(backend.seen.map(({ path }) => path)).toEqual(['/path']);
});

test('where nobody listens at the start, the keys are there once somebody does', async () => {
  backend.answer = wrongAnswers.get('a connection that is cut')!.answer;
  const keySet = await open();
  backend.answer = keysNamed(['a']);
  clock.advance(30_000);
  await asked(2);
  expect((await find(keySet, 'a')).kind).toBe('found');
});

test('reloading asks at once, and keeps nobody waiting', async () => {
  const keySet = await open();
  backend.answer = silent;
  await keySet.reload();
  await until('the request', () => (backend.seen.length === 2 ? true : undefined));
  expect((await find(keySet, 'a')).kind).toBe('found');
});

test('keys that were not fetched for too long are given up, until they are fetched again', async () => {
  const keySet = await open({ keptMs: 3_600_000, cooldownMs: 1_000 });
  backend.answer = wrongAnswers.get('status 500')!.answer;
  clock.advance(3_599_999);
  expect((await find(keySet, 'a')).kind).toBe('found');
  clock.advance(1);
  expect(await find(keySet, 'a')).toMatchObject({ kind: 'none', reason: expect.stringContaining('are not known') });
  backend.answer = keysNamed(['a']);
  clock.advance(1_000);
  expect((await find(keySet, 'a')).kind).toBe('found');
});

test('a token with an unknown key waits for a request that is under way', async () => {
  const keySet = await open();
  const responses: ServerResponse[] = [];
  backend.answer = (response) => void responses.push(response);
  const reloading = keySet.reload();
  const finding = find(keySet, 'b');
  await until('the request', () => responses[0]);
  responses[0]?.end(JSON.stringify({ keys: [{ ...jwk, kid: 'b' }] }));
  await reloading;
  expect((await finding).kind).toBe('found');
  expect(backend.seen).toHaveLength(2);
});

test('closing ends the timer and the request under way', async () => {
  const keySet = await open();
  backend.answer = silent;
  const finding = find(keySet, 'b');
  clock.advance(30_000);
  const asking = find(keySet, 'b');
  await until('the request', () => (backend.seen.length > 1 ? true : undefined));
  keySet.close();
  expect([(await finding).kind, (await asking).kind]).toEqual(['none', 'none']);
  expect(clock.pendingTimers).toBe(0);
  expect(warnings).toEqual([]);
});

test('the query of the URL is not logged', async () => {
  backend.answer = wrongAnswers.get('status 500')!.answer;
  await open({ url: `${backend.url}?key=hidden` });
  expect(JSON.stringify(warnings)).not.toContain('hidden');
});

test.each([
  ['no address', 'The URL of the key set is no URL'],
  ['http://example.com/keys', 'The URL of the key set must begin with https://'],
  ['http://127.0.0.1.example.com/keys', 'The URL of the key set must begin with https://'],
  ['http://localhost.example.com/keys', 'The URL of the key set must begin with https://'],
  ['file:///etc/passwd', 'The URL of the key set must begin with https://'],
  ['https://user:hidden@example.com/keys', 'The URL of the key set holds a user name or a password'],
])('the URL %s is refused', async (url, sentence) => {
  const error = await open({ url }).catch((problem: Error) => problem);
  expect((error as Error).message).toContain(sentence);
  expect((error as Error).message).not.toContain('hidden');
});

test('algorithms with a secret are refused for keys that are public', async () => {
  await expect(open({ algorithms: ['HS256'] })).rejects.toThrow(
    'Tokens cannot be signed by HS256 with keys of this kind',
  );
});

test('of the keys fetched only those for an allowed algorithm are used', async () => {
  const keySet = await open({ algorithms: ['RS256'] });
  expect(await find(keySet, 'a')).toMatchObject({ reason: 'the algorithm that the token names is not allowed' });
  expect(await find(keySet, 'a', 'RS256')).toMatchObject({
    reason: 'the keys of tokens are not known: its answer holds no key that can do an algorithm which is allowed',
  });
});
