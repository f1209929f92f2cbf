import { constants, type X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { tlsReason } from '../lib/tls-reason.ts';
import { alternativeNamesOf } from './client-certificate.ts';
import { certificatesIn, type Pem, type PemSource, privateKeyIn, readPem } from './pem.ts';
import { readPskFile } from './psk-file.ts';
import { isKnownAlgorithm, isSignedBy, type RevocationList, revocationListsIn } from './revocation-list.ts';

/** A certificate of the server and its private key. */
export interface CertificateOptions {
  /** The certificate, and those between it and its authority behind it. */
  readonly certificate: PemSource;
  /** Not encrypted. */
  readonly key: PemSource;
}

/** How a listener speaks TLS. */
export interface TlsOptions {
  /**
   * The first for clients that name no server or an unknown one, each of the others for the DNS names among its alternative
   * names (`broker.example`, `*.example` for one label). May be empty with `pskFile` only.
   */
  readonly certificates: readonly CertificateOptions[];
  /** `TLSv1.2` unless given. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /**
   * Whether clients must have a certificate. With `optional` they may come without one, but not with one that does not
   * verify. `none` unless given.
   */
  readonly clientCertificates?: 'none' | 'optional' | 'required';
  /** Who issues the certificates of clients; nobody else is trusted. */
  readonly authorities?: readonly PemSource[];
  /** Which of these are revoked: no lists, or one of every authority. */
  readonly revocationLists?: readonly PemSource[];
  /** A file of pre-shared keys, `identity:key` a line, the key in hexadecimal. */
  readonly pskFile?: string;
  /** Told in a sentence of what works now and may not for long, or works not yet. */
  readonly onWarning?: (sentence: string) => void;
}

/** What was read and checked, ready for handshakes. */
export interface TlsCredentials {
  /** For who names no server or an unknown one. */
  readonly context: SecureContextOptions;
  /** By server name in lower case; a wildcard as `*.example.org`. */
  readonly contexts: ReadonlyMap<string, SecureContext>;
  readonly pskKeys: ReadonlyMap<string, Buffer>;
  readonly warnings: readonly string[];
}

/** Forward secrecy and authenticated encryption only; the first three are those of TLS 1.3. */
const CIPHERS: readonly string[] = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/**
 * For pre-shared keys in TLS 1.2. OpenSSL has no ECDHE-PSK with GCM; so the second is CBC (with the hash over the encrypted
 * bytes where the client can), and the last, what small devices speak, is without forward secrecy.
 */
const PSK_CIPHERS: readonly string[] = [
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES128-CBC-SHA256',
  'PSK-AES128-GCM-SHA256',
];

/** A session may be resumed for so long, in seconds. */
const SESSION_TIMEOUT_S = 300;

/**
 * Reads all files, and checks what OpenSSL would only say to the first client, or never.
 * @param nowMs Ms since the epoch, as validity is counted.
 * @throws Error of one sentence that names the file: missing, damaged, readable for others, key and certificate of two
 *   pairs, expired, an authority without a list of its own where there are lists, a list of nobody there or out of date.
 */
export async function loadTlsCredentials(options: TlsOptions, nowMs: number): Promise<TlsCredentials> {
  const warnings: string[] = [];
  const trust = await loadTrust(options, nowMs, warnings);
  const pskKeys = options.pskFile === undefined ? new Map<string, Buffer>() : await readPskFile(options.pskFile);
  const hasPsk = options.pskFile !== undefined;
  const common: SecureContextOptions = {
    ...trust,
    ciphers: (hasPsk ? [...CIPHERS, ...PSK_CIPHERS] : CIPHERS).join(':'),
    minVersion: options.minVersion ?? 'TLSv1.2',
    sessionIdContext: 'trellis',
    sessionTimeout: SESSION_TIMEOUT_S,
    // A resumed session does not say which pre-shared key it began with.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (hasPsk ? constants.SSL_OP_NO_TICKET : 0),
  };
  if (options.certificates.length === 0 && !hasPsk) {
    throw new Error('A listener with TLS needs a certificate and its key, or a file of pre-shared keys.');
  }
  const contexts = new Map<string, SecureContext>();
  let context = common;
  for (const [index, one] of options.certificates.entries()) {
    const { leaf, own } = await loadCertificate(one, nowMs, warnings);
    const specific: SecureContextOptions = { ...common, ...own };
    const made = makeContext(specific, one.certificate.file);
    if (index === 0) context = specific;
    for (const name of serverNamesOf(leaf)) if (!contexts.has(name)) contexts.set(name, made);
  }
  return { context, contexts, pskKeys, warnings };
}

async function loadCertificate(
  options: CertificateOptions,
  nowMs: number,
  warnings: string[],
): Promise<{ leaf: X509Certificate; own: SecureContextOptions }> {
  const pem = await readPem(options.certificate, false);
  const certificates = certificatesIn(pem);
  const leaf = certificates[0]!;
  const keyPem = await readPem(options.key, true);
  const key = privateKeyIn(keyPem);
  if (!leaf.checkPrivateKey(key))
    throw new Error(
      mismatch(
        pem,
        keyPem,
        certificates.some((one) => one.checkPrivateKey(key)),
      ),
    );
  for (const certificate of certificates) {
    const validTo = Date.parse(certificate.validTo);
    if (validTo <= nowMs) {
      throw new Error(`The certificate in ${pem.name} expired on ${dayOf(validTo)}; renew it.`);
    }
    const validFrom = Date.parse(certificate.validFrom);
    if (validFrom > nowMs) warnings.push(`The certificate in ${pem.name} is not valid before ${dayOf(validFrom)}.`);
  }
  return { leaf, own: { cert: pem.text, key: keyPem.text } };
}

function mismatch(pem: Pem, keyPem: Pem, fitsAnother: boolean): string {
  if (fitsAnother)
    return `The key in ${keyPem.name} fits a certificate in ${pem.name} that is not the first; put that first.`;
  return `The key in ${keyPem.name} does not fit the certificate in ${pem.name}; give the two that were made together.`;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** The DNS names of a certificate in lower case. */
function serverNamesOf(leaf: X509Certificate): string[] {
  const names = alternativeNamesOf(leaf).filter((name) => name.startsWith('DNS:'));
  return names.map((name) => name.slice('DNS:'.length).toLowerCase());
}

function makeContext(options: SecureContextOptions, name: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    throw new Error(`OpenSSL does not take ${name}: ${tlsReason(error) ?? 'it gives no reason'}; make it anew.`, {
      cause: error,
    });
  }
}

/** Authorities and their lists, as Node takes them. */
async function loadTrust(options: TlsOptions, nowMs: number, warnings: string[]): Promise<SecureContextOptions> {
  const { clientCertificates = 'none', authorities = [], revocationLists = [] } = options;
  if (clientCertificates === 'none') return {};
  if (authorities.length === 0) {
    throw new Error(
      `With client certificates ${clientCertificates} a listener needs a file of the authorities that issue them.`,
    );
  }
  const trusted: { certificate: X509Certificate; name: string }[] = [];
  const ca: string[] = [];
  for (const source of authorities) {
    const pem = await readPem(source, false);
    for (const certificate of certificatesIn(pem)) {
      trusted.push({ certificate, name: pem.name });
      if (Date.parse(certificate.validTo) <= nowMs)
        warnings.push(`An authority in ${pem.name} expired; nobody gets in by it.`);
    }
    ca.push(pem.text);
  }
  if (revocationLists.length === 0) return { ca };
  const crl: string[] = [];
  const lists: RevocationList[] = [];
  for (const source of revocationLists) {
    const pem = await readPem(source, false);
    for (const list of revocationListsIn(pem)) {
      checkList(list, pem.name, trusted, nowMs, warnings);
      lists.push(list);
    }
    crl.push(pem.text);
  }
  const without = trusted.find(({ certificate }) => !lists.some((list) => isSignedBy(list, certificate)));
  if (without !== undefined) {
    throw new Error(
      `An authority in ${without.name} has no list of revoked certificates although others have, so nobody could come by it; add its list.`,
    );
  }
  return { ca, crl };
}

/** A list out of date lets nobody in: OpenSSL refuses every certificate then. That is better said before than to each client. */
function checkList(
  list: RevocationList,
  name: string,
  trusted: readonly { readonly certificate: X509Certificate }[],
  nowMs: number,
  warnings: string[],
): void {
  const subject = `The list of revoked certificates in ${name}`;
  if (!isKnownAlgorithm(list)) {
    throw new Error(
      `${subject} is signed by an algorithm that is not taken (${list.algorithm}); sign it with SHA-256.`,
    );
  }
  if (!trusted.some(({ certificate }) => isSignedBy(list, certificate))) {
    throw new Error(`${subject} is of another authority than those of the listener; give the list that they made.`);
  }
  if (list.nextUpdate !== undefined && list.nextUpdate <= nowMs) {
    throw new Error(`${subject} was good until ${dayOf(list.nextUpdate)} only; get a newer one.`);
  }
  if (list.thisUpdate > nowMs)
    warnings.push(`${subject} is not valid before ${dayOf(list.thisUpdate)}; nobody gets in by it.`);
}
