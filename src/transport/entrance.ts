import { createServer, type Socket } from 'node:net';
import { type Handshake, type HandshakeOptions, Handshakes } from './handshakes.ts';
import { AddressRanges, hostOf } from '../lib/ip-address.ts';
import { portOf, startServer } from './node-stream.ts';
import { addressBehind, readProxyHeader } from './proxy-protocol.ts';
import { urlAuthority } from './url-authority.ts';

/** Where to accept connections, and what is to come before the bytes of a client. */
export interface EntranceOptions {
  /** An address or name of this machine. */
  readonly host: string;
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number;
  /** How many connections the kernel may hold that are not accepted yet; 1024 unless given, capped by net.core.somaxconn. */
  readonly backlog?: number;
  /**
   * Addresses and networks of balancers (`192.0.2.1`, `10.0.0.0/8`, `fd00::/8`) that must begin each connection with a
   * header of the PROXY protocol, version 1 or 2; none unless given. From anybody else such a header is not looked at.
   */
  readonly balancers?: readonly string[];
  readonly handshake?: HandshakeOptions;
  /** Whether a client is sent away by its address before anything is spent on its handshake; nobody unless given. */
  readonly turnsAway?: (address: string) => boolean;
}

/** Who takes what was accepted. */
export interface EntranceHandler {
  /** Whether one direction goes on after the other has ended; if not, a peer that ends in its handshake is gone at once. */
  readonly allowHalfOpen: boolean;
  /** The header of a balancer has been read, or none was due; whoever takes it goes on with the handshake. */
  readonly onHandshake: (handshake: Handshake) => void;
  /** Takes sockets that no balancer sent, where nothing else is to come before the bytes of the client. */
  readonly onSocket?: (socket: Socket) => void;
}

/** An open listening socket on a port. */
export interface Entrance {
  /** `127.0.0.1:1883`, as it stands in a URL. */
  readonly authority: string;
  readonly port: number;
  /** Stops accepting before it returns, and closes what is in a handshake; established streams stay. */
  close(): Promise<void>;
}

/**
 * Accepts TCP connections, with TCP_NODELAY.
 * @param onError told when accepting fails; accepting goes on. (Without a free file descriptor Node accepts new connections
 *   on a spare one only to close them, and mostly tells nobody.)
 * @throws when the address cannot be listened on (EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOTFOUND in `code`), or when an entry
 *   of `balancers` is neither an address nor a network.
 */
export async function openEntrance(
  options: EntranceOptions,
  handler: EntranceHandler,
  onError: (error: Error) => void,
): Promise<Entrance> {
  const { host, backlog = 1024 } = options;
  const balancers = options.balancers?.length ? new AddressRanges(options.balancers) : undefined;
  const handshakes = new Handshakes(options.handshake ?? {}, onError);
  const { allowHalfOpen, onSocket } = handler;
  const onHandshake = (handshake: Handshake): void => {
    if (options.turnsAway?.(hostOf(handshake.remoteAddress)) === true) handshake.dismiss('its address is sent away');
    else handler.onHandshake(handshake);
  };
  const server = createServer({ allowHalfOpen, noDelay: true });
  server.on('connection', (socket) => {
    // Asking where a socket comes from costs a call of the system.
    const isProxied = balancers?.has(socket.remoteAddress ?? '') === true;
    if (!isProxied && onSocket !== undefined) {
      onSocket(socket);
      return;
    }
    const handshake = handshakes.begin(socket);
    // Until it says for whom it speaks; and what it asks for itself, which is how we are, is nobody's fault.
    handshake.isBlamed = !isProxied;
    if (isProxied) takeHeader(handshake, onHandshake);
    else onHandshake(handshake);
  });
  await startServer(server, () => server.listen({ host, port: options.port, backlog }), onError);
  const port = portOf(server);
  return {
    authority: urlAuthority(host, port),
    port,
    // The server's own callback would wait for every open connection.
    close: async () => {
      server.close();
      handshakes.close();
    },
  };
}

function takeHeader(handshake: Handshake, onHandshake: (handshake: Handshake) => void): void {
  readProxyHeader(
    handshake.socket,
    (source) => {
      if (handshake.socket.destroyed) return;
      handshake.address = addressBehind(handshake.socket.remoteAddress ?? '', source);
      handshake.isBlamed = handshake.address !== '';
      onHandshake(handshake);
    },
    (reason) => handshake.refuse(reason),
  );
}
