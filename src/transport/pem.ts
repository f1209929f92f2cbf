import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readBoundedText } from '../lib/bounded-file.ts';

/** PEM text, or the file it is in. */
export type PemSource = { readonly file: string } | { readonly text: string };

/** PEM text that was read. */
export interface Pem {
  /** For sentences: the file, or what the text is for. */
  readonly name: string;
  readonly text: string;
}

/** Lists of revoked certificates grow large. */
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads PEM text.
 * @param what What it is for, where it comes from no file: `the certificate`.
 * @param secret Whether a file is refused that others than its owner have rights to.
 * @throws Error of one sentence that names the file.
 */
export async function readPem(source: PemSource, what: string, secret: boolean): Promise<Pem> {
  if ('text' in source) return { name: what, text: source.text };
  return { name: source.file, text: await readBoundedText(source.file, { bytesMax: BYTES_MAX, secret }) };
}

/** The blocks with this label, such as `CERTIFICATE`, each as PEM text. */
export function pemBlocks(text: string, label: string): string[] {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: string[] = [];
  for (let from = text.indexOf(begin); from >= 0; ) {
    const until = text.indexOf(end, from);
    if (until < 0) break;
    blocks.push(text.slice(from, until + end.length));
    from = text.indexOf(begin, until);
  }
  return blocks;
}

/** The bytes of a PEM block. */
export function pemBytes(block: string): Buffer {
  return Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64');
}

/** The certificates in PEM text. @throws Error when there is none, or one cannot be read. */
export function certificatesIn({ name, text }: Pem): X509Certificate[] {
  const blocks = pemBlocks(text, 'CERTIFICATE');
  if (blocks.length === 0) {
    throw new Error(`There is no certificate in ${name}; it must hold "-----BEGIN CERTIFICATE-----" (PEM).`);
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`Certificate ${index + 1} in ${name} is damaged; make it anew.`, { cause: error });
    }
  });
}

/** The private key in PEM text. @throws Error when there is none, or it is encrypted with another passphrase. */
export function privateKeyIn({ name, text }: Pem, passphrase: string | undefined): KeyObject {
  if (!/-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----/.test(text)) {
    throw new Error(`There is no private key in ${name}; it must hold "-----BEGIN PRIVATE KEY-----" (PEM).`);
  }
  const isEncrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text);
  if (isEncrypted && passphrase === undefined) {
    throw new Error(
      `The private key in ${name} is encrypted, and there is no passphrase for it; decrypt it with openssl pkey.`,
    );
  }
  try {
    return createPrivateKey(passphrase === undefined ? text : { key: text, passphrase });
  } catch {
    // What OpenSSL says of it is left out: it is about the secret.
    throw new Error(
      isEncrypted
        ? `The private key in ${name} does not open with the passphrase; correct one of them.`
        : `The private key in ${name} is damaged; make it anew.`,
    );
  }
}
