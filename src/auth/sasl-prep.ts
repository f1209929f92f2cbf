/** RFC 3454 C.1.2, spaces that are not the ASCII one; all of them become that one. */
const otherSpaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g;

/** RFC 3454 B.1, characters that mean nothing where they stand. */
const nothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g;

/**
 * Everything that Unicode counts as control, format, private use, surrogate or unassigned, line and paragraph separators
 * (RFC 3454 A.1, C.2 to C.5, C.8, C.9), and what is left of its tables C.6 and C.7.
 */
const prohibited = /[\p{C}\p{Zl}\p{Zp}\ufffc\ufffd\u2ff0-\u2ffb]/u;

const printableAscii = /^[\x20-\x7e]+$/;

/**
 * Prepares a user name or password for SCRAM, RFC 4013 (SASLprep): spaces become one kind, characters that mean nothing go,
 * Unicode form KC. Unicode is that of the running Node rather than 3.2, and the rule for text that runs both ways is
 * left out: it only refuses.
 * @returns undefined where nothing is left, or what is prohibited.
 */
export function saslPrep(text: string): string | undefined {
  if (printableAscii.test(text)) return text;
  const prepared = text.replace(otherSpaces, ' ').replace(nothing, '').normalize('NFKC');
  return prepared === '' || prohibited.test(prepared) ? undefined : prepared;
}
