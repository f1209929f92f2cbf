/**
 * How bytes arrive and leave, whatever the transport: TCP, Unix socket, WebSocket, the first and the last also in TLS.
 * Knows no MQTT.
 */
export interface ByteStream extends PeerIdentity {
  /**
   * Where the peer is, for logs and hooks: `127.0.0.1:51234`, or the path of a Unix socket; behind a balancer that may say
   * so, where that has the peer.
   */
  readonly remoteAddress: string;
  /** Which listener accepted it: `tcp`, `tls`, `websocket`, `secure-websocket`, `unix`. */
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

/** A certificate that a client proved to have, issued by an authority that the listener trusts. */
export interface ClientCertificate {
  /** Common name of its subject; empty for none, and for several, which would leave open who it is. */
  readonly commonName: string;
  /** Its alternative names, such as `DNS:sensor-1.example`, `email:a@example.org`, `URI:urn:uuid:...`. */
  readonly alternativeNames: readonly string[];
  /** SHA-256 of the certificate, in upper-case hexadecimal with colons. */
  readonly fingerprint: string;
}

/** Who TLS says the peer is; both undefined where it says nothing. */
export interface PeerIdentity {
  /** Verified: never one that is expired, revoked or of another authority. */
  readonly certificate?: ClientCertificate | undefined;
  /** The identity whose pre-shared key it has. */
  readonly pskIdentity?: string | undefined;
}

/** Who is told of what happens on a stream. */
export interface ByteStreamHandler {
  /** Bytes that a transport may hold back until what it makes of them is whole (a WebSocket message); any number unless there. */
  readonly packetBytesMax?: number;
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
  /**
   * What it listens on, for people: `mqtt://127.0.0.1:1883`, `mqtts://127.0.0.1:8883`, `ws://127.0.0.1:8083/mqtt`,
   * `wss://127.0.0.1:8084/mqtt`, `unix:/run/trellis.sock`.
   */
  readonly url: string;
  /** The real port, 0 for a Unix socket. */
  readonly port: number;
  /** Stops accepting; established streams stay. */
  close(): Promise<void>;
}

/** An open listening socket whose peers must speak TLS. */
export interface SecureListener extends Listener {
  /**
   * Reads certificates, keys, lists and identities anew, for connections to come; those there are live on. Sessions of TLS
   * from before are not resumed any more, so that a certificate revoked meanwhile is looked at again.
   * @throws Error that names the file, when one cannot be used; then all stays as it was.
   */
  reload(): Promise<void>;
}

/** Told of each accepted stream. */
export type OnStream = (stream: ByteStream) => void;
