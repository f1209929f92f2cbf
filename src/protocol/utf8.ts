import { isUtf8 } from 'node:buffer';
import { malformed } from './errors.ts';

const PLUS = 0x2b;
const HASH = 0x23;

/** Flag of `scanString`: there are bytes outside ASCII. */
const NON_ASCII = 0x80;

/** Flag of `scanString`: there is a wildcard character of topic filters, `+` or `#`. */
export const WILDCARD = 0x01;

/**
 * Checks the bytes of a string on the wire without making one, section 1.5.4.
 *
 * @returns flags, for `WILDCARD` and `textOf`.
 * @throws ProtocolError 0x81 where they are not well-formed UTF-8 or hold U+0000.
 */
export function scanString(buffer: Buffer, start: number, end: number): number {
  let flags = 0;
  for (let at = start; at < end; at++) {
    const byte = buffer[at]!;
    if (byte === 0) throw malformed('A string holds U+0000', 'MQTT-1.5.4-2'); // [MQTT-1.5.4-2] [v3 MQTT-1.5.3-2]
    if (byte >= 0x80) flags |= NON_ASCII;
    else if (byte === PLUS || byte === HASH) flags |= WILDCARD;
  }
  if ((flags & NON_ASCII) !== 0 && !isUtf8(buffer.subarray(start, end))) {
    throw malformed('A string is not well-formed UTF-8', 'MQTT-1.5.4-1'); // [MQTT-1.5.4-1] [v3 MQTT-1.5.3-1]
  }
  return flags;
}

/** The string of bytes that `scanString` gave these flags for; U+FEFF is kept [MQTT-1.5.4-3] and nothing normalised. */
export function textOf(buffer: Buffer, start: number, end: number, flags: number): string {
  return buffer.toString((flags & NON_ASCII) === 0 ? 'latin1' : 'utf8', start, end);
}

/**
 * Decodes the bytes of a string, section 1.5.4.
 *
 * @throws ProtocolError 0x81 where they are not well-formed UTF-8 or hold U+0000.
 */
export function decodeString(buffer: Buffer, start: number, end: number): string {
  return textOf(buffer, start, end, scanString(buffer, start, end));
}
