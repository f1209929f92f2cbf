import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorText } from './error-text.ts';
import { FileError } from './file-error.ts';
import { readProblem } from './read-problem.ts';

/** Rights of group and others. */
const OTHERS = 0o077;
const FILE_MODE = 0o600;
const CHUNK_BYTES = 64 * 1024;

/** What a file was when it was read, so that a change in between is noticed. */
export interface FileStamp {
  readonly inode: bigint;
  readonly bytes: bigint;
  readonly modifiedNs: bigint;
}

/** The content of a file with secrets. */
export interface PrivateFile {
  readonly content: Buffer;
  readonly stamp: FileStamp;
}

/**
 * Reads a file with secrets.
 * @param what What it is, for the sentence: `password file`.
 * @param bytesMax Largest size taken, in bytes.
 * @throws FileError where it cannot be read, is larger, or group or others have rights to it.
 */
export async function readPrivateFile(what: string, path: string, bytesMax: number): Promise<PrivateFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw new FileError(`Cannot read the ${what} ${path}: ${readProblem(error)}.`, { cause: error });
  }
  try {
    const { mode, ino, size, mtimeNs } = await handle.stat({ bigint: true });
    if ((Number(mode) & OTHERS) !== 0)
      throw new FileError(`The ${what} ${path} is open to group or others: run chmod 600 ${path}.`);
    const content = size > bytesMax ? undefined : await readUpTo(handle, bytesMax);
    if (content === undefined)
      throw new FileError(
        `The ${what} ${path} is larger than ${bytesMax.toLocaleString('en')} bytes, which is more than is read.`,
      );
    return { content, stamp: { inode: ino, bytes: size, modifiedNs: mtimeNs } };
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new FileError(`Cannot read the ${what} ${path}: ${readProblem(error)}.`, { cause: error });
  } finally {
    await handle.close();
  }
}

/** The size that the file system tells is not that of pipes, and a file may grow. */
async function readUpTo(handle: FileHandle, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(chunks, bytes);
    bytes += bytesRead;
    if (bytes > bytesMax) return undefined;
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

/**
 * Puts a file with secrets in the place of another, or makes it: whoever reads sees the old one or the new one, also
 * after a power failure. Only its owner may read it; the owner stays who it was.
 * @param before What the file was when it was read; undefined where there was none.
 * @throws FileError where it cannot be written, or is not any more what it was.
 */
export async function replacePrivateFile(
  what: string,
  path: string,
  content: string,
  before: FileStamp | undefined,
): Promise<void> {
  // Of a symbolic link, the file that it names is replaced.
  const target = before === undefined ? path : await realpath(path);
  const temporary = join(dirname(target), `.trellis-${randomBytes(8).toString('hex')}.tmp`);
  try {
    await writeNew(temporary, content, before === undefined ? undefined : await stat(target));
    if (!isSame(before, await stampOf(target)))
      throw new FileError(`The ${what} ${path} was changed by somebody else meanwhile: nothing was written, try again.`);
    await rename(temporary, target);
    await syncDirectory(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof FileError) throw error;
    throw new FileError(`Cannot write the ${what} ${path}: ${errorText(error)}.`, { cause: error });
  }
}

async function writeNew(path: string, content: string, like: { uid: number; gid: number } | undefined): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    const own = await handle.stat();
    if (like !== undefined && (own.uid !== like.uid || own.gid !== like.gid)) await handle.chown(like.uid, like.gid);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function stampOf(path: string): Promise<FileStamp | undefined> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return { inode: ino, bytes: size, modifiedNs: mtimeNs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isSame(a: FileStamp | undefined, b: FileStamp | undefined): boolean {
  return a?.inode === b?.inode && a?.bytes === b?.bytes && a?.modifiedNs === b?.modifiedNs;
}
