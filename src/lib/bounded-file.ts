import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errorText, readProblem } from './error-text.ts';

/** What a file may be for its contents to be used. */
export interface FileRule {
  /** Larger files are refused; 1 and above. */
  readonly bytesMax: number;
  /** Whether it holds secrets: then it is refused where others have rights to it, see `isExposed`. */
  readonly secret: boolean;
}

/**
 * Whether others than its owner have rights to a file with secrets that no one meant to give them. A group may read a file
 * of root where this process is not root: only root can have said so, and the process could not read it otherwise.
 * @param ownUid User of this process.
 */
export function isExposed(file: { readonly mode: number; readonly uid: number }, ownUid: number | undefined): boolean {
  const isForGroup = file.uid === 0 && ownUid !== undefined && ownUid !== 0;
  return (file.mode & (isForGroup ? 0o037 : 0o077)) !== 0;
}

/**
 * Reads a whole file that is not larger than it should be.
 * @throws Error of one sentence that names the file, and never shows what is in it.
 */
export async function readBoundedFile(path: string, rule: FileRule): Promise<Buffer> {
  let file: FileHandle;
  try {
    // Opening a named pipe that nobody writes to would never end.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${readProblem(error)}.`, { cause: error });
  }
  try {
    await checkFile(file, path, rule);
    return await readAll(file, path, rule.bytesMax);
  } finally {
    await file.close();
  }
}

/**
 * Reads a whole file of UTF-8 text.
 * @throws Error of one sentence that names the file, and never shows what is in it.
 */
export async function readBoundedText(path: string, rule: FileRule): Promise<string> {
  const bytes = await readBoundedFile(path, rule);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${readProblem(error)}.`, { cause: error });
  }
}

/** Asks the open file, not its name, which may mean another one by now. */
async function checkFile(file: FileHandle, path: string, { secret }: FileRule): Promise<void> {
  const status = await file.stat();
  if (status.isDirectory()) throw new Error(`Cannot read ${path}: it is a directory.`);
  if (!status.isFile()) throw new Error(`Cannot read ${path}: it is not a regular file.`);
  if (secret && isExposed(status, process.getuid?.())) {
    const octal = (status.mode & 0o777).toString(8).padStart(3, '0');
    throw new Error(
      `${path} holds secrets, but others than its owner have rights to it (mode ${octal}): chmod 600 ${path}.`,
    );
  }
}

async function readAll(file: FileHandle, path: string, bytesMax: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytesMax + 1);
  let length = 0;
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
      length += bytesRead;
      if (bytesRead === 0 || length > bytesMax) break;
    }
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${errorText(error)}.`, { cause: error });
  }
  if (length > bytesMax) throw new Error(`${path} is larger than ${bytesMax} bytes.`);
  return Buffer.from(buffer.subarray(0, length));
}
