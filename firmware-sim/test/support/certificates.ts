import { generateKeyPairSync, type KeyObject, randomInt, sign } from 'node:crypto';

/** A certificate with its key, both PEM. */
interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority made for one test, the certificate of a broker on this machine, and one of a client. */
export interface Certificates {
  /** PEM of the authority. */
  readonly ca: string;
  /** For localhost and 127.0.0.1. */
  readonly server: Certificate;
  readonly client: Certificate;
}

/** Makes new certificates, valid for a day; of elliptic curves, which takes a few ms. */
export function makeCertificates(): Certificates {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issue = (subject: string, publicKey: KeyObject, extensions: readonly Buffer[]): string =>
    encodeCertificate({ subject, publicKey, extensions, signer: authority.privateKey });
  const issueWithKey = (subject: string, extensions: readonly Buffer[]): Certificate => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
    return { cert: issue(subject, pair.publicKey, extensions), key };
  };
  return {
    ca: issue(authorityName, authority.publicKey, [isAuthority]),
    server: issueWithKey('localhost', [alternativeNames]),
    client: issueWithKey('a client', []),
  };
}

const authorityName = 'authority of a test';

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const objectId = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const isTrue = der(0x01, Buffer.of(255));

/** 2.5.29.19, critical: CA. */
const isAuthority = sequence(objectId('551d13'), isTrue, der(0x04, sequence(isTrue)));
/** 2.5.29.17: DNS name and IP address. */
const alternativeNames = sequence(
  objectId('551d11'),
  der(0x04, sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.of(127, 0, 0, 1)))),
);
/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'));

function commonName(name: string): Buffer {
  return sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(name)))));
}

function time(at: number): Buffer {
  return der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
}

interface CertificateContent {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly signer: KeyObject;
}

function encodeCertificate(content: CertificateContent): string {
  const dayMs = 86_400_000;
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.of(2))), // version 3
    der(0x02, Buffer.of(1 + randomInt(126))), // serial number
    ecdsaWithSha256,
    commonName(authorityName),
    sequence(time(Date.now() - dayMs), time(Date.now() + dayMs)),
    commonName(content.subject),
    content.publicKey.export({ type: 'spki', format: 'der' }),
    ...(content.extensions.length === 0 ? [] : [der(0xa3, sequence(...content.extensions))]),
  );
  const signature = sign('sha256', signed, content.signer);
  const certificate = sequence(signed, ecdsaWithSha256, der(0x03, Buffer.of(0), signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
