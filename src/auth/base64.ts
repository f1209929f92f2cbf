/**
 * Decodes base64 and takes one spelling of each value only: Node's decoder skips what it does not know.
 * @param padding Whether `=` fills the last group.
 * @returns undefined where it is not base64, or not spelled so.
 */
export function decodeBase64(text: string, padding: 'padded' | 'unpadded'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const spelled = padding === 'padded' ? bytes.toString('base64') : encodeUnpadded(bytes);
  return spelled === text ? bytes : undefined;
}

/** Base64 without `=` at the end, as PHC strings have it. */
export function encodeUnpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
