import { median } from './results.ts';

/** A number for people, with about three digits. */
export function format(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-';
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** The median, and the range where there are several. */
export function formatSpread(numbers: readonly number[]): string {
  const middle = format(median(numbers));
  return numbers.length > 1 ? `${middle} [${format(Math.min(...numbers))}..${format(Math.max(...numbers))}]` : middle;
}

/** A Markdown table that is also one on a terminal. */
export function layOut(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const [head, ...body] = all.map(line);
  return [head, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...body].join('\n');
}
