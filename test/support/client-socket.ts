import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';

/** Who is told of what happens on a client's socket. */
export interface ClientSocketHandler {
  onBytes(chunk: Buffer): void;
  /** The socket is gone, exactly once; `reset` tells that the peer broke it off instead of ending it. */
  onClose(reset: boolean): void;
}

/** A client's end of a TCP or WebSocket connection, reduced to bytes. */
export interface ClientSocket {
  write(bytes: Uint8Array): void;
  /** Stops reading, so that the broker feels a slow reader. */
  pause(): void;
  resume(): void;
  /** Closes it at once; the broker sees an end of the stream without DISCONNECT. */
  destroy(): void;
}

/** Opens a TCP connection. @throws Error when it is refused. */
export function openTcp(host: string, port: number, handler: ClientSocketHandler): Promise<ClientSocket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host, port, noDelay: true });
    let reset = false;
    socket.once('connect', () => {
      resolve({
        write: (bytes) => void socket.write(bytes),
        pause: () => void socket.pause(),
        resume: () => void socket.resume(),
        destroy: () => void socket.destroy(),
      });
    });
    socket.on('error', (error) => {
      reset = true;
      reject(error);
    });
    socket.on('data', (chunk: Buffer) => handler.onBytes(chunk));
    socket.on('close', () => handler.onClose(reset));
  });
}

/** Opens a TLS connection. @throws Error when its handshake fails. */
export function openTls(options: ConnectionOptions, handler: ClientSocketHandler): Promise<ClientSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(options);
    socket.once('secureConnect', () => {
      resolve({
        write: (bytes) => void socket.write(bytes),
        pause: () => void socket.pause(),
        resume: () => void socket.resume(),
        destroy: () => void socket.destroy(),
      });
    });
    let reset = false;
    socket.on('error', (error) => {
      reset = true;
      reject(error);
    });
    socket.on('data', (chunk: Buffer) => handler.onBytes(chunk));
    socket.on('close', () => handler.onClose(reset));
  });
}

/** Opens a WebSocket that offers these sub-protocols. @throws Error when the handshake is refused. */
export function openWebSocket(
  url: string,
  handler: ClientSocketHandler,
  subProtocols: readonly string[] = ['mqtt'],
): Promise<ClientSocket & { webSocket: WebSocket }> {
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url, [...subProtocols], { perMessageDeflate: false });
    let reset = false;
    webSocket.once('open', () => {
      resolve({
        webSocket,
        write: (bytes) => webSocket.send(bytes, { binary: true }),
        pause: () => webSocket.pause(),
        resume: () => webSocket.resume(),
        destroy: () => webSocket.terminate(),
      });
    });
    webSocket.on('error', (error) => {
      reset = true;
      reject(error);
    });
    webSocket.on('message', (data: Buffer, isBinary: boolean) => {
      // A text frame from the broker breaks [MQTT-6.0.0-1]; as its bytes are no packet, cut it off visibly.
      if (isBinary) handler.onBytes(data);
      else webSocket.terminate();
    });
    webSocket.on('close', (code) => handler.onClose(reset || code === 1006));
  });
}
