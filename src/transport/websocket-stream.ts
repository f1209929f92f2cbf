import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import type { ByteStream, ByteStreamHandler, ClientCertificate } from './byte-stream.ts';
import type { Peer } from './handshakes.ts';
import { afterSent, hasUnsent, peerAddress, unsentAllowance, writable } from './node-stream.ts';

/** Close codes of RFC 6455, section 7.4.1. */
const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;
const MESSAGE_TOO_BIG = 1009;
/** Reported when the connection ended without a close frame; never sent. */
const ABNORMAL_CLOSURE = 1006;

/** What the header of a ping or pong of a client takes: its payload is short, and masked. */
const CONTROL_HEADER_BYTES = 6;
/** So many bytes of a message that is not whole may be there beyond what its reader takes: headers, and what one read brings. */
const GATHERED_SLACK = 65_536;

/** Binary frames whatever the type of the data; made once. */
const BINARY: { readonly binary: true } = { binary: true };

/**
 * A WebSocket as ByteStream: each write goes out as one binary frame, and the contents of the frames that come in are one
 * stream of bytes, wherever the frames begin and end.
 */
export class WebSocketStream implements ByteStream {
  readonly transport: string;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #unsentAllowance: number;
  #handler: ByteStreamHandler | undefined;
  #state: 'open' | 'refused' | 'destroyed' = 'open';
  #paused = true;
  /** Frames of an already read chunk that had to wait for the reader; undefined when none do. */
  #held: Buffer[] | undefined;
  #error: Error | undefined;
  #awaitsDrain = false;
  /** Bytes read since the last whole message. */
  #gatheredBytes = 0;
  #isWhole = false;

  /** @param socket what the WebSocket runs on, plain or TLS. */
  constructor(webSocket: WebSocket, socket: Socket, peer: Peer) {
    this.transport = 'encrypted' in socket ? 'secure-websocket' : 'websocket';
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#peer = peer;
    this.#unsentAllowance = unsentAllowance(socket);
    webSocket.pause(); // until somebody attaches
    webSocket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    webSocket.on('ping', (data) => this.#noteControl(data));
    webSocket.on('pong', (data) => this.#noteControl(data));
    // Behind the listener of the WebSocket, which has made messages of it by then.
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk.length));
    webSocket.on('error', (error) => {
      this.#error ??= error;
    });
    webSocket.on('close', (code) => this.#onClose(code));
  }

  get remoteAddress(): string {
    return this.#peer.address === '' ? peerAddress(this.#socket) : this.#peer.address;
  }

  get certificate(): ClientCertificate | undefined {
    return this.#peer.certificate;
  }

  get pskIdentity(): string | undefined {
    return this.#peer.pskIdentity;
  }

  attach(handler: ByteStreamHandler): void {
    this.#handler = handler;
    if (this.#webSocket.readyState === this.#webSocket.CLOSED) queueMicrotask(() => handler.onClose(this.#error));
    else this.resume();
  }

  write(bytes: Uint8Array): boolean {
    const webSocket = this.#webSocket;
    // The peer may have gone a moment ago: what nobody can receive needs no draining.
    if (webSocket.readyState !== webSocket.OPEN) return true;
    webSocket.send(writable(this.#socket, bytes, this.#unsentAllowance), BINARY); // [MQTT-6.0.0-1]
    if (!hasUnsent(this.#socket, this.#unsentAllowance)) return true;
    this.#watchDrain();
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#webSocket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#held === undefined) this.#webSocket.resume();
    else process.nextTick(() => this.#deliverHeld());
  }

  end(): void {
    this.#webSocket.close(NORMAL_CLOSURE);
  }

  destroy(): void {
    this.#state = 'destroyed';
    this.#held = undefined;
    this.#webSocket.terminate();
  }

  #watchDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    afterSent(this.#socket, () => {
      this.#awaitsDrain = false;
      if (hasUnsent(this.#socket, this.#unsentAllowance)) this.#watchDrain();
      else this.#handler?.onDrain();
    });
  }

  #deliverHeld(): void {
    const held = this.#held ?? [];
    let delivered = 0;
    for (const frame of held) {
      if (this.#paused || this.#state !== 'open') break;
      delivered++;
      this.#handler?.onBytes(frame);
    }
    this.#held = delivered < held.length && this.#state === 'open' ? held.slice(delivered) : undefined;
    if (!this.#paused) this.#webSocket.resume();
  }

  /** Control frames may come amid the fragments of a message, and are no part of it. */
  #noteControl({ length }: Buffer): void {
    this.#gatheredBytes -= CONTROL_HEADER_BYTES + length;
  }

  /** What is not a whole message yet is held here: no more of it than whoever takes it has use for. */
  #onChunk(bytes: number): void {
    this.#gatheredBytes = this.#isWhole ? 0 : this.#gatheredBytes + bytes;
    this.#isWhole = false;
    if (this.#gatheredBytes <= GATHERED_SLACK || this.#state !== 'open') return;
    const max = this.#handler?.packetBytesMax ?? Number.POSITIVE_INFINITY;
    if (this.#gatheredBytes <= max + GATHERED_SLACK) return;
    this.#refuse(MESSAGE_TOO_BIG, `messages of more than ${max} bytes are not taken now`);
    // Nothing is gathered any more until it has gone.
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
  }

  #refuse(code: number, sentence: string): void {
    this.#state = 'refused';
    this.#error = new Error(`The WebSocket was closed: ${sentence}.`);
    this.#webSocket.close(code, sentence);
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    this.#isWhole = true;
    if (this.#state !== 'open') return;
    // All data comes as Buffer because `binaryType` is left at "nodebuffer".
    if (!isBinary || !Buffer.isBuffer(data)) {
      this.#refuse(UNSUPPORTED_DATA, 'MQTT travels in binary frames only'); // [MQTT-6.0.0-1]
      return;
    }
    // [MQTT-6.0.0-2]: what is in the frames matters, not where they begin and end.
    if (this.#paused || this.#held !== undefined) (this.#held ??= []).push(data);
    else this.#handler?.onBytes(data);
  }

  #onClose(code: number): void {
    const handler = this.#handler;
    if (this.#state === 'open' && code === ABNORMAL_CLOSURE) {
      this.#error ??= new Error('The connection ended without a close frame.');
    } else if (this.#state === 'open') {
      for (const frame of this.#held ?? []) handler?.onBytes(frame);
      handler?.onEnd();
    }
    this.#state = 'destroyed';
    handler?.onClose(this.#error);
  }
}
