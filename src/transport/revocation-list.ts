import { type KeyObject, verify, type X509Certificate } from 'node:crypto';
import { type DerValue, derObjectIdentifier, derParts, derTime, DerTag, derValueAt } from '../lib/der.ts';
import { type Pem, pemBlocks, pemBytes } from './pem.ts';

/** A list of revoked certificates (CRL, RFC 5280, section 5), as far as is to be known before OpenSSL uses it. */
export interface RevocationList {
  /** Ms since the epoch. */
  readonly thisUpdate: number;
  /** From when on there is a newer one, ms since the epoch; undefined for never. */
  readonly nextUpdate: number | undefined;
  /** Of its signature, with dots. */
  readonly algorithm: string;
  /** What is signed. */
  readonly signed: Buffer;
  readonly signature: Buffer;
}

/** Hash of each algorithm that lists are signed with; null where the algorithm brings its own. */
const HASHES: ReadonlyMap<string, string | null> = new Map([
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.3.101.112', null],
  ['1.3.101.113', null],
]);

/** The lists in PEM text. @throws Error when there is none, or one cannot be read. */
export function revocationListsIn({ name, text }: Pem): RevocationList[] {
  const blocks = pemBlocks(text, 'X509 CRL');
  if (blocks.length === 0) {
    throw new Error(
      `There is no list of revoked certificates in ${name}; it must hold "-----BEGIN X509 CRL-----" (PEM).`,
    );
  }
  return blocks.map((block) => {
    try {
      return decodeRevocationList(pemBytes(block));
    } catch (error) {
      throw new Error(`The list of revoked certificates in ${name} is damaged; make it anew.`, { cause: error });
    }
  });
}

function decodeRevocationList(bytes: Buffer): RevocationList {
  const [signed, algorithm, signature] = derParts(bytes, derValueAt(bytes, 0), 3);
  if (signed === undefined || algorithm === undefined || signature === undefined) throw new RangeError('no list');
  const fields = derParts(bytes, signed, 5);
  // The version may be left out; then algorithm and issuer come first.
  const times = fields.slice(fields[0]?.tag === DerTag.integer ? 3 : 2);
  const thisUpdate = timeOf(bytes, times[0]);
  if (thisUpdate === undefined) throw new RangeError('no time');
  const [identifier] = derParts(bytes, algorithm, 1);
  if (identifier === undefined) throw new RangeError('no algorithm');
  return {
    thisUpdate,
    nextUpdate: timeOf(bytes, times[1]),
    algorithm: derObjectIdentifier(bytes, identifier),
    signed: bytes.subarray(signed.start, signed.end),
    // Its first byte counts the bits that are left over, which are none.
    signature: bytes.subarray(signature.content + 1, signature.end),
  };
}

function timeOf(bytes: Buffer, value: DerValue | undefined): number | undefined {
  return value === undefined ? undefined : derTime(bytes, value);
}

/** Whether one of its authorities signed a list with an algorithm known here. */
export function isKnownAlgorithm(list: RevocationList): boolean {
  return HASHES.has(list.algorithm);
}

/** Whether the authority signed the list. */
export function isSignedBy(list: RevocationList, authority: X509Certificate): boolean {
  const hash = HASHES.get(list.algorithm);
  if (hash === undefined) return false;
  return isSignature(hash, list, authority.publicKey);
}

function isSignature(hash: string | null, list: RevocationList, key: KeyObject): boolean {
  try {
    return verify(hash, list.signed, key, list.signature);
  } catch {
    // A key of another kind than the signature.
    return false;
  }
}
