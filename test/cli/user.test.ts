import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { PasswordFile } from '../../src/auth/password-file.ts';
import { verifyPassword } from '../../src/auth/password-hash.ts';
import { endAll, finished } from './trellis.ts';

const directories: string[] = [];
let file: string;

beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'trellis-user-'));
  directories.push(directory);
  file = join(directory, 'users');
});

afterEach(endAll);
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

/** Runs `trellis user` with the file and what is typed on stdin. */
async function user(
  args: readonly string[],
  input: string | Buffer = '',
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await finished(['user', ...args, '--file', file], { input });
  return { code, stdout, stderr };
}

async function isPassword(name: string, password: string): Promise<boolean> {
  const { table } = await PasswordFile.open(file);
  return verifyPassword(Buffer.from(password), table.passwordOf(name)!);
}

test('a user is added with a password from stdin, gets another one, is listed and removed', async () => {
  expect(await user(['add', 'alice'], 'wonderland\n')).toEqual({
    code: 0,
    stdout: `Added "alice" to ${file}.\n`,
    stderr: '',
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/^alice:\$scrypt\$ln=15,r=8,p=1\$[^$]+\$[^$]+\n$/);
  await expect(isPassword('alice', 'wonderland')).resolves.toBe(true);
  await user(['add', '__proto__'], ' spaces count \r\n');
  await expect(isPassword('__proto__', ' spaces count ')).resolves.toBe(true);
  expect(await user(['passwd', 'alice'], 'looking glass')).toEqual({
    code: 0,
    stdout: `Set the password of "alice" in ${file}.\n`,
    stderr: '',
  });
  await expect(isPassword('alice', 'wonderland')).resolves.toBe(false);
  await expect(isPassword('alice', 'looking glass')).resolves.toBe(true);
  expect((await user(['list'])).stdout).toBe('alice  (password)\n__proto__  (password)\n');
  expect((await user(['remove', 'alice'])).stdout).toBe(`Removed "alice" from ${file}.\n`);
  expect((await user(['list'])).stdout).toBe('__proto__  (password)\n');
});

test('with SCRAM a user has a line for each mechanism, and another password replaces them all', async () => {
  await user(['add', '--scram', 'sam'], 'one');
  expect((await user(['list'])).stdout).toBe('sam  (password, SCRAM-SHA-256, SCRAM-SHA-512)\n');
  const before = readFileSync(file, 'utf8').split('\n');
  await user(['passwd', 'sam'], 'two');
  const after = readFileSync(file, 'utf8').split('\n');
  expect(after).toHaveLength(4);
  for (const line of after.slice(0, 3)) expect(before).not.toContain(line);
  await user(['add', 'plain'], 'three');
  await user(['passwd', '--scram', 'plain'], 'four');
  expect((await user(['list'])).stdout).toContain('plain  (password, SCRAM-SHA-256, SCRAM-SHA-512)\n');
});

test('the password may come from a file that nobody else can read', async () => {
  const secret = join(directories.at(-1)!, 'secret');
  writeFileSync(secret, 'from a file\n', { mode: 0o600 });
  expect((await user(['add', '--password-file', secret, 'alice'])).code).toBe(0);
  await expect(isPassword('alice', 'from a file')).resolves.toBe(true);
  expect((await user(['add', '--password-file', '-', 'bob'], 'from stdin')).code).toBe(0);
  await expect(isPassword('bob', 'from stdin')).resolves.toBe(true);
  chmodSync(secret, 0o644);
  const refused = await user(['add', '--password-file', secret, 'carol']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(`chmod 600 ${secret}`);
});

test.each<[string, string[], string | Buffer, number, RegExp]>([
  [
    'a user who is there is not added',
    ['add', 'alice'],
    'x',
    1,
    /There is a user "alice" in .* already; trellis user passwd/,
  ],
  [
    'a user who is not there gets no password',
    ['passwd', 'bob'],
    'x',
    1,
    /There is no user "bob" in .*; trellis user add/,
  ],
  ['a user who is not there is not removed', ['remove', 'bob'], '', 1, /There is no user "bob" in/],
  ['an empty password is refused', ['add', 'bob'], '\n', 1, /There is no password in stdin\./],
  ['nothing on stdin is refused', ['add', 'bob'], '', 1, /There is no password in stdin\./],
  ['two lines are refused', ['add', 'bob'], 'one\ntwo\n', 1, /There is more than one line in stdin/],
  ['more than a client can send is refused', ['add', 'bob'], 'x'.repeat(65_536), 1, /more than 65,535 bytes/],
  ['far more is refused', ['add', 'bob'], 'x'.repeat(1_000_000), 1, /more than 65,535 bytes/],
  ['characters that SCRAM does not allow', ['add', '--scram', 'bob'], 'a\u0007b', 1, /SCRAM does not allow/],
  ['bytes that SCRAM does not allow', ['add', '--scram', 'bob'], Buffer.from([0xff, 0x41]), 1, /SCRAM does not allow/],
])('%s, and the file stays as it was', async (_, args, input, code, sentence) => {
  await user(['add', 'alice'], 'wonderland');
  const before = readFileSync(file, 'utf8');
  const result = await user(args, input);
  expect(result.code).toBe(code);
  expect(result.stdout).toBe('');
  expect(result.stderr).toMatch(sentence);
  expect(result.stderr).toMatch(/^trellis: [^\n]+\.\n$/);
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test('a broken file is refused with its line and left as it is', async () => {
  writeFileSync(file, '# users\nalice:secret\n', { mode: 0o600 });
  for (const action of [['list'], ['add', 'bob'], ['remove', 'alice'], ['passwd', 'alice']]) {
    const { code, stderr } = await user(action, 'x');
    expect(code).toBe(2);
    expect(stderr).toContain(`${file}:2: the hash of user "alice" is of no kind that is known`);
    expect(stderr).not.toContain('secret');
  }
  expect(readFileSync(file, 'utf8')).toBe('# users\nalice:secret\n');
});

test('only add makes a file', async () => {
  for (const action of [['list'], ['remove', 'a'], ['passwd', 'a']]) {
    const { code, stderr } = await user(action, 'x');
    expect(code).toBe(2);
    expect(stderr).toBe(`trellis: Cannot read ${file}: there is no such file.\n`);
  }
  expect(existsSync(file)).toBe(false);
});
