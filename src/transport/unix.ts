import { lstat, chmod, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Listener, OnStream } from './byte-stream.ts';
import { NodeStream, startServer } from './node-stream.ts';

/** Where to accept connections to a Unix socket. */
export interface UnixOptions {
  /** The path of the socket file, at most 107 bytes on Linux. */
  readonly path: string;
}

/** Whoever may read and write the file may connect: its owner and its group. */
const SOCKET_MODE = 0o660;

/** What stands at the path of a socket that could not be bound. */
type Occupant = 'live-socket' | 'stale-socket' | 'other-file';

async function occupantOf(path: string): Promise<Occupant> {
  // Connecting to a plain file is refused just as connecting to a stale socket is, so look first what it is.
  if (!(await lstat(path)).isSocket()) return 'other-file';
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve('live-socket');
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      // Any other refusal (no rights, a full backlog) does not prove that nobody is there.
      resolve(error.code === 'ECONNREFUSED' ? 'stale-socket' : 'live-socket');
    });
  });
}

/** Removes the socket file that a dead process left at the path; whatever else is there stays. */
export async function removeStaleSocket(path: string): Promise<void> {
  try {
    if ((await occupantOf(path)) === 'stale-socket') await unlink(path);
  } catch (error) {
    // Nothing is there; or it cannot be looked at, and then it cannot be listened on either, and the listener says why.
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}

/** Makes way for a listener. @throws where the file at the path is not one that a dead process left. */
async function removeStale(path: string, cause: unknown): Promise<void> {
  switch (await occupantOf(path)) {
    case 'stale-socket':
      await unlink(path);
      return;
    case 'live-socket':
      throw new Error(`Cannot listen on ${path}: another process is listening on it.`, { cause });
    case 'other-file':
      throw new Error(`Cannot listen on ${path}: there is a file that is not a socket.`, { cause });
  }
}

/**
 * Accepts connections to a Unix socket of mode 0660; the file goes away when the listener closes.
 * A socket file that a dead process left behind is replaced.
 * @param onError told when accepting fails; accepting goes on. (Without a free file descriptor Node accepts new connections
 *   on a spare one only to close them, and mostly tells nobody.)
 * @throws when another process listens on the path, when it holds something else, or when it cannot be made.
 */
export async function listenUnix(
  options: UnixOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener> {
  const { path } = options;
  const server = createServer({ allowHalfOpen: true });
  server.on('connection', (socket) => onStream(new NodeStream(socket, 'unix', path)));
  try {
    await startServer(server, () => server.listen(path), onError);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    await removeStale(path, error);
    await startServer(server, () => server.listen(path), onError);
  }
  await chmod(path, SOCKET_MODE);
  return { url: `unix:${path}`, port: 0, close: async () => void server.close() };
}
