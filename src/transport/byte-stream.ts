/**
 * How bytes arrive and leave, whatever the transport: TCP, Unix socket, WebSocket, later TLS. Knows no MQTT.
 */
export interface ByteStream {
  /** Where the peer is, for logs and hooks: `127.0.0.1:51234`, or the path of a Unix socket. */
  readonly remoteAddress: string;
  /** Which listener accepted it: `tcp`, `websocket`, `unix`. */
  readonly transport: string;
  /** Sets who is told of what happens; called once, before the first byte is delivered. */
  attach(handler: ByteStreamHandler): void;
  /**
   * Sends the bytes in order.
   * @returns true when it is done with them: they were handed to the kernel, and the caller may use their memory again.
   *   False when it could not hand over all at once: it holds on to them, and `onDrain` follows once they have left.
   */
  write(bytes: Uint8Array): boolean;
  /** Stops reading; the peer feels back-pressure. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Sends what was written, then closes the sending side; reading goes on until the peer closes or `destroy`. */
  end(): void;
  /** Closes at once, in both directions; `onClose` follows. */
  destroy(): void;
}

/** Who is told of what happens on a stream. */
export interface ByteStreamHandler {
  /** Bytes came in. The chunk belongs to the handler from here on. */
  onBytes(chunk: Buffer): void;
  /** What `write` could not hand over at once has left. */
  onDrain(): void;
  /** The peer closed its sending side; nothing more comes in. */
  onEnd(): void;
  /** The stream is gone; nothing follows. Called exactly once. */
  onClose(error: Error | undefined): void;
}

/** An open listening socket. */
export interface Listener {
  /** What it listens on, for people: `mqtt://127.0.0.1:1883`, `ws://127.0.0.1:8083/mqtt`, `unix:/run/trellis.sock`. */
  readonly url: string;
  /** The real port, 0 for a Unix socket. */
  readonly port: number;
  /** Stops accepting; established streams stay. */
  close(): Promise<void>;
}

/** Told of each accepted stream. */
export type OnStream = (stream: ByteStream) => void;
