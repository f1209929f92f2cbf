import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PasswordFile, PasswordFileDraft } from '../../src/auth/password-file.ts';
import { verifyPassword } from '../../src/auth/password-hash.ts';
import { parsePasswordFile } from '../../src/auth/password-table.ts';
import { findTool } from '../tools.ts';

const scrypt = `$scrypt$ln=10,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
const pbkdf2 = `$7$101$AAAAAAAAAAAAAAAA$${'A'.repeat(86)}==`;
const sha512 = `$6$AAAAAAAAAAAAAAAA$${'A'.repeat(86)}==`;
const key256 = `${'A'.repeat(43)}=`;
const key512 = `${'A'.repeat(86)}==`;
const scram256 = `SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAA$${key256}:${key256}`;
const scram512 = `SCRAM-SHA-512$10000:AAAAAAAAAAAAAAAA$${key512}:${key512}`;

let directory: string;
let count = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-passwords-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

function write(content: string | Buffer, mode = 0o600): string {
  count += 1;
  const path = join(directory, `users-${count}`);
  writeFileSync(path, content, { mode });
  chmodSync(path, mode);
  return path;
}

describe('reading', () => {
  test('users, comments, blank lines, line ends of Windows and a byte order mark', async () => {
    const text = `\ufeff# users\r\n\r\nalice:${scrypt}  \r\n   \nbob:${pbkdf2}\nbob:${scram256}\nbob:${scram512}\nzoë o'hara:${sha512}`;
    const { table } = await PasswordFile.open(write(text));
    expect([...table.names()]).toEqual(['alice', 'bob', "zoë o'hara"]);
    expect(table.kindsOf('alice')).toEqual(['password']);
    expect(table.kindsOf('bob')).toEqual(['password', 'SCRAM-SHA-256', 'SCRAM-SHA-512']);
    expect(table.kindsOf('nobody')).toEqual([]);
    expect(table.passwordOf('alice')?.scheme).toEqual({ kind: 'scrypt', ln: 10, r: 8, p: 1 });
    expect(table.passwordOf('bob')?.scheme).toEqual({ kind: 'pbkdf2-sha512', iterations: 101 });
    expect(table.passwordOf("zoë o'hara")?.scheme).toEqual({ kind: 'sha512' });
    expect(table.scramOf('bob', 'SCRAM-SHA-512')?.iterations).toBe(10_000);
    expect(table.scramOf('alice', 'SCRAM-SHA-256')).toBeUndefined();
  });

  test('names of object properties are names like any others', async () => {
    const table = await parsePasswordFile('users', Buffer.from(`__proto__:${scrypt}\nconstructor:${scrypt}\n`));
    expect(table.has('__proto__')).toBe(true);
    expect(table.kindsOf('constructor')).toEqual(['password']);
    for (const name of ['toString', 'hasOwnProperty', '']) {
      expect(table.has(name)).toBe(false);
      expect(table.passwordOf(name)).toBeUndefined();
    }
  });

  test('the usual scheme and number of iterations are those most lines have', async () => {
    const text = `a:${scrypt}\nb:${pbkdf2}\nc:${pbkdf2}\nd:${scram512}\n`;
    const table = await parsePasswordFile('users', Buffer.from(text));
    expect(table.usualScheme).toEqual({ kind: 'pbkdf2-sha512', iterations: 101 });
    expect(table.usualIterations('SCRAM-SHA-512')).toBe(10_000);
    expect(table.usualIterations('SCRAM-SHA-256')).toBe(4_096);
  });

  test('an empty file has no users, and those who are unknown cost a new hash', async () => {
    const table = await parsePasswordFile('users', Buffer.from('\n# nobody\n'));
    expect([...table.names()]).toEqual([]);
    expect(table.usualScheme).toEqual({ kind: 'scrypt', ln: 15, r: 8, p: 1 });
  });

  test('other work goes on while many lines are read', async () => {
    const text = Array.from({ length: 5_000 }, (_, index) => `user-${index}:${scrypt}`).join('\n');
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 0);
    const table = await parsePasswordFile('users', Buffer.from(text));
    clearInterval(counting);
    expect([...table.names()]).toHaveLength(5_000);
    expect(turns).toBeGreaterThan(0);
  });
});

const missingTool = findTool('mosquitto_passwd') === undefined ? 'mosquitto_passwd is not installed' : '';

test('files of mosquitto_passwd verify their passwords', async ({ skip }) => {
  skip(missingTool !== '', missingTool);
  const path = write('');
  const passwd = findTool('mosquitto_passwd')!;
  execFileSync(passwd, ['-b', path, 'alice', 'wonderland'], { timeout: 60_000 });
  execFileSync(passwd, ['-H', 'sha512', '-b', path, 'bob', 'b:u$i=lder ü'], { timeout: 60_000 });
  expect(readFileSync(path, 'utf8')).toMatch(/^alice:\$7\$.*\nbob:\$6\$/);
  chmodSync(path, 0o600);
  const { table } = await PasswordFile.open(path);
  await expect(verifyPassword(Buffer.from('wonderland'), table.passwordOf('alice')!)).resolves.toBe(true);
  await expect(verifyPassword(Buffer.from('b:u$i=lder ü'), table.passwordOf('bob')!)).resolves.toBe(true);
  await expect(verifyPassword(Buffer.from('wonderland'), table.passwordOf('bob')!)).resolves.toBe(false);
});

const secretWord = 'HUNTER2';
const broken: [name: string, content: string | Buffer, line: number, reason: string][] = [
  ['a word without a colon', `a:${scrypt}\n${secretWord}\n`, 2, 'there is no colon'],
  ['no user name', `:${scrypt}\n`, 1, 'the user name must not be empty'],
  ['no hash', 'a:\n', 1, 'is of no kind that is known'],
  ['a password in clear', `# users\n\na:${secretWord}\n`, 3, 'is of no kind that is known'],
  ['a hash of bcrypt', `a:$2b$12$${secretWord}${'A'.repeat(46)}\n`, 1, 'is of no kind that is known'],
  ['a hash of crypt', `a:$5$salt$${secretWord}\n`, 1, 'is of no kind that is known'],
  ['two passwords of a user', `a:${scrypt}\nb:${scrypt}\na:${pbkdf2}\n`, 3, 'at line 1 already'],
  ['two SCRAM lines of a mechanism', `a:${scram256}\na:${scram256}\n`, 2, 'at line 1 already'],
  ['a control character in a name', `a\tb:${scrypt}\n`, 1, 'control characters'],
  ['a NUL in a name', `a\0:${scrypt}\n`, 1, 'control characters'],
  ['a carriage return within', `a:${scrypt}\rb:${scrypt}\n`, 1, 'is not of the form'],
  ['bytes that are not UTF-8', Buffer.from(`a:${scrypt}\n\xff:${scrypt}\n`, 'latin1'), 2, 'not UTF-8'],
  ['bytes that are not UTF-8 at the end', Buffer.from(`a:${scrypt}\n\n\xc3`, 'latin1'), 3, 'not UTF-8'],
  ['a line that is too long', `\n${'a'.repeat(8_200)}:${scrypt}`, 2, 'more than 8,192 characters'],
  ['a comment that is too long', `#${'a'.repeat(8_200)}`, 1, 'more than 8,192 characters'],
  ['a name that is too long', `${'a'.repeat(5_000)}:${scrypt}`, 1, 'the user name is longer than'],
  ['scrypt with gigabytes', `a:${scrypt.replace('ln=10', 'ln=24')}\n`, 1, '128 MiB'],
  ['scrypt with too much work', `a:${scrypt.replace('ln=10,r=8,p=1', 'ln=15,r=8,p=99')}\n`, 1, 'more work'],
  ['scrypt without a parameter', `a:${scrypt.replace(',p=1', '')}\n`, 1, 'is not of the form'],
  ['a hash cut off', `a:${scrypt.slice(0, -31)}\n`, 1, 'cut off'],
  ['a $7$ with too many iterations', `a:${pbkdf2.replace('101', '99999999')}\n`, 1, 'iterations'],
  ['a $7$ cut off', `a:${pbkdf2.slice(0, 40)}\n`, 1, 'cut off'],
  ['a $6$ without a salt', `a:$6$$${key512}\n`, 1, 'a salt of less'],
  ['something behind the hash', `a:${scrypt}:admin\n`, 1, 'not base64'],
  ['SCRAM with few iterations', `a:${scram256.replace('4096', '1')}\n`, 1, 'iterations outside of'],
  ['SCRAM with keys of another hash', `a:${scram256.replace('256', '512')}\n`, 1, 'not of 64 bytes'],
  ['SCRAM with a key missing', `a:${scram256.slice(0, -45)}\n`, 1, 'is not of the form'],
  ['SCRAM that no client would name so', `ﬁsh:${scram256}\n`, 1, 'SASLprep'],
  ['a comment behind spaces', `  # ${secretWord}\n`, 1, 'there is no colon'],
];

test.each(broken)('%s: refused with file and line, and nothing of a secret', async (_, content, line, reason) => {
  const path = write(content);
  const error = await PasswordFile.open(path).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Error);
  const { message } = error as Error;
  expect(message.startsWith(`${path}:${line}: `)).toBe(true);
  expect(message).toContain(reason);
  expect(message).toMatch(/^[^\n]+\.$/);
  expect(message).not.toContain(secretWord);
  expect(message).not.toContain('AAAA');
});

test('25 files are broken, and more', () => {
  expect(broken.length).toBeGreaterThanOrEqual(25);
});

test.each(['640', '604', '620', '610', '601', '666'])('a file of mode %s is refused', async (mode) => {
  const path = write(`a:${scrypt}\n`, Number.parseInt(mode, 8));
  await expect(PasswordFile.open(path)).rejects.toThrow(`chmod 600 ${path}`);
});

test('a file that is missing, a directory or too large is refused', async () => {
  await expect(PasswordFile.open(join(directory, 'none'))).rejects.toThrow('there is no such file');
  await expect(PasswordFile.open(directory)).rejects.toThrow('it is a directory');
  const large = write('');
  truncateSync(large, 64 * 1024 * 1024 + 1);
  await expect(PasswordFile.open(large)).rejects.toThrow('is larger than');
});

describe('reloading', () => {
  test('a file that was broken meanwhile leaves the users as they were, and says where', async () => {
    const path = write(`a:${scrypt}\n`);
    const file = await PasswordFile.open(path);
    writeFileSync(path, `b:${scrypt}\na\n`);
    await expect(file.reload()).rejects.toThrow(`${path}:2: there is no colon`);
    expect([...file.table.names()]).toEqual(['a']);
    chmodSync(path, 0o644);
    await expect(file.reload()).rejects.toThrow('chmod 600');
    rmSync(path);
    await expect(file.reload()).rejects.toThrow('no such file');
    expect([...file.table.names()]).toEqual(['a']);
    writeFileSync(path, `b:${scrypt}\n`, { mode: 0o600 });
    await file.reload();
    expect([...file.table.names()]).toEqual(['b']);
  });

  test('of two reads at once the later one counts', async () => {
    const path = write(`a:${scrypt}\n`);
    const file = await PasswordFile.open(path);
    writeFileSync(path, `b:${scrypt}\n`);
    await Promise.all([file.reload(), file.reload()]);
    expect([...file.table.names()]).toEqual(['b']);
  });
});

describe('edits', () => {
  const text = `# the house\nalice:${scrypt}\n\n# the garden\nbob:${pbkdf2}\nbob:${scram256}\ncarol:${scrypt}`;

  test('comments, order and other users stay; a user keeps its place', async () => {
    const path = write(text);
    const draft = await PasswordFileDraft.open(path);
    draft.rewrite('bob', new Map([['password', scrypt]]));
    draft.rewrite('dave', new Map([['SCRAM-SHA-512' as const, scram512]]));
    draft.rewrite('alice', new Map());
    await draft.save();
    expect(readFileSync(path, 'utf8')).toBe(
      `# the house\n\n# the garden\nbob:${scrypt}\ncarol:${scrypt}\ndave:${scram512}\n`,
    );
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('a file that somebody else changed meanwhile is left alone, and nothing is left behind', async () => {
    const path = write(text);
    const draft = await PasswordFileDraft.open(path);
    draft.rewrite('alice', new Map());
    writeFileSync(path, `${text}\nerin:${scrypt}\n`);
    await expect(draft.save()).rejects.toThrow('changed by somebody else');
    expect(readFileSync(path, 'utf8')).toContain('erin');
    expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('a new file does not take the place of one that came up meanwhile', async () => {
    const path = join(directory, 'new');
    const draft = await PasswordFileDraft.make(path);
    draft.rewrite('a', new Map([['password', scrypt]]));
    writeFileSync(path, 'other', { mode: 0o600 });
    await expect(draft.save()).rejects.toThrow('changed by somebody else');
    rmSync(path);
    await draft.save();
    expect(readFileSync(path, 'utf8')).toBe(`a:${scrypt}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('of a symbolic link the file is replaced and the link stays', async () => {
    const path = write(text);
    const link = join(directory, 'link');
    symlinkSync(path, link);
    const draft = await PasswordFileDraft.open(link);
    draft.rewrite('carol', new Map());
    await draft.save();
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(path, 'utf8')).not.toContain('carol');
  });

  test('the owner stays', async ({ skip }) => {
    skip(process.getuid?.() !== 0, 'only root can give files away');
    const path = write(text);
    chownSync(path, 1234, 4321);
    const draft = await PasswordFileDraft.open(path);
    draft.rewrite('carol', new Map());
    await draft.save();
    expect(statSync(path)).toMatchObject({ uid: 1234, gid: 4321 });
  });

  test('a directory that cannot be written is said in a sentence', async () => {
    const draft = await PasswordFileDraft.make(join(directory, 'none', 'users'));
    await expect(draft.save()).rejects.toThrow(/^Cannot write .*users: /);
  });
});
