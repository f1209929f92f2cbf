import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Credentials } from '../../src/auth/authenticator.ts';
import { TurnQueue } from '../../src/auth/turn-queue.ts';
import { hashTurns, PasswordAuthenticator } from '../../src/auth/password-authenticator.ts';
import { PasswordFile } from '../../src/auth/password-file.ts';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { hashForScram } from '../../src/auth/scram-secret.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

let directory: string;
let path: string;
let text: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-password-'));
  path = join(directory, 'users');
  const [alice, proto] = await Promise.all([
    hashPassword(Buffer.from('wonderland')),
    hashPassword(Buffer.from('of objects')),
  ]);
  const scram = await hashForScram('SCRAM-SHA-256', 'scrambled');
  text = `alice:${alice}\n__proto__:${proto}\nsam:${scram}\n`;
  writeFileSync(path, text, { mode: 0o600 });
});

afterAll(() => rmSync(directory, { recursive: true }));

function oneByOne(): TurnQueue {
  return new TurnQueue({ concurrency: 1, waitingMax: 1, waitMsMax: 1_000 }, new FakeClock());
}

async function authenticator(queue = hashTurns(new FakeClock())): Promise<PasswordAuthenticator> {
  writeFileSync(path, text);
  return new PasswordAuthenticator(await PasswordFile.open(path), queue);
}

function credentials(username?: string, password?: string, isWanted?: () => boolean): Credentials {
  return {
    client: {
      clientId: 'c',
      username: username ?? '',
      protocolVersion: 5,
      remoteAddress: '127.0.0.1:1',
      transport: 'tcp',
    },
    username,
    password: password === undefined ? undefined : Buffer.from(password),
    ...(isWanted === undefined ? {} : { isWanted }),
  };
}

test.each<[string | undefined, string | undefined, object]>([
  ['alice', 'wonderland', { kind: 'accepted', username: 'alice' }],
  ['__proto__', 'of objects', { kind: 'accepted', username: '__proto__' }],
  ['alice', 'Wonderland', { kind: 'refused', reason: 'wrong password' }],
  ['alice', '', { kind: 'refused', reason: 'wrong password' }],
  ['alice', undefined, { kind: 'refused', reason: 'no password' }],
  ['Alice', 'wonderland', { kind: 'unknown', reason: 'unknown user' }],
  ['constructor', 'x', { kind: 'unknown', reason: 'unknown user' }],
  ['alice:', 'wonderland', { kind: 'unknown', reason: 'unknown user' }],
  ['', 'wonderland', { kind: 'unknown', reason: 'unknown user' }],
  ['nobody', undefined, { kind: 'unknown', reason: 'unknown user' }],
  [undefined, 'wonderland', { kind: 'unknown', reason: 'no user name' }],
  [undefined, undefined, { kind: 'unknown', reason: 'no user name' }],
  ['sam', 'scrambled', { kind: 'refused', reason: 'the user has no password, only SCRAM' }],
])('user %j with password %j', async (username, password, verdict) => {
  const passwords = await authenticator();
  await expect(passwords.authenticate(credentials(username, password))).resolves.toEqual(verdict);
});

test('an unknown user costs the hash that a wrong password costs', async () => {
  const queue = hashTurns(new FakeClock());
  const passwords = await authenticator(queue);
  for (const [index, name] of ['alice', 'nobody', 'sam'].entries()) {
    await passwords.authenticate(credentials(name, 'wrong'));
    expect(queue.counters.done).toBe(index + 1);
  }
});

test('unknown users and wrong passwords take the same time of the processor', async () => {
  const passwords = await authenticator();
  const times = new Map<string, number[]>([
    ['alice', []],
    ['nobody', []],
  ]);
  for (let round = 0; round < 15; round++) {
    for (const [name, taken] of times) {
      const start = process.cpuUsage();
      await passwords.authenticate(credentials(name, 'wrong'));
      const { user, system } = process.cpuUsage(start);
      taken.push(user + system);
    }
  }
  // Other programs do not count, and the quickest of many is the one that nothing else in this one added to.
  const [known, unknown] = [...times.values()].map((taken) => Math.min(...taken));
  expect(unknown! / known!).toBeGreaterThan(0.5);
  expect(unknown! / known!).toBeLessThan(2);
});

test('with too many logins at once the others are turned away, and those whose client has gone are dropped', async () => {
  const passwords = await authenticator(oneByOne());
  let isWanted = true;
  const first = passwords.authenticate(credentials('alice', 'wonderland'));
  const second = passwords.authenticate(credentials('alice', 'wonderland', () => isWanted));
  const third = passwords.authenticate(credentials('alice', 'wonderland'));
  await expect(third).resolves.toEqual({ kind: 'busy', reason: 'too many logins at once' });
  isWanted = false;
  await expect(first).resolves.toMatchObject({ kind: 'accepted' });
  await expect(second).resolves.toEqual({ kind: 'busy', reason: 'too many logins at once, or its client has gone' });
});

test('a password that was right before is not hashed again, as long as it is the one of the file', async () => {
  const queue = hashTurns(new FakeClock());
  const passwords = await authenticator(queue);
  const login = async (password: string): Promise<[string, number]> => {
    const { kind } = await passwords.authenticate(credentials('alice', password));
    return [kind, queue.counters.done];
  };
  expect(await login('wonderland')).toEqual(['accepted', 1]);
  expect(await login('wonderland')).toEqual(['accepted', 1]);
  expect(await login('wonderland2')).toEqual(['refused', 2]);
  expect(await login('')).toEqual(['refused', 3]);
  expect(await login('wonderland')).toEqual(['accepted', 3]);
  writeFileSync(path, `alice:${await hashPassword(Buffer.from('looking glass'))}\n`);
  await passwords.reload();
  expect(await login('wonderland')).toEqual(['refused', 4]);
  expect(await login('looking glass')).toEqual(['accepted', 5]);
  writeFileSync(path, `alice:${await hashForScram('SCRAM-SHA-256', 'looking glass')}\n`);
  await passwords.reload();
  expect(await login('looking glass')).toEqual(['refused', 6]);
  writeFileSync(path, '# nobody\n');
  await passwords.reload();
  expect(await login('looking glass')).toEqual(['unknown', 7]);
});

test('a user who was removed while the login waited is not let in', async () => {
  const passwords = await authenticator(oneByOne());
  const first = passwords.authenticate(credentials('alice', 'wonderland'));
  const second = passwords.authenticate(credentials('alice', 'wonderland'));
  writeFileSync(path, '# nobody\n');
  await passwords.reload();
  await first;
  await expect(second).resolves.toEqual({ kind: 'unknown', reason: 'unknown user' });
});

test('a user who is removed, or gets another password, while the old one is hashed is not let in', async () => {
  const passwords = await authenticator();
  const removed = passwords.authenticate(credentials('alice', 'wonderland'));
  writeFileSync(path, '# nobody\n');
  await passwords.reload();
  await expect(removed).resolves.toEqual({ kind: 'unknown', reason: 'unknown user' });
  writeFileSync(path, text);
  await passwords.reload();
  const changed = passwords.authenticate(credentials('alice', 'wonderland'));
  writeFileSync(path, `alice:${text.split('\n')[1]!.slice('__proto__:'.length)}\n`);
  await passwords.reload();
  await expect(changed).resolves.toEqual({ kind: 'refused', reason: 'wrong password' });
});

test('a reload takes over the file, and a broken one leaves the users as they were', async () => {
  const passwords = await authenticator();
  writeFileSync(path, text.replace('alice:', 'alicia:'));
  await passwords.reload();
  await expect(passwords.authenticate(credentials('alice', 'wonderland'))).resolves.toMatchObject({ kind: 'unknown' });
  writeFileSync(path, `${text}nonsense\n`);
  await expect(passwords.reload()).rejects.toThrow(`${path}:4: `);
  await expect(passwords.authenticate(credentials('alicia', 'wonderland'))).resolves.toMatchObject({
    kind: 'accepted',
  });
});
