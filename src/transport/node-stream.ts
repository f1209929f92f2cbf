import type { Server, Socket } from 'node:net';
import { plainAddress } from '../lib/ip-address.ts';
import type { ByteStream, ByteStreamHandler, ClientCertificate, PeerIdentity } from './byte-stream.ts';

/** Written behind what waits in a socket so that its callback tells when that has left; puts nothing on the wire. */
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * So many bytes written to a TLS socket count as sent. Node calls them sent a turn of the loop later at the soonest,
 * although they were encrypted at once and mostly lie in the kernel already.
 */
const TLS_UNSENT_BYTES = 16_384;

/** How many bytes may wait in a socket of this kind without anybody having to wait for them. */
export function unsentAllowance(socket: Socket): number {
  return 'encrypted' in socket ? TLS_UNSENT_BYTES : 0;
}

/** Whether more bytes than allowed wait in this process because the kernel did not take them yet. */
export function hasUnsent(socket: Socket, allowance: number): boolean {
  return socket.writableLength > allowance;
}

/**
 * The bytes as they may be written to the socket, and their memory used again although they do not count as unsent: a
 * copy, where an earlier write to TLS is not through and these would have to wait as they are.
 */
export function writable(socket: Socket, bytes: Uint8Array, allowance: number): Uint8Array {
  return allowance > 0 && socket.writableLength > 0 ? Buffer.from(bytes) : bytes;
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
  const plain = plainAddress(address);
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

/** Keeps an error of a socket from ending the process; `close` follows and hands it on. */
export function ignoreError(): void {}

/** What there is to know of a peer without TLS. */
export const NO_IDENTITY: PeerIdentity = {};

/** A TCP, TLS or Unix socket as ByteStream. */
export class NodeStream implements ByteStream {
  readonly transport: string;
  readonly #socket: HandledSocket;
  readonly #address: string;
  readonly #identity: PeerIdentity;
  readonly #unsentAllowance: number;
  #awaitsDrain = false;

  /** @param address where the peer is, such as the path of a Unix socket; empty to ask the socket. */
  constructor(socket: Socket, transport: string, address: string, identity: PeerIdentity = NO_IDENTITY) {
    this.#socket = socket;
    this.transport = transport;
    this.#address = address;
    this.#identity = identity;
    this.#unsentAllowance = unsentAllowance(socket);
    socket.on('error', ignoreError);
  }

  get remoteAddress(): string {
    return this.#address === '' ? peerAddress(this.#socket) : this.#address;
  }

  get certificate(): ClientCertificate | undefined {
    return this.#identity.certificate;
  }

  get pskIdentity(): string | undefined {
    return this.#identity.pskIdentity;
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
    socket.write(writable(socket, bytes, this.#unsentAllowance));
    if (!hasUnsent(socket, this.#unsentAllowance)) return true;
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
      if (hasUnsent(this.#socket, this.#unsentAllowance)) this.#watchDrain();
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
