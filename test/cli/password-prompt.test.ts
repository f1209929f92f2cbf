import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { askForPassword, type Terminal } from '../../src/cli/password-prompt.ts';

/** A terminal at which this is typed, and what it shows. */
function terminal(typed: string): { terminal: Terminal; shown: () => string; modes: boolean[] } {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), { setRawMode: (isRaw: boolean) => modes.push(isRaw) });
  const output = new PassThrough();
  let shown = '';
  output.setEncoding('utf8').on('data', (text: string) => (shown += text));
  input.end(typed);
  return { terminal: { input, output }, shown: () => shown, modes };
}

test.each([
  ['a line twice', 'secret\rsecret\r', 'secret'],
  ['line feeds', 'secret\nsecret\n', 'secret'],
  ['keys taken back', 'secreX\u007ft\rsec\u0015secret\r', 'secret'],
  ['more taken back than typed', 'a\b\b\bsecret\rsecret\r', 'secret'],
  ['letters beyond ASCII', 'gé\u{1f511}x\u007f\rgé\u{1f511}\r', 'gé\u{1f511}'],
])('a password of %s is taken, and nothing of it shown', async (_, typed, password) => {
  const { terminal: own, shown, modes } = terminal(typed);
  await expect(askForPassword(own, '"alice"')).resolves.toBe(password);
  expect(shown()).toBe('Password for "alice": \nOnce more: \n');
  expect(modes).toEqual([true, false]);
});

test.each([
  ['differ', 'secret\rsecreT\r', 'The two passwords differ'],
  ['are empty', '\r', 'must not be empty'],
  ['are broken off with Ctrl-C', 'secret\u0003', 'Given up'],
  ['are broken off with Ctrl-D', 'secret\rse\u0004', 'Given up'],
  ['end with the terminal', 'secret', 'Given up'],
])('passwords that %s are refused, and the terminal shows again what is typed', async (_, typed, sentence) => {
  const { terminal: own, modes } = terminal(typed);
  await expect(askForPassword(own, '"alice"')).rejects.toThrow(sentence);
  expect(modes).toEqual([true, false]);
});
