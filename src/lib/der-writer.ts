import { DerTag } from './der.ts';

/** A value in DER of this tag, with this content. */
export function derValue(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(length)]), ...content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

/** A SEQUENCE. */
export function derSequence(...parts: readonly Uint8Array[]): Buffer {
  return derValue(DerTag.sequence, ...parts);
}

/** A SET of one value. */
export function derSet(part: Uint8Array): Buffer {
  return derValue(0x31, part);
}

/** A positive INTEGER, big-endian, its highest bit being free. */
export function derInteger(bytes: Uint8Array): Buffer {
  return derValue(DerTag.integer, bytes);
}

/** A BOOLEAN that is true. */
export function derTrue(): Buffer {
  return derValue(0x01, Buffer.from([0xff]));
}

/** A BIT STRING; `unusedBits` of its last byte do not count. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derValue(0x03, Buffer.from([unusedBits]), bytes);
}

/** An OCTET STRING. */
export function derOctetString(bytes: Uint8Array): Buffer {
  return derValue(0x04, bytes);
}

/** A UTF8String. */
export function derUtf8String(text: string): Buffer {
  return derValue(0x0c, Buffer.from(text));
}

/** An object identifier, given with dots. */
export function derIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [40 * first + second, ...rest].flatMap((arc) => {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) | 0x80);
    return digits;
  });
  return derValue(DerTag.objectIdentifier, Buffer.from(bytes));
}

/** A time to the second, as certificates have it: UTCTime up to 2049, GeneralizedTime from then on. */
export function derDate(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  const isUtc = date.getUTCFullYear() < 2050;
  return derValue(isUtc ? DerTag.utcTime : DerTag.generalizedTime, Buffer.from(isUtc ? digits.slice(2) : digits));
}
