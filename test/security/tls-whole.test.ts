import { X509Certificate } from 'node:crypto';
import { rmSync } from 'node:fs';
import mqtt, { type IClientOptions } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CertificateAuthority, type KeyedCertificate } from '../../src/cli/certificate-authority.ts';
import { endAll, finished } from '../cli/trellis.ts';
import { valid, validity } from '../support/certificates.ts';
import { findTool } from '../tools.ts';
import { READ } from './log-lines.ts';
import { user } from './materials.ts';
import { Certificates, connectRaw, startSecure } from './secure-broker.ts';
import { runTool } from './tool.ts';

const mosquittoPub = findTool('mosquitto_pub');
const mosquittoSub = findTool('mosquitto_sub');
const openssl = findTool('openssl');

let certificates: Certificates;
let ca: string;

beforeAll(async () => {
  certificates = await Certificates.make(['alice', 'bob', 'mallory']);
  await certificates.cert('--revoke', 'mallory');
  certificates.write('users', `${user('alice')}\n`);
  certificates.write('psk', `sensor-1:${'0f'.repeat(16)}\n`);
  certificates.write('rules.yaml', 'roles:\n  own: [{allow: all, topics: ["of/${username}/#"]}]\neveryone: [own]\n');
  ca = certificates.read('ca.crt');
});

afterEach(endAll);
afterAll(() => rmSync(certificates.directory, { recursive: true }));

const acl = { file: 'rules.yaml' };
const verified = () => ({
  tls: {
    caFile: certificates.file('ca.crt'),
    crlFile: certificates.file('ca.crl'),
    clientCertificates: 'required',
  },
  auth: { certificateIdentity: 'common-name' },
  acl,
});

/** How MQTT.js connects, once. */
function options(more: IClientOptions = {}): IClientOptions {
  return { ca, protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 60_000, ...more };
}

function shown({ certificate, key }: KeyedCertificate): IClientOptions {
  return options({ cert: certificate, key });
}

/** What becomes of a connection before CONNACK; a handshake that fails late looks like a plain end to MQTT.js. */
async function outcome(url: string, who: IClientOptions): Promise<'connected' | 'closed'> {
  const client = mqtt.connect(url, who);
  client.on('error', () => {});
  const ended = await new Promise<'connected' | 'closed'>((resolve) => {
    client.once('connect', () => resolve('connected'));
    client.once('close', () => resolve('closed'));
  });
  await client.endAsync(true);
  return ended;
}

describe('a broker with the certificate of trellis cert', () => {
  const login = ['-u', 'alice', '-P', 'wonderland'];

  test.skipIf(openssl === undefined)('is verified by openssl s_client, which is given mqtt by ALPN', async () => {
    const { port } = await startSecure(certificates, { auth: { passwordFile: 'users' }, acl });
    for (const version of ['-tls1_2', '-tls1_3']) {
      const args = ['s_client', '-connect', `localhost:${port}`, '-CAfile', certificates.file('ca.crt'), version];
      const { stdout } = await runTool(openssl!, [...args, '-alpn', 'mqtt', '-verify_hostname', 'localhost']);
      expect(stdout).toContain('Verify return code: 0 (ok)');
      expect(stdout).toContain('ALPN protocol: mqtt');
    }
    const old = await runTool(openssl!, ['s_client', '-connect', `localhost:${port}`, '-tls1_1']);
    expect(old.stdout).not.toContain('BEGIN CERTIFICATE');
  });

  test('is spoken to by trellis pub and sub, and MQTT.js, over TLS and secure WebSocket', async () => {
    const { port, urls } = await startSecure(certificates, { auth: { passwordFile: 'users' }, acl });
    const trust = ['--cafile', certificates.file('ca.crt'), ...login];
    const args = ['-h', 'localhost', '-p', port, ...trust, '-t', 'of/alice/a'];
    expect(await finished(['pub', ...args, '-m', 'hello', '-r', '-q', '1'])).toMatchObject({ code: 0, stderr: '' });
    const heard = await finished(['sub', ...args, '-C', '1']);
    expect([heard.code, heard.stdout]).toEqual([0, 'hello\n']);
    const overWebSocket = ['-h', 'localhost', '-p', new URL(urls[1]).port, '--ws', ...trust, '-t', 'of/alice/a'];
    expect((await finished(['sub', ...overWebSocket, '-C', '1'])).stdout).toBe('hello\n');
    for (const url of urls) {
      const client = await mqtt.connectAsync(url, options({ username: 'alice', password: 'wonderland' }));
      const message = new Promise((resolve) => client.once('message', (_, payload) => resolve(String(payload))));
      await client.subscribeAsync('of/alice/#');
      expect(await message).toBe('hello');
      await client.endAsync();
      // Without the authority the client gives up.
      await expect(mqtt.connectAsync(url, options({ ca: '' }))).rejects.toThrow(/self-signed certificate|unable to/);
    }
  });

  test.skipIf(mosquittoPub === undefined || mosquittoSub === undefined)(
    'is spoken to by mosquitto_pub and mosquitto_sub',
    async () => {
      const { port } = await startSecure(certificates, { auth: { passwordFile: 'users' }, acl });
      const args = ['-h', 'localhost', '-p', port, '--cafile', certificates.file('ca.crt'), ...login];
      const about = [...args, '-t', 'of/alice/a', '-q', '1'];
      expect(await runTool(mosquittoPub!, [...about, '-m', 'hello', '-r'])).toMatchObject({ code: 0, stderr: '' });
      expect(await runTool(mosquittoSub!, [...about, '-C', '1', '-W', '50'])).toMatchObject({
        code: 0,
        stdout: 'hello\n',
      });
      const wrong = [...args, '-P', 'wrong'];
      expect((await runTool(mosquittoPub!, [...wrong, '-t', 'a', '-m', 'x'])).code).not.toBe(0);
    },
  );
});

describe('a broker that asks clients for certificates', () => {
  test('takes the common name as user name, and holds it to its rules, on both listeners', async () => {
    const { urls } = await startSecure(certificates, verified());
    for (const url of urls) {
      const client = await mqtt.connectAsync(url, shown(certificates.client('alice')));
      await client.publishAsync('of/alice/a', 'x', { qos: 1 });
      await expect(client.publishAsync('of/bob/a', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
      await expect(client.subscribeAsync('of/#')).rejects.toThrow('Subscribe error: Not authorized');
      await client.endAsync();
      const other = mqtt.connectAsync(url, { ...shown(certificates.client('alice')), username: 'bob' });
      await expect(other).rejects.toMatchObject({ code: 0x86 });
    }
  });

  test('refuses the same certificates for the same reasons on both listeners', async () => {
    const { urls, log } = await startSecure(certificates, verified());
    const foreign = new CertificateAuthority(CertificateAuthority.make('Another authority', valid));
    const request = { commonName: 'alice', use: 'client' } as const;
    const wrong: readonly (readonly [IClientOptions, reason: string])[] = [
      [options(), 'it has no certificate'],
      [shown(certificates.client('mallory')), 'its certificate is revoked'],
      [shown(certificates.authority.issue({ ...request, ...validity(-3, -2) })), 'its certificate has expired'],
      [shown(foreign.issue({ ...request, ...valid })), 'not trusted'],
      [shown(CertificateAuthority.make('alice', valid)), 'it signed its certificate itself'],
      [shown(certificates.authority.issue({ ...request, ...valid, use: 'server' })), 'not one for clients'],
    ];
    for (const [who, reason] of wrong) {
      const reasons: string[] = [];
      for (const url of urls) {
        const logged = log();
        expect(await outcome(url, who)).toBe('closed');
        const [, said = ''] = await logged(/connection refused before CONNECT",[^\n]*"reason":"([^"]*)"/);
        reasons.push(said);
      }
      expect(reasons[0]).toContain(reason);
      expect(reasons[1]).toBe(reasons[0]);
    }
    expect(await outcome(urls[0], shown(certificates.client('bob')))).toBe('connected');
  });
});

test('another certificate serves who comes next, while 20 clients stay', async () => {
  const own = await Certificates.make(['alice']);
  ca = own.read('ca.crt');
  const { command, urls, port, log } = await startSecure(own, { auth: { allowAnonymous: 'loopback' } });
  const serial = async (): Promise<string> => {
    const socket = await connectRaw(port, 'looks', { ca });
    const { serialNumber } = socket.getPeerX509Certificate() as X509Certificate;
    socket.destroy();
    return serialNumber;
  };
  const clients = await Promise.all(
    Array.from({ length: 20 }, (_, index) => mqtt.connectAsync(urls[index % 2]!, options())),
  );
  const before = await serial();
  let logged = log();
  await own.cert('--force');
  await logged(READ);
  const after = await serial();
  expect(after).not.toBe(before);
  expect(after).toBe(new X509Certificate(own.read('server.crt')).serialNumber);
  logged = log();
  command.process.kill('SIGHUP');
  await logged(READ);
  expect(await serial()).toBe(after);
  for (const client of clients) {
    expect(client.connected).toBe(true);
    await client.publishAsync('a', 'x', { qos: 1 });
    await client.endAsync();
  }
  ca = certificates.read('ca.crt');
  rmSync(own.directory, { recursive: true });
});

test.skipIf(mosquittoPub === undefined)('a client with a pre-shared key is the user of its identity', async () => {
  const { port, log } = await startSecure(certificates, { tls: { pskFile: 'psk' }, acl });
  const args = ['-h', 'localhost', '-p', port, '--psk-identity', 'sensor-1', '-q', '1', '-m', 'x', '-V', '5'];
  const own = await runTool(mosquittoPub!, [...args, '--psk', '0f'.repeat(16), '-t', 'of/sensor-1/a']);
  expect(own).toMatchObject({ code: 0, stderr: '' });
  const logged = log();
  await runTool(mosquittoPub!, [...args, '--psk', '0f'.repeat(16), '-t', 'of/alice/a']);
  await logged(/no rule allows publish to of\/alice\/a for user sensor-1/);
  const wrong = await runTool(mosquittoPub!, [...args, '--psk', 'f0'.repeat(16), '-t', 'of/sensor-1/a']);
  expect(wrong.code).not.toBe(0);
});

test('behind a balancer the log has the address of the client, and who comes past it is refused', async () => {
  const sections = { listeners: { proxyProtocolFrom: ['127.0.0.1'] }, auth: { allowAnonymous: 'everywhere' } };
  const { port, log } = await startSecure(certificates, sections);
  const logged = log();
  const header = 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 8883\r\n';
  const socket = await connectRaw(port, 'proxied', { ca, header });
  await logged(/"client":"proxied","remote":"192\.0\.2\.7:4711"/);
  socket.destroy();
  const past = log();
  await expect(connectRaw(port, 'direct', { ca })).rejects.toThrow(/disconnected|ECONNRESET|hang up/);
  await past(/connection refused before CONNECT/);
});
