import { type Config, ConfigError } from './config.ts';
import { FileError } from './lib/file-error.ts';
import type { Listener, OnStream } from './transport/byte-stream.ts';
import type { OnRefused } from './transport/handshakes.ts';
import { listenTcp } from './transport/tcp.ts';
import type { TlsOptions } from './transport/tls-credentials.ts';
import { listenUnix, removeStaleSocket } from './transport/unix.ts';

/** Told of what happens at listeners. */
export interface ListenerEvents {
  readonly onStream: OnStream;
  /** Whether a client at this address is sent away before its handshake. */
  readonly turnsAway: (address: string) => boolean;
  /** Accepting a connection failed; it goes on. */
  readonly onError: (error: Error) => void;
  /** A certificate or list works and may not for long, or not yet. */
  readonly onWarning: (sentence: string) => void;
  /** A connection did not get through the PROXY protocol, TLS or the upgrade to WebSocket. */
  readonly onRefused: OnRefused;
}

/**
 * Opens every listener that the configuration turns on; when one fails those already open are closed again.
 * @throws the error of the one that failed; ConfigError where a file of it cannot be used.
 */
export async function openListeners(config: Config, events: ListenerEvents): Promise<Listener[]> {
  const { onStream, turnsAway, onError, onWarning, onRefused } = events;
  const { tcp, websocket, tls, secureWebsocket, unix, proxyProtocolFrom: balancers } = config.listeners;
  const { path, origins } = websocket;
  const handshake = { deadlineMs: config.tls.handshakeTimeoutMs, onRefused };
  const web = { path, origins, maxFrameBytes: config.limits.maximumPacketSize, balancers, turnsAway, handshake };
  const listeners: Listener[] = [];
  try {
    if (tcp.port !== 'off')
      listeners.push(
        await listenTcp({ host: tcp.host, port: tcp.port, balancers, turnsAway, handshake }, onStream, onError),
      );
    // The others are loaded when they are asked for, and while TCP accepts already.
    if (websocket.port !== 'off') {
      const { host, port } = websocket;
      const { listenWebSocket } = await import('./transport/websocket.ts');
      listeners.push(await listenWebSocket({ host, port, ...web }, onStream, onError));
    }
    if (tls.port !== 'off') {
      const { host, port } = tls;
      const { listenTls } = await import('./transport/tls.ts');
      const options = { host, port, balancers, turnsAway, handshake, tls: tlsOptions(config, onWarning) };
      listeners.push(await listenTls(options, onStream, onError));
    }
    if (secureWebsocket.port !== 'off') {
      const { host, port } = secureWebsocket;
      const { listenSecureWebSocket } = await import('./transport/websocket.ts');
      const options = { host, port, ...web, tls: tlsOptions(config, onWarning) };
      listeners.push(await listenSecureWebSocket(options, onStream, onError));
    }
    if (unix.path !== '') listeners.push(await listenUnix({ path: unix.path }, onStream, onError));
    return listeners;
  } catch (error) {
    for (const listener of listeners) await listener.close();
    throw error instanceof FileError ? new ConfigError([error.message]) : error;
  }
}

/** Removes what a dead process left in the way of the listeners; for processes that are about to open the same ones together. */
export async function clearListeners(config: Config): Promise<void> {
  const { path } = config.listeners.unix;
  if (path !== '') await removeStaleSocket(path);
}

/** Files of TLS that are read anew when they change. */
export function tlsFiles({ listeners, tls }: Config): readonly string[] {
  if (listeners.tls.port === 'off' && listeners.secureWebsocket.port === 'off') return [];
  const files = [...tls.certFiles, ...tls.keyFiles, tls.caFile, tls.crlFile, tls.pskFile];
  return files.filter((file) => file !== '');
}

function tlsOptions({ tls }: Config, onWarning: (sentence: string) => void): TlsOptions {
  const { certFiles, keyFiles, caFile, crlFile, clientCertificates, minVersion, pskFile } = tls;
  return {
    certificates: certFiles.map((file, index) => ({ certificate: { file }, key: { file: keyFiles[index] as string } })),
    clientCertificates,
    minVersion,
    ...(caFile !== '' && { authorities: [{ file: caFile }] }),
    ...(crlFile !== '' && { revocationLists: [{ file: crlFile }] }),
    ...(pskFile !== '' && { pskFile }),
    onWarning,
  };
}
