import type { ProtocolVersion } from '../../src/protocol/packets.ts';

/** The versions the statements of 3.1.1 are tried with where 3.1 behaves alike, by name. */
export const V3_VERSIONS: readonly (readonly [name: string, version: ProtocolVersion])[] = [
  ['3.1.1', 4],
  ['3.1', 3],
];

/** Byte sequences that are not well-formed UTF-8, by what is wrong with them. */
export const ILL_FORMED: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['a surrogate', Buffer.from('61eda080', 'hex')],
  ['a pair of surrogates', Buffer.from('eda081edb080', 'hex')],
  ['an overlong form', Buffer.from('c0af', 'hex')],
  ['a code point above U+10FFFF', Buffer.from('f4908080', 'hex')],
  ['a lone continuation byte', Buffer.from('6180', 'hex')],
  ['half a sequence', Buffer.from('61e282', 'hex')],
];
