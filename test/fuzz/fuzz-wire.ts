import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Random } from '../fakes/random.ts';
import type { ClientSocketHandler } from '../support/client-socket.ts';

/** What was made wrong of the bytes on their way, so that the transport itself has to refuse them. */
export interface Tampering {
  readonly kind: string;
  /** Whether the broker may take other bytes for the client's; if not, it gets the first of them at most. */
  readonly forges: boolean;
}

/** A client's end of a connection to a broker that is being fuzzed. */
export interface FuzzWire {
  write(bytes: Buffer): void;
  /** Ends it in good order. */
  end(): void;
  /** Breaks it off. */
  reset(): void;
  /** What was made wrong first; undefined for nothing. Final when the connection has closed. */
  readonly tampered: Tampering | undefined;
}

/** Opens a connection. The random numbers decide what the transport makes of it. @throws Error where none comes about. */
export type OpenWire = (url: URL, handler: ClientSocketHandler, random: Random) => Promise<FuzzWire>;

/** Opens a TCP connection whose bytes go to `onData`. @throws Error where it is refused. */
export async function openSocket(
  url: URL,
  onData: (chunk: Buffer) => void,
  onClose: (reset: boolean) => void,
): Promise<Socket> {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  await once(socket, 'connect');
  let isReset = false;
  socket.on('error', () => {
    isReset = true;
  });
  socket.on('data', onData);
  socket.on('close', () => onClose(isReset));
  return socket;
}

/** Breaks a connection off, behind all that was written. */
export function breakOff(socket: Socket): void {
  // Node ends it first in any case; where the broker breaks off meanwhile, it would then fail and never close its socket.
  socket.end(() => socket.resetAndDestroy());
}

/** A TCP connection; nothing is made wrong on it. */
export async function openTcp(url: URL, handler: ClientSocketHandler): Promise<FuzzWire> {
  const socket = await openSocket(
    url,
    (chunk) => handler.onBytes(chunk),
    (reset) => handler.onClose(reset),
  );
  return {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    reset: () => breakOff(socket),
    tampered: undefined,
  };
}
