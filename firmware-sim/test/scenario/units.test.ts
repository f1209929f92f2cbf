import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCsv } from '../../src/scenario/csv.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/scenario/units.ts';

test.each([
  ['250ms', 0.25],
  ['1.5 s', 1.5],
  ['2m', 120],
  ['2min', 120],
  ['1h', 3600],
  ['1d', 86_400],
  ['-5s', -5],
  [3, 3],
])('%s are %d seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(['', 's', '5', '5 parsecs', '5S', '1e3s', '5s5', 's5', null, true, {}])('%s is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  ['512 B', 512],
  ['1kB', 1000],
  ['1 KiB', 1024],
  ['1.5 MiB', 1_572_864],
  ['2 MB', 2_000_000],
  [7, 7],
])('%s are %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(['5', '5 GiB', 'KiB', '5 kib', undefined])('%s is no size', (text) => {
  expect(parseSize(text)).toBeUndefined();
});

test('what is formatted is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), (ms) => {
      expect(parseDuration(formatDuration(ms / 1000))).toBeCloseTo(ms / 1000, 6);
    }),
  );
  fc.assert(
    fc.property(fc.nat(), (bytes) => {
      expect(parseSize(formatSize(bytes))).toBe(bytes);
    }),
  );
});

test('CSV that is written is read back, whatever is in the fields', () => {
  const field = fc.oneof(fc.string(), fc.constantFrom('"', ',', '\n', '\r\n', 'a"b', ''));
  const row = fc.tuple(field, field);
  const written = (fields: readonly string[]): string =>
    fields.map((text) => `"${text.replaceAll('"', '""')}"`).join(',');
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 5 }), fc.constantFrom('\n', '\r\n'), (rows, end) => {
      const table = parseCsv(['a,b', ...rows.map(written)].join(end));
      expect(table).toEqual({ header: ['a', 'b'], rows });
    }),
  );
});

test.each([
  ['', 'is empty'],
  ['a,a\n1,2\n', 'names a column twice'],
  ['a\n"1\n2"\n3,4\n', 'has 2 fields on line 4 and 1 in its header'],
  ['a\n1"2\n', 'has a quote that is out of place on line 2'],
])('a CSV file of %j %s', (text, problem) => {
  expect(parseCsv(text)).toBe(problem);
});
