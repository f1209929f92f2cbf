import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBoundedTextFile, readTextFile } from '../../src/lib/text-file.ts';
import { findTool } from '../tools.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'text-file-'));
  path = join(directory, 'file');
});

afterEach(() => rmSync(directory, { recursive: true }));

test('a file is read whole, up to its bound', () => {
  writeFileSync(path, 'größer');
  expect(readTextFile(path)).toBe('größer');
  expect(readBoundedTextFile(path, 8)).toBe('größer');
  expect(() => readBoundedTextFile(path, 7)).toThrow('it is larger than 7 bytes');
  writeFileSync(path, '');
  expect(readBoundedTextFile(path, 8)).toBe('');
});

test('what is no text or no file is refused', () => {
  writeFileSync(path, Buffer.from([0x61, 0xff]));
  expect(() => readTextFile(path)).toThrow(expect.objectContaining({ code: 'ERR_ENCODING_INVALID_ENCODED_DATA' }));
  expect(() => readBoundedTextFile(path, 8)).toThrow(
    expect.objectContaining({ code: 'ERR_ENCODING_INVALID_ENCODED_DATA' }),
  );
  expect(() => readBoundedTextFile(directory, 8)).toThrow('it is a directory');
});

const mkfifo = findTool('mkfifo');

test.skipIf(mkfifo === undefined)('a pipe that nobody writes to is not waited for', () => {
  execFileSync(mkfifo!, [path]);
  expect(() => readBoundedTextFile(path, 8)).toThrow('it is not a regular file');
});
