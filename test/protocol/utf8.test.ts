import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { decodeString, scanString, WILDCARD } from '../../src/protocol/utf8.ts';

/** What section 1.5.4 wants, by the platform's strict decoder; undefined for what must be refused. */
function reference(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

function decode(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.concat([Buffer.from([0xff]), bytes, Buffer.from([0xff])]);
  try {
    return decodeString(buffer, 1, 1 + bytes.length);
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ reasonCode: 0x81 });
    return undefined;
  }
}

test('[MQTT-1.5.4-1] [MQTT-1.5.4-2] agrees with a strict decoder on all sequences of one and two bytes', () => {
  for (let first = 0; first < 256; first++) {
    expect(decode(Uint8Array.of(first))).toBe(reference(Uint8Array.of(first)));
    for (let second = 0; second < 256; second++) {
      const bytes = Uint8Array.of(first, second);
      if (decode(bytes) !== reference(bytes)) expect.fail(`differs on ${first}, ${second}`);
    }
  }
});

test('[MQTT-1.5.4-1] [MQTT-1.5.4-2] agrees with a strict decoder on longer sequences', () => {
  const byte = fc.oneof(
    fc.constantFrom(
      0x00,
      0x41,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbb,
      0xbf,
      0xc0,
      0xc3,
      0xe0,
      0xe2,
      0xed,
      0xef,
      0xf0,
      0xf4,
    ),
    fc.integer({ min: 0, max: 255 }),
  );
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 8 }), (bytes) => {
      expect(decode(Uint8Array.from(bytes))).toBe(reference(Uint8Array.from(bytes)));
    }),
    { numRuns: 5000 },
  );
});

test('[MQTT-1.5.4-3] keeps every string as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(text.isWellFormed() && !text.includes('\0'));
      expect(decode(Buffer.from(text))).toBe(text);
    }),
  );
});

test('tells whether there is a wildcard', () => {
  const texts = ['a', '+', 'a#', '\u00E9+', '', '\u022B', '\u2B23'];
  const flags = texts.map((text) => scanString(Buffer.from(text), 0, Buffer.byteLength(text)) & WILDCARD);
  expect(flags).toEqual([0, WILDCARD, WILDCARD, WILDCARD, 0, 0, 0]);
});
