import { hostname } from 'node:os';
import type { Config } from './config.ts';

/** The name of a node: the same at each start of a broker, so that it finds its own place again after a crash. */
export function nodeIdOf({ cluster, listeners }: Config): string {
  if (cluster.nodeId !== '') return cluster.nodeId;
  return `${hostname()}:${listeners.tcp.port === 'off' ? listeners.websocket.port : listeners.tcp.port}`;
}
