import { hostname } from 'node:os';
import type { Config } from './config.ts';

/** The name of a node: the same at each start of a broker, so that it finds its own place again after a crash. */
export function nodeIdOf({ cluster, listeners }: Config): string {
  if (cluster.nodeId !== '') return cluster.nodeId;
  const { tcp, websocket, tls, secureWebsocket } = listeners;
  const port = [tcp, websocket, tls, secureWebsocket].map((listener) => listener.port).find((one) => one !== 'off');
  return `${hostname()}:${port ?? 'off'}`;
}
