import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { configuredAddress } from '../../../src/store/redis/redis-login.ts';
import { StoreError } from '../../../src/store/store.ts';

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
])('the password in a file that holds %j is %j', (text, password) => {
  writeFileSync(file, text);
  expect(configuredAddress(url, file)).toEqual({ ...parseRedisUrl(url), password });
});

test('without a file the URL says it all', () => {
  expect(configuredAddress('redis://:word@h', '')).toEqual(parseRedisUrl('redis://:word@h'));
});

test.each(['', '\n', 'one\ntwo\n', 'one\n\n'])('a file that holds %j is refused', (text) => {
  writeFileSync(file, text);
  expect(() => configuredAddress(url, file)).toThrow(
    new StoreError(`The file of redis.passwordFile, ${file}, must hold one line: the password for Redis.`),
  );
});

test('a file that cannot be read is refused with the reason', () => {
  expect(() => configuredAddress(url, file)).toThrow(/^Cannot read the file of redis\.passwordFile, .*: ENOENT/);
  expect(() => configuredAddress(url, directory)).toThrow(/^Cannot read the file of redis\.passwordFile, .*: EISDIR/);
});
