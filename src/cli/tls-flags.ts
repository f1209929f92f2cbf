import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, createSecureContext } from 'node:tls';
import { readProblem } from '../lib/error-text.ts';
import { tlsReason } from '../lib/tls-reason.ts';
import { UsageError } from './errors.ts';
import type { Flag, GivenFlag } from './flags.ts';

/** How pub and sub speak TLS, as Node's `tls.connect` and `ws` take it. Holds secrets. */
export type TlsClientOptions = ConnectionOptions;

function flag(names: string[], values: string[], help: string): Flag {
  return { group: 'TLS', names, values, help };
}

/** Flags for TLS, with mosquitto's names. */
export const tlsFlags: readonly Flag[] = [
  flag(['--cafile'], ['FILE'], 'Turns TLS on and trusts the authorities in this PEM file in place of the usual ones.'),
  flag(['--capath'], ['DIR'], 'The same with all PEM files of a directory.'),
  flag(['--cert'], ['FILE'], 'Certificate of this client, PEM; needs --key.'),
  flag(['--key'], ['FILE'], 'Private key of this client, PEM, not encrypted; needs --cert.'),
  flag(['--insecure'], [], 'Takes the certificate of the broker although it is for another host name; for tests only.'),
  flag(['--psk'], ['HEX'], 'Turns TLS on with a pre-shared key in hexadecimal; needs --psk-identity.'),
  flag(['--psk-identity'], ['NAME'], 'Identity that the pre-shared key belongs to.'),
  flag(['--tls-version'], ['VERSION'], 'tlsv1.3 or tlsv1.2 only (either).'),
  flag(['--tls-alpn'], ['PROTOCOL'], 'Protocol to offer by ALPN, such as mqtt (none).'),
];

/** For TLS 1.2; those with forward secrecy first. */
const PSK_CIPHERS =
  'TLS_AES_128_GCM_SHA256:ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256';

/** What the flags for TLS said so far. */
export class TlsDraft {
  readonly #values = new Map<string, string>();

  /** Takes a flag, if it is one for TLS. @returns whether it was. */
  read(one: GivenFlag): boolean {
    if (!tlsFlags.some(({ names }) => names[0] === one.name)) return false;
    const value = one.values[0] ?? '';
    if (value === '' && one.name !== '--insecure') throw new UsageError(`${one.typed} needs a value.`);
    this.#values.set(one.name, value);
    return true;
  }

  /** The first of the flags given; undefined for none. */
  get firstFlag(): string | undefined {
    return this.#values.keys().next().value;
  }

  /** Reads the files that the flags name. @throws UsageError where they do not go together or cannot be used. */
  finish(): TlsClientOptions {
    const options: TlsClientOptions = { minVersion: 'TLSv1.2', ...this.#version() };
    const alpn = this.#values.get('--tls-alpn');
    if (alpn !== undefined) options.ALPNProtocols = [alpn];
    const psk = this.#values.get('--psk');
    if (psk === undefined && this.#values.has('--psk-identity')) throw new UsageError('--psk-identity needs --psk.');
    if (psk === undefined) Object.assign(options, this.#certificates());
    else Object.assign(options, this.#preShared(psk));
    try {
      createSecureContext(options);
    } catch (error) {
      throw new UsageError(
        `The files of --cafile, --cert and --key cannot be used together: ${tlsReason(error) ?? 'no reason given'}.`,
      );
    }
    return options;
  }

  #version(): TlsClientOptions {
    const text = this.#values.get('--tls-version');
    switch (text) {
      case undefined:
        return {};
      case 'tlsv1.3':
        return { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' };
      case 'tlsv1.2':
        return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
      default:
        throw new UsageError(
          `--tls-version must be tlsv1.3 or tlsv1.2, not ${JSON.stringify(text)}; older ones are broken.`,
        );
    }
  }

  #certificates(): TlsClientOptions {
    const options: TlsClientOptions = {};
    const [file, directory] = [this.#values.get('--cafile'), this.#values.get('--capath')];
    const authorities = [
      ...(file === undefined ? [] : [readPemFile('--cafile', file)]),
      ...(directory === undefined ? [] : readPemDirectory(directory)),
    ];
    if (authorities.length > 0) options.ca = authorities;
    const [cert, key] = [this.#values.get('--cert'), this.#values.get('--key')];
    if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key need each other.');
    if (cert !== undefined && key !== undefined) {
      options.cert = readPemFile('--cert', cert);
      options.key = readPemFile('--key', key);
      if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(options.key)) {
        throw new UsageError(`--key ${key} is encrypted; openssl pkey -in ${key} -out FILE makes one that is not.`);
      }
    }
    if (this.#values.has('--insecure')) options.checkServerIdentity = (): undefined => undefined;
    return options;
  }

  #preShared(text: string): TlsClientOptions {
    const other = ['--cafile', '--capath', '--cert', '--key', '--insecure'].find((name) => this.#values.has(name));
    if (other !== undefined) throw new UsageError(`--psk does not go together with ${other}.`);
    const identity = this.#values.get('--psk-identity');
    if (identity === undefined) throw new UsageError('--psk needs --psk-identity.');
    if (!/^([0-9a-f]{2}){1,64}$/i.test(text)) throw new UsageError('--psk must be 1 to 64 bytes in hexadecimal.');
    const psk = Buffer.from(text, 'hex');
    return {
      pskCallback: () => ({ psk, identity }),
      ciphers: PSK_CIPHERS,
      // A broker that has a certificate only is none that has the key.
      ca: [],
      checkServerIdentity: (): undefined => undefined,
    };
  }
}

function readPemFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read ${name} ${file}: ${readProblem(error)}.`);
  }
}

function readPemDirectory(directory: string): string[] {
  let files: string[];
  try {
    files = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => join(directory, name));
  } catch (error) {
    throw new UsageError(`Cannot read --capath ${directory}: ${readProblem(error)}.`);
  }
  const texts = files.map((file) => readPemFile('--capath', file)).filter((text) => text.includes('BEGIN CERTIFICATE'));
  if (texts.length === 0) throw new UsageError(`There is no certificate in --capath ${directory}.`);
  return texts;
}

/** Why the other end's certificate or TLS itself failed, as a sentence; undefined where it is something else. */
export function tlsFailure(where: string, error: Error): string | undefined {
  const { code = '' } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `The certificate of ${where} is for another host name; --insecure takes it nevertheless.`;
    case 'CERT_HAS_EXPIRED':
      return `The certificate of ${where} has expired.`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `The certificate of ${where} is of an authority that is not trusted; --cafile says which are.`;
    default:
      if (!code.startsWith('ERR_SSL_') && code !== 'EPROTO') return undefined;
      return `TLS with ${where} failed: ${tlsReason(error) ?? code}.`;
  }
}
