import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Verdict } from '../../src/auth/authenticator.ts';
import { WebhookAuthenticator, type WebhookOptions } from '../../src/auth/webhook-authenticator.ts';
import type { Logger } from '../../src/lib/logger.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { until } from '../support/polling.ts';
import { type Answer, endless, HttpBackend, json, silent, wrongAnswers } from './http-backend.ts';
import { credentials } from './tokens.ts';

const resting = 'the webhook failed too often and is not asked for a while';

let clock: FakeClock;
let backend: HttpBackend;
let directory: string;
let logged: string[];
const opened: WebhookAuthenticator[] = [];

beforeEach(async () => {
  clock = new FakeClock();
  logged = [];
  directory = mkdtempSync(join(tmpdir(), 'webhook-'));
  backend = await HttpBackend.start(json({ result: 'allow' }));
});

afterEach(async () => {
  for (const webhook of opened.splice(0)) webhook.close();
  rmSync(directory, { recursive: true });
  await backend[Symbol.asyncDispose]();
});

async function open(options: Partial<WebhookOptions> = {}): Promise<WebhookAuthenticator> {
  const log = (message: string): void => void logged.push(message);
  const logger: Logger = { level: 'info', error: log, warn: log, info: log, debug() {} };
  const webhook = await WebhookAuthenticator.open({
    url: backend.url,
    tokenFile: undefined,
    timeoutMs: 60_000,
    requestsMax: 4,
    waitingMax: 4,
    failuresMax: 100,
    pauseMs: 10_000,
    cacheMs: 0,
    clock,
    logger,
    ...options,
  });
  opened.push(webhook);
  return webhook;
}

function ask(webhook: WebhookAuthenticator, username = 'alice', password = 'secret'): Promise<Verdict> {
  return webhook.authenticate(credentials({ username, password }));
}

function reasonOf(verdict: Verdict): string {
  return verdict.kind === 'refused' || verdict.kind === 'failed' ? verdict.reason : `not refused but ${verdict.kind}`;
}

/** Answers that wait until they are let go. */
function held(): { answer: Answer; release: () => void; count: () => number } {
  const responses: ServerResponse[] = [];
  return {
    answer: (response) => void responses.push(response),
    release: () => responses.splice(0).forEach((response) => response.end('{"result": "allow"}')),
    count: () => responses.length,
  };
}

test('it is told who the client is', async () => {
  const certificate = { commonName: 'c', alternativeNames: ['DNS:d'], fingerprint: 'AA' };
  const client = { clientId: 'id', transport: 'tls', remoteAddress: '[2001:db8::1]:5000', certificate };
  await (await open()).authenticate(credentials({ username: 'alice', password: '\ufeffgéheim', client }));
  const [request] = backend.seen;
  expect(request).toMatchObject({ method: 'POST', path: '/path', headers: { 'content-type': 'application/json' } });
  expect(request?.headers.authorization).toBeUndefined();
  expect(JSON.parse(request?.body ?? '')).toEqual({
    clientId: 'id',
    username: 'alice',
    password: '\ufeffgéheim',
    address: '2001:db8::1',
    transport: 'tls',
    protocolVersion: 5,
    certificate,
  });
});

test('what there is none of is null, and a password that is not UTF-8 is base64', async () => {
  const webhook = await open();
  await webhook.authenticate(credentials({ client: { remoteAddress: '/run/mqtt.sock' } }));
  await webhook.authenticate(credentials({ username: 'a', password: new Uint8Array([0xff, 0x00]) }));
  const bodies = backend.seen.map(({ body }) => JSON.parse(body) as unknown);
  expect(bodies[0]).toMatchObject({ username: null, password: null, certificate: null, address: '/run/mqtt.sock' });
  expect(bodies[0]).not.toHaveProperty('passwordBase64');
  expect(bodies[1]).toMatchObject({ username: 'a', password: null, passwordBase64: '/wA=', address: '192.0.2.7' });
});

test('a token from a file goes with the request, and is read anew on reload', async () => {
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'abc\n', { mode: 0o600 });
  const webhook = await open({ tokenFile });
  await ask(webhook);
  writeFileSync(tokenFile, 'def');
  await webhook.reload();
  await ask(webhook);
  writeFileSync(tokenFile, 'two words');
  await expect(webhook.reload()).rejects.toThrow(`${tokenFile} holds no token`);
  await ask(webhook);
  expect(backend.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer abc', 'Bearer def', 'Bearer def']);
});

test.each(['', '\n', 'a\nb', 'a\u0001', 'é', 'x'.repeat(8_193)])('the token file %j is refused', async (contents) => {
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, contents, { mode: 0o600 });
  await expect(open({ tokenFile })).rejects.toThrow(tokenFile);
});

test('a token file that others can read, or that is not there, is refused', async () => {
  const tokenFile = join(directory, 'token');
  await expect(open({ tokenFile })).rejects.toThrow(`Cannot read ${tokenFile}: there is no such file.`);
  writeFileSync(tokenFile, 'abc');
  chmodSync(tokenFile, 0o640);
  await expect(open({ tokenFile })).rejects.toThrow(`chmod 600 ${tokenFile}`);
});

test.each<[unknown, Verdict]>([
  [{ result: 'allow' }, { kind: 'accepted', username: 'alice', roles: [], grants: [] }],
  [
    { result: 'allow', username: null, roles: null, grants: null, expiresAt: null },
    { kind: 'accepted', username: 'alice', roles: [], grants: [] },
  ],
  [
    { result: 'allow', username: 'bob', roles: ['r'], grants: { pub: ['a/#'] }, expiresAt: Date.UTC(2030, 0) },
    {
      kind: 'accepted',
      username: 'bob',
      roles: ['r'],
      grants: [{ action: 'publish', topicFilter: 'a/#' }],
      expiresAt: Date.UTC(2030, 0),
    },
  ],
  [{ result: 'deny' }, { kind: 'refused', reason: 'the webhook denies it' }],
  [
    { result: 'deny', username: 'bob' },
    { kind: 'refused', reason: 'the webhook denies it' },
  ],
  [{ result: 'ignore' }, { kind: 'unknown', reason: 'the webhook does not know it' }],
])('the answer %j is understood', async (answer, verdict) => {
  backend.answer = json(answer);
  expect(await ask(await open())).toEqual(verdict);
});

test.each<[string, string]>([
  ['', 'its answer is no JSON'],
  ['<html>', 'its answer is no JSON'],
  ['{"result": "allow"', 'its answer is no JSON'],
  ['"allow"', 'its answer is no object'],
  ['null', 'its answer is no object'],
  ['["allow"]', 'its answer is no object'],
  ['{}', 'its answer has no result allow, deny or ignore'],
  ['{"result": "ALLOW"}', 'its answer has no result allow, deny or ignore'],
  ['{"result": true}', 'its answer has no result allow, deny or ignore'],
  ['{"result": ["allow"]}', 'its answer has no result allow, deny or ignore'],
  [
    '{"__proto__": {"result": "allow"}}',
    'its answer holds something else than result, username, roles, grants, expiresAt',
  ],
  ['{"result": "allow", "acl": []}', 'its answer holds something else than result, username, roles, grants, expiresAt'],
  [`{"result": "allow", "roles": ${'['.repeat(9)}${']'.repeat(9)}}`, 'its answer is nested too deeply or too large'],
])('the answer %s refuses, and counts as a failure', async (text, reason) => {
  backend.answer = (response) => void response.end(text);
  const webhook = await open({ failuresMax: 1 });
  expect(await ask(webhook)).toEqual({ kind: 'failed', reason: `the webhook gives no answer: ${reason}` });
  expect(reasonOf(await ask(webhook))).toBe(resting);
});

test.each<[unknown, string]>([
  [{ username: '' }, 'the webhook allows a user name that is not fit for one'],
  [{ username: 7 }, 'the webhook allows a user name that is not fit for one'],
  [{ username: 'a\nb' }, 'the webhook allows a user name that is not fit for one'],
  [{ roles: 7 }, 'the roles that the webhook gives are neither a role nor a list of roles'],
  [{ roles: ['a', null] }, 'the roles that the webhook gives are neither a role nor a list of roles'],
  [{ grants: ['a'] }, 'the grants that the webhook gives are no object of pub, sub and all with topic filters'],
  [
    { grants: { pub: ['a#'] } },
    'the grants that the webhook gives are no object of pub, sub and all with topic filters',
  ],
  [{ expiresAt: '2030-01-01' }, 'expiresAt that the webhook gives is no number'],
  [{ expiresAt: Date.UTC(2025, 0, 1) }, 'the right that the webhook gives has expired'],
  // Seconds where milliseconds are meant.
  [{ expiresAt: Date.UTC(2030, 0, 1) / 1_000 }, 'the right that the webhook gives has expired'],
])('the answer allow with %j refuses that client, and the others are still asked for', async (more, reason) => {
  backend.answer = json({ result: 'allow', ...(more as object) });
  const webhook = await open({ failuresMax: 1 });
  expect(await ask(webhook)).toEqual({ kind: 'refused', reason });
  backend.answer = json({ result: 'allow' });
  expect((await ask(webhook)).kind).toBe('accepted');
});

test('a client without a user name is accepted only where the webhook names one', async () => {
  const webhook = await open();
  expect(reasonOf(await webhook.authenticate(credentials({ password: 'x' })))).toBe(
    'the webhook allows a client without a user name and names none',
  );
  backend.answer = json({ result: 'allow', username: 'device' });
  expect(await webhook.authenticate(credentials({ password: 'x' }))).toMatchObject({ username: 'device' });
});

test.each([...wrongAnswers])('it refuses over %s', async (_name, { answer, reason }) => {
  backend.answer = answer;
  const kind = /status 4/.test(reason) ? 'refused' : 'failed';
  expect(await ask(await open())).toEqual({ kind, reason: `the webhook gives no answer: ${reason}` });
  expect(backend.seen.map(({ path }) => path)).toEqual(['/path']);
});

test('it refuses while nobody listens', async () => {
  const webhook = await open();
  await backend[Symbol.asyncDispose]();
  expect(reasonOf(await ask(webhook))).toMatch(/^the webhook gives no answer: it cannot be reached \(E?[A-Z_]+\)$/);
});

test('it refuses when no answer comes in time, or only the beginning of one', async () => {
  backend.answer = silent;
  const webhook = await open({ timeoutMs: 100 });
  const late = { kind: 'failed', reason: 'the webhook gives no answer: no answer within 100 ms' };
  expect(await ask(webhook)).toEqual(late);
  backend.answer = (response) => void response.write('{"result": "allow"');
  expect(await ask(webhook)).toEqual(late);
});

test('it refuses an answer without end', async () => {
  backend.answer = endless;
  expect(reasonOf(await ask(await open()))).toBe('the webhook gives no answer: its answer is longer than 65536 bytes');
});

test('reasons and logs hold no password', async () => {
  backend.answer = wrongAnswers.get('status 500')!.answer;
  const webhook = await open({ failuresMax: 2 });
  const verdicts = [await ask(webhook), await ask(webhook), await ask(webhook)];
  expect(JSON.stringify([verdicts, logged])).not.toContain('secret');
});

test('after failures in a row clients are refused at once, until one request after the pause is answered', async () => {
  backend.answer = wrongAnswers.get('status 500')!.answer;
  const webhook = await open({ failuresMax: 3 });
  for (let count = 0; count < 6; count++) await ask(webhook);
  expect(backend.seen).toHaveLength(3);
  expect(reasonOf(await ask(webhook))).toBe(resting);
  clock.advance(10_000);
  await ask(webhook);
  expect(reasonOf(await ask(webhook))).toBe(resting);
  expect(backend.seen).toHaveLength(4);
  backend.answer = json({ result: 'allow' });
  clock.advance(9_999);
  expect(reasonOf(await ask(webhook))).toBe(resting);
  clock.advance(1);
  expect((await ask(webhook)).kind).toBe('accepted');
  expect((await ask(webhook)).kind).toBe('accepted');
  expect(logged).toEqual([
    'the webhook fails: clients are refused without asking it for a while',
    'the webhook answers again',
  ]);
});

test('while one request is tried after the pause, the others are refused at once', async () => {
  backend.answer = wrongAnswers.get('status 500')!.answer;
  const webhook = await open({ failuresMax: 1, requestsMax: 1 });
  await ask(webhook);
  const { answer, release, count } = held();
  backend.answer = answer;
  clock.advance(10_000);
  const tried = ask(webhook);
  await until('the request', () => (count() === 1 ? true : undefined));
  expect(reasonOf(await ask(webhook))).toBe(resting);
  release();
  expect((await tried).kind).toBe('accepted');
});

test('what waits for its turn is refused when the webhook turns out to fail', async () => {
  const responses: ServerResponse[] = [];
  backend.answer = (response) => void responses.push(response);
  const webhook = await open({ failuresMax: 1, requestsMax: 1, waitingMax: 9 });
  const asked = Array.from({ length: 5 }, (_, index) => ask(webhook, `user-${index}`));
  await until('the request', () => (responses.length === 1 ? true : undefined));
  responses[0]?.writeHead(500).end();
  const reasons = (await Promise.all(asked)).map(reasonOf);
  expect(reasons.slice(1)).toEqual([resting, resting, resting, resting]);
  expect(backend.seen).toHaveLength(1);
});

test('a client that makes it answer 400 again and again does not shut the others out', async () => {
  const webhook = await open({ failuresMax: 2 });
  backend.answer = (response) => void response.writeHead(400).end();
  for (let count = 0; count < 10; count++) expect((await ask(webhook, 'mallory')).kind).toBe('refused');
  backend.answer = json({ result: 'allow' });
  expect((await ask(webhook)).kind).toBe('accepted');
});

test.each([408, 429])('status %i is a failure of the server', async (status) => {
  const webhook = await open({ failuresMax: 1 });
  backend.answer = (response) => void response.writeHead(status).end();
  await ask(webhook);
  expect(reasonOf(await ask(webhook))).toBe(resting);
});

test('so many requests are made at once, so many clients wait, and the others are refused', async () => {
  const { answer, release, count } = held();
  backend.answer = answer;
  const webhook = await open({ requestsMax: 3, waitingMax: 2 });
  const asked = Array.from({ length: 8 }, (_, index) => ask(webhook, `user-${index}`));
  const refusals = await Promise.all(asked.slice(5));
  expect(refusals.map(reasonOf)).toEqual(Array.from({ length: 3 }, () => 'too many clients wait for the webhook'));
  await until('three requests', () => (count() === 3 ? true : undefined));
  release();
  await until('two more', () => (count() === 2 ? true : undefined));
  expect(backend.seen).toHaveLength(5);
  release();
  expect((await Promise.all(asked.slice(0, 5))).every(({ kind }) => kind === 'accepted')).toBe(true);
});

test('who has waited longer than a request may take is refused without one', async () => {
  const { answer, release, count } = held();
  backend.answer = answer;
  const webhook = await open({ requestsMax: 1, waitingMax: 2 });
  const first = ask(webhook, 'a');
  const second = ask(webhook, 'b');
  await until('the request', () => (count() === 1 ? true : undefined));
  clock.advance(60_001);
  release();
  expect((await first).kind).toBe('accepted');
  expect(reasonOf(await second)).toBe('nobody waits for the webhook any more, or it is too slow for so many clients');
  expect(backend.seen).toHaveLength(1);
});

test.each([{ result: 'allow' }, { result: 'deny' }, { result: 'ignore' }])(
  'the answer %j is remembered for its time, for the same client with the same password',
  async (answer) => {
    backend.answer = json(answer);
    const webhook = await open({ cacheMs: 5_000 });
    const first = await ask(webhook);
    clock.advance(4_999);
    const other = { client: { remoteAddress: '192.0.2.7:50000' }, username: 'alice', password: 'secret' };
    expect(await webhook.authenticate(credentials(other))).toEqual(first);
    expect(backend.seen).toHaveLength(1);
    clock.advance(1);
    await ask(webhook);
    expect(backend.seen).toHaveLength(2);
  },
);

test('another password, user, client id, address or certificate is another question', async () => {
  const webhook = await open({ cacheMs: 5_000 });
  await ask(webhook);
  await ask(webhook, 'alice', 'Secret');
  await ask(webhook, 'bob');
  await webhook.authenticate(credentials({ username: 'alice' }));
  for (const client of [
    { clientId: 'client-2' },
    { remoteAddress: '192.0.2.8:40000' },
    { transport: 'tls' },
    { certificate: { commonName: 'c', alternativeNames: [], fingerprint: 'AA' } },
  ]) {
    await webhook.authenticate(credentials({ username: 'alice', password: 'secret', client }));
  }
  expect(backend.seen).toHaveLength(8);
});

test('what was remembered is given while the webhook is away, and failures are not remembered', async () => {
  const webhook = await open({ cacheMs: 5_000, failuresMax: 1 });
  await ask(webhook);
  backend.answer = wrongAnswers.get('status 500')!.answer;
  expect((await ask(webhook, 'bob')).kind).toBe('failed');
  expect((await ask(webhook)).kind).toBe('accepted');
  backend.answer = json({ result: 'allow' });
  clock.advance(10_000);
  expect((await ask(webhook, 'bob')).kind).toBe('accepted');
});

test('a long answer is not remembered', async () => {
  backend.answer = json({ result: 'allow', grants: { pub: Array.from({ length: 200 }, () => 'x'.repeat(30)) } });
  const webhook = await open({ cacheMs: 5_000 });
  expect((await ask(webhook)).kind).toBe('accepted');
  await ask(webhook);
  expect(backend.seen).toHaveLength(2);
});

test('reloading forgets what was remembered', async () => {
  const webhook = await open({ cacheMs: 5_000 });
  await ask(webhook);
  await webhook.reload();
  await ask(webhook);
  expect(backend.seen).toHaveLength(2);
});

test('an answer to a question from before a reload is not remembered', async () => {
  const { answer, release, count } = held();
  backend.answer = answer;
  const webhook = await open({ cacheMs: 5_000 });
  const before = ask(webhook);
  await until('the request', () => (count() === 1 ? true : undefined));
  await webhook.reload();
  release();
  expect((await before).kind).toBe('accepted');
  backend.answer = json({ result: 'deny' });
  expect((await ask(webhook)).kind).toBe('refused');
});

test('for who is held off while waiting for its turn, it is not asked', async () => {
  const { answer, release, count } = held();
  backend.answer = answer;
  const webhook = await open({ requestsMax: 1 });
  const first = ask(webhook);
  const second = webhook.authenticate({ ...credentials({ username: 'alice', password: 'b' }), isWanted: () => false });
  await until('the request', () => (count() === 1 ? true : undefined));
  release();
  await first;
  expect((await second).kind).toBe('failed');
  expect(backend.seen).toHaveLength(1);
});

test('closing ends what is under way and what waits, refused', async () => {
  backend.answer = silent;
  const webhook = await open({ requestsMax: 1, failuresMax: 1 });
  const asked = [ask(webhook, 'a'), ask(webhook, 'b')];
  await until('the request', () => (backend.seen.length === 1 ? true : undefined));
  webhook.close();
  const reason = 'the webhook gives no answer: the broker is closing';
  expect((await Promise.all(asked)).map(reasonOf)).toEqual([reason, reason]);
  expect(logged).toEqual([]);
});

test.each(['http://example.com/', 'ftp://127.0.0.1/', 'https://a:b@example.com/', 'example.com'])(
  'the URL %s is refused',
  async (url) => {
    await expect(open({ url })).rejects.toThrow('The URL of the webhook ');
  },
);
