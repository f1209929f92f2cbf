import * as fc from 'fast-check';

/** A change to some bytes; `at` is taken modulo their length. */
export type Mutation =
  | { kind: 'set'; at: number; value: number }
  | { kind: 'flip'; at: number; bit: number }
  | { kind: 'insert'; at: number; value: number }
  | { kind: 'remove'; at: number }
  | { kind: 'repeat'; at: number; length: number };

const at = fc.nat(400);
// Small numbers, property identifiers and borders of UTF-8 do more harm than random bytes.
const value = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 2, 0x26, 0x7f, 0x80, 0xc0, 0xed, 0xff));

/** One to four changes. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at, value }),
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('insert' as const), at, value }),
    fc.record({ kind: fc.constant('remove' as const), at }),
    fc.record({ kind: fc.constant('repeat' as const), at, length: fc.integer({ min: 1, max: 6 }) }),
  ),
  { minLength: 1, maxLength: 4 },
);

/** The bytes with the changes made one after the other. */
export function mutate(original: Buffer, changes: readonly Mutation[]): Buffer {
  const bytes = [...original];
  for (const change of changes) {
    if (bytes.length === 0) break;
    const index = change.at % bytes.length;
    switch (change.kind) {
      case 'set':
        bytes[index] = change.value;
        break;
      case 'flip':
        bytes[index] = bytes[index]! ^ (1 << change.bit);
        break;
      case 'insert':
        bytes.splice(index, 0, change.value);
        break;
      case 'remove':
        bytes.splice(index, 1);
        break;
      case 'repeat':
        bytes.splice(index, 0, ...bytes.slice(index, index + change.length));
        break;
    }
  }
  return Buffer.from(bytes);
}
