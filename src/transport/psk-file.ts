import { readBoundedText } from '../lib/bounded-file.ts';

/** A file of a hundred thousand devices is 10 MB. */
const BYTES_MAX = 16 * 1024 * 1024;
/** Shorter keys could be guessed from a handshake that was overheard. */
const KEY_BYTES_MIN = 16;
const KEY_BYTES_MAX = 64;
/** What OpenSSL takes, in bytes. */
const IDENTITY_BYTES_MAX = 128;

/**
 * Reads a file of pre-shared keys: a line each, `identity:key`, the key in hexadecimal; empty lines and those that begin
 * with `#` do not count.
 * @throws Error of one sentence that names file and line, and never shows a key.
 */
export async function readPskFile(file: string): Promise<Map<string, Buffer>> {
  const text = await readBoundedText(file, { bytesMax: BYTES_MAX, secret: true });
  const keys = new Map<string, Buffer>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const at = `${file}:${index + 1}`;
    // The identity may have colons of its own, the key has none.
    const colon = line.lastIndexOf(':');
    const identity = line.slice(0, Math.max(colon, 0));
    const key = pskKey(line.slice(colon + 1));
    if (identity === '' || key === undefined) {
      throw new Error(
        `${at}: must be identity:key, the key being ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes in hexadecimal (openssl rand -hex 32 makes one).`,
      );
    }
    if (Buffer.byteLength(identity) > IDENTITY_BYTES_MAX) {
      throw new Error(`${at}: the identity is longer than ${IDENTITY_BYTES_MAX} bytes; shorten it.`);
    }
    if (keys.has(identity))
      throw new Error(`${at}: the identity ${JSON.stringify(identity)} is there twice; keep one.`);
    keys.set(identity, key);
  }
  if (keys.size === 0) throw new Error(`${file}: there is no pre-shared key in it; add a line identity:key.`);
  return keys;
}

function pskKey(text: string): Buffer | undefined {
  if (!/^([0-9a-f]{2})+$/i.test(text)) return undefined;
  const key = Buffer.from(text, 'hex');
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX ? key : undefined;
}
