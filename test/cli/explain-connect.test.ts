import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { PasswordFileDraft } from '../../src/auth/password-file.ts';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { HttpBackend, json } from '../auth/http-backend.ts';
import { signed } from '../auth/tokens.ts';

const SECRET = 'a secret of thirty-two characters';

let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-connect-'));
  const users = await PasswordFileDraft.make(join(directory, 'users'));
  users.rewrite('alice', new Map([['password', await hashPassword(Buffer.from('wonderland'))]]));
  await users.save();
  write(
    'rules.yaml',
    'roles:\n  reader:\n    - {allow: subscribe, topics: [a, "c/${clientId}"]}\nusers: {alice: [reader]}\n',
  );
  write('secret', SECRET);
  write('right', 'wonderland\n');
  write('wrong', 'looking glass\n');
});

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

function write(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

interface Answer {
  code: number;
  lines: string[];
  stderr: string;
}

/** Explains a connect under this configuration. */
async function connect(config: object, ...args: string[]): Promise<Answer> {
  let stdout = '';
  let stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => ((stdout += String(part)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((part) => ((stderr += String(part)), true));
  const code = await run(['explain', 'connect', '--config', write('broker.json', JSON.stringify(config)), ...args]);
  const plain = (text: string): string => text.replaceAll(`${directory}/`, '');
  return { code, lines: plain(stdout).trimEnd().split('\n'), stderr: plain(stderr) };
}

function passwords(): Record<string, unknown> {
  return { auth: { passwordFile: join(directory, 'users') }, acl: { file: join(directory, 'rules.yaml') } };
}

const RIGHTS = [
  'Roles of this client: reader (users).',
  'Rules of this client, deny where none matches:',
  '  rules.yaml:3 (role reader): allow subscribe a',
  '  rules.yaml:3 (role reader): allow subscribe c/${clientId} (c/kitchen)',
];
const alice = ['--user', 'alice', '--client', 'kitchen'];

test('a right password lets a client in, with the roles and rules of its user', async () => {
  const answer = await connect(passwords(), ...alice, '--password-file', join(directory, 'right'));
  expect(answer).toEqual({
    code: 0,
    stderr: '',
    lines: ['Let in: client "kitchen" from 127.0.0.1, as user "alice"', '  1. password: it is user "alice"', ...RIGHTS],
  });
});

test('a wrong password, none and an unknown user are told apart', async () => {
  const wrong = await connect(passwords(), ...alice, '--password-file', join(directory, 'wrong'));
  expect(wrong).toEqual({
    code: 1,
    stderr: '',
    lines: [
      'Refused: client "kitchen" from 127.0.0.1',
      '  1. password: knows it and does not let it in: wrong password',
      'Were it let in by that name:',
      ...RIGHTS,
    ],
  });
  const none = await connect(passwords(), ...alice);
  expect(none.code).toBe(1);
  expect(none.lines.slice(0, 2)).toEqual([
    'Refused without its password, which --password-file FILE gives: client "kitchen" from 127.0.0.1',
    '  1. password: knows it and does not let it in: no password',
  ]);
  const unknown = await connect(passwords(), '--user', 'bob');
  expect(unknown.lines.slice(0, 2)).toEqual([
    'Refused: client "" from 127.0.0.1',
    '  1. password: does not know it: unknown user',
  ]);
});

test('authenticators are asked in their order, and a token brings roles', async () => {
  const payload = { sub: 'carol', roles: ['reader', 'ghost'], exp: Date.parse('2100-01-01') / 1000 };
  const token = await signed(Buffer.from(SECRET), { alg: 'HS256' }, payload);
  const config = passwords();
  Object.assign(config['auth'] as object, { jwt: { secretFile: join(directory, 'secret'), leewaySeconds: 0 } });
  const answer = await connect(config, '--client', 'kitchen', '--password-file', write('token', token));
  expect(answer.lines).toEqual([
    'Let in: client "kitchen" from 127.0.0.1, as user "carol", until 2100-01-01T00:00:00.000Z',
    '  1. jwt: it is user "carol"',
    '  2. password: not asked any more',
    'Roles of this client: reader (authentication), ghost (authentication, not in the file).',
    ...RIGHTS.slice(1),
  ]);
  expect(JSON.stringify(answer)).not.toContain(token);
});

test('a webhook is asked with the password only', async () => {
  await using backend = await HttpBackend.start(json({ result: 'allow', roles: ['reader'] }));
  const config = { auth: { webhook: { url: backend.url } } };
  const without = await connect(config, ...alice);
  expect(without.lines.slice(0, 2)).toEqual([
    'Refused without its password, which --password-file FILE gives: client "kitchen" from 127.0.0.1',
    '  1. webhook: asked when the password is given (--password-file FILE)',
  ]);
  expect(backend.seen).toHaveLength(0);
  const asked = await connect(
    config,
    ...alice,
    '--address',
    '2001:db8::7',
    '--password-file',
    join(directory, 'right'),
  );
  expect(asked.lines).toEqual([
    'Let in: client "kitchen" from 2001:db8::7, as user "alice"',
    '  1. webhook: it is user "alice"',
    'Roles of this client: reader (authentication, not in the file).',
    'Rules of this client: none, so deny holds.',
  ]);
  expect(JSON.parse(backend.seen[0]!.body)).toMatchObject({ address: '2001:db8::7', clientId: 'kitchen' });
});

test.each([
  ['auto', '127.0.0.1', true],
  ['auto', '192.0.2.1', true],
  ['loopback', '192.0.2.1', true],
  ['everywhere', '192.0.2.1', true],
  ['nowhere', '127.0.0.1', false],
])('anonymous clients where nobody is known, auth.allowAnonymous %s, from %s: %s', async (allowed, address, isIn) => {
  const answer = await connect({ auth: { allowAnonymous: allowed } }, '--address', address);
  expect(answer.lines.slice(0, 2)).toEqual([
    `${isIn ? 'Let in' : 'Refused'}: client "" from ${address}${isIn ? ', as anonymous' : ''}`,
    `  anonymous clients from ${address} are ${isIn ? '' : 'not '}let in (auth.allowAnonymous is ${allowed})`,
  ]);
  expect(answer.code).toBe(isIn ? 0 : 1);
});

test('where nobody is known and anybody may connect, user names are taken as they are given', async () => {
  const answer = await connect({ auth: { allowAnonymous: 'everywhere' } }, ...alice);
  expect(answer.lines.slice(0, 2)).toEqual([
    'Let in: client "kitchen" from 127.0.0.1, as user "alice", whoever that is',
    '  nothing says who clients are: everybody is let in, under the user name they give',
  ]);
  expect((await connect({ auth: { allowAnonymous: 'nowhere' } }, ...alice)).code).toBe(1);
});

test.each([
  ['auto', '127.0.0.1', false],
  ['loopback', '127.0.0.1', true],
  ['loopback', '192.0.2.1', false],
  ['everywhere', '192.0.2.1', true],
  ['nowhere', '127.0.0.1', false],
])('anonymous clients beside users, auth.allowAnonymous %s, from %s: %s', async (allowed, address, isIn) => {
  const config = passwords();
  Object.assign(config['auth'] as object, { allowAnonymous: allowed });
  expect((await connect(config, '--address', address)).code).toBe(isIn ? 0 : 1);
});

test.each([
  [
    'address 192.0.2.0/24 until 2100-01-01T00:00:00Z # noise',
    'address "192.0.2.0/24" is banned until 2100-01-01T00:00:00.000Z ("noise")',
  ],
  ['client kitchen', 'client "kitchen" is banned for good'],
  ['user alice', 'user "alice" is banned for good'],
])('who is on the list of bans is refused before anybody is asked: %s', async (ban, line) => {
  const config = { ...passwords(), limits: { banFile: write('bans', `${ban}\n`) } };
  const right = ['--password-file', join(directory, 'right'), '--address', '192.0.2.7'];
  const answer = await connect(config, ...alice, ...right);
  expect(answer.code).toBe(1);
  expect(answer.lines.slice(0, 3)).toEqual([
    'Refused: client "kitchen" from 192.0.2.7',
    `  ${line}`,
    'Were it let in by that name:',
  ]);
  expect((await connect(config, '--user', 'bob', '--client', 'c')).lines[1]).toContain('unknown user');
});

test('a file that cannot be used is exit code 2', async () => {
  const config = { auth: { passwordFile: join(directory, 'nobody') } };
  expect(await connect(config, ...alice)).toEqual({
    code: 2,
    lines: [''],
    stderr: 'trellis: Cannot read nobody: there is no such file.\n',
  });
});
