import type { Server, Socket } from 'node:net';
import type { ByteStream, ByteStreamHandler, OnStream } from './byte-stream.ts';

/** Written behind what waits in a socket so that its callback tells when that has left; puts nothing on the wire. */
const NOTHING: Uint8Array = new Uint8Array(0);

/** Whether bytes wait in this process because the kernel did not take them yet. */
export function hasUnsent(socket: Socket): boolean {
  return socket.writableLength > 0;
}

/**
 * Calls back once everything written to the socket so far has been handed to the kernel; never when the socket was ended
 * or closed before. Node's own `drain` comes only after a high-water mark was passed, this after any write that had to wait.
 */
export function afterSent(socket: Socket, callback: () => void): void {
  if (!socket.writable) return;
  socket.write(NOTHING, (error) => {
    if (!error) callback();
  });
}

/** A socket's peer as `127.0.0.1:51234` or `[::1]:51234`; `unknown` when the socket had gone before anybody asked. */
export function peerAddress(socket: Socket): string {
  const address = socket.remoteAddress;
  if (address === undefined) return 'unknown';
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain.includes(':') ? `[${plain}]:${socket.remotePort}` : `${plain}:${socket.remotePort}`;
}

/** Where a socket keeps who is told: one set of listeners serves all sockets, so that an idle one owns no closure. */
const handlerOf: unique symbol = Symbol('handler');

interface HandledSocket extends Socket {
  [handlerOf]?: ByteStreamHandler;
}

function onData(this: HandledSocket, chunk: Buffer): void {
  this[handlerOf]?.onBytes(chunk);
}

function onEnd(this: HandledSocket): void {
  this[handlerOf]?.onEnd();
}

function onClose(this: HandledSocket): void {
  this[handlerOf]?.onClose(this.errored ?? undefined);
}

/** Keeps an error from ending the process; `close` follows and hands it on. */
function onError(): void {}

/** A TCP or Unix socket as ByteStream. */
export class NodeStream implements ByteStream {
  readonly transport: string;
  readonly #socket: HandledSocket;
  readonly #path: string;
  #awaitsDrain = false;

  /** @param path the path of a Unix socket, empty for a TCP socket. */
  constructor(socket: Socket, transport: string, path: string) {
    this.#socket = socket;
    this.transport = transport;
    this.#path = path;
    socket.on('error', onError);
  }

  get remoteAddress(): string {
    return this.#path === '' ? peerAddress(this.#socket) : this.#path;
  }

  attach(handler: ByteStreamHandler): void {
    const socket = this.#socket;
    socket[handlerOf] = handler;
    if (socket.closed) {
      queueMicrotask(() => handler.onClose(socket.errored ?? undefined));
      return;
    }
    socket.on('close', onClose);
    socket.on('end', onEnd);
    socket.on('data', onData);
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    // The peer may have gone a moment ago: what nobody can receive needs no draining.
    if (!socket.writable) return true;
    socket.write(bytes);
    if (!hasUnsent(socket)) return true;
    this.#watchDrain();
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #watchDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    afterSent(this.#socket, () => {
      this.#awaitsDrain = false;
      if (hasUnsent(this.#socket)) this.#watchDrain();
      else this.#socket[handlerOf]?.onDrain();
    });
  }
}

/**
 * Starts a server and waits until it accepts connections.
 * @param listen calls the server's `listen` its own way.
 * @param onListenerError told of later errors, such as a failed accept; the server goes on accepting.
 * @throws the error of the attempt to listen, such as EADDRINUSE or EACCES.
 */
export async function startServer(
  server: Server,
  listen: () => void,
  onListenerError: (error: Error) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      server.on('error', onListenerError);
      resolve();
    });
    listen();
  });
}

/** The port a server listens on, 0 for a Unix socket. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Hands each accepted socket on as a stream. `path` as in `NodeStream`. */
export function acceptStreams(server: Server, transport: string, path: string, onStream: OnStream): void {
  server.on('connection', (socket) => onStream(new NodeStream(socket, transport, path)));
}
