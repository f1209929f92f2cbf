import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { configuredAddress } from '../../../src/store/redis/redis-login.ts';
import { FileError } from '../../../src/lib/file-error.ts';

let directory = '';
let file = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-password-'));
  file = join(directory, 'password');
});

afterEach(() => rmSync(directory, { recursive: true }));

const url = 'redis+sentinel://user@a:1,b:2/m/3';

test.each([
  ['secret', 'secret'],
  ['secret\n', 'secret'],
  ['secret\r\n', 'secret'],
  [' se cret%41/@€ \n', ' se cret%41/@€ '],
])('the password in a file that holds %j is %j', async (text, password) => {
  writeFileSync(file, text, { mode: 0o600 });
  expect(await configuredAddress(url, file)).toEqual({ ...parseRedisUrl(url), password });
});

test('without a file the URL says it all', async () => {
  expect(await configuredAddress('redis://:word@h', '')).toEqual(parseRedisUrl('redis://:word@h'));
});

test.each(['', '\n', 'one\ntwo\n', 'one\n\n'])('a file that holds %j is refused', async (text) => {
  writeFileSync(file, text, { mode: 0o600 });
  await expect(configuredAddress(url, file)).rejects.toThrow(
    new FileError(`The file of redis.passwordFile, ${file}, must hold one line: the password for Redis.`),
  );
});

test('a file that cannot be read, or that others have rights to, is refused with the reason', async () => {
  const refusal = `redis.passwordFile: Cannot read ${file}: there is no such file.`;
  await expect(configuredAddress(url, file)).rejects.toThrow(refusal);
  await expect(configuredAddress(url, directory)).rejects.toThrow(`Cannot read ${directory}: it is a directory.`);
  writeFileSync(file, 'secret');
  chmodSync(file, 0o640);
  await expect(configuredAddress(url, file)).rejects.toThrow(`chmod 600 ${file}.`);
});
