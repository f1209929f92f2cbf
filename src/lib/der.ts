/** A value in DER: where it begins and ends in the bytes that it is part of. */
export interface DerValue {
  /** Its tag, such as 0x30 for a SEQUENCE. */
  readonly tag: number;
  /** Where its tag is. */
  readonly start: number;
  /** Where its content begins. */
  readonly content: number;
  /** Behind its last byte. */
  readonly end: number;
}

/** The value that begins at an offset. @throws RangeError when the bytes end within it, or it is no DER. */
export function derValueAt(bytes: Buffer, offset: number): DerValue {
  const first = bytes.readUInt8(offset + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || lengthBytes > 4) throw new RangeError('no length of DER');
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(offset + 2, lengthBytes);
  const content = offset + 2 + lengthBytes;
  const end = content + length;
  if (end > bytes.length) throw new RangeError('the value is cut');
  return { tag: bytes.readUInt8(offset), start: offset, content, end };
}

/** What a value is made of, at most so many of its first parts. @throws RangeError as `derValueAt`. */
export function derParts(bytes: Buffer, value: DerValue, max: number): DerValue[] {
  const parts: DerValue[] = [];
  for (let offset = value.content; offset < value.end && parts.length < max; ) {
    const part = derValueAt(bytes, offset);
    parts.push(part);
    offset = part.end;
  }
  return parts;
}

/** The tags used here. */
export const DerTag = {
  integer: 0x02,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** A UTCTime or GeneralizedTime as milliseconds since the epoch; undefined where the value is neither. */
export function derTime(bytes: Buffer, value: DerValue): number | undefined {
  const text = bytes.toString('latin1', value.content, value.end);
  const isUtc = value.tag === DerTag.utcTime;
  if (!isUtc && value.tag !== DerTag.generalizedTime) return undefined;
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null) throw new RangeError('no time of DER');
  const [year = 0, month = 1, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  // RFC 5280, section 4.1.2.5.1: two digits mean 1950 to 2049.
  const century = isUtc ? (year < 50 ? 2000 : 1900) : 0;
  return Date.UTC(century + year, month - 1, day, hour, minute, second);
}

/** An object identifier with dots, such as `1.2.840.10045.4.3.2`. */
export function derObjectIdentifier(bytes: Buffer, value: DerValue): string {
  if (value.tag !== DerTag.objectIdentifier) throw new RangeError('no object identifier');
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of bytes.subarray(value.content, value.end)) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (arcs.length === 0) {
      const root = Math.min(2, Math.floor(arc / 40));
      arcs.push(root, arc - 40 * root);
    } else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}
