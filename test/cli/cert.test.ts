import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { CertificateAuthority } from '../../src/cli/certificate-authority.ts';
import { endAll, finished } from './trellis.ts';
import { runCommand } from '../support/certificates.ts';
import { findTool } from '../tools.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-cert-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

afterAll(endAll);

const openssl = findTool('openssl');
const missing = openssl === undefined ? 'openssl is not installed' : '';

async function cert(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await finished(['cert', ...args], { directory });
  return { code, stdout, stderr };
}

function read(name: string): string {
  return readFileSync(join(directory, 'certs', name), 'utf8');
}

test('makes an authority, a server and clients, with keys for their owner only', async () => {
  const { code, stdout, stderr } = await cert('--client', 'sensor-1', '--host', 'broker.example', '--host', 'fd00::7');
  expect([code, stderr]).toEqual([0, '']);
  const files = readdirSync(join(directory, 'certs'), { recursive: true, encoding: 'utf8' });
  expect(files.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    'ca.crl',
    'ca.crt',
    'ca.key',
    'clients',
    'clients/sensor-1.crt',
    'clients/sensor-1.key',
    'server.crt',
    'server.key',
  ]);
  for (const key of ['ca.key', 'server.key', 'clients/sensor-1.key']) {
    expect(statSync(join(directory, 'certs', key)).mode & 0o777).toBe(0o600);
    expect(stdout).not.toContain(read(key).split('\n')[1]);
  }
  const server = new X509Certificate(read('server.crt'));
  expect(server.subject).toBe('CN=broker.example');
  expect(server.subjectAltName).toBe(
    'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:broker.example, IP Address:FD00:0:0:0:0:0:0:7',
  );
  expect(stdout).toContain('trellis start --set listeners.tls.port=8883 --set tls.certFiles=certs/server.crt');
  expect(stdout).toContain('trellis pub --cafile certs/ca.crt');
});

test.skipIf(missing)(`makes what OpenSSL finds in order, strictly ${missing}`, async () => {
  await cert('--client', 'sensor-1', '--client', 'sensor-2');
  await cert('--revoke', 'sensor-2');
  const at = (name: string): string => join(directory, 'certs', name);
  const strict = ['verify', '-x509_strict', '-crl_check', '-CAfile', at('ca.crt'), '-CRLfile', at('ca.crl')];
  const verify = (...args: string[]): Promise<string> => runCommand(openssl!, [...strict, ...args]);
  expect(await verify('-purpose', 'sslserver', '-verify_hostname', 'localhost', at('server.crt'))).toContain('OK');
  expect(await verify('-purpose', 'sslclient', at('clients/sensor-1.crt'))).toContain('OK');
  expect(await verify('-purpose', 'sslserver', at('clients/sensor-1.crt'))).toContain('unsuitable certificate purpose');
  expect(await verify('-purpose', 'sslclient', at('clients/sensor-2.crt'))).toContain('certificate revoked');
});

test('keeps what is there, the authority always', async () => {
  await cert('--client', 'a');
  const before = ['ca.crt', 'ca.key', 'server.crt', 'clients/a.crt'].map(read);
  expect(await cert()).toMatchObject({ code: 0, stdout: expect.stringContaining('Everything is in certs already') });
  expect(await cert('--client', 'b', '--client', 'a')).toMatchObject({
    code: 1,
    stderr: 'trellis: certs/clients/a.crt is there already; --force makes it anew.\n',
  });
  expect(existsSync(join(directory, 'certs/clients/b.crt'))).toBe(false);
  expect((await cert('--host', 'other.example')).stderr).toContain('certs/server.crt is there already');
  expect(['ca.crt', 'ca.key', 'server.crt', 'clients/a.crt'].map(read)).toEqual(before);

  expect((await cert('--client', 'a', '--force', '--days', '3')).code).toBe(0);
  expect(['ca.crt', 'ca.key'].map(read)).toEqual(before.slice(0, 2));
  expect(read('clients/a.crt')).not.toBe(before[3]);
  const made = new X509Certificate(read('clients/a.crt'));
  expect(Date.parse(made.validTo) - Date.now()).toBeLessThan(3 * 86_400_000 + 1_000);
  const authority = new CertificateAuthority({ certificate: read('ca.crt'), key: read('ca.key') });
  expect(authority.hasIssued(made)).toBe(true);
});

test('revokes more and more, each once', async () => {
  await cert('--client', 'a', '--client', 'b', '--client', 'c');
  const lengths = [read('ca.crl').length];
  for (const names of [['a'], ['a'], ['b', 'c'], ['c']]) {
    const { code, stdout } = await cert(...names.flatMap((name) => ['--revoke', name]));
    expect(code).toBe(0);
    for (const name of names) expect(stdout).toContain(`certs/ca.crl: ${name} is revoked.`);
    lengths.push(read('ca.crl').length);
  }
  // A signature is a byte or two longer or shorter than another.
  const grown = lengths.slice(1).map((length, index) => Math.abs(Math.round((length - lengths[index]!) / 45)));
  expect(grown).toEqual([1, 0, 2, 0]);
});

test.each<[string[], number, string]>([
  [['--revoke', 'a'], 1, 'Cannot read certs/ca.crt: there is no such file.'],
  [['--revoke', 'a', '--client', 'b'], 2, '--revoke makes nothing: give it alone or with --dir.'],
  [
    ['--client', '../a'],
    2,
    '--client needs a name of 1 to 64 letters, digits, and _ - @ . (not in front), not "../a".',
  ],
  [['--client', ''], 2, '--client needs a name'],
  [['--client', '.hidden'], 2, '--client needs a name'],
  [['--host', 'a b'], 2, '--host needs a name such as broker.example or an address, not "a b".'],
  [['--host', 'fe80::1%eth0'], 2, '--host needs a name'],
  [['--days', '0'], 2, '--days must be an integer from 1 to 36500'],
  [['--clinet', 'a'], 2, 'trellis cert has no flag --clinet; did you mean --client?'],
])('refuses %j', async (args, code, sentence) => {
  const result = await cert(...args);
  expect(result.code).toBe(code);
  expect(result.stderr).toContain(`trellis: ${sentence}`);
  expect(existsSync(join(directory, 'certs'))).toBe(false);
});

test('refuses an authority that is half there, or open to others', async () => {
  await cert();
  const key = join(directory, 'certs/ca.key');
  chmodSync(key, 0o644);
  expect(await cert('--client', 'a')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('chmod 600 certs/ca.key'),
  });
  rmSync(key);
  expect((await cert('--client', 'a')).stderr).toContain('There is certs/ca.crt but no certs/ca.key');
  expect(existsSync(join(directory, 'certs/clients/a.crt'))).toBe(false);
});
