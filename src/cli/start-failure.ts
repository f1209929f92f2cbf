import { statSync } from 'node:fs';
import type { Config } from '../config.ts';
import { StoreError } from '../store/store.ts';
import { CommandError, ExitCode } from './errors.ts';

/** Errors of the file system that the user mends by naming another directory or giving rights. */
const directoryCodes: ReadonlySet<string | undefined> = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'ENOENT',
  'EEXIST',
  'EISDIR',
]);

/** System calls that fail where an address cannot be listened on; in a worker, whose parent listens, it is the second one. */
const listenCalls: ReadonlySet<string | undefined> = new Set(['listen', 'bind']);

/** Turns what went wrong while the broker started into a sentence that says what to do. */
export function startFailure(error: unknown, config: Config): CommandError {
  if (!(error instanceof Error)) return new CommandError(String(error));
  if (error instanceof StoreError) {
    const wrongPlace = directoryCodes.has((error.cause as NodeJS.ErrnoException | undefined)?.code);
    const usage = wrongPlace || (config.store.type === 'embedded' && isOtherThanDirectory(config.store.data));
    return new CommandError(error.message, usage ? ExitCode.usage : ExitCode.failure);
  }
  const { code, syscall, port, address, hostname, path } = error as NodeJS.ErrnoException & {
    port?: number;
    address?: string;
    hostname?: string;
  };
  if (syscall === 'getaddrinfo') {
    return new CommandError(
      `The host ${hostname ?? '?'} to listen on has no address here; name another with --host.`,
      ExitCode.usage,
    );
  }
  if (listenCalls.has((error.cause as NodeJS.ErrnoException | undefined)?.syscall)) {
    // The listener found out more than the system call says, and has put it into words.
    return new CommandError(error.message, ExitCode.usage);
  }
  if (!listenCalls.has(syscall)) return new CommandError(`Trellis could not start: ${error.message}.`);
  const sentence =
    port === undefined || port === -1
      ? unixFailure(code, path ?? address ?? config.listeners.unix.path)
      : portFailure(code, port, address ?? '?', port === config.listeners.websocket.port ? '--ws-port' : '--port');
  return new CommandError(
    sentence ?? `Trellis could not listen: ${error.message}.`,
    sentence === undefined ? ExitCode.failure : ExitCode.usage,
  );
}

function isOtherThanDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

function portFailure(code: string | undefined, port: number, address: string, flag: string): string | undefined {
  switch (code ?? '') {
    case 'EADDRINUSE':
      return `Port ${port} on ${address} is in use by another process: stop that one, or choose another port with ${flag} (0 takes any free one).`;
    case 'EACCES':
    case 'EPERM':
      return `No permission to listen on port ${port} on ${address}: ports below 1024 need rights of their own, so choose a higher one with ${flag}.`;
    case 'EADDRNOTAVAIL':
      return `This machine has no address ${address} to listen on: name another with --host.`;
    default:
      return undefined;
  }
}

function unixFailure(code: string | undefined, path: string): string | undefined {
  switch (code ?? '') {
    case 'EADDRINUSE':
      return `The Unix socket ${path} is in use by another process: stop that one, or set another listeners.unix.path.`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `No permission to make the Unix socket ${path}: set another listeners.unix.path.`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `The directory of the Unix socket ${path} is not there: make it, or set another listeners.unix.path.`;
    default:
      return undefined;
  }
}
