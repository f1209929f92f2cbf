import { widthOf } from '../../src/report/text.ts';

/** A terminal in memory: knows the escapes that views may use, and fails on any other. */
export class FakeTerminal {
  columns: number;
  rows: number;
  /** What people see; wide characters are followed by an empty cell. */
  #screen: string[][] = [];
  #row = 0;
  #column = 0;
  isCursorShown = true;
  /** Lines that were pushed out at the top. */
  scrolled = 0;
  /** Everything written, as it was written. */
  readonly writes: string[] = [];

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  /** The window gets another size; as on most terminals, lines that are too long are wrapped, and the top scrolls out. */
  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    const wrapped = this.#screen.flatMap((cells) => {
      const pieces: string[][] = [];
      for (let from = 0; from === 0 || from < cells.length; from += columns)
        pieces.push(cells.slice(from, from + columns));
      return pieces;
    });
    this.scrolled += Math.max(0, wrapped.length - rows);
    this.#screen = wrapped.slice(-rows);
    this.#row = Math.max(0, this.#screen.length - 1);
    this.#column = this.#screen.at(-1)?.length ?? 0;
  }

  get lines(): string[] {
    return this.#screen.map((cells) =>
      Array.from(cells, (cell) => cell ?? ' ')
        .join('')
        .trimEnd(),
    );
  }

  get text(): string {
    return this.lines.join('\n');
  }

  write(text: string): void {
    this.writes.push(text);
    const tokens = text.match(/\p{Cc}\[[?0-9;]*[A-Za-z]|[\s\S]/gu) ?? [];
    for (const token of tokens) {
      if (token.startsWith('\u001b[')) this.#escape(token.slice(1));
      else this.#put(token);
    }
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#newLine();
    else {
      const width = widthOf(character);
      if (/\p{Cc}/u.test(character)) throw new Error(`control character ${JSON.stringify(character)}`);
      if (this.#column + width > this.columns) {
        this.#column = 0;
        this.#newLine();
      }
      const line = this.#line();
      line[this.#column] = character;
      if (width === 2) line[this.#column + 1] = '';
      this.#column += width;
    }
  }

  #newLine(): void {
    this.#row++;
    if (this.#row < this.rows) return;
    this.#row = this.rows - 1;
    this.#screen.shift();
    this.scrolled++;
  }

  #line(): string[] {
    return (this.#screen[this.#row] ??= []);
  }

  #escape(token: string): void {
    const up = /^\[(\d+)A$/.exec(token);
    if (up !== null) this.#row = Math.max(0, this.#row - Number(up[1]));
    else if (token === '[K') this.#line().length = Math.min(this.#line().length, this.#column);
    else if (token === '[J') {
      this.#line().length = Math.min(this.#line().length, this.#column);
      this.#screen.length = this.#row + 1;
    } else if (token === '[2J') this.#screen = [];
    else if (token === '[H') [this.#row, this.#column] = [0, 0];
    else if (token === '[?25l') this.isCursorShown = false;
    else if (token === '[?25h') this.isCursorShown = true;
    else if (!/^\[(?:\d*m|\?2026[hl])$/.test(token)) throw new Error(`unknown escape ${JSON.stringify(token)}`);
  }
}
