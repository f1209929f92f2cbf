import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeString, scanString, WILDCARD } from '../../src/protocol/utf8.ts';
import { mqttString } from './arbitraries.ts';
import { errorOf } from './decoding.ts';

/** What section 1.5.4 wants, by the platform's strict decoder; undefined for what must be refused. */
function reference(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** What decodeString makes of the bytes amid others; undefined where it refuses them with 0x81. */
function decode(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.concat([Buffer.from([0xff]), bytes, Buffer.from([0xff])]);
  let text: string | undefined;
  const error = errorOf(() => {
    text = decodeString(buffer, 1, 1 + bytes.length);
  });
  return error === undefined || error.reasonCode === 0x81 ? text : error.message;
}

test('[MQTT-1.5.4-1] [MQTT-1.5.4-2] agrees with a strict decoder on all sequences of one and two bytes', () => {
  const differences: Uint8Array[] = [];
  for (let first = 0; first < 256; first++) {
    const sequences = Array.from({ length: 256 }, (_, second) => Uint8Array.of(first, second));
    for (const bytes of [Uint8Array.of(first), ...sequences]) {
      if (decode(bytes) !== reference(bytes)) differences.push(bytes);
    }
  }
  expect(differences).toEqual([]);
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
    { numRuns: 3000 },
  );
});

test('[MQTT-1.5.4-3] keeps every string as it is', () => {
  fc.assert(
    fc.property(mqttString, (text) => {
      expect(decode(Buffer.from(text))).toBe(text);
    }),
  );
});

test('tells whether there is a wildcard', () => {
  const texts = ['a', '+', 'a#', '\u00E9+', '', '\u022B', '\u2B23'];
  const flags = texts.map((text) => scanString(Buffer.from(text), 0, Buffer.byteLength(text)) & WILDCARD);
  expect(flags).toEqual([0, WILDCARD, WILDCARD, WILDCARD, 0, 0, 0]);
});
