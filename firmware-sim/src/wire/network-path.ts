/** How bad the network between a device and its broker is; everything absent is as good as the real network. */
export interface NetworkProfile {
  /** Added to each direction, ms; a range is drawn anew for each chunk, order is kept. */
  readonly latencyMs?: number | readonly [low: number, high: number];
  /** Each direction, bytes per second. */
  readonly bandwidth?: number;
  /** Mean time to a cut, s; cuts come at random. */
  readonly cutEverySeconds?: number;
  /**
   * Cuts the connection when exactly this many bytes, both directions together, went over it, be it amid a packet.
   * Bytes on the wire: the handshakes and frames of TLS and WebSocket count.
   */
  readonly cutAtByte?: number;
  /** Of the cuts, the part (0 to 1) that nobody is told of: the connection stays half open. */
  readonly halfOpen?: number;
  /** How long a half-open connection lingers before its socket goes, s; 60 unless said otherwise. */
  readonly halfOpenSeconds?: number;
  /** Mean time to a mobile hand-over, s: the old connection stays half open, the next comes from a new address. */
  readonly handOverEverySeconds?: number;
  /** The client reads at most this many bytes per second. */
  readonly readRate?: number;
}

/** The state of one device's network over all its connections. */
export interface NetworkPath {
  readonly profile: NetworkProfile;
  /** Local address of the next connection; undefined leaves it to the system. Changes with each hand-over on loopback. */
  readonly localAddress: string | undefined;
}
