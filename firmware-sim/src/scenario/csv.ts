/** A CSV file, parsed. */
export interface CsvTable {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const rowsMax = 1_000_000;

/** Parses CSV as RFC 4180 has it: commas, quotes doubled inside quotes, a header; a text says what is wrong, with the line. */
export function parseCsv(text: string): CsvTable | string {
  const records = splitRecords(text.replace(/^\uFEFF/, ''));
  if (typeof records === 'string') return records;
  const [header, ...rows] = records;
  if (header === undefined) return 'is empty';
  if (rows.length === 0) return 'has a header and no rows';
  if (rows.length > rowsMax) return `has more than ${rowsMax} rows`;
  if (new Set(header.fields).size !== header.fields.length) return 'names a column twice';
  const uneven = rows.find(({ fields }) => fields.length !== header.fields.length);
  if (uneven !== undefined) {
    return `has ${uneven.fields.length} fields on line ${uneven.line} and ${header.fields.length} in its header`;
  }
  return { header: header.fields, rows: rows.map(({ fields }) => fields) };
}

interface CsvRecord {
  readonly line: number;
  readonly fields: string[];
}

function splitRecords(text: string): CsvRecord[] | string {
  const records: CsvRecord[] = [];
  let fields: string[] = [];
  let line = 1;
  let recordLine = 1;
  // A field, in quotes or bare, and what ends it.
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y;
  while (field.lastIndex < text.length || fields.length > 0) {
    const match = field.exec(text);
    if (match === null) return `has a quote that is out of place on line ${line}`;
    const [whole, quoted, bare, end] = match;
    fields.push(quoted === undefined ? (bare as string) : quoted.replaceAll('""', '"'));
    line += countLines(whole);
    if (end === ',') continue;
    // A line with nothing on it is no row.
    if (fields.length > 1 || fields[0] !== '') records.push({ line: recordLine, fields });
    fields = [];
    recordLine = line;
  }
  return records;
}

function countLines(text: string): number {
  return text.match(/\r\n|\n|\r/g)?.length ?? 0;
}
