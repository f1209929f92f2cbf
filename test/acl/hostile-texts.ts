/** Client ids, user names and claims as an attacker would choose them. */
export function hostileTexts(): string[] {
  const pieces = ['#', '+', '/', '$', '$SYS', '$share/g', '%', '%c', '%u', '\0', '*', '.*', '[^/]', '${username}', 'a'];
  const texts = new Set([
    ...pieces.flatMap((one) => pieces.flatMap((other) => [one, `${one}${other}`, `${one}/${other}`])),
    ...[
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'prototype',
      '__proto__/#',
      '^a|b$',
      '(a+)+$',
      '\\',
      '\\Q',
    ],
    ...[
      '{a,b}',
      '?',
      '~',
      '..',
      '../..',
      '%2f',
      '%23',
      '%2B',
      '／',
      '＃',
      '＋',
      '\u{1f600}',
      '\ud800',
      '\udc00',
      '\ud83d',
    ],
    ...[
      '\u200b',
      '\u202e',
      '\ufeff',
      '\ufffd',
      'a\n',
      '\r\n',
      '\t',
      ' ',
      '\x7f',
      '\x1b[0m',
      "' OR 1=1",
      '$(id)',
      '`id`',
    ],
    ...['#', '+', 'a', '$', 'é', '\u{1f600}'].map((one) => one.repeat(65_536 / one.length)),
  ]);
  for (let code = 0; texts.size < 600; code++) texts.add(`a${String.fromCharCode(code)}b`);
  return [...texts];
}
