import { createServer } from 'node:net';
import type { Listener, OnStream } from './byte-stream.ts';
import { acceptStreams, portOf, startServer } from './node-stream.ts';

/** Where to accept TCP connections. */
export interface TcpOptions {
  /** An address or name of this machine. */
  readonly host: string;
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number;
  /** How many connections the kernel may hold that are not accepted yet; 1024 unless given, capped by net.core.somaxconn. */
  readonly backlog?: number;
}

/** The host and port as they stand in a URL; an IPv6 address goes in brackets. */
export function urlAuthority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Accepts TCP connections, with TCP_NODELAY and both directions closed apart from each other.
 * @param onError told when accepting fails; accepting goes on. (Without a free file descriptor Node accepts new connections
 *   on a spare one only to close them, and mostly tells nobody.)
 * @throws when the address cannot be listened on (EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOTFOUND in `code`).
 */
export async function listenTcp(
  options: TcpOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  acceptStreams(server, 'tcp', '', onStream);
  const { host, backlog = 1024 } = options;
  await startServer(server, () => server.listen({ host, port: options.port, backlog }), onError);
  const port = portOf(server);
  return {
    url: `mqtt://${urlAuthority(host, port)}`,
    port,
    // Closes the listening socket before it returns; the server's own callback would wait for every open connection.
    close: async () => void server.close(),
  };
}
