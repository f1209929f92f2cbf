import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { isLoopbackAddress, plainAddress } from '../lib/ip-address.ts';
import type { Listener, OnStream, SecureListener } from './byte-stream.ts';
import { type EntranceOptions, openEntrance } from './entrance.ts';
import type { Handshake } from './handshakes.ts';
import type { TlsOptions } from './tls-gate.ts';
import { WebSocketStream } from './websocket-stream.ts';

/** As `import` would have it; but that reads every export, and one of them loads the whole of `fetch` (40 ms). */
const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');

/** Where and from whom to accept WebSocket connections. */
export interface WebSocketOptions extends EntranceOptions {
  /** The one path that is answered, such as `/mqtt`. */
  readonly path: string;
  /**
   * Which web pages may connect, as `https://example.org`. Empty: pages of the same host and port, over loopback only where
   * that is `localhost` or an address, and whatever is not a browser (no Origin header). Otherwise those listed, exactly, and
   * no others; `*` lists all.
   */
  readonly origins: readonly string[];
  /** The largest frame or fragmented message taken, in bytes; a larger one closes the connection with 1009. */
  readonly maxFrameBytes: number;
}

/** The sub-protocols answered, the preferred one first. */
const SUB_PROTOCOLS: readonly string[] = ['mqtt', 'mqttv3.1'];

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
  const page = URL.parse(origin);
  if (host === undefined || page?.host !== host.toLowerCase()) return false;
  // Any name can be made to mean this machine, by who wants a page of his to reach what listens on it (DNS rebinding).
  return !isLoopbackAddress(plainAddress(request.socket.localAddress ?? '')) || isAtHome(page.hostname);
}

/** Whether a host of a URL is an address, or a name that can mean this machine only. */
function isAtHome(hostname: string): boolean {
  return isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 || /(^|\.)localhost$/.test(hostname);
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

/** Why a request that asks for no upgrade is not what belongs here. */
function refusalOfPlainRequest(request: IncomingMessage, path: string): Refusal {
  return (
    refusalOfPath(request, path) ?? {
      status: 426,
      sentence: 'This is an MQTT broker; connect with a WebSocket client that speaks the sub-protocol "mqtt".',
    }
  );
}

/** Answers a request that asks for no upgrade. */
function answerPlainRequest(response: ServerResponse, { status, sentence }: Refusal): void {
  const headers = {
    Connection: status === 426 ? 'Upgrade, close' : 'close',
    'Content-Type': 'text/plain; charset=utf-8',
  };
  response.writeHead(status, status === 426 ? { ...headers, Upgrade: 'websocket' } : headers);
  response.end(`${sentence}\n`);
}

/** What turns sockets into streams: an HTTP server that never listens, for the deadline of a handshake covers its requests. */
interface Upgrader {
  /** Takes a socket, plain or through with TLS, whose next bytes are to be the request. */
  take(socket: Socket, handshake: Handshake): void;
}

function createUpgrader(options: WebSocketOptions, onStream: OnStream): Upgrader {
  const handshakeOf = new WeakMap<Socket, Handshake>();
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
  const server: Server = createServer({ noDelay: true });
  const noteRefusal = (socket: Socket, { status, sentence }: Refusal): void => {
    const handshake = handshakeOf.get(socket);
    if (handshake === undefined) return;
    handshake.refusal = `its request was answered with ${status}: ${sentence}`;
    // A page can have its visitors ask for anything: that must not get their address banned.
    handshake.isBlamed = false;
  };
  server.on('request', (request, response) => {
    const refusal = refusalOfPlainRequest(request, options.path);
    noteRefusal(request.socket, refusal);
    answerPlainRequest(response, refusal);
  });
  server.on('upgrade', (request, duplex, head) => {
    const refusal = refusalOf(request, options);
    const { socket } = request;
    if (refusal) {
      noteRefusal(socket, refusal);
      refuseUpgrade(duplex, refusal);
      return;
    }
    upgrader.handleUpgrade(request, duplex, head, (webSocket) => {
      const handshake = handshakeOf.get(socket);
      if (handshake === undefined) throw new Error('A request came by a socket that nobody accepted.');
      onStream(new WebSocketStream(webSocket, socket, handshake.finish()));
    });
  });
  return {
    take: (socket, handshake) => {
      handshakeOf.set(socket, handshake);
      server.emit('connection', socket);
    },
  };
}

/**
 * Accepts MQTT over WebSocket: binary frames, without compression, sub-protocol `mqtt` or `mqttv3.1`.
 * @param onError told when accepting fails; accepting goes on.
 * @throws as `openEntrance`.
 */
export async function listenWebSocket(
  options: WebSocketOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener> {
  const upgrader = createUpgrader(options, onStream);
  const onHandshake = (handshake: Handshake): void => upgrader.take(handshake.socket, handshake);
  const entrance = await openEntrance(options, { allowHalfOpen: true, onHandshake }, onError);
  return {
    url: `ws://${entrance.authority}${options.path}`,
    port: entrance.port,
    close: () => entrance.close(),
  };
}

/**
 * Accepts MQTT over WebSocket in TLS, and nothing else differs from `listenWebSocket`.
 * @param onError told when accepting fails; accepting goes on.
 * @throws as `openEntrance`, and as `createTlsGate`.
 */
export async function listenSecureWebSocket(
  options: WebSocketOptions & { readonly tls: TlsOptions },
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<SecureListener> {
  // Plain WebSocket starts without it.
  const { createTlsGate } = await import('./tls-gate.ts');
  const upgrader = createUpgrader(options, onStream);
  const gate = await createTlsGate(options.tls, 'http/1.1', (socket, handshake) => upgrader.take(socket, handshake));
  const entrance = await openEntrance(
    options,
    { allowHalfOpen: false, onHandshake: (handshake) => gate.take(handshake) },
    onError,
  );
  return {
    url: `wss://${entrance.authority}${options.path}`,
    port: entrance.port,
    reload: () => gate.reload(),
    close: () => entrance.close(),
  };
}
