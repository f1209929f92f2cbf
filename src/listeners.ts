import type { Config } from './config.ts';
import type { Listener, OnStream } from './transport/byte-stream.ts';
import { listenTcp } from './transport/tcp.ts';
import { listenUnix, removeStaleSocket } from './transport/unix.ts';

/**
 * Opens every listener that the configuration turns on; when one fails those already open are closed again.
 * @throws the error of the one that failed.
 */
export async function openListeners(
  config: Config,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener[]> {
  const { tcp, websocket, unix } = config.listeners;
  const listeners: Listener[] = [];
  try {
    if (tcp.port !== 'off') listeners.push(await listenTcp({ host: tcp.host, port: tcp.port }, onStream, onError));
    if (websocket.port !== 'off') {
      const { host, port, path, origins } = websocket;
      const maxFrameBytes = config.limits.maximumPacketSize;
      // Loaded when it is asked for, and while TCP accepts already.
      const { listenWebSocket } = await import('./transport/websocket.ts');
      listeners.push(await listenWebSocket({ host, port, path, origins, maxFrameBytes }, onStream, onError));
    }
    if (unix.path !== '') listeners.push(await listenUnix({ path: unix.path }, onStream, onError));
    return listeners;
  } catch (error) {
    for (const listener of listeners) await listener.close();
    throw error;
  }
}

/** Removes what a dead process left in the way of the listeners; for processes that are about to open the same ones together. */
export async function clearListeners(config: Config): Promise<void> {
  const { path } = config.listeners.unix;
  if (path !== '') await removeStaleSocket(path);
}
