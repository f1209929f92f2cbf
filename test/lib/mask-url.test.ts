import { expect, test } from 'vitest';
import { maskUrl } from '../../src/lib/mask-url.ts';

test.each([
  ['https://user:secret@host/path', 'https://***@host/path'],
  ['https://secret@host', 'https://***@host'],
  ['https://user:sec/ret@host', 'https://***@host'],
  ['https://user:s@cret@host', 'https://***@host'],
  ['redis:user:secret@host', 'redis:***@host'],
  ['user:secret@host:6379', 'user:***@host:6379'],
  ['https://host/path?token=secret', 'https://host/path?***'],
  ['https://user:sec?ret@host/?x=secret', 'https://***@host/?***'],
  ['https://host/path', 'https://host/path'],
  ['someone@example.org', 'someone@example.org'],
  ['what?', 'what?'],
  ['', ''],
])('%s is shown as %s', (text, shown) => {
  expect(maskUrl(text)).toBe(shown);
});
