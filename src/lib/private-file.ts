import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorText } from './error-text.ts';

const FILE_MODE = 0o600;

/** What a file was before it was read, so that a change since then is noticed. */
export interface FileStamp {
  readonly inode: bigint;
  readonly bytes: bigint;
  readonly modifiedNs: bigint;
}

/**
 * Puts a file with secrets in the place of another, or makes it: whoever reads sees the old one or the new one, also
 * after a power failure. Only its owner may read it; the owner stays who it was.
 * @param before What the file was before it was read; undefined where there was none.
 * @throws Error of one sentence that names the file where it cannot be written, or is not any more what it was.
 */
export async function replacePrivateFile(path: string, content: string, before: FileStamp | undefined): Promise<void> {
  // Of a symbolic link, the file that it names is replaced.
  const target = before === undefined ? path : await realpath(path);
  const temporary = join(dirname(target), `.trellis-${randomBytes(8).toString('hex')}.tmp`);
  try {
    await writeNew(temporary, content, before === undefined ? undefined : await stat(target));
    if (!isSame(before, await stampOf(target))) throw new Error('it was changed by somebody else meanwhile, try again');
    await rename(temporary, target);
    await syncDirectory(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true });
    throw new Error(`Cannot write ${path}: ${errorText(error)}.`, { cause: error });
  }
}

async function writeNew(path: string, content: string, like: { uid: number; gid: number } | undefined): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    await handle.chmod(FILE_MODE);
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

/** What a file is now; undefined where there is none. To be asked before it is read. */
export async function stampOf(path: string): Promise<FileStamp | undefined> {
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
