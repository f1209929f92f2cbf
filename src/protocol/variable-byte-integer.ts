import { malformed } from './errors.ts';

/** Largest variable byte integer, section 1.5.5; also the largest Remaining Length. */
export const VARIABLE_BYTE_INTEGER_MAX = 268_435_455;

/** Bytes that a value from 0 to VARIABLE_BYTE_INTEGER_MAX takes on the wire, 1 to 4. */
export function variableByteIntegerLength(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  return value < 2_097_152 ? 3 : 4;
}

/**
 * Reads the variable byte integer at `at`, section 1.5.5; as only the shortest form is let through, its end is
 * `at + variableByteIntegerLength(value)`.
 *
 * @throws ProtocolError 0x81 where it runs past `end`, has more than four bytes, or more than it needs.
 */
export function decodeVariableByteInteger(buffer: Buffer, at: number, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) throw malformed('A variable byte integer runs past its packet');
    const byte = buffer[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 128) {
      if (byte === 0 && shift > 0) {
        throw malformed('A variable byte integer is longer than needed', 'MQTT-1.5.5-1'); // [MQTT-1.5.5-1]
      }
      return value;
    }
  }
  throw malformed('A variable byte integer has more than four bytes');
}

/**
 * Writes a value from 0 to VARIABLE_BYTE_INTEGER_MAX in its shortest form [MQTT-1.5.5-1]; the caller guarantees room.
 *
 * @returns the end offset.
 */
export function encodeVariableByteInteger(out: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest > 127) {
    out[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[end++] = rest;
  return end;
}
