import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';

/** One connection as the server sees it. */
export interface Accepted {
  readonly socket: Socket;
  /** Everything that came so far. */
  received(): Buffer;
  /** Resolves when `length` bytes came. */
  untilReceived(length: number): Promise<Buffer>;
  /** Resolves when the connection is no more, with everything that came. */
  readonly closed: Promise<Buffer>;
  /** What came, as it was cut by the network: of WebSocket the contents of the frames. */
  chunks(): readonly Buffer[];
  send(bytes: Buffer): void;
  /** Of WebSocket; anything else has no text. */
  sendText(text: string): void;
  /** Closes in order, behind everything sent. */
  close(): void;
  /** Closes with RST. */
  reset(): void;
}

type Collecting = Accepted & { take(chunk: Buffer): void };

/** A server on a free port of this machine that keeps what it gets, for tests of links. */
export class LoopbackServer {
  readonly #server: Server;
  readonly #accepted: Accepted[] = [];
  readonly #waiting: ((accepted: Accepted) => void)[] = [];
  /** Below TLS, by the port of the other side. */
  readonly #sockets = new Map<number, Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      const port = socket.remotePort ?? 0;
      this.#sockets.set(port, socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(port));
    });
  }

  /** Plain TCP, or TLS where `tls` says how. */
  static async tcp(tls?: TlsOptions): Promise<LoopbackServer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const loopback = new LoopbackServer(server);
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => loopback.#accept(socket));
    return loopback.#listen();
  }

  /** WebSocket; what is sent and received is the content of binary frames. */
  static async webSocket(path = '/mqtt', tls?: TlsOptions): Promise<LoopbackServer> {
    const { createServer: createHttp } = await import('node:http');
    const { createServer: createHttps } = await import('node:https');
    const server = tls === undefined ? createHttp() : createHttps(tls);
    const loopback = new LoopbackServer(server);
    const webSockets = new WebSocketServer({
      server,
      path,
      handleProtocols: (offered) => offered.has('mqtt') && 'mqtt',
    });
    webSockets.on('connection', (webSocket, request) => {
      const accepted = loopback.#collect(request.socket, webSocket);
      webSocket.on('error', () => {});
      webSocket.on('message', (data, isBinary) =>
        accepted.take(isBinary ? (data as Buffer) : Buffer.from('text frame')),
      );
      loopback.#announce(accepted);
    });
    return loopback.#listen();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection that nobody has asked for yet. */
  accepted(): Promise<Accepted> {
    const accepted = this.#accepted.shift();
    if (accepted !== undefined) return Promise.resolve(accepted);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  #accept(socket: Socket): void {
    const accepted = this.#collect(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => accepted.take(chunk));
    this.#announce(accepted);
  }

  #announce(accepted: Accepted): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#accepted.push(accepted);
    else waiting(accepted);
  }

  #collect(socket: Socket, webSocket?: WebSocket): Collecting {
    const port = socket.remotePort ?? 0;
    const chunks: Buffer[] = [];
    let count = 0;
    const waiting: (() => void)[] = [];
    const received = (): Buffer => Buffer.concat(chunks);
    const closed = new Promise<Buffer>((resolve) => {
      socket.once('close', () => resolve(received()));
    });
    return {
      socket,
      received,
      closed,
      chunks: () => chunks,
      send: (bytes) => (webSocket === undefined ? void socket.write(bytes) : webSocket.send(bytes)),
      sendText: (text) => webSocket?.send(text),
      close: () => (webSocket === undefined ? void socket.end() : webSocket.close(1000)),
      reset: () => void this.#sockets.get(port)?.resetAndDestroy(),
      take: (chunk) => {
        chunks.push(chunk);
        count += chunk.length;
        for (const check of waiting) check();
      },
      untilReceived: (length) =>
        new Promise((resolve) => {
          const check = (): void => {
            if (count >= length) resolve(received());
          };
          waiting.push(check);
          check();
        }),
    };
  }
}
