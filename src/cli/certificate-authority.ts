import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { parseAddress } from '../lib/ip-address.ts';
import { derParts, DerTag, derValueAt } from '../lib/der.ts';
import {
  derBitString,
  derDate,
  derIdentifier,
  derInteger,
  derOctetString,
  derSequence,
  derSet,
  derTrue,
  derUtf8String,
  derValue,
} from '../lib/der-writer.ts';

/** A certificate and its private key, both as PEM text. The key is secret. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** From when to when a certificate or a list is valid. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What a certificate is for. */
export interface CertificateRequest extends Validity {
  readonly commonName: string;
  readonly use: 'server' | 'client';
  /** Names and addresses that it stands for beside the common name. */
  readonly hosts?: readonly string[];
}

const ECDSA_WITH_SHA256: Buffer = derSequence(derIdentifier('1.2.840.10045.4.3.2'));
const VERSION_3: Buffer = derValue(0xa0, derInteger(Buffer.from([2])));
/** Bits of KeyUsage, RFC 5280, section 4.2.1.3, the first bit the highest. */
const DIGITAL_SIGNATURE: Buffer = derBitString(Buffer.from([0b1000_0000]), 7);
const KEY_CERT_SIGN_AND_CRL_SIGN: Buffer = derBitString(Buffer.from([0b0000_0110]), 1);

/** A key on P-256, which every TLS library of small devices has. */
function makeKey(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function pemOf(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

function nameOf(commonName: string): Buffer {
  return derSequence(derSet(derSequence(derIdentifier('2.5.4.3'), derUtf8String(commonName))));
}

/** Positive, and as long as the standard allows a list to be told apart from any other. */
function newSerialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return derInteger(bytes);
}

function extension(identifier: string, criticality: 'critical' | 'optional', value: Buffer): Buffer {
  const critical = criticality === 'critical' ? [derTrue()] : [];
  return derSequence(derIdentifier(identifier), ...critical, derOctetString(value));
}

function keyIdentifierOf(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function subjectKeyIdentifier(publicKey: KeyObject): Buffer {
  return extension('2.5.29.14', 'optional', derOctetString(keyIdentifierOf(publicKey)));
}

function authorityKeyIdentifier(publicKey: KeyObject): Buffer {
  return extension('2.5.29.35', 'optional', derSequence(derValue(0x80, keyIdentifierOf(publicKey))));
}

/** What is signed, with its signature. */
function signed(content: Buffer, key: KeyObject): Buffer {
  return derSequence(content, ECDSA_WITH_SHA256, derBitString(sign('sha256', content, key)));
}

interface CertificateParts extends Validity {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function makeCertificate(parts: CertificateParts, issuerKey: KeyObject): Buffer {
  const content = derSequence(
    VERSION_3,
    newSerialNumber(),
    ECDSA_WITH_SHA256,
    parts.issuer,
    derSequence(derDate(parts.notBefore), derDate(parts.notAfter)),
    parts.subject,
    parts.publicKey.export({ type: 'spki', format: 'der' }),
    derValue(0xa3, derSequence(...parts.extensions)),
  );
  return signed(content, issuerKey);
}

/** 4 bytes of IPv4, 16 of IPv6. */
function addressBytes(address: string): Buffer {
  const bytes = Buffer.from((parseAddress(address) ?? 0n).toString(16).padStart(32, '0'), 'hex');
  return isIPv4(address) ? bytes.subarray(12) : bytes;
}

/** An alternative name, RFC 5280, section 4.2.1.6. */
function alternativeName(host: string): Buffer {
  if (isIP(host) === 0) return derValue(0x82, Buffer.from(host));
  return derValue(0x87, addressBytes(host));
}

function keyUse(use: CertificateRequest['use']): Buffer {
  return derSequence(derIdentifier(use === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'));
}

/** An authority for trying TLS out: it signs certificates on P-256, and lists of those it revoked. */
export class CertificateAuthority {
  readonly #certificate: X509Certificate;
  readonly #key: KeyObject;
  /** Its name in DER, as its certificate has it. */
  readonly #name: Buffer;

  /** @throws Error when the two are damaged or do not fit. */
  constructor({ certificate, key }: KeyedCertificate) {
    this.#certificate = new X509Certificate(certificate);
    this.#key = createPrivateKey(key);
    if (!this.#certificate.checkPrivateKey(this.#key)) throw new Error('the key does not fit the certificate');
    this.#name = certificateFields(this.#certificate).subject;
  }

  /** A new authority. */
  static make(commonName: string, validity: Validity): KeyedCertificate {
    const { publicKey, privateKey } = makeKey();
    const name = nameOf(commonName);
    const extensions = [
      extension('2.5.29.19', 'critical', derSequence(derTrue(), derInteger(Buffer.from([0])))),
      extension('2.5.29.15', 'critical', KEY_CERT_SIGN_AND_CRL_SIGN),
      subjectKeyIdentifier(publicKey),
    ];
    const der = makeCertificate({ ...validity, subject: name, issuer: name, publicKey, extensions }, privateKey);
    return { certificate: pemOf('CERTIFICATE', der), key: keyPem(privateKey) };
  }

  /** When it ends. */
  get notAfter(): Date {
    return new Date(this.#certificate.validTo);
  }

  /** Whether it signed the certificate. */
  hasIssued(certificate: X509Certificate): boolean {
    return certificate.verify(this.#certificate.publicKey);
  }

  /** Signs a certificate for a new key. */
  issue(request: CertificateRequest): KeyedCertificate {
    const { publicKey, privateKey } = makeKey();
    const { hosts = [] } = request;
    const extensions = [
      extension('2.5.29.19', 'critical', derSequence()),
      extension('2.5.29.15', 'critical', DIGITAL_SIGNATURE),
      extension('2.5.29.37', 'optional', keyUse(request.use)),
      subjectKeyIdentifier(publicKey),
      authorityKeyIdentifier(this.#certificate.publicKey),
    ];
    if (hosts.length > 0) {
      extensions.push(extension('2.5.29.17', 'optional', derSequence(...hosts.map(alternativeName))));
    }
    const subject = nameOf(request.commonName);
    const { notBefore, notAfter } = request;
    const der = makeCertificate({ notBefore, notAfter, subject, issuer: this.#name, publicKey, extensions }, this.#key);
    return { certificate: pemOf('CERTIFICATE', der), key: keyPem(privateKey) };
  }

  /**
   * Signs a list of revoked certificates.
   * @param before PEM text of the list that it goes on from; undefined for none.
   * @param revoked those that are added.
   */
  revoke(before: string | undefined, revoked: readonly X509Certificate[], validity: Validity): string {
    const now = derDate(validity.notBefore);
    const bySerial = new Map(before === undefined ? [] : entriesOf(before));
    for (const certificate of revoked) {
      const { serialNumber } = certificateFields(certificate);
      const serial = serialNumber.toString('hex');
      if (!bySerial.has(serial)) bySerial.set(serial, derSequence(serialNumber, now));
    }
    const entries = [...bySerial.values()];
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(validity.notBefore.getTime()));
    const content = derSequence(
      derInteger(Buffer.from([1])),
      ECDSA_WITH_SHA256,
      this.#name,
      now,
      derDate(validity.notAfter),
      // An empty list is left out, says RFC 5280, section 5.1.2.6.
      ...(entries.length === 0 ? [] : [derSequence(...entries)]),
      derValue(
        0xa0,
        derSequence(
          authorityKeyIdentifier(this.#certificate.publicKey),
          extension('2.5.29.20', 'optional', derInteger(number.subarray(number.findIndex((byte) => byte > 0)))),
        ),
      ),
    );
    return pemOf('X509 CRL', signed(content, this.#key));
  }
}

/** Parts of a certificate in DER that Node does not give out. */
function certificateFields(certificate: X509Certificate): { serialNumber: Buffer; subject: Buffer } {
  const bytes = certificate.raw;
  const [content] = derParts(bytes, derValueAt(bytes, 0), 1);
  // Version, serial number, algorithm, issuer, validity, subject; the version is left out of those of version 1.
  const fields = content === undefined ? [] : derParts(bytes, content, 6);
  const [serial, , , , subject] = fields[0]?.tag === 0xa0 ? fields.slice(1) : fields;
  if (serial === undefined || subject === undefined) throw new Error('the certificate is damaged');
  return {
    serialNumber: bytes.subarray(serial.start, serial.end),
    subject: bytes.subarray(subject.start, subject.end),
  };
}

/** The entries of a list, each in DER, by the serial number that they begin with. */
function entriesOf(list: string): [serial: string, entry: Buffer][] {
  const bytes = Buffer.from(list.replace(/-----[^-]+-----/g, ''), 'base64');
  const [content] = derParts(bytes, derValueAt(bytes, 0), 1);
  const fields = content === undefined ? [] : derParts(bytes, content, 7);
  // Version, algorithm, issuer, two times; then the entries, if any.
  const entries = fields[5];
  if (entries === undefined || entries.tag !== DerTag.sequence) return [];
  return derParts(bytes, entries, Number.POSITIVE_INFINITY).map(({ start, content: inside, end }) => {
    const serial = derValueAt(bytes, inside);
    return [bytes.toString('hex', serial.start, serial.end), bytes.subarray(start, end)];
  });
}
