import type { Endpoint } from './endpoint.ts';
import type { NetworkPath } from './network-path.ts';

/** Why a link is no more. */
export interface LinkEnd {
  readonly cause:
    | 'ended' // the client ended it in order
    | 'destroyed' // the client dropped it
    | 'peer' // the broker closed it
    | 'cut' // the network profile cut it, or the device was handed over to another address
    | 'refused' // it never opened: nobody listens, DNS, TLS or WebSocket handshake
    | 'error'; // the operating system said so: reset, unreachable
  /** One clause for people, without a stack: `connect ECONNREFUSED 127.0.0.1:1883`. */
  readonly text: string;
  /**
   * True where the broker is not told: the device was handed over, or dropped a connection that was half open already.
   * The socket lingers, and the broker finds out by keep alive, takeover or when the socket goes.
   */
  readonly silent?: boolean;
}

/** Is told what happens on a {@link Link}. */
export interface LinkHandler {
  /** Bytes may be written. */
  onOpen(): void;
  /** Bytes of the broker, as cut by the network; they are the handler's to keep until it returns. */
  onBytes(chunk: Buffer): void;
  /**
   * Once, and nothing after it; not called for a link that was frozen. Of {@link Link.destroy}, and of {@link Link.end}
   * where it was not open, called before that returns.
   */
  onEnd(end: LinkEnd): void;
}

/** One network connection of a client, through its {@link NetworkPath}. Knows no MQTT. */
export interface Link {
  /** Takes bytes over (they must not change any more); they go out in order, gathered into one write per turn. */
  write(bytes: Buffer): void;
  /** Bytes taken over that the operating system has not got yet. */
  readonly bufferedBytes: number;
  /** Sends what was written, then closes. */
  end(): void;
  /** Closes now; what was written and not yet sent is lost. */
  destroy(): void;
  /**
   * Falls silent without closing: nothing goes out, nothing comes in, and the broker is not told, as when a device
   * loses its radio or its address. The socket is destroyed when `forMs` are over.
   */
  freeze(forMs: number): void;
}

/** Opens links; one per thread. */
export interface LinkFactory {
  /** Opens a link to `endpoint`; what happens is told to `handler`, never before this call has returned. */
  open(endpoint: Endpoint, path: NetworkPath, handler: LinkHandler): Link;
}
