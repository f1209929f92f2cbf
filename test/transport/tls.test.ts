import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { listenTls } from '../../src/transport/tls.ts';
import { listenSecureWebSocket } from '../../src/transport/websocket.ts';
import { describeByteStream } from '../contract/byte-stream-contract.ts';
import { TestAuthority } from '../support/certificates.ts';
import { tlsPair, unexpected, webSocketPair } from './stream-pairs.ts';

const directory = mkdtempSync(join(tmpdir(), 'trellis-tls-'));
const authority = new TestAuthority(directory);
const options = { host: '127.0.0.1', port: 0, tls: { certificates: [authority.server('server')] } };

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describeByteStream(
  'a TLS connection',
  () => tlsPair((onStream) => listenTls(options, onStream, unexpected), authority.certificate),
  { halfOpen: false },
);

const webSocket = { ...options, path: '/mqtt', origins: [], maxFrameBytes: 1_000_000 };
describeByteStream(
  'a secure WebSocket connection',
  () => webSocketPair((onStream) => listenSecureWebSocket(webSocket, onStream, unexpected), authority.certificate),
  { halfOpen: false },
);
