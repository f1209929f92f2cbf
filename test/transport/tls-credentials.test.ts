import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { splitAlternativeNames } from '../../src/transport/client-certificate.ts';
import { loadTlsCredentials, type TlsOptions } from '../../src/transport/tls-credentials.ts';
import { TestAuthority, valid, validity } from '../support/certificates.ts';
import { findTool } from '../tools.ts';

const directory = mkdtempSync(join(tmpdir(), 'trellis-credentials-'));
const own = new TestAuthority(directory);
/** Another one of the same name. */
const other = new TestAuthority(join(directory, 'other'));
const good = own.server('good');
const second = own.server('second', ['second.example']);

afterAll(() => {
  rmSync(directory, { recursive: true });
});

function load(options: Partial<TlsOptions>): ReturnType<typeof loadTlsCredentials> {
  return loadTlsCredentials({ certificates: [good], ...options }, Date.now());
}

function file(name: string, text: string): { file: string } {
  return { file: own.write(name, text) };
}

function textOf(source: object): string {
  return readFileSync((source as { file: string }).file, 'utf8');
}

const certificate = textOf(good.certificate);
const key = textOf(good.key);
const absent = { file: join(directory, 'absent.pem') };
mkdirSync(join(directory, 'folder'));
symlinkSync(absent.file, join(directory, 'dangling.pem'));
const open = file('open.key', key);
chmodSync(open.file, 0o640);
const encrypted = file(
  'encrypted.key',
  createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' }),
);
const weakKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const noon = '2020-01-01T12:00:00.000Z';
const past = { notBefore: new Date('2019-01-01T00:00:00Z'), notAfter: new Date(noon) };

const broken: readonly (readonly [string, Partial<TlsOptions>, string])[] = [
  ['no certificate at all', { certificates: [] }, 'needs a certificate and its key, or a file of pre-shared keys'],
  [
    'a missing certificate',
    { certificates: [{ ...good, certificate: absent }] },
    `Cannot read ${absent.file}: there is no such file.`,
  ],
  ['a missing key', { certificates: [{ ...good, key: absent }] }, `Cannot read ${absent.file}: there is no such file.`],
  [
    'a link that leads nowhere',
    { certificates: [{ ...good, certificate: { file: join(directory, 'dangling.pem') } }] },
    `Cannot read ${join(directory, 'dangling.pem')}: there is no such file.`,
  ],
  [
    'a directory',
    { certificates: [{ ...good, certificate: { file: join(directory, 'folder') } }] },
    `Cannot read ${join(directory, 'folder')}: it is a directory.`,
  ],
  [
    'a device',
    { certificates: [{ ...good, certificate: { file: '/dev/zero' } }] },
    'Cannot read /dev/zero: it is not a regular file.',
  ],
  [
    'a certificate in DER',
    { certificates: [{ ...good, certificate: file('der.crt', '0\x82\x01\x02') }] },
    `There is no certificate in ${join(directory, 'der.crt')}; it must hold "-----BEGIN CERTIFICATE-----" (PEM).`,
  ],
  [
    'an empty certificate',
    { certificates: [{ ...good, certificate: file('empty.crt', '') }] },
    'There is no certificate in',
  ],
  [
    'a damaged certificate',
    { certificates: [{ ...good, certificate: file('damaged.crt', certificate.replace(/\n..../, '\nAAAA')) }] },
    `Certificate 1 in ${join(directory, 'damaged.crt')} is damaged; make it anew.`,
  ],
  [
    'a certificate that is cut',
    { certificates: [{ ...good, certificate: file('cut.crt', certificate.slice(0, 300)) }] },
    `There is no certificate in ${join(directory, 'cut.crt')}`,
  ],
  [
    'a certificate in place of the key',
    { certificates: [{ ...good, key: file('crt.key', certificate) }] },
    `There is no private key in ${join(directory, 'crt.key')}`,
  ],
  [
    'a damaged key',
    { certificates: [{ ...good, key: file('damaged.key', key.replace(/\n..../, '\nAAAA')) }] },
    `The private key in ${join(directory, 'damaged.key')} is damaged; make it anew.`,
  ],
  ['a key that others may read', { certificates: [{ ...good, key: open }] }, `(mode 640): chmod 600 ${open.file}.`],
  [
    'the key of another certificate',
    { certificates: [{ certificate: good.certificate, key: second.key }] },
    `The key in ${join(directory, 'second.key')} does not fit the certificate in ${join(directory, 'good.crt')}`,
  ],
  [
    'a chain in the wrong order',
    { certificates: [{ ...good, certificate: file('order.crt', own.certificate + certificate) }] },
    `fits a certificate in ${join(directory, 'order.crt')} that is not the first; put that first.`,
  ],
  [
    'an encrypted key',
    { certificates: [{ ...good, key: encrypted }] },
    `The private key in ${encrypted.file} is encrypted, which would need its passphrase at each start; decrypt it: openssl pkey -in ${encrypted.file} -out FILE, and chmod 600 FILE.`,
  ],
  [
    'an expired certificate',
    { certificates: [own.server('old', ['localhost'], past)] },
    `The certificate in ${join(directory, 'old.crt')} expired on ${noon}; renew it.`,
  ],
  [
    'a second certificate that is broken',
    { certificates: [good, { ...second, certificate: absent }] },
    `Cannot read ${absent.file}`,
  ],
  [
    'no authorities',
    { clientCertificates: 'required' },
    'With client certificates required a listener needs a file of the authorities that issue them.',
  ],
  ['missing authorities', { clientCertificates: 'optional', authorities: [absent] }, `Cannot read ${absent.file}`],
  [
    'an empty file of authorities',
    { clientCertificates: 'optional', authorities: [file('empty-ca.crt', '\n')] },
    `There is no certificate in ${join(directory, 'empty-ca.crt')}`,
  ],
];

const ca = { file: own.file('ca.crt') };
const clients: Partial<TlsOptions> = { clientCertificates: 'required', authorities: [ca] };
const list = own.list();

const brokenLists: readonly (readonly [string, Partial<TlsOptions>, string])[] = [
  ['missing', { revocationLists: [absent] }, `Cannot read ${absent.file}`],
  [
    'empty',
    { revocationLists: [file('empty.crl', '')] },
    `There is no list of revoked certificates in ${join(directory, 'empty.crl')}`,
  ],
  ['a certificate', { revocationLists: [ca] }, `There is no list of revoked certificates in ${ca.file}`],
  [
    'damaged',
    { revocationLists: [file('damaged.crl', list.replace(/\n..../, '\nAAAA'))] },
    `The list of revoked certificates in ${join(directory, 'damaged.crl')} is damaged; make it anew.`,
  ],
  [
    'cut',
    { revocationLists: [file('cut.crl', `${list.slice(0, 150)}\n-----END X509 CRL-----`)] },
    `The list of revoked certificates in ${join(directory, 'cut.crl')} is damaged`,
  ],
  [
    'of another authority of the same name',
    { revocationLists: [file('other.crl', other.list())] },
    `The list of revoked certificates in ${join(directory, 'other.crl')} is of another authority than those of the listener`,
  ],
  [
    'changed by somebody',
    { revocationLists: [file('changed.crl', changeLast(list))] },
    `The list of revoked certificates in ${join(directory, 'changed.crl')} is of another authority`,
  ],
  [
    'out of date',
    { revocationLists: [file('old.crl', own.list([], past))] },
    `The list of revoked certificates in ${join(directory, 'old.crl')} was good until ${noon} only; get a newer one.`,
  ],
  [
    'missing for one of two authorities',
    { authorities: [ca, { file: other.file('ca.crt') }], revocationLists: [file('one.crl', list)] },
    `An authority in ${other.file('ca.crt')} has no list of revoked certificates although others have`,
  ],
];

/** The list with another last byte of its signature. */
function changeLast(pem: string): string {
  const bytes = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  bytes[bytes.length - 1]! ^= 1;
  return `-----BEGIN X509 CRL-----\n${bytes.toString('base64')}\n-----END X509 CRL-----\n`;
}

const keyHex = '0f'.repeat(16);
const brokenPsk: readonly (readonly [string, string, string])[] = [
  ['nothing', '# nobody yet\n', 'there is no pre-shared key in it'],
  ['no colon', `a:${keyHex}\nsensor-2\n`, 'psk:2: must be identity:key'],
  ['no identity', `:${keyHex}\n`, 'psk:1: must be identity:key'],
  ['no key', 'sensor-1:\n', 'psk:1: must be identity:key'],
  ['a key in base64', 'sensor-1:Zm9vYmFyYmF6Zm9vYmFyYmF6\n', 'psk:1: must be identity:key'],
  ['half a byte', `sensor-1:${keyHex}0\n`, 'psk:1: must be identity:key'],
  ['a short key', `sensor-1:${'0f'.repeat(15)}\n`, 'the key being 16 to 64 bytes in hexadecimal'],
  ['a long key', `sensor-1:${'0f'.repeat(65)}\n`, 'psk:1: must be identity:key'],
  ['a long identity', `${'i'.repeat(129)}:${keyHex}\n`, 'psk:1: the identity is longer than 128 bytes'],
  ['an identity twice', `a:${keyHex}\n\na:${keyHex}\n`, 'psk:3: the identity "a" is there twice; keep one.'],
];

describe('a listener is refused for', () => {
  test.each(broken)('%s', async (_, options, sentence) => {
    await expect(load(options)).rejects.toThrow(sentence);
  });

  test.each(brokenLists)('a list of revoked certificates that is %s', async (_, options, sentence) => {
    await expect(load({ ...clients, ...options })).rejects.toThrow(sentence);
  });

  test.each(brokenPsk)('pre-shared keys with %s', async (_, text, sentence) => {
    const pskFile = own.write('psk', text);
    const error: unknown = await load({ pskFile }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const { message } = error as Error;
    expect(message).toContain(sentence);
    expect(message).toContain(pskFile);
    expect(message).not.toContain('0f0f');
  });

  test('pre-shared keys that others may read', async () => {
    const pskFile = own.write('open-psk', `a:${keyHex}\n`);
    chmodSync(pskFile, 0o644);
    await expect(load({ pskFile })).rejects.toThrow(`(mode 644): chmod 600 ${pskFile}.`);
  });

  const openssl = findTool('openssl');
  const missing = openssl === undefined ? 'openssl is not installed' : '';
  test.skipIf(missing)(`a key that OpenSSL finds too weak ${missing}`, async () => {
    const weak = file('weak.key', weakKey);
    const weakCertificate = join(directory, 'weak.crt');
    const request = [
      'req',
      '-x509',
      '-key',
      weak.file,
      '-subj',
      '/CN=localhost',
      '-days',
      '2',
      '-out',
      weakCertificate,
    ];
    execFileSync(openssl!, request, { stdio: 'ignore' });
    const certificates = [{ certificate: { file: weakCertificate }, key: weak }];
    await expect(load({ certificates })).rejects.toThrow(`OpenSSL does not take ${weakCertificate}: ee key too small`);
  });
});

describe('a listener takes', () => {
  test('certificates by name', async () => {
    const { contexts, warnings } = await load({ certificates: [good, second, good] });
    expect([...contexts.keys()]).toEqual(['localhost', 'second.example']);
    expect(warnings).toEqual([]);
  });

  test('what is not valid yet, with a warning', async () => {
    const early = validity(1, 30);
    const { warnings } = await load({
      certificates: [own.server('early', ['localhost'], early)],
      ...clients,
      revocationLists: [file('early.crl', own.list([], early))],
    });
    const from = new Date(Math.floor(early.notBefore.getTime() / 1000) * 1000).toISOString();
    expect(warnings).toEqual([
      `The list of revoked certificates in ${join(directory, 'early.crl')} is not valid before ${from}; nobody gets in by it.`,
      `The certificate in ${join(directory, 'early.crt')} is not valid before ${from}.`,
    ]);
  });

  test('an expired authority, with a warning', async () => {
    const old = new TestAuthority(join(directory, 'old-authority'), 'old', past);
    const { warnings } = await load({ ...clients, authorities: [ca, { file: old.file('ca.crt') }] });
    expect(warnings).toEqual([`An authority in ${old.file('ca.crt')} expired; nobody gets in by it.`]);
  });

  test('lists of several authorities in one file', async () => {
    const both = file('both.crl', own.list() + other.list([other.client('gone')], valid));
    await load({ ...clients, authorities: [ca, { file: other.file('ca.crt') }], revocationLists: [both] });
  });
});

test('alternative names are told apart whatever is in them', () => {
  expect(splitAlternativeNames('')).toEqual([]);
  expect(splitAlternativeNames('DNS:a.example, IP Address:::1')).toEqual(['DNS:a.example', 'IP Address:::1']);
  expect(splitAlternativeNames('URI:"urn:a, DNS:admin", DNS:b')).toEqual(['URI:urn:a, DNS:admin', 'DNS:b']);
  expect(splitAlternativeNames('DNS:a , DNS: b')).toEqual(['DNS:a ', 'DNS: b']);
  expect(splitAlternativeNames('DNS:"a\\", DNS:b", email:c@d')).toEqual(['DNS:a", DNS:b', 'email:c@d']);
});
