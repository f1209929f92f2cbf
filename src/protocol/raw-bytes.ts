/** Text of up to this many characters is measured and written by a loop, which beats the call into the runtime. */
const SHORT_TEXT = 48;

/** The same for bytes. */
const SHORT_BYTES = 16;

/** Bytes of a text as UTF-8. */
export function textLength(text: string): number {
  const length = text.length;
  if (length > SHORT_TEXT) return Buffer.byteLength(text);
  for (let i = 0; i < length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text);
  }
  return length;
}

/** Writes text of `length` bytes as UTF-8; the caller guarantees room. @returns the end offset. */
export function writeText(out: Buffer, at: number, text: string, length: number): number {
  if (length <= SHORT_TEXT && length === text.length) {
    for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i);
  } else {
    out.write(text, at, length, 'utf8');
  }
  return at + length;
}

/** Copies bytes from start to end; the caller guarantees room. (Five arguments: hot path.) @returns the end offset. */
export function writeBytes(out: Buffer, at: number, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length <= SHORT_BYTES) {
    for (let i = 0; i < length; i++) out[at + i] = bytes[start + i]!;
  } else if (Buffer.isBuffer(bytes)) {
    bytes.copy(out, at, start, end); // Makes no view, unlike `set`.
  } else {
    out.set(bytes.subarray(start, end), at);
  }
  return at + length;
}
