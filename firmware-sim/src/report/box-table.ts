import { type Hue, type Paint, fitLeft, fitRight, painter, widthOf } from './text.ts';

/** Width of the growing column below which the others give up what they do not need. */
const leastGrowing = 12;

/** A column of a table. */
export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Columns of the terminal it would like to have at least. */
  readonly least?: number;
  /** Takes what the others leave; exactly one of a table. */
  readonly grows?: boolean;
}

/** A table to draw. */
export interface BoxTable {
  readonly columns: readonly Column[];
  /** Clean texts; undefined is a line across. */
  readonly rows: readonly (readonly string[] | undefined)[];
  /** Of the whole table. */
  readonly width: number;
  readonly paint?: Paint;
  readonly hueOf?: (cells: readonly string[], column: number) => Hue | undefined;
}

/** Draws a table with lines around it, exactly `width` wide unless that leaves no room for the growing column. */
export function boxTable({ columns, rows, width, paint = painter(false), hueOf }: BoxTable): string[] {
  const widths = widthsOf(columns, rows, width);
  const edge = (left: string, middle: string, right: string): string =>
    paint('dim', left + widths.map((one) => '─'.repeat(one + 2)).join(middle) + right);
  const bar = paint('dim', '│');
  const line = (cells: readonly string[], hue: (column: number) => Hue | undefined): string => {
    const fitted = columns.map(({ align }, at) => {
      const text = (align === 'left' ? fitLeft : fitRight)(cells[at] ?? '', widths[at] as number);
      const colour = hue(at);
      return ` ${colour === undefined ? text : paint(colour, text)} `;
    });
    return bar + fitted.join(bar) + bar;
  };
  const titles = columns.map(({ title }) => title);
  const body = rows.map((cells) =>
    cells === undefined ? edge('├', '┼', '┤') : line(cells, (column) => hueOf?.(cells, column)),
  );
  return [edge('┌', '┬', '┐'), line(titles, () => 'bold'), edge('├', '┼', '┤'), ...body, edge('└', '┴', '┘')];
}

/** Columns get what they would like where that leaves the growing one something, and otherwise what they need. */
function widthsOf(columns: readonly Column[], rows: BoxTable['rows'], width: number): number[] {
  const needed = columns.map(({ title }, at) =>
    rows.reduce((most, cells) => Math.max(most, widthOf(cells?.[at] ?? '')), widthOf(title)),
  );
  const liked = needed.map((one, at) => Math.max(one, columns[at]?.least ?? 0));
  const growing = columns.findIndex(({ grows }) => grows === true);
  const left = (widths: readonly number[]): number =>
    widths.reduce((rest, one, at) => (at === growing ? rest : rest - one), width - 3 * columns.length - 1);
  const widths = left(liked) >= leastGrowing ? liked : needed;
  widths[growing] = Math.max(6, left(widths));
  return widths;
}
