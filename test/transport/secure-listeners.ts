import { spawn } from 'node:child_process';
import type { ByteStream, SecureListener } from '../../src/transport/byte-stream.ts';
import type { EntranceOptions } from '../../src/transport/entrance.ts';
import type { HandshakeOptions } from '../../src/transport/handshakes.ts';
import { listenTls } from '../../src/transport/tls.ts';
import type { TlsOptions } from '../../src/transport/tls-credentials.ts';
import { listenSecureWebSocket } from '../../src/transport/websocket.ts';
import { findTool } from '../tools.ts';
import { unexpected } from './stream-pairs.ts';

/** The two ways of TLS. */
export type SecureKind = 'tls' | 'secure-websocket';
export const secureKinds: readonly SecureKind[] = ['tls', 'secure-websocket'];

/** A listener that greets whomever it lets in, and remembers whom and why not. */
export interface Greeting {
  readonly listener: SecureListener;
  readonly streams: ByteStream[];
  /** What streams closed with, the oldest first. */
  readonly closed: (Error | undefined)[];
  /** Reasons, the oldest first. */
  readonly refused: string[];
  readonly close: () => Promise<void>;
}

/** What the greeting is. */
export const WELCOME = 'welcome';

/** Opens such a listener on a free port of the loopback. */
export async function greeting(
  kind: SecureKind,
  tls: TlsOptions,
  handshake: HandshakeOptions = {},
  entrance: Partial<EntranceOptions> = {},
): Promise<Greeting> {
  const streams: ByteStream[] = [];
  const closed: (Error | undefined)[] = [];
  const refused: string[] = [];
  const onStream = (stream: ByteStream): void => {
    streams.push(stream);
    stream.attach({
      onBytes: (chunk) => void stream.write(chunk),
      onDrain: () => {},
      onEnd: () => stream.end(),
      onClose: (error) => void closed.push(error),
    });
    stream.write(Buffer.from(WELCOME));
  };
  const options = {
    host: '127.0.0.1',
    port: 0,
    tls,
    handshake: { onRefused: (_: string, reason: string) => void refused.push(reason), ...handshake },
    ...entrance,
  };
  const listener =
    kind === 'tls'
      ? await listenTls(options, onStream, unexpected)
      : await listenSecureWebSocket(
          { ...options, path: '/mqtt', origins: [], maxFrameBytes: 1_000_000 },
          onStream,
          unexpected,
        );
  return {
    listener,
    streams,
    closed,
    refused,
    close: async () => {
      for (const stream of streams) stream.destroy();
      await listener.close();
    },
  };
}

/** The request that makes a WebSocket of a connection. */
export const UPGRADE_REQUEST: string = [
  'GET /mqtt HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: mqtt',
  '\r\n',
].join('\r\n');

const SECONDS_MAX = 60;

/** Runs `openssl s_client` until it is greeted or the connection ends; resolves to all that it printed. */
export async function sClient(kind: SecureKind, port: number, args: readonly string[]): Promise<string> {
  const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-nocommands', ...args];
  const client = spawn(findTool('openssl')!, all, { stdio: ['pipe', 'pipe', 'pipe'] });
  const timer = setTimeout(() => client.kill('SIGKILL'), SECONDS_MAX * 1000);
  let output = '';
  const onOutput = (text: string): void => {
    output += text;
    if (output.includes(WELCOME)) client.kill('SIGKILL');
  };
  client.stdout.setEncoding('latin1').on('data', onOutput);
  client.stderr.setEncoding('latin1').on('data', onOutput);
  client.stdin.on('error', () => {});
  if (kind === 'secure-websocket') client.stdin.write(UPGRADE_REQUEST);
  await new Promise((resolve) => client.once('close', resolve));
  clearTimeout(timer);
  return output;
}
