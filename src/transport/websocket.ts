import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Listener, OnStream } from './byte-stream.ts';
import { portOf, startServer } from './node-stream.ts';
import { urlAuthority } from './tcp.ts';
import { WebSocketStream } from './websocket-stream.ts';

/** As `import` would have it; but that reads every export, and one of them loads the whole of `fetch` (40 ms). */
const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');

/** Where and from whom to accept WebSocket connections. */
export interface WebSocketOptions {
  /** An address or name of this machine. */
  readonly host: string;
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number;
  /** The one path that is answered, such as `/mqtt`. */
  readonly path: string;
  /**
   * Which web pages may connect, as `https://example.org`. Empty: pages of the same host and port, and whatever is not a
   * browser (no Origin header). Otherwise those listed, exactly, and no others; `*` lists all.
   */
  readonly origins: readonly string[];
  /** The largest frame or fragmented message taken, in bytes; a larger one closes the connection with 1009. */
  readonly maxFrameBytes: number;
}

/** The sub-protocols answered, the preferred one first. */
const SUB_PROTOCOLS: readonly string[] = ['mqtt', 'mqttv3.1'];

/** A client has this long for the whole HTTP request, in milliseconds; then its socket is closed. */
const REQUEST_DEADLINE_MS = 10_000;
/** How often sockets beyond their deadline are looked for, in milliseconds. */
const DEADLINE_CHECK_MS = 2_000;
/** A peer has this long to answer a close frame, in milliseconds; then the connection is closed. */
const CLOSE_DEADLINE_MS = 10_000;

/** Why a request is not upgraded. */
interface Refusal {
  readonly status: 400 | 403 | 404 | 426;
  readonly sentence: string;
}

function offeredSubProtocols(request: IncomingMessage): string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
}

/** Whether a page of this origin may connect; see `WebSocketOptions.origins`. */
function isOriginAllowed(request: IncomingMessage, origins: readonly string[]): boolean {
  const { origin, host } = request.headers;
  if (origins.includes('*')) return true;
  if (origins.length > 0) return origin !== undefined && origins.includes(origin);
  if (origin === undefined) return true;
  return host !== undefined && URL.parse(origin)?.host === host.toLowerCase();
}

function refusalOfPath(request: IncomingMessage, path: string): Refusal | undefined {
  if (request.url?.split('?', 1)[0] === path) return undefined;
  return { status: 404, sentence: `Nothing is here; MQTT over WebSocket is at ${path}.` };
}

function refusalOf(request: IncomingMessage, options: WebSocketOptions): Refusal | undefined {
  const misplaced = refusalOfPath(request, options.path);
  if (misplaced) return misplaced;
  if (!isOriginAllowed(request, options.origins)) {
    return { status: 403, sentence: 'Pages of this origin may not connect; the listener must list their origin.' };
  }
  const offered = offeredSubProtocols(request);
  // [MQTT-6.0.0-3]
  if (!SUB_PROTOCOLS.some((name) => offered.includes(name))) {
    return { status: 400, sentence: 'The client must offer the WebSocket sub-protocol "mqtt" (or "mqttv3.1").' };
  }
  return undefined;
}

/** Answers a request for an upgrade that is not granted, and closes its socket. */
function refuseUpgrade(socket: Duplex, { status, sentence }: Refusal): void {
  const body = `${sentence}\n`;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Answers a request that asks for no upgrade. */
function answerPlainRequest(request: IncomingMessage, response: ServerResponse, path: string): void {
  const { status, sentence } = refusalOfPath(request, path) ?? {
    status: 426,
    sentence: 'This is an MQTT broker; connect with a WebSocket client that speaks the sub-protocol "mqtt".',
  };
  const headers = {
    Connection: status === 426 ? 'Upgrade, close' : 'close',
    'Content-Type': 'text/plain; charset=utf-8',
  };
  response.writeHead(status, status === 426 ? { ...headers, Upgrade: 'websocket' } : headers);
  response.end(`${sentence}\n`);
}

function createUpgradeServer(options: WebSocketOptions, onStream: OnStream): Server {
  const upgradeOptions = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxFrameBytes,
    closeTimeout: CLOSE_DEADLINE_MS,
    // [MQTT-6.0.0-4]; `refusalOf` saw to it that one of them was offered.
    handleProtocols: (offered: Set<string>) => SUB_PROTOCOLS.find((name) => offered.has(name)) ?? false,
  };
  const upgrader = new WebSocketServer(upgradeOptions);
  const server = createServer({
    headersTimeout: REQUEST_DEADLINE_MS,
    requestTimeout: REQUEST_DEADLINE_MS,
    connectionsCheckingInterval: DEADLINE_CHECK_MS,
    noDelay: true,
  });
  server.on('request', (request, response) => answerPlainRequest(request, response, options.path));
  server.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request, options);
    if (refusal) {
      refuseUpgrade(socket, refusal);
      return;
    }
    upgrader.handleUpgrade(request, socket, head, (webSocket) =>
      onStream(new WebSocketStream(webSocket, request.socket)),
    );
  });
  return server;
}

/**
 * Accepts MQTT over WebSocket: binary frames, without compression, sub-protocol `mqtt` or `mqttv3.1`.
 * @param onError told when accepting fails; accepting goes on. (Without a free file descriptor Node accepts new connections
 *   on a spare one only to close them, and mostly tells nobody.)
 * @throws when the address cannot be listened on (EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOTFOUND in `code`).
 */
export async function listenWebSocket(
  options: WebSocketOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener> {
  const server = createUpgradeServer(options, onStream);
  await startServer(server, () => server.listen({ host: options.host, port: options.port, backlog: 1024 }), onError);
  const port = portOf(server);
  return {
    url: `ws://${urlAuthority(options.host, port)}${options.path}`,
    port,
    // Closes the listening socket before it returns, and the sockets that are not upgraded yet.
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
