import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type IClientOptions } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, createBroker } from '../../src/index.ts';
import type { ByteStream, SecureListener } from '../../src/transport/byte-stream.ts';
import { listenTls } from '../../src/transport/tls.ts';
import { listenSecureWebSocket } from '../../src/transport/websocket.ts';
import { finished } from '../cli/trellis.ts';
import { until } from '../support/polling.ts';
import { findTool } from '../tools.ts';
import { unexpected } from './stream-pairs.ts';

const run = promisify(execFile);
const mosquittoPub = findTool('mosquitto_pub');
const missing = mosquittoPub === undefined ? 'mosquitto_pub is not installed' : '';

const directory = mkdtempSync(join(tmpdir(), 'trellis-tls-clients-'));
const at = (name: string): string => join(directory, name);
const PSK = '0f1e'.repeat(8);

let broker: Broker;
let tls: SecureListener;
let webSocket: SecureListener;
let streams: ByteStream[] = [];
const messages: string[] = [];

beforeAll(async () => {
  const made = await finished(['cert', '--dir', directory, '--client', 'sensor-1', '--client', 'sensor-2']);
  expect([made.code, made.stderr]).toEqual([0, '']);
  const revoked = await finished(['cert', '--dir', directory, '--revoke', 'sensor-2']);
  expect([revoked.code, revoked.stderr]).toEqual([0, '']);
  writeFileSync(at('psk'), `device:${PSK}\n`, { mode: 0o600 });

  broker = await createBroker({
    listeners: { tcp: { port: 'off' }, websocket: { port: 'off' } },
    log: { level: 'error' },
  });
  broker.subscribe(
    '#',
    ({ topicName, payload }) => void messages.push(`${topicName} ${Buffer.from(payload).toString()}`),
  );
  const options = {
    host: '127.0.0.1',
    port: 0,
    tls: {
      certificates: [{ certificate: { file: at('server.crt') }, key: { file: at('server.key') } }],
      clientCertificates: 'optional' as const,
      authorities: [{ file: at('ca.crt') }],
      revocationLists: [{ file: at('ca.crl') }],
      pskFile: at('psk'),
    },
  };
  const accept = (stream: ByteStream): void => {
    streams.push(stream);
    broker.accept(stream);
  };
  tls = await listenTls(options, accept, unexpected);
  const more = { path: '/mqtt', origins: [], maxFrameBytes: 1_000_000 };
  webSocket = await listenSecureWebSocket({ ...options, ...more }, accept, unexpected);
});

afterAll(async () => {
  await tls.close();
  await webSocket.close();
  await broker.close();
  rmSync(directory, { recursive: true });
});

/** Waits for a message, and says who sent it. */
async function arrived(text: string): Promise<Pick<ByteStream, 'certificate' | 'pskIdentity'> | undefined> {
  await until(text, () => (messages.includes(text) ? true : undefined));
  const stream = streams.at(-1);
  streams = [];
  return stream;
}

describe.skipIf(missing)(`mosquitto_pub ${missing}`, () => {
  const publish = async (topic: string, args: readonly string[]): Promise<void> => {
    const base = ['-h', 'localhost', '-p', String(tls.port), '-q', '1', '-t', topic, '-m', 'x'];
    await run(mosquittoPub!, [...base, ...args], { timeout: 60_000 });
  };

  test.each(['tlsv1.2', 'tlsv1.3'])('publishes with --cafile and %s', async (version) => {
    await publish(`mosquitto/${version}`, ['--cafile', at('ca.crt'), '--tls-version', version]);
    expect((await arrived(`mosquitto/${version} x`))?.certificate).toBeUndefined();
  });

  test('publishes with a certificate', async () => {
    const own = ['--cert', at('clients/sensor-1.crt'), '--key', at('clients/sensor-1.key')];
    await publish('mosquitto/cert', ['--cafile', at('ca.crt'), ...own]);
    expect((await arrived('mosquitto/cert x'))?.certificate?.commonName).toBe('sensor-1');
  });

  test('with --tls-alpn mqtt publishes, with another is refused', async () => {
    await publish('mosquitto/alpn', ['--cafile', at('ca.crt'), '--tls-alpn', 'mqtt']);
    await arrived('mosquitto/alpn x');
    await expect(publish('mosquitto/h2', ['--cafile', at('ca.crt'), '--tls-alpn', 'h2'])).rejects.toThrow(
      'Command failed',
    );
  });

  test.each(['tlsv1.2', 'tlsv1.3'])('publishes with --psk and %s, and not with another key', async (version) => {
    const own = ['--psk-identity', 'device', '--tls-version', version];
    await publish(`mosquitto/psk/${version}`, ['--psk', PSK, ...own]);
    expect((await arrived(`mosquitto/psk/${version} x`))?.pskIdentity).toBe('device');
    await expect(publish('mosquitto/psk/bad', ['--psk', `00${PSK.slice(2)}`, ...own])).rejects.toThrow(
      'Command failed',
    );
  });

  test('is refused with a revoked certificate', async () => {
    const own = ['--cert', at('clients/sensor-2.crt'), '--key', at('clients/sensor-2.key')];
    await expect(publish('mosquitto/revoked', ['--cafile', at('ca.crt'), ...own])).rejects.toThrow('Command failed');
    expect(messages).not.toContain('mosquitto/revoked x');
  });
});

describe('MQTT.js', () => {
  test('publishes and receives over mqtts and wss, with a certificate or without', async () => {
    const ca = readFileSync(at('ca.crt'));
    const own = { cert: readFileSync(at('clients/sensor-1.crt')), key: readFileSync(at('clients/sensor-1.key')) };
    for (const url of [`mqtts://localhost:${tls.port}`, `wss://localhost:${webSocket.port}/mqtt`]) {
      for (const certificate of [{}, own]) {
        const options: IClientOptions = { ca, ...certificate, protocolVersion: 5, reconnectPeriod: 0 };
        const client = await connectAsync(url, options);
        await client.subscribeAsync('mqttjs/#', { qos: 1 });
        const received = new Promise<[string, Buffer]>((resolve) => {
          client.once('message', (name, body) => resolve([name, body]));
        });
        const payload = Buffer.alloc(100_000, 'y');
        await client.publishAsync('mqttjs/topic', payload, { qos: 1 });
        const [topic, body] = await received;
        expect([topic, Buffer.compare(body, payload)]).toEqual(['mqttjs/topic', 0]);
        expect(streams.at(-1)?.certificate?.commonName).toBe('cert' in certificate ? 'sensor-1' : undefined);
        expect(streams.at(-1)?.transport).toBe(url.startsWith('mqtts') ? 'tls' : 'secure-websocket');
        await client.endAsync();
      }
    }
  });
});

describe('trellis pub', () => {
  const ca = ['--cafile', at('ca.crt')];
  const own = ['--cert', at('clients/sensor-1.crt'), '--key', at('clients/sensor-1.key')];

  test.each<[string, () => string[], string]>([
    ['--cafile', () => ['-p', String(tls.port), ...ca], ''],
    ['--cafile and the address', () => ['-h', '127.0.0.1', '-p', String(tls.port), ...ca], ''],
    ['--tls-version', () => ['-p', String(tls.port), ...ca, '--tls-version', 'tlsv1.2'], ''],
    ['--ws', () => ['--ws', '-p', String(webSocket.port), ...ca], ''],
    ['an mqtts URL', () => ['-L', `mqtts://localhost:${tls.port}`, ...ca], ''],
    ['a wss URL', () => ['-L', `wss://localhost:${webSocket.port}/mqtt`, ...ca], ''],
    ['--capath', () => ['-p', String(tls.port), '--capath', directory], ''],
    ['--cert', () => ['-p', String(tls.port), ...ca, ...own, '--tls-alpn', 'mqtt'], 'sensor-1'],
    ['--cert over wss', () => ['--ws', '-p', String(webSocket.port), ...ca, ...own], 'sensor-1'],
    ['--psk', () => ['-p', String(tls.port), '--psk', PSK, '--psk-identity', 'device'], 'device'],
    [
      '--psk in TLS 1.2',
      () => ['-p', String(tls.port), '--psk', PSK, '--psk-identity', 'device', '--tls-version', 'tlsv1.2'],
      'device',
    ],
  ])('publishes with %s', async (name, args, who) => {
    const topic = `trellis/${name.replaceAll(' ', '-')}`;
    const { code, stderr } = await finished(['pub', '-q', '1', '-t', topic, '-m', 'x', ...args()]);
    expect([code, stderr]).toEqual([0, '']);
    const stream = await arrived(`${topic} x`);
    expect(stream?.certificate?.commonName ?? stream?.pskIdentity ?? '').toBe(who);
  });

  test.each<[string, () => string[], RegExp]>([
    [
      'no --cafile',
      () => ['-p', String(tls.port), '--tls-version', 'tlsv1.3'],
      /is of an authority that is not trusted; --cafile/,
    ],
    [
      'another host name',
      () => ['-h', '127.0.0.2', '-p', String(tls.port), ...ca],
      /Nothing accepts connections|is for another host name/,
    ],
    ['another key', () => ['-p', String(tls.port), '--psk', '00', '--psk-identity', 'device'], /TLS with .* failed/],
    [
      'a protocol not offered',
      () => ['-p', String(tls.port), ...ca, '--tls-alpn', 'h2'],
      /TLS with .* failed: .*no application protocol/,
    ],
    [
      'a revoked certificate',
      () => ['-p', String(tls.port), ...ca, '--cert', at('clients/sensor-2.crt'), '--key', at('clients/sensor-2.key')],
      /connection|reset|ended/,
    ],
  ])('says what is wrong with %s', async (_, args, sentence) => {
    const { code, stderr } = await finished(['pub', '-q', '1', '-t', 'trellis/refused', '-m', 'x', ...args()]);
    expect(code).toBe(1);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n').length).toBe(1);
    expect(messages).not.toContain('trellis/refused x');
  });
});
