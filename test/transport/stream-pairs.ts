import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { ByteStream, Listener, OnStream } from '../../src/transport/byte-stream.ts';
import { NodeStream } from '../../src/transport/node-stream.ts';
import { WebSocketStream } from '../../src/transport/websocket-stream.ts';
import type { StreamPair } from '../contract/byte-stream-contract.ts';

/** Fails the test that a listener reports an error to. */
export function unexpected(error: Error): void {
  throw error;
}

/** A listener and the streams it accepts, in order. */
export interface Accepting {
  readonly listener: Listener;
  /** Resolves to the next accepted stream. */
  readonly next: () => Promise<ByteStream>;
}

/** Starts a listener whose accepted streams can be waited for. */
export async function accepting(listen: (onStream: OnStream) => Promise<Listener>): Promise<Accepting> {
  const streams: ByteStream[] = [];
  const waiting: ((stream: ByteStream) => void)[] = [];
  const listener = await listen((stream) => {
    const resolve = waiting.shift();
    if (resolve) resolve(stream);
    else streams.push(stream);
  });
  const next = (): Promise<ByteStream> =>
    new Promise((resolve) => {
      const stream = streams.shift();
      if (stream) resolve(stream);
      else waiting.push(resolve);
    });
  return { listener, next };
}

async function pairOf({ listener, next }: Accepting, connected: ByteStream, socket: Socket): Promise<StreamPair> {
  const accepted = await next();
  return {
    accepted,
    connected,
    // A Unix socket knows no reset; its peer has just gone.
    reset: () => void (listener.port > 0 ? socket.resetAndDestroy() : socket.destroy()),
    close: async () => {
      accepted.destroy();
      connected.destroy();
      await listener.close();
    },
  };
}

/** A connection to a TCP or Unix listener, both ends as NodeStream. */
export async function nodePair(listen: (onStream: OnStream) => Promise<Listener>): Promise<StreamPair> {
  const server = await accepting(listen);
  const { port, url } = server.listener;
  const target = port > 0 ? { host: '127.0.0.1', port } : { path: url.slice('unix:'.length) };
  const socket = connect({ ...target, allowHalfOpen: true });
  return pairOf(server, new NodeStream(socket, 'client', 'server'), socket);
}

/** A connection to a TLS listener, both ends as NodeStream. */
export async function tlsPair(listen: (onStream: OnStream) => Promise<Listener>, ca: string): Promise<StreamPair> {
  const server = await accepting(listen);
  const socket = connect(server.listener.port, '127.0.0.1');
  const secure = connectTls({ socket, ca, servername: 'localhost' });
  await once(secure, 'secureConnect');
  return pairOf(server, new NodeStream(secure, 'client', 'server'), socket);
}

/** A connection to a WebSocket listener, both ends as WebSocketStream; `ca` for one in TLS. */
export async function webSocketPair(
  listen: (onStream: OnStream) => Promise<Listener>,
  ca?: string,
): Promise<StreamPair> {
  const server = await accepting(listen);
  const raw = connect(server.listener.port, '127.0.0.1');
  const socket = ca === undefined ? raw : connectTls({ socket: raw, ca, servername: 'localhost' });
  const webSocket = new WebSocket(server.listener.url, 'mqtt', { createConnection: () => socket });
  const connected = await new Promise<ByteStream>((resolve, reject) => {
    webSocket.once('open', () => resolve(new WebSocketStream(webSocket, socket, { address: '' })));
    webSocket.once('error', reject);
  });
  return pairOf(server, connected, raw);
}
