import { decodeBase64 } from './base64.ts';

/** The first message of a client, RFC 5802 section 7. */
export interface ClientFirst {
  /** What stands before the part that is signed: `n,,` or `y,,`, perhaps with `a=`. */
  readonly gs2Header: string;
  /** The part that is signed. */
  readonly bare: string;
  /** User name and the name to act as, decoded but not prepared; the latter undefined for none. */
  readonly username: string;
  readonly authorizationId: string | undefined;
  readonly nonce: string;
}

/** The last message of a client. */
export interface ClientFinal {
  /** Everything before the proof. */
  readonly withoutProof: string;
  /** The header of the first message, which channel binding would follow. */
  readonly gs2Header: string;
  readonly nonce: string;
  readonly proof: Buffer;
}

const MESSAGE_BYTES_MAX = 16 * 1024;
const NONCE_CHARACTERS_MAX = 512;

/** Channel binding (`p=`) and the name to act as (`a=`); commas in names are escaped. */
const headerPattern = /^(?:[ny]|(p=[^,]*)),(?:a=([^,]*))?,/;
/** Printable ASCII but the comma. */
const noncePattern = /^[\x21-\x2b\x2d-\x7e]+$/;
const attributePattern = /^[A-Za-z]=[^]+$/;

/** Reads the first message of a client. @returns why it is refused where it does not fit. */
export function parseClientFirst(data: Uint8Array): ClientFirst | string {
  const text = decodeMessage(data);
  const header = text === undefined ? null : headerPattern.exec(text);
  if (text === undefined || header === null) return 'the first message is not one of SCRAM';
  if (header[1] !== undefined) return 'channel binding is not supported';
  const bare = text.slice(header[0].length);
  const attributes = splitAttributes(bare, ['n', 'r']);
  if (attributes === undefined) return 'the first message is not one of SCRAM';
  const username = decodeName(attributes[0]!);
  const authorizationId = header[2] === undefined ? undefined : decodeName(header[2]);
  if (username === undefined || (header[2] !== undefined && authorizationId === undefined))
    return 'a name in the first message is not escaped as it should be';
  const nonce = attributes[1]!;
  if (!noncePattern.test(nonce) || nonce.length > NONCE_CHARACTERS_MAX)
    return 'the nonce is not of 1 to 512 printable characters';
  return { gs2Header: header[0], bare, username, authorizationId, nonce };
}

/** Reads the last message of a client. @returns why it is refused where it does not fit. */
export function parseClientFinal(data: Uint8Array): ClientFinal | string {
  const text = decodeMessage(data);
  const proofAt = text?.lastIndexOf(',p=') ?? -1;
  if (text === undefined || proofAt === -1) return 'the last message has no proof';
  const withoutProof = text.slice(0, proofAt);
  const proof = decodeBase64(text.slice(proofAt + 3), 'padded');
  const attributes = splitAttributes(withoutProof, ['c', 'r']);
  if (attributes === undefined || proof === undefined) return 'the last message is not one of SCRAM';
  const gs2Header = decodeBase64(attributes[0]!, 'padded')?.toString('utf8');
  if (gs2Header === undefined) return 'the channel binding is not base64';
  return { withoutProof, gs2Header, nonce: attributes[1]!, proof };
}

/** Strictly, so that the text stands for these bytes and no others. */
function decodeMessage(data: Uint8Array): string | undefined {
  if (data.length > MESSAGE_BYTES_MAX) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/**
 * The values of the attributes that have to come first, in this order. Extensions may follow, and are signed with the rest;
 * `m` would say that one of them has to be understood.
 */
function splitAttributes(text: string, names: readonly string[]): string[] | undefined {
  const parts = text.split(',');
  const isWhole = parts.every((part) => attributePattern.test(part) && !part.startsWith('m='));
  const isInOrder = names.every((name, index) => parts[index]?.startsWith(`${name}=`));
  return isWhole && isInOrder ? parts.slice(0, names.length).map((part) => part.slice(2)) : undefined;
}

/** In names `=2C` is a comma and `=3D` an equals sign; no other `=` may stand there. */
function decodeName(text: string): string | undefined {
  if (text === '' || /=(?!2C|3D)/.test(text)) return undefined;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}
