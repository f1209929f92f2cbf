import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readBoundedText } from '../lib/bounded-file.ts';

/** Where PEM text is. */
export interface PemSource {
  readonly file: string;
}

/** PEM text that was read. */
export interface Pem {
  /** The file, for sentences. */
  readonly name: string;
  readonly text: string;
}

/** Lists of revoked certificates grow large. */
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads PEM text.
 * @param secret Whether a file is refused that others than its owner have rights to.
 * @throws Error of one sentence that names the file.
 */
export async function readPem({ file }: PemSource, secret: boolean): Promise<Pem> {
  return { name: file, text: await readBoundedText(file, { bytesMax: BYTES_MAX, secret }) };
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

/**
 * The private key in PEM text.
 * @throws Error when there is none, or it is encrypted: a passphrase in a file beside it would keep nobody out.
 */
export function privateKeyIn({ name, text }: Pem): KeyObject {
  if (!/-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----/.test(text)) {
    throw new Error(`There is no private key in ${name}; it must hold "-----BEGIN PRIVATE KEY-----" (PEM).`);
  }
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new Error(
      `The private key in ${name} is encrypted, which would need its passphrase at each start; decrypt it: openssl pkey -in ${name} -out FILE, and chmod 600 FILE.`,
    );
  }
  try {
    return createPrivateKey(text);
  } catch {
    // What OpenSSL says of it is left out: it is about the secret.
    throw new Error(`The private key in ${name} is damaged; make it anew.`);
  }
}
