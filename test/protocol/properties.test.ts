import { describe, expect, test } from 'vitest';
import { PacketReader } from '../../src/protocol/packet-reader.ts';
import { decodePropertyList, encodePropertyList } from '../../src/protocol/properties.ts';
import { PROPERTY_TABLE, type PropertyOwner, propertyRow } from '../../src/protocol/property-table.ts';
import { errorOf } from './decoding.ts';
import { bytesOf } from './vectors/notation.ts';

/**
 * Table 2-4 of the standard, written down a second time: identifier, a value, and what may carry it (control packet
 * types, 0 for the will).
 */
const STANDARD: readonly [id: number, notation: string, owners: readonly number[]][] = [
  [0x01, '01 01', [0, 3]],
  [0x02, '02 00000001', [0, 3]],
  [0x03, '03 "x"', [0, 3]],
  [0x08, '08 "x"', [0, 3]],
  [0x09, '09 "x"', [0, 3]],
  [0x0b, '0b 01', [3, 8]],
  [0x11, '11 00000001', [1, 2, 14]],
  [0x12, '12 "x"', [2]],
  [0x13, '13 0001', [2]],
  [0x15, '15 "x"', [1, 2, 15]],
  [0x16, '16 "x"', [1, 2, 15]],
  [0x17, '17 01', [1]],
  [0x18, '18 00000001', [0]],
  [0x19, '19 01', [1]],
  [0x1a, '1a "x"', [2]],
  [0x1c, '1c "x"', [2, 14]],
  [0x1f, '1f "x"', [2, 4, 5, 6, 7, 9, 11, 14, 15]],
  [0x21, '21 0001', [1, 2]],
  [0x22, '22 0001', [1, 2]],
  [0x23, '23 0001', [3]],
  [0x24, '24 01', [2]],
  [0x25, '25 01', [2]],
  [0x26, '26 "k" "v"', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]],
  [0x27, '27 00000001', [1, 2]],
  [0x28, '28 01', [2]],
  [0x29, '29 01', [2]],
  [0x2a, '2a 01', [2]],
];
const OWNERS: readonly PropertyOwner[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15];

/** What came of decoding and encoding again: the bytes in hexadecimal, or the reason code of the refusal. */
function outcome(bytes: Buffer, owner: PropertyOwner): string | number | undefined {
  let encoded: string | undefined;
  const error = errorOf(() => {
    const properties = decodePropertyList(new PacketReader(bytes, 0, bytes.length), owner);
    encoded = Buffer.from(encodePropertyList(properties, owner)).toString('hex');
  });
  return encoded ?? error?.reasonCode;
}

test('the property table has every property of the standard and no other', () => {
  expect(PROPERTY_TABLE.map(({ id }) => id)).toEqual(STANDARD.map(([id]) => id));
  const known = Array.from({ length: 300 }, (_, id) => id).filter((id) => propertyRow(id) !== undefined);
  expect(known).toEqual(STANDARD.map(([id]) => id));
});

describe.each(STANDARD)('property %i', (id, notation, owners) => {
  const bytes = bytesOf(notation);

  test('belongs where the standard says, and is malformed elsewhere', () => {
    for (const owner of OWNERS) {
      expect(outcome(bytes, owner)).toBe(owners.includes(owner) ? bytes.toString('hex') : 0x81);
    }
  });

  test('is malformed when cut short', () => {
    const owner = OWNERS.find((candidate) => owners.includes(candidate))!;
    for (let length = 1; length < bytes.length; length++) {
      expect(outcome(bytes.subarray(0, length), owner)).toBe(0x81);
    }
  });

  test('comes twice only where the standard lets it', () => {
    const twice = Buffer.concat([bytes, bytes]);
    for (const owner of OWNERS.filter((candidate) => owners.includes(candidate))) {
      const mayRepeat = id === 0x26 || (id === 0x0b && owner === 3);
      expect(outcome(twice, owner)).toBe(mayRepeat ? twice.toString('hex') : 0x82);
    }
  });
});

describe('encodePropertyList', () => {
  test('refuses what the packet may not carry', () => {
    expect(() => encodePropertyList({ receiveMaximum: 1 }, 3)).toThrow(RangeError);
  });

  test.each([
    ['a string too long', { reasonString: 'x'.repeat(65_536) }],
    ['a string with U+0000', { reasonString: 'a\0b' }],
    ['half a surrogate pair', { reasonString: '\uD83D' }],
    ['binary data too long', { authenticationData: new Uint8Array(65_536) }],
    ['a number too large', { receiveMaximum: 65_536 }],
    ['a negative number', { sessionExpiryInterval: -1 }],
  ])('refuses %s', (_name, properties) => {
    expect(() => encodePropertyList(properties, 2)).toThrow(RangeError);
  });

  test('refuses a subscription identifier that the wire has no room for', () => {
    expect(() => encodePropertyList({ subscriptionIdentifiers: [268_435_456] }, 3)).toThrow(RangeError);
  });
});
