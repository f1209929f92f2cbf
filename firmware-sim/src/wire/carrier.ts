import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, type SecureContext } from 'node:tls';
import { WebSocket } from 'ws';
import type { Timers } from '../lib/timers.ts';
import type { Endpoint } from './endpoint.ts';
import type { DevicePath } from './paths.ts';
import { ShapedStream } from './shaped-stream.ts';

/** Is told what happens to a {@link Carrier}; nothing comes after onGone. */
export interface CarrierHandler {
  onReady(): void;
  /** The bytes are the handler's until it returns. */
  onBytes(chunk: Buffer): void;
  /** `error` is undefined where the peer closed in order. */
  onGone(error: Error | undefined): void;
  /** The profile's `cutAtByte` bytes went over the connection, which is still there. */
  onCutDue(): void;
}

/** What carriers of one factory share. */
export interface CarrierContext {
  readonly timers: Timers;
  /** All sockets read into this, one after the other; undefined where the system reads ahead. */
  readonly readBuffer: Buffer | undefined;
  /** For the two TLS transports; made once for all connections with the same options. */
  secureContext(endpoint: Endpoint): SecureContext;
}

/** Where to connect to, and from where. */
export interface CarrierTarget {
  readonly endpoint: Endpoint;
  readonly localAddress: string | undefined;
  /** For bytes to be held back or counted; undefined goes straight to the socket. */
  readonly shaping: DevicePath | undefined;
}

/** The largest message of MQTT and some; a frame that is longer ends the connection. */
const frameBytesMax = 256 * 1024 * 1024 + 1024;

const binary: { readonly binary: true } = { binary: true };

/**
 * A connection that carries bytes: TCP, with TLS on it or not, with WebSocket on that or not, with a bad network right
 * above TCP or not. Only what is asked for is there; plain TCP on a good network is the socket and nothing else.
 *
 *     socket [ShapedStream] [TLSSocket] [WebSocket]
 */
export class Carrier {
  readonly #context: CarrierContext;
  readonly #target: CarrierTarget;
  readonly #handler: CarrierHandler;
  readonly #socket: Socket;
  #shaped: ShapedStream | undefined;
  /** What is written to, unless there is a WebSocket. */
  #top: Duplex;
  #webSocket: WebSocket | undefined;
  #state: 'open' | 'silent' | 'gone' = 'open';
  #error: Error | undefined;

  /** @throws Error where the system cannot even try: a local address that is none, a broken certificate. */
  constructor(context: CarrierContext, target: CarrierTarget, handler: CarrierHandler) {
    this.#context = context;
    this.#target = target;
    this.#handler = handler;
    const { transport } = target.endpoint;
    const isDirect = target.shaping === undefined;
    const isSecure = transport === 'tls' || transport === 'wss';
    const options = this.#tcpOptions(isDirect && (transport === 'tcp' || transport === 'tls'));
    this.#socket = isDirect && isSecure ? connectTls({ ...options, ...this.#tlsOptions() }) : connectTcp(options);
    this.#top = this.#socket;
    this.#watch(this.#socket);
    const onConnected = isDirect ? (): void => this.#onStreamReady() : (): void => this.#onShapedConnect();
    this.#socket.once(isDirect && isSecure ? 'secureConnect' : 'connect', onConnected);
  }

  /** Bytes the operating system has not got yet. */
  get bufferedBytes(): number {
    const above = this.#webSocket?.bufferedAmount ?? this.#top.writableLength;
    return above + (this.#shaped?.queuedBytes ?? 0);
  }

  write(bytes: Buffer): void {
    if (this.#state !== 'open') return;
    if (this.#webSocket !== undefined) this.#webSocket.send(bytes, binary);
    else if (this.#top.writable) this.#top.write(bytes);
  }

  /** Closes when everything written is sent. */
  end(): void {
    if (this.#webSocket !== undefined) this.#webSocket.close(1000);
    else this.#top.end();
  }

  /** Closes now; onGone is not called any more. */
  destroy(): void {
    this.#state = 'gone';
    if (this.#top !== this.#socket) this.#top.destroy();
    this.#socket.destroy();
  }

  /** Closes as a cut does: without a word of TLS or WebSocket; what a bad network let through still gets there. */
  cut(): void {
    this.#state = 'gone';
    if (this.#shaped === undefined) {
      this.#socket.destroy();
      return;
    }
    this.#shaped.silence();
    this.#socket.once('close', () => this.#top.destroy());
    this.#socket.destroySoon();
  }

  /** Lets nothing through any more, without closing. */
  silence(): void {
    this.#state = 'silent';
    this.#shaped?.silence();
    this.#webSocket?.pause();
    this.#top.pause();
    this.#socket.pause();
    this.#socket.unref();
  }

  #tcpOptions(isRead: boolean): TcpNetConnectOpts {
    const { endpoint, localAddress } = this.#target;
    const { readBuffer } = this.#context;
    return {
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress, family: isIP(localAddress) }),
      ...(isRead && readBuffer !== undefined
        ? { onread: { buffer: readBuffer, callback: (length, buffer) => this.#onRead(length, buffer as Buffer) } }
        : {}),
    };
  }

  #tlsOptions(): ConnectionOptions {
    const { endpoint } = this.#target;
    return {
      secureContext: this.#context.secureContext(endpoint),
      rejectUnauthorized: endpoint.tls?.verify ?? true,
      ...(isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}),
    };
  }

  #watch(stream: Duplex): void {
    stream.on('error', (error) => {
      this.#error ??= error;
    });
    stream.on('close', () => {
      if (stream === this.#top) this.#onClose();
      // What is above may have bytes or an error to tell yet; a bad network ends only when all it carried is there.
      else if (stream !== this.#socket || this.#shaped === undefined) setImmediate(() => this.#onClose());
    });
  }

  #onRead(length: number, buffer: Buffer): boolean {
    if (this.#state === 'open') this.#handler.onBytes(buffer.subarray(0, length));
    return this.#state === 'open';
  }

  /** The handshake of TCP is one way there and one way back, before anything else. */
  #onShapedConnect(): void {
    const { shaping } = this.#target;
    if (shaping === undefined || this.#state !== 'open') return;
    const { latencyMs } = shaping.profile;
    const oneWay = typeof latencyMs === 'object' ? (latencyMs[0] + latencyMs[1]) / 2 : latencyMs;
    if (oneWay === undefined) this.#shape(shaping);
    else this.#context.timers.after(2 * oneWay, () => this.#shape(shaping));
  }

  #shape(shaping: DevicePath): void {
    if (this.#state !== 'open') return;
    const shaped = new ShapedStream(this.#socket, shaping, this.#context.timers, () => this.#handler.onCutDue());
    this.#shaped = shaped;
    this.#top = shaped;
    this.#watch(shaped);
    const { transport } = this.#target.endpoint;
    if (transport === 'tcp' || transport === 'ws') return this.#onStreamReady();
    const secured = connectTls({ ...this.#tlsOptions(), socket: shaped });
    this.#top = secured;
    this.#watch(secured);
    secured.once('secureConnect', () => this.#onStreamReady());
  }

  /** TCP and TLS are there; the WebSocket, where there is one, comes on top. */
  #onStreamReady(): void {
    if (this.#state !== 'open') return;
    const { endpoint } = this.#target;
    if (endpoint.transport === 'ws' || endpoint.transport === 'wss') return this.#upgrade();
    this.#top.on('end', () => this.#onClose());
    const isRead = this.#top === this.#socket && this.#context.readBuffer !== undefined;
    if (!isRead) this.#top.on('data', (chunk: Buffer) => this.#onRead(chunk.length, chunk));
    this.#handler.onReady();
  }

  #upgrade(): void {
    const { host, port, path, transport } = this.#target.endpoint;
    const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const webSocket = new WebSocket(`ws://${authority}${path}`, 'mqtt', {
      createConnection: () => this.#top as Socket,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: frameBytesMax,
      ...(transport === 'wss' ? { headers: { Host: authority } } : {}),
    });
    this.#webSocket = webSocket;
    webSocket.on('error', (error) => {
      this.#error ??= error;
    });
    webSocket.on('open', () => {
      if (this.#state === 'open') this.#handler.onReady();
      else if (this.#state === 'silent') webSocket.pause();
    });
    webSocket.on('message', (data, isBinary) => this.#onFrame(data as Buffer, isBinary));
    webSocket.on('close', () => this.#onClose());
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    if (this.#state !== 'open') return;
    if (isBinary) {
      this.#handler.onBytes(data);
      return;
    }
    this.#error = new Error('the broker sent a text frame, which MQTT over WebSocket never has');
    this.#onClose();
  }

  #onClose(): void {
    if (this.#state === 'gone') return;
    const isTold = this.#state === 'open';
    this.destroy();
    if (isTold) this.#handler.onGone(this.#error);
  }
}
