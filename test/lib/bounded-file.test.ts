import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isExposed, readBoundedFile, readBoundedText } from '../../src/lib/bounded-file.ts';
import { findTool } from '../tools.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bounded-file-'));
  path = join(directory, 'file');
});

afterEach(() => rmSync(directory, { recursive: true }));

const open = { bytesMax: 8, secret: false };
const secret = { bytesMax: 8, secret: true };

test('a file up to its limit is read whole', async () => {
  writeFileSync(path, '12345678');
  expect(await readBoundedText(path, open)).toBe('12345678');
  writeFileSync(path, '');
  expect(await readBoundedText(path, open)).toBe('');
});

test('a larger file is refused', async () => {
  writeFileSync(path, '123456789');
  await expect(readBoundedFile(path, open)).rejects.toThrow(`${path} is larger than 8 bytes.`);
});

test('what is not there, not a file or not text is refused', async () => {
  await expect(readBoundedFile(path, open)).rejects.toThrow(`Cannot read ${path}: there is no such file.`);
  await expect(readBoundedFile(directory, open)).rejects.toThrow(`Cannot read ${directory}: it is a directory.`);
  writeFileSync(path, Buffer.from([0xff, 0xfe]));
  await expect(readBoundedText(path, open)).rejects.toThrow(`Cannot read ${path}: it is not UTF-8 text.`);
});

const mkfifo = findTool('mkfifo');

test.skipIf(mkfifo === undefined)('a named pipe that nobody writes to is refused at once', async () => {
  execFileSync(mkfifo ?? '', [path]);
  await expect(readBoundedFile(path, open)).rejects.toThrow(`Cannot read ${path}: it is not a regular file.`);
});

test('a group may read a file of root where the process is another user, and do no more', () => {
  const owned = (uid: number, mode: number): { uid: number; mode: number } => ({ uid, mode: 0o100_000 | mode });
  for (const mode of [0o400, 0o600, 0o440, 0o640]) expect(isExposed(owned(0, mode), 1000)).toBe(false);
  for (const mode of [0o444, 0o644, 0o660, 0o650, 0o604]) expect(isExposed(owned(0, mode), 1000)).toBe(true);
  // Who owns it can take the right away, and root reads everything.
  expect(isExposed(owned(1000, 0o440), 1000)).toBe(true);
  expect(isExposed(owned(0, 0o440), 0)).toBe(true);
  expect(isExposed(owned(0, 0o440), undefined)).toBe(true);
});

test('a file with secrets is refused where others have any right to it', async () => {
  writeFileSync(path, 'geheim');
  for (const mode of [0o640, 0o604, 0o660, 0o602, 0o610, 0o644]) {
    chmodSync(path, mode);
    const sentence = `${path} holds secrets, but others than its owner have rights to it (mode ${mode.toString(8)}): chmod 600 ${path}.`;
    await expect(readBoundedFile(path, secret)).rejects.toThrow(sentence);
  }
  for (const mode of [0o600, 0o400]) {
    chmodSync(path, mode);
    expect(await readBoundedText(path, secret)).toBe('geheim');
  }
});
