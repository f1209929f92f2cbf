import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

/** Text of a UTF-8 file. @throws what reading it throws; `readProblem` says it in words. */
export function readTextFile(path: string): string {
  return textOf(readFileSync(path));
}

/**
 * The same of a regular file of at most so many bytes, so that none is too large for memory and no pipe is waited for.
 * @throws what reading it throws; `readProblem` says it in words.
 */
export function readBoundedTextFile(path: string, bytesMax: number): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(file);
    if (status.isDirectory()) throw new Error('it is a directory');
    if (!status.isFile()) throw new Error('it is not a regular file');
    const buffer = Buffer.alloc(bytesMax + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    if (length > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    return textOf(buffer.subarray(0, length));
  } finally {
    closeSync(file);
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
