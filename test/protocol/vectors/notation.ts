import type { Packet, ProtocolVersion } from '../../../src/protocol/packets.ts';

/** Bytes that are one whole control packet, and what they mean. */
export interface ValidVector {
  name: string;
  version: ProtocolVersion;
  /** In the notation of `bytesOf`. */
  bytes: string;
  packet: Packet;
  /** Why encoding the packet gives other bytes, where it does. */
  otherForm?: string;
}

/** Bytes that are no packet, and the reason code to refuse them with. */
export interface MalformedVector {
  name: string;
  version: ProtocolVersion;
  /** In the notation of `bytesOf`. */
  bytes: string;
  reasonCode: number;
}

/**
 * Bytes from a notation for packets: hexadecimal digits stand for themselves, "text" is a string with its two bytes of
 * length in front, ~text~ the same without length, `*` the Remaining Length of all that follows, and `[...]` a list of
 * properties with its length in front.
 */
export function bytesOf(notation: string): Buffer {
  const tokens = notation.match(/"[^"]*"|~[^~]*~|[*[\]]|[0-9a-f]+|\S/g) ?? [];
  const parts: Buffer[] = [];
  let propertiesAt = -1;
  let bodyAt = -1;
  for (const token of tokens) {
    if (token === '*') {
      bodyAt = parts.length;
    } else if (token === '[') {
      propertiesAt = parts.length;
    } else if (token === ']') {
      const properties = Buffer.concat(parts.splice(propertiesAt));
      parts.push(variableByteInteger(properties.length), properties);
    } else {
      parts.push(literal(token));
    }
  }
  if (bodyAt === -1) return Buffer.concat(parts);
  const body = Buffer.concat(parts.splice(bodyAt));
  return Buffer.concat([...parts, variableByteInteger(body.length), body]);
}

function literal(token: string): Buffer {
  const text = Buffer.from(token.slice(1, -1));
  if (token.startsWith('"')) return Buffer.concat([Buffer.of(text.length >> 8, text.length & 0xff), text]);
  if (token.startsWith('~')) return text;
  if (!/^([0-9a-f]{2})+$/.test(token)) throw new Error(`Odd hexadecimal digits in a vector: ${token}`);
  return Buffer.from(token, 'hex');
}

/** By the pseudocode of section 1.5.5, not by the codec under test. */
function variableByteInteger(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** Binary data as the decoder gives it. */
export function binary(notation: string): Uint8Array {
  return new Uint8Array(bytesOf(notation));
}
