/**
 * Text as it may be shown on one line of a terminal: control characters, line ends, and marks that turn the direction
 * of writing become visible escapes, so that what a device or a broker says cannot write anywhere else.
 */
export function cleanText(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu, (character) => {
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Ranges of characters that take two columns: CJK, Hangul, full-width forms, emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const joined = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns that clean text takes on a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (character <= '\u007f') width++;
    else if (wide.test(character)) width += 2;
    else if (!joined.test(character)) width++;
  }
  return width;
}

/** Clean text cut to at most `columns`; `…` stands for what was cut. */
export function cutTo(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let width = 0;
  let kept = '';
  for (const character of text) {
    width += widthOf(character);
    if (width > columns - 1) break;
    kept += character;
  }
  return columns > 0 ? `${kept}…` : '';
}

/** Clean text in exactly `columns`, from the left. */
export function fitLeft(text: string, columns: number): string {
  const cut = cutTo(text, columns);
  return cut + ' '.repeat(Math.max(0, columns - widthOf(cut)));
}

/** Clean text in exactly `columns`, at the right. */
export function fitRight(text: string, columns: number): string {
  const cut = cutTo(text, columns);
  return ' '.repeat(Math.max(0, columns - widthOf(cut))) + cut;
}

/** Words in lines of at most `columns`; longer words are cut up. */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > columns) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
    while (widthOf(line) > columns) {
      const head = headOf(line, columns);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return line === '' ? lines : [...lines, line];
}

function headOf(text: string, columns: number): string {
  let width = 0;
  let head = '';
  for (const character of text) {
    width += widthOf(character);
    if (width > columns && head !== '') break;
    head += character;
  }
  return head;
}

/** Colours of a terminal. */
export type Hue = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'magenta';

/** Puts text between the escapes of a colour, or leaves it as it is. */
export type Paint = (hue: Hue, text: string) => string;

const codes: Readonly<Record<Hue, string>> = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  blue: '34',
  cyan: '36',
  magenta: '35',
};

/** @param hasColour false leaves all text as it is. */
export function painter(hasColour: boolean): Paint {
  return hasColour ? (hue, text) => `\u001b[${codes[hue]}m${text}\u001b[0m` : (_hue, text) => text;
}

/**
 * Whether to write colours: NO_COLOR (any value but empty) says no, FORCE_COLOR (any value but `0` and `false`) says
 * yes, and otherwise a terminal that is not `dumb` gets them.
 */
export function wantsColour(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  const force = env['FORCE_COLOR'];
  if (force !== undefined) return force !== '0' && force !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return isTerminal && env['TERM'] !== 'dumb';
}
