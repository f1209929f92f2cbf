import { rmSync } from 'node:fs';
import type { X509Certificate } from 'node:crypto';
import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endAll } from '../cli/trellis.ts';
import { until } from '../support/polling.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { Certificates, connectRaw, startSecure } from './secure-broker.ts';

let certificates: Certificates;
let redis: RedisServer;

describe.skipIf(redisMissing)('workers', () => {
  beforeAll(async () => {
    certificates = await Certificates.make(['alice']);
    redis = await RedisServer.start();
  });

  afterEach(endAll);
  afterAll(async () => {
    await redis.stop();
    rmSync(certificates.directory, { recursive: true });
  });

  const workers = (): string[] => ['--store', redis.url, '--workers', '2'];

  /** Which workers have logged this. */
  function workersSaying(stderr: string, text: string): Set<string> {
    const lines = stderr.split('\n').filter((line) => line.includes(text));
    return new Set(lines.flatMap((line) => /"node":"[^"]*\/(\d+)"/.exec(line)?.[1] ?? []));
  }

  test('share a listener for TLS and one for secure WebSocket, with client certificates', async () => {
    const { command, urls } = await startSecure(
      certificates,
      {
        tls: { caFile: certificates.file('ca.crt'), clientCertificates: 'required' },
        auth: { certificateIdentity: 'common-name' },
        acl: { default: 'allow' },
      },
      workers(),
    );
    const { certificate: cert, key } = certificates.client('alice');
    const options = { ca: certificates.read('ca.crt'), cert, key, reconnectPeriod: 0 };
    for (const url of [...urls, ...urls, ...urls]) {
      const client = await mqtt.connectAsync(url, options);
      await client.publishAsync('a', 'x', { qos: 1 });
      await client.endAsync();
    }
    await until('clients of both workers', () =>
      workersSaying(command.stderr, 'client connected').size === 2 ? true : undefined,
    );
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(0);
  });

  test('take connections of a balancer, and read certificates anew when their parent gets SIGHUP', async () => {
    const sections = { listeners: { proxyProtocolFrom: ['127.0.0.1'] }, auth: { allowAnonymous: 'everywhere' } };
    const { command, port } = await startSecure(certificates, sections, [...workers(), '--set', 'cluster.nodeId=n']);
    const ca = certificates.read('ca.crt');
    const serials = new Set<string>();
    const connectAll = async (): Promise<void> => {
      for (let client = 0; client < 4; client++) {
        const header = `PROXY TCP4 192.0.2.${client} 192.0.2.9 4711 8883\r\n`;
        const socket = await connectRaw(port, `c${client}`, { ca, header });
        serials.add((socket.getPeerX509Certificate() as X509Certificate).serialNumber);
        socket.destroy();
      }
    };
    await connectAll();
    await until('clients of both workers', () =>
      workersSaying(command.stderr, '"remote":"192.0.2.').size === 2 ? true : undefined,
    );
    expect(serials.size).toBe(1);
    await certificates.cert('--force');
    command.process.kill('SIGHUP');
    await until('both workers have read them', () =>
      workersSaying(command.stderr, 'were read anew').size === 2 ? true : undefined,
    );
    serials.clear();
    await connectAll();
    expect(serials.size).toBe(1);
    expect([...serials]).not.toEqual([]);
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(0);
  });

  test('say once which file cannot be used, and do not start', async () => {
    const start = startSecure(certificates, { tls: { keyFiles: ['nowhere.key'] } }, workers());
    await expect(start).rejects.toThrow(/trellis: Cannot read nowhere\.key: there is no such file\.\n$/);
  });
});
