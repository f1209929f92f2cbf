import { createHash, pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  DEFAULT_SCHEME,
  emptyHash,
  hashPassword,
  type PasswordHash,
  parsePasswordHash,
  schemeText,
  verifyPassword,
} from '../../src/auth/password-hash.ts';

const salt = randomBytes(16);
const password = Buffer.from('correct horse');

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

function parsed(text: string): PasswordHash {
  const hash = parsePasswordHash(text);
  if (typeof hash === 'string') throw new Error(hash);
  return hash;
}

const cheapScrypt = `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync(password, salt, 32, { N: 1024, r: 8, p: 1 }))}`;
const mosquitto7 = `$7$101$${salt.toString('base64')}$${pbkdf2Sync(password, salt, 101, 64, 'sha512').toString('base64')}`;
const mosquitto6 = `$6$${salt.toString('base64')}$${createHash('sha512').update(password).update(salt).digest('base64')}`;

test('a new hash is scrypt with 32 MiB, has its own salt, and is that of its password alone', async () => {
  const [one, two] = await Promise.all([hashPassword(password), hashPassword(password)]);
  expect(one).toMatch(/^\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(one).not.toBe(two);
  expect(parsed(one).scheme).toEqual(DEFAULT_SCHEME);
  await expect(verifyPassword(password, parsed(one))).resolves.toBe(true);
  await expect(verifyPassword(Buffer.from('correct hors'), parsed(one))).resolves.toBe(false);
});

test.each([
  ['scrypt', cheapScrypt],
  ['$7$ of Mosquitto', mosquitto7],
  ['$6$ of Mosquitto', mosquitto6],
])('a hash of the kind %s made elsewhere verifies its password and no other', async (_, text) => {
  const hash = parsed(text);
  await expect(verifyPassword(password, hash)).resolves.toBe(true);
  for (const other of ['', 'correct horse ', 'Correct horse', '\0correct horse']) {
    await expect(verifyPassword(Buffer.from(other), hash)).resolves.toBe(false);
  }
});

test('passwords are bytes: any of 65,535 bytes has a hash of its own', async () => {
  const long = randomBytes(65_535);
  const hash = parsed(
    `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync(long, salt, 32, { N: 1024, r: 8, p: 1 }))}`,
  );
  await expect(verifyPassword(long, hash)).resolves.toBe(true);
  long[65_534]! ^= 1;
  await expect(verifyPassword(long, hash)).resolves.toBe(false);
});

test('the hash for unknown users costs what the others cost and no password has it', async () => {
  for (const text of [cheapScrypt, mosquitto7, mosquitto6]) {
    const { scheme } = parsed(text);
    const empty = emptyHash(scheme);
    expect(schemeText(empty.scheme)).toBe(schemeText(scheme));
    await expect(verifyPassword(password, empty)).resolves.toBe(false);
  }
});

const s22 = 'A'.repeat(22);
const h43 = `${'A'.repeat(42)}A`;
const h88 = `${'A'.repeat(86)}==`;
test.each([
  ['', 'is of no kind'],
  ['secret', 'is of no kind'],
  ['$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', 'is of no kind'],
  ['$scrypt$', 'is not of the form'],
  [`$scrypt$ln=15,r=8$${s22}$${h43}`, 'is not of the form'],
  [`$scrypt$ln=15,r=8,p=1$${s22}$${h43}$`, 'is not of the form'],
  [`$scrypt$ln=-1,r=8,p=1$${s22}$${h43}`, 'is not of the form'],
  [`$scrypt$ln=9,r=8,p=1$${s22}$${h43}`, 'less than ln=10'],
  [`$scrypt$ln=15,r=0,p=1$${s22}$${h43}`, 'less than ln=10'],
  [`$scrypt$ln=18,r=8,p=1$${s22}$${h43}`, '128 MiB'],
  [`$scrypt$ln=99,r=99,p=99$${s22}$${h43}`, '128 MiB'],
  [`$scrypt$ln=15,r=8,p=9$${s22}$${h43}`, 'more work'],
  [`$scrypt$ln=15,r=8,p=1$${s22}==$${h43}`, 'not base64'],
  [`$scrypt$ln=15,r=8,p=1$${s22.slice(1)}!$${h43}`, 'not base64'],
  [`$scrypt$ln=15,r=8,p=1$AAAA$${h43}`, 'a salt of less'],
  [`$scrypt$ln=15,r=8,p=1$${s22}$AAAA`, 'cut off'],
  [`$7$0$AAAAAAAAAAAAAAAA$${h88}`, 'iterations'],
  [`$7$1000001$AAAAAAAAAAAAAAAA$${h88}`, 'iterations'],
  [`$7$1e3$AAAAAAAAAAAAAAAA$${h88}`, 'is not of the form'],
  [`$7$101$AAAAAAAAAAAAAAAA$${h88.slice(4)}`, 'cut off'],
  [`$7$101$AAAAAAAAAAAAAAAA$${h88.slice(0, -2)}`, 'not base64'],
  ['$7$101$AAAAAAAAAAAAAAAA', 'is not of the form'],
  [`$6$$${h88}`, 'a salt of less'],
  ['$6$AAAAAAAAAAAAAAAA$', 'cut off'],
])('the hash %s is refused and the reason tells nothing of it', (text, reason) => {
  const problem = parsePasswordHash(text);
  expect(problem).toContain(reason);
  expect(problem).not.toContain(s22);
});

test('scrypt may ask for all that is within its bounds', () => {
  for (const parameters of ['ln=17,r=8,p=1', 'ln=15,r=8,p=8', 'ln=10,r=32,p=16']) {
    expect(typeof parsePasswordHash(`$scrypt$${parameters}$${s22}$${h43}`)).toBe('object');
  }
});
